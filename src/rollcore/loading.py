"""Members of an input, read and quantised: the half of a build that needs to know nothing of the other members."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from rollcore import _roll
from rollcore.hdf5 import NotRegular, open_regular
from rollcore.roll import RECORD_DTYPE, RollOptions
from rollcore.sources.inputs import Batch

__all__ = ["READS_PATHS", "ROOM_BYTES", "STATUS_GIVEN", "Loaded", "Loader", "rest_of"]

STATUS_GIVEN = 100
"""Status of a member whose reason came with it."""

READS_PATHS = os.name != "nt"
"""Whether the kernel opens files itself: not on Windows, where the names that C knows are not in UTF-8."""
ROOM_BYTES = 32 << 20

_OUT_OF_MEMORY = 3, _roll.STATUS_NO_MEMORY  # the parser's and the quantiser's


@dataclass(eq=False, repr=False)
class Loaded:
    """Members that are parsed and quantised, and the kernel that holds their notes.

    Attributes
    ----------
    names
        Their names.
    reasons
        Why a member cannot be read, where that was known before.
    kernel
        What paints them.
    records
        What is known of each, of `RECORD_DTYPE`.
    rest
        Members of the batch that found no room, to be loaded next; None where there are none.
    keep
        Which members are to be painted, uint8; decided by the ledger.
    """

    names: list[bytes]
    reasons: list[str | None]
    kernel: _roll.Batch
    records: NDArray[np.void]
    rest: Batch | None
    keep: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def paint(self, room: int) -> Iterator[memoryview]:
        """Give the rows of the members that are kept, as many whole pieces at a time as fit into `room` bytes.

        At least one piece; its bytes are valid until the next.
        """
        records = self.records.view(np.uint8)
        while rows := self.kernel.paint(records, self.keep, room):
            yield rows
        rows.release()


class Loader:
    """Read and quantise a batch of members; may be called from several threads, and pickled.

    Parameters
    ----------
    options
        How notes become rows.
    """

    def __init__(self, options: RollOptions) -> None:
        self.options = options
        self._spare: list[_roll.Batch] = []

    def __call__(self, batch: Batch) -> Loaded:
        """Load as many members of a batch as there is room for, at least one.

        Raises
        ------
        MemoryError
            If there is not enough memory for one of them. That says nothing of the file, so it is not a reason to skip
            it.
        StorageError
            If a file is in storage and cannot be fetched.
        """
        batch.bring()
        try:
            kernel = self._spare.pop()
        except IndexError:
            kernel = self.options.kernel()
        from_disk = batch.paths is not None and READS_PATHS
        members = batch.paths if batch.paths is not None else batch.contents()
        records = np.zeros(len(batch.names), RECORD_DTYPE)
        for i, reason in enumerate(batch.reasons):
            if reason is not None:
                records["status"][i] = STATUS_GIVEN
        if batch.paths is not None and not from_disk:
            members = _read(batch.paths, records)
            records = records[: len(members)]
        # rollcore.dataset.digest without its call: there are three for each file.
        count = kernel.load(members, from_disk, records.view(np.uint8), xxhash.xxh3_128_digest)
        records = records[:count]
        status = records["status"]
        if status.any():  # most batches have none
            unread = (status == _roll.STATUS_IO) & (records["error"] == errno.ENOMEM)
            if (np.isin(status, _OUT_OF_MEMORY) | unread).any():
                raise MemoryError
        rest = None
        if count < len(batch.names):
            rest = rest_of(batch, count)
        loaded = Loaded(batch.names[:count], batch.reasons[:count], kernel, records, rest)
        batch.blobs = None if batch.blobs is None else []  # the contents are not needed any more
        return loaded

    def reuse(self, loaded: Loaded) -> None:
        """Take a painted batch's kernel back: its memory serves the next one."""
        loaded.kernel.reset()
        self._spare.append(loaded.kernel)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.options,)


def _read(paths: list[bytes], records: NDArray[np.void]) -> list[bytes]:
    """Read files as the kernel does where it can: as many as there is room for, at least one."""
    contents: list[bytes] = []
    held = 0
    for path, record in zip(paths, records, strict=True):
        content = b""
        if record["status"] == 0:
            try:
                with open_regular(os.fsdecode(path)) as fd, os.fdopen(os.dup(fd), "rb") as file:
                    if os.fstat(fd).st_size > _roll.MAX_FILE_BYTES:
                        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                    content = file.read(_roll.MAX_FILE_BYTES)
            except (NotRegular, IsADirectoryError):
                record["status"], record["error"] = _roll.STATUS_IO, errno.EINVAL
            except OSError as error:
                record["status"], record["error"] = _roll.STATUS_IO, error.errno or errno.EIO
        contents.append(content)
        held += len(content)
        if held > ROOM_BYTES:
            break
    return contents


def rest_of(batch: Batch, first: int) -> Batch:
    """Return the members of a batch from number `first` on."""
    return Batch(
        names=batch.names[first:],
        paths=None if batch.paths is None else batch.paths[first:],
        blobs=None if batch.blobs is None else batch.blobs[first:],
        reasons=batch.reasons[first:],
    )
