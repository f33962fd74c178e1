"""Gather, transpose and unpack against loops over bits; the kernels also uncompiled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rollcore
from oracles_windows import transposed, unpacked
from rollcore import _batches, batches

ROWS = arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 2), st.just(16)))


@pytest.fixture
def uncompiled(monkeypatch):
    """Run the kernels as plain Python."""
    for name in ("gather", "gather_shifted", "shift", "plan_windows", "unpack", "_word", "_from_bit"):
        monkeypatch.setattr(_batches, name, getattr(_batches, name).py_func)


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


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("semitones", [0, 1, 63, 64, 127, -1, -63, -64, -127])
def test_every_way_to_shift_uncompiled(semitones):
    rows = np.random.default_rng(semitones + 200).integers(0, 256, (3, 16), dtype=np.uint8)
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
@given(ROWS, st.integers(0, 127), st.integers(0, 127), st.sampled_from([np.uint8, np.float32]), st.integers(1, 2))
def test_unpack_is_one_number_a_pitch(rows, one, other, dtype, step):
    low, high = min(one, other), max(one, other)
    rows = rows[::step]
    numbers = rollcore.unpack(rows, low, high, dtype)
    assert numbers.dtype == dtype
    assert np.array_equal(numbers, unpacked(rows, low, high, dtype))
    out = np.full(numbers.shape, 7, dtype)
    assert rollcore.unpack(frozen(rows), low, high, dtype, out=out) is out
    assert np.array_equal(out, numbers)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
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


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(("low", "high"), [(0, 127), (21, 108), (60, 60), (64, 95), (30, 63), (100, 127)])
def test_unpack_uncompiled(low, high):
    rows = np.random.default_rng(low).integers(0, 256, (3, 2, 16), dtype=np.uint8)
    for dtype in (np.uint8, np.float32):
        assert np.array_equal(rollcore.unpack(rows, low, high, dtype), unpacked(rows, low, high, dtype))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": -1}, "pitches -1 to 127"),
        ({"high": 128}, "pitches 0 to 128"),
        ({"low": 61, "high": 60}, "pitches 61 to 60"),
        ({"dtype": np.float64}, "dtype float64: expected uint8 or float32"),
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


def naive_gather(source, plan, length, planes, shifts):
    windows = []
    for (at, before, frames), shift in zip(plan, shifts, strict=True):
        window = np.zeros((length, planes, 16), np.uint8)
        for k in range(frames):
            start = at + 16 * planes * k
            window[before + k] = source[start : start + 16 * planes].reshape(planes, 16)
        windows.append(transposed(window, shift))
    return np.array(windows, np.uint8).reshape(-1, length, planes, 16)


def random_plan(rng, size, count, length, planes):
    frames = rng.integers(0, length + 1, count)
    before = rng.integers(0, length - frames + 1)
    at = rng.integers(0, size - frames * planes * 16 + 1)
    return np.stack([at, before, frames], axis=1).astype(np.int64)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 20), st.integers(1, 9), st.integers(1, 2), st.booleans())
def test_gather_at_any_address(seed, count, length, planes, shifted):
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 256, 9 * 32 + 13, dtype=np.uint8)
    plan = random_plan(rng, source.size, count, length, planes)
    shifts = rng.integers(-24, 25, count) if shifted else None
    batch = batches.gather(frozen(source), plan, length=length, planes=planes, semitones=shifts)
    expected = naive_gather(source, plan, length, planes, shifts if shifted else [0] * count)
    assert np.array_equal(batch, expected)
    out = np.full_like(batch, 255)
    assert batches.gather(source, plan, length=length, planes=planes, semitones=shifts, out=out) is out
    assert np.array_equal(out, expected)


@pytest.mark.usefixtures("uncompiled")
def test_gather_uncompiled():
    rng = np.random.default_rng(11)
    source = rng.integers(0, 256, 200, dtype=np.uint8)
    plan = random_plan(rng, source.size, 7, 5, 1)
    shifts = [0, 5, -5, 70, -70, 127, -127]
    batch = batches.gather(source, plan, length=5, planes=1, semitones=shifts)
    assert np.array_equal(batch, naive_gather(source, plan, 5, 1, shifts))


def test_plan_says_where_windows_lie():
    # Pieces of 5, 0 and 3 frames, at bytes 100, 0 and 500: windows of 4 frames, 2 apart, starting 1 early.
    places = {
        "firsts": np.array([0, 3, 3]),
        "ends": np.array([3, 3, 5]),
        "guide": np.array([0, 2, 2]),
        "guide_shift": 2,
        "frames": np.array([5, 0, 3]),
        "offsets": np.array([100, 0, 500]),
        "length": 4,
        "hop": 2,
        "lead": 1,
        "frame_bytes": 16,
    }
    expected = [[100, 1, 3], [116, 0, 4], [148, 0, 2], [500, 1, 3], [516, 0, 2]]
    plan = batches.plan_windows(np.arange(5), **places)
    assert plan.tolist() == expected
    uncompiled = np.empty_like(plan)
    order = ("firsts", "ends", "guide", "guide_shift", "frames", "offsets", "hop", "lead", "length", "frame_bytes")
    values = [places[name] for name in order]
    assert _batches.plan_windows.py_func(np.arange(5), *values, 0, 5, uncompiled) == -1
    assert uncompiled.tolist() == expected
    assert _batches.plan_windows.py_func(np.array([4, 5]), *values, 0, 2, uncompiled) == 1
    for number in (-1, 5):
        with pytest.raises(IndexError, match=f"window {number} is out of range: there are 5"):
            batches.plan_windows(np.array([0, number]), **places)


@pytest.mark.parametrize(
    "bad",
    [
        [-1, 0, 2],
        [0, -1, 2],
        [0, 0, -1],
        [0, 0, 5],
        [0, 3, 2],
        [0, 2**62, 2**62],
        [33, 0, 4],
        [96, 0, 1],
        [2**62, 0, 1],
        [-(2**63), 0, 1],
        [0, 0, 2**60],
    ],
    ids=str,
)
def test_a_plan_that_leaves_the_file_copies_nothing(bad):
    plan = np.array([[0, 0, 4], bad], np.int64)
    out = np.full((2, 4, 1, 16), 255, np.uint8)
    with pytest.raises(ValueError, match="window 1 of the batch leaves the file of 96 bytes"):
        batches.gather(np.zeros(96, np.uint8), plan, length=4, planes=1, out=out)
    assert (out[1] == 255).all()
    assert _batches.gather.py_func(np.zeros(96, np.uint8), plan, 0, 2, 4, 16, np.zeros(16, "u8")) == 1


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
        batches.gather(np.zeros(96, np.uint8), np.zeros((2, 3), np.int64), length=4, planes=1, out=out)


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_threads_share_out_the_same_answer(threads):
    rng = np.random.default_rng(2)
    source = frozen(rng.integers(0, 256, 1 << 16, dtype=np.uint8))
    plan = random_plan(rng, source.size, 999, 40, 1)
    shifts = rng.integers(-24, 25, 999)
    one = batches.gather(source, plan, length=40, planes=1, semitones=shifts)
    assert np.array_equal(batches.gather(source, plan, length=40, planes=1, semitones=shifts, threads=threads), one)
    assert np.array_equal(rollcore.unpack(one, 21, 108, np.float32, threads=threads), rollcore.unpack(one, 21, 108))
    for bad in (0, 500, 998):
        broken = plan.copy()
        broken[bad, 2] = 41
        with pytest.raises(ValueError, match=f"window {bad} of the batch"):
            batches.gather(source, broken, length=40, planes=1, threads=threads)
