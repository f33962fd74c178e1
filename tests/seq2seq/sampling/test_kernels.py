"""The kernels of sampling against twins that sum over all pitches."""

from __future__ import annotations

import math

import numpy as np
import pytest

import oracles_sampling as oracles
from seq2seq.sampling import _kernels as kernels

OUTPUTS, PITCHES, KINDS, REACH = 5, 17, 3, 6
CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def bits(rng, *shape, density=0.2):
    return (rng.random(shape) < density).astype(np.uint8)


def check_draw(rng, planes, logits_of, call, temperature=0.9, top_p=0.98):
    """Draw with a kernel and with the twin, three frames in a row; one output is not to be drawn."""
    shape = OUTPUTS, planes, PITCHES
    rules = np.where(rng.random((OUTPUTS, PITCHES)) < 0.3, rng.integers(1, 4, (OUTPUTS, PITCHES)), 0).astype(np.uint8)
    may_hold, bias = bits(rng, OUTPUTS, PITCHES, density=0.5), 0.3 * rng.standard_normal((OUTPUTS, PITCHES))
    states = rng.integers(0, 2**63, OUTPUTS).astype(np.uint64)
    streams = [oracles.Stream(state) for state in states]
    todo = np.arange(OUTPUTS) != 2
    frame, logits, weight = np.full(shape, 7, np.uint8), np.zeros(shape, np.float32), np.full(OUTPUTS, 7.0)
    for _ in range(3):
        call(logits, may_hold, rules, bias, np.full(OUTPUTS, temperature), top_p, states, todo, frame, weight)
        assert (frame[2] == 7).all()
        assert weight[2] == 7
        for n in np.flatnonzero(todo):
            wanted = oracles.draw(logits_of(n), planes, rules[n], may_hold[n], bias[n], temperature, top_p, streams[n])
            np.testing.assert_array_equal(frame[n], wanted[0])
            np.testing.assert_allclose(logits[n], wanted[1], **CLOSE)
            assert weight[n] == pytest.approx(wanted[2], abs=1e-4)
            assert states[n] == streams[n].state
    assert 0 < frame[todo].mean() < 1


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize(("temperature", "top_p"), [(0.9, 1.0), (1.5, 0.8), (0.0, 1.0)])
def test_pitches_by_themselves(rng, planes, temperature, top_p):
    given = 2 * floats(rng, OUTPUTS, planes, PITCHES)

    def call(logits, *rest):
        logits[:] = given
        kernels.draw_independent(logits, *rest)

    check_draw(rng, planes, lambda n: lambda p, frame: given[n, :, p], call, temperature, top_p)


@pytest.mark.parametrize("planes", [1, 2])
def test_the_masked_dense_head(rng, planes):
    units = 3 * PITCHES
    base, entry = floats(rng, OUTPUTS, planes, PITCHES), floats(rng, OUTPUTS, units)
    inward, outward = floats(rng, planes, PITCHES, units), floats(rng, units, planes, PITCHES) / 4
    check_draw(
        rng,
        planes,
        lambda n: oracles.framewise_logits(base[n], entry[n], inward, outward),
        lambda *rest: kernels.draw_framewise(base, entry, inward, outward, *rest),
    )


# Hidden units by sixteens, and some left over.
@pytest.mark.parametrize("units", [5, 16, 39])
@pytest.mark.parametrize("planes", [1, 2])
def test_the_head_that_pitches_share(rng, planes, units):
    some, told = units - 2, floats(rng, OUTPUTS, PITCHES, 4)
    arrays = floats(rng, OUTPUTS, PITCHES, units), told, bits(rng, OUTPUTS, KINDS, PITCHES)
    weights = (
        floats(rng, REACH, 2 * planes + 1 + 4, some) / 2,
        floats(rng, 1 + 3 * KINDS, some),
        floats(rng, units, units) / 2,
        floats(rng, units),
        floats(rng, units, planes) / 2,
        floats(rng, planes),
    )
    check_draw(
        rng,
        planes,
        lambda n: oracles.pitchwise_logits(*(array[n] for array in arrays), *weights),
        lambda *rest: kernels.draw_pitchwise(*arrays, *weights, *rest),
    )


