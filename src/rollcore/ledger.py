"""The account of a build: every file found, what became of it, and the pieces that were made of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollcore import _roll
from rollcore.dataset import DIGEST_BYTES, FILE_DTYPE, NO_PIECE, OUTCOMES, PIECE_DTYPE, REPAIR_DTYPE, split_of
from rollcore.loading import STATUS_GIVEN, Loaded
from rollcore.repairs import skip_reason
from rollcore.selection import LEFT_OUT, OPTIONS
from rollcore.sources.splits import NamedSplits
from rollcore.writer import Tables

__all__ = ["NOT_PLACED", "SAME_CONTENT", "SAME_NOTES", "Ledger", "copies_by", "sorted_reasons"]

SAME_CONTENT = "same content as an earlier file (--dedupe-by bytes)"
NOT_PLACED = "in none of the splits given"
SAME_NOTES = "same notes as an earlier file (--dedupe)"

_REASONS = {
    _roll.STATUS_NO_NOTES: "no notes",
    _roll.STATUS_ONLY_DRUMS: "no notes but drums (--drums keeps them)",
    _roll.STATUS_NOT_CHOSEN: "no notes but those that were not asked for ({option})",
    _roll.STATUS_FEW_NOTES: "fewer notes than asked for (--min-notes)",
    _roll.STATUS_FEW_PITCHES: "fewer pitches than asked for (--min-pitches)",
    _roll.STATUS_TOO_LONG: "longer than {minutes:g} minutes (--max-minutes)",
    _roll.STATUS_NO_BEATS: "SMPTE time division has no beats (use --fps)",
}


class Ledger:
    """The tables of a dataset as they grow, batch by batch in the order of the input.

    Parameters
    ----------
    split
        Shares of the splits; or the split of each file by its name.
    max_minutes
        The longest piece, for the wording of a reason.
    dedupe
        ``"notes"`` or ``"bytes"`` where only the first of files with the same notes, or content, becomes a piece.

    Attributes
    ----------
    found, frames : int
        Files so far, and frames of their pieces.
    off_grid : int
        Notes of the pieces whose onset lies more than an eighth of a step beside its step.
    gridless : int
        Pieces that keep to no grid of sixteenths.
    left_out : int64 array
        Notes of the files read that were left out, for each reason of `LEFT_OUT`.
    names : list of bytes
        Names of the files so far.
    skipped : dict
        Reasons, and how many files were skipped for each.
    first : dict
        The first file skipped for each reason.
    """

    def __init__(
        self, split: tuple[int, int, int] | NamedSplits, *, max_minutes: float, dedupe: str | None = None
    ) -> None:
        self.names: list[bytes] = []
        self.skipped: dict[str, int] = {}
        self.first: dict[str, bytes] = {}
        self.found = 0
        self.frames = 0
        self.off_grid = 0
        self.gridless = 0
        self.left_out = np.zeros(len(LEFT_OUT), np.int64)
        self._split = split
        self._max_minutes = max_minutes
        self._dedupe = dedupe
        self._seen: set[bytes] = set()
        self._pieces: list[NDArray[np.void]] = []
        self._digests: list[NDArray[np.uint8]] = []
        self._files: list[NDArray[np.void]] = []
        self._repairs: list[NDArray[np.void]] = []
        self._reasons: dict[str, int] = {}
        self._name_bytes = 0

    def enter(self, loaded: Loaded) -> int:
        """Account for a batch and choose which members become pieces; returns their frames."""
        reasons = self._skip(loaded)
        keep = np.ones(len(loaded.names), np.uint8)
        if reasons:
            keep[list(reasons)] = 0
        at, code = np.nonzero(loaded.records["repairs"])
        self._enter_files(loaded, reasons, at)
        if len(at):
            repairs = np.zeros(len(at), REPAIR_DTYPE)
            repairs["file"] = self.found + at
            repairs["code"] = code
            repairs["count"] = loaded.records["repairs"][at, code]
            self._repairs.append(repairs)
        frames = self._enter_pieces(loaded, np.flatnonzero(keep))
        self.names.extend(loaded.names)
        self.found += len(loaded.names)
        self.frames += frames
        loaded.keep = keep
        return frames

    def set_shard(self, shard: int) -> None:
        """Say which shard the pieces of the latest batch are in."""
        self._pieces[-1]["shard"] = shard

    def counts(self) -> dict[str, Any]:
        """Return what the tables do not say, as JSON holds it: `off_grid`, `gridless` and `left_out`."""
        return {"off_grid": self.off_grid, "gridless": self.gridless, "left_out": self.left_out.tolist()}

    def tables(self) -> Tables:
        """Return the whole tables; reasons are sorted, so that their order does not depend on how files are met."""
        files = np.concatenate([np.zeros(0, FILE_DTYPE), *self._files])
        reasons = sorted_reasons(files, list(self._reasons))
        pieces = np.concatenate([np.zeros(0, PIECE_DTYPE), *self._pieces])
        digests = np.concatenate([np.zeros((0, 3 * DIGEST_BYTES), np.uint8), *self._digests]).view(">u8")
        pieces["digest"], pieces["pitch_digest"], pieces["note_digest"] = np.hsplit(digests, 3)
        if not isinstance(self._split, NamedSplits):
            pieces["split"] = split_of(pieces["pitch_digest"], self._split)
        return Tables(
            pieces=pieces,
            files=files,
            repairs=np.concatenate([np.zeros(0, REPAIR_DTYPE), *self._repairs]),
            names=b"".join(self.names),
            reasons=reasons,
        )

    def _skip(self, loaded: Loaded) -> dict[int, str]:
        """Say which members are skipped, and why."""
        reasons = {int(i): self._reason(loaded, int(i)) for i in np.flatnonzero(loaded.records["status"])}
        places = self._places(loaded)
        if not places and self._dedupe is None:
            return reasons
        for i, digests in enumerate(loaded.records["digests"]):
            if i in reasons:
                continue
            if i in places and places[i] is None:
                reasons[i] = NOT_PLACED
            elif self._dedupe is not None:
                same = (digests[:DIGEST_BYTES] if self._dedupe == "bytes" else digests[-DIGEST_BYTES:]).tobytes()
                if same in self._seen:
                    reasons[i] = SAME_CONTENT if self._dedupe == "bytes" else SAME_NOTES
                self._seen.add(same)
        return reasons

    def _places(self, loaded: Loaded) -> dict[int, int | None]:
        """Return the split of each member by its name, None where it has none; empty where names do not decide."""
        if not isinstance(self._split, NamedSplits):
            return {}
        return {i: self._split.place(name) for i, name in enumerate(loaded.names)}

    def _enter_files(self, loaded: Loaded, reasons: dict[int, str], repaired: NDArray[np.int64]) -> None:
        files = np.zeros(len(loaded.names), FILE_DTYPE)
        files["name_end"] = self._name_bytes + np.cumsum([len(name) for name in loaded.names])
        files["bytes"] = loaded.records["size"]
        files["outcome"][repaired] = OUTCOMES.index("repaired")
        for i, reason in reasons.items():
            files["outcome"][i] = OUTCOMES.index("skipped")
            files["reason"][i] = self._reasons.setdefault(reason, len(self._reasons))
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
            self.first.setdefault(reason, loaded.names[i])
        self._files.append(files)
        self._name_bytes = int(files["name_end"][-1]) if len(files) else self._name_bytes

    def _enter_pieces(self, loaded: Loaded, chosen: NDArray[np.int64]) -> int:
        whole = len(chosen) == len(loaded.names)
        records = loaded.records if whole else loaded.records[chosen]
        frames = records["frames"]
        pieces = np.zeros(len(chosen), PIECE_DTYPE)
        pieces["shard"] = NO_PIECE
        pieces["file"] = self.found + chosen
        pieces["start"] = np.cumsum(frames) - frames
        for column in ("frames", "notes", "tempo", "time_signature", "upbeat", "shift", "microseconds"):
            pieces[column] = records[column]
        self._digests.append(records["digests"].copy())
        if places := self._places(loaded):
            pieces["split"] = [places[i] for i in chosen.tolist()]
        self._pieces.append(pieces)
        self.off_grid += int(records["moved"].sum())
        self.gridless += int(records["free"].sum())
        self.left_out += records["left_out"].sum(axis=0)[: len(LEFT_OUT)]
        return int(frames.sum())

    def _reason(self, loaded: Loaded, member: int) -> str:
        record = loaded.records[member]
        status = int(record["status"])
        if status == STATUS_GIVEN:
            return loaded.reasons[member] or "unreadable"
        if status == _roll.STATUS_IO:
            return _unreadable(int(record["error"]))
        if status < _roll.STATUS_IO:
            return skip_reason(status, bytes(record["head"][: int(record["size"])]))
        if status == _roll.STATUS_NO_NOTES and record["repairs"].any():
            return "no notes, and damaged"
        left_out = np.flatnonzero(record["left_out"])
        option = OPTIONS[left_out[-1]] if len(left_out) else ""  # the last one asked of the notes that were left
        return _REASONS[status].format(minutes=self._max_minutes, option=option)


def copies_by(options: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the column of the pieces that tells copies of each other, None where copies are kept, and the reason."""
    by = options.get("dedupe")
    return {"notes": "note_digest", "bytes": "digest"}.get(str(by)), SAME_CONTENT if by == "bytes" else SAME_NOTES


def sorted_reasons(files: NDArray[np.void], reasons: Sequence[str]) -> list[str]:
    """Return reasons in alphabetical order, and point the skipped files to them; those of no file are left out."""
    skipped = files["outcome"] == OUTCOMES.index("skipped")
    used, place = np.unique(files["reason"][skipped], return_inverse=True)
    names = [reasons[i] for i in used.tolist()]
    in_order = sorted(set(names))
    files["reason"][skipped] = np.array([in_order.index(name) for name in names], np.uint32)[place]
    return in_order


def _unreadable(error: int) -> str:
    if error == errno.EINVAL:
        return "not a regular file"
    if error == errno.EFBIG:
        return f"larger than {_roll.MAX_FILE_BYTES >> 20} MiB"
    return f"unreadable ({os.strerror(error)})"
