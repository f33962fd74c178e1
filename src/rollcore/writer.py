"""Write a dataset beside its target, and put it in the target's place when it is whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from rollcore.dataset import (
    CHECKSUM_DTYPE,
    FORMAT,
    HDF5_SIGNATURE,
    SHARD_DTYPE,
    TABLES,
    VERSION,
    checksum,
    is_dataset,
    table_bytes,
)
from rollcore.errors import DatasetError
from rollcore.files import OPEN_FLAGS, RENAMES_OPEN_FILES, allocate, keep_mode, lock, read_at, write_at
from rollcore.grid import Grid
from rollcore.roll import ROW_BYTES


class Tables(NamedTuple):
    """What a writer is given at the end; dtypes as in `TABLES`."""

    pieces: NDArray[np.void]
    files: NDArray[np.void]
    repairs: NDArray[np.void]
    names: bytes
    reasons: list[str]


class DatasetWriter:
    """Write a dataset beside its target; the target changes only in :meth:`commit`, by a rename.

    Rows go past HDF5: a shard is allocated at its exact size, and whoever painted its rows writes them to the byte
    offset that HDF5 gave it, from any thread. Used as a context manager; leaving it without `commit` removes the
    partial file.

    Attributes
    ----------
    guarded : bool
        Whether a second build of the target is kept out; not where the file system has no locks.

    Raises
    ------
    DatasetError
        If the target cannot be written, is something else than a dataset, or is being written by another build.
    """

    def __init__(self, path: str | os.PathLike[str], *, grid: Grid, planes: tuple[str, ...]) -> None:
        try:
            self.path = Path(path)
            os.stat(self.path)
        except (TypeError, ValueError):  # not text, or with a NUL in it
            raise DatasetError(f"{path!r}: cannot be a file; name the file to write") from None
        except OSError:
            pass
        self.grid = grid
        self.planes = planes
        self._shards: list[tuple[int, int]] = []
        self._fd = -1
        self.guarded = True
        self._file: h5py.File | None = None
        try:
            if self.path.is_dir() or os.fspath(path).endswith(os.sep):
                raise DatasetError(f"{self.path}: is a folder; name the file to write, such as {self.path / 'out.h5'}")
            # A link stays one: what it points to is replaced.
            self._target = Path(os.path.realpath(self.path))
            self._partial = self._target.with_name(f".{self._target.name}.partial")
            # Never a device or a pipe: a rename would put a dataset in the place of /dev/null.
            if self.path.exists() and not self.path.is_file():
                raise DatasetError(f"{self.path}: is not a regular file; choose another name")
            if self.path.exists() and not _replaceable(self.path):
                raise DatasetError(
                    f"{self.path}: exists and is not a rollcore dataset; choose another name or remove it"
                )
            self._fd = self._lock()
            if os.fstat(self._fd).st_size:
                os.ftruncate(self._fd, 0)
                # ext4 writes a truncated file out when it is next closed: let that be now, while it is empty.
                os.close(os.open(self._partial, os.O_RDONLY | OPEN_FLAGS))
            self._sink = _Sink(self._fd)
            self._file = _create(self._sink)
            group = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
            group.set_obj_track_times(False)
            self._rows = h5py.h5g.create(self._file.id, b"rows", gcpl=group)
            self._layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            self._layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            self._layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            self._layout.set_obj_track_times(False)
        except (OSError, RuntimeError, ValueError) as error:
            self._abandon()
            raise self.failure(error) from error

    def _lock(self) -> int:
        while True:
            # A link there is none of ours, and what it points to must not be written over.
            if self._partial.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            fd = os.open(self._partial, os.O_RDWR | os.O_CREAT | OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0), 0o666)
            try:
                self.guarded = lock(fd)
            except BlockingIOError:
                os.close(fd)
                raise DatasetError(f"{self.path}: another build is writing it; wait for it to end") from None
            status = os.fstat(fd)
            if status.st_nlink > 1 or not stat.S_ISREG(status.st_mode):
                os.close(fd)
                raise DatasetError(f"{self._partial}: is another file's too, or no file; remove it, and build again")
            # A build that ended in between has renamed the file we hold: it is a finished dataset now.
            try:
                if os.path.samestat(status, os.stat(self._partial)):
                    return fd
            except FileNotFoundError:
                pass
            os.close(fd)

    def failure(self, error: Exception) -> DatasetError:
        """Word an error of writing."""
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        if isinstance(error, PermissionError) and not RENAMES_OPEN_FILES:
            reason += "; what is open or mapped elsewhere cannot be replaced on this system: close it there"
        return DatasetError(f"{self.path}: cannot be written ({reason}); what was there before is unchanged")

    @property
    def row_bytes(self) -> int:
        """Bytes of one frame, all planes."""
        return ROW_BYTES * len(self.planes)

    def allocate(self, frames: int) -> tuple[int, int]:
        """Allocate the next shard, to be filled by :meth:`write`; returns (shard, byte offset)."""
        try:
            return self._allocate(frames)
        except (OSError, RuntimeError) as error:
            raise self.failure(error) from error

    def _allocate(self, frames: int) -> tuple[int, int]:
        assert self._file is not None
        shard = len(self._shards)
        space = h5py.h5s.create_simple((frames, len(self.planes), ROW_BYTES))
        rows = h5py.h5d.create(self._rows, b"%06d" % shard, h5py.h5t.STD_U8LE, space, self._layout)
        self._shards.append((frames, 0))
        offset = rows.get_offset()
        allocate(self._fd, offset, frames * self.row_bytes)
        return shard, offset

    def write(self, offset: int, data: memoryview) -> None:
        """Write rows at a byte offset within an allocated shard; raises OSError as it comes. Thread-safe."""
        while data:
            done = write_at(self._fd, data, offset)
            data, offset = data[done:], offset + done

    def seal(self, shard: int, checksum: int) -> None:
        """Note the checksum of a shard whose rows are all written."""
        self._shards[shard] = (self._shards[shard][0], checksum)

    def append(self, rows: NDArray[np.uint8]) -> int:
        """Write a whole shard at once; returns its number."""
        data = np.ascontiguousarray(rows).reshape(-1).data
        shard, offset = self.allocate(len(rows))
        try:
            self.write(offset, data)
        except OSError as error:
            raise self.failure(error) from error
        self.seal(shard, checksum(data))
        return shard

    def commit(self, tables: Tables, options: Mapping[str, Any]) -> int:
        """Write the tables, close the file and put it in the target's place; returns its size in bytes."""
        assert self._file is not None
        arrays = {
            "pieces": tables.pieces,
            "files": tables.files,
            "repairs": tables.repairs,
            "shards": np.array(self._shards, SHARD_DTYPE),
            "names": np.frombuffer(tables.names, np.uint8),
        }
        attributes = {
            "format": FORMAT,
            "grid_unit": self.grid.unit,
            "grid_rate": str(self.grid.rate),
            "planes": ",".join(self.planes),
            "options": json.dumps(options, sort_keys=True),
            "reasons": json.dumps(tables.reasons),
        }
        try:
            for name, array in arrays.items():
                self._table(name, np.ascontiguousarray(array, TABLES[name]))
            sums = [(name.encode(), checksum(table_bytes(array))) for name, array in arrays.items()]
            self._table("checksums", np.array(sums, CHECKSUM_DTYPE))
            self._file.attrs["version"] = np.uint32(VERSION)
            for key, value in attributes.items():
                self._file.attrs[key] = np.bytes_(value.encode("utf-8", "surrogateescape"))
            self._file.close()
            self._file = None
            if self._sink.error is not None:
                raise self._sink.error
            size = os.fstat(self._fd).st_size
            keep_mode(self._fd, self._target)
            self._replace()
        except (OSError, RuntimeError) as error:
            raise self.failure(error) from error
        if self._fd >= 0:
            self._close()
        return size

    def _replace(self) -> None:
        """Put the file in the target's place; what interrupts after that comes too late to be told."""
        if not RENAMES_OPEN_FILES:
            self._close()
            try:
                os.replace(self._partial, self._target)
            except BaseException:
                self._partial.unlink(missing_ok=True)
                raise
            return
        try:
            os.replace(self._partial, self._target)
        except KeyboardInterrupt:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self._fd), os.stat(self._target)):
                    return
            raise

    def _table(self, name: str, array: NDArray[Any]) -> None:
        assert self._file is not None
        table = self._file.create_dataset(name, shape=array.shape, dtype=array.dtype, track_times=False)
        if array.size:
            table.write_direct(array)

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._abandon()

    def _abandon(self) -> None:
        """Remove the partial file and let go of it; nothing to do after a commit."""
        if self._fd < 0:
            return
        if RENAMES_OPEN_FILES:
            self._partial.unlink(missing_ok=True)
        if self._file is not None:
            self._sink.discard()
            with contextlib.suppress(OSError, RuntimeError):
                self._file.close()
        self._close()
        if not RENAMES_OPEN_FILES:
            self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        # Not ours any more even if interrupted here: the number may be that of another file by the next time.
        fd, self._fd = self._fd, -1
        os.close(fd)


