"""Options that several commands share, and how their values are checked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from rollcore.errors import RollcoreError

if TYPE_CHECKING:
    from rollcore.grid import Grid

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

fps_option = click.option("--fps", metavar="RATE", help="Grid of seconds: frames per second; suits recordings.")
steps_per_beat_option = click.option(
    "--steps-per-beat", metavar="N", help="Grid of music: steps per quarter note.  [default: 4]"
)
drums_option = click.option(
    "--drums", is_flag=True, help="Keep the drums (MIDI channel 10), which are left out otherwise."
)
sustain_option = click.option("--sustain", is_flag=True, help="Let notes ring while the sustain pedal is down.")
no_align_option = click.option(
    "--no-align",
    is_flag=True,
    help="Grid of music: leave the notes where the file has them, though all stand beside the sixteenths alike.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


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
