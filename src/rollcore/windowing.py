"""Training windows: strided views of one piece, or every window of a dataset by number.

Windows never cross pieces. They are counted, not stored: ten million of them take as much memory as the table of
their pieces.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rollcore import batches
from rollcore.errors import RollcoreError
from rollcore.layout import Layout
from rollcore.roll import ROW_BYTES

if TYPE_CHECKING:
    from rollcore.dataset import Dataset


class Windows:
    """Every window of the pieces of a dataset, or of some of them, by number; see :func:`windows`.

    Reading takes no locks: threads may share one object, forked workers inherit it, and a pickled one reopens the
    dataset by its path. Views and batches stay valid after the dataset and this object are gone.

    Attributes
    ----------
    dataset : Dataset
        Where the frames are.
    length, hop, lead : int
        Frames of a window, frames from one to the next, frames by which a piece's first window starts early.
    pieces : int64 array
        The pieces these are of, in order; read-only.
    split : str or None
        The split whose pieces these are; None for all, or for those that were chosen.
    partial : bool
        Whether the last windows of a piece may end after it.
    """

    def __init__(
        self,
        dataset: Dataset,
        length: int,
        *,
        hop: int = 1,
        split: str | None = None,
        pieces: ArrayLike | None = None,
        lead: int = 0,
        partial: bool = False,
    ) -> None:
        if not hasattr(dataset, "map_for_windows"):
            found = type(dataset).__name__
            raise TypeError(f"windows are of an array of rows or of what open_dataset returns, not of a {found}")
        self.dataset = dataset
        self.length = _at_least("length", length, 1)
        self.hop = _at_least("hop", hop, 1)
        self.lead = _at_least("lead", lead, 0)
        self.split = split
        self.partial = bool(partial)
        if self.lead >= self.length:
            raise ValueError(f"lead {self.lead}: expected fewer frames than the window's {self.length}")
        self._mapped = dataset.map_for_windows()
        self._named = pieces is not None
        self.pieces = _pieces(dataset, split, pieces)
        self.pieces.setflags(write=False)
        self._layout = Layout(
            dataset.pieces["frames"][self.pieces].astype(np.int64),
            dataset.pieces["offset"][self.pieces].astype(np.int64),
            len(dataset.planes),
            self.length,
            self.hop,
            self.lead,
            self.partial,
        )

    def __len__(self) -> int:
        return len(self._layout)

    def __repr__(self) -> str:
        return (
            f"<Windows {len(self)} of {self.length} frames, hop {self.hop}, lead {self.lead}"
            f"{', partial' if self.partial else ''}, {self.split or f'{len(self.pieces)} pieces'} "
            f"of {self.dataset.path.name}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        named = self.pieces if self._named else None
        return _reopen, (self.dataset, self.length, self.hop, self.split, named, self.lead, self.partial)

    def __getitem__(self, index: SupportsIndex) -> NDArray[np.uint8]:
        """Return one window, read-only uint8 of shape (length, planes, 16).

        A view of the mapped file if it lies within its piece, else a copy padded with zeros. A negative index
        counts from the end.
        """
        number = operator.index(index)
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(f"window {operator.index(index)} is out of range: there are {len(self)}")
        located = self._layout.locate(np.array([number]))
        which, start = int(located[0][0]), int(located[1][0])
        rows = self.dataset.rows(int(self.pieces[which]))
        first, last = max(start, 0), min(start + self.length, len(rows))
        rows = rows[first:last]
        if len(rows) < self.length:
            window = np.zeros((self.length, *rows.shape[1:]), np.uint8)
            window[first - start : last - start] = rows
            window.flags.writeable = False
            return window
        return rows

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return map(self.__getitem__, range(len(self)))

    def locate(self, indices: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Say which piece each window is of, and at which of its frames it starts (negative within the lead).

        Parameters
        ----------
        indices
            Integers of shape (n,), each from 0 to ``len(self) - 1``.

        Returns
        -------
        pieces, starts : int64 arrays of shape (n,)
            Indices into ``dataset.pieces``, and frames.

        Raises
        ------
        IndexError
            If an index is out of range.
        """
        which, starts = self._layout.locate(_indices(indices))
        return self.pieces[which], starts

    def valid(self, indices: ArrayLike) -> NDArray[np.bool_]:
        """Say which frames of windows are of the piece, and not padding; bool of shape (n, length)."""
        which, starts = self._layout.locate(_indices(indices))
        frames = starts[:, None] + np.arange(self.length)
        within: NDArray[np.bool_] = (frames >= 0) & (frames < self._layout.frames[which, None])
        return within

    def gather(
        self,
        indices: ArrayLike,
        *,
        out: NDArray[np.uint8] | None = None,
        semitones: ArrayLike | None = None,
        threads: int = 1,
    ) -> NDArray[np.uint8]:
        """Copy windows into one batch, transposed if wanted, zero wherever the piece has no frame.

        Parameters
        ----------
        indices
            Integers of shape (n,), in any order, repeated at will.
        out
            uint8, C-contiguous, of the shape below: written and returned. A fresh array costs page faults.
        semitones
            One integer a window, or one for all: notes move up by so many semitones, down if negative.
            A note that leaves 0..127 is lost.
        threads
            Threads that read: two wait for a cold disk together. One keeps a training step fed from memory.

        Returns
        -------
        uint8 array of shape (n, length, planes, 16)

        Raises
        ------
        IndexError
            If an index is out of range.
        ValueError
            If `out` or `semitones` does not fit.
        """
        return batches.gather(
            self._mapped, self._layout, _indices(indices), out=out, semitones=semitones, threads=threads
        )


