"""Windows against plain slicing: of arrays, and of datasets written for the purpose."""

from __future__ import annotations

import gc
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rollcore
from oracles_windows import every_window, random_pieces, transposed, write_pieces
from rollcore import RollcoreError, windows

FRAMES = [0, 1, 7, 40, 0, 23, 5, 64]


@pytest.fixture(scope="module", params=[1, 2], ids=["sounding", "sounding+onset"])
def pieces(request):
    return random_pieces(np.random.default_rng(7), FRAMES, request.param)


@pytest.fixture(scope="module")
def dataset(pieces, tmp_path_factory):
    path = tmp_path_factory.mktemp("windows") / "pieces.h5"
    planes = pieces[0].shape[1]
    return rollcore.open_dataset(write_pieces(path, pieces, planes=planes, splits=[0, 1] * 4, shards=3))


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(1, 12), st.integers(1, 15), st.integers(1, 2), st.booleans())
def test_windows_of_rows_are_slices(frames, length, hop, planes, backwards):
    rows = np.random.default_rng(frames).integers(0, 256, (frames, planes, 16), dtype=np.uint8)
    if backwards:
        rows = rows[::-1]
    view = windows(rows, length, hop=hop)
    expected = [rows[start : start + length] for start in range(0, frames - length + 1, hop)]
    assert view.shape == (len(expected), length, planes, 16)
    for got, want in zip(view, expected, strict=True):
        assert np.array_equal(got, want)
        assert np.shares_memory(got, rows)


def test_windows_of_rows_are_read_only_views_that_outlive_their_rows():
    rows = np.arange(50 * 16, dtype=np.uint16).astype(np.uint8).reshape(50, 1, 16)
    expected = rows[10:30].copy()
    view = windows(rows, 20, hop=5)
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0
    with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
        view.flags.writeable = True
    assert rows.flags.writeable
    del rows
    gc.collect()
    assert np.array_equal(view[2], expected)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (np.zeros((5, 16), np.uint8), {}, "expected uint8"),
        (np.zeros((5, 1, 15), np.uint8), {}, "expected uint8"),
        (np.zeros((5, 1, 16), np.float32), {}, "expected uint8"),
        (np.zeros((5, 1, 16), np.uint8), {"length": 0}, "length 0: expected at least 1"),
        (np.zeros((5, 1, 16), np.uint8), {"hop": 0}, "hop 0: expected at least 1"),
        (np.zeros((5, 1, 16), np.uint8), {"lead": 1}, "datasets only"),
        (np.zeros((5, 1, 16), np.uint8), {"partial": True}, "datasets only"),
        (np.zeros((5, 1, 16), np.uint8), {"split": "train"}, "datasets only"),
    ],
)
def test_windows_of_rows_refuse(source, options, message):
    with pytest.raises(ValueError, match=message):
        windows(source, **{"length": 2, **options})


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_windows_of_a_dataset_are_slices_padded_with_zeros(dataset, pieces, data):
    length = data.draw(st.integers(1, 70), "length")
    hop = data.draw(st.integers(1, 75), "hop")
    lead = data.draw(st.integers(0, length - 1), "lead")
    partial = data.draw(st.booleans(), "partial")
    expected = every_window(pieces, length, hop, lead, partial)
    w = windows(dataset, length, hop=hop, lead=lead, partial=partial)
    assert len(w) == len(expected)
    numbers = data.draw(st.lists(st.integers(0, len(w) - 1), max_size=40), "numbers") if len(w) else []
    batch = w.gather(numbers)
    piece, start = w.locate(numbers)
    valid = w.valid(numbers)
    assert batch.shape == (len(numbers), length, *pieces[0].shape[1:])
    assert valid.shape == (len(numbers), length)
    for k, number in enumerate(numbers):
        index, first, rows, within = expected[number]
        assert (piece[k], start[k]) == (index, first)
        assert np.array_equal(batch[k], rows)
        assert np.array_equal(valid[k], within)
        assert np.array_equal(w[number], rows)


