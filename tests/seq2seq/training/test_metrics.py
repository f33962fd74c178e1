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
from seq2seq.training.metrics import Outside, Score, fit_threshold, score_baselines, score_model, score_table  # noqa: E402

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
