"""What a command does before it needs Keras."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator

from rollcore import RollcoreError

_BACKENDS = ("tensorflow", "jax", "torch")


def import_keras() -> None:
    """Import Keras and the models, and let TensorFlow keep to itself what is not an error."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in _BACKENDS:
        raise RollcoreError(f"KERAS_BACKEND={backend}: Keras has no such backend; choose {', '.join(_BACKENDS)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silent():
        importlib.import_module("seq2seq.models.architectures")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drop what is written to the descriptor of standard error meanwhile; errors of Python are raised as ever.

    TensorFlow writes notices there at each import, past its own log level.
    """
    with open(os.devnull, "wb") as nothing, contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # the shell closed it
            kept = os.dup(2)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, 2)
            os.dup2(nothing.fileno(), 2)
        yield


def device_name() -> str:
    """Return the device that Keras's backend computes on, such as ``"CPU"`` or ``"NVIDIA H100"``."""
    import keras

    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(device) for device in found]
        return ", ".join(str(one.get("device_name", "GPU")) for one in details) or "CPU"
    if backend == "jax":
        import jax

        kind = jax.local_devices()[0].device_kind
        return "CPU" if kind == "cpu" else kind
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
