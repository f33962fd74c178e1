"""Compare runs: what differs between their configurations, their best epochs, and a picture of their losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from rollcore import console
from seq2seq.config import TRAIN, VALIDATION, load_run, read_history


def compare(run_dirs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Return a row for every run: its name, the settings in which the runs differ, and its best epoch.

    Parameters
    ----------
    run_dirs : sequence of path
        Run folders, each with one complete epoch at least.

    Returns
    -------
    list of dict
        ``"run"``, ``"settings"`` (those that are not the same in all runs), ``"epochs"``, ``"best_epoch"``,
        ``"train"`` and ``"validation"`` (nats per frame at the best epoch), ``"minutes"``, ``"history"``.

    Raises
    ------
    DatasetError
        If a folder is not a run, or has no epoch.
    """
    settings = []
    for run_dir in run_dirs:
        run = load_run(run_dir)
        dataset = {"dataset": f"{Path(run['dataset']['path']).stem} {run['dataset']['fingerprint'][:6]}"}
        settings.append({**dataset, **run["model"], **run["train"]})
    names = {name for one in settings for name in one}
    different = {name for name in names if any(one.get(name) != settings[0].get(name) for one in settings)}
    rows = []
    for run_dir, one in zip(run_dirs, settings, strict=True):
        history = read_history(run_dir)
        best = min(history, key=lambda row: row[VALIDATION])
        rows.append(
            {
                "run": str(run_dir),
                "settings": {name: value for name, value in one.items() if name in different},
                "epochs": len(history),
                "best_epoch": int(best["epoch"]),
                "train": best[TRAIN],
                "validation": best[VALIDATION],
                "minutes": sum(row["seconds"] for row in history) / 60,
                "history": history,
            }
        )
    return rows


def comparison_table(rows: list[dict[str, Any]]) -> str:
    """Return rows of :func:`compare` as the lines of a table, the lowest validation loss first."""
    names = list(dict.fromkeys(name for row in rows for name in row["settings"]))
    head = ["run", *names, "done", "best", "train", "validation", "minutes"]
    cells = [head]
    for row in sorted(rows, key=lambda row: row["validation"]):
        values = (row["settings"].get(name, "-") for name in names)
        settings = (",".join(map(str, v)) or "-" if isinstance(v, list) else str(v) for v in values)
        nats = (f"{row['train']:.3f}", f"{row['validation']:.3f}")
        cells.append(
            [row["run"], *settings, str(row["epochs"]), str(row["best_epoch"]), *nats, f"{row['minutes']:.1f}"]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 on bad data, 2 on bad usage."""
    return console.run_command(cli, argv, "seq2seq-compare")


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--picture", default="compare.png", show_default=True, help="Where to draw the loss curves.")
def cli(runs: tuple[str, ...], picture: str) -> None:
    """Print a comparison."""
    from seq2seq.train import plot_losses

    rows = compare(runs)
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


def command() -> NoReturn:
    """Be the command of the process."""
    console.end_process(main())


if __name__ == "__main__":
    raise SystemExit(main())
