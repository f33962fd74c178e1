"""Compare runs: what differs between their configurations, their best epochs, and a picture of their losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.run import TRAIN, VALIDATION, Run


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
    RunError
        If a folder is not a run, or has no epoch.
    """
    runs = [Run.open(run_dir) for run_dir in run_dirs]
    settings = []
    for run in runs:
        dataset = {"dataset": f"{Path(run.dataset['path']).stem} {run.dataset['fingerprint'][:6]}"}
        settings.append({**dataset, **run.facts["model"], **run.facts["train"]})
    names = {name for one in settings for name in one}
    different = {name for name in names if any(one.get(name) != settings[0].get(name) for one in settings)}
    rows = []
    for run, one in zip(runs, settings, strict=True):
        history = run.history()
        best = min(history, key=lambda row: row[VALIDATION])
        rows.append(
            {
                "run": str(run.path),
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
