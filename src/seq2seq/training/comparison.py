"""Runs side by side: which there are in some folders, what differs between them, and how well they do."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rollcore import RollcoreError
from rollcore.console import printable
from rollcore.storage import origin
from seq2seq.errors import ConfigError
from seq2seq.output.tables import text_table
from seq2seq.run import TRAIN, VALIDATION, Run, best_epoch

# The columns of the table that are not settings, and how their values are written.
FIGURES = {
    "done": "",
    "best": "g",
    "train": ".3f",
    "validation": ".3f",
    "test": ".3f",
    "f1": ".3f",
    "minutes": ".1f",
}
# Folders within folders are searched for runs so deep.
_DEPTH = 3


def find_runs(paths: Iterable[str | Path]) -> tuple[list[Run], dict[str, str]]:
    """Return the runs in some places, and of what is not one, by its path, why.

    Parameters
    ----------
    paths : iterable of path
        Run folders, folders of them, or patterns such as ``runs/blog*``.
    """
    runs: dict[Path, Run] = {}
    others: dict[str, str] = {}
    for path in paths:
        found = [Path(path)]
        if not found[0].exists():
            found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
            if not found:
                others[str(path)] = "is not there"
        for place in found:
            _find(place, runs, others, _DEPTH)
    return list(runs.values()), others


def _find(place: Path, runs: dict[Path, Run], others: dict[str, str], depth: int) -> None:
    if Run.is_at(place):
        try:
            run = Run.open(place)
            run.history(empty=True)
            run.evaluation()
        except RollcoreError as error:
            others[str(place)] = str(error).removeprefix(f"{place}: ")
            return
        runs[place.resolve()] = run
        return
    if not place.is_dir():
        others[str(place)] = "is a file, not a run folder"
        return
    try:
        folders = sorted(inner for inner in place.iterdir() if inner.is_dir() and not inner.name.startswith("."))
    except OSError as error:
        others[str(place)] = f"cannot be read: {error.strerror}"
        return
    before = len(runs) + len(others)
    for inner in folders if depth else ():
        _find(inner, runs, others, depth - 1)
    if len(runs) + len(others) == before:
        others[str(place)] = "has no run in it"


def compare(runs: Sequence[Run | str | Path]) -> list[dict[str, Any]]:
    """Return a row for every run: its name, the settings in which the runs differ, and its figures.

    Parameters
    ----------
    runs : sequence of Run or path
        The runs; one may have no epoch yet.

    Returns
    -------
    list of dict
        ``"run"``, ``"dataset"`` (file name and the beginning of its fingerprint), ``"settings"`` (those that are not
        the same in all runs), ``"done"`` (epochs) and ``"of"`` (asked for), ``"best"`` (the best epoch), ``"train"``
        and ``"validation"`` (nats per frame there), ``"test"`` (nats per frame) and ``"f1"`` of the latest evaluation,
        ``"minutes"``, ``"history"``. What is not known is None.

    Raises
    ------
    RunError
        If a folder is not a run, or cannot be read.
    """
    opened = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    settings = []
    for run in opened:
        dataset = {"dataset": f"{Path(run.dataset['path']).stem} {run.dataset['fingerprint'][:6]}"}
        settings.append({**dataset, **run.facts["model"], **run.facts["train"]})
    names = {name for one in settings for name in one}
    different = {name for name in names if any(one.get(name) != settings[0].get(name) for one in settings)}
    rows = []
    for run, one in zip(opened, settings, strict=True):
        history, evaluation = run.history(empty=True), run.evaluation()
        best = min(history, key=lambda row: row[VALIDATION], default=None)
        scores = {} if evaluation is None else evaluation["scores"]["model"]
        rows.append(
            {
                "run": origin(run.path),
                "dataset": one["dataset"],
                "settings": {name: value for name, value in one.items() if name in different},
                "done": history[-1]["epoch"] if history else 0,
                "of": run.settings.epochs,
                "best": best_epoch(history) if history else None,
                "train": best and best[TRAIN],
                "validation": best and best[VALIDATION],
                "test": scores.get("nats_per_frame"),
                "f1": scores.get("f1"),
                "minutes": sum(row["seconds"] for row in history) / 60,
                "history": history,
            }
        )
    return rows


def sort_rows(rows: list[dict[str, Any]], by: str = "validation") -> list[dict[str, Any]]:
    """Return rows of :func:`compare` in the order of a column, what has no value there last.

    Raises
    ------
    ConfigError
        If it is neither a figure nor a setting that differs.
    """
    settings = list(dict.fromkeys(name for row in rows for name in row["settings"]))
    choices = ["run", *FIGURES, *settings]
    if by not in choices:
        raise ConfigError(f"rows cannot be sorted by {by!r}: choose one of {', '.join(choices)}")

    def key(row: dict[str, Any]) -> tuple[bool, bool, Any]:
        value = row[by] if by in FIGURES or by == "run" else row["settings"].get(by)
        number = isinstance(value, int | float)
        return value is None, not number, value if number else str(value)

    ascending = sorted(rows, key=key)
    if by != "f1":
        return ascending
    known = [row for row in ascending if row["f1"] is not None]
    return known[::-1] + ascending[len(known) :]


def table_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return rows of :func:`compare` as cells of text, a head above them."""
    names = list(dict.fromkeys(name for row in rows for name in row["settings"]))
    cells = [["run", *names, *FIGURES]]
    for row in rows:
        settings = [_text(row["settings"].get(name)) for name in names]
        done = f"{row['done']:g}" if row["done"] == row["of"] else f"{row['done']:g} of {row['of']}"
        values = {**row, "done": done}
        figures = ["-" if values[name] is None else format(values[name], form) for name, form in FIGURES.items()]
        cells.append([row["run"], *settings, *figures])
    return cells


def comparison_table(rows: list[dict[str, Any]], width: int | None = None) -> str:
    """Return rows of :func:`compare` as the lines of a table.

    Where *width* is given and the table is wider, the names lose the folder that all share, and settings are left out,
    the last first, until it fits; a line says which.
    """
    cells = [[printable(cell) for cell in line] for line in table_cells(rows)]
    sides = "l" * (len(cells[0]) - len(FIGURES)) + "r" * len(FIGURES)

    def fits(lines: list[list[str]]) -> bool:
        return width is None or len(max(text_table(lines).splitlines(), key=len)) <= width

    if not fits(cells):
        parents = {Path(row["run"]).parent for row in rows}
        if len(parents) == 1:
            for line, row in zip(cells[1:], rows, strict=True):
                line[0] = printable(Path(row["run"]).name)
    dropped: list[str] = []
    while len(cells[0]) > 1 + len(FIGURES) and not fits(cells):
        place = len(cells[0]) - len(FIGURES) - 1
        dropped.insert(0, cells[0][place])
        cells = [line[:place] + line[place + 1 :] for line in cells]
        sides = sides[1:]
    note = [f"they also differ in {', '.join(dropped)}: --csv and --json have it"] if dropped else []
    return "\n".join([text_table(cells, sides), *note])


def remarks(rows: list[dict[str, Any]]) -> list[str]:
    """Return what to know before figures of the rows are compared, a line each."""
    said = []
    if len({row["dataset"] for row in rows}) > 1:
        said.append("losses on different datasets cannot be compared")
    models = {row["settings"].get("model") for row in rows}
    if "blog" in models and len(models) > 1:
        said.append("blog predicts a window at once, the others a frame from those before: losses of two tasks")
    return said


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return ",".join(map(str, value)) or "-" if isinstance(value, list) else str(value)
