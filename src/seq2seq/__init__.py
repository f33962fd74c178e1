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
    from seq2seq.run import Run
    from seq2seq.sampling.generator import generate
    from seq2seq.sampling.sampler import Sampler, Steering
    from seq2seq.training.comparison import compare
    from seq2seq.training.evaluation import evaluate
    from seq2seq.training.feed import RollBatches
    from seq2seq.training.fit import model_config, train

_HOME = {
    "ModelConfig": "models.config",
    "TrainConfig": "models.config",
    "Run": "run",
    "RollBatches": "training.feed",
    "RollLoss": "models.layers",
    "build_model": "models.architectures",
    "load_model": "models.architectures",
    "Sampler": "sampling.sampler",
    "Steering": "sampling.sampler",
    "model_config": "training.fit",
    "train": "training.fit",
    "generate": "sampling.generator",
    "evaluate": "training.evaluation",
    "compare": "training.comparison",
}

__all__ = [
    "ModelConfig",
    "RollBatches",
    "RollLoss",
    "Run",
    "Sampler",
    "Steering",
    "TrainConfig",
    "build_model",
    "compare",
    "evaluate",
    "generate",
    "load_model",
    "model_config",
    "train",
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
