"""The command ``merge``: parts of a build to one dataset."""

from __future__ import annotations

import click

from rollcore.cli.options import CONTEXT
from rollcore.console import printable
from rollcore.storage import published


@click.command(context_settings=CONTEXT)
@click.argument("parts", nargs=-1, required=True, metavar="PART...")
@click.option("-o", "--output", "out", required=True, metavar="OUT", help="The dataset to write.")
def merge(parts: tuple[str, ...], out: str) -> None:
    """Join the parts of a build into one dataset, byte for byte the one that a single process would have written.

    PART is what `rollcore build-dataset INPUT PART --part I/N` wrote. All N parts are needed, in any order; they stay
    as they are.
    """
    from rollcore.merge import merge_parts

    with published(out) as local:
        report = merge_parts(parts, local)
    for line in str(report).replace(local, out).split("\n"):
        click.echo(printable(line))
    click.echo(
        f"{report.pieces:,} pieces of {len(parts):,} parts in {printable(out)}; next: rollcore info {printable(out)}"
    )
