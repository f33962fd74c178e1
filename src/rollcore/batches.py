"""Batches of packed rows: gather windows, transpose, unpack.

What every training step runs. Nothing here locks: every call works on its own arrays, the kernels run without the
GIL, and the only shared state, a pool of idle threads, is replaced in a forked child.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numba.core.compiler_lock import global_compiler_lock
from numpy.typing import ArrayLike, DTypeLike, NDArray

from rollcore import _batches
from rollcore.roll import ROW_BYTES

PITCHES = 8 * ROW_BYTES

# Looking a type up costs more than comparing two.
_UINT8, _UINT64, _FLOAT32 = np.dtype(np.uint8), np.dtype(np.uint64), np.dtype(np.float32)

# A part smaller than this is done before a second thread has woken up.
_MIN_BYTES_PER_THREAD = 1 << 17

# Numba's own parallel layers abort when used after a fork or from two threads at once. An idle pool has no threads.
_pool = ThreadPoolExecutor(os.cpu_count(), "rollcore")


def _after_fork() -> None:
    """Make a pool that has its threads: the parent's did not survive the fork."""
    global _pool
    global_compiler_lock.release()
    _pool = ThreadPoolExecutor(os.cpu_count(), "rollcore")


# A child must not find the compiler locked by a thread that it does not have.
os.register_at_fork(
    before=global_compiler_lock.acquire,
    after_in_parent=global_compiler_lock.release,
    after_in_child=_after_fork,
)


def plan_windows(
    indices: NDArray[np.int64],
    firsts: NDArray[np.int64],
    ends: NDArray[np.int64],
    guide: NDArray[np.int64],
    guide_shift: int,
    frames: NDArray[np.int64],
    offsets: NDArray[np.int64],
    *,
    length: int,
    hop: int,
    lead: int,
    frame_bytes: int,
    threads: int = 1,
) -> NDArray[np.int64]:
    """Say where windows lie in the file that holds their pieces.

    Parameters
    ----------
    indices
        Windows, integers of shape (n,), counted over all pieces.
    firsts, ends
        int64, one a piece: the number of its first window, and the one after its last.
    guide, guide_shift
        int64, one for every ``2**guide_shift`` windows and one more: the piece that the first of them is of.
    frames, offsets
        int64, one a piece: its frames, and the byte offset of the first.
    length, hop, lead
        Frames of a window, frames from one to the next, frames by which the first starts early.
    frame_bytes
        Bytes of a frame.
    threads
        Threads to share a large batch out to.

    Returns
    -------
    int64 array of shape (n, 3)
        For each window the byte offset of its first frame within the piece, how many frames lie before the piece,
        and how many within it.

    Raises
    ------
    IndexError
        If an index is no integer from 0 to the number of windows less one.
    """
    plan = np.empty((len(indices), 3), np.int64)

    def work(begin: int, end: int) -> Any:
        return _batches.plan_windows(
            indices, firsts, ends, guide, guide_shift, frames, offsets, hop, lead, length, frame_bytes, begin, end, plan
        )

    bad = _share_out(work, len(indices), 64 * len(indices), threads)
    if bad >= 0:
        raise IndexError(f"window {indices[bad]} is out of range: there are {ends[-1] if len(ends) else 0}")
    return plan


