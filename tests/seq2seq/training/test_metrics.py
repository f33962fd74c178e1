"""Scores: nats, precision and recall of a model and of the baselines, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from small_dataset import write_dataset

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import open_dataset  # noqa: E402
from seq2seq.models.architectures import build_model  # noqa: E402
from seq2seq.models.config import ModelConfig  # noqa: E402
from seq2seq.training.feed import RollBatches  # noqa: E402
from seq2seq.training.metrics import (  # noqa: E402
    Outside,
    Score,
    fit_threshold,
    score_baselines,
    score_model,
    score_orders,
    score_table,
)
from untrained import write_voices  # noqa: E402

FIELDS = {"low": 40, "high": 80, "input_frames": 4, "target_frames": 6, "units": 4, "reach": 3, "periods": (2,)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_dataset(tmp_path_factory.mktemp("data")))


def bits_of(dataset, piece):
    return np.unpackbits(dataset.rows(int(piece))[:, 0], axis=-1, bitorder="little")


def chance(k, n):
    return (k + 1) / (n + 2)


def nats(bit, p):
    return -math.log(p if bit else 1 - p)


def slow_baselines(dataset, config, split):
    """Nats of each frame and (hits, wrong, missed) of `repeat`, one pitch at a time."""
    inside = range(config.low, config.high + 1)
    ahead = config.target_frames if config.model == "blog" else 1
    alone, own, pooled, total = {}, {}, {}, 0
    every = {}

    def known(bits, t, p):
        if config.model != "blog":
            return (0, int(bits[t - 1, p]) if t else 0)
        start = t - t % ahead
        return (t - start, int(bits[start - 1, p]) if start else 0)

    for piece in dataset.split("train"):
        bits = bits_of(dataset, piece)
        total += len(bits)
        for t in range(len(bits)):
            for p in range(128):
                every[p] = every.get(p, 0) + int(bits[t, p])
            for p in inside:
                step, state = known(bits, t, p)
                for table, key in ((alone, p), (own, (step, state, p)), (pooled, (step, state))):
                    k, n = table.get(key, (0, 0))
                    table[key] = (k + int(bits[t, p]), n + 1)
    found = {"unigram": [], "markov": [], "repeat": []}
    counts = [0, 0, 0]
    for piece in dataset.split(split):
        bits = bits_of(dataset, piece)
        for t in range(len(bits)):
            rest = sum(nats(bits[t, p], chance(every[p], total)) for p in range(128) if p not in inside)
            sums = [rest] * 3
            for p in range(128):
                state = 0
                if p in inside:
                    step, state = known(bits, t, p)
                    for i, (table, key) in enumerate(((alone, p), (own, (step, state, p)), (pooled, (step, state)))):
                        sums[i] += nats(bits[t, p], chance(*table.get(key, (0, 0))))
                counts[0] += bits[t, p] and state
                counts[1] += state and not bits[t, p]
                counts[2] += bits[t, p] and not state
            for name, value in zip(found, sums, strict=True):
                found[name].append(value)
    return found, counts


@pytest.mark.parametrize("kind", ["tied", "blog"])
def test_baselines_equal_plain_loops(dataset, kind):
    head = "bernoulli" if kind == "blog" else "autoregressive"
    config = ModelConfig(**FIELDS, model=kind, head=head)
    scores = score_baselines(dataset, config, "test")
    expected, counts = slow_baselines(dataset, config, "test")
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name].nats, values, rtol=1e-9)
    repeat = scores["repeat"]
    assert [repeat.hits, repeat.wrong, repeat.missed] == counts


@pytest.mark.parametrize("hop", [2, 6])
def test_the_score_of_a_model_equals_plain_loops(dataset, hop):
    keras.utils.set_random_seed(5)
    model = build_model(ModelConfig(**FIELDS, head="bernoulli"))
    config = model.config
    batches = RollBatches(dataset, config, split="test", batch_size=3, hop=hop)
    score = score_model(model, batches, Outside(dataset, config), threshold=-2.6)
    total = sum(len(dataset.rows(int(i))) for i in dataset.split("train"))
    share = sum(bits_of(dataset, i).sum(0, dtype=int) for i in dataset.split("train"))
    expected, hits, wrong, missed = [], 0, 0, 0
    for rank, piece in enumerate(dataset.split("test")):
        bits = bits_of(dataset, piece)
        for t in range(len(bits)):
            # The window in which frame t counts, found by its place alone.
            start = 0 if t < 6 else -(-(t - 5) // hop) * hop
            rows = np.zeros((1, 10, 1, 16), np.uint8)
            valid = np.zeros((1, 10), np.uint8)
            for i in range(10):
                if 0 <= start - 4 + i < len(bits):
                    rows[0, i, 0] = dataset.rows(int(piece))[start - 4 + i, 0]
                    valid[0, i] = 1
            shape = {"start": np.array([start - 4], np.int32), "shift": np.zeros(1, np.int32)}
            logits = np.asarray(keras.ops.convert_to_numpy(model({"rows": rows, "valid": valid, **shape})), float)
            logits = logits[0, t - start, 0]
            value = 0.0
            for p in range(128):
                if 40 <= p <= 80:
                    value += nats(bits[t, p], 1 / (1 + math.exp(-logits[p - 40])))
                    guess = bool(logits[p - 40] > -2.6)
                else:
                    value += nats(bits[t, p], chance(share[p], total))
                    guess = False
                sounds = bool(bits[t, p])
                hits, wrong, missed = hits + (guess and sounds), wrong + (guess > sounds), missed + (sounds > guess)
            expected.append(value)
            assert score.piece[len(expected) - 1] == rank
    np.testing.assert_allclose(score.nats, expected, rtol=1e-5)
    assert (score.hits, score.wrong, score.missed) == (hits, wrong, missed)


def test_the_means_are_over_frames_and_over_pieces_with_and_without_the_first():
    score = Score(np.array([8.0, 1.0, 3.0, 4.0]), np.array([0, 0, 0, 1]), 6, 2, 4)
    figures = score.to_dict()
    assert (figures["frames"], figures["pieces"]) == (4, 2)
    assert figures["nats_per_frame"] == 4
    assert figures["nats_per_frame_by_piece"] == 4
    assert figures["nats_per_frame_without_first"] == 2
    assert figures["nats_per_frame_by_piece_without_first"] == 2
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0.75, 0.6, pytest.approx(2 / 3))
    assert Score(np.ones(1), np.zeros(1, int), 0, 0, 0).to_dict()["nats_per_frame_without_first"] is None
    lines = score_table({"model": figures, "other": figures}).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["model", "4.000", "4.000", "2.000", "2.000", "0.750", "0.600", "0.667"]


def test_the_threshold_is_that_of_the_best_f1(dataset):
    keras.utils.set_random_seed(6)
    model = build_model(ModelConfig(**FIELDS, head="bernoulli"))
    batches = RollBatches(dataset, model.config, split="validation")
    outside = Outside(dataset, model.config)
    best = score_model(model, batches, outside, fit_threshold(model, batches)).f1
    others = [score_model(model, batches, outside, level).f1 for level in (-4, -3, -2.7, -2.5, -2.4, -2.3, -2, 0)]
    assert best >= max(others)


@pytest.fixture(scope="module")
def duets(tmp_path_factory):
    return open_dataset(write_voices(tmp_path_factory.mktemp("duets") / "midi"))


def bernoulli_nats(bits, logits):
    """Nats of one voice of one frame, pitch by pitch: sounding, and where it does, struck or not."""
    total = 0.0
    for p in range(len(bits[0])):
        for plane in (0, 1) if bits[0][p] else (0,):
            total += nats(bits[plane][p], 1 / (1 + math.exp(-logits[plane][p])))
    return total


def test_the_nats_of_voices_are_those_of_their_planes_and_sum_to_those_of_the_frame(duets):
    config = ModelConfig(**FIELDS | {"low": 58, "high": 68}, planes=duets.planes)
    keras.utils.set_random_seed(5)
    model = build_model(config)
    for weight in model.weights:  # heads begin with no bias: here they differ
        weight.assign_add(0.1 * np.random.default_rng(1).standard_normal(weight.shape))
    outside = Outside(duets, config)
    # Beyond the range is no note in any frame.
    total = int(duets.pieces["frames"][duets.split("train")].sum())
    beyond = (128 - config.pitches) * nats(0, chance(0, total))
    scores = score_orders(model, duets, "train", 6, outside)
    for first, score in enumerate(scores):
        assert list(score.voices) == ["melody", "bass"]
        np.testing.assert_allclose(sum(score.voices.values()), score.nats, rtol=1e-12)
        # The first window of the first piece, in the order of this score.
        rows = duets.rows(int(duets.split("train")[0]))
        window = np.zeros((1, 10, 4, 16), np.uint8)
        window[0, 4:] = rows[:6]
        inputs = {"rows": window, "valid": np.array([[0] * 4 + [1] * 6], np.uint8)}
        inputs |= {"start": np.array([-4], np.int32), "shift": np.zeros(1, np.int32)}
        inputs["order"] = np.array([[first, 1 - first]], np.int32)
        logits = np.asarray(keras.ops.convert_to_numpy(model(inputs)), float)[0]
        bits = np.unpackbits(rows[:6], axis=-1, bitorder="little")
        for voice, found in enumerate(score.voices.values()):
            planes = slice(2 * voice, 2 * voice + 2)
            for t in range(6):
                wanted = bernoulli_nats(bits[t, planes, 58:69].tolist(), logits[t, planes].tolist()) + beyond
                assert found[t] == pytest.approx(wanted, rel=1e-4)
    # Each voice hears the other where it comes last.
    assert not np.allclose(scores[0].voices["melody"], scores[1].voices["melody"])


def test_baselines_of_voices_are_those_of_each_alone(duets):
    config = ModelConfig(**FIELDS | {"low": 58, "high": 68}, planes=duets.planes)
    scores = score_baselines(duets, config, "train")
    for voice, name in enumerate(("melody", "bass")):
        rolls = [np.unpackbits(duets.rows(int(i)), axis=-1, bitorder="little") for i in duets.split("train")]
        frames = np.concatenate([bits[:, 2 * voice : 2 * voice + 2] for bits in rolls])
        expected = []
        for t in range(len(frames)):
            total = 0.0
            for p in range(128):
                sounding = int(frames[:, 0, p].sum())
                total += nats(frames[t, 0, p], chance(sounding, len(frames)))
                if frames[t, 0, p]:
                    total += nats(frames[t, 1, p], chance(int(frames[:, 1, p].sum()), sounding))
            expected.append(total)
        np.testing.assert_allclose(scores["unigram"].voices[name], expected, rtol=1e-9)
        assert scores["markov"].voices[name].mean() < np.mean(expected)
