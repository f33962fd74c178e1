"""How phrases return: the temperature by echo, what the echo is told, and how often pieces repeat themselves."""

from fractions import Fraction

import numpy as np
import pytest

from seq2seq.errors import ConfigError
from seq2seq.sampling.endings import Metre
from seq2seq.sampling.phrasing import RHYTHMS, Phrasing, find_returns, find_rhythms, struck_frames


def test_the_temperature_follows_the_echo():
    phrasing = Phrasing(cool=0.5, warm=2.0, run=3, moving=4, still=1, bar=4, near=2)
    match, changes = np.array([0, 3, 3, 2, 9, 32, 9, 9]), np.array([4, 4, 3, 8, 1, 0, 8, 8])
    lags = np.array([0, 9, 9, 9, 9, 9, 8, 9])
    free, moving = np.zeros(8, bool), np.zeros(8, np.int64)
    assert phrasing.factors(match, lags, changes, free, moving).tolist() == [1, 0.5, 1, 1, 2, 2, 1, 0.5]
    # Without bars, no echo is too near.
    near = Phrasing(cool=0.5, warm=2.0, run=3, moving=4, still=1)
    assert near.factors(match, lags, changes, free, moving).tolist() == [1, 0.5, 1, 1, 2, 2, 0.5, 0.5]
    # A phrase that is to return does so, though it moves slowly.
    told = np.array([0, 0, 1, 0, 1, 0, 0, 0], bool)
    assert phrasing.factors(match, lags, changes, told, moving).tolist() == [1, 0.5, 0.5, 1, 0.5, 2, 1, 0.5]


def test_what_stands_for_longer_than_music_does_grows_warmer():
    phrasing = Phrasing(warm=2.0, longest=10)
    nothing = np.zeros(4, np.int64)
    factors = phrasing.factors(nothing, nothing, nothing, np.ones(4, bool), np.array([9, 10, 15, 20]))
    assert factors.tolist() == [phrasing.cold, phrasing.cold, 3.0, 4.0]


@pytest.mark.parametrize("wrong", [{"cold": 0}, {"cool": 0}, {"warm": 5}, {"run": 0}, {"still": 4}])
def test_a_phrasing_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        Phrasing(**wrong)


def bars_told(returns, chances, bars=24):
    """What one output is told at each bar line, in bars, the random numbers being given."""
    phrasing = Phrasing(bar=4, returns=returns)
    draws, lags, told = iter(chances), np.zeros(1, np.int64), []
    for number in range(bars):
        lags = phrasing.told(4 * number, lags, lambda: np.array([next(draws)]))
        told.append(int(lags[0]) // 4)
    return told


def test_a_phrase_returns_as_a_whole():
    assert bars_told(((8, 0.5),), [0.1, 0.9]) == [0] * 8 + [8] * 8 + [0] * 8
    assert bars_told(((8, 0.5),), [0.9, 0.1]) == [0] * 16 + [8] * 8
    # After four bars, unless the phrase of eight that it lies in returns.
    assert bars_told(((4, 0.5),), [0.1, 0.9, 0.1, 0.1, 0.9]) == [0] * 4 + [4] * 4 + [0] * 4 + [4] * 8 + [0] * 4
    every = bars_told(((8, 0.5), (16, 0.5), (4, 0.5)), [0.9] + [0.1] * 20)
    assert every == [0] * 8 + [8] * 16


def piece_of(letters, upbeat=0):
    """A bar of two frames for each letter."""
    rows = np.zeros((upbeat + 2 * len(letters), 1, 16), np.uint8)
    rows[upbeat:, 0, 5] = np.repeat([ord(letter) for letter in letters], 2)
    return rows, Metre(Fraction(1), 2, upbeat)


def test_how_often_phrases_return():
    # The second eight bars are the first with another end, the third are new, the fourth those of 16 bars ago.
    once = "abcdefgh" + "abcdefxy" + "ijklmnop" + "abcdefxy"
    found = dict(find_returns([piece_of(once), piece_of(once, upbeat=1)]))
    # Asked of 8: bars 8, 16 and 24 of both pieces; of 16: 16 and 24; of 4: six times, where nothing else returned.
    assert found == {8: round(2 / 7, 4), 16: round(2 / 5, 4), 4: 0.0}
    assert dict(find_returns([piece_of("abcdabcdefghijkl")]))[4] == round(1 / 4, 4)
    assert dict(find_returns([piece_of("abcd"), (piece_of("abcd")[0], Metre(Fraction(1), None))])) == {
        8: 0,
        16: 0,
        4: 0,
    }


def struck_bars(*bars):
    """Rows of bars of four frames: a string each, of the letters of the pitches that are struck in its frames."""
    frames = "".join(bars)
    bits = np.zeros((len(frames), 2, 128), np.uint8)
    for frame, letter in enumerate(frames):
        if letter != ".":
            bits[frame, :, ord(letter)] = 1
    return np.packbits(bits, axis=-1, bitorder="little"), Metre(Fraction(1), 4)


def test_how_often_rhythms_return_with_other_notes():
    # After 4 bars: a rhythm with other notes; then the notes themselves, which are not counted; then another rhythm.
    piece = struck_bars("a...", "a.a.", "aaa.", "aaaa", "b...", "a.a.", "bb..", "a.aa")
    found = dict(find_rhythms([piece]))
    assert found == {4: round(1 / 4, 4), 8: 0.0, 2: 0.0, 1: 0.0}
    # Bars that have the rhythm of four bars ago are not asked about two bars ago, and so on.
    found = dict(find_rhythms([struck_bars("a...", "b...", "c...", "d...", "e...")]))
    assert found == {4: 0.5, 8: 0.0, 2: round(2 / 3, 4), 1: 0.5}
    assert dict(find_rhythms([(piece[0], Metre(Fraction(1), None))])) == dict.fromkeys(RHYTHMS, 0.0)


def test_in_which_frames_a_note_begins():
    rows, _ = struck_bars("a.aa", ".bb.")
    assert struck_frames(rows).tolist() == [True, False, True, True, False, True, True, False]
    # Without a plane of onsets, where a pitch sounds that did not before.
    assert struck_frames(rows[:, :1]).tolist() == [True, False, True, False, False, True, False, False]


def test_a_rhythm_is_drawn_as_a_phrase_is():
    phrasing = Phrasing(bar=4, rhythms=((2, 0.5),))
    lags = np.zeros(2, np.int64)
    lags = phrasing.rhythm_told(8, lags, lambda: np.array([0.1, 0.9]))
    assert lags.tolist() == [8, 0]
    assert phrasing.rhythm_told(12, lags, lambda: np.zeros(2)).tolist() == [8, 0]
    assert phrasing.told(16, np.zeros(2, np.int64), lambda: np.zeros(2)).tolist() == [0, 0]