@overload
def windows(source: NDArray[np.uint8], length: int, *, hop: int = 1) -> NDArray[np.uint8]: ...
@overload
def windows(
    source: Dataset,
    length: int,
    *,
    hop: int = 1,
    split: str | None = None,
    pieces: ArrayLike | None = None,
    lead: int = 0,
    partial: bool = False,
) -> Windows: ...
def windows(
    source: NDArray[np.uint8] | Dataset,
    length: int,
    *,
    hop: int = 1,
    split: str | None = None,
    pieces: ArrayLike | None = None,
    lead: int = 0,
    partial: bool = False,
) -> NDArray[np.uint8] | Windows:
    """Cut rows into windows of equal length without copying.

    Parameters
    ----------
    source
        The rows of one piece, uint8 of shape (frames, planes, 16); or a dataset.
    length
        Frames of a window.
    hop
        Frames from the start of one window to the start of the next.
    split
        Only the pieces of this split: ``"train"``, ``"validation"`` or ``"test"``. Datasets only, as what follows.
    pieces
        Only these pieces, by number, instead of a split; in this order, and as often as they are named.
    lead
        Start the first window of a piece so many frames before the piece, fewer than `length`. Such frames are zero.
    partial
        Keep windows that end after the piece, padded with zeros, while some frame of the piece stands at `lead` or
        later in them. Otherwise a piece's last window ends within it.

    Returns
    -------
    read-only uint8 view of shape (n, length, planes, 16), or Windows
        For rows, ``result[i]`` is ``source[i * hop : i * hop + length]``, and n is 0 if the piece is too short.

    Raises
    ------
    TypeError
        If `source` is neither an array nor a dataset.
    ValueError
        If a number is out of range, an array is none of rows, or both a split and pieces are given.
    RollcoreError
        If there is no such split or piece.

    Examples
    --------
    >>> rows = np.arange(5 * 16, dtype=np.uint8).reshape(5, 1, 16)
    >>> view = windows(rows, 3, hop=2)
    >>> view.shape, np.shares_memory(view, rows), view.flags.writeable
    ((2, 3, 1, 16), True, False)
    """
    if not isinstance(source, np.ndarray):
        return Windows(source, length, hop=hop, split=split, pieces=pieces, lead=lead, partial=partial)
    if split is not None or pieces is not None or lead or partial:
        raise ValueError("split, pieces, lead and partial: for datasets only; a view of an array cannot be padded")
    length, hop = _at_least("length", length, 1), _at_least("hop", hop, 1)
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[-1] != ROW_BYTES:
        raise ValueError(f"rows: expected uint8 (frames, planes, {ROW_BYTES}), found {source.dtype} {source.shape}")
    count = max(0, (len(source) - length) // hop + 1)
    frame, *rest = source.strides
    return np.lib.stride_tricks.as_strided(
        np.asarray(source),
        (count, length, *source.shape[1:]),
        (frame * hop, frame, *rest),
        writeable=False,
    )


def _pieces(dataset: Dataset, split: str | None, pieces: ArrayLike | None) -> NDArray[np.int64]:
    """Return the pieces of a split, those that are named, or all."""
    if pieces is None:
        return np.arange(len(dataset)) if split is None else dataset.split(split)
    if split is not None:
        raise ValueError("give a split or pieces, not both")
    chosen = _indices(pieces, "pieces")
    outside = (chosen < 0) | (chosen >= len(dataset))
    if outside.any():
        raise RollcoreError(f"{dataset.path}: no piece {chosen[outside][0]}; it has {len(dataset)}, counted from 0")
    return chosen


def _indices(indices: ArrayLike, name: str = "window indices") -> NDArray[np.int64]:
    array = np.array(indices)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise IndexError(f"{name}: expected integers of shape (n,), found {array.dtype} {array.shape}")
    if array.dtype == np.uint64:  # what is too large for int64 stays too large
        array = np.minimum(array, np.uint64(np.iinfo(np.int64).max))
    return array.astype(np.int64, copy=False)


def _at_least(name: str, value: int, least: int) -> int:
    number = operator.index(value)
    if number < least:
        raise ValueError(f"{name} {number}: expected at least {least}")
    return number


def _reopen(
    dataset: Dataset, length: int, hop: int, split: str | None, named: ArrayLike | None, lead: int, partial: bool
) -> Windows:
    return Windows(dataset, length, hop=hop, split=split, pieces=named, lead=lead, partial=partial)
