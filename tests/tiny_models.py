"""Small models of every kind with every weight disturbed, and what they say of frames they are given."""

from __future__ import annotations

import numpy as np
import pytest

from windows_of_echoes import write_echoes

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.models.architectures import build_model  # noqa: E402
from seq2seq.models.config import ModelConfig  # noqa: E402
from seq2seq.sampling.sampler import pack  # noqa: E402

BOTH = ("sounding", "onset")
VOICES = ("sounding:melody", "onset:melody", "sounding:piano", "onset:piano", "sounding:bass", "onset:bass")


KINDS = {
    "tied": {"model": "tied"},
    "tied with lags": {"model": "tied", "lags": (2, 3, 8)},
    "tied with echo": {"model": "tied", "echo": 64, "lags": (3,)},
    "tied bernoulli with echo": {"model": "tied", "head": "bernoulli", "echo": 3},
    "tied with varied echoes": {"model": "tied", "echo": 64, "varied": 3, "lags": (3,)},
    "tied with a countdown": {"model": "tied", "closing": 8},
    "tied with a short echo": {"model": "tied", "echo": 2},
    "tied in two octaves": {"model": "tied", "low": 50, "high": 74, "conv": 3, "reach": 30},
    "tied bernoulli": {"model": "tied", "head": "bernoulli", "lags": (4,)},
    "seq2seq": {"model": "seq2seq"},
    "seq2seq with a countdown": {"model": "seq2seq", "closing": 5},
    "seq2seq attention": {"model": "seq2seq", "attention": True},
    "seq2seq bernoulli": {"model": "seq2seq", "attention": True, "head": "bernoulli"},
    "blog": {"model": "blog", "head": "bernoulli"},
}


def tiny(spread=0.3, seed=3, **changes):
    """A small model with every weight disturbed, so that no zero or one hides a mistake."""
    fields = {"low": 30, "high": 85, "input_frames": 6, "target_frames": 5, "units": 8, "reach": 5}
    config = ModelConfig(**(fields | {"periods": (4, 3, 16)} | changes))
    keras.utils.set_random_seed(3)
    model = build_model(config)
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype == "float32" and "variance" not in weight.path:
            value = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(weight))
            # Logits begin around 0, not around silence: there is more to see.
            value = value * (not weight.path.endswith("logit/bias"))
            weight.assign(value + spread * rng.standard_normal(weight.shape))
    return model


def random_rows(rng, config, *shape, density=0.1):
    bits = rng.random((*shape, len(config.planes), config.pitches)) < density
    if len(config.planes) > 1:
        bits[..., 1::2, :] &= bits[..., ::2, :]
    return pack(bits.astype(np.uint8), config)


def echoes_of(config, pieces, start, frames):
    """Echoes, and their runs, of a window of the same frames of each of *pieces*."""
    kinds = 1 + config.varied
    echo = np.zeros((len(pieces), frames, kinds * pieces.shape[2], 16), np.uint8)
    match = np.zeros((*echo.shape[:2], kinds * config.voice_count), np.uint8)
    for n, piece in enumerate(pieces):
        write_echoes(piece, start, config.echo, echo[n], match[n], config.voice_count)
    return {"echo": echo, "match": match}


def teacher_forced(model, rows, valid, start, left=0, order=None, **echoes):
    """Logits from the model itself, as in training and evaluation; *order* has the place of each voice."""
    n = len(rows)
    if model.config.voice_count > 1:
        order = np.arange(model.config.voice_count) if order is None else np.array(order)
        echoes["order"] = np.tile(order.astype(np.int32), (n, 1))
    inputs = {
        "rows": rows,
        "valid": np.repeat(valid[None].astype(np.uint8), n, axis=0),
        "start": np.full(n, start, np.int32),
        "shift": np.zeros(n, np.int32),
        "left": np.full(n, left, np.int32),
        **echoes,
    }
    return keras.ops.convert_to_numpy(model(inputs))
