"""Commands that make music or datasets from other things: ``make-chords`` and ``import-mat``."""

from __future__ import annotations

import click

from rollcore.cli.options import CONTEXT, chosen_grid, output_option, quiet_option, with_target
from rollcore.console import printable
from rollcore.storage import fetch, published


@click.command(context_settings=CONTEXT)
@click.argument("folder", nargs=-1, metavar="FOLDER")
@output_option("FOLDER", "The folder to write")
@quiet_option
def make_chords(folder: tuple[str, ...], output: str | None, quiet: bool) -> None:
    """Write the sample pack to FOLDER: 156 MIDI files, 12 keys by 13 scales."""
    [target] = with_target(folder, output, "FOLDER")
    from rollcore.sources.pack import make_chords as make

    with published(target) as local:
        paths = make(local)
    if not quiet:
        shown = printable(target)
        click.echo(f"{len(paths)} MIDI files in {shown}; next: rollcore build-dataset {shown} out.h5")


@click.command(context_settings=CONTEXT)
@click.argument("paths", nargs=-1, metavar="MAT OUT")
@output_option("OUT", "The dataset to write")
@click.option(
    "--steps-per-beat", metavar="N", help="Rows per quarter note in MAT.  [default: known for the four standard files]"
)
@quiet_option
def import_mat(paths: tuple[str, ...], output: str | None, steps_per_beat: str | None, quiet: bool) -> None:
    """Write the dataset OUT from MAT: JSB_Chorales, Nottingham, MuseData or Piano_midi .mat, with their splits."""
    mat, out = with_target(paths, output, "MAT OUT")
    from rollcore.sources.matfile import import_mat as convert

    if steps_per_beat is not None:
        chosen_grid(None, steps_per_beat)
    with published(out) as local:
        count = convert(fetch(mat), local, steps_per_beat=steps_per_beat)
    if not quiet:
        click.echo(f"{count:,} pieces in {printable(out)}; next: rollcore info {printable(out)}")
