"""Folder, list or archive of MIDI files → dataset, and the report of what was read, mended and skipped."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from rollcore import _roll
from rollcore.dataset import (
    FILE_DTYPE,
    NO_PIECE,
    OUTCOMES,
    PIECE_DTYPE,
    REPAIR_DTYPE,
    SPLITS,
    digest,
    split_of,
)
from rollcore.errors import RollcoreError
from rollcore.grid import MAX_MINUTES, choose_grid
from rollcore.repairs import REPAIR_CODES, skip_reason
from rollcore.roll import RECORD_DTYPE, check_planes, new_batch
from rollcore.sources.inputs import Batch, batches
from rollcore.writer import DatasetWriter, Tables

# Files a batch, which is a shard too: enough to amortise what Python does for each, little enough to spread evenly.
BATCH_FILES = 256
# Rows are painted, summed and written a buffer at a time, while they are still in the cache.
BUFFER_BYTES = 1 << 20
_GIVEN = 100  # status of a member whose reason came with it

_REASONS = {
    _roll.STATUS_NO_NOTES: "no notes",
    _roll.STATUS_ONLY_DRUMS: "no notes but drums (--drums keeps them)",
    _roll.STATUS_TOO_LONG: "longer than {minutes:g} minutes (--max-minutes)",
    _roll.STATUS_NO_BEATS: "SMPTE time division has no beats (use --fps)",
    _roll.STATUS_NO_MEMORY: "out of memory",
}


@dataclass(frozen=True)
class BuildReport:
    """What a build did; ``str()`` gives the table that the command prints.

    Attributes
    ----------
    found, read, repaired, skipped : int
        Files. `read` counts the repaired ones too; ``read + skipped == found``.
    reasons : dict
        Why files were skipped, and how many for each reason.
    repairs : dict
        How often each repair was made in the files that were read, by code.
    pieces, frames, notes : int
        What the dataset holds.
    splits : tuple of int
        Pieces in train, validation and test.
    absent : tuple of str
        Names that `split` gave a place, of which there is no file.
    hours : float
        Musical time of all pieces.
    bytes : int
        Size of the dataset.
    seconds : float
        Wall time of the build.
    """

    path: Path
    found: int
    read: int
    repaired: int
    skipped: int
    reasons: dict[str, int]
    repairs: dict[str, int]
    pieces: int
    splits: tuple[int, ...]
    absent: tuple[str, ...]
    frames: int
    notes: int
    hours: float
    bytes: int
    seconds: float

    def __str__(self) -> str:
        lines = [
            f"{'files found':<14}{self.found:>14,}",
            f"{'  read':<14}{self.read:>14,}",
            f"{'  repaired':<14}{self.repaired:>14,}   {_listing(self.repairs)}".rstrip(),
            f"{'  skipped':<14}{self.skipped:>14,}   {_listing(self.reasons)}".rstrip(),
            f"{'pieces':<14}{self.pieces:>14,}   {' / '.join(f'{n:,}' for n in self.splits)} train / validation / test",
            f"{'frames':<14}{self.frames:>14,}",
            f"{'music':<14}{self.hours:>14,.2f}   hours",
            f"{'notes':<14}{self.notes:>14,}",
            f"{'size':<14}{self.bytes / 1e6:>14,.1f}   MB in {self.path}",
            f"{'speed':<14}{self.found / max(self.seconds, 1e-9):>14,.0f}   files/s ({self.seconds:.2f} s)",
        ]
        if self.absent:
            shown = f"of the names with a split, first {self.absent[0]}"
            lines.insert(4, f"{'  absent':<14}{len(self.absent):>14,}   {shown}")
        return "\n".join(lines)


def _listing(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{count:,} {name}" for name, count in most)


@dataclass
class _Loaded:
    """A batch whose members are parsed and quantised."""

    batch: Batch
    kernel: _roll.Batch
    records: NDArray[np.void]
    digests: list[bytes | None]
    keep: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))


@dataclass
class _Ledger:
    """The tables as they grow, batch by batch in the order of the input."""

    split: tuple[int, int, int] | dict[bytes, int]
    max_minutes: float
    seen: set[bytes] | None
    pieces: list[NDArray[np.void]] = field(default_factory=list)
    files: list[NDArray[np.void]] = field(default_factory=list)
    repairs: list[NDArray[np.void]] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    first: dict[str, bytes] = field(default_factory=dict)  # the first file skipped for each reason
    found: int = 0
    name_bytes: int = 0
    frames: int = 0

    def enter(self, loaded: _Loaded) -> int:
        """Account for a batch and choose which members become pieces; returns their frames."""
        names, records = loaded.batch.names, loaded.records
        status = records["status"]
        keep = status == 0
        reasons = {int(i): self._reason(loaded, int(i)) for i in np.flatnonzero(~keep)}
        if isinstance(self.split, dict):
            for i in np.flatnonzero(keep).tolist():
                if names[i] not in self.split:
                    keep[i] = False
                    reasons[i] = "in none of the splits given"
        if self.seen is not None:
            for i in np.flatnonzero(keep).tolist():
                content = loaded.digests[i]
                if content in self.seen:
                    keep[i] = False
                    reasons[i] = "same content as an earlier file (--dedupe)"
                elif content is not None:
                    self.seen.add(content)
        files = np.zeros(len(names), FILE_DTYPE)
        files["name_end"] = self.name_bytes + np.cumsum([len(name) for name in names])
        files["bytes"] = records["size"]
        at, code = np.nonzero(records["repairs"])
        files["outcome"][at] = OUTCOMES.index("repaired")
        for i, reason in reasons.items():
            files["outcome"][i] = OUTCOMES.index("skipped")
            files["reason"][i] = self.reasons.setdefault(reason, len(self.reasons))
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
            self.first.setdefault(reason, names[i])
        repairs = np.zeros(len(at), REPAIR_DTYPE)
        repairs["file"] = self.found + at
        repairs["code"] = code
        repairs["count"] = records["repairs"][at, code]
        chosen = np.flatnonzero(keep)
        frames = records["frames"][chosen]
        pieces = np.zeros(len(chosen), PIECE_DTYPE)
        pieces["shard"] = NO_PIECE
        pieces["file"] = self.found + chosen
        pieces["start"] = np.cumsum(frames) - frames
        for column in ("frames", "notes", "tempo", "time_signature", "upbeat", "microseconds"):
            pieces[column] = records[column][chosen]
        if len(chosen):
            halves = b"".join(loaded.digests[i] or b"" for i in chosen)
            pieces["digest"] = np.frombuffer(halves, ">u8").reshape(-1, 2)
            if isinstance(self.split, dict):
                pieces["split"] = [self.split[names[i]] for i in chosen]
            else:
                pieces["split"] = split_of(pieces["digest"], self.split)
        self.pieces.append(pieces)
        self.files.append(files)
        self.repairs.append(repairs)
        self.names.extend(names)
        self.found += len(names)
        self.name_bytes = int(files["name_end"][-1]) if len(names) else self.name_bytes
        self.frames += int(frames.sum())
        loaded.keep = keep.astype(np.uint8)
        return int(frames.sum())

    def _reason(self, loaded: _Loaded, member: int) -> str:
        record = loaded.records[member]
        status = int(record["status"])
        if status == _GIVEN:
            return loaded.batch.reasons[member] or "unreadable"
        if status == _roll.STATUS_IO:
            return _unreadable(int(record["error"]))
        if status < _roll.STATUS_IO:
            return skip_reason(status, bytes(record["head"][: int(record["size"])]))
        if status == _roll.STATUS_NO_NOTES and record["repairs"].any():
            return "no notes, and damaged"
        return _REASONS[status].format(minutes=self.max_minutes)

    def tables(self) -> Tables:
        """Return the whole tables."""
        return Tables(
            pieces=np.concatenate([np.zeros(0, PIECE_DTYPE), *self.pieces]),
            files=np.concatenate([np.zeros(0, FILE_DTYPE), *self.files]),
            repairs=np.concatenate([np.zeros(0, REPAIR_DTYPE), *self.repairs]),
            names=b"".join(self.names),
            reasons=list(self.reasons),
        )


def _unreadable(error: int) -> str:
    if error == errno.EINVAL:
        return "not a regular file"
    if error == errno.EFBIG:
        return f"larger than {_roll.MAX_FILE_BYTES >> 20} MiB"
    return f"unreadable ({os.strerror(error)})"


def check_split(split: Sequence[int] | Mapping[str, str]) -> None:
    """Raise `RollcoreError` unless `split` is three shares, whole numbers, not all of them 0, or names splits."""
    if isinstance(split, Mapping):
        for name, chosen in split.items():
            if not isinstance(name, str) or chosen not in SPLITS:
                raise RollcoreError(f"split of {name!r}: {chosen!r}: expected a name, and one of {', '.join(SPLITS)}")
        return
    whole = not isinstance(split, str) and all(isinstance(share, (int, np.integer)) for share in split)
    if not whole or len(split) != 3 or min(split) < 0 or not 0 < sum(split) < 2**31:
        raise RollcoreError(f"split {split}: expected three whole shares such as (80, 10, 10)")


def build_dataset(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    fps: int | float | str | Fraction | None = None,
    steps_per_beat: int | float | str | Fraction | None = None,
    planes: Sequence[str] = ("sounding",),
    drums: bool = False,
    sustain: bool = False,
    max_minutes: float = MAX_MINUTES,
    split: tuple[int, int, int] | Mapping[str, str] = (80, 10, 10),
    dedupe: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BuildReport:
    """Read MIDI files into a dataset of packed piano-roll shards.

    The same input gives the same bytes: the number of threads, the order of a directory, the locale and the clock do
    not show. The target is replaced only when the new dataset is complete.

    Parameters
    ----------
    inputs
        A folder, a MIDI file, an archive (.zip, .tar, .tar.gz, .tar.zst), ``@list.txt``, or a sequence of these.
    out
        The HDF5 file to write.
    fps, steps_per_beat
        The grid: frames per second (50 when neither is given), or steps per quarter note.
    planes, drums, sustain, max_minutes
        As in :func:`rollcore.piano_roll`; longer pieces are skipped before anything is allocated.
    split
        Relative sizes of the train, validation and test splits, whole numbers: a piece's place depends on its content
        alone. Or ``"train"``, ``"validation"`` or ``"test"`` for each file, by its name in the folder or archive; files
        without one are skipped.
    dedupe
        Keep the first of each set of files with identical content.
    threads
        Worker threads; as many as there are cores when not given.
    progress
        Called from time to time with the files and frames so far.

    Returns
    -------
    BuildReport

    Raises
    ------
    RollcoreError
        If an input is missing, an option is out of range, or no file gave a piece; the message names the commonest
        reason and the first file skipped for it.
    DatasetError
        If the target cannot be written. What was there before is unchanged.
    """
    began = time.perf_counter()
    grid = choose_grid(fps, steps_per_beat)
    planes = check_planes(planes)
    grid.limits(max_minutes)
    check_split(split)
    workers = threads if threads is not None else _cores()
    if workers < 1:
        raise RollcoreError(f"threads {workers}: expected at least 1")
    sources = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    if not sources:
        raise RollcoreError("no input: name a folder, a MIDI file, an archive or @list")
    places: tuple[int, int, int] | dict[bytes, int]
    if isinstance(split, Mapping):
        # Names are the file system's bytes, here as in Dataset.name: the locale has no part in it.
        places = {name.encode("utf-8", "surrogateescape"): SPLITS.index(chosen) for name, chosen in split.items()}
    else:
        places = split
    ledger = _Ledger(places, max_minutes, set() if dedupe else None)

    spare: list[_roll.Batch] = []

    def load(batch: Batch) -> _Loaded:
        try:
            kernel = spare.pop()
        except IndexError:
            kernel = new_batch(grid, planes, drums=drums, sustain=sustain, max_minutes=max_minutes)
        records = np.zeros(len(batch.names), RECORD_DTYPE)
        for i, reason in enumerate(batch.reasons):
            if reason is not None:
                records["status"][i] = _GIVEN
        members = batch.paths if batch.paths is not None else batch.blobs
        digests = kernel.load(members or [], batch.paths is not None, records.view(np.uint8), digest)
        if batch.blobs is not None:
            batch.blobs = None
        return _Loaded(batch, kernel, records, digests)

    with DatasetWriter(out, grid=grid, planes=planes) as writer:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="rollcore")
        try:
            _run(pool, workers, batches(sources, size=BATCH_FILES), load, spare, ledger, writer, progress)
        except OSError as error:
            raise writer.failure(error) from error
        finally:
            pool.shutdown(cancel_futures=True)
        tables = ledger.tables()
        if not len(tables.pieces):
            raise RollcoreError(_nothing(sources, ledger))
        options = {
            "dedupe": bool(dedupe),
            "drums": bool(drums),
            "max_minutes": float(max_minutes),
            "split": "given" if isinstance(split, Mapping) else [int(share) for share in split],
            "sustain": bool(sustain),
        }
        size = writer.commit(tables, options)
    absent: tuple[str, ...] = ()
    if isinstance(places, dict):
        there = set(ledger.names)
        absent = tuple(name.decode("utf-8", "surrogateescape") for name in places if name not in there)
    repaired = tables.files["outcome"] == OUTCOMES.index("repaired")
    mended = tables.repairs[repaired[tables.repairs["file"]]]
    repairs = np.bincount(mended["code"], mended["count"], len(REPAIR_CODES))
    skipped = int((tables.files["outcome"] == OUTCOMES.index("skipped")).sum())
    return BuildReport(
        path=Path(out),
        found=len(tables.files),
        read=len(tables.files) - skipped,
        repaired=int(repaired.sum()),
        skipped=skipped,
        reasons=dict(ledger.skipped),
        repairs={code: int(count) for code, count in zip(REPAIR_CODES, repairs, strict=True) if count},
        pieces=len(tables.pieces),
        absent=absent,
        splits=tuple(np.bincount(tables.pieces["split"], minlength=3).tolist()),
        frames=ledger.frames,
        notes=int(tables.pieces["notes"].sum(dtype=np.int64)),
        hours=float(tables.pieces["microseconds"].sum(dtype=np.int64)) / 3.6e9,
        bytes=size,
        seconds=time.perf_counter() - began,
    )


def _run(
    pool: ThreadPoolExecutor,
    workers: int,
    source: Iterable[Batch],
    load: Callable[[Batch], _Loaded],
    spare: list[_roll.Batch],
    ledger: _Ledger,
    writer: DatasetWriter,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Load in parallel, account in order, paint and write in parallel; a bounded number of batches in flight."""
    loading: deque[Future[_Loaded]] = deque()
    painting: deque[Future[tuple[int, int]]] = deque()

    def settle(most: int) -> None:
        while len(painting) > most:
            writer.seal(*painting.popleft().result())

    def place(most: int) -> None:
        while len(loading) > most:
            loaded = loading.popleft().result()
            frames = ledger.enter(loaded)
            if frames:
                shard, offset = writer.allocate(frames)
                ledger.pieces[-1]["shard"] = shard
                painting.append(pool.submit(_paint, writer, loaded, spare, shard, offset))
            if progress is not None:
                progress(ledger.found, ledger.frames)
            settle(workers + 1)

    for batch in source:
        loading.append(pool.submit(load, batch))
        place(workers)
    place(0)
    settle(0)


def _paint(
    writer: DatasetWriter, loaded: _Loaded, spare: list[_roll.Batch], shard: int, offset: int
) -> tuple[int, int]:
    """Paint a shard, write it at its place, and return it with its checksum."""
    records = loaded.records.view(np.uint8)
    total: Any = xxhash.xxh3_64()
    while rows := loaded.kernel.paint(records, loaded.keep, BUFFER_BYTES):
        total.update(rows)
        writer.write(offset, rows)
        offset += len(rows)
    rows.release()
    loaded.kernel.reset()
    spare.append(loaded.kernel)
    return shard, int(total.intdigest())


def _nothing(sources: list[Any], ledger: _Ledger) -> str:
    where = ", ".join(os.fsdecode(source) for source in sources[:3]) + (", …" if len(sources) > 3 else "")
    if not ledger.found:
        return f"{where}: no .mid, .midi or .kar file found, nor .rmi or .smf; check the path"
    reason, count = max(ledger.skipped.items(), key=lambda item: item[1])
    first = os.fsdecode(ledger.first[reason])
    return (
        f"{where}: none of {ledger.found:,} files gave a piece; "
        f"the commonest reason ({count:,}): {reason}; the first file: {first}"
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
