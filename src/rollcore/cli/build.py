"""The command ``build-dataset``: MIDI files to a dataset."""

from __future__ import annotations

import os
from typing import Any

import click

from rollcore.cli.options import (
    CONTEXT,
    bad_usage,
    chosen_grid,
    chosen_selection,
    drums_option,
    fps_option,
    no_align_option,
    quiet_option,
    selection_options,
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
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... OUT")
@click.option("-o", "--output", metavar="OUT", help="The dataset to write; all arguments are inputs then.")
@fps_option
@steps_per_beat_option
@click.option(
    "--planes",
    default="sounding,onset",
    metavar="PLANES",
    show_default=True,
    help="What a frame holds: sounding,onset, or sounding alone, where a repeated note looks like a held one.",
)
@drums_option
@sustain_option
@no_align_option
@selection_options
@click.option("--max-minutes", type=float, metavar="M", help="Skip pieces longer than M minutes.  [default: 480]")
@click.option(
    "--split",
    default="80/10/10",
    metavar="A/B/C|@FILE",
    show_default=True,
    callback=_split,
    help="Shares of train, validation and test; a piece's place depends on its pitches alone. Or a table with the "
    "split of each file, such as @maestro-v3.0.0.csv: names and train, validation or test, with commas or tabs.",
)
@click.option("--dedupe", is_flag=True, help="Keep one of each set of files with the same notes, however saved.")
@click.option(
    "--dedupe-by",
    type=click.Choice(["notes", "bytes"]),
    help="What --dedupe goes by: pitches and onsets, or the very bytes of the files.  [default: notes]",
)
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
@click.option(
    "--update",
    is_flag=True,
    help="Read only what is new or changed since the last --update, by name, size and time (kept in OUT.times); "
    "the rest is taken over from OUT.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Build on the workers of a Dask scheduler, such as tcp://10.0.0.1:8786, or local for workers on this machine. "
    "They must see inputs and output under the same names, or as addresses in storage.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads that read files.  [default: one for each core]"
)
@quiet_option
@click.option("-v", "--verbose", is_flag=True, help="List the files that were skipped or repaired, too.")
def build_dataset(
    paths: tuple[str, ...],
    output: str | None,
    fps: str | None,
    steps_per_beat: str | None,
    planes: str,
    drums: bool,
    sustain: bool,
    no_align: bool,
    max_minutes: float | None,
    split: tuple[int, int, int] | dict[str, str],
    dedupe: bool,
    dedupe_by: str | None,
    column: str | None,
    part: tuple[int, int] | None,
    update: bool,
    dask: str | None,
    threads: int | None,
    quiet: bool,
    verbose: bool,
    **whose: Any,
) -> None:
    """Read MIDI files and write the dataset OUT, such as out.h5.

    INPUT is a folder, a MIDI file, an archive (.zip, or .tar, plain or with .gz, .bz2, .xz or .zst), a .parquet
    table, a name with wildcards or braces in quotes ('train-{000..099}.tar'), @list.txt with one path a line, or -
    for such a list on standard input.
    """
    *inputs, out = (*paths, output) if output is not None else paths
    if not inputs:
        raise click.UsageError(
            f"Missing argument 'OUT': rollcore build-dataset {out} out.h5", click.get_current_context()
        )
    # Importing NumPy starts a thread of OpenBLAS for each core, which all spin while the first files are to be read.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from rollcore.build import build_dataset as build
    from rollcore.build import check_split
    from rollcore.grid import MAX_MINUTES
    from rollcore.roll import check_planes

    grid, select = chosen_grid(fps, steps_per_beat), chosen_selection(whose)
    longest = MAX_MINUTES if max_minutes is None else max_minutes
    with bad_usage():
        chosen = check_planes(planes)
        grid.limits(longest)
        check_split(split)
    options: dict[str, Any] = {
        "grid": grid,
        "planes": chosen,
        "drums": drums,
        "sustain": sustain,
        "align": not no_align,
        "max_minutes": longest,
        "select": select,
        "split": split,
        "dedupe": dedupe_by or dedupe,
        "column": column,
    }
    if update and (part is not None or dask is not None):
        raise click.UsageError(
            "--update is for a whole dataset: leave --part and --dask out", click.get_current_context()
        )
    if dask is not None:
        if part is not None:
            raise click.UsageError("--dask shares the parts out itself: leave --part out", click.get_current_context())
        _distribute(inputs, out, dask, options if threads is None else {**options, "threads": threads}, quiet)
        return
    with published(out, keep=("", ".times") if update else ()) as local, Progress("files") as progress:
        report = build(
            inputs,
            local,
            **options,
            part=part,
            update=update,
            threads=threads,
            progress=None if quiet else lambda files, frames: progress(files, f"{frames:,} frames"),
        )
        listed = _listed(local) if verbose and part is None else []
    if quiet:
        return
    for line in (*str(report).replace(local, out).split("\n"), *listed):
        click.echo(printable(line))


def _distribute(inputs: list[str], out: str, scheduler: str, options: dict[str, Any], quiet: bool) -> None:
    """Build on the workers of a scheduler."""
    from rollcore.distributed import build_distributed

    with Progress("parts") as progress:
        count = build_distributed(
            inputs[0] if len(inputs) == 1 else inputs,
            out,
            scheduler,
            progress=None if quiet else lambda done, of: progress(done, f"{of:,} in all"),
            **options,
        )
    if not quiet:
        click.echo(f"{count:,} pieces in {printable(out)}; next: rollcore info {printable(out)}")


def _listed(dataset: str) -> list[str]:
    """Return the lines of ``rollcore report`` but for the files that were read as they are."""
    from rollcore.dataset import open_dataset
    from rollcore.show.summary import file_outcomes, outcome_lines

    listed = file_outcomes(open_dataset(dataset))
    del listed["read"]
    return ["", *outcome_lines(listed)]
