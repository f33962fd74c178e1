"""The page that lays runs side by side: a table, loss curves, settings, and music to hear, in one file."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rollcore import MidiError, read_midi
from rollcore.console import printable
from rollcore.storage import origin
from seq2seq.output.losses import panel_title, with_gaps
from seq2seq.output.page import asset, document, write_document
from seq2seq.output.player import Piece
from seq2seq.run import TRAIN, VALIDATION, Run

# What a page holds of music: so many samples of each run, the latest, and one where there are more runs than `_MANY`;
# so many notes of all samples of a run, and of all runs.
SAMPLES, _MANY = 3, 100
_RUN_NOTES, _ALL_NOTES = 5_000, 400_000

_BODY = """<h1>{title}</h1>
<p class="note">{lead}</p>
<section>
<p><input type="search" id="filter" aria-label="Filter the runs"
placeholder="filter: words, model=tied, validation&lt;1.5">
<span id="count" class="note"></span></p>
<div class="tall"><table><thead id="head"></thead><tbody id="rows"></tbody></table></div>
</section>
<section>
<h2>Losses</h2>
<div id="panels"></div>
</section>
<section>
<h2>Settings of the chosen runs</h2>
<div id="settings" class="scroll"></div>
</section>
<section>
<h2>Samples of the chosen runs</h2>
<div id="samples"></div>
</section>
"""


def write_comparison(path: Path, runs: Iterable[Run]) -> None:
    """Write the page of :func:`comparison_page` in the place of what was there.

    Raises
    ------
    RunError
        If a run cannot be read.
    RollcoreError
        If the page cannot be written.
    """
    write_document(path, comparison_page(runs))


def comparison_page(runs: Iterable[Run]) -> str:
    """Return a page about some runs, those with the lowest validation loss first; it loads nothing.

    A click on a heading sorts the table, a click on a name hides a run in the curves. Losses on other data, or of
    another task, have a panel of their own. The settings and the samples are those of the runs that are chosen in the
    table.

    Parameters
    ----------
    runs
        The runs; one may have no epoch yet.

    Raises
    ------
    RunError
        If the history or the evaluation of a run cannot be read.
    """
    found = sorted(((run, run.history(empty=True)) for run in runs), key=lambda pair: _lowest(pair[1]))
    panels = list(dict.fromkeys(panel_title(run) for run, _ in found))
    settings = [_settings(run) for run, _ in found]
    names = list(dict.fromkeys(name for one in settings for name in one))
    different = [name for name in names if name != "began" and len({one.get(name) for one in settings}) > 1]
    allowed = min(_RUN_NOTES, _ALL_NOTES // max(1, len(found)))
    most = 1 if len(found) > _MANY else SAMPLES
    shown = []
    for (run, history), name, own in zip(found, _names([run for run, _ in found]), settings, strict=True):
        one: dict[str, Any] = {
            "name": name,
            "panel": panels.index(panel_title(run)),
            "cells": [name, *_results(run, history), *(own.get(key) for key in different)],
            "settings": [own.get(key, "-") for key in names],
            "curve": curve(history),
            "samples": [sample_json(piece) for piece in samples(run, allowed, most=most)],
        }
        shown.append(one)
    results = {"done": 0, "best": 0, "train": 4, "validation": 4, "test nats": 4, "test F1": 4, "minutes": 1}
    columns: list[dict[str, Any]] = [{"name": "run", "kind": "text", "digits": None}]
    columns += [{"name": key, "kind": "number", "digits": digits} for key, digits in results.items()]
    columns += [{"name": key, "kind": "text", "digits": None} for key in different]
    data = {"columns": columns, "runs": shown, "panels": panels, "settings": names}
    lead = (
        "Losses are in nats per frame; train and validation are those of the best epoch, the test's those of the "
        "latest evaluation. A heading sorts, a name hides its curves, a tick shows settings and samples below."
    )
    title = f"Comparison of {len(found):,} run{'s' * (len(found) != 1)}"
    scripts = [asset(name) for name in ("player.js", "curves.js", "comparison.js")]
    return document(title, _BODY.format(title=title, lead=lead), data, scripts)


def curve(history: Sequence[dict[str, float]]) -> dict[str, list[float | None]]:
    """Return the losses of a history as the scripts read them: None for what is not finite."""
    rows = with_gaps(history)
    return {
        "epochs": [row["epoch"] if row["epoch"] % 1 else int(row["epoch"]) for row in rows],
        "train": [_number(row[TRAIN]) for row in rows],
        "validation": [_number(row[VALIDATION]) for row in rows],
    }


def samples(run: Run, notes: int, *, most: int = SAMPLES) -> list[Piece]:
    """Return the latest samples of a run, the latest first, as far as they can be read.

    Parameters
    ----------
    run
        The run; it need not have samples.
    notes
        So many notes of them all at most; what is left out is said.
    most
        So many samples at most.
    """
    try:
        names = [name for name in os.listdir(run.samples) if name.endswith(".mid")]
    except OSError:
        names = []
    pieces: list[Piece] = []
    for name in sorted(names, key=_natural, reverse=True)[:most]:
        if notes <= 0:
            break
        try:
            midi = read_midi(run.samples / name)
        except (MidiError, OSError):
            continue
        pieces.append(Piece.from_midi(midi, name.removesuffix(".mid")).cut(notes))
        notes -= len(pieces[-1].notes)
    return pieces


def sample_json(piece: Piece) -> dict[str, Any]:
    """Return a piece as the scripts read it, with its remarks."""
    return {**piece.to_json(), "remarks": [printable(remark) for remark in piece.remarks]}


def _results(run: Run, history: Sequence[dict[str, float]]) -> list[float | None]:
    """Return the cells of a run that are not settings: epochs, losses, evaluation, minutes."""
    evaluation = run.evaluation()
    score = {} if evaluation is None or evaluation.get("split") != "test" else evaluation["scores"]["model"]
    test = [_number(score.get("nats_per_frame")), _number(score.get("f1"))]
    minutes = round(sum(row["seconds"] for row in history) / 60, 2)
    if not history:
        return [0, None, None, None, *test, minutes]
    best = min(history, key=lambda row: _lowest([row]))
    done = history[-1]["epoch"]
    return [done, best["epoch"], _number(best[TRAIN]), _number(best[VALIDATION]), *test, minutes]


def _settings(run: Run) -> dict[str, str | int | float]:
    """Return all settings of a run, as numbers and texts."""
    facts = {"dataset": f"{Path(run.dataset['path']).stem} {run.dataset['fingerprint'][:6]}", "grid": run.grid}
    for name, value in {**run.facts["model"], **run.facts["train"]}.items():
        facts[name] = ",".join(map(str, value)) or "-" if isinstance(value, list | tuple) else value
    facts.update({name: run.facts.get(name, "-") for name in ("backend", "device", "began")})
    return {name: _plain(value) for name, value in facts.items()}


def _plain(value: object) -> str | int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return printable(str(value))


def _names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: that of its folder, or its path where two have one name."""
    short = [printable(run.name) for run in runs]
    often = Counter(short)
    return [name if often[name] == 1 else printable(origin(run.path)) for name, run in zip(short, runs, strict=True)]


def _lowest(history: Sequence[dict[str, float]]) -> float:
    return min((row[VALIDATION] for row in history if math.isfinite(row[VALIDATION])), default=math.inf)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key by which epoch-10 comes after epoch-9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
