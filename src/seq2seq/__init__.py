"""Keras models of music over packed piano rolls: train, evaluate, compare and generate.

The public names are loaded on first use, so that importing the package brings in no keras.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2seq.models.architectures import build_model, load_model
    from seq2seq.models.config import ModelConfig, TrainConfig
    from seq2seq.models.layers import RollLoss
    from seq2seq.models.weights import arrays_of, read_weights, write_weights
    from seq2seq.output.composition import Composition
    from seq2seq.run import Run
    from seq2seq.sampling.corpus import Corpus
    from seq2seq.sampling.generator import Generator
    from seq2seq.sampling.request import Request
    from seq2seq.sampling.sampler import Sampler, Steering
    from seq2seq.training.comparison import compare
    from seq2seq.training.evaluation import evaluate
    from seq2seq.training.feed import RollBatches
    from seq2seq.training.fit import train
    from seq2seq.training.presets import model_config, train_config

_HOME = {
    "ModelConfig": "models.config",
    "TrainConfig": "models.config",
    "Run": "run",
    "RollBatches": "training.feed",
    "RollLoss": "models.layers",
    "build_model": "models.architectures",
    "load_model": "models.architectures",
    "arrays_of": "models.weights",
    "read_weights": "models.weights",
    "write_weights": "models.weights",
    "Sampler": "sampling.sampler",
    "Steering": "sampling.sampler",
    "model_config": "training.presets",
    "train_config": "training.presets",
    "train": "training.fit",
    "Composition": "output.composition",
    "Corpus": "sampling.corpus",
    "Generator": "sampling.generator",
    "Request": "sampling.request",
    "evaluate": "training.evaluation",
    "compare": "training.comparison",
}

__all__ = [
    "Composition",
    "Corpus",
    "Generator",
    "ModelConfig",
    "Request",
    "RollBatches",
    "RollLoss",
    "Run",
    "Sampler",
    "Steering",
    "TrainConfig",
    "arrays_of",
    "build_model",
    "compare",
    "evaluate",
    "load_model",
    "model_config",
    "read_weights",
    "train",
    "train_config",
    "write_weights",
]


if not TYPE_CHECKING:  # where a misspelled name is to be told

    def __getattr__(name: str) -> Any:
        """Import the module that holds *name*, and return it."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
