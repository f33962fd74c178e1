"""Keys: which there are in a corpus, and that notes outside the key have to be repaid."""

import json

import numpy as np
import pytest

from seq2seq.sampling.tonality import HEARD, OPENING, Keys, Tonality, find_keys

LOW, PITCHES = 60, 12
SCALE = (0, 2, 4, 5, 7, 9, 11)
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
    tonality.hear(began(61, 64))  # one outside of two notes: half a note more than a quarter of them
    assert tonality.bias.tolist() == [[0.0 if step in SCALE else -0.5 for step in range(12)]]
    tonality.hear(began(60))
    assert tonality.bias.min() == -0.25
    tonality.hear(began(60, 62))  # nothing is saved up
    assert tonality.bias.min() == 0
    tonality.hear(began(66))
    assert tonality.bias.min() == -0.75


def test_the_opening_is_over_once_the_key_is_heard():
    tonality = Tonality(Keys(((0, 0, 1.0),), 0.0), NOTHING, np.zeros(1), LOW, PITCHES)
    for note in range(1, round(OPENING / HEARD) + 2):
        tonality.hear(began(60))
        assert tonality.bias.min() == min(0, HEARD * note - OPENING)


@pytest.mark.parametrize(
    "change",
    [{"shares": []}, {"shares": [[12, 0, 1.0]]}, {"shares": [[0, 2, 1.0]]}, {"shares": [[0, 0]]}, {"strange": 2}],
)
def test_keys_that_cannot_be_are_refused(change):
    with pytest.raises((ValueError, TypeError)):
        Keys.from_dict(Keys(((0, 0, 1.0),), 0.1).to_dict() | change)
