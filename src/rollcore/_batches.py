"""The inner loops of batches, compiled by Numba on first use and cached on disk.

They take typed, contiguous arrays that are already checked and an output that is already allocated, run without
the GIL, and raise nothing. Uncompiled (`kernel.py_func`) they do the same, slowly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollcore.compiled import compiled

# Places are unsigned: a signed index may be negative, and the test for that costs LLVM its vectors.
_Place = int | np.uint64


@compiled
def gather(
    source: NDArray[np.uint8],
    at: NDArray[np.int64],
    before: NDArray[np.int64],
    within: NDArray[np.int64],
    size: int,
    begin: int,
    end: int,
    out: NDArray[np.uint8],
) -> None:
    """Copy windows `begin` to `end` of `size` bytes: `before` of zeros, `within` from ``source[at:]``, then zeros."""
    for i in range(begin, end):
        start, stop = np.uint64(i * size), np.uint64((i + 1) * size)
        first, last = start + np.uint64(before[i]), start + np.uint64(before[i] + within[i])
        there = np.uint64(at[i])
        for k in range(start, first):
            out[k] = np.uint8(0)
        for k in range(last - first):
            out[first + k] = source[there + k]
        for k in range(last, stop):
            out[k] = np.uint8(0)


@compiled
def shift(words: NDArray[np.uint64], semitones: NDArray[np.int8], begin: int, end: int, size: int) -> None:
    """Shift the rows of windows of `size` words in place, each row two words; what passes either end is lost."""
    zero, one = np.uint64(0), np.uint64(1)
    rows = np.uint64(size >> 1)
    for i in range(begin, end):
        first, by = np.uint64(i * size), int(semitones[i])
        if by <= -128:
            for k in range(np.uint64(size)):
                words[first + k] = zero
        elif by <= -64:
            down = np.uint64(-by - 64)
            for row in range(rows):
                at = first + (row << one)
                words[at], words[at + one] = words[at + one] >> down, zero
        elif by < 0:
            # The carry goes in two steps: one by 64 would be undefined.
            down, carry = np.uint64(-by), np.uint64(63 + by)
            for row in range(rows):
                at = first + (row << one)
                low, high = words[at], words[at + one]
                words[at], words[at + one] = (low >> down) | (high << carry << one), high >> down
        elif by >= 64:
            up = np.uint64(by - 64)
            for row in range(rows):
                at = first + (row << one)
                words[at], words[at + one] = zero, words[at] << up
        elif by > 0:
            up, carry = np.uint64(by), np.uint64(63 - by)
            for row in range(rows):
                at = first + (row << one)
                low, high = words[at], words[at + one]
                words[at], words[at + one] = low << up, (high << up) | (low >> carry >> one)


@compiled
def _from_bit(low: np.uint64, high: np.uint64, bit: _Place) -> np.uint64:
    """Return the 64 bits of a row from `bit` (below 128) upwards, zeros beyond its end."""
    if bit >= 64:
        return high >> (bit - np.uint64(64))
    return (low >> bit) | (high << np.uint64(1) << (np.uint64(63) - bit))


@compiled
def unpack(words: NDArray[np.uint64], low: int, pitches: int, out: NDArray[Any]) -> None:
    """Write pitches `low` onwards of each row of two words, as many as `pitches`, one number each."""
    first, width = np.uint64(low), np.uint64(pitches)
    one, half = np.uint64(1), np.uint64(64)
    for row in range(np.uint64(len(words) >> 1)):
        to = width * row
        lower, upper = words[row << one], words[(row << one) + one]
        lower, upper = _from_bit(lower, upper, first), _from_bit(upper, np.uint64(0), first)
        for k in range(min(width, half)):
            out[to + k] = (lower >> k) & one
        for k in range(half, width):
            out[to + k] = (upper >> (k - half)) & one
