"""Where the windows of pieces lie in a file."""

from __future__ import annotations

import numpy as np
import pytest

from oracles_windows import starts
from rollcore.layout import Layout


def test_a_layout_says_which_piece_a_window_is_of():
    # Pieces of 5, 0 and 3 frames: windows of 4 frames, 2 apart, starting 1 early.
    layout = Layout(np.array([5, 0, 3]), np.array([100, 0, 500]), 1, 4, 2, 1, partial=True)
    assert len(layout) == 5
    which, starts = layout.locate(np.arange(5))
    assert which.tolist() == [0, 0, 0, 2, 2]
    assert starts.tolist() == [-1, 1, 3, -1, 1]
    assert [part.tolist() for part in layout.locate(np.array([], np.int64))] == [[], []]
    for number in (-1, 5):
        with pytest.raises(IndexError, match=f"window {number} is out of range: there are 5"):
            layout.locate(np.array([0, number]))
    with pytest.raises(IndexError, match="there are 0"):
        Layout(np.array([], np.int64), np.array([], np.int64), 1, 4).locate(np.array([0]))


@pytest.mark.parametrize(("length", "hop", "lead", "partial"), [(3, 1, 0, False), (4, 3, 0, True), (5, 2, 3, True)])
def test_windows_are_those_of_walking_along_each_piece(length, hop, lead, partial):
    frames = [7, 0, 1, 3]
    expected = [
        (piece, start) for piece, count in enumerate(frames) for start in starts(count, length, hop, lead, partial)
    ]
    layout = Layout(np.array(frames), np.zeros(4, np.int64), 2, length, hop, lead, partial)
    assert len(layout) == len(expected) > 0
    assert layout.frame_bytes == 2 * 16
    which, places = layout.locate(np.arange(len(expected)))
    assert list(zip(which.tolist(), places.tolist(), strict=True)) == expected
