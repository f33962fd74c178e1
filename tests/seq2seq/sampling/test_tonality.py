"""Keys: which there are in a corpus, and that notes outside the key have to be repaid."""

import json

import numpy as np
import pytest

from seq2seq.sampling.tonality import BALANCE, HEARD, MEMORY, OPENING, Keys, Tonality, find_keys

LOW, PITCHES = 60, 12
SCALE = (0, 2, 4, 5, 7, 9, 11)
SILENCE = np.zeros((1, PITCHES), np.uint8)
NOTHING = np.zeros((0, 2, 16), np.uint8)


def rows_of(pitches):
    """One note a frame, struck in it."""
    bits = np.zeros((len(pitches), 2, 128), np.uint8)
    bits[np.arange(len(pitches)), :, pitches] = 1
    return np.packbits(bits, axis=-1, bitorder="little")


def melody(tonic, strange=()):
    return rows_of([tonic + step for step in (0, 2, 4, 5, 7, 9, 11, 12, 0, 4, 7, 12, 0, 0)] + list(strange))


def began(*pitches):
    frame = np.zeros((1, PITCHES), np.uint8)
    frame[0, [pitch - LOW for pitch in pitches]] = 1
    return frame


def test_the_keys_of_pieces():
    keys = find_keys([melody(60), melody(62), melody(62, [61 + 2]), NOTHING])
    assert keys.shares == ((0, 0, 0.3333), (2, 0, 0.6667))
    assert keys.strange == round(1 / 43, 4)
    assert Keys.from_dict(json.loads(json.dumps(keys.to_dict()))) == keys
    assert find_keys([NOTHING]) is None
    # Without a plane of onsets a note begins where it did not sound before: the last C is held.
    sounding = find_keys([melody(60)[:, :1], melody(62, [63])[:, :1]])
    assert sounding.strange == round(1 / 27, 4)


def test_a_piece_begins_in_a_key_of_the_corpus_as_often_as_they_do():
    keys = Keys(((0, 0, 0.25), (2, 0, 0.75)), 0.1)
    chances = np.array([0.0, 0.2, 0.3, 0.99])
    bias = Tonality(keys, NOTHING, chances, LOW, PITCHES).bias
    in_c = [0.0 if step in SCALE else -OPENING for step in range(12)]
    in_d = [0.0 if (step - 2) % 12 in SCALE else -OPENING for step in range(12)]
    assert bias.tolist() == [in_c, in_c, in_d, in_d]


def test_the_key_of_what_is_continued_is_kept():
    keys = Keys(((2, 0, 1.0),), 0.25)
    tonality = Tonality(keys, melody(60), np.zeros(1), LOW, PITCHES)
    assert not tonality.bias.any()
    tonality.hear(began(61, 64), SILENCE)  # one outside of two notes: half a note more than a quarter of them
    assert tonality.bias.tolist() == [[0.0 if step in SCALE else -0.5 for step in range(12)]]
    tonality.hear(began(60), SILENCE)
    assert tonality.bias.min() == -0.25
    tonality.hear(began(60, 62), SILENCE)  # nothing is saved up
    assert tonality.bias.min() == 0
    tonality.hear(began(66), SILENCE)
    assert tonality.bias.min() == -0.75


def test_the_opening_is_over_once_the_key_is_heard():
    tonality = Tonality(Keys(((0, 0, 1.0),), 0.0), NOTHING, np.zeros(1), LOW, PITCHES)
    for note in range(1, round(OPENING / HEARD) + 2):
        tonality.hear(began(60), SILENCE)
        assert tonality.bias.min() == min(0, HEARD * note - OPENING)


@pytest.mark.parametrize(
    "change",
    [
        {"shares": []},
        {"shares": [[12, 0, 1.0]]},
        {"shares": [[0, 2, 1.0]]},
        {"shares": [[0, 0]]},
        {"strange": 2},
        {"degrees": [[1.0] * 12]},
        {"degrees": [[1.0] * 12, [1.0]]},
        {"degrees": [[2.0] * 12] * 2},
    ],
)
def test_keys_that_cannot_be_are_refused(change):
    with pytest.raises((ValueError, TypeError)):
        Keys.from_dict(Keys(((0, 0, 1.0),), 0.1).to_dict() | change)


def test_how_long_the_degrees_of_a_key_sound():
    keys = find_keys([melody(60), melody(62)])
    major, minor = keys.degrees
    # Of 14 frames, the tonic has 6, in two octaves, and the third and the fifth 2 each.
    assert major == tuple(round(share / 14, 4) for share in (6, 0, 1, 0, 2, 1, 0, 2, 0, 1, 0, 1))
    assert minor == (0.0,) * 12


def test_what_has_sounded_beyond_its_share_becomes_less_likely():
    half = (0.5, 0, 0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0)
    keys = Keys(((0, 0, 1.0),), 1.0, (half, (0.0,) * 12))
    tonality = Tonality(keys, melody(60), np.zeros(1), LOW, PITCHES)
    tonality.hear(SILENCE, began(60))
    # One frame of the tonic, where half of it and half a frame of the fifth were due.
    assert tonality.bias[0] == pytest.approx(
        [-BALANCE / 2 / MEMORY if c == 0 else BALANCE / 2 / MEMORY * (c == 7) for c in range(12)]
    )
    tonality.hear(SILENCE, began(67))
    assert abs(tonality.bias).max() < BALANCE / 2 / MEMORY**2 * 1.01
    for _ in range(10_000):
        tonality.hear(SILENCE, began(60))
    assert tonality.bias[0, [0, 7]] == pytest.approx([-BALANCE / 2, BALANCE / 2])
    # In a key of a mode that no piece is in, nothing is due.
    minor = rows_of([60, 63, 67, 60, 63, 67, 68, 65, 60, 60])
    tonality = Tonality(keys, minor, np.zeros(1), LOW, PITCHES)
    tonality.hear(SILENCE, began(61))
    assert not tonality.bias.any()
