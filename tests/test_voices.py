"""Parallels, leaps and ranges of four voices that are written down."""

import numpy as np
import pytest
from quality.voices import voice_leading


def frames(*chords):
    sounding = np.zeros((len(chords), 128), bool)
    for row, chord in zip(sounding, chords, strict=True):
        row[list(chord)] = True
    return sounding


def test_parallel_fifths_and_octaves_are_counted_by_hand():
    # C E G C up to D F A D: tenor and bass keep a fifth, soprano and bass an octave, soprano and tenor a fourth.
    found = voice_leading([frames((72, 64, 55, 48), (74, 65, 57, 50))])
    assert (found["parallel fifths"], found["parallel octaves"]) == (100, 100)


def test_contrary_and_oblique_motion_is_free():
    found = voice_leading([frames((72, 67, 64, 48), (71, 67, 62, 55), (72, 67, 64, 48))])
    assert (found["parallel fifths"], found["parallel octaves"]) == (0, 0)


def test_leaps_and_ranges():
    found = voice_leading([frames((72, 67, 64, 48), (72, 55, 52, 48)), frames((90, 67, 60, 48))])
    assert found["leaps"] == 200  # alto and tenor fall twelve semitones, in one change
    assert found["out of range"] == pytest.approx(1 / 12)


def test_frames_of_other_than_four_voices_are_left_out():
    found = voice_leading([frames((72, 64, 55, 48), (72, 64, 55), (74, 65, 57, 50), ())])
    assert found["frames in four voices"] == pytest.approx(2 / 3)
    assert found["parallel fifths"] == 0
