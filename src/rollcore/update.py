"""An update of a dataset: only what is new or changed is read, the rest is taken over from the old dataset.

The times and sizes of the files lie beside the dataset, in ``NAME.times``, never in it: the same input gives the same
bytes, whether it was built or updated. An update goes through the stages of a build. For a file that is unchanged the
loader gives what the old tables say of it, and its rows are copied instead of painted.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

import rollcore
from rollcore import _roll
from rollcore.dataset import OUTCOMES, Dataset, checksum, open_dataset
from rollcore.errors import DatasetError
from rollcore.files import whole_file
from rollcore.ledger import NOT_PLACED, SAME_CONTENT, SAME_NOTES, Ledger
from rollcore.loading import READS_PATHS, ROOM_BYTES, STATUS_GIVEN, Loaded, Loader, rest_of
from rollcore.roll import RECORD_DTYPE, RollOptions
from rollcore.sources.inputs import ArchiveMember, Batch, status_of
from rollcore.sources.lists import is_list
from rollcore.sources.members import Content, Packed
from rollcore.storage import is_remote, origin

__all__ = ["TIMES_ENDING", "Changes", "Update", "UpdateLedger", "UpdateLoader"]

TIMES_ENDING = ".times"
"""What the name of a dataset is given for that of the file with the times of its inputs."""

TIMES_VERSION = 1
SETTLED_NS = 2_000_000_000
"""A file that changed less than this before it was read may change again without showing it: some file systems keep
time in steps of two seconds."""

_DIGESTS = "digest", "pitch_digest", "note_digest"

_SKIPPED = OUTCOMES.index("skipped")
_ADDED, _CHANGED, _UNCHANGED = 0, 1, 2

TIME_DTYPE = np.dtype(
    [
        ("size", "<i8"),  # of the file; of a member of an archive what its batch counted
        ("time", "<i8"),  # nanoseconds, 0 for a member of an archive
        ("archive", "<u4"),  # 0 for a file of its own, otherwise the number of the archive, from 1
        ("suffix", "<u2"),  # bytes of the name that tell a member from an earlier one of the same name
        ("settled", "?"),
        ("free", "?"),  # what the report sums up, and the dataset does not hold
        ("moved", "<u4"),
        ("left_out", "<u4", (8,)),
    ]
)
"""What the times file has for each file of the dataset, in the order of its table of files."""

ARCHIVE_DTYPE = np.dtype([("name_end", "<u8"), ("size", "<i8"), ("time", "<i8"), ("settled", "?")])

_MARK_DTYPE = np.dtype([*((name, TIME_DTYPE[name]) for name in TIME_DTYPE.names or ()), ("row", "i8"), ("state", "u1")])


@dataclass(eq=False)
class _Tracked(Packed):
    """A member of an archive, of which an update keeps account.

    Attributes
    ----------
    content, reason
        What the archive gives; nothing where it is unchanged and was not read.
    archive
        Number of the archive.
    name_bytes
        Length of its name, behind which a number may have been put since.
    size
        Bytes that the content takes, or an estimate of them.
    same
        Whether the archive is unchanged.
    row
        Its row in the files of the old dataset, -1 where it was read.
    """

    content: Content
    reason: str | None
    archive: int
    name_bytes: int
    size: int
    same: bool
    row: int = -1

    def __len__(self) -> int:
        """Return its size."""
        return self.size

    def unpack(self) -> tuple[bytes, str | None]:
        """Return the content, or nothing and a reason."""
        return (self.content, self.reason) if isinstance(self.content, bytes) else self.content.unpack()


@dataclass(frozen=True)
class Changes:
    """What an update found different.

    Attributes
    ----------
    added, changed, gone, unchanged : int
        Files that are new, that have another size or time, that are not there any more, and all others. The members of
        an archive that changed count as changed.
    remark : str
        Why all files were read, where they were; otherwise empty.
    """

    added: int
    changed: int
    gone: int
    unchanged: int
    remark: str = ""

    def __str__(self) -> str:
        counts = f"{self.added:,} added, {self.changed:,} changed, {self.gone:,} gone, {self.unchanged:,} unchanged"
        return self.remark or counts


@dataclass
class _Mixed(Loaded):
    """Members some of which are parsed and quantised, and others known from the old dataset.

    Attributes
    ----------
    marks
        What is known of the file of each, of `_MARK_DTYPE`.
    parts
        Members that were read, and which of these each of them is.
    pieces
        Number of the piece in the old dataset, -1 for what was read.
    old
        Gives the rows of consecutive pieces of the old dataset.
    """

    marks: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, _MARK_DTYPE))
    parts: list[tuple[Loaded, list[int]]] = field(default_factory=list)
    pieces: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    old: Callable[[int, int], Iterator[memoryview]] = field(default=lambda first, last: iter(()))

    def paint(self, room: int) -> Iterator[memoryview]:
        """Give the rows of the members that are kept, in order."""
        painters = {}
        for part, members in self.parts:
            chosen = [i for i, member in enumerate(members) if member < len(self.keep) and self.keep[member]]
            part.keep = np.zeros(len(part.names), np.uint8)
            part.keep[chosen] = 1
            one_by_one = part.paint(1)
            painters.update(dict.fromkeys((members[i] for i in chosen), one_by_one))
        kept = np.flatnonzero(self.keep)
        pieces = self.pieces[kept]
        runs = np.flatnonzero((pieces[1:] != pieces[:-1] + 1) | (pieces[1:] < 0) | (pieces[:-1] < 0)) + 1
        for run in np.split(np.arange(len(kept)), runs):
            if len(run) and pieces[run[0]] < 0:
                yield next(painters[int(kept[run[0]])])
            elif len(run):
                yield from self.old(int(pieces[run[0]]), int(pieces[run[-1]]))


class Update:
    """What an old dataset and the times of its files tell of the files of a new one.

    Parameters
    ----------
    inputs
        What the build is given.
    out
        The dataset; its old state is taken over, and its times are beside it.
    column
        That of Parquet tables.
    reading, options
        The settings of the build: how notes become rows, and what the dataset keeps of all of them.

    Raises
    ------
    DatasetError
        If the old dataset has other settings.
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        out: str | os.PathLike[str],
        column: str | None,
        reading: RollOptions,
        options: dict[str, Any],
    ) -> None:
        self.remark = ""
        self.dataset: Dataset | None = None
        self.began_ns = time.time_ns()
        self._out = Path(out)
        self._times_path = self._out.with_name(self._out.name + TIMES_ENDING)
        self._facts = _facts(inputs, column)
        self._archives: list[tuple[bytes, int, int, bool]] = []
        self._times = np.zeros(0, TIME_DTYPE)
        self._known_archives: dict[bytes, tuple[int, int, int]] = {}
        self._whole: set[int] = set()  # archives that are read again although they are unchanged
        self._sound: set[int] = set()  # shards of the old dataset
        self._marks: list[NDArray[np.void]] = []
        if not self._out.exists():
            self.remark = "a new dataset"
        else:
            try:
                self._open(reading, options)
            except _Unknown as error:
                self.dataset, self.remark = None, f"all files were read: {error}"
        self._index()

    def _open(self, reading: RollOptions, options: dict[str, Any]) -> None:
        """Take over a dataset with its times; raise `_Unknown` where they cannot be used."""
        try:
            dataset = open_dataset(self._out)
        except DatasetError as error:
            raise _Unknown(error) from error
        settings = {"grid": str(dataset.grid), "planes": ",".join(dataset.planes), **dataset.options}
        asked = {"grid": str(reading.grid), "planes": ",".join(reading.planes), **json.loads(json.dumps(options))}
        if differing := [name for name in {**settings, **asked} if settings.get(name) != asked.get(name)]:
            what = "; ".join(f"{name} {settings.get(name)}, now {asked.get(name)}" for name in differing)
            raise DatasetError(
                f"{origin(self._out)}: was built with other settings ({what}): an update takes the same, "
                "a build without --update replaces the dataset"
            )
        facts, times, archives, names = _read_times(self._times_path)
        shown = self._times_path.name
        if facts.get("fingerprint") != dataset.fingerprint or len(times) != len(dataset.files):
            raise _Unknown(f"{shown} is of another dataset")
        if facts.get("reader") != self._facts["reader"]:
            raise _Unknown(f"{shown} is of another version of rollcore")
        if facts != {**self._facts, "fingerprint": dataset.fingerprint}:
            raise _Unknown("the dataset was built of other inputs")
        ends = archives["name_end"].tolist()
        for number, (first, last) in enumerate(zip([0, *ends], ends, strict=False), start=1):
            _, size, when, settled = archives[number - 1].tolist()
            if settled:
                self._known_archives.setdefault(names[first:last], (number, size, when))  # a name may come twice
        self.dataset, self._times = dataset, times

    def _index(self) -> None:
        """Make the tables by which a file is found in the old dataset."""
        names: list[bytes] = []
        if self.dataset is not None:
            blob, start = self.dataset.names(), 0
            for end in self.dataset.files["name_end"].tolist():
                names.append(blob[start:end])
                start = end
            self._piece = np.full(len(names), -1, np.int64)
            self._piece[self.dataset.pieces["file"]] = np.arange(len(self.dataset))
            self._repairs = np.searchsorted(self.dataset.repairs["file"], np.arange(len(names) + 1))
            # Whether such a file is skipped depends on the others, and its music is not in the dataset.
            reasons = self.dataset.reasons
            unsure = [i for i, reason in enumerate(reasons) if reason in (SAME_CONTENT, SAME_NOTES, NOT_PLACED)]
            files = self.dataset.files
            open_ = (files["outcome"] == _SKIPPED) & np.isin(files["reason"], unsure)
            self._whole = set(np.unique(self._times["archive"][open_]).tolist())
        self._rows = {name: row for row, name in enumerate(names)}
        self._names = names

    def archive(
        self, path: bytes, name: bytes, prefix: bytes, members: Iterator[ArchiveMember]
    ) -> Iterator[ArchiveMember]:
        """Give the members of an archive or a table, those of an unchanged one without reading them.

        Parameters
        ----------
        path
            Where it is.
        name
            What it is called in the input.
        prefix
            What stands before the names of its members.
        members
            Reads it: name, content and reason of each member.
        """
        status = os.stat(path)
        now = status.st_size, status.st_mtime_ns
        number = len(self._archives) + 1
        self._archives.append((name, *now, False))  # until it is read to its end
        known, *before = self._known_archives.get(name, (0, -1, -1))
        same = tuple(before) == now
        if same and known not in self._whole:
            for row in np.flatnonzero(self._times["archive"] == known).tolist():
                shown, entry = self._names[row], self._times[row]
                whole = len(shown) - int(entry["suffix"])
                yield (
                    shown[len(prefix) : whole],
                    _Tracked(b"", None, number, whole, int(entry["size"]), same, row),
                    None,
                )
        else:
            for raw, content, reason in members:
                yield raw, _Tracked(content, reason, number, len(prefix + raw), len(content), same), reason
        self._archives[number - 1] = (name, *now, self._settled(now[1]))

    def marks(self, batch: Batch) -> NDArray[np.void]:
        """Return what is known of the files of a batch, of `_MARK_DTYPE`; `row` is that of the old table of files."""
        found = np.zeros(len(batch), _MARK_DTYPE)
        rows = np.array([self._rows.get(name, -1) for name in batch.names])
        same = np.zeros(len(batch), bool)
        sizes, times = [], []
        for i, name in enumerate(batch.names):
            blob = None if batch.blobs is None else batch.blobs[i]
            size = when = -1
            if isinstance(blob, _Tracked):
                size, when, same[i] = len(blob), 0, blob.same
                rows[i] = blob.row if blob.row >= 0 else rows[i]  # its number may be another now
                found["archive"][i], found["suffix"][i] = blob.archive, len(name) - blob.name_bytes
            else:
                path = batch.paths[i] if batch.paths is not None else getattr(blob, "path", b"")
                with contextlib.suppress(OSError, ValueError):
                    size, when = status_of(path)
            sizes.append(size)
            times.append(when)
        found["row"], found["size"], found["time"] = rows, sizes, times
        found["settled"] = (found["archive"] == 0) & (found["time"] < self.began_ns - SETTLED_NS)
        if len(self._times):
            before = self._times[rows]
            unchanged = (before["archive"] == 0) & (found["archive"] == 0)
            unchanged &= (before["size"] == found["size"]) & (before["time"] == found["time"])
            same |= (rows >= 0) & unchanged
        found["state"] = np.where(rows < 0, _ADDED, np.where(same, _UNCHANGED, _CHANGED))
        return found

    def known(self, batch: Batch, marks: NDArray[np.void]) -> NDArray[np.bool_]:
        """Say which members of a batch need not be read: files that gave a piece, and members of archives."""
        rows = marks["row"]
        if self.dataset is None:
            return np.zeros(len(batch), bool)
        same = (marks["state"] == _UNCHANGED) & (marks["archive"] == 0)
        found: NDArray[np.bool_] = same & self._times["settled"][rows] & (self._piece[rows] >= 0)
        for i, blob in enumerate(batch.blobs or []):
            found[i] |= isinstance(blob, _Tracked) and blob.row >= 0
        return found

    def fill(self, loaded: _Mixed, members: NDArray[np.int64]) -> None:
        """Fill in what the old dataset says of members that are not read."""
        assert self.dataset is not None
        rows, records = loaded.marks["row"][members], loaded.records
        pieces = self._piece[rows]
        records["size"][members] = self.dataset.files["bytes"][rows]
        for i in np.flatnonzero(self._repairs[rows] < self._repairs[rows + 1]).tolist():
            repairs = self.dataset.repairs[self._repairs[rows[i]] : self._repairs[rows[i] + 1]]
            records["repairs"][members[i], repairs["code"]] = repairs["count"]
        for i in np.flatnonzero(pieces < 0).tolist():
            records["status"][members[i]] = STATUS_GIVEN
            loaded.reasons[members[i]] = self.dataset.reasons[int(self.dataset.files["reason"][rows[i]])]
        painted, pieces = members[pieces >= 0], pieces[pieces >= 0]
        for column in ("frames", "notes", "tempo", "time_signature", "upbeat", "shift", "microseconds"):
            records[column][painted] = self.dataset.pieces[column][pieces]
        for column in ("free", "moved", "left_out"):
            records[column][members] = self._times[column][rows]
        digests = np.hstack([self.dataset.pieces[name][pieces] for name in _DIGESTS]).astype(">u8")
        records["digests"][painted] = digests.view(np.uint8)
        loaded.pieces[painted] = pieces

    def rows(self, first: int, last: int) -> Iterator[memoryview]:
        """Give the rows of consecutive pieces of the old dataset; a shard is compared with its checksum once."""
        assert self.dataset is not None
        shards = self.dataset.pieces["shard"][first : last + 1]
        for shard in np.unique(shards).tolist():
            if shard not in self._sound:
                if checksum(self.dataset.shard(shard)) != int(self.dataset.shards["checksum"][shard]):
                    raise DatasetError(
                        f"{origin(self._out)}: damaged: rows of shard {shard:06d}; build it again without --update"
                    )
                self._sound.add(shard)
            within = np.flatnonzero(shards == shard) + first
            start, end = (int(self.dataset.pieces["offset"][piece]) for piece in (within[0], within[-1]))
            yield self.dataset.mapped[start : end + self.dataset.rows(int(within[-1])).size].data

    def release(self) -> None:
        """Let go of the old dataset, so that it can be replaced."""
        self.dataset = None

    def enter(self, marks: NDArray[np.void]) -> None:
        """Take note of the files of a batch, in the order of the input."""
        self._marks.append(marks)

    def finish(self) -> Changes:
        """Write the times beside the new dataset, and count what is different.

        Raises
        ------
        RollcoreError
            If they cannot be written.
        """
        marks = np.concatenate([np.zeros(0, _MARK_DTYPE), *self._marks])
        archives = np.zeros(len(self._archives), ARCHIVE_DTYPE)
        if self._archives:
            names, archives["size"], archives["time"], archives["settled"] = zip(*self._archives, strict=True)
            archives["name_end"] = np.cumsum([len(name) for name in names])
        facts = {**self._facts, "fingerprint": open_dataset(self._out).fingerprint}
        with whole_file(self._times_path) as file:
            np.savez_compressed(
                file,
                facts=np.frombuffer(json.dumps(facts).encode("utf-8", "surrogateescape"), np.uint8),
                files=marks[list(TIME_DTYPE.names or ())].astype(TIME_DTYPE),
                archives=archives,
                names=np.frombuffer(b"".join(name for name, *_ in self._archives), np.uint8),
            )

        counts = np.bincount(marks["state"], minlength=3).tolist()
        gone = len(self._names) - counts[_CHANGED] - counts[_UNCHANGED]
        return Changes(counts[_ADDED], counts[_CHANGED], gone, counts[_UNCHANGED], self.remark)

    def _settled(self, time_ns: int) -> bool:
        return time_ns < self.began_ns - SETTLED_NS