@pytest.mark.parametrize("planes", [1, 2])
def test_what_is_below_without_the_frame(rng, planes):
    previous, past = bits(rng, OUTPUTS, planes, PITCHES), bits(rng, OUTPUTS, KINDS, PITCHES)
    past[0] = 0
    below, counts = floats(rng, REACH, 2 * planes + 5, 7), floats(rng, 1 + 3 * KINDS, 7)
    begun = floats(rng, OUTPUTS, PITCHES, 9)
    out = begun.copy()
    kernels.hear_past_below(previous, past, below, counts, out)
    for n in range(OUTPUTS):
        np.testing.assert_allclose(
            out[n], begun[n] + oracles.past_below(previous[n], past[n], below, counts, 9), **CLOSE
        )


@pytest.mark.parametrize("width", [1, 5, 2 * PITCHES + 3])
def test_what_is_around(rng, width):
    previous, around = bits(rng, OUTPUTS, 4, PITCHES), floats(rng, width, 4, 7)
    begun = floats(rng, OUTPUTS, PITCHES, 9)
    out = begun.copy()
    kernels.hear_around(previous, around, out)
    for n in range(OUTPUTS):
        np.testing.assert_allclose(out[n], begun[n] + oracles.scattered(previous[n], around, 9), **CLOSE)


@pytest.mark.parametrize("voices", [1, 2])
def test_features_of_pitches(rng, voices):
    frames = bits(rng, OUTPUTS, 2 * voices + 3, PITCHES)
    context, neighbours = floats(rng, OUTPUTS, 9), floats(rng, 5, 2 * voices + 3, 7)
    harmony, place = floats(rng, 12 * voices, 9), floats(rng, PITCHES, 9)
    out = np.full((OUTPUTS, PITCHES, 9), 7, np.float32)
    kernels.pitch_features(frames, voices, context, neighbours, harmony, place, out)
    for m in range(OUTPUTS):
        wanted = oracles.pitch_features(frames[m], voices, context[m], neighbours, harmony, place)
        np.testing.assert_allclose(out[m], wanted, **CLOSE)


@pytest.mark.parametrize(("planes", "voices"), [(1, 1), (2, 1), (4, 2), (6, 3)])
def test_what_is_recalled(rng, planes, voices):
    window, lags = bits(rng, OUTPUTS, 12, planes, PITCHES), np.array([1, 2, 5, 9])
    heard = np.full((11, OUTPUTS, 5 * planes, PITCHES), 7, np.uint8)
    likeness = np.full((11, OUTPUTS, 4 * voices), 7, np.float32)
    kernels.recall(window, voices, 1, lags, heard, likeness)
    for m in range(11):
        for n in range(OUTPUTS):
            wanted, alike = oracles.recalled(window[n], voices, 1 + m, lags)
            np.testing.assert_array_equal(heard[m, n], wanted)
            np.testing.assert_array_equal(likeness[m, n], np.array(alike, np.float32))


def test_no_product_is_fused_into_a_sum(rng):
    """NumPy rounds after each operation, on every machine; so must the kernels, or a seed draws other music."""
    gates, c, h = np.tanh(floats(rng, 90, 4 * 37)), floats(rng, 90, 37), floats(rng, 90, 37)
    half = np.float32(0.5)
    take, keep, moved, opened = (half * gate + half if k != 2 else gate for k, gate in enumerate(np.split(gates, 4, 1)))
    wanted_c, wanted_h = keep * c + take * moved, h * opened
    kernels.cell(gates, c)
    kernels.open_output(gates, h)
    np.testing.assert_array_equal(c, wanted_c)
    np.testing.assert_array_equal(h, wanted_h)


def test_gumbel_numbers_are_those_of_the_streams():
    states, out = np.array([3, 4], np.uint64), np.zeros(2)
    kernels.gumbel(states, out)
    wanted = [-math.log(-math.log(oracles.Stream(seed).next())) for seed in (3, 4)]
    np.testing.assert_allclose(out, wanted, rtol=1e-12)
