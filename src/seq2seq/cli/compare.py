"""Compare runs: what differs between their settings, and how well they do.

RUN is a run folder, a folder of them, or a pattern, here or in storage. Nothing is written unless --picture or --html
asks for it.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from rollcore.console import printable
from rollcore.storage import fetch, is_remote, matching, origin, published
from seq2seq.cli.options import CONTEXT, bad_usage, json_option
from seq2seq.errors import RunError
from seq2seq.training.comparison import compare, comparison_table, find_runs, remarks, sort_rows, table_cells


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("places", nargs=-1, required=True, metavar="RUN...")
@click.option("--sort", default="validation", show_default=True, metavar="COLUMN", help="Column to sort by.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of text.")
@click.option("--picture", metavar="FILE", help="Draw the loss curves as a PNG file.")
@click.option("--html", metavar="FILE", help="Write a page with table, curves, settings and samples.")
def cli(places: tuple[str, ...], sort: str, as_json: bool, as_csv: bool, picture: str | None, html: str | None) -> None:
    """Print a comparison."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv: choose one")
    if picture is not None and Path(picture).suffix.lower() != ".png":
        raise click.BadParameter(f"{picture!r} does not end in .png", param_hint="--picture")
    print_comparison(places, sort=sort, as_json=as_json, as_csv=as_csv, picture=picture, html=html)


def _why(place: str, why: str) -> str:
    """Return why there is no run in a place, which the reason may name already."""
    return why if why.startswith(place) else f"{place} {why}"


def print_comparison(
    places: Sequence[str | Path],
    *,
    sort: str = "validation",
    as_json: bool = False,
    as_csv: bool = False,
    picture: str | None = None,
    html: str | None = None,
) -> None:
    """Print the runs in some places beside each other, and write what is asked for."""
    runs, others = find_runs(_fetched(places))
    if not runs:
        raise RunError("no run to compare: " + "; ".join(_why(str(place), why) for place, why in others.items()))
    with bad_usage():
        rows = sort_rows(compare(runs), sort)
    if as_json:
        click.echo(json.dumps({"runs": rows, "others": others}, indent=1))
    elif as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(table_cells(rows))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join([comparison_table(rows, width), *remarks(rows)]))
    for place, why in others.items():
        click.echo(printable(f"left out: {place}: {why}"), err=as_json or as_csv)
    if html is not None:
        from seq2seq.output.comparison_page import write_comparison

        with published(html) as local:
            write_comparison(Path(local), runs)
        click.echo(printable(f"page: {html}"), err=True)
    if picture is not None:
        from seq2seq.output.curves import plot_losses
        from seq2seq.output.losses import panel_title

        titles = {origin(run.path): panel_title(run) for run in runs}
        histories = {row["run"]: row["history"] for row in rows if row["history"]}
        with published(picture) as local:
            if not plot_losses(histories, Path(local), titles):
                raise RunError(
                    f"{picture}: not drawn, because matplotlib is not installed: pip install 'rollcore[plot]'"
                )
        click.echo(printable(f"loss curves: {picture}"), err=True)


def _fetched(places: Sequence[str | Path]) -> Iterator[str | Path]:
    """Give local paths as they are, and copies of what is at addresses, which may have wildcards."""
    for place in places:
        for address in matching(place) if isinstance(place, str) and is_remote(place) else [place]:
            yield fetch(address)
