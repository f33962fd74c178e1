"""Figures against plain loops, and what is called degenerate."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.output.figures import degeneration, figures, table


def packed(frames, onsets=None):
    """Rows from a list of pitch lists, one a frame."""
    planes = [frames] if onsets is None else [frames, onsets]
    bits = np.zeros((len(frames), len(planes), 128), dtype=np.uint8)
    for plane, lists in enumerate(planes):
        for frame, pitches in enumerate(lists):
            bits[frame, plane, list(pitches)] = 1
    return np.packbits(bits, axis=-1, bitorder="little")


def slow_figures(frames, onsets):
    """Figures of one roll given as pitch lists, by plain loops."""
    begun = []
    for index, pitches in enumerate(frames):
        before = frames[index - 1] if index else []
        begun += onsets[index] if onsets is not None else [p for p in pitches if p not in before]
    counts = Counter(p % 12 for p in begun)
    entropy = -sum(n / len(begun) * math.log2(n / len(begun)) for n in counts.values())
    longest = run = 1
    for index in range(1, len(frames)):
        same = set(frames[index]) == set(frames[index - 1]) and not (onsets and onsets[index])
        run = run + 1 if same else 1
        longest = max(longest, run)
    shown = [(set(pitches), set(onsets[i]) if onsets else None) for i, pitches in enumerate(frames)]
    repeated = sum(
        any(shown[end - 2 : end] == shown[end - lag - 2 : end - lag] for lag in range(1, min(16, end - 2) + 1))
        for end in range(2, len(frames) + 1)
    )
    loud = [p for p in frames if p]
    every = [p for pitches in frames for p in pitches]
    silence = 1 - len(loud) / len(frames)
    polyphony = len(every) / max(1, len(loud))
    return (
        len(begun),
        min(every, default=None),
        max(every, default=None),
        polyphony,
        entropy,
        silence,
        longest,
        repeated / len(frames),
    )


pitch_sets = st.lists(st.lists(st.integers(50, 60), unique=True, max_size=3), min_size=1, max_size=20) | st.lists(
    st.sampled_from([[50], [50, 57], []]), min_size=1, max_size=30
)


# A stretch is 4 units: 2 frames; it may have been heard 32 units ago: 16 frames.
@given(pitch_sets, st.booleans())
def test_figures_equal_plain_loops(frames, with_onsets):
    onsets = [pitches[:1] for pitches in frames] if with_onsets else None
    found = figures([packed(frames, onsets)], frames_per_unit=0.5)
    notes, low, high, polyphony, entropy, silence, longest, repetition = slow_figures(frames, onsets)
    assert (found.notes, found.lowest, found.highest, found.longest_run) == (notes, low, high, longest)
    assert found.polyphony == pytest.approx(polyphony)
    assert found.pitch_class_entropy == pytest.approx(entropy)
    assert found.silence == pytest.approx(silence)
    assert found.density == pytest.approx(0.5 * notes / len(frames))
    assert found.repetition == repetition


def test_figures_of_several_rolls_are_pooled():
    one, two = packed([[60]] * 4), packed([[], [72, 76], [72], []])
    found = figures([one, two], frames_per_unit=4)
    assert (found.pieces, found.frames, found.notes, found.lowest, found.highest) == (2, 8, 3, 60, 76)
    assert found.polyphony == 7 / 6
    assert found.density == 1.5
    assert found.silence == 0.25
    assert found.longest_run == 2.5


def test_a_tune_played_twice_is_repeated():
    tune = [[60 + step] for step in (0, 2, 4, 5, 7, 9, 11, 12)]
    # From the fourth frame of the second time on; and once more after so long that it is forgotten.
    assert figures([packed(tune * 2)], frames_per_unit=1).repetition == 5 / 16
    others = [[p] for p in range(35, 60)]
    assert figures([packed(tune + others[:24] + tune)], frames_per_unit=1).repetition == 5 / 40
    assert figures([packed(tune + others + tune)], frames_per_unit=1).repetition == 0
    # A frame is a stretch, where one lasts longer than that.
    assert figures([packed([[60]] * 4)], frames_per_unit=0.01).repetition == 3 / 4


def test_figures_of_nothing_are_zero():
    for found in (figures([], 4), figures([np.zeros((0, 2, 16), np.uint8)], 4)):
        assert (found.notes, found.lowest, found.polyphony, found.longest_run) == (0, None, 0, 0)
        assert found.repetition == 0


def test_the_table_sets_columns_side_by_side():
    found = figures([packed([[60], [64]])], 4)
    lines = table({"one": found, "training": found}, "beat").splitlines()
    assert lines[0].split() == ["one", "training"]
    assert [lines[3].split(), lines[5].split()] == [
        ["pitch", "range", "C4-E4", "C4-E4"],
        ["notes", "per", "beat", "4.00", "4.00"],
    ]
    assert lines[-1].split() == ["repetition", "0.0%", "0.0%"]


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([[]] * 20, "silence: not one note"),
        ([[60, 64]] + [[]] * 80, "silence: nothing sounds in 80 of 81"),
        ([[60], [], [60], [60]] * 16, "a drone: C4"),
        ([[60, 64, 67], []] * 32, "one chord for ever: C4 E4 G4"),
        ([[60], [62], [64], [65]] * 8 + [[60, 64]] * 32, "stuck: nothing changes for 32 of 64"),
    ],
)
def test_degenerate_rolls_are_said_to_be(frames, said):
    assert degeneration(packed(frames)).startswith(said)


def test_music_is_not_called_degenerate():
    assert degeneration(packed([[60], [62], [64], [65], [67], [], [67], [67]] * 8)) is None
    # A bar or two may hold one chord.
    assert degeneration(packed([[60, 64]] * 63)) is None
    # The same frame, but struck again and again: not stuck.
    assert degeneration(packed([[60], [62]] + [[64]] * 62, [[60], [62]] + [[64]] * 62)) is None


def test_one_pitch_that_was_asked_for_is_not_a_drone():
    assert degeneration(packed([[60], [], [60], [60]] * 16), one_pitch=True) is None
    assert degeneration(packed([[]] * 20), one_pitch=True).startswith("silence")
    assert degeneration(packed([[60]] * 64), one_pitch=True).startswith("stuck")
