"""Options that several commands share, and how their values are checked."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from rollcore.cli.options import (
    bad_usage,
    chosen_grid,
    chosen_selection,
    fps_option,
    selection_options,
    steps_per_beat_option,
)
from rollcore.errors import RollcoreError
from rollcore.grid import Grid
from rollcore.selection import NO_SELECTION, Selection


@pytest.fixture
def choose():
    """A command with the options; gives what they choose, or the result where it fails."""
    chosen = []

    @click.command
    @fps_option
    @steps_per_beat_option
    @selection_options
    def command(fps, steps_per_beat, **whose):
        chosen.append((chosen_grid(fps, steps_per_beat), chosen_selection(whose)))

    def choose(*arguments):
        result = CliRunner().invoke(command, arguments)
        return chosen.pop() if result.exit_code == 0 else result

    return choose


def test_without_options_there_is_the_grid_of_beats_and_no_selection(choose):
    assert choose() == (Grid.beats(4), NO_SELECTION)


def test_options_are_what_the_library_is_given(choose):
    assert choose("--fps", "12.5")[0] == Grid.seconds("25/2")
    assert choose("--steps-per-beat", "12")[0] == Grid.beats(12)
    given = ["--tracks", "melody,2", "--channels", "1-3", "--pitch-range", "21-108", "--min-notes", "5"]
    expected = Selection(tracks="melody,2", channels="1-3", pitch_range="21-108", min_notes=5)
    assert choose(*given)[1] == expected != NO_SELECTION
    voices = choose("--voice", "melody=lead", "--voice", "bass=2")[1].voices
    assert [name for name, _ in voices] == ["melody", "bass"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fps", "50", "--steps-per-beat", "4"], "choose one grid"),
        (["--fps", "fast"], "frames per second 'fast'"),
        (["--programs", "200"], "expected numbers from 0 to 127"),
        (["--channels", "0"], "1 to 16"),
        (["--min-notes", "-1"], "--min-notes"),
    ],
)
def test_what_the_library_refuses_is_bad_usage(choose, arguments, said):
    result = choose(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_other_errors_pass():
    with click.Context(click.Command("x")):
        with pytest.raises(click.UsageError, match="not this"), bad_usage():
            raise RollcoreError("not this")
        with pytest.raises(OSError, match="that"), bad_usage():
            raise OSError("that")
