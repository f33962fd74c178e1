"""Gather, transpose and unpack against loops over bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rollcore
from oracles_windows import transposed, unpacked
from rollcore import batches
from rollcore.layout import Layout

ROWS = arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 2), st.just(16)))


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@settings(deadline=None, max_examples=100)
@given(ROWS, st.integers(-127, 127))
def test_transpose_moves_every_note(rows, semitones):
    before = rows.copy()
    moved = rollcore.transpose(rows, semitones)
    assert np.array_equal(moved, transposed(rows, semitones))
    assert np.array_equal(rows, before)
    assert not np.shares_memory(moved, rows)


@settings(deadline=None)
@given(ROWS, st.integers(-24, 24))
def test_transpose_is_a_shift_of_the_unpacked_pitches(rows, semitones):
    bits = np.unpackbits(rows, axis=-1, bitorder="little")
    rolled = np.roll(bits, semitones, axis=-1)
    if semitones >= 0:
        rolled[..., :semitones] = 0
    else:
        rolled[..., semitones:] = 0
    assert np.array_equal(rollcore.transpose(rows, semitones), np.packbits(rolled, axis=-1, bitorder="little"))


@settings(deadline=None)
@given(ROWS, st.integers(-24, 24))
def test_there_and_back_loses_only_what_fell_off(rows, semitones):
    back = rollcore.unpack(rollcore.transpose(rollcore.transpose(rows, semitones), -semitones))
    expected = rollcore.unpack(rows)
    if semitones > 0:
        expected[..., 128 - semitones :] = 0
    elif semitones < 0:
        expected[..., :-semitones] = 0
    assert np.array_equal(back, expected)


@pytest.mark.parametrize("semitones", [0, 1, 7, 63, 64, 65, 127, -1, -7, -63, -64, -65, -127])
def test_every_way_to_shift(semitones):
    rows = np.random.default_rng(semitones + 200).integers(0, 256, (30, 16), dtype=np.uint8)
    assert np.array_equal(rollcore.transpose(rows, semitones), transposed(rows, semitones))


def test_one_shift_for_each():
    rows = np.random.default_rng(1).integers(0, 256, (7, 5, 2, 16), dtype=np.uint8)
    shifts = np.array([-24, -1, 0, 3, 24, -127, 127], np.int8)
    moved = rollcore.transpose(rows, shifts)
    for k, shift in enumerate(shifts.tolist()):
        assert np.array_equal(moved[k], transposed(rows[k], shift))
    assert np.array_equal(rollcore.transpose(rows, [*shifts.tolist()[:5], -127, 127])[:5], moved[:5])


@pytest.mark.parametrize(
    ("rows", "semitones", "message"),
    [
        (np.zeros((2, 15), np.uint8), 1, r"rows: expected uint8 \(..., 16\), found uint8 \(2, 15\)"),
        (np.zeros((2, 16), np.int8), 1, "found int8"),
        (np.zeros((2, 16), np.uint8), 128, "expected -127 to 127, found 128 to 128"),
        (np.zeros((2, 16), np.uint8), [1, -128], "found -128 to 1"),
        (np.zeros((2, 16), np.uint8), np.array([1, -128], np.int8), "found -128 to 1"),
        (np.zeros((2, 16), np.uint8), [1, 2, 3], r"shape \(2,\), found shape \(3,\)"),
        (np.zeros((2, 16), np.uint8), 1.5, "expected integers, found float64"),
        (np.zeros(16, np.uint8), [1], "one row takes one number"),
    ],
)
def test_transpose_refuses(rows, semitones, message):
    with pytest.raises(ValueError, match=message):
        rollcore.transpose(rows, semitones)


@settings(deadline=None, max_examples=100)
@given(
    ROWS,
    st.integers(0, 127),
    st.integers(0, 127),
    st.sampled_from([np.uint8, np.float16, np.float32]),
    st.integers(1, 2),
)
def test_unpack_is_one_number_a_pitch(rows, one, other, dtype, step):
    low, high = min(one, other), max(one, other)
    rows = rows[::step]
    numbers = rollcore.unpack(rows, low, high, dtype)
    assert numbers.dtype == dtype
    assert np.array_equal(numbers, unpacked(rows, low, high, dtype))
    out = np.full(numbers.shape, 7, dtype)
    assert rollcore.unpack(frozen(rows), low, high, dtype, out=out) is out
    assert np.array_equal(out, numbers)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
def test_unpack_of_every_range(dtype):
    """Not a byte is written past the end of what was asked for."""
    rows = np.random.default_rng(5).integers(0, 256, (9, 16), dtype=np.uint8)
    bits = np.unpackbits(rows, axis=-1, bitorder="little")
    for low in range(128):
        for high in range(low, 128):
            width = high - low + 1
            guarded = np.full(9 * width + 64, 7, dtype)
            rollcore.unpack(rows, low, high, dtype, out=guarded[: 9 * width].reshape(9, width))
            assert np.array_equal(guarded[: 9 * width].reshape(9, width), bits[:, low : high + 1])
            assert (guarded[9 * width :] == 7).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": -1}, "pitches -1 to 127"),
        ({"high": 128}, "pitches 0 to 128"),
        ({"low": 61, "high": 60}, "pitches 61 to 60"),
        ({"dtype": np.float64}, "dtype float64: expected uint8, bool, float32 or float16"),
        ({"out": np.zeros((2, 127), np.uint8)}, r"out: .* found uint8 \(2, 127\)"),
        ({"out": np.zeros((2, 128), np.float32)}, "found float32"),
        ({"out": np.zeros((2, 256), np.uint8)[:, ::2]}, "found strided uint8"),
        ({"out": frozen(np.zeros((2, 128), np.uint8))}, "found read-only uint8"),
    ],
)
def test_unpack_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        rollcore.unpack(np.zeros((2, 16), np.uint8), **options)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(0, 127), st.integers(0, 127), st.sampled_from([np.uint8, np.float32, bool, np.int64]))
def test_pack_undoes_unpack(rows, one, other, dtype):
    low, high = min(one, other), max(one, other)
    numbers = unpacked(rows, low, high, np.uint8).astype(dtype)
    packed = rollcore.pack(numbers, low)
    assert (packed.dtype, packed.shape) == (np.uint8, rows.shape)
    back = np.unpackbits(packed, axis=-1, bitorder="little")
    assert np.array_equal(back[..., low : high + 1], numbers)
    assert not back[..., :low].any()
    assert not back[..., high + 1 :].any()


@pytest.mark.parametrize(
    ("roll", "low", "message"),
    [
        ([[0, 0.5]], 0, "nothing but 0 and 1"),
        ([[0, 2]], 0, "nothing but 0 and 1"),
        ([[0, -1]], 0, "nothing but 0 and 1"),
        ([[np.nan]], 0, "nothing but 0 and 1"),
        (np.zeros((2, 88)), 41, "88 pitches from 41"),
        (np.zeros((2, 88)), -1, "88 pitches from -1"),
        (np.zeros((2, 0)), 0, "0 pitches"),
        (1, 0, "0 pitches"),
    ],
)
def test_pack_refuses(roll, low, message):
    with pytest.raises(ValueError, match=message):
        rollcore.pack(roll, low)


def test_unpack_rows_at_an_odd_address():
    held = np.random.default_rng(4).integers(0, 256, 1 + 5 * 16, dtype=np.uint8)
    rows = held[1:].reshape(5, 16)
    assert np.array_equal(rollcore.unpack(rows, 3, 90), unpacked(rows.copy(), 3, 90, np.uint8))


def naive_gather(source, layout, shifts):
    """Window after window, frame after frame: what a layout stands for, from its definition."""
    windows, planes = [], layout.planes
    for frames, offset in zip(layout.frames.tolist(), layout.offsets.tolist(), strict=True):
        start = -layout.lead
        while start + (layout.lead + 1 if layout.partial else layout.length) <= frames:
            window = np.zeros((layout.length, planes, 16), np.uint8)
            for k in range(layout.length):
                if 0 <= start + k < frames:
                    at = offset + (start + k) * planes * 16
                    window[k] = source[at : at + 16 * planes].reshape(planes, 16)
            windows.append(transposed(window, shifts[len(windows)]) if shifts is not None else window)
            start += layout.hop
    return np.array(windows, np.uint8).reshape(-1, layout.length, planes, 16)


def random_layout(rng, size, planes):
    """Pieces anywhere in a file, over each other too, at odd addresses."""
    frames = rng.integers(0, 9, rng.integers(0, 5))
    offsets = rng.integers(0, size - frames * planes * 16 + 1)
    length = int(rng.integers(1, 9))
    lead, hop = int(rng.integers(0, length)), int(rng.integers(1, 4))
    return Layout(frames, offsets, planes, length, hop, lead, partial=bool(rng.integers(2)))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 2), st.booleans())
def test_gather_at_any_address(seed, planes, shifted):
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 256, 9 * 32 + 13, dtype=np.uint8)
    layout = random_layout(rng, source.size, planes)
    shifts = rng.integers(-24, 25, len(layout)) if shifted else None
    expected = naive_gather(source, layout, shifts)
    assert len(layout) == len(expected)
    numbers = np.arange(len(layout))
    batch = batches.gather(frozen(source), layout, numbers, semitones=shifts)
    assert np.array_equal(batch, expected)
    out = np.full_like(batch, 255)
    assert batches.gather(source, layout, numbers, semitones=shifts, out=out) is out
    assert np.array_equal(out, expected)
    some = rng.integers(0, max(len(layout), 1), 5 if len(layout) else 0)
    chosen = None if shifts is None else shifts[some]
    assert np.array_equal(batches.gather(source, layout, some, semitones=chosen), expected[some])


def test_gather_shifts_each_window_its_own_way():
    rng = np.random.default_rng(11)
    source = rng.integers(0, 256, 200, dtype=np.uint8)
    layout = Layout(np.array([4, 0, 3]), np.array([3, 0, 130]), 1, 5, 1, 2, partial=True)
    shifts = [0, 5, -5, 70, -70, 127, -127]
    assert len(layout) == 7
    batch = batches.gather(source, layout, np.arange(7), semitones=shifts)
    assert np.array_equal(batch, naive_gather(source, layout, shifts))


@pytest.mark.parametrize(("frames", "offset"), [(4, -1), (4, 33), (4, 96), (4, 2**62), (2**40, 0)])
def test_a_window_that_leaves_the_file_copies_nothing(frames, offset):
    layout = Layout(np.array([4, frames]), np.array([0, offset]), 1, 4)
    out = np.full((2, 4, 1, 16), 255, np.uint8)
    with pytest.raises(ValueError, match="windows leave the file of 96 bytes"):
        batches.gather(np.zeros(96, np.uint8), layout, np.array([0, len(layout) - 1]), out=out)
    assert (out == 255).all()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((2, 4, 1, 15), np.uint8), r"found uint8 \(2, 4, 1, 15\)"),
        (np.zeros((2, 4, 1, 16), np.int8), "found int8"),
        (np.zeros((2, 4, 1, 32), np.uint8)[..., ::2], "found strided uint8"),
        (frozen(np.zeros((2, 4, 1, 16), np.uint8)), "found read-only uint8"),
        (np.zeros(129, np.uint8)[1:].reshape(2, 4, 1, 16), "multiple of 8 bytes"),
    ],
)
def test_gather_refuses_an_output_that_does_not_fit(out, message):
    with pytest.raises(ValueError, match=message):
        batches.gather(np.zeros(96, np.uint8), Layout(np.array([5]), np.array([0]), 1, 4), np.array([0, 1]), out=out)


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_share_out_the_same_answer(threads):
    rng = np.random.default_rng(2)
    source = frozen(rng.integers(0, 256, 1 << 16, dtype=np.uint8))
    layout = Layout(np.array([900, 1300]), np.array([5, 20_000]), 1, 40)
    numbers, shifts = rng.integers(0, len(layout), 999), rng.integers(-24, 25, 999)
    one = batches.gather(source, layout, numbers, semitones=shifts)
    assert np.array_equal(batches.gather(source, layout, numbers, semitones=shifts, threads=threads), one)


@pytest.mark.parametrize("dtype", [bool, np.float16])
def test_unpacking_to_other_types_is_unpacking_to_bytes(dtype):
    rows = np.random.default_rng(5).integers(0, 256, (7, 2, 16), dtype=np.uint8)
    expected = rollcore.unpack(rows, 20, 107)
    for out in (None, np.ones((7, 2, 88), dtype)):
        found = rollcore.unpack(rows, 20, 107, dtype, out=out)
        assert found.dtype == dtype
        assert out is None or found is out
        assert np.array_equal(found, expected.astype(dtype))