class _Sink:
    """The partial file as HDF5 writes to it, which never fails.

    HDF5 keeps what it cannot write, tries again when the process ends, and then crashes it. So the first error is
    noted here for `DatasetWriter.commit` to raise, and from then on writing does nothing.
    """

    def __init__(self, fd: int) -> None:
        self.error: OSError | None = None
        self._fd = fd
        self._at = 0
        self._discarding = False

    def discard(self) -> None:
        """Write nothing from here on."""
        self._discarding = True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (os.fstat(self._fd).st_size if whence == os.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        data = read_at(self._fd, len(buffer), self._at)
        buffer[: len(data)] = data
        buffer[len(data) :] = bytes(len(buffer) - len(data))
        self._at += len(buffer)
        return len(buffer)

    def write(self, data: memoryview) -> int:
        length = len(data)
        try:
            while data and not self._discarding:
                done = write_at(self._fd, data, self._at)
                data, self._at = data[done:], self._at + done
        except OSError as error:
            self.error, self._discarding = error, True
        self._at += len(data)
        return length

    def truncate(self, size: int) -> int:
        try:
            if not self._discarding:
                os.ftruncate(self._fd, size)
        except OSError as error:
            self.error, self._discarding = error, True
        return size

    def flush(self) -> None:
        """Nothing is held back."""


# The superblock, and more of the root group than its first link.
_BEGINNING = 128


def _replaceable(path: Path) -> bool:
    """Whether a file is a dataset, perhaps a damaged one, or empty: HDF5 holds what cannot be built again, too."""
    with open(path, "rb") as file:
        head = file.read(_BEGINNING)
    if not head.startswith(HDF5_SIGNATURE):
        return not head
    try:
        with h5py.File(path, "r", locking=False) as held:
            return is_dataset(held)
    except (OSError, RuntimeError):
        # Cut short, or open for writing elsewhere. A dataset, which its reader says to build again, begins with a
        # superblock of version 3 and the root group behind it, whose first member is `rows`.
        return head[8:9] == b"\x03" and head[48:52] == b"OHDR" and b"rows" in head


def _create(sink: _Sink) -> h5py.File:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    # One library version's structures: the bytes do not depend on who writes, and metadata carries checksums.
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_alignment(4096, 4096)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, sink)
    root = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    root.set_obj_track_times(False)
    return h5py.File(h5py.h5f.create(b"partial", h5py.h5f.ACC_TRUNC, root, access))
