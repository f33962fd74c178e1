"""The inner loops of batches, compiled by Numba on first use and cached on disk.

They take typed, contiguous arrays that are already checked and an output that is already allocated, run without
the GIL, and raise nothing. Uncompiled (`kernel.py_func`) they do the same, slowly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from rollcore.compiled import compiled

# The next windows lie anywhere in a mapped file: their first bytes are asked for this many windows early. The
# processor's own prefetcher follows from there.
WINDOWS_AHEAD = 4
BYTES_AHEAD = 2048
# Windows copied, then shifted while they are in the second level of cache.
WINDOWS_A_TURN = 64
CACHE_LINE = 64
# Pitches unpacked by one instruction or two.
LANES = 32

# Columns of a plan: byte offset of the window's first frame within its piece; frames before the piece; within it.
AT, BEFORE, FRAMES = 0, 1, 2

# Places are unsigned: a signed index may be negative, and the test for that costs LLVM its vectors.
_Place = int | np.uint64


def _prefetch(source: NDArray[np.uint8], at: int) -> None:
    """Ask for the cache line that holds ``source[at]``; out of bounds is harmless. Uncompiled: do nothing."""


def _emit_prefetch(typing_context: Any, source: Any, at: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        # For reading, as data, into the second level of cache: the first has few misses to spare at a time.
        builder.call(prefetch, [builder.gep(data, [arguments[1]]), flag(0), flag(2), flag(1)])
        return context.get_dummy_value()

    return types.void(source, types.intp), emit


def _spread(out: NDArray[Any], at: _Place, bits: np.uint64) -> None:
    """Write the lowest `LANES` bits to ``out[at:]``, one number a bit."""
    for k in range(LANES):
        out[int(at) + k] = bits >> np.uint64(k) & np.uint64(1)


def _emit_spread(typing_context: Any, out: Any, at: Any, bits: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lane = signature.args[0].dtype
        lanes = ir.VectorType(context.get_data_type(lane), LANES)
        mask = builder.bitcast(builder.trunc(arguments[2], ir.IntType(LANES)), ir.VectorType(ir.IntType(1), LANES))
        numbers = (builder.uitofp if isinstance(lane, types.Float) else builder.zext)(mask, lanes)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        target = builder.bitcast(builder.gep(data, [arguments[1]]), lanes.as_pointer())
        builder.store(numbers, target, align=lane.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(out, types.uintp, types.uint64), emit


# What LLVM does not find by itself in a loop: one instruction each. Uncompiled kernels call the plain functions.
_prefetch_at_once = intrinsic(_emit_prefetch)
_spread_at_once = intrinsic(_emit_spread)
overload(_prefetch)(lambda source, at: lambda source, at: _prefetch_at_once(source, at))
overload(_spread)(lambda out, at, bits: lambda out, at, bits: _spread_at_once(out, at, bits))


@compiled
def plan_windows(
    indices: NDArray[np.int64],
    firsts: NDArray[np.int64],
    ends: NDArray[np.int64],
    guide: NDArray[np.int64],
    guide_shift: int,
    frames: NDArray[np.int64],
    offsets: NDArray[np.int64],
    hop: int,
    lead: int,
    length: int,
    frame_bytes: int,
    begin: int,
    end: int,
    plan: NDArray[np.int64],
) -> int:
    """Say where windows `begin` to `end` of a batch lie; return the position of the first out of range, or -1."""
    windows = ends[len(ends) - 1] if len(ends) else 0
    for i in range(begin, end):
        index = indices[i]
        if index < 0 or index >= windows:
            return i
        # The piece is the number of ends at or below the index, and not far from where the guide points.
        bucket = index >> guide_shift
        piece = guide[bucket]
        span = guide[bucket + 1] - piece + 1
        while span > 1:
            half = span >> 1
            piece += half if ends[piece + half - 1] <= index else 0
            span -= half
        start = (index - firsts[piece]) * hop - lead
        first = max(start, 0)
        plan[i, AT] = offsets[piece] + first * frame_bytes
        plan[i, BEFORE] = first - start
        plan[i, FRAMES] = min(start + length, frames[piece]) - first
    return -1


@compiled
def _word(source: NDArray[np.uint8], at: _Place) -> np.uint64:
    """Read 8 bytes, little-endian, at any address: LLVM makes one load of it."""
    word = np.uint64(0)
    for byte in range(8):
        word |= np.uint64(source[at + np.uint64(byte)]) << np.uint64(8 * byte)
    return word


@compiled
def gather(
    source: NDArray[np.uint8],
    plan: NDArray[np.int64],
    begin: int,
    end: int,
    length: int,
    frame_bytes: int,
    out: NDArray[np.uint64],
) -> int:
    """Copy the windows of a plan from `begin` up to `end`.

    Returns the position of the first that leaves `source` or `out`, or -1. Handing an array on to a function would
    count a reference to it, atomically, and an atomic instruction holds up the loads of the windows to come.
    """
    frame_words = frame_bytes >> 3
    eight = np.uint64(8)
    for i in range(begin, end):
        ahead = i + WINDOWS_AHEAD
        if ahead < len(plan):
            near = min(BYTES_AHEAD, plan[ahead, FRAMES] * frame_bytes)
            for k in range(0, near, CACHE_LINE):
                _prefetch(source, plan[ahead, AT] + k)
        first, before, frames = plan[i, AT], plan[i, BEFORE], plan[i, FRAMES]
        if first < 0 or before < 0 or frames < 0 or before > length or frames > length - before:
            return i
        if frames * frame_bytes > len(source) - first:
            return i
        at = np.uint64(first)
        to = np.uint64((i * length + before) * frame_words)
        words = np.uint64(frames * frame_words)
        for k in range(np.uint64(i * length * frame_words), to):
            out[k] = np.uint64(0)
        for k in range(words):
            out[to + k] = _word(source, at + eight * k)
        for k in range(to + words, np.uint64((i + 1) * length * frame_words)):
            out[k] = np.uint64(0)
    return -1


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
def gather_shifted(
    source: NDArray[np.uint8],
    plan: NDArray[np.int64],
    begin: int,
    end: int,
    length: int,
    frame_bytes: int,
    out: NDArray[np.uint64],
    semitones: NDArray[np.int8],
) -> int:
    """Copy windows as `gather` does, and shift each by its own number of bits.

    In turns, a few windows at a time: shifting while copying would hold up the loads of the windows to come.
    """
    for few in range(begin, end, WINDOWS_A_TURN):
        last = min(few + WINDOWS_A_TURN, end)
        bad: int = gather(source, plan, few, last, length, frame_bytes, out)
        if bad >= 0:
            return bad
        shift(out, semitones, few, last, length * (frame_bytes >> 3))
    return -1


@compiled
def _from_bit(low: np.uint64, high: np.uint64, bit: _Place) -> np.uint64:
    """Return the 64 bits of a row from `bit` (below 128) upwards, zeros beyond its end."""
    if bit >= 64:
        return high >> (bit - np.uint64(64))
    return (low >> bit) | (high << np.uint64(1) << (np.uint64(63) - bit))


@compiled
def unpack(source: NDArray[np.uint8], low: int, pitches: int, out: NDArray[Any]) -> None:
    """Write pitches `low` onwards of each row, as many as `pitches`, one number each."""
    first, width, lanes = np.uint64(low), np.uint64(pitches), np.uint64(LANES)
    for row in range(np.uint64(len(source) >> 4)):
        at, to = np.uint64(16) * row, width * row
        lower, upper = _word(source, at), _word(source, at + np.uint64(8))
        lower, upper = _from_bit(lower, upper, first), _from_bit(upper, np.uint64(0), first)
        if width < lanes:
            for k in range(width):
                out[to + k] = (lower >> k) & np.uint64(1)
        else:
            # The last step ends with the row, over numbers that the one before has written already.
            for k in range(np.uint64(0), width - lanes, lanes):
                _spread(out, to + k, _from_bit(lower, upper, k))
            _spread(out, to + width - lanes, _from_bit(lower, upper, width - lanes))
