"""Commands that make music or datasets from other things: ``make-chords`` and ``import-mat``."""

from __future__ import annotations

import click

from rollcore.cli.options import CONTEXT, chosen_grid
from rollcore.console import printable
from rollcore.storage import fetch, published


@click.command(context_settings=CONTEXT)
@click.argument("folder")
def make_chords(folder: str) -> None:
    """Write the sample pack to FOLDER: 156 MIDI files, 12 keys by 13 scales."""
    from rollcore.sources.pack import make_chords as make

    with published(folder) as local:
        paths = make(local)
    click.echo(
        f"{len(paths)} MIDI files in {printable(folder)}; next: rollcore build-dataset {printable(folder)} out.h5"
    )


@click.command(context_settings=CONTEXT)
@click.argument("mat")
@click.argument("out")
@click.option(
    "--steps-per-beat", metavar="N", help="Rows per quarter note in MAT.  [default: known for the four standard files]"
)
def import_mat(mat: str, out: str, steps_per_beat: str | None) -> None:
    """Write the dataset OUT from MAT: JSB_Chorales, Nottingham, MuseData or Piano_midi .mat, with their splits."""
    from rollcore.sources.matfile import import_mat as convert

    if steps_per_beat is not None:
        chosen_grid(None, steps_per_beat)
    with published(out) as local:
        count = convert(fetch(mat), local, steps_per_beat=steps_per_beat)
    click.echo(f"{count:,} pieces in {printable(out)}; next: rollcore info {printable(out)}")
