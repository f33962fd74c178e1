"""Keras models of music over packed piano rolls: train, evaluate, compare and generate.

The public names are loaded on first use, so that importing the package brings in no keras.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2seq.compare import compare
    from seq2seq.config import ModelConfig, TrainConfig, load_run, read_history
    from seq2seq.data import RollBatches
    from seq2seq.evaluate import evaluate
    from seq2seq.generate import generate
    from seq2seq.layers import RollLoss
    from seq2seq.model import build_model, load_model
    from seq2seq.sampling import Sampler, Steering
    from seq2seq.train import model_config, train

_HOME = {
    "ModelConfig": "config",
    "TrainConfig": "config",
    "load_run": "config",
    "read_history": "config",
    "RollBatches": "data",
    "RollLoss": "layers",
    "build_model": "model",
    "load_model": "model",
    "Sampler": "sampling",
    "Steering": "sampling",
    "model_config": "train",
    "train": "train",
    "generate": "generate",
    "evaluate": "evaluate",
    "compare": "compare",
}

__all__ = [
    "ModelConfig",
    "RollBatches",
    "RollLoss",
    "Sampler",
    "Steering",
    "TrainConfig",
    "build_model",
    "compare",
    "evaluate",
    "generate",
    "load_model",
    "load_run",
    "model_config",
    "read_history",
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


class _Package(ModuleType):
    """Importing a submodule sets it as an attribute here, where it must not hide a function of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Leave a public name to ``__getattr__``."""
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
