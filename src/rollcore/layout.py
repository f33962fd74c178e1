"""Where the windows of pieces lie in a file: counted, not stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rollcore.roll import ROW_BYTES

__all__ = ["Layout"]


@dataclass(frozen=True, eq=False)
class Layout:
    """Windows over pieces of a file, by number: those of the first piece, then those of the second, and so on.

    Attributes
    ----------
    frames, offsets : int64 arrays of shape (pieces,)
        Frames of each piece, and the byte offset of its first one.
    planes : int
        Planes of a frame.
    length, hop, lead : int
        Frames of a window, frames from one to the next, frames by which a piece's first window starts early.
    partial : bool
        Whether the last windows of a piece may end after it.
    """

    frames: NDArray[np.int64]
    offsets: NDArray[np.int64]
    planes: int
    length: int
    hop: int = 1
    lead: int = 0
    partial: bool = False

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """For each piece the number of the window after its last: int64 of shape (pieces,)."""
        last_start = self.frames - (self.lead + 1 if self.partial else self.length)
        counts: NDArray[np.int64] = (last_start + self.lead) // self.hop + 1
        return np.cumsum(np.maximum(counts, 0))

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        return self.planes * ROW_BYTES

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def locate(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Say which piece each window is of, and at which of its frames it starts (negative within the lead).

        Parameters
        ----------
        indices
            int64 of shape (n,).

        Returns
        -------
        which, starts : int64 arrays of shape (n,)
            Places in the columns of the layout, and frames.

        Raises
        ------
        IndexError
            If an index is out of range.
        """
        outside = (indices < 0) | (indices >= len(self))
        if outside.any():
            raise IndexError(f"window {indices[outside][0]} is out of range: there are {len(self)}")
        which = np.searchsorted(self.ends, indices, side="right")
        firsts = np.where(which > 0, self.ends[which - 1], 0) if len(which) else which
        return which, (indices - firsts) * self.hop - self.lead
