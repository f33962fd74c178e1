"""Compare runs: what differs between their configurations, their best epochs, and a picture of their losses."""

from __future__ import annotations

from pathlib import Path

import click

from rollcore.storage import fetch
from seq2seq.cli.options import CONTEXT
from seq2seq.training.comparison import compare, comparison_table


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--picture", default="compare.png", show_default=True, help="Where to draw the loss curves.")
def cli(runs: tuple[str, ...], picture: str) -> None:
    """Print a comparison."""
    from seq2seq.training.fit import plot_losses

    rows = compare([fetch(run) for run in runs])
    click.echo(comparison_table(rows))
    if any("dataset" in row["settings"] for row in rows):
        click.echo("losses on different datasets cannot be compared")
    models = {row["settings"].get("model") for row in rows}
    if "blog" in models and len(models) > 1:
        click.echo("blog predicts a window at once, the others a frame from those before: losses of two tasks")
    if plot_losses({row["run"]: row["history"] for row in rows}, Path(picture)):
        click.echo(f"loss curves: {picture}")
    else:
        click.echo("no picture: matplotlib is not installed (pip install 'rollcore[plot]')")
