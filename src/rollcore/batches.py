"""Batches of packed rows: gather windows, transpose, unpack.

What every training step runs. Nothing here locks and nothing is shared: every call works on its own arrays, and the
kernels run without the GIL.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from rollcore import _batches
from rollcore.layout import Layout
from rollcore.roll import ROW_BYTES

PITCHES = 8 * ROW_BYTES

# The eight numbers that the bits of a byte stand for, as bytes, for each byte and each type.
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_NUMBERS = {np.dtype(kind): _BITS.astype(kind).view(np.uint8) for kind in (np.uint8, np.bool_, np.float32, np.float16)}


def gather(
    source: NDArray[np.uint8],
    layout: Layout,
    indices: NDArray[np.int64],
    *,
    out: NDArray[np.uint8] | None = None,
    semitones: ArrayLike | None = None,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Copy windows out of a mapped file, transposed if wanted, zero wherever the piece has no frame.

    Parameters
    ----------
    source
        uint8 of shape (bytes,): the file.
    layout
        Where its pieces and their windows lie.
    indices
        Windows, integers of shape (n,).
    out
        uint8, C-contiguous, of the shape below and 8-byte aligned (NumPy's own arrays are): written and returned.
        A fresh array costs page faults, about as much as the copy itself where it is large.
    semitones
        One number a window, or one for all: notes move up by so many pitches, down if negative.
        A note that leaves 0..127 is lost.
    threads
        Threads that read: two wait for a cold disk together. One keeps a training step fed from memory.

    Returns
    -------
    uint8 array of shape (n, length, planes, 16)

    Raises
    ------
    IndexError
        If there is no such window.
    ValueError
        If `out` does not fit, a shift is beyond -127..127, or a window leaves the file.
    """
    which, starts = layout.locate(indices)
    shape = (len(indices), layout.length, layout.planes, ROW_BYTES)
    if out is None:
        out = np.empty(shape, np.uint8)
    elif not _fits(out, shape, np.dtype(np.uint8)):
        raise ValueError(f"out: expected writable, C-contiguous uint8 {shape}, found {_told(out)}")
    if not out.reshape(-1).view(np.uint64).flags.aligned:
        raise ValueError("out: expected an array that begins at a multiple of 8 bytes")
    shifts = None if semitones is None else _shifts(semitones, len(indices))
    firsts = np.maximum(starts, 0)
    at = layout.offsets[which] + firsts * layout.frame_bytes
    before = (firsts - starts) * layout.frame_bytes
    within = (np.minimum(starts + layout.length, layout.frames[which]) - firsts) * layout.frame_bytes
    if len(indices) and (at.min() < 0 or within.min() < 0 or (within > source.size - at).any()):
        raise ValueError(f"windows leave the file of {source.size} bytes; open the dataset again")
    window = layout.length * layout.frame_bytes

    def work(begin: int, end: int) -> None:
        _batches.gather(source, at, before, within, window, begin, end, shifts, out.reshape(-1))

    parts = max(1, min(threads, len(indices)))
    if parts == 1:
        work(0, len(indices))
    else:
        spans = list(pairwise(len(indices) * part // parts for part in range(parts + 1)))
        with ThreadPoolExecutor(parts) as pool:
            for done in [pool.submit(work, *span) for span in spans]:
                done.result()
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
    _batches.shift(out.reshape(-1).view(np.uint64), shifts, 0, count, out.size // 8 // max(count, 1))
    return out


def unpack(
    rows: NDArray[np.uint8],
    low: int = 0,
    high: int = 127,
    dtype: DTypeLike = np.uint8,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Unpack rows to one number a pitch: ``np.unpackbits(rows, axis=-1, bitorder="little")[..., low : high + 1]``.

    Parameters
    ----------
    rows
        Packed rows, uint8 of shape (..., 16).
    low, high
        First and last pitch wanted, 0 to 127.
    dtype
        ``np.uint8``, ``bool``, ``np.float32`` or ``np.float16``.
    out
        Array of the shape and dtype below, C-contiguous: written and returned.

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
    if dtype not in _NUMBERS:
        raise ValueError(f"dtype {dtype}: expected uint8, bool, float32 or float16")
    shape = (*rows.shape[:-1], high - low + 1)
    if out is None:
        out = np.empty(shape, dtype)
    elif not _fits(out, shape, dtype):
        raise ValueError(f"out: expected writable, C-contiguous {dtype} {shape}, found {_told(out)}")
    # A copy where the rows are strided or lie at an odd address.
    words = np.require(rows.reshape(-1).view(np.uint64), requirements="A")
    _batches.unpack(words, low, high - low + 1, _NUMBERS[dtype], out.reshape(-1).view(np.uint8))
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
    if array.dtype != np.uint8 or array.ndim == 0 or array.shape[-1] != ROW_BYTES:
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