class UpdateLoader:
    """A loader that reads only what is new or changed.

    Parameters
    ----------
    update
        What is known.
    loader
        Reads the rest.
    """

    def __init__(self, update: Update, loader: Loader) -> None:
        self._update = update
        self._loader = loader
        self._kernel = loader.options.kernel()  # of no member: each part has its own

    def __call__(self, batch: Batch) -> _Mixed:
        """Load as many members of a batch as a loader that reads them all."""
        marks = self._update.marks(batch)
        known = self._update.known(batch, marks)
        count = len(batch)
        loaded = _Mixed(
            batch.names,
            list(batch.reasons),
            self._kernel,
            np.zeros(count, RECORD_DTYPE),
            None,
            marks=marks,
            pieces=np.full(count, -1, np.int64),
            old=self._update.rows,
        )
        if known.any():
            self._update.fill(loaded, np.flatnonzero(known))
        fresh = np.flatnonzero(~known).tolist()
        stop = self._load(loaded, fresh, _some(batch, fresh), batch.paths is not None and not READS_PATHS)
        if stop < count:
            loaded.rest = rest_of(batch, stop)
            loaded.names, loaded.reasons = loaded.names[:stop], loaded.reasons[:stop]
            loaded.records, loaded.marks = loaded.records[:stop], loaded.marks[:stop]
        for column in ("free", "moved", "left_out"):
            loaded.marks[column] = loaded.records[column]
        batch.blobs = None if batch.blobs is None else []
        return loaded

    def reuse(self, loaded: Loaded) -> None:
        """Take the kernels back."""
        assert isinstance(loaded, _Mixed)
        for part, _ in loaded.parts:
            self._loader.reuse(part)

    def _load(self, loaded: _Mixed, fresh: list[int], wanted: Batch | None, held_whole: bool) -> int:
        """Load members until a loader of them all would have no more room; return where that is.

        `held_whole` says that such a loader reads the files of a batch itself, before the kernel does anything.
        """
        records, most = loaded.records, len(loaded.names)
        stop = spans = read = held = 0
        while stop < most and spans < _roll.LOAD_SPANS:
            first, used = stop, 0
            while stop < most and used < _roll.LOAD_BYTES:
                if wanted is not None and fresh[read] == stop:
                    part = self._loader(wanted)
                    members = fresh[read : read + len(part.names)]
                    loaded.parts.append((part, members))
                    for i, member in enumerate(members):
                        loaded.reasons[member] = part.reasons[i]
                    records[members] = part.records
                    read, wanted = read + len(members), part.rest
                size = int(records["size"][stop]) if records["status"][stop] != _roll.STATUS_IO else 0
                used, held, stop = used + size, held + size, stop + 1
                if held_whole and held > ROOM_BYTES:
                    most = stop
            spans += int(records["notes"][first:stop][records["status"][first:stop] == 0].sum())
        return stop


