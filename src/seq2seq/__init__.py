"""Keras models of music over packed piano rolls: train, evaluate, compare and generate.

The public names are loaded on first use, so that importing the package brings in no keras.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "ModelConfig": "config",
    "TrainConfig": "config",
    "RollBatches": "data",
    "build_model": "model",
    "load_model": "model",
    "train": "train",
    "generate": "generate",
    "evaluate": "evaluate",
    "compare": "compare",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module that holds *name*, and return it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
