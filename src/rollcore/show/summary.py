"""What a dataset holds and what it was built from, as plain values for programs and as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rollcore.console import printable
from rollcore.dataset import OUTCOMES, SPLITS, Dataset
from rollcore.repairs import REPAIR_CODES, REPAIRS
from rollcore.storage import origin

__all__ = ["dataset_facts", "dataset_lines", "file_outcomes", "outcome_lines"]

_LISTED_BARS = 6


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """Sum up a dataset in values that JSON can hold.

    Returns
    -------
    dict
        ``path``, ``bytes``, ``grid`` (in words), ``grid_unit``, ``grid_rate`` (as a fraction), ``planes``,
        ``options``, ``time_signatures`` (how many pieces begin with each), ``files`` (numbers found, read, repaired
        and skipped; read counts the repaired), ``splits`` (``pieces``, ``frames``, ``hours`` and ``notes`` of each and
        of all), ``shards``, ``fingerprint``.
    """
    number = np.bincount(dataset.files["outcome"], minlength=len(OUTCOMES)).tolist()
    counted = dict(zip(OUTCOMES, number, strict=True))
    bars = Counter(map(tuple, dataset.pieces["time_signature"].tolist()))
    splits = {}
    for name in (*SPLITS, "all"):
        rows = dataset.pieces if name == "all" else dataset.pieces[dataset.split(name)]
        splits[name] = {
            "pieces": len(rows),
            "frames": int(rows["frames"].sum()),
            "hours": int(rows["microseconds"].sum()) / 3.6e9,
            "notes": int(rows["notes"].sum(dtype=np.int64)),
        }
    return {
        "path": origin(dataset.path),
        "bytes": dataset.path.stat().st_size,
        "grid": str(dataset.grid),
        "grid_unit": dataset.grid.unit,
        "grid_rate": str(dataset.grid.rate),
        "planes": list(dataset.planes),
        "options": dataset.options,
        "time_signatures": {f"{beats}/{value}": count for (beats, value), count in bars.most_common()},
        "files": {
            "found": len(dataset.files),
            "read": counted["read"] + counted["repaired"],
            "repaired": counted["repaired"],
            "skipped": counted["skipped"],
        },
        "splits": splits,
        "shards": len(dataset.shards),
        "fingerprint": dataset.fingerprint,
    }


def dataset_lines(dataset: Dataset) -> Iterator[str]:
    """Put `dataset_facts` and a few pieces into words, on one screen."""
    facts = dataset_facts(dataset)
    files = facts["files"]
    yield f"{'dataset':<12} {printable(facts['path'])}   {facts['bytes'] / 1e6:,.1f} MB"
    yield f"{'grid':<12} {facts['grid']}"
    yield f"{'planes':<12} {', '.join(facts['planes'])}"
    yield f"{'options':<12} {', '.join(f'{key} {_word(value)}' for key, value in facts['options'].items())}"
    bars = [f"{name} in {count:,}" for name, count in facts["time_signatures"].items()]
    yield f"{'bars':<12} {', '.join(bars[:_LISTED_BARS])}{', …' if len(bars) > _LISTED_BARS else ''}"
    yield (
        f"{'files':<12} {files['found']:,} found, {files['read']:,} read"
        f" ({files['repaired']:,} of them repaired), {files['skipped']:,} skipped"
    )
    yield f"{'fingerprint':<12} {facts['fingerprint']}"
    yield ""
    yield f"{'':<12} {'pieces':>10} {'frames':>14} {'hours':>9} {'notes':>13}"
    for name, row in facts["splits"].items():
        yield f"{name:<12} {row['pieces']:>10,} {row['frames']:>14,} {row['hours']:>9,.2f} {row['notes']:>13,}"
    yield ""
    last = len(dataset) - 1
    for piece in range(min(last, 3)):
        yield _piece_line(dataset, piece)
    if last > 3:
        yield f"{'':<12} ..."
    if last >= 0:
        yield _piece_line(dataset, last)


def _piece_line(dataset: Dataset, piece: int) -> str:
    entry = dataset.pieces[piece]
    length = f"{int(entry['microseconds']) / 1e6:,.1f} s, {int(entry['notes']):,} notes"
    return f"{f'piece {piece}':<12} {printable(dataset.name(piece))}   {length}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "/".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else printable(str(value))


def file_outcomes(dataset: Dataset) -> dict[str, Any]:
    """List every file that a dataset was built from, by outcome.

    Returns
    -------
    dict
        ``skipped``: list of ``name`` and ``reason``; ``repaired``: list of ``name`` and ``repairs``, a count for each
        code; ``read``: list of names. Together they are all files found. ``same_notes``: lists of the names of pieces
        that have the same notes, whatever their bytes.
    """
    repairs: dict[int, dict[str, int]] = {}
    for file, code, count in dataset.repairs.tolist():
        name = REPAIR_CODES[code] if code < len(REPAIR_CODES) else f"code {code}"
        repairs.setdefault(file, {})[name] = count
    listed: dict[str, Any] = {"skipped": [], "repaired": [], "read": []}
    reasons = dataset.files["reason"].tolist()
    for file, outcome in enumerate(dataset.files["outcome"].tolist()):
        name = dataset.file_name(file)
        if OUTCOMES[outcome] == "skipped":
            listed["skipped"].append({"name": name, "reason": dataset.reasons[reasons[file]]})
        elif OUTCOMES[outcome] == "repaired":
            listed["repaired"].append({"name": name, "repairs": repairs.get(file, {})})
        else:
            listed["read"].append(name)
    groups: dict[bytes, list[str]] = {}
    for piece, digest in enumerate(dataset.pieces["note_digest"]):
        groups.setdefault(digest.tobytes(), []).append(dataset.name(piece))
    listed["same_notes"] = [names for names in groups.values() if len(names) > 1]
    return listed


def outcome_lines(listed: Mapping[str, Any]) -> Iterator[str]:
    """Put `file_outcomes` into words: what was skipped by reason, what was repaired and how, what was read."""
    skipped, repaired = listed["skipped"], listed["repaired"]
    yield f"skipped: {len(skipped):,}"
    names: dict[str, list[str]] = {}
    for file in skipped:
        names.setdefault(file["reason"], []).append(file["name"])
    for reason, files in sorted(names.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"  {printable(reason)}: {len(files):,}"
        yield from (f"    {printable(name)}" for name in files)
    yield ""
    yield f"repaired: {len(repaired):,}"
    totals = Counter(code for file in repaired for code in file["repairs"])
    for code, number in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        yield f"  {code}, in {number:,}: {REPAIRS.get(code, 'a newer rollcore knows what it means')}"
    for file in repaired:
        done = ", ".join(f"{code} {count:,}" for code, count in file["repairs"].items())
        yield f"    {printable(file['name'])}: {done}"
    if (read := listed.get("read")) is not None:
        yield ""
        yield f"read as they are: {len(read):,}"
        yield from (f"    {printable(name)}" for name in read)
    if groups := listed["same_notes"]:
        yield ""
        pieces, s = sum(map(len, groups)), "s" if len(groups) > 1 else ""
        yield f"same notes: {pieces:,} pieces in {len(groups):,} group{s}; --dedupe keeps the first of each"
        for group in groups:
            yield f"    {'; '.join(map(printable, group))}"
