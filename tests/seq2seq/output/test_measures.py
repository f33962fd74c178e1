"""The measures on music whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from made_music import melody, phrases, piece
from seq2seq.output.measures import (
    MEASURES,
    Piece,
    bars_again,
    changes,
    class_weights,
    ends_on_tonic,
    find_key,
    home_stretches,
    in_key,
    leaps,
    longest_phrase,
    measure,
    note_lengths,
    on_beat,
    piece_of,
    steps,
    still_bars,
    top_line,
)


@pytest.mark.parametrize(
    ("pitches", "key"),
    [
        ((60, 62, 64, 65, 67, 69, 71, 72, 60), (0, 0)),
        ((69, 71, 72, 74, 76, 77, 80, 81, 69), (9, 1)),
        ((66, 68, 70, 71, 73, 75, 77, 78, 66), (6, 0)),
    ],
)
def test_the_key_of_a_scale_is_its_tonic(pitches, key):
    made = melody(pitches)
    assert find_key(class_weights(made.sounding)) == key
    assert in_key(made) == 1
    assert ends_on_tonic(made) == 1


def test_the_key_moves_with_the_music():
    rng = np.random.default_rng(2)
    weights = rng.random(12)
    tonic, mode = find_key(weights)
    for up in range(12):
        assert find_key(np.roll(weights, up)) == ((tonic + up) % 12, mode)


def test_notes_outside_of_the_key_are_counted():
    made = melody((60, 64, 67, 72, 60, 64, 67, 61, 66, 60))  # C# and F# are not of C major
    assert in_key(made) == pytest.approx(8 / 10)


def test_stretches_of_another_key_are_away_from_home():
    home, away = (60, 64, 67, 65, 62, 71, 67, 60), (66, 70, 73, 71, 68, 77, 73, 66)
    assert home_stretches(melody((*home * 2, *home * 2, *home * 2, *away * 2))) == pytest.approx(3 / 4)


def test_intervals_of_the_top_line():
    made = melody((60, 62, 70, 70, 69, 61))  # 2, 8, 0, 1, 8 semitones
    assert leaps(made) == pytest.approx(2 / 5)
    assert steps(made) == pytest.approx(2 / 5)


def test_the_top_line_is_what_is_struck_on_top():
    made = piece([(0, 8, 72), (0, 4, 60), (4, 4, 64), (8, 4, 67), (8, 4, 60)])
    frames, pitches = top_line(made)
    assert list(zip(frames, pitches, strict=True)) == [(0, 72), (8, 67)]


def test_notes_end_where_they_fall_silent_or_are_struck_again():
    made = piece([(0, 3, 60), (3, 2, 60), (8, 4, 60), (1, 15, 64)])
    assert sorted(note_lengths(made)) == [2, 3, 4, 15]


def test_beats_count_from_the_bar_line():
    off = piece([(2, 2, 60), (4, 2, 62), (10, 2, 64), (14, 2, 65)])
    assert on_beat(off) == pytest.approx(1 / 4)
    assert on_beat(Piece("", off.sounding, off.onset, 4.0, 16, 2)) == pytest.approx(3 / 4)


def test_frames_that_change():
    made = piece([(0, 4, 60), (4, 4, 60), (8, 8, 62)], frames=16)  # struck again at 4, another at 8
    assert changes(made) == pytest.approx(2 / 15)


def test_bars_that_return():
    made = phrases([0, 1, 2, 3, 0, 1, 2, 4])
    assert bars_again(made, 4) == pytest.approx(3 / 4)
    assert bars_again(made, 1) == 0
    assert bars_again(made, 1, rhythm=True) == 1
    assert np.isnan(bars_again(made, 8))


def test_an_upbeat_moves_the_bars_with_it():
    order = [0, 1, 2, 3, 0, 1, 2, 4]
    assert bars_again(phrases(order, upbeat=4), 4) == bars_again(phrases(order), 4)


def test_the_longest_phrase_has_ended_before_it_returns():
    assert longest_phrase(phrases([0, 1, 2, 3, 0, 1, 2, 4])) == 3
    assert longest_phrase(phrases([0, 1, 2, 3, 4, 5, 6, 0, 2])) == 1
    assert longest_phrase(phrases([0, 1, 2, 3])) == 0
    # A bar that loops is a phrase of one bar, heard eight times: its longest return without an overlap is four.
    assert longest_phrase(phrases([0] * 8)) == 4


def test_bars_in_which_nothing_is_struck():
    made = piece([(16, 48, 60), (64, 4, 62)])  # a silent bar, a note of three bars, a note
    assert still_bars(made) == pytest.approx(2 / 4)


def test_a_piece_that_does_not_come_home_does_not_end_on_the_tonic():
    assert ends_on_tonic(melody((60, 62, 64, 65, 67, 69, 71, 60, 62))) == 0


def test_a_piece_is_read_to_64_bars_and_its_end():
    order = [0, 1, 2, 3, 0, 1, 2, 4] * 8
    longer = phrases([*order, *[5, 6, 7] * 5])
    assert bars_again(longer, 4) == bars_again(phrases(order), 4)
    assert longer.bars() == 64


def test_rows_become_a_piece_with_or_without_onsets():
    bits = np.zeros((8, 2, 128), np.uint8)
    bits[:4, 0, 60], bits[4:8, 0, 60] = 1, 1
    bits[0, 1, 60] = bits[4, 1, 60] = 1
    rows = np.packbits(bits, axis=-1, bitorder="little")
    both = piece_of("", rows, ("sounding", "onset"), 4, (6, 8), 2)
    assert both.onset.sum() == 2
    assert (both.bar_frames, both.upbeat) == (12, 2)
    assert piece_of("", rows[:, :1], ("sounding",), 4).onset.sum() == 1
    voices = piece_of("", np.concatenate([rows, rows], axis=1), ("sounding:a", "onset:a", "sounding:b", "onset:b"), 4)
    assert np.array_equal(voices.sounding, both.sounding)


def test_every_measure_has_a_number_for_a_piece_and_none_for_one_note():
    rates = measure([phrases([0, 1, 2, 3] * 8), melody((60,))])
    assert list(rates) == list(MEASURES)
    assert all(np.isfinite(values[0]) for values in rates.values())
    assert np.isnan(rates["leaps over 7 semitones in the top line"][1])
