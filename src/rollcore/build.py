"""Folder, list or archive of MIDI files → dataset, and the report of what was read, mended and skipped."""

from __future__ import annotations

import operator
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xxhash

from rollcore.dataset import OUTCOMES, SPLITS
from rollcore.errors import RollcoreError
from rollcore.grid import MAX_MINUTES, Grid, choose_grid
from rollcore.ledger import Ledger
from rollcore.loading import Loaded, Loader
from rollcore.repairs import REPAIR_CODES
from rollcore.roll import PLANES, RollOptions, check_planes
from rollcore.selection import LEFT_OUT, NO_SELECTION, Selection
from rollcore.sources.inputs import Archive, Batch, batches
from rollcore.sources.splits import NamedSplits
from rollcore.writer import DatasetWriter, Tables

if TYPE_CHECKING:
    from rollcore.update import Changes, UpdateLoader

# Files a batch, which is a shard too: enough to amortise what Python does for each, little enough to spread evenly.
BATCH_FILES = 256
# Rows are painted, summed and written a buffer at a time, while they are still in the cache.
BUFFER_BYTES = 1 << 20
# Onsets in a hundred that lie more than an eighth of a step beside their step, from which on finer steps are advised.
MANY_OFF_GRID = 10
MOST_PARTS = 1_000_000


