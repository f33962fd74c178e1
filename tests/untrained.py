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


def write_untrained(path: Path) -> Path:
    """Write a model.safetensors of random weights on the grid of sixteenths, and return its path."""
    fields = {"model": "seq2seq", "planes": ("sounding", "onset"), "low": 40, "high": 88, "units": 8}
    config = ModelConfig(**fields, input_frames=16, target_frames=8)
    rng = np.random.default_rng(1)
    arrays = {
        name: (rng.normal(size=shape) * 0.2 - (2.5 if name == "head/logit/bias" else 0)).astype(np.float32)
        for name, shape in weight_shapes(config)
    }
    grid = rollcore.Grid("beats", Fraction(4))
    corpus = Corpus(grid, {}, figures([], 4), 100.0, (4, 4), dict.fromkeys(COMPARED, (0.0, 1.0)), (), None)
    save_weights(config, arrays, path, corpus.to_dict())
    return path
