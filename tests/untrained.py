"""A model that has learnt nothing and plays now and then, for tests of what is done with a model."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

import rollcore
from seq2seq.models.config import ModelConfig
from seq2seq.models.weights import save_weights, weight_shapes
from seq2seq.output.figures import figures
from seq2seq.sampling.corpus import COMPARED, Corpus


def untrained(config: ModelConfig, seed: int = 1) -> dict[str, np.ndarray]:
    """Weights as Keras begins with them, by and large: it plays now and then."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in weight_shapes(config):
        values = rng.normal(size=shape) * np.sqrt(2 / max(1, sum(shape)))
        if len(shape) < 2:
            values = np.full(shape, 1.0 if name.endswith(("gamma", "variance")) else 0.0)
        if name == "logits/bias" or name.endswith("logit/bias"):
            values = np.full(shape, -2.5)
        arrays[name] = values.astype(np.float32)
    return arrays


def write_untrained(path: Path) -> Path:
    """Write a model.safetensors of random weights on the grid of sixteenths, and return its path."""
    fields = {"model": "seq2seq", "planes": ("sounding", "onset"), "low": 40, "high": 88, "units": 8}
    config = ModelConfig(**fields, input_frames=16, target_frames=8)
    grid = rollcore.Grid("beats", Fraction(4))
    corpus = Corpus(grid, {}, figures([], 4), 100.0, (4, 4), dict.fromkeys(COMPARED, (0.0, 1.0)), (), None)
    save_weights(config, untrained(config), path, corpus.to_dict())
    return path