class BuildReport(NamedTuple):
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
    grid : Grid
        How its time is cut.
    aligned : int
        Pieces whose notes were shifted onto the grid of beats.
    off_grid : int
        Notes whose onset lies more than an eighth of a step beside the step it went to; 0 on the grid of seconds.
    left_out : dict
        Notes of these pieces that were left out, by reason.
    gridless : int
        Pieces that keep to no grid of sixteenths, as recordings do; 0 on the grid of seconds.
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
    unmatched : tuple of str
        Options that ask for tracks, voices, channels or programs of which no file that was read has a note.
    guarded : bool
        Whether a second build of the same target was kept out meanwhile; not where the file system has no locks.
    changes : Changes or None
        Of an update, what was new, changed, gone and unchanged.
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
    grid: Grid
    left_out: dict[str, int]
    aligned: int
    off_grid: int
    gridless: int
    unmatched: tuple[str, ...] = ()
    guarded: bool = True
    changes: Changes | None = None

    def __str__(self) -> str:
        lines = [
            f"{'files found':<14}{self.found:>14,}",
            *([f"{'  update':<14}{'':>14}   {self.changes}"] if self.changes is not None else []),
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
        at = next(i for i, line in enumerate(lines) if line.startswith("size"))
        if self.left_out:
            reasons = "; ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
            lines.insert(at, f"{'  left out':<14}{sum(self.left_out.values()):>14,}   {reasons}")
            at += 1
        if self.grid.unit == "beats":
            moved = f"{'  off grid':<14}{self._percent_off_grid():>14.1f}   % of onsets: more than an eighth of a step"
            shifted = "files, each shifted as a whole: its beats stood beside the grid"
            lines[at:at] = [moved, *([f"{'  aligned':<14}{self.aligned:>14,}   {shifted}"] if self.aligned else [])]
            lines += self._advice()
        lines += [f"{option}: none of these files has such a note" for option in self.unmatched]
        if not self.guarded:
            lines.append("this file system has no locks: nothing kept a second build of the same dataset out")
        return "\n".join(lines)

    def _percent_off_grid(self) -> float:
        return 100 * self.off_grid / max(self.notes, 1)

    def _advice(self) -> list[str]:
        """Return the line that names a grid which suits these files better, if there is one."""
        if 2 * self.gridless > self.pieces:
            return [
                f"{self.gridless:,} of {self.pieces:,} files keep to no grid of sixteenths, as recordings do: "
                f"rollcore build-dataset … --fps 50"
            ]
        if self._percent_off_grid() >= MANY_OFF_GRID and self.grid.rate % 12:
            return [
                f"{self._percent_off_grid():.0f} % of onsets lie between the steps; triplets need "
                "rollcore build-dataset … --steps-per-beat 12"
            ]
        return []


def _listing(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{count:,} {name}" for name, count in most)


def check_split(split: Sequence[int] | Mapping[str, str]) -> None:
    """Raise `RollcoreError` unless `split` is three shares, whole numbers, not all of them 0, or names splits."""
    if isinstance(split, Mapping):
        for name, chosen in split.items():
            if not isinstance(name, str) or chosen not in SPLITS:
                raise RollcoreError(f"split of {name!r}: {chosen!r}: expected a name, and one of {', '.join(SPLITS)}")
        return
    listed = isinstance(split, Iterable) and not isinstance(split, str)
    whole = listed and all(isinstance(share, (int, np.integer)) for share in split)
    if not whole or len(split) != 3 or min(split) < 0 or not 0 < sum(split) < 2**31:
        raise RollcoreError(f"split {split}: expected three whole shares such as (80, 10, 10)")


def check_dedupe(dedupe: bool | str) -> str | None:
    """Return what copies are known by, ``"notes"`` or ``"bytes"``; None where they are kept."""
    if isinstance(dedupe, bool | np.bool_):
        return "notes" if dedupe else None
    if dedupe not in ("notes", "bytes"):
        raise RollcoreError(f"dedupe {dedupe!r}: expected notes or bytes, True or False")
    return dedupe


def build_dataset(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    fps: int | float | str | Fraction | None = None,
    steps_per_beat: int | float | str | Fraction | None = None,
    grid: Grid | None = None,
    planes: str | Sequence[str] = PLANES,
    drums: bool = False,
    sustain: bool = False,
    align: bool = True,
    max_minutes: float = MAX_MINUTES,
    select: Selection | None = None,
    split: tuple[int, int, int] | Mapping[str, str] = (80, 10, 10),
    dedupe: bool | str = False,
    column: str | None = None,
    part: tuple[int, int] | None = None,
    update: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BuildReport:
    """Read MIDI files into a dataset of packed piano-roll shards.

    The same input gives the same bytes: the number of threads, the order of a directory, the locale and the clock do
    not show. The target is replaced only when the new dataset is complete.

    Parameters
    ----------
    inputs
        A folder, a MIDI file, an archive (.zip, .tar, .tar.gz, .tar.zst), a .parquet table, ``@list.txt``, a name with
        wildcards or braces, or a sequence of these.
    out
        The HDF5 file to write.
    fps, steps_per_beat, grid
        The grid: frames per second, or steps per quarter note, or a `Grid`; 4 steps when none is given.
    planes, drums, sustain, align, max_minutes, select
        As in :func:`rollcore.piano_roll`; longer pieces are skipped before anything is allocated.
    split
        Relative sizes of the train, validation and test splits, whole numbers: a piece's place depends on its pitches
        alone, so that copies which were saved again are in one split. Or ``"train"``, ``"validation"`` or ``"test"``
        for each file, by its name in the folder or archive, with or without its ending; files without one are skipped.
    dedupe
        Keep the first of each set of files with the same notes: pitches and onsets of all that are not drums, whatever
        the tempo, the tracks, the velocities and the lengths (True or ``"notes"``), or with identical content
        (``"bytes"``).
    column
        Column of Parquet tables that holds the files; the only one that can, when not given.
    part
        ``(i, n)``: build only the i-th of n parts, counted from 1. The parts share the files of the inputs out among
        them, in their order; :func:`rollcore.merge_parts` joins them into the very dataset that is built without. All
        parts are to be built of the same inputs with the same options. An archive is read through for each part.
    update
        Take over from the dataset at `out` what was read of files that have the same name, size and time as then, and
        read the others alone: the result is what a build without it writes. The times are kept in a file of the
        dataset's name and ``.times`` behind it, which an update writes; without one all files are read. An archive or
        a table is read whole when it has changed, and when it holds copies or files without a split.
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
        If the target cannot be written, or is to be updated and has other settings. What was there before is unchanged.
    """
    began = time.perf_counter()
    reading = RollOptions(
        choose_grid(fps, steps_per_beat, grid),
        check_planes(planes),
        drums,
        sustain,
        align,
        max_minutes,
        select or NO_SELECTION,
    )
    check_split(split)
    workers = threads if threads is not None else _cores()
    if not isinstance(workers, (int, np.integer)) or workers < 1:
        raise RollcoreError(f"threads {workers}: expected a whole number, at least 1")
    sources = _sources(inputs)
    places = _places(split)
    by = check_dedupe(dedupe)
    options: dict[str, Any] = {
        **reading.stored(),
        "dedupe": by or False,
        "split": "given" if isinstance(split, Mapping) else [int(share) for share in split],
    }
    account: dict[str, Any] = {"max_minutes": max_minutes, "dedupe": by}
    loader: Loader | UpdateLoader = Loader(reading)
    ledger, found, known = Ledger(places, **account), _found(sources, column), None
    if part is not None:
        if update:
            raise RollcoreError("part and update: a part is built whole; update the dataset that is merged of them")
        found, options["part"] = _share(sources, column, part)
    elif update:
        from rollcore.update import Update, UpdateLedger, UpdateLoader

        known = Update(sources, out, column, reading, options)
        loader, ledger = UpdateLoader(known, Loader(reading)), UpdateLedger(known, places, **account)
        found = _found(sources, column, known.archive)
    with DatasetWriter(out, grid=reading.grid, planes=reading.planes) as writer:
        _run(workers, found, loader, ledger, writer, progress)
        tables = ledger.tables()
        if not len(tables.pieces) and part is None:
            raise RollcoreError(_nothing(sources, ledger))
        absent: tuple[str, ...] = ()
        if isinstance(places, NamedSplits) and part is None:
            absent = tuple(name.decode("utf-8", "surrogateescape") for name in places.absent())
        # An update looks at new files alone: it cannot say what none of them has.
        counts = {**ledger.counts(), "unmatched": list(reading.unmatched()) if known is None else []}
        if part is not None:
            options["part"] |= counts  # the merge sums them up
        report = sum_up(Path(out), reading.grid, tables, counts)._replace(absent=absent)
        if known is not None:
            known.release()
        size = writer.commit(tables, options)
    report = report._replace(bytes=size, seconds=time.perf_counter() - began, guarded=writer.guarded)
    return report if known is None else report._replace(changes=known.finish())


def _sources(inputs: Any) -> list[Any]:
    """Return inputs as a list of paths."""
    paths = [inputs] if isinstance(inputs, (str, bytes, os.PathLike)) else inputs
    sources = list(paths) if isinstance(paths, Iterable) else []
    if not sources:
        raise RollcoreError("no input: name a folder, a MIDI file, an archive or @list")
    for source in sources:
        if not isinstance(source, (str, bytes, os.PathLike)):
            raise RollcoreError(f"input {source!r}: expected the name of a folder, a MIDI file, an archive or @list")
    return sources


def _places(split: tuple[int, int, int] | Mapping[str, str]) -> tuple[int, int, int] | NamedSplits:
    """Return shares as they are, and names as bytes of the file system, as in Dataset.name: the locale has no part."""
    if not isinstance(split, Mapping):
        return split
    return NamedSplits(
        {name.encode("utf-8", "surrogateescape"): SPLITS.index(chosen) for name, chosen in split.items()}
    )


def _found(sources: list[Any], column: str | None, archive: Archive | None = None) -> Iterator[Batch]:
    """Find the files of the inputs; what the system has against that is an error of the input."""
    try:
        yield from batches(sources, size=BATCH_FILES, column=column, archive=archive)
    except OSError as error:
        where = error.filename if error.filename is not None else sources[0]
        raise RollcoreError(f"{os.fsdecode(where)}: cannot be read: {error.strerror or error}") from error


def check_part(part: Any) -> tuple[int, int]:
    """Return which part of how many is meant, or raise `RollcoreError`."""
    try:
        index, of = (operator.index(number) for number in part)
    except (TypeError, ValueError):
        raise RollcoreError(f"part {part!r}: expected two whole numbers, such as (1, 4)") from None
    if not 1 <= index <= of <= MOST_PARTS:
        raise RollcoreError(f"part {index} of {of}: expected 1 to {of}, of at most {MOST_PARTS:,} parts")
    return index, of


def _share(sources: list[Any], column: str | None, part: tuple[int, int]) -> tuple[Iterator[Batch], dict[str, Any]]:
    """Return the batches of a part, and what tells it from other parts and from parts of other files."""
    index, of = check_part(part)
    if "-" in sources:
        raise RollcoreError("-: a list on standard input cannot be shared out; write it to a file and give @FILE")
    names: Any = xxhash.xxh3_128()
    count = 0
    for batch in _found(sources, column):
        count += 1
        for name in batch.names:
            names.update(len(name).to_bytes(4, "little") + name)
    share = islice(_found(sources, column), count * (index - 1) // of, count * index // of)
    return share, {"index": index, "of": of, "files": names.hexdigest()}


def sum_up(path: Path, grid: Grid, tables: Tables, counts: Mapping[str, Any]) -> BuildReport:
    """Sum up a build before it is committed: what comes after that may be interrupted.

    `counts` are those of `Ledger.counts`, and the options that matched nothing.
    """
    repaired = tables.files["outcome"] == OUTCOMES.index("repaired")
    mended = tables.repairs[repaired[tables.repairs["file"]]]
    repairs = np.bincount(mended["code"], mended["count"], len(REPAIR_CODES))
    reasons = Counter(tables.files["reason"][tables.files["outcome"] == OUTCOMES.index("skipped")].tolist())
    skipped = sum(reasons.values())
    return BuildReport(
        path=path,
        found=len(tables.files),
        read=len(tables.files) - skipped,
        repaired=int(repaired.sum()),
        skipped=skipped,
        reasons={tables.reasons[i]: count for i, count in reasons.items()},
        repairs={code: int(count) for code, count in zip(REPAIR_CODES, repairs, strict=True) if count},
        pieces=len(tables.pieces),
        absent=(),
        splits=tuple(np.bincount(tables.pieces["split"], minlength=3).tolist()),
        frames=int(tables.pieces["frames"].sum(dtype=np.int64)),
        notes=int(tables.pieces["notes"].sum(dtype=np.int64)),
        hours=float(tables.pieces["microseconds"].sum(dtype=np.int64)) / 3.6e9,
        bytes=0,
        seconds=0.0,
        grid=grid,
        aligned=int((tables.pieces["shift"] != 0).sum()),
        left_out={name: int(n) for name, n in zip(LEFT_OUT, counts["left_out"], strict=True) if n},
        off_grid=counts["off_grid"],
        gridless=counts["gridless"],
        unmatched=tuple(counts["unmatched"]),
    )


def _run(
    workers: int,
    source: Iterable[Batch],
    loader: Loader | UpdateLoader,
    ledger: Ledger,
    writer: DatasetWriter,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Load in parallel, account in order, paint and write in parallel; a bounded number of batches in flight."""
    loading: deque[Future[Loaded]] = deque()
    painting: deque[Future[tuple[int, int]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="rollcore")

    def settle(most: int) -> None:
        while len(painting) > most:
            try:
                writer.seal(*painting.popleft().result())
            except OSError as error:
                raise writer.failure(error) from error

    def place(most: int) -> None:
        while len(loading) > most:
            loaded = loading.popleft().result()
            frames = ledger.enter(loaded)
            if frames:
                shard, offset = writer.allocate(frames)
                ledger.set_shard(shard)
                painting.append(pool.submit(_paint, writer, loader, loaded, shard, offset))
            else:
                loader.reuse(loaded)
            if progress is not None:
                progress(ledger.found, ledger.frames)
            # A batch that found no room is one of large files, which are held one at a time.
            settle(workers + 1 if loaded.rest is None else 0)
            if loaded.rest is not None:
                loading.appendleft(pool.submit(loader, loaded.rest))

    try:
        for batch in source:
            loading.append(pool.submit(loader, batch))
            place(workers)
        place(0)
        settle(0)
    finally:
        pool.shutdown(cancel_futures=True)


def _paint(
    writer: DatasetWriter, loader: Loader | UpdateLoader, loaded: Loaded, shard: int, offset: int
) -> tuple[int, int]:
    """Paint a shard, write it at its place, and return it with its checksum."""
    total: Any = xxhash.xxh3_64()
    for rows in loaded.paint(BUFFER_BYTES):
        total.update(rows)
        writer.write(offset, rows)
        offset += len(rows)
    loader.reuse(loaded)
    return shard, int(total.intdigest())


def _nothing(sources: list[Any], ledger: Ledger) -> str:
    where = ", ".join(os.fsdecode(source) for source in sources[:3]) + (", …" if len(sources) > 3 else "")
    if not ledger.found:
        return f"{where}: no .mid, .midi or .kar file found, nor .rmi, .smf or any of these with .gz; check the path"
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
