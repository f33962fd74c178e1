"""The top line: how often it leaps in a corpus, and that leaps beyond that share have to be repaid."""

import math

import numpy as np
import pytest

from seq2seq.output.measures import Piece
from seq2seq.sampling.line import MIDDLE, Line, find_leaps


def planes(*pitches, rings=()):
    """A frame of one output: *pitches* struck, *rings* held."""
    struck, sounding = np.zeros((1, 128), np.uint8), np.zeros((1, 128), np.uint8)
    struck[0, list(pitches)] = 1
    sounding[0, [*pitches, *rings]] = 1
    return sounding, struck


def heard(line, pitches):
    for pitch in pitches:
        line.hear(*planes(pitch))
    return line


def test_leaps_beyond_the_share_are_refused_more_and_more():
    line = heard(Line((0.25, 0.0), 1), [60])
    assert line.reluctance(*planes(72)) == 0  # none has been made yet
    line.hear(*planes(72))  # an octave is a leap, but not more than an octave
    assert line.reluctance(*planes(84)) == pytest.approx(1 - math.exp(-0.75))
    # Every other note repays a quarter.
    assert heard(line, [72]).reluctance(*planes(84)) == pytest.approx(1 - math.exp(-0.5))
    # A leap of more than an octave is one of both kinds, and of the wider kind none is repaid.
    heard(line, [85, 85, 85, 85])
    assert line.reluctance(*planes(95)) == pytest.approx(1 - math.exp(-0.5))
    assert line.reluctance(*planes(99)) == pytest.approx(1 - math.exp(-1.5))


def test_a_fifth_is_no_leap_and_the_way_back_is_free():
    line = heard(Line((0.0, 0.0), 1), [60] * MIDDLE + [72])
    assert line.reluctance(*planes(79)) == 0
    assert line.reluctance(*planes(60)) == 0
    assert line.reluctance(*planes(80)) == pytest.approx(1 - math.exp(-1))


def test_what_rings_above_is_not_the_top_line():
    line = heard(Line((0.0, 0.0), 1), [60, 72])
    assert line.reluctance(*planes(40, rings=[72])) == 0
    assert line.reluctance(*planes(40)) > 0
    before = line.reluctance(*planes(84))
    line.hear(*planes(40, rings=[72]))
    assert line.reluctance(*planes(84)) == before


def test_each_output_has_a_line_of_its_own():
    line = Line((0.0, 0.0), 2)
    for one, other in ((60, 60), (72, 60), (72, 60)):
        both = [np.concatenate(pair) for pair in zip(planes(one), planes(other), strict=True)]
        line.hear(*both)
    both = [np.concatenate(pair) for pair in zip(planes(84), planes(84), strict=True)]
    assert line.reluctance(*both).tolist() == pytest.approx([1 - math.exp(-1), 0])


def test_how_often_the_lines_of_a_corpus_leap():
    struck = np.zeros((6, 128), bool)
    struck[np.arange(6), [60, 68, 60, 75, 76, 76]] = True  # 8, 8, 15, 1 and 0 semitones
    piece = Piece("", struck, struck, 4.0, 16)
    assert find_leaps([piece]) == (0.6, 0.2)
    assert find_leaps([]) == ()
