"""The dataset: one HDF5 file of packed piano-roll shards and the tables that account for them.

docs/format.md is the format's document; this module reads what it says, writer.py writes it.
"""

from __future__ import annotations

import errno
import json
import mmap
import operator
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from rollcore import hdf5, storage
from rollcore.errors import DatasetError, RollcoreError
from rollcore.grid import Grid
from rollcore.midi import counted_bar
from rollcore.roll import ROW_BYTES, plane_voices

FORMAT = "rollcore"
VERSION = 4
SPLITS = ("train", "validation", "test")
OUTCOMES = ("read", "repaired", "skipped")
NO_PIECE = 0xFFFFFFFF

PIECE_DTYPE = np.dtype(
    [
        ("shard", "<u4"),
        ("file", "<u4"),
        ("start", "<u8"),
        ("frames", "<u8"),
        ("notes", "<u4"),
        ("tempo", "<u4"),
        ("time_signature", "<u2", (2,)),
        ("upbeat", "<u4"),
        ("shift", "<i4"),
        ("microseconds", "<u8"),
        ("digest", "<u8", (2,)),
        ("pitch_digest", "<u8", (2,)),
        ("note_digest", "<u8", (2,)),
        ("split", "u1"),
    ]
)
FILE_DTYPE = np.dtype([("name_end", "<u8"), ("bytes", "<u8"), ("outcome", "u1"), ("reason", "<u4")])
REPAIR_DTYPE = np.dtype([("file", "<u4"), ("code", "<u2"), ("count", "<u4")])
SHARD_DTYPE = np.dtype([("frames", "<u8"), ("checksum", "<u8")])
CHECKSUM_DTYPE = np.dtype([("table", "S8"), ("checksum", "<u8")])
TABLES = {
    "pieces": PIECE_DTYPE,
    "files": FILE_DTYPE,
    "repairs": REPAIR_DTYPE,
    "shards": SHARD_DTYPE,
    "names": np.dtype("u1"),
}
_MAPPED_DTYPE = np.dtype([*((name, PIECE_DTYPE[name]) for name in PIECE_DTYPE.names or ()), ("offset", "<u8")])
HDF5_SIGNATURE = hdf5.SIGNATURE


class _Contents(NamedTuple):
    """What a file holds beside its rows: attributes, tables by name, byte offsets of the shards."""

    attributes: dict[str, str]
    tables: dict[str, NDArray[Any]]
    offsets: NDArray[np.uint64]


DIGEST_BYTES = 16


def checksum(data: Any) -> int:
    """XXH3 (64 bits) of a contiguous buffer."""
    return int(xxhash.xxh3_64_intdigest(data))


def digest(content: Any) -> bytes:
    """XXH3 (128 bits) of a file's content: what `xxh128sum` prints."""
    return bytes(xxhash.xxh3_128_digest(content))


def split_of(digests: NDArray[np.uint64], shares: tuple[int, ...]) -> NDArray[np.uint8]:
    """Place contents into splits by their digest alone.

    Parameters
    ----------
    digests
        uint64 array of shape (n, 2), the two halves of each digest.
    shares
        Relative sizes of the train, validation and test splits.
    """
    total = sum(shares)
    place = (digests[:, 0] >> np.uint64(32)) * np.uint64(total) >> np.uint64(32)
    return np.searchsorted(np.cumsum(shares), place, side="right").astype(np.uint8)


