"""The sampler against the model itself: probabilities, frequencies of draws, and what was imposed."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.errors import ConfigError  # noqa: E402
from seq2seq.models.echo import find_echoes  # noqa: E402
from seq2seq.models.weights import arrays_of  # noqa: E402
from seq2seq.output.measures import LEAP, note_lengths, piece_of, top_line  # noqa: E402
from seq2seq.output.theory import range_mask, scale_mask  # noqa: E402
from seq2seq.sampling import _kernels as kernels  # noqa: E402
from seq2seq.sampling.parts import Parts  # noqa: E402
from seq2seq.sampling.phrasing import Phrasing  # noqa: E402
from seq2seq.sampling.sampler import Sampler, Steering, pack, unpack  # noqa: E402
from seq2seq.sampling.tonality import Keys  # noqa: E402
from tiny_models import BOTH, KINDS, VOICES, echoes_of, random_rows, teacher_forced, tiny  # noqa: E402


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def sampler_of(model):
    return Sampler(model.config, arrays_of(model))


def outcome_probabilities(model):
    """Probability of every first frame of a piece, by the model itself, for a model of three pitches."""
    config = model.config
    outcomes = np.array(list(itertools.product([0, 1], repeat=3)), np.uint8)
    bits = np.zeros((8, config.input_frames + config.target_frames, 1, 3), np.uint8)
    bits[:, config.input_frames, 0] = outcomes
    valid = np.zeros(bits.shape[1], bool)
    logits = teacher_forced(model, pack(bits, config), valid, -config.input_frames)[:, 0, 0]
    chances = np.prod(np.where(outcomes, 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits))), axis=1)
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    return outcomes, chances


def frequencies(sampler, outputs=20_000, **options):
    nothing = np.zeros((0, 1, 16), np.uint8)
    frames = unpack(sampler.sample(nothing, 1, outputs=outputs, **options), sampler.config)[:, 0, 0]
    return np.bincount(frames @ np.array([4, 2, 1]), minlength=8) / outputs


@pytest.fixture(scope="module")
def three_pitches():
    model = tiny(spread=0.7, model="seq2seq", low=60, high=62)
    return sampler_of(model), *outcome_probabilities(model)


# Four standard deviations of a share of 20,000 draws are at most 0.014.
CLOSE = 0.015


def test_draws_are_as_frequent_as_they_are_probable(three_pitches):
    sampler, _, chances = three_pitches
    np.testing.assert_allclose(frequencies(sampler), chances, rtol=0, atol=CLOSE)


def test_a_melody_conditions_the_notes_below_it(three_pitches):
    sampler, outcomes, chances = three_pitches
    melody = pack(np.array([[[0, 0, 1]]], np.uint8), sampler.config)
    posterior = np.where(outcomes[:, 2], chances, 0)
    posterior /= posterior.sum()
    # Not the frequencies of the notes below without the melody: there is something to be conditioned.
    unaware = chances.reshape(4, 2).sum(axis=1)
    assert np.abs(unaware - posterior[1::2]).max() > 3 * CLOSE
    found = frequencies(sampler, steering=Steering(melody=melody))
    np.testing.assert_allclose(found, posterior, rtol=0, atol=CLOSE)


def test_max_polyphony_leaves_the_rest_as_probable_as_it_was(three_pitches):
    sampler, outcomes, chances = three_pitches
    posterior = np.where(outcomes.sum(axis=1) <= 1, chances, 0)
    posterior /= posterior.sum()
    found = frequencies(sampler, steering=Steering(max_polyphony=1))
    np.testing.assert_allclose(found, posterior, rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    ("kind", "spread", "tune"), [("seq2seq attention", 0.9, (0, 1, 0)), ("tied with echo", 0.45, (1, 0, 1))]
)
def test_particles_know_the_melody_to_come(kind, spread, tune):
    model = tiny(spread=spread, low=60, high=62, **KINDS[kind])
    config = model.config
    pieces = np.array(list(itertools.product([0, 1], repeat=9)), np.uint8).reshape(-1, 3, 1, 3)
    bits = np.zeros((len(pieces), config.input_frames + config.target_frames, 1, 3), np.uint8)
    bits[:, config.input_frames : config.input_frames + 3] = pieces
    valid = np.zeros(bits.shape[1], bool)
    valid[config.input_frames :] = True
    rows = pack(bits, config)
    start = -config.input_frames
    echoes = echoes_of(config, pack(pieces, config), start, bits.shape[1]) if config.echo else {}
    logits = teacher_forced(model, rows, valid, start, **echoes)[:, :3]
    chances = np.prod(1 / (1 + np.exp(np.where(pieces, -logits, logits))), axis=(1, 2, 3))
    assert chances.sum() == pytest.approx(1, abs=1e-4)
    fits = (pieces[:, :, 0, 2] == tune).all(axis=1)
    first = pieces[:, 0, 0] @ np.array([4, 2, 1])
    posterior, unaware = (
        np.bincount(first, weights=np.where(known, chances, 0), minlength=8)
        for known in (fits, pieces[:, 0, 0, 2] == tune[0])
    )
    posterior, unaware = posterior / posterior.sum(), unaware / unaware.sum()
    assert np.abs(unaware - posterior).max() > 0.13  # there is something to know
    melody = pack(np.array(tune, np.uint8)[:, None, None] * np.array([0, 0, 1], np.uint8), config)
    steering = Steering(melody=melody, allowed=range_mask("C4:C#4"), particles=24)
    # The third pitch is the melody's alone: it is silent where that rests.
    nothing = np.zeros((0, 1, 16), np.uint8)
    drawn = sampler_of(model).sample(nothing, 3, outputs=2000, steering=steering)
    found = unpack(drawn, config)[:, 0, 0] @ np.array([4, 2, 1])
    # Four standard deviations of a share of 2,000 draws are at most 0.045.
    np.testing.assert_allclose(np.bincount(found, minlength=8) / len(found), posterior, rtol=0, atol=0.05)


@pytest.mark.parametrize(("kind", "spread", "seed"), [("seq2seq attention", 1.2, 8), ("tied with echo", 0.45, 3)])
def test_voices_are_drawn_around_one_that_is_held_and_know_what_it_will_play(kind, spread, seed):
    """Two voices on two pitches; the second one strikes both of them, twice."""
    model = tiny(spread=spread, seed=seed, planes=VOICES[:4], low=60, high=61, **KINDS[kind])
    config = model.config
    tune = np.ones((2, 2, 2), np.uint8)
    outcomes = np.array(list(itertools.product([0, 1], repeat=2)), np.uint8)
    pieces = np.zeros((4, 2, 4, 2), np.uint8)
    pieces[:, :, 2:] = tune
    pieces[:, 0, 0] = pieces[:, 0, 1] = outcomes  # what begins a piece is struck
    bits = np.zeros((4, config.input_frames + config.target_frames, 4, 2), np.uint8)
    bits[:, config.input_frames : config.input_frames + 2] = pieces
    valid = np.arange(bits.shape[1]) >= config.input_frames
    start = -config.input_frames
    echoes = echoes_of(config, pack(pieces, config), start, bits.shape[1]) if config.echo else {}
    logits = teacher_forced(model, pack(bits, config), valid, start, order=(1, 0), **echoes)
    chances = 1 / (1 + np.exp(-logits))
    unaware = np.where(outcomes, chances[:, 0, 0], 1 - chances[:, 0, 0]).prod(axis=1)
    assert unaware.sum() == pytest.approx(1, abs=1e-4)
    posterior = unaware * chances[:, 1, 2:].prod(axis=(1, 2))
    posterior /= posterior.sum()
    assert np.abs(unaware - posterior).max() > 0.12
    melody = np.zeros((2, 4, 16), np.uint8)
    melody[:, 2:] = pack(tune, config)
    nothing = np.zeros((0, 4, 16), np.uint8)
    for particles, wanted in ((1, unaware), (80, posterior)):
        steering = Steering(melody=melody, hold=(1,), particles=particles)
        drawn = unpack(sampler_of(model).sample(nothing, 2, outputs=2000, steering=steering), config)
        np.testing.assert_array_equal(drawn[:, :, 2:], np.broadcast_to(tune, (2000, *tune.shape)))
        found = np.bincount(drawn[:, 0, 0] @ np.array([2, 1]), minlength=4) / len(drawn)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=0.05)


@pytest.mark.parametrize("kind", ["tied with echo", "seq2seq bernoulli", "blog"])
def test_a_voice_is_held_as_it_is_and_the_others_keep_the_rules(kind, rng):
    config = (model := tiny(planes=VOICES, low=55, high=70, **KINDS[kind])).config
    melody, primer = random_rows(rng, config, 20), random_rows(rng, config, 9)
    steering = Steering(range_mask("C4:E4"), 6, melody, (2, 0), particles=2)
    drawn = unpack(sampler_of(model).sample(primer, 30, outputs=2, steering=steering), config)
    held = unpack(melody, config)
    for planes in (slice(0, 2), slice(4, 6)):
        np.testing.assert_array_equal(drawn[:, :20, planes], np.broadcast_to(held[:, planes], (2, 20, 2, 16)))
    free = drawn[:, :20, 2]
    assert free.any()
    assert not free[..., : 60 - 55].any()
    assert not free[..., 65 - 55 :].any()
    room = np.maximum(0, 6 - held[:, [0, 4]].sum(axis=(1, 2)))
    assert (free.sum(axis=2) <= room).all()
    assert drawn[:, 20:, 0].any()  # beyond its end, all is free
    # An onset belongs to what sounds in its own voice.
    assert not (drawn[:, :, 1::2] & ~drawn[:, :, ::2]).any()


def test_parts_are_kept_where_a_draw_can_keep_them():
    sampler = sampler_of(tiny(spread=0.3, low=55, high=70))
    nothing = np.zeros((0, 1, 16), np.uint8)
    # Two parts in ranges of their own: what has two notes has one in each, and a part moves by three at most.
    parts = Parts(((64, 70), (55, 62)), (3, 3))
    free, kept = (
        unpack(sampler.sample(nothing, 24, outputs=4, steering=Steering(max_polyphony=2, parts=rules)), sampler.config)
        for rules in (None, parts)
    )

    def faults(drawn):
        notes = [[np.flatnonzero(frame[0]) + 55 for frame in piece] for piece in drawn]
        return sum(parts.faults(one, other) for piece in notes for one, other in itertools.pairwise(piece))

    assert faults(free) > 40
    assert faults(kept) < 10


def test_nothing_sounds_above_a_melody_in_parts():
    sampler = sampler_of(tiny(spread=0.3, low=55, high=70))
    nothing = np.zeros((0, 1, 16), np.uint8)
    melody = np.zeros((12, 1, 16), np.uint8)
    melody[:, 0, 62 // 8] = 1 << 62 % 8
    parts = Parts(((55, 70), (55, 70)), (15, 15))
    for rules in (None, parts):
        steering = Steering(melody=melody, parts=rules, particles=3)
        drawn = unpack(sampler.sample(nothing, 12, outputs=3, steering=steering), sampler.config)
        assert drawn[:, :, 0, 62 - 55].all()
        assert drawn[:, :, 0, 63 - 55 :].any() == (rules is None)


def test_temperature_and_top_p_at_their_ends(three_pitches):
    sampler, _, _ = three_pitches
    greedy = frequencies(sampler, outputs=50, temperature=0)
    assert sorted(greedy) == [0] * 7 + [1]
    assert np.array_equal(greedy, frequencies(sampler, outputs=50, top_p=0.5))
    # Very hot: every question is a coin.
    np.testing.assert_allclose(frequencies(sampler, temperature=1e6), 1 / 8, rtol=0, atol=CLOSE)


@pytest.mark.parametrize(("logit", "chance"), [(0.0, 0.5), (2.0, 0.880797), (2.5, 1.0), (-2.5, 0.0)])
def test_the_nucleus_of_one_question(logit, chance):
    # 0.88 and 0.12 are both kept at top-p 0.9; 0.924 alone is nucleus enough.
    assert kernels.chance(logit, 1.0, 0.9) == pytest.approx(chance, abs=1e-6)
    assert kernels.chance(2 * logit, 2.0, 0.9) == pytest.approx(chance, abs=1e-6)


def test_the_random_numbers_are_splitmix64():
    # First outputs for seed 1234567, from the author's C code.
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    states = np.array([1234567], np.uint64)
    assert [kernels.uniform(states, 0) for _ in wanted] == [(z >> 11) / 2**53 for z in wanted]


@pytest.fixture(scope="module")
def onset_sampler():
    return sampler_of(tiny(spread=0.5, planes=BOTH, lags=(4,)))


@pytest.mark.parametrize("kind", KINDS)
def test_length_is_exact_and_goes_beyond_the_window(kind, rng):
    sampler = sampler_of(tiny(**KINDS[kind]))
    primer = random_rows(rng, sampler.config, 9)
    for steps in (1, 5, 6, 23):
        assert sampler.sample(primer, steps, outputs=2).shape == (2, steps, 1, 16)


@pytest.mark.parametrize("planes", [("sounding",), BOTH], ids=len)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [3, 9])
def test_the_likeliest_frames_are_those_of_the_model_window_by_window(kind, planes, length, rng):
    model = tiny(planes=planes, **KINDS[kind])
    config = model.config
    steps, ahead = 17, config.target_frames
    primer = np.tile(random_rows(rng, config, 3), (length // 3, 1, 1))
    # A pitch that the model does not know tells two frames apart nevertheless.
    primer[length // 2 :][:1, 0, 1] |= 4
    drawn = sampler_of(model).sample(primer, steps, outputs=2, temperature=0)
    pieces = np.concatenate([np.stack([primer] * 2), drawn], axis=1)
    matched = False
    for block in range(0, steps, ahead):
        start = len(primer) + block - config.input_frames
        frames = np.arange(start, start + config.input_frames + ahead)
        valid = (frames >= 0) & (frames < pieces.shape[1])
        rows = np.where(valid[:, None, None], pieces[:, frames.clip(0, pieces.shape[1] - 1)], 0).astype(np.uint8)
        echoes = echoes_of(config, pieces, start, len(frames))
        logits = teacher_forced(model, rows, valid, start, **echoes)[:, : steps - block]
        sure = np.abs(logits) > 1e-4
        matched |= bool(echoes["match"].any())
        bits = unpack(drawn[:, block : block + ahead], config) > 0
        assert np.array_equal((logits > 0)[:, :, 0] & sure[:, :, 0], bits[:, :, 0] & sure[:, :, 0])
    # The longer primer repeats itself.
    assert matched or config.echo < 3 or length == 3


def test_same_seed_same_bytes(onset_sampler, rng):
    primer = random_rows(rng, onset_sampler.config, 9)
    first, again, other = (onset_sampler.sample(primer, 12, outputs=3, seed=seed) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert len({output.tobytes() for output in first}) == 3
    # The first is the first, alone or not.
    assert onset_sampler.sample(primer, 12, seed=7).tobytes() == first[:1].tobytes()
    # Nor does it matter in which group an output is drawn, of three and two or of four, four and three.
    five, eleven = (onset_sampler.sample(primer, 12, outputs=outputs, seed=7) for outputs in (5, 11))
    assert len({output.tobytes() for output in eleven}) == 11
    assert eleven[:5].tobytes() == five.tobytes()


def test_onsets_and_sounding_agree(onset_sampler, rng):
    primer = random_rows(rng, onset_sampler.config, 9)
    drawn = onset_sampler.sample(primer, 40, outputs=3, temperature=1.5)
    bits = unpack(np.concatenate([np.stack([primer] * 3), drawn], axis=1), onset_sampler.config) > 0
    sounding, onset = bits[:, 8:, 0], bits[:, 8:, 1]
    begins = sounding[:, 1:] & ~sounding[:, :-1]
    assert begins.any()
    assert not (onset & ~sounding).any()
    assert not (begins & ~onset[:, 1:]).any()
    assert (onset[:, 1:] & sounding[:, :-1]).any(), "no note was struck again"


def test_phrasing_is_heard_where_there_is_an_echo(rng):
    for kind, differs in (("tied with echo", True), ("tied with lags", False)):
        sampler = sampler_of(tiny(**KINDS[kind]))
        primer = np.tile(random_rows(rng, sampler.config, 4), (5, 1, 1))
        plain, shaped = (
            sampler.sample(primer, 40, phrasing=phrasing)
            for phrasing in (None, Phrasing(1e-3, 1e-3, moving=1, still=0))
        )
        assert (plain.tobytes() != shaped.tobytes()) == differs
    # Factors that are all 1 are no factors.
    sampler = sampler_of(tiny(**KINDS["tied with echo"]))
    one = sampler.sample(primer, 40, phrasing=Phrasing(1.0, 1.0))
    assert one.tobytes() == sampler.sample(primer, 40).tobytes()


def test_the_music_repeats_itself_as_the_voice_does_that_repeats_itself_least(rng, monkeypatch):
    sampler = sampler_of(tiny(planes=VOICES[:4], **KINDS["tied with echo"]))
    primer = np.tile(random_rows(rng, sampler.config, 4), (5, 1, 1))
    primer[:, 2:] = primer[0, 2:]  # one voice stands still, the other repeats itself
    heard, factors = [], Phrasing.factors

    def spy(self, match, lags, *rest):
        heard.append((int(match[0]), int(lags[0])))
        return factors(self, match, lags, *rest)

    monkeypatch.setattr(Phrasing, "factors", spy)
    drawn = sampler.sample(primer, 12, phrasing=Phrasing(longest=1000))[0]
    lags, match = find_echoes(np.concatenate([primer, drawn]), sampler.config.echo, 2)
    least = match.argmin(axis=1)
    wanted = [(int(match[t, least[t]]), int(lags[t, least[t]])) for t in range(len(primer), len(lags))]
    assert heard == wanted
    assert (match[len(primer) :, 0] != match[len(primer) :, 1]).any()


def test_what_stands_still_is_not_echoed(rng):
    """From some frame on, a note that is held has no echo, nor a varied one."""
    model = tiny(spread=0.1, model="tied", echo=64, varied=1)
    sampler = sampler_of(model)
    heard = []
    advance = type(sampler._stepper).advance

    def spy(self, place):
        heard.append(self._match[0, place].tolist())
        assert all(match or not echo.any() for match, echo in zip(heard[-1], self._echo[0, place], strict=True))
        advance(self, place)

    rows = np.repeat(random_rows(rng, sampler.config, 1), 9, axis=0)
    # One note is held, and nothing else may sound.
    note = np.zeros((1, 1, 56), np.uint8)
    note[0, 0, 30] = 1
    steering = Steering(max_polyphony=1, melody=np.repeat(pack(note, sampler.config), 16, axis=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(sampler._stepper), "advance", spy)
        drawn = sampler.sample(rows, 16, steering=steering, phrasing=Phrasing(longest=8))
    assert len({frame.tobytes() for frame in drawn[0]}) == 1
    # The first frame changes; eight frames after it stand still before the echo ends.
    assert all(run > 0 and degree > 0 for run, degree in heard[2:9])
    assert heard[9:] == [[0, 0]] * 7


def test_a_phrase_that_returns_is_told_at_every_bar(rng):
    """With a certain return after 8 bars, a model that trusts its echo plays the first bars again."""
    sampler = sampler_of(tiny(spread=0.1, model="tied", echo=64, units=16))
    arrays = arrays_of(tiny(spread=0.0, model="tied", echo=64, units=16))
    primer = random_rows(rng, sampler.config, 16)
    told = []
    follow = Phrasing.told
    phrasing = Phrasing(bar=2, returns=((8, 1.0),))

    def spy(self, frame, lags, chances):
        told.append((frame, follow(self, frame, lags, chances).tolist()))
        return np.array(told[-1][1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Phrasing, "told", spy)
        Sampler(sampler.config, arrays).sample(primer, 20, outputs=2, phrasing=phrasing)
    assert told == [(frame, [16, 16]) for frame in range(16, 36, 2)]


def test_a_rhythm_that_returns_is_that_of_so_many_bars_ago(rng):
    """With a certain return after 1 bar, something is struck where it was struck a bar before, and nowhere else."""
    sampler = sampler_of(tiny(spread=0.1, planes=BOTH, model="tied", echo=64, low=60, high=64))
    nothing = np.zeros((0, 2, 16), np.uint8)
    same = []
    for rhythms in ((), ((1, 1.0),)):
        drawn = sampler.sample(nothing, 64, outputs=4, phrasing=Phrasing(bar=8, rhythms=rhythms))
        struck = drawn[:, :, 1].any(axis=2).reshape(4, 8, 8)
        same.append((struck[:, 1:] == struck[:, :-1]).mean())
    # Sixteen draws of a frame are not always enough.
    assert same[0] < 0.9
    assert same[1] > 0.99
    # A phrase that returns comes in its own rhythm.
    phrasing = Phrasing(bar=2, returns=((8, 1.0),), rhythms=((1, 0.0),))
    struck = sampler.sample(nothing, 64, outputs=4, phrasing=phrasing)[:, :, 1].any(axis=2)
    assert (struck[:, 16:] == struck[:, :-16]).mean() > 0.99


def test_no_note_is_held_for_longer_than_those_of_the_training_data(rng):
    sampler = sampler_of(tiny(spread=0.5, planes=BOTH, model="tied", echo=64))
    primer = random_rows(rng, sampler.config, 4)
    longest = []
    for held in (None, 1):
        drawn = sampler.sample(primer, 60, outputs=3, temperature=2.0, phrasing=Phrasing(held=held))
        pieces = [piece_of("", one, sampler.config.planes, 4) for one in drawn]
        longest.append(max(note_lengths(piece).max() for piece in pieces))
    assert longest[0] > 1 == longest[1]


def test_nothing_is_played_out_of_reach(rng):
    sampler = sampler_of(tiny(spread=0.1, model="tied", echo=64))
    low, high = sampler.config.low, sampler.config.high
    reach = (low + 20, high - 20)

    def extremes(primer, **options):
        drawn = sampler.sample(primer, 40, outputs=3, phrasing=Phrasing(**options))
        pitches = np.flatnonzero(np.unpackbits(drawn, axis=-1, bitorder="little").any(axis=(0, 1, 2)))
        return pitches[0], pitches[-1]

    nothing = np.zeros((0, 1, 16), np.uint8)
    free, kept = extremes(nothing), extremes(nothing, reach=reach)
    assert free[0] < reach[0] <= kept[0]
    assert kept[1] <= reach[1] < free[1]
    # What is continued may be out of reach.
    frame = np.zeros((8, 1, sampler.config.pitches), np.uint8)
    frame[:, 0, [5, -1]] = 1
    wide = extremes(pack(frame, sampler.config), reach=reach)
    assert low + 5 <= wide[0] < reach[0]
    assert wide[1] > reach[1]


def test_the_tonic_is_pulled_to_in_the_last_bar():
    sampler = sampler_of(tiny(spread=0.1, planes=BOTH, model="tied", echo=64))
    keys = Keys(((2, 0, 1.0),), 0.5)  # D major
    drawn = sampler.sample(
        np.zeros((0, 2, 16), np.uint8), 40, outputs=3, phrasing=Phrasing(bar=8, keys=keys, pull=20.0)
    )
    bits = np.unpackbits(drawn[:, :, 0], axis=-1, bitorder="little")[..., sampler.config.low : sampler.config.high + 1]
    classes = np.arange(sampler.config.low, sampler.config.high + 1) % 12
    tonic, others = bits[..., classes == 2].mean(axis=2), bits[..., classes == 4].mean(axis=2)
    assert tonic[:, -8:].mean() > 0.99
    assert tonic[:, :-8].mean() < 0.7
    assert others[:, -8:].mean() < 0.7


def test_leaps_are_as_rare_as_in_the_training_data(rng):
    """A model that knows nothing of lines leaps all the time; with a share, it leaps about as often as that says."""
    sampler = sampler_of(tiny(spread=0.1, planes=BOTH, model="tied", echo=64))
    nothing = np.zeros((0, 2, 16), np.uint8)
    found = []
    for leaps in ((), (0.1, 0.05)):
        drawn = sampler.sample(nothing, 200, outputs=3, phrasing=Phrasing(leaps=leaps))
        lines = [top_line(piece_of("", one, sampler.config.planes, 4))[1] for one in drawn]
        found.append(np.mean([(np.abs(np.diff(line)) > LEAP).mean() for line in lines]))
    assert found[1] < 0.25
    assert found[1] < found[0] / 2


@pytest.mark.parametrize("kind", ["tied", "tied bernoulli", "seq2seq"])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_no_rule_is_ever_broken(kind, temperature, rng):
    sampler = sampler_of(tiny(spread=0.5, planes=BOTH, **KINDS[kind]))
    allowed = scale_mask("A minor") & range_mask("C2:C5")
    # The melody leaves scale and range, and has more notes than may sound at once: it may.
    melody = random_rows(rng, sampler.config, 12, density=0.02)
    primer = random_rows(rng, sampler.config, 4)
    steering = Steering(allowed=allowed, max_polyphony=2, melody=melody)
    drawn = sampler.sample(primer, 20, outputs=3, temperature=temperature, steering=steering)
    bits = np.unpackbits(drawn, axis=-1, bitorder="little") > 0
    held = np.zeros((20, 2, 128), bool)
    held[:12] = np.unpackbits(melody, axis=-1, bitorder="little") > 0
    assert bits[:, held].all()
    # A pitch of the melody is struck where the melody strikes it, and nowhere else.
    assert np.array_equal(bits[:, :, 1] & held[:, 0], np.broadcast_to(held[:, 1], (3, 20, 128)))
    rest = bits[:, :, 0] & ~held[:, 0]
    assert not rest[..., ~allowed].any()
    assert (bits[:, :, 0].sum(axis=2) <= np.maximum(2, held[:, 0].sum(axis=1))).all()
    # What goes on sounding when the melody leaves it is a note of its own.
    left = rest[:, 1:] & held[:-1, 0]
    assert bits[:, 1:, 1][left].all()


def test_the_least_probable_free_notes_are_dropped_when_redrawing_does_not_help():
    logits = np.array([[3.0, -1.0, 2.0, -2.0, 1.0]], np.float32)
    frame = np.ones((1, 5), np.uint8)
    rules = np.full(5, kernels.FREE, np.uint8)
    rules[3] = kernels.STRUCK
    kernels.thin(logits, rules, 3, frame)
    assert frame.tolist() == [[1, 0, 1, 1, 0]]
    kernels.thin(logits, rules, 0, frame)
    assert frame.tolist() == [[0, 0, 0, 1, 0]]


def test_a_pitch_outside_the_primer_range_is_not_heard(onset_sampler, rng):
    primer = random_rows(rng, onset_sampler.config, 9)
    louder = primer.copy()
    louder[..., 15] = 255
    wanted = onset_sampler.sample(primer, 8)
    assert np.array_equal(onset_sampler.sample(louder, 8), wanted)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "at least 1"),
        ({"outputs": 0}, "at least 1"),
        ({"temperature": -1.0}, "negative"),
        ({"temperature": float("nan")}, "negative"),
        ({"top_p": 0.0}, "top-p"),
        ({"top_p": 1.1}, "top-p"),
        ({"seed": -1}, "seed"),
        ({"steering": Steering(allowed=range_mask("C-1:C0"))}, "none of the pitches"),
        ({"steering": Steering(melody=np.full((2, 2, 16), 255, np.uint8))}, "transpose"),
    ],
)
def test_what_cannot_be_is_refused(onset_sampler, options, said):
    with pytest.raises(ConfigError, match=said):
        onset_sampler.sample(np.zeros((0, 2, 16), np.uint8), **({"steps": 4} | options))


def test_steering_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigError, match="no pitch"):
        Steering(allowed=np.zeros(128, bool))
    with pytest.raises(ConfigError, match="at least 1"):
        Steering(max_polyphony=0)


def test_without_chance_a_frame_is_drawn_once(onset_sampler, rng, monkeypatch):
    draws = []
    kind = type(onset_sampler._stepper)
    draw = kind.draw
    monkeypatch.setattr(kind, "draw", lambda self, *rest: draws.append(draw(self, *rest)))
    steering = Steering(max_polyphony=1)
    onset_sampler.sample(random_rows(rng, onset_sampler.config, 9), 10, temperature=0, steering=steering)
    assert len(draws) == 10


@pytest.mark.parametrize("outputs", [1, 9])
def test_progress_is_told_and_an_interruption_ends_all_threads(onset_sampler, rng, outputs):
    primer = random_rows(rng, onset_sampler.config, 9)
    told = []
    onset_sampler.sample(primer, 40, outputs=outputs, progress=lambda *frames: told.append(frames))
    block = onset_sampler.config.target_frames
    assert len(told) == -(-40 // block) * -(-outputs // 4)
    assert {whole for _, whole in told} == {40 * outputs}
    assert max(told)[0] == (40 - 1) // block * block * outputs

    def interrupt(done, whole):
        told.append(done)
        if done:
            raise KeyboardInterrupt

    told.clear()
    with pytest.raises(KeyboardInterrupt):
        onset_sampler.sample(primer, 20_000, outputs=outputs, progress=interrupt)
    assert len(told) < 100, "the other threads went on"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_ten_thousand_steps_take_no_more_memory_than_the_music(rng):
    sampler = sampler_of(tiny(planes=BOTH, low=40, high=90, units=4))
    primer = random_rows(rng, sampler.config, 9)

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    sampler.sample(primer, 1000)
    before = resident()
    drawn = sampler.sample(primer, 10_000)
    assert drawn.shape == (1, 10_000, 2, 16)
    # The music is 0.3 MB; a state kept for each step, even of this tiny model, would be 16 MB.
    assert resident() - before < 4 * 2**20