def test_every_window_comes_out_alike_by_every_way(dataset, pieces):
    w = windows(dataset, 9, hop=2, lead=4, partial=True)
    expected = np.stack([rows for _, _, rows, _ in every_window(pieces, 9, 2, 4, True)])
    assert np.array_equal(np.stack(list(w)), expected)
    assert np.array_equal(w.gather(np.arange(len(w))), expected)
    assert np.array_equal(w.gather(np.arange(len(w), dtype=np.uint16)[::-1])[::-1], expected)
    assert np.array_equal(w[-1], expected[-1])
    out = np.full_like(expected, 255)
    assert w.gather(np.arange(len(w)), out=out) is out
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_has_the_windows_of_its_pieces(dataset, pieces, split):
    members = [0, 2, 4, 6] if split == "train" else [1, 3, 5, 7] if split == "validation" else []
    w = windows(dataset, 6, hop=3, split=split)
    expected = every_window([pieces[index] for index in members], 6, 3, 0, False)
    assert len(w) == len(expected)
    piece, start = w.locate(np.arange(len(w)))
    assert piece.tolist() == [members[index] for index, *_ in expected]
    assert start.tolist() == [first for _, first, *_ in expected]
    assert w.gather(range(len(w))).tobytes() == b"".join(rows.tobytes() for _, _, rows, _ in expected)


def test_transposed_windows(dataset, pieces):
    w = windows(dataset, 12, hop=5, lead=3, partial=True)
    expected = every_window(pieces, 12, 5, 3, True)
    numbers = np.random.default_rng(3).permutation(len(w))
    shifts = np.arange(len(w), dtype=np.int8) - len(w) // 2
    batch = w.gather(numbers, semitones=shifts)
    for k, number in enumerate(numbers):
        assert np.array_equal(batch[k], transposed(expected[number][2], int(shifts[k])))
    assert np.array_equal(w.gather(numbers, semitones=-7), rollcore.transpose(w.gather(numbers), -7))


def test_windows_within_a_piece_are_read_only_views_of_the_map(dataset):
    w = windows(dataset, 5, lead=2, partial=True)
    whole = w.valid(range(len(w))).all(axis=1)
    assert whole.any()
    assert not whole.all()
    for number in range(len(w)):
        assert np.shares_memory(w[number], dataset.mapped) == whole[number]
        assert not w[number].flags.writeable


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says what was advised of a map")
@pytest.mark.parametrize(("memory", "advised"), [(0, True), (2**60, False)])
def test_the_system_reads_ahead_only_where_the_file_fits_the_memory(dataset, monkeypatch, memory, advised):
    monkeypatch.setattr("rollcore.dataset.memory_bytes", lambda: memory)
    opened = rollcore.open_dataset(dataset.path)
    assert np.array_equal(windows(opened, 6).gather([0, 3]), windows(dataset, 6).gather([0, 3]))
    w = windows(opened, 6)
    # The kernel's flags of every map; "rr" is random reads (proc_pid_smaps(5)).
    maps = Path("/proc/self/smaps").read_text().split("VmFlags:")
    for mapped, expected in ((opened.mapped, False), (w._mapped, advised)):
        at = f"\n{mapped.ctypes.data:x}-"
        flags = [after.split("\n")[0].split() for before, after in pairwise(maps) if at in before]
        assert [("rr" in each) for each in flags] == [expected]


def test_views_and_batches_outlive_dataset_and_windows(dataset, pieces):
    with rollcore.open_dataset(dataset.path) as opened:
        w = windows(opened, 6)
        view, batch = w[3], w.gather([3])
    assert np.array_equal(w[3], view)
    del opened, w
    gc.collect()
    expected = every_window(pieces, 6, 1, 0, False)[3][2]
    assert np.array_equal(view, expected)
    assert np.array_equal(batch[0], expected)