def gather(
    source: NDArray[np.uint8],
    plan: NDArray[np.int64],
    *,
    length: int,
    planes: int,
    out: NDArray[np.uint8] | None = None,
    semitones: ArrayLike | None = None,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Copy windows out of a mapped file, transposed if wanted, zero wherever the piece has no frame.

    Parameters
    ----------
    source
        uint8 of shape (bytes,): the file.
    plan
        Where the windows lie, as from :func:`plan_windows`.
    length, planes
        Frames of a window, planes of a frame.
    out
        uint8, C-contiguous, of the shape below and 8-byte aligned (NumPy's own arrays are): written and returned.
        A fresh array costs page faults, about as much as the copy itself where it is large.
    semitones
        One number a window, or one for all: notes move up by so many pitches, down if negative.
        A note that leaves 0..127 is lost.
    threads
        Threads to share a large batch out to.

    Returns
    -------
    uint8 array of shape (n, length, planes, 16)

    Raises
    ------
    ValueError
        If `out` does not fit, a shift is beyond -127..127, or the plan leaves the file.
    """
    shape = (len(plan), length, planes, ROW_BYTES)
    frame_bytes = planes * ROW_BYTES
    if source.flags.writeable:
        # One specialisation of the kernel: for sources that are read-only.
        source = source.view()
        source.flags.writeable = False
    if out is None:
        out = np.empty(shape, np.uint8)
    elif not _fits(out, shape, _UINT8):
        raise ValueError(f"out: expected writable, C-contiguous uint8 {shape}, found {_told(out)}")
    words = out.reshape(-1).view(_UINT64)
    if not words.flags.aligned:
        raise ValueError("out: expected an array that begins at a multiple of 8 bytes")
    shifts = None if semitones is None else _shifts(semitones, len(plan))

    def work(begin: int, end: int) -> Any:
        if shifts is None:
            return _batches.gather(source, plan, begin, end, length, frame_bytes, words)
        return _batches.gather_shifted(source, plan, begin, end, length, frame_bytes, words, shifts)

    bad = _share_out(work, len(plan), out.nbytes, threads)
    if bad >= 0:
        raise ValueError(f"window {bad} of the batch leaves the file of {source.size} bytes; open the dataset again")
    return out


def transpose(rows: NDArray[np.uint8], semitones: ArrayLike) -> NDArray[np.uint8]:
    """Move every note by some semitones; a note that leaves 0..127 is lost.

    Parameters
    ----------
    rows
        Packed rows, uint8 of shape (..., 16).
    semitones
        An integer, or integers of shape (n,), one for each ``rows[i]``. Positive is up.

    Returns
    -------
    uint8 array of the shape of `rows`
        A copy. Pitch p of the copy is pitch ``p - semitones`` of `rows`.

    Raises
    ------
    ValueError
        If `rows` or `semitones` have another shape or dtype, or a shift is beyond -127..127.

    Examples
    --------
    >>> middle_c = np.zeros(16, np.uint8)
    >>> middle_c[60 >> 3] = 1 << (60 & 7)
    >>> np.flatnonzero(unpack(transpose(middle_c, 7)))
    array([67])
    """
    rows = _packed(rows)
    if np.ndim(semitones) and rows.ndim == 1:
        raise ValueError("semitones: one row takes one number")
    count = len(rows) if np.ndim(semitones) else 1
    out = np.array(rows, order="C")
    shifts = _shifts(semitones, count)
    _batches.shift(out.reshape(-1).view(_UINT64), shifts, 0, count, out.size // 8 // max(count, 1))
    return out


def unpack(
    rows: NDArray[np.uint8],
    low: int = 0,
    high: int = 127,
    dtype: DTypeLike = np.uint8,
    *,
    out: NDArray[Any] | None = None,
    threads: int = 1,
) -> NDArray[Any]:
    """Unpack rows to one number a pitch: ``np.unpackbits(rows, axis=-1, bitorder="little")[..., low : high + 1]``.

    Parameters
    ----------
    rows
        Packed rows, uint8 of shape (..., 16).
    low, high
        First and last pitch wanted, 0 to 127.
    dtype
        ``np.uint8`` or ``np.float32``.
    out
        Array of the shape and dtype below, C-contiguous: written and returned.
    threads
        Threads to share a large array out to.

    Returns
    -------
    array of shape (..., high - low + 1)
        0 or 1.

    Raises
    ------
    ValueError
        If `rows`, the range, `dtype` or `out` is none of the above.

    Examples
    --------
    >>> unpack(np.array([0b101] + 15 * [0], np.uint8), 0, 3, np.float32)
    array([1., 0., 1., 0.], dtype=float32)
    """
    rows = _packed(rows)
    dtype = np.dtype(dtype)
    if not 0 <= low <= high < PITCHES:
        raise ValueError(f"pitches {low} to {high}: expected 0 <= low <= high <= {PITCHES - 1}")
    if dtype not in (_UINT8, _FLOAT32):
        raise ValueError(f"dtype {dtype}: expected uint8 or float32")
    shape = (*rows.shape[:-1], high - low + 1)
    if out is None:
        out = np.empty(shape, dtype)
    elif not _fits(out, shape, dtype):
        raise ValueError(f"out: expected writable, C-contiguous {dtype} {shape}, found {_told(out)}")
    source = rows.reshape(-1)
    source.flags.writeable = False
    numbers, width = out.reshape(-1), high - low + 1

    def work(begin: int, end: int) -> int:
        _batches.unpack(source[ROW_BYTES * begin : ROW_BYTES * end], low, width, numbers[width * begin : width * end])
        return -1

    _share_out(work, source.size // ROW_BYTES, out.nbytes, threads)
    return out


def pack(roll: ArrayLike, low: int = 0) -> NDArray[np.uint8]:
    """Pack one number a pitch into rows: the inverse of :func:`unpack`.

    Parameters
    ----------
    roll
        Array of shape (..., pitches) that holds 0 and 1, or bool: threshold probabilities, or draw from them, first.
    low
        Pitch of the first column; 21 for the 88 keys of a piano.

    Returns
    -------
    uint8 array of shape (..., 16)
        To be rows for :func:`rollcore.midi_from_roll`, a roll needs an axis of planes: ``pack(roll[:, None], 21)``.

    Raises
    ------
    ValueError
        If there is another number in `roll`, or the pitches leave 0 to 127.

    Examples
    --------
    >>> np.array_equal(pack(unpack(np.arange(32, dtype=np.uint8).reshape(2, 16))), np.arange(32).reshape(2, 16))
    True
    >>> pack([[1, 0, 0, 1]], low=4)[0, :2]
    array([144,   0], dtype=uint8)
    """
    numbers = np.asarray(roll)
    pitches = numbers.shape[-1] if numbers.ndim else 0
    if not 0 <= low <= PITCHES - pitches or not pitches:
        raise ValueError(f"{pitches} pitches from {low}: expected at least one, and all from 0 to {PITCHES - 1}")
    sounding = numbers.astype(bool)
    if not np.array_equal(sounding, numbers):
        raise ValueError("roll: expected nothing but 0 and 1; compare probabilities with a threshold first")
    bits = np.zeros((*numbers.shape[:-1], PITCHES), bool)
    bits[..., low : low + pitches] = sounding
    return np.packbits(bits, axis=-1, bitorder="little")


def _packed(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array = np.asarray(rows)
    if array.dtype != _UINT8 or array.ndim == 0 or array.shape[-1] != ROW_BYTES:
        raise ValueError(f"rows: expected uint8 (..., {ROW_BYTES}), found {_told(array)}")
    return array


def _shifts(semitones: ArrayLike, count: int) -> NDArray[np.int8]:
    """Check shifts and copy them into int8 of shape (count,)."""
    array = np.array(semitones)
    if array.dtype.kind not in "iu" and array.size:
        raise ValueError(f"semitones: expected integers, found {array.dtype}")
    if array.size and not -PITCHES < int(array.min()) <= int(array.max()) < PITCHES:
        raise ValueError(f"semitones: expected -127 to 127, found {array.min()} to {array.max()}")
    array = array.astype(np.int8, copy=False)
    if array.ndim == 0:
        return np.full(count, array)
    if array.shape != (count,):
        raise ValueError(f"semitones: expected one number, or shape ({count},), found shape {array.shape}")
    return array


def _fits(out: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    flags = out.flags
    return out.shape == shape and out.dtype == dtype and flags.c_contiguous and flags.writeable


def _told(array: NDArray[Any]) -> str:
    kind = "" if array.flags.c_contiguous else "strided "
    return f"{'' if array.flags.writeable else 'read-only '}{kind}{array.dtype} {array.shape}"


def _share_out(work: Callable[[int, int], int], count: int, size: int, threads: int) -> int:
    """Run ``work(begin, end)`` over `count` items of `size` bytes; return the first position it found bad, or -1."""
    parts = max(1, min(threads, count, size // _MIN_BYTES_PER_THREAD))
    if parts == 1:
        return work(0, count)
    spans = list(pairwise(count * part // parts for part in range(parts + 1)))
    others = [_pool.submit(work, *span) for span in spans[1:]]
    found = [work(*spans[0]), *(other.result() for other in others)]
    return min((bad for bad in found if bad >= 0), default=-1)
