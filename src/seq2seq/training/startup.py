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
