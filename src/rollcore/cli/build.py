"""The command ``build-dataset``: MIDI files to a dataset."""

from __future__ import annotations

import os

import click

from rollcore.cli.options import (
    CONTEXT,
    bad_usage,
    chosen_grid,
    drums_option,
    fps_option,
    no_align_option,
    steps_per_beat_option,
    sustain_option,
)
from rollcore.console import Progress, printable
from rollcore.storage import published


def _split(context: click.Context, option: click.Parameter, value: str) -> tuple[int, int, int] | dict[str, str]:
    if value.startswith("@") and len(value) > 1:
        from rollcore.sources.splits import read_splits

        return read_splits(value[1:])
    try:
        train, validation, test = (int(share) for share in value.split("/"))
    except ValueError:
        raise click.BadParameter("three whole numbers such as 80/10/10, or @splits.csv", context, option) from None
    return train, validation, test


def _part(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    try:
        index, of = (int(number) for number in value.split("/"))
    except ValueError:
        index = of = 0
    if not 1 <= index <= of:
        raise click.BadParameter("two whole numbers such as 1/4, the first at most the second", context, option)
    return index, of


@click.command(context_settings=CONTEXT)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.argument("out")
@fps_option
@steps_per_beat_option
@click.option(
    "--planes",
    default="sounding,onset",
    metavar="PLANES",
    show_default=True,
    help="sounding,onset, or sounding alone, in which notes of one pitch that touch are one.",
)
@drums_option
@sustain_option
@no_align_option
@click.option("--max-minutes", type=float, metavar="M", help="Skip longer pieces.  [default: 480]")
@click.option(
    "--split",
    default="80/10/10",
    metavar="A/B/C|@FILE",
    show_default=True,
    callback=_split,
    help="Shares of train, validation and test; a piece's place depends on its content alone. Or a table with the "
    "split of each file, such as @maestro-v3.0.0.csv: names and train, validation or test, with commas or tabs.",
)
@click.option("--dedupe", is_flag=True, help="Keep one of each set of files with identical content.")
@click.option(
    "--column",
    metavar="NAME",
    help="Column of a .parquet table that holds the files.  [default: the only one of bytes]",
)
@click.option(
    "--part",
    metavar="I/N",
    callback=_part,
    help="Build the I-th of N parts of the dataset, here or on another machine; `rollcore merge` joins them.",
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="[default: one for each core]")
def build_dataset(
    inputs: tuple[str, ...],
    out: str,
    fps: str | None,
    steps_per_beat: str | None,
    planes: str,
    drums: bool,
    sustain: bool,
    no_align: bool,
    max_minutes: float | None,
    split: tuple[int, int, int] | dict[str, str],
    dedupe: bool,
    column: str | None,
    part: tuple[int, int] | None,
    threads: int | None,
) -> None:
    """Read MIDI files and write the dataset OUT.

    INPUT is a folder, a MIDI file, an archive (.zip, or .tar, plain or with .gz, .bz2, .xz or .zst), a .parquet
    table, a name with wildcards or braces in quotes ('train-{000..099}.tar'), @list.txt with one path a line, or -
    for such a list on standard input.
    """
    # Importing NumPy starts a thread of OpenBLAS for each core, which all spin while the first files are to be read.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from rollcore.build import build_dataset as build
    from rollcore.build import check_split
    from rollcore.grid import MAX_MINUTES
    from rollcore.roll import check_planes

    grid = chosen_grid(fps, steps_per_beat)
    longest = MAX_MINUTES if max_minutes is None else max_minutes
    with bad_usage():
        chosen = check_planes(planes)
        grid.limits(longest)
        check_split(split)
    with published(out) as local, Progress("files") as progress:
        report = build(
            list(inputs),
            local,
            grid=grid,
            planes=chosen,
            drums=drums,
            sustain=sustain,
            align=not no_align,
            max_minutes=longest,
            split=split,
            dedupe=dedupe,
            column=column,
            part=part,
            threads=threads,
            progress=lambda files, frames: progress(files, f"{frames:,} frames"),
        )
    for line in str(report).replace(local, out).split("\n"):
        click.echo(printable(line))
