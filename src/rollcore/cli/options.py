"""Options that several commands share, and how their values are checked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from rollcore.errors import RollcoreError

if TYPE_CHECKING:
    from rollcore.grid import Grid
    from rollcore.selection import Selection

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

fps_option = click.option(
    "--fps", metavar="RATE", help="Frames per second, instead of steps: for recordings, which keep to no beat."
)
steps_per_beat_option = click.option(
    "--steps-per-beat", metavar="N", help="Frames per quarter note; 12 holds triplets too.  [default: 4]"
)
drums_option = click.option(
    "--drums", is_flag=True, help="Keep the drums (MIDI channel 10), which are left out otherwise."
)
sustain_option = click.option(
    "--sustain", is_flag=True, help="Hold notes while the sustain pedal is down; otherwise pedals are ignored."
)
no_align_option = click.option(
    "--no-align",
    is_flag=True,
    help="With --steps-per-beat: do not shift a file whose notes all lie the same distance beside the sixteenths.",
)
SELECTION = ("tracks", "programs", "channels", "only_drums", "pitch_range", "min_notes", "min_pitches", "voice")


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say whose notes are kept."""
    options = [
        click.option("--tracks", metavar="NAME,…", help="Keep these tracks: names, with * for anything, or numbers."),
        click.option("--programs", metavar="N-M,…", help="Keep these General MIDI programs, 0-127."),
        click.option("--channels", metavar="N-M,…", help="Keep these channels, 1-16."),
        click.option("--only-drums", is_flag=True, help="Keep drums alone."),
        click.option("--pitch-range", metavar="LOW-HIGH", help="Keep these pitches, such as 21-108."),
        click.option("--min-notes", type=click.IntRange(0), metavar="N", help="Skip pieces with fewer notes."),
        click.option("--min-pitches", type=click.IntRange(0), metavar="N", help="Skip pieces with fewer pitches."),
        click.option(
            "--voice",
            multiple=True,
            metavar="NAME=TRACK,…",
            help="Planes of its own for a voice, of these tracks; may be repeated.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen_selection(options: dict[str, Any]) -> Selection:
    """Return what the options of `selection_options` ask for."""
    from rollcore.selection import Selection

    given = {name: value for name, value in options.items() if name in SELECTION and value}
    given["voices"] = given.pop("voice", ())
    with bad_usage():
        return Selection(**given)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")


def output_option(metavar: str, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option ``-o``, which names what is written in the place of the last argument."""
    return click.option("-o", "--output", metavar=metavar, help=f"{what}, in the place of the last argument.")


def with_target(paths: tuple[str, ...], output: str | None, usage: str) -> list[str]:
    """Return arguments with what is to be written as the last one, wherever it was named.

    Parameters
    ----------
    paths
        The arguments.
    output
        Value of ``-o``.
    usage
        Names of the arguments, in brackets where one may be left out, such as ``SOURCE [PIECE] PICTURE``.

    Raises
    ------
    click.UsageError
        If there are fewer or more.
    """
    given = [*paths] if output is None else [*paths, output]
    needed = [name for name in usage.split() if not name.startswith("[")]
    if len(given) < len(needed):
        raise click.UsageError(f"Missing argument '{needed[len(paths)]}'", click.get_current_context())
    if len(given) > len(usage.split()):
        raise click.UsageError(f"too many arguments: expected {usage}", click.get_current_context())
    return given


@contextlib.contextmanager
def bad_usage() -> Iterator[None]:
    """Report an error that the library raises over an option as bad usage."""
    try:
        yield
    except RollcoreError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error


def chosen_grid(fps: str | None, steps_per_beat: str | None) -> Grid:
    """Return the grid that ``--fps`` or ``--steps-per-beat`` asks for."""
    from rollcore.grid import choose_grid

    with bad_usage():
        return choose_grid(fps, steps_per_beat)
