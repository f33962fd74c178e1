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
    steps_per_beat_option,
    sustain_option,
)
from rollcore.console import Progress, import_quickly, printable
from rollcore.errors import RollcoreError


def _split(context: click.Context, option: click.Parameter, value: str) -> tuple[int, int, int] | dict[str, str]:
    if value.startswith("@"):
        return _named_split(value)
    try:
        train, validation, test = (int(share) for share in value.split("/"))
    except ValueError:
        raise click.BadParameter("three whole numbers such as 80/10/10, or @splits.csv", context, option) from None
    return train, validation, test


def _named_split(source: str) -> dict[str, str]:
    """Read lines of a file's name, a comma and its split."""
    import csv

    found: dict[str, str] = {}
    try:
        with open(source[1:], newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = csv.reader(file)
            for row in filter(None, lines):
                row = [cell.strip() for cell in row]
                if len(row) != 2 or row[1] not in ("train", "validation", "test"):
                    where, shown = f"{source}: line {lines.line_num}", ",".join(row)[:80]
                    raise RollcoreError(
                        f"{where}: expected the name of a file, a comma and train, validation or test; found {shown!r}"
                    )
                if found.setdefault(*row) != row[1]:
                    raise RollcoreError(f"{source}: line {lines.line_num}: {row[0]} is in another split already")
    except (OSError, csv.Error) as error:
        raise RollcoreError(f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return found


@click.command(context_settings=CONTEXT)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.argument("out")
@fps_option
@steps_per_beat_option
@click.option(
    "--planes",
    default="sounding",
    metavar="PLANES",
    show_default=True,
    help="sounding, or sounding,onset: with onsets a repeated note is not a held one.",
)
@drums_option
@sustain_option
@click.option("--max-minutes", type=float, metavar="M", help="Skip longer pieces.  [default: 480]")
@click.option(
    "--split",
    default="80/10/10",
    metavar="A/B/C|@FILE",
    show_default=True,
    callback=_split,
    help="Shares of train, validation and test; a piece's place depends on its content alone. Or a file with a line "
    "for each piece: its name, a comma, and train, validation or test.",
)
@click.option("--dedupe", is_flag=True, help="Keep one of each set of files with identical content.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="[default: one for each core]")
def build_dataset(
    inputs: tuple[str, ...],
    out: str,
    fps: str | None,
    steps_per_beat: str | None,
    planes: str,
    drums: bool,
    sustain: bool,
    max_minutes: float | None,
    split: tuple[int, int, int] | dict[str, str],
    dedupe: bool,
    threads: int | None,
) -> None:
    """Read MIDI files and write the dataset OUT.

    INPUT is a folder, a MIDI file, an archive (.zip, or .tar, plain or with .gz, .bz2, .xz or .zst), @list.txt
    with one path a line, or - for such a list on standard input.
    """
    # Importing NumPy starts a thread of OpenBLAS for each core, which all spin while the first files are to be read.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import_quickly("rollcore.build")
    from rollcore.build import build_dataset as build
    from rollcore.build import check_split
    from rollcore.grid import MAX_MINUTES
    from rollcore.roll import check_planes

    grid = chosen_grid(fps, steps_per_beat)
    longest = MAX_MINUTES if max_minutes is None else max_minutes
    with bad_usage():
        chosen = check_planes([plane.strip() for plane in planes.split(",")])
        grid.limits(longest)
        check_split(split)
    with Progress("files") as progress:
        report = build(
            list(inputs),
            out,
            fps=fps,
            steps_per_beat=steps_per_beat,
            planes=chosen,
            drums=drums,
            sustain=sustain,
            max_minutes=longest,
            split=split,
            dedupe=dedupe,
            threads=threads,
            progress=lambda files, frames: progress(files, f"{frames:,} frames"),
        )
    for line in str(report).split("\n"):
        click.echo(printable(line))