def table_bytes(array: NDArray[Any]) -> memoryview:
    """Return the bytes of a table that its checksum is taken of."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1).data


def memory_bytes() -> int:
    """Bytes of memory that the machine has; where the system does not say, more than any file."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Dataset:
    """An open dataset: its tables in memory, its rows mapped. Read-only.

    Nothing of HDF5 stays open, so a dataset can be used from any thread, carried across a fork, and pickled (it
    reopens the same file by its path).

    Attributes
    ----------
    path : Path
        Absolute path of the file.
    grid : Grid
        The time grid of its rows.
    planes : tuple of str
        ``("sounding",)`` or ``("sounding", "onset")``; of a dataset with voices ``("sounding:NAME", "onset:NAME")``
        for each, one pair after the other.
    voices : tuple of str
        Names of its voices; empty where all notes share the planes.
    options : dict
        The options it was built with.
    pieces : structured array of shape (n,)
        One row a piece: `shard`, `file` (row of `files`), `start` (first row within the shard), `frames`, `notes`,
        `tempo` (microseconds per beat at its first note), `time_signature` (of the bars it begins with, as the file has
        it: beats, note value), `upbeat` (frames before the first bar line; 0 on the grid of seconds), `shift` (ticks by
        which its notes were moved onto the grid of beats), `microseconds` (its length in musical time), `digest`
        (XXH3-128 of the file's content), `pitch_digest` (of how often each pitch is struck), `note_digest` (of pitches
        and onsets), `split` (index into `SPLITS`), `offset` (byte offset of its first row).
    files : structured array
        One row for every file found: `bytes`, `outcome` (index into `OUTCOMES`), `reason` (index into `reasons`).
    repairs : structured array
        `file`, `code` (index into `rollcore.REPAIR_CODES`), `count`.
    reasons : list of str
        Why files were skipped.
    fingerprint : str
        Hex digest over the content and the settings: equal if and only if the datasets are.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._at = storage.origin(self.path)
        (attributes, tables, offsets), self._map, self._status = _read(self.path)
        unit = attributes["grid_unit"]
        if unit not in ("seconds", "beats"):
            raise DatasetError(f"{self._at}: grid unit {unit!r} is unknown; upgrade rollcore")
        try:
            rate = attributes["grid_rate"]
            self.grid = Grid.seconds(rate) if unit == "seconds" else Grid.beats(rate)
            self.options: dict[str, Any] = dict(json.loads(attributes["options"]))
            self.reasons = [str(reason) for reason in json.loads(attributes["reasons"])]
        except (ValueError, TypeError, RecursionError, RollcoreError) as error:
            raise DatasetError(f"{self._at}: damaged: an attribute of its root group; build it again") from error
        self.planes = tuple(attributes["planes"].split(","))
        try:
            self.voices = plane_voices(self.planes)
        except RollcoreError:
            raise DatasetError(f"{self._at}: planes {attributes['planes']!r} are unknown; upgrade rollcore") from None
        self.files = tables["files"]
        if (self.files["reason"][self.files["outcome"] == OUTCOMES.index("skipped")] >= len(self.reasons)).any():
            raise DatasetError(f"{self._at}: damaged: its tables point outside of it; build it again")
        self.repairs = tables["repairs"]
        self.shards = tables["shards"]
        self.shard_offsets = offsets
        self._names = tables["names"]
        pieces = tables["pieces"]
        self.pieces = np.empty(len(pieces), _MAPPED_DTYPE)
        for name in PIECE_DTYPE.names or ():
            self.pieces[name] = pieces[name]
        row_bytes = np.uint64(ROW_BYTES * len(self.planes))
        if len(pieces):
            self.pieces["offset"] = offsets[pieces["shard"]] + pieces["start"] * row_bytes
        for table in (self.pieces, self.files, self.repairs, self.shards, self.shard_offsets):
            table.setflags(write=False)
        identity = xxhash.xxh3_128()
        identity.update(json.dumps(attributes, sort_keys=True).encode("utf-8", "surrogateescape"))
        identity.update(table_bytes(tables["checksums"]))
        self.fingerprint = str(identity.hexdigest())
        self.mapped: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)

    def check_whole(self) -> None:
        """Raise `DatasetError` if the mapped file has been cut short: reading beyond its end ends the process.

        The system does not tell a reader of a map, it sends SIGBUS. Call this before work that takes long.
        """
        if self._map.size() < self.mapped.size:
            raise DatasetError(f"{self._at}: was cut short since it was opened; build it again")

    def __len__(self) -> int:
        return len(self.pieces)

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: the map goes with the last array that looks into it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (str(self.path), self.fingerprint)

    def __repr__(self) -> str:
        return f"<Dataset {self.path.name}: {len(self)} pieces, {self.grid}, {'+'.join(self.planes)}>"

    def file_name(self, file: int) -> str:
        """Name of a file as it was found; bytes that are not UTF-8 come as surrogate escapes."""
        if not 0 <= file < len(self.files):
            raise RollcoreError(f"{self._at}: no file {file}; it has {len(self.files)}")
        start = int(self.files["name_end"][file - 1]) if file else 0
        return self._names[start : int(self.files["name_end"][file])].tobytes().decode("utf-8", "surrogateescape")

    def names(self) -> bytes:
        """Names of all files, one after the other, as `/names` holds them."""
        return self._names.tobytes()

    def name(self, piece: int) -> str:
        """Name of the file that a piece was read from."""
        return self.file_name(int(self.pieces["file"][self._index(piece)]))

    def bar(self, piece: int) -> tuple[int, int]:
        """Return the time signature to count bars by, from the upbeat on, by the rule of `Midi.opening`, else 4/4."""
        beats, value = self.pieces["time_signature"][self._index(piece)].tolist()
        return counted_bar(beats, value) or (4, 4)

    def find(self, piece: str | SupportsIndex) -> int:
        """Return the index of a piece given by number or name.

        A name may lack its folder and its ending where only one piece is called so. Digits in a text are a number
        where no piece is called so.
        """
        if not isinstance(piece, str):
            return self._index(operator.index(piece))
        wanted = piece.encode("utf-8", "surrogateescape")
        alike = []
        blob, ends = self._names.tobytes(), self.files["name_end"]
        for index, file in enumerate(self.pieces["file"].tolist()):
            name = blob[int(ends[file - 1]) if file else 0 : int(ends[file])]
            if name == wanted:
                return index
            if wanted in (stem := os.path.splitext(name)[0], os.path.basename(stem), os.path.basename(name)):
                alike.append(index)
        if len(alike) == 1:
            return alike[0]
        if alike:
            raise RollcoreError(f"{self._at}: {len(alike)} pieces are called {piece!r}; give the whole name")
        if piece.isdecimal() and len(piece) <= 18:  # Python refuses to make a number of thousands of digits
            return self._index(int(piece))
        raise RollcoreError(f"{self._at}: no piece {piece!r}; `rollcore info` shows how they are named")

    def _index(self, piece: int) -> int:
        if not 0 <= piece < len(self):
            raise RollcoreError(f"{self._at}: no piece {piece}; it has {len(self)}, counted from 0")
        return piece

    def rows(self, piece: int) -> NDArray[np.uint8]:
        """Return a piece's rows, uint8 of shape (frames, planes, 16): a read-only view of the mapped file."""
        entry = self.pieces[self._index(piece)]
        shape = (int(entry["frames"]), len(self.planes), ROW_BYTES)
        start = int(entry["offset"])
        return self.mapped[start : start + shape[0] * shape[1] * shape[2]].reshape(shape)

    def shard(self, number: int) -> NDArray[np.uint8]:
        """Return the rows of a shard as uint8 of shape (bytes,): a read-only view of the mapped file."""
        start = int(self.shard_offsets[number])
        return self.mapped[start : start + int(self.shards["frames"][number]) * ROW_BYTES * len(self.planes)]

    def map_for_windows(self) -> NDArray[np.uint8]:
        """Return the mapped file as reads here and there are best served.

        Reading ahead brings a file that fits into memory there sooner; of a larger one it reads megabytes for every
        window of some kilobytes, and drops them again. So of a file larger than half the memory this is another
        map, of which the system is told not to read ahead; who reads in order does better with `mapped`.
        """
        if not hasattr(mmap, "MADV_RANDOM") or self.mapped.size <= memory_bytes() // 2:
            return self.mapped
        with hdf5.open_regular(self.path) as fd:
            if not os.path.samestat(os.fstat(fd), self._status):
                raise DatasetError(f"{self._at}: was replaced by another dataset meanwhile; open it again")
            again = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        again.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(again, np.uint8)

    def split(self, name: str) -> NDArray[np.int64]:
        """Return the indices of the pieces in a split."""
        if name not in SPLITS:
            raise RollcoreError(f"split {name!r}: expected one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.pieces["split"] == SPLITS.index(name)).astype(np.int64)

    def verify(self) -> list[str]:
        """Compare every shard with its checksum; returns a line for each that is damaged."""
        self.check_whole()
        damaged = []
        for shard, expected in enumerate(self.shards["checksum"].tolist()):
            if checksum(self.shard(shard)) != expected:
                pieces = np.flatnonzero(self.pieces["shard"] == shard)
                span = f"pieces {pieces[0]} to {pieces[-1]}" if len(pieces) else "no piece"
                damaged.append(f"shard {shard:06d} ({span}): its rows do not match their checksum")
        return damaged


def open_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open a dataset that :func:`rollcore.build_dataset` wrote.

    The tables are read and checked against their checksums; the rows are mapped, not read. A dataset at an address in
    storage (``az://``, ``s3://``, ``gs://``, ``hf://``) is fetched first.

    Raises
    ------
    DatasetError
        If the file is missing, truncated, damaged, no rollcore dataset, or of a newer version.
    """
    return Dataset(storage.fetch(path))


def _reopen(path: str, fingerprint: str) -> Dataset:
    dataset = Dataset(path)
    if dataset.fingerprint != fingerprint:
        raise DatasetError(f"{path}: was replaced by another dataset meanwhile; open it again")
    return dataset


def _read(path: Path) -> tuple[_Contents, mmap.mmap, os.stat_result]:
    """Read what a file holds and map it, by one and the same descriptor."""
    try:
        with hdf5.open_regular(path) as fd:
            status = os.fstat(fd)
            if os.read(fd, len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
                raise DatasetError(f"{path}: not an HDF5 file; build a dataset with `rollcore build-dataset`")
            return _contents(path, fd, status.st_size), mmap.mmap(fd, 0, access=mmap.ACCESS_READ), status
    except hdf5.NotRegular:
        raise DatasetError(f"{path}: is not a file; name a dataset") from None
    except ValueError as error:  # a NUL in its name
        raise DatasetError(f"{str(path)!r}: not the name of a file; check the path") from error
    except OSError as error:
        remedy = "build it with `rollcore build-dataset`" if error.errno == errno.ENOENT else "check the path"
        raise DatasetError(f"{path}: {os.strerror(error.errno or 0)}; {remedy}") from error


def _contents(path: Path, fd: int, size: int) -> _Contents:
    try:
        with hdf5.open_file(path, fd) as file:
            if not is_dataset(file):
                raise DatasetError(
                    f"{path}: an HDF5 file, but not a rollcore dataset; build one with `rollcore build-dataset`"
                )
            version = int(hdf5.attribute(file, "version"))
            if version != VERSION:
                remedy = "upgrade rollcore" if version > VERSION else "build it again"
                raise DatasetError(f"{path}: format version {version}, this rollcore reads {VERSION}; {remedy}")
            names = ("format", "grid_unit", "grid_rate", "planes", "options", "reasons")
            attributes = {name: _text(hdf5.attribute(file, name)) for name in names}
            kinds = {**TABLES, "checksums": CHECKSUM_DTYPE}
            tables = {name: hdf5.table(file, name, dtype, size) for name, dtype in kinds.items()}
            places = hdf5.rows(file, len(tables["shards"]))
    except hdf5.Refused as error:
        raise DatasetError(f"{path}: damaged: {error}; build it again") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        if "locking flag" in str(error):
            raise DatasetError(f"{path}: is open in this process already, with file locks; close it there") from error
        reason = "truncated" if "truncated" in str(error) else "damaged"
        raise DatasetError(f"{path}: {reason}; build it again") from error
    sums = dict(tables["checksums"].tolist())
    for name in TABLES:
        if sums.get(name.encode()) != checksum(table_bytes(tables[name])):
            raise DatasetError(f"{path}: damaged: table {name!r} does not match its checksum; build it again")
    planes = len(attributes["planes"].split(","))
    if not _consistent(tables, places, size, planes):
        raise DatasetError(f"{path}: damaged: its tables point outside of it; build it again")
    return _Contents(attributes, tables, np.array([place.offset for place in places], np.uint64))


def _consistent(tables: dict[str, NDArray[Any]], places: list[hdf5.Place], size: int, planes: int) -> bool:
    """Whether every index stays within what it points into: kernels read the map without looking again."""
    pieces, files, shards = tables["pieces"], tables["files"], tables["shards"]
    ends = [0, *files["name_end"][-1:].tolist()]
    return bool(
        (shards["frames"] < 2**48).all()
        and all(
            place.offset + place.bytes <= size
            and place.shape == (frames, planes, ROW_BYTES)
            and place.bytes == frames * planes * ROW_BYTES
            for place, frames in zip(places, shards["frames"].tolist(), strict=True)
        )
        and (pieces["shard"] < len(shards)).all()
        and (pieces["file"] < len(files)).all()
        and (pieces["split"] < len(SPLITS)).all()
        and (pieces["frames"] < 2**48).all()
        and (pieces["start"] < 2**48).all()
        and (pieces["start"] + pieces["frames"] <= shards["frames"][pieces["shard"]]).all()
        and (files["outcome"] < len(OUTCOMES)).all()
        and (files["name_end"][1:] >= files["name_end"][:-1]).all()
        and ends[-1] <= len(tables["names"])
    )


def is_dataset(file: h5py.File) -> bool:
    """Whether an open HDF5 file says that it is a dataset, of whatever version."""
    try:
        return _text(hdf5.attribute(file, "format")) == FORMAT
    except (hdf5.Refused, KeyError):
        return False


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "surrogateescape") if isinstance(value, (bytes, np.bytes_)) else ""