def test_windows_of_named_pieces(dataset, pieces):
    chosen = [7, 3, 3, 1, 0]  # any order, one of them twice, two without a window
    some = windows(dataset, 5, hop=2, pieces=chosen, lead=1)
    expected = [np.array(w) for piece in chosen for w in windows(dataset, 5, hop=2, pieces=[piece], lead=1)]
    assert len(some) == len(expected) > 20
    batch = some.gather(range(len(some)))
    assert np.array_equal(batch, expected)
    of, starts = some.locate(range(len(some)))
    assert list(dict.fromkeys(of.tolist())) == [7, 3], "the others are too short"
    padded = np.concatenate([np.zeros_like(pieces[7][:1]), pieces[7]])
    assert np.array_equal(batch[0], padded[:5])
    assert starts[0] == -1
    again = pickle.loads(pickle.dumps(some))
    assert np.array_equal(again.pieces, chosen)
    assert np.array_equal(again.gather([4, 2]), batch[[4, 2]])
    assert len(windows(dataset, 5, pieces=[])) == 0
    for split in ("train", None):
        within = dataset.split("train") if split else range(len(dataset))
        assert len(windows(dataset, 5, split=split)) == len(windows(dataset, 5, pieces=list(within)))
    for wrong, error, said in (
        ({"pieces": [8]}, RollcoreError, "no piece 8; it has 8, counted from 0"),
        ({"pieces": [-1]}, RollcoreError, "no piece -1"),
        ({"pieces": [2**63]}, RollcoreError, "no piece 9"),
        ({"pieces": [0.5]}, IndexError, "pieces: expected integers"),
        ({"pieces": [1], "split": "train"}, ValueError, "a split or pieces, not both"),
    ):
        with pytest.raises(error, match=said):
            windows(dataset, 5, **wrong)


def test_pickled_windows_reopen_the_dataset(dataset):
    w = windows(dataset, 8, hop=3, split="train", lead=2, partial=True)
    content = pickle.dumps(w)
    assert len(content) < 1000
    again = pickle.loads(content)
    assert repr(again) == repr(w)
    assert np.array_equal(again.gather(range(len(w))), w.gather(range(len(w))))


def test_ten_million_windows_take_the_memory_of_their_pieces(tmp_path):
    opened = rollcore.open_dataset(write_pieces(tmp_path / "long.h5", [np.zeros((100_000, 1, 16), np.uint8)]))
    opened.pieces = np.repeat(opened.pieces, 100)
    w = windows(opened, 50, lead=25, partial=True)
    assert len(w) == 10_000_000
    arrays = [value for value in vars(w).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays if not np.shares_memory(array, opened.mapped)) < 10_000
    assert w.locate([9_999_999])[1].tolist() == [99_999 - 25]


@pytest.mark.parametrize(
    "indices",
    [[-1], [10**9], [2**63], [0.5], [True], [[0, 1]], 0, ["0"], None],
    ids=str,
)
def test_indices_that_name_no_window(dataset, indices):
    w = windows(dataset, 10)
    for call in (w.gather, w.locate, w.valid):
        with pytest.raises(IndexError, match="window"):
            call(indices)


def test_a_number_out_of_range(dataset):
    w = windows(dataset, 10)
    for number in (len(w), -len(w) - 1):
        with pytest.raises(IndexError, match=f"window {number} is out of range: there are {len(w)}"):
            w[number]
    with pytest.raises(IndexError, match="there are 0"):
        windows(dataset, 1000).gather([0])
    assert windows(dataset, 1000).gather([]).shape[:2] == (0, 1000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length 0"),
        ({"hop": 0}, "hop 0"),
        ({"lead": -1}, "lead -1"),
        ({"lead": 10}, "lead 10: expected fewer frames than the window's 10"),
    ],
)
def test_windows_of_a_dataset_refuse(dataset, options, message):
    with pytest.raises(ValueError, match=message):
        windows(dataset, **{"length": 10, **options})


def test_an_unknown_split(dataset):
    with pytest.raises(RollcoreError, match="'dev'"):
        windows(dataset, 10, split="dev")


def test_a_dataset_without_pieces(tmp_path):
    w = windows(rollcore.open_dataset(write_pieces(tmp_path / "none.h5", [])), 10, lead=5, partial=True)
    assert len(w) == 0
    assert list(w) == []
    assert w.gather([]).shape == (0, 10, 1, 16)
    assert w.valid([]).shape == (0, 10)