class UpdateLedger(Ledger):
    """The account of an update: that of a build, and the times of the files.

    Parameters
    ----------
    update
        Where the times go.
    given, options
        As for `Ledger`.
    """

    def __init__(self, update: Update, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._update = update

    def enter(self, loaded: Loaded) -> int:
        """Account for a batch and choose which members become pieces; returns their frames."""
        assert isinstance(loaded, _Mixed)
        self._update.enter(loaded.marks)
        return super().enter(loaded)


class _Unknown(Exception):
    """What was there before cannot be used; the message says why."""


def _some(batch: Batch, members: list[int]) -> Batch | None:
    """Return some members of a batch as a batch, None of none."""
    if not members:
        return None
    paths = None if batch.paths is None else [batch.paths[i] for i in members]
    blobs = None if batch.blobs is None else [batch.blobs[i] for i in members]
    return Batch([batch.names[i] for i in members], paths, blobs, [batch.reasons[i] for i in members])


def _facts(inputs: Sequence[Any], column: str | None) -> dict[str, Any]:
    """Return what the times of files depend on beside the files: the same names mean the same files."""
    listed = [is_list(source) for source in inputs]
    return {
        "version": TIMES_VERSION,
        "reader": f"{rollcore.__version__} {_reader_digest()}",
        "inputs": [_absolute(source, is_a_list) for source, is_a_list in zip(inputs, listed, strict=True)],
        "column": column,
        "folder": os.getcwd() if any(listed) else None,  # the paths in a list may be relative
    }


def _absolute(source: Any, listed: bool) -> str:
    name = os.fsdecode(source)
    if (name == "-" and listed) or is_remote(name):
        return name
    return "@" + os.path.abspath(name[1:]) if listed else os.path.abspath(name)


def _reader_digest() -> str:
    """Return a digest of the compiled reader: another one may read the same file otherwise."""
    return str(xxhash.xxh3_64_hexdigest(Path(_roll.__file__).read_bytes()))


def _read_times(path: Path) -> tuple[dict[str, Any], NDArray[np.void], NDArray[np.void], bytes]:
    """Return what a times file holds; raise `_Unknown` where there is none, or it is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
            facts, files, archives, names = (found[name] for name in ("facts", "files", "archives", "names"))
        known = json.loads(facts.tobytes().decode("utf-8", "surrogateescape"))
    except FileNotFoundError:
        raise _Unknown(f"there is no {path.name}") from None
    except (OSError, ValueError, LookupError, EOFError, RecursionError, zipfile.BadZipFile, zlib.error) as error:
        raise _Unknown(f"{path.name} is damaged") from error
    ends = archives["name_end"] if archives.dtype == ARCHIVE_DTYPE else np.zeros(0)
    whole = isinstance(known, dict) and files.dtype == TIME_DTYPE and archives.dtype == ARCHIVE_DTYPE
    if not whole or (files["archive"] > len(archives)).any() or (ends[:-1] > ends[1:]).any():
        raise _Unknown(f"{path.name} is damaged")
    return known, files, archives, names.tobytes()
