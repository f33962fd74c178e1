"""The page of one run: what it learnt from, how it went, how it did, and what its music sounds like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import rollcore
from rollcore.storage import is_there
from seq2seq.output.comparison_page import curve
from seq2seq.output.losses import panel_title
from seq2seq.output.page import asset, document, facts_list, html_text, piece_section, table
from seq2seq.output.player import Piece
from seq2seq.output.tables import endings_line
from seq2seq.output.theory import pitch_name
from seq2seq.run import VALIDATION, Run

# Pieces of the training split whose pitches are counted, spread evenly over it.
_COUNTED_PIECES = 200
_BARS = 24
_SCORES = {
    "nats per frame": "nats_per_frame",
    "by piece": "nats_per_frame_by_piece",
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
}
_SCRIPT = """
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  player.mount(data.pieces);
  const host = document.getElementById("losses");
  if (host) curves.show(host, [{ ...data.curve, colour: curves.colour(0) }], new Set(), () => {});
})();
"""


def report_page(run: Run, dataset: rollcore.Dataset | None, pieces: Sequence[Piece], *, remark: str = "") -> str:
    """Return a page about a run; it loads nothing.

    Parameters
    ----------
    run
        The run; it need not have an epoch, an evaluation or samples.
    dataset
        What it was trained on, or None where that is not at hand.
    pieces
        Its music.
    remark
        What is to be said of the music as a whole.

    Raises
    ------
    RunError
        If the history or the evaluation of the run cannot be read.
    """
    history = run.history(empty=True)
    body = [f"<h1>{html_text(run.name)}</h1>\n", facts_list(_facts(run, history)), "<section>\n<h2>Losses</h2>\n"]
    body.append('<div id="losses"></div>\n' if history else '<p class="note">No epoch is complete yet.</p>\n')
    body += ["</section>\n", _evaluation(run.evaluation()), _data(run, dataset)]
    body.append(f"<section>\n<h2>Music</h2>\n{_note(remark)}")
    body += [piece_section(piece, number, "h3") for number, piece in enumerate(pieces)]
    body.append("</section>\n" if pieces else f"{_note('There is no sample.')}</section>\n")
    body.append(f"<section>\n<h2>Settings</h2>\n{_settings(run)}</section>\n")
    data = {"pieces": [piece.to_json() for piece in pieces], "curve": {"name": run.name, **curve(history)}}
    return document(run.name, "".join(body), data, [asset("player.js"), asset("curves.js"), _SCRIPT])


def _facts(run: Run, history: Sequence[Mapping[str, float]]) -> dict[str, object]:
    facts = run.facts
    best = min(history, key=lambda row: row[VALIDATION], default=None)
    minutes = sum(row["seconds"] for row in history) / 60
    lowest = None if best is None else f"{best[VALIDATION]:.4f} nats per frame, epoch {best['epoch']:g}"
    device = [facts.get(name) for name in ("device", "backend", "host")]
    return {
        "model": f"{run.config.model}, {run.config.head}",
        "trained on": panel_title(run),
        "epochs": f"{history[-1]['epoch'] if history else 0:g} of {run.settings.epochs}, {minutes:.1f} minutes",
        "best validation": lowest,
        "began": facts.get("began"),
        "device": ", ".join(str(name) for name in device if name) or None,
        "command": facts.get("command"),
        "commit": facts.get("commit"),
    }


def _evaluation(found: Mapping[str, Any] | None) -> str:
    """Return the figures of the model beside those of the baselines."""
    if found is None:
        lines = _note("The run was not evaluated yet: seq2seq evaluate does it.")
    else:
        rows: list[list[str]] = [["", *_SCORES]]
        for name, score in found["scores"].items():
            cells = (score.get(key) for key in _SCORES.values())
            rows.append([name, *("-" if cell is None else f"{cell:.3f}" for cell in cells)])
        lines = _note(f"On the {found['split']} split of {found['data']}.") + table(rows)
        if (endings := found.get("endings")) is not None:
            line = endings_line(endings)
            lines += _note(f"{line[:1].upper()}{line[1:]}.")
    return f"<section>\n<h2>Evaluation beside baselines</h2>\n{lines}</section>\n"


def _data(run: Run, dataset: rollcore.Dataset | None) -> str:
    """Return what the model learnt from: sizes, pitches, lengths."""
    known = f"{run.dataset['path']}, {run.dataset['pieces']:,} pieces, {run.grid}"
    lines = [f"<h2>Data</h2>\n{_note(known)}"]
    if dataset is None:
        lines.append(_note("The dataset is not at hand, or was built anew since: no more can be said of it."))
        return f"<section>\n{''.join(lines)}</section>\n"
    rows: list[list[str]] = [["", "pieces", "hours", "notes", "notes per second"]]
    for name in ("train", "validation", "test"):
        split = dataset.pieces[dataset.split(name)]
        seconds, notes = int(split["microseconds"].sum()) / 1e6, int(split["notes"].sum(dtype=np.int64))
        density = f"{notes / seconds:.2f}" if seconds else "-"
        rows.append([name, f"{len(split):,}", f"{seconds / 3600:,.2f}", f"{notes:,}", density])
    lines.append(table(rows))
    pitches = _pitch_counts(dataset)
    used = np.flatnonzero(pitches)
    if len(used):
        low, high = int(used[0]), int(used[-1])
        bars = [(pitch_name(pitch), int(pitches[pitch])) for pitch in range(low, high + 1)]
        marks = [bar[0] if (low + k) % 12 == 0 else "" for k, bar in enumerate(bars)]
        lines.append(_histogram("How long each pitch sounds, in frames of the training split", bars, marks))
    minutes = dataset.pieces["microseconds"][dataset.split("train")] / 60e6
    if len(minutes):
        counts, edges = np.histogram(minutes, _BARS)
        bars = [(f"{a:.1f} to {b:.1f} minutes", int(n)) for n, a, b in zip(counts, edges, edges[1:], strict=False)]
        marks = [f"{edge:.1f}" if k % 6 == 0 else "" for k, edge in enumerate(edges[:-1])]
        lines.append(_histogram("Lengths of its pieces, in minutes", bars, marks))
    return f"<section>\n{''.join(lines)}</section>\n"


def _pitch_counts(dataset: rollcore.Dataset) -> npt.NDArray[np.int64]:
    """Return for how many frames each of the 128 pitches sounds in some pieces of the training split."""
    pieces = dataset.split("train")
    chosen = np.unique(np.linspace(0, len(pieces) - 1, min(_COUNTED_PIECES, len(pieces))).round().astype(int))
    sounding = [k for k, plane in enumerate(dataset.planes) if "onset" not in plane]
    counts = np.zeros(128, np.int64)
    for piece in pieces[chosen]:
        rows = np.bitwise_or.reduce(dataset.rows(int(piece))[:, sounding], axis=1)
        counts += np.unpackbits(rows, axis=1, bitorder="little").sum(axis=0, dtype=np.int64)
    return counts


def _histogram(title: str, bars: Sequence[tuple[str, int]], marks: Sequence[str]) -> str:
    """Return bars as HTML; each says what it stands for when pointed at, some have a mark below."""
    most = max(1, max(count for _, count in bars))
    columns = "".join(
        f'<div title="{html_text(name)}: {count:,}"><i style="height: {100 * count / most:.1f}%"></i>'
        f"<span>{html_text(mark)}</span></div>"
        for (name, count), mark in zip(bars, marks, strict=True)
    )
    heading = html_text(title)
    chart = f'<div class="bars" role="img" aria-label="{heading}">{columns}</div>'
    return f"<figure><figcaption>{heading}</figcaption>\n{chart}</figure>\n"


def _settings(run: Run) -> str:
    rows: list[list[object]] = [["setting", "value"]]
    for name, value in {**run.facts["model"], **run.facts["train"]}.items():
        rows.append([name, ", ".join(map(str, value)) or "-" if isinstance(value, list | tuple) else value])
    rows += [[f"version of {name}", version] for name, version in run.facts.get("versions", {}).items()]
    return table(rows)


def _note(text: str) -> str:
    return f'<p class="note">{html_text(text)}</p>\n' if text else ""


def dataset_of(run: Run) -> rollcore.Dataset | None:
    """Return the dataset that a run was trained on, or None where it is not at its place, or another is."""
    try:
        if not is_there(run.dataset["path"]):
            return None
        dataset = rollcore.open_dataset(run.dataset["path"])
    except rollcore.RollcoreError:
        return None
    return dataset if dataset.fingerprint == run.dataset["fingerprint"] else None
