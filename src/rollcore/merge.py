"""Parts of a build → the dataset that one process would have written, byte for byte."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from rollcore.build import MOST_PARTS, BuildReport, sum_up
from rollcore.dataset import FILE_DTYPE, OUTCOMES, PIECE_DTYPE, REPAIR_DTYPE, Dataset, checksum, open_dataset
from rollcore.errors import DatasetError, RollcoreError
from rollcore.ledger import copies_by, sorted_reasons
from rollcore.selection import LEFT_OUT
from rollcore.writer import DatasetWriter, Tables

__all__ = ["merge_parts"]


def merge_parts(parts: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> BuildReport:
    """Join the parts that ``build_dataset(..., part=(i, n))`` wrote into one dataset.

    Copies in different parts are left out here, where the build was to leave them out. The parts stay as they are.

    Parameters
    ----------
    parts
        All parts of one build, in any order.
    out
        The dataset to write; what is there is replaced when it is complete.

    Returns
    -------
    BuildReport
        That of the whole build. Of copies that are left out here it counts the notes off the grid too.

    Raises
    ------
    DatasetError
        If a part is missing, given twice, damaged or of another build, or the target cannot be written.
    RollcoreError
        If none of the parts has a piece.
    """
    began = time.perf_counter()
    opened = _in_order([open_dataset(part) for part in parts])
    for part in opened:
        if Path(out).exists() and os.path.samefile(part.path, out):
            raise DatasetError(f"{part.path}: is a part and the target at once; choose another name for the target")
    options = {name: value for name, value in opened[0].options.items() if name != "part"}
    with DatasetWriter(out, grid=opened[0].grid, planes=opened[0].planes) as writer:
        joined = _Joined(writer, options)
        for part in opened:
            joined.add(part)
        tables = joined.tables()
        if not len(tables.pieces):
            raise RollcoreError(f"{opened[0].path}: none of {len(opened)} parts has a piece; build of other files")
        report = sum_up(Path(out), opened[0].grid, tables, _counts(opened))
        size = writer.commit(tables, options)
    return report._replace(bytes=size, seconds=time.perf_counter() - began, guarded=writer.guarded)


def _in_order(parts: list[Dataset]) -> list[Dataset]:
    """Return the parts by their number; raise unless they are all parts of one build, each of them once."""
    if not parts:
        raise RollcoreError("no parts: name the files that `rollcore build-dataset --part` wrote")
    first = parts[0]
    found: dict[int, Dataset] = {}
    for part in parts:
        index, of, _ = _place(part)
        if _build(part) != _build(first):
            raise DatasetError(f"{part.path}: is a part of another build than {first.path}, or of other files")
        if index in found:
            raise DatasetError(f"{part.path}: is part {index} of {of}, as {found[index].path} is; give each part once")
        found[index] = part
    of = _place(first)[1]
    missing = [str(index) for index in range(1, of + 1) if index not in found]
    if missing:
        more = ", …" if len(missing) > 5 else ""
        raise DatasetError(f"{first.path}: of {of} parts these are missing: {', '.join(missing[:5])}{more}")
    return [found[index] for index in sorted(found)]


def _place(part: Dataset) -> tuple[int, int, str]:
    """Return which part of how many it is, and the digest of the names of all files of the build."""
    found: Any = part.options.get("part")
    try:
        index, of, names = found["index"], found["of"], found["files"]
    except (TypeError, KeyError):
        raise DatasetError(f"{part.path}: is not a part; `rollcore build-dataset --part I/N` writes parts") from None
    if not (type(index) is type(of) is int and type(names) is str and 1 <= index <= of <= MOST_PARTS):
        raise DatasetError(f"{part.path}: damaged: which part it is; build it again")
    return index, of, names


def _counts(parts: list[Dataset]) -> dict[str, Any]:
    """Sum up what the parts say of themselves beside their tables."""
    off_grid, gridless, left_out = 0, 0, np.zeros(len(LEFT_OUT), np.int64)
    unmatched: set[str] | None = None
    for part in parts:
        found: Any = part.options["part"]
        try:
            off_grid, gridless = off_grid + int(found["off_grid"]), gridless + int(found["gridless"])
            left_out = left_out + np.array(found["left_out"], np.int64).reshape(len(LEFT_OUT))
            those = {str(option) for option in found["unmatched"]}
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DatasetError(f"{part.path}: damaged: what was left out of it; build it again") from None
        unmatched = those if unmatched is None else unmatched & those
    return {"off_grid": off_grid, "gridless": gridless, "left_out": left_out, "unmatched": sorted(unmatched or ())}


def _build(part: Dataset) -> tuple[Any, ...]:
    """Return what all parts of a build share."""
    options = {name: value for name, value in part.options.items() if name != "part"}
    return part.grid, part.planes, repr(sorted(options.items())), _place(part)[1:]


class _Joined:
    """The dataset as it grows, part by part in their order."""

    def __init__(self, writer: DatasetWriter, options: dict[str, Any]) -> None:
        self._writer = writer
        self._column, self._copy = copies_by(options)
        self._seen: set[bytes] = set()
        self._pieces: list[NDArray[np.void]] = []
        self._files: list[NDArray[np.void]] = []
        self._repairs: list[NDArray[np.void]] = []
        self._names: list[bytes] = []
        self._reasons: list[str] = []
        self._found = 0
        self._name_bytes = 0

    def add(self, part: Dataset) -> None:
        """Take over the tables and rows of a part, but for copies of earlier pieces."""
        files = np.array(part.files)
        files["reason"][files["outcome"] == OUTCOMES.index("skipped")] += len(self._reasons)
        self._reasons += [*part.reasons, self._copy]
        pieces = np.zeros(len(part), PIECE_DTYPE)
        for name in PIECE_DTYPE.names or ():
            pieces[name] = part.pieces[name]
        kept = self._first_of_copies(pieces)
        copies = pieces["file"][~kept]
        files["outcome"][copies] = OUTCOMES.index("skipped")
        files["reason"][copies] = len(self._reasons) - 1
        self._copy_rows(part, pieces, kept)
        pieces["file"] += self._found
        repairs = np.array(part.repairs)
        repairs["file"] += self._found
        names = part.names()
        files["name_end"] += self._name_bytes
        self._name_bytes += len(names)
        self._found += len(files)
        self._names.append(names)
        self._files.append(files)
        self._repairs.append(repairs)
        self._pieces.append(pieces[kept])

    def tables(self) -> Tables:
        """Return the whole tables."""
        files = np.concatenate([np.zeros(0, FILE_DTYPE), *self._files])
        return Tables(
            pieces=np.concatenate([np.zeros(0, PIECE_DTYPE), *self._pieces]),
            files=files,
            repairs=np.concatenate([np.zeros(0, REPAIR_DTYPE), *self._repairs]),
            names=b"".join(self._names),
            reasons=sorted_reasons(files, self._reasons),
        )

    def _first_of_copies(self, pieces: NDArray[np.void]) -> NDArray[np.bool_]:
        kept = np.ones(len(pieces), bool)
        if self._column is not None:
            for i, found in enumerate(pieces[self._column]):
                key = found.tobytes()
                kept[i] = key not in self._seen
                self._seen.add(key)
        return kept

    def _copy_rows(self, part: Dataset, pieces: NDArray[np.void], kept: NDArray[np.bool_]) -> None:
        """Write the shards of a part without the pieces that are not kept, and say where the others are now."""
        before = pieces["shard"].copy()
        for shard in range(len(part.shards)):
            of_shard = np.flatnonzero(before == shard)
            if checksum(part.shard(shard)) != int(part.shards["checksum"][shard]):
                raise DatasetError(f"{part.path}: damaged: rows of shard {shard:06d}; build this part again")
            chosen = of_shard[kept[of_shard]]
            frames = pieces["frames"][chosen]
            if not len(chosen):
                continue
            number, offset = self._writer.allocate(int(frames.sum()))
            total: Any = xxhash.xxh3_64()
            for piece in chosen.tolist():
                rows = part.rows(piece).reshape(-1).data
                total.update(rows)
                try:
                    self._writer.write(offset, rows)
                except OSError as error:
                    raise self._writer.failure(error) from error
                offset += len(rows)
            self._writer.seal(number, int(total.intdigest()))
            pieces["shard"][chosen] = number
            pieces["start"][chosen] = np.cumsum(frames) - frames
