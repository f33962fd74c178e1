"""What a command does before it needs Keras."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from rollcore import RollcoreError
from rollcore.console import import_quickly

_BACKENDS = ("tensorflow", "jax", "torch")

# TensorFlow writes these at each import, past its own log level and through no Python object.
_NOTICES = "All log messages before absl::InitializeLog|oneDNN custom operations are on"


def import_keras() -> None:
    """Import Keras and the models as a command should: quickly, and without TensorFlow's notices."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in _BACKENDS:
        raise RollcoreError(f"KERAS_BACKEND={backend}: Keras has no such backend; choose {', '.join(_BACKENDS)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without_notices():
        import_quickly("seq2seq.models.architectures")


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

        kinds = [device.device_kind for device in jax.devices()]
        return ", ".join("CPU" if kind == "cpu" else kind for kind in kinds)
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Let standard error go through grep meanwhile, which outlives even a crash; where it cannot, as it is."""
    with contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):
            stderr = os.dup(2)
            undo.callback(os.close, stderr)
            grep = undo.enter_context(
                subprocess.Popen(["grep", "-a", "-v", "-E", _NOTICES], stdin=subprocess.PIPE, stdout=stderr)
            )
            assert grep.stdin is not None
            os.dup2(grep.stdin.fileno(), 2)
            undo.callback(os.dup2, stderr, 2)
        yield
