"""HDF5 as far as a dataset may use it: what the very file holds, in one piece, unpacked.

HDF5 can point elsewhere: links into other files, virtual datasets made of others (even of themselves, which ends the
process), raw data in files beside it, filters that blow a few bytes up to gigabytes. A dataset uses none of that, so
each is refused by its description, before anything is read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from rollcore.files import OPEN_FLAGS

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_FLAGS = os.O_RDONLY | OPEN_FLAGS | getattr(os, "O_NONBLOCK", 0)


class Refused(Exception):
    """An object is not what a dataset consists of; the message says how, without the name of the file."""


class NotRegular(OSError):
    """A pipe or a device was named."""


class Place(NamedTuple):
    """Where a dataset of HDF5 lies in the file."""

    offset: int
    shape: tuple[int, ...]
    bytes: int


@contextlib.contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[int]:
    """Open a regular file for reading, without waiting for a pipe; gives its descriptor.

    Raises
    ------
    OSError
        If it cannot be opened; `NotRegular` if it is something else than a file.
    """
    fd = os.open(path, _FLAGS)
    try:
        kind = os.fstat(fd).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(kind):
            raise NotRegular
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str], fd: int) -> Iterator[h5py.File]:
    """Open a file that is open already as HDF5.

    Raises
    ------
    Refused
        If another file has taken its place in the folder.
    """
    with h5py.File(path, "r", locking=False) as file:
        if not os.path.samestat(os.fstat(fd), os.stat(path)):
            raise Refused("was replaced by another file meanwhile")
        yield file


def attribute(group: h5py.Group, name: str) -> Any:
    """Return an attribute that is one number or one text of fixed length, as NumPy has it."""
    found = h5py.h5a.open(group.id, name.encode())
    kind = found.get_type()
    fixed = isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()
    if found.shape != () or not (fixed or isinstance(kind, h5py.h5t.TypeIntegerID)):
        raise Refused(f"attribute {name!r} is not one number or one text")
    value = np.zeros((), found.dtype)
    found.read(value)
    return value[()]


def table(file: h5py.File, name: str, dtype: np.dtype[Any], most_bytes: int) -> NDArray[Any]:
    """Read a one-dimensional dataset of the root group.

    Raises
    ------
    Refused
        If it is reached by a link that is not a hard one, has another type or shape, is chunked, virtual or stored
        elsewhere, or is said to be larger than `most_bytes`.
    """
    found = _plain(file.id, name.encode())
    if found.dtype != dtype or found.rank != 1:
        raise Refused(f"{name} has another type than this format's")
    size = found.shape[0] * dtype.itemsize
    if size > most_bytes:
        raise Refused(f"{name} is larger than the file")
    array = np.empty(found.shape, dtype)
    if array.size:
        found.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


def rows(file: h5py.File, count: int) -> list[Place]:
    """Return where the datasets ``rows/000000`` to ``count - 1`` lie.

    Raises
    ------
    Refused
        If one is not there, or as for `table`.
    """
    _hard(file.id, b"rows")
    group = h5py.h5g.open(file.id, b"rows")
    places = []
    for number in range(count):
        found = _plain(group, b"%06d" % number)
        if found.get_type() != h5py.h5t.STD_U8LE or found.rank != 3:
            raise Refused(f"shard {number:06d} has another type than this format's")
        offset = found.get_offset()
        if offset is None:
            raise Refused(f"shard {number:06d} has no place in the file")
        shape = found.shape
        places.append(Place(int(offset), shape, int(found.get_storage_size())))
    return places


def check_all(file: h5py.File, most_objects: int) -> None:
    """Look at every object of a file that another library is to read, at most so many of them.

    Raises
    ------
    Refused
        If one is reached by a link that is not a hard one, is neither a group nor a dataset in one piece, or there are
        more.
    """
    groups, seen = [file.id], 0
    while groups:
        group = groups.pop()
        for name in group:
            seen += 1
            if seen > most_objects:
                raise Refused(f"it holds more than {most_objects:,} objects")
            _hard(group, name)
            found = h5py.h5o.open(group, name)
            if isinstance(found, h5py.h5g.GroupID):
                groups.append(found)
            else:
                _plain(group, name)


def _hard(group: h5py.h5g.GroupID, name: bytes) -> None:
    """Raise unless a member of a group is reached by a hard link: others may lead into another file."""
    if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise Refused(f"{name.decode()} is a link, which may lead elsewhere")


def _plain(group: h5py.h5g.GroupID, name: bytes) -> h5py.h5d.DatasetID:
    """Open a dataset that lies in this file in one piece."""
    _hard(group, name)
    found = h5py.h5d.open(group, name)
    layout = found.get_create_plist()
    kind = layout.get_layout()
    if kind == h5py.h5d.VIRTUAL:
        raise Refused(f"{name.decode()} is a virtual dataset, which may lead elsewhere")
    if kind == h5py.h5d.CHUNKED or layout.get_nfilters():
        raise Refused(f"{name.decode()} is chunked or compressed; `h5repack -l CONTI -f NONE IN OUT` undoes it")
    if layout.get_external_count():
        raise Refused(f"{name.decode()} has its data in another file")
    return found
