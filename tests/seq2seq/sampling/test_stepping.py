"""Stepping frame by frame, as sampling does, against the models as they are trained."""

from __future__ import annotations

import numpy as np
import pytest

from seq2seq.models.weights import arrays_of
from seq2seq.sampling import _kernels as kernels
from seq2seq.sampling import stepping
from seq2seq.sampling.sampler import unpack, unpack_pitches
from seq2seq.sampling.stepping import stepper_of
from tiny_models import BOTH, KINDS, VOICES, echoes_of, random_rows, teacher_forced, tiny


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def stepped(model, rows, valid, start, left, echo, match):
    """Logits from the stepper, each frame imposed on the draw."""
    config, stepper = model.config, stepper_of(model.config, arrays_of(model))
    bits = unpack(rows, config)
    n = len(bits)
    stepper.read(bits, valid, start, unpack_pitches(echo, config), match, left)
    logits = np.zeros((n, config.target_frames, *bits.shape[2:]), np.float32)
    frame, weight = np.zeros_like(bits[:, 0]), np.zeros(n)
    for step in range(config.target_frames):
        wanted = bits[:, config.input_frames + step]
        sounding = np.where(wanted[:, -1] > 0, kernels.STRUCK, kernels.HELD)
        rules = np.where(wanted[:, 0] > 0, sounding, kernels.SILENT).astype(np.uint8)
        stepper.advance(config.input_frames + step)
        now = np.zeros_like(logits[:, 0])
        everything = np.ones(n, bool)
        how = np.zeros(wanted[:, 0].shape), np.ones(n), 1.0, np.zeros(n, np.uint64)
        stepper.draw(now, wanted[:, 0] * 0, rules, *how, everything, frame, weight)
        assert np.array_equal(frame, wanted)
        logits[:, step] = now
    return logits


@pytest.mark.parametrize("planes", [("sounding",), BOTH], ids=len)
@pytest.mark.parametrize(
    ("kind", "left"), [(kind, left) for kind in KINDS for left in ((0, 9) if KINDS[kind].get("closing") else (0,))]
)
def test_stepped_probabilities_are_the_teacher_forced_ones(kind, planes, left, rng):
    model = tiny(planes=planes, **KINDS[kind])
    config = model.config
    rows = random_rows(rng, config, 3, config.input_frames + config.target_frames)
    valid = np.ones(rows.shape[1], bool)
    valid[:2] = False
    rows[:, :2] = 0
    # Some frames come again, so that there are echoes.
    rows[:, 5:9] = rows[:, 2:6]
    echoes = echoes_of(config, rows[:, 2:], -2, rows.shape[1])
    assert config.echo < 3 or echoes["match"].any()
    wanted = 1 / (1 + np.exp(-teacher_forced(model, rows, valid, -2, left, **echoes)))
    found = 1 / (1 + np.exp(-stepped(model, rows, valid, -2, left, **echoes)))
    assert wanted.std() > 0.01
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=str)
@pytest.mark.parametrize(
    "kind",
    ["tied with echo", "tied with varied echoes", "tied bernoulli", "seq2seq attention", "seq2seq bernoulli", "blog"],
)
def test_voices_are_stepped_as_they_were_trained_in_any_order(kind, order, rng):
    model = tiny(planes=VOICES, **KINDS[kind])
    config = model.config
    rows = random_rows(rng, config, 3, config.input_frames + config.target_frames)
    rows[:, 5:9] = rows[:, 2:6]
    echoes = echoes_of(config, rows, 0, rows.shape[1])
    valid = np.ones(rows.shape[1], bool)
    wanted = teacher_forced(model, rows, valid, 0, order=order, **echoes)
    stepper, bits = stepper_of(config, arrays_of(model)), unpack(rows, config)
    stepper.read(bits, valid, 0, unpack_pitches(echoes["echo"], config), echoes["match"])
    for step in range(config.target_frames):
        frame, given = bits[:, config.input_frames + step], np.zeros(3, bool)
        stepper.advance(config.input_frames + step)
        for voice in np.argsort(order):
            own = frame[:, 2 * voice : 2 * voice + 2]
            rules = np.where(own[:, 1] > 0, kernels.STRUCK, np.where(own[:, 0] > 0, kernels.HELD, kernels.SILENT))
            stepper.turn_to(int(voice), frame, given)
            logits, drawn = np.zeros(own.shape, np.float32), np.zeros(own.shape, np.uint8)
            how = np.zeros((3, config.pitches)), np.ones(3), 1.0, np.zeros(3, np.uint64)
            stepper.draw(logits, own[:, 0] * 0, rules.astype(np.uint8), *how, np.ones(3, bool), drawn, np.zeros(3))
            np.testing.assert_array_equal(drawn, own)
            np.testing.assert_allclose(logits, wanted[:, step, 2 * voice : 2 * voice + 2], rtol=0, atol=1e-4)
            given[voice] = True


@pytest.mark.parametrize("rows", [1, 3, 7, 8, 20])
def test_a_product_in_blocks_is_the_product(rng, monkeypatch, rows):
    x, weights = rng.standard_normal((rows, 5)).astype(np.float32), rng.standard_normal((5, 4)).astype(np.float32)
    wanted = [[sum(float(x[i, k]) * float(weights[k, j]) for k in range(5)) for j in range(4)] for i in range(rows)]
    for most in (stepping._ONE_THREAD, 60, 1):  # one block, blocks of three rows, of one
        monkeypatch.setattr(stepping, "_ONE_THREAD", most)
        np.testing.assert_allclose(stepping._product(x, weights), wanted, rtol=0, atol=1e-5)
