"""Where pieces end: features against hand-worked ones, and a fit to pieces whose endings are known."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from seq2seq.sampling.endings import QUANTILES, Endings, Metre, constant_nats, features

BEAT = Fraction(2)
LENGTHS = (4, 8, 12, 16, 20)
NAMES = (
    "constant",
    "beat",
    *(f"{bars} bars" for bars in (1, 2, 4, 8)),
    *(f"length {share}" for share in QUANTILES),
    "beats since",
    "log beats since",
    "a beat",
    "two beats",
    "bass home",
    "top home",
    "silent",
)


def rows_of(frames, onsets=True):
    bits = np.zeros((len(frames), 1 + onsets, 128), np.uint8)
    for t, pitches in enumerate(frames):
        bits[t, 0, list(pitches)] = 1
        if onsets:
            bits[t, 1, [p for p in pitches if not t or p not in frames[t - 1]]] = 1
    return np.packbits(bits, axis=-1, bitorder="little")


def table(rows, metre):
    return dict(zip(NAMES, features(rows, metre, LENGTHS).T.tolist(), strict=True))


@pytest.mark.parametrize("onsets", [True, False])
def test_what_is_known_of_a_piece(onsets):
    # C major: its scale, then G over C held for three frames, and a rest.
    scale = [[p] for p in (60, 62, 64, 65, 67, 69, 71, 72)]
    found = table(rows_of([*scale, [48, 67], [48, 67], [48, 67], []], onsets), Metre(BEAT, 4))
    assert found["constant"] == [1] * 12
    assert found["beat"] == [0, 1] * 6
    assert found["1 bars"] == [0, 0, 0, 1] * 3
    assert found["2 bars"] == [0] * 7 + [1] + [0] * 4
    assert found["4 bars"] == found["8 bars"] == [0] * 12
    assert found["length 0.05"] == [0] * 3 + [1] * 9
    assert found["length 0.5"] == [0] * 11 + [1]
    silence = 2 if onsets else 0.5  # without onsets, that nothing sounds any more is a change
    assert found["beats since"] == [0.5] * 8 + [0.5, 1, 1.5, silence]
    assert found["log beats since"][-2] == np.log2(2.5)
    assert found["a beat"][-4:] == [0, 1, 1, float(onsets)]
    assert found["two beats"] == [0] * 11 + [float(onsets)]
    # What sounded last counts, a rest after it aside.
    assert found["bass home"][-5:] == [1, 1, 1, 1, 1]
    assert found["top home"][-5:] == [1, 0, 0, 0, 0]
    assert found["silent"] == [0] * 11 + [1]


@pytest.mark.parametrize("onsets", [True, False])
def test_the_last_note_of_the_melody_counts_and_not_what_rings_on_below_it(onsets):
    # C over G and E; the C ends first. Then a D that ends over the same chord.
    scale = [[p] for p in (60, 62, 64, 65, 67, 69, 71, 72)]
    found = table(rows_of([*scale, [64, 67, 72], [64, 67], [64, 67, 74], [64, 67]], onsets), Metre(BEAT, 4))
    assert found["top home"][-5:] == [1, 1, 1, 0, 0]


def test_bars_are_counted_from_the_first_bar_line_or_from_the_beginning():
    found = table(rows_of([[60]] * 12), Metre(BEAT, 4, upbeat=2))
    assert found["1 bars"] == [0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert found["2 bars"] == [0] * 7 + [1, 0, 1, 0, 0]
    assert table(rows_of([[60]] * 12), Metre(Fraction(5, 2), None))["beat"] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
    assert table(rows_of([[60]] * 12), Metre(BEAT, None))["1 bars"] == [0] * 12


def pieces(rng, count=40):
    """Tunes in C that end after 4, 8 or 12 bars on a long tonic, and come to rest on other notes now and then."""
    made = []
    for _ in range(count):
        bars = int(rng.choice([4, 8, 12]))
        frames = []
        for bar in range(bars):
            notes = rng.choice([60, 62, 64, 65, 67, 69, 71], 4)
            if bar % 2 and bar < bars - 1:
                notes[:] = rng.choice([62, 67])
            if bar == bars - 1:
                notes[:] = 72
            frames += [[48, int(note)] for note in notes]
        made.append((rows_of(frames), Metre(BEAT, 4)))
    return made


def test_endings_are_learnt(rng):
    endings = Endings.fit(pieces(rng))
    unseen = pieces(rng, 30)
    nats = []
    for rows, metre in unseen:
        z = endings.logits(rows, metre)
        over = 1 / (1 + np.exp(-z))
        nats.append(-math.log(over[-1] * np.prod(1 - over[:-1])))
        assert z[-1] == z.max()
    assert np.mean(nats) < 1.5
    assert endings.nats_of(unseen) == pytest.approx(np.mean(nats), rel=1e-6)
    # One end a piece of 32 frames on average: one that knows no more takes over four nats.
    assert endings.constant_nats_per_piece > 4 > endings.nats_per_piece
    again = Endings.from_dict(json.loads(json.dumps(endings.to_dict())))
    np.testing.assert_allclose(again.weights, endings.weights, rtol=1e-7)
    assert again.lengths == endings.lengths


def test_who_knows_only_how_long_pieces_are_on_average():
    # A chance of one in four at each frame: two frames without an end, then one.
    assert constant_nats(4, 3) == pytest.approx(-math.log(0.75**2 * 0.25))
    # The mean over lengths is that of their mean.
    assert np.mean([constant_nats(4, n) for n in (2, 7)]) == pytest.approx(constant_nats(4, 4.5))


def test_an_end_is_drawn_where_it_is_likely(rng):
    endings = Endings.fit(pieces(rng))
    [(rows, metre)] = pieces(rng, 1)
    longer = np.concatenate([rows, *(part for part, _ in pieces(rng, 3))])
    ends = [endings.draw(longer, metre, 1, np.random.default_rng(seed)) for seed in range(200)]
    assert np.mean([end == len(rows) for end in ends]) > 0.5
    assert all(end > len(rows) for end in (endings.draw(longer, metre, len(rows) + 1, rng) for _ in range(50)))
    # Music that never ends is cut where it is likeliest to be over, in its second half.
    never = rows_of([[60 + 2 * (t % 3)] for t in range(16)])
    assert 8 < endings.draw(never, metre, 1, np.random.default_rng(0)) <= 16


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_endings_of_nothing():
    assert Endings.fit([]) is None
    assert Endings.fit([(rows_of([[60]]), Metre(BEAT, 4))]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [1.0]},
        {"weights": "many"},
        {"lengths": [0, 1, 2, 3, 4]},
        {"lengths": [1]},
        {"lengths": [1, 2, 3, 4, 2**31]},
    ],
)
def test_endings_that_cannot_be_are_refused(rng, change):
    whole = Endings.fit(pieces(rng)).to_dict()
    with pytest.raises((ValueError, TypeError)):
        Endings.from_dict(whole | change)
