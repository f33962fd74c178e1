"""How a training uses the cores of a processor: a batch in parts side by side, each operation on one thread.

TensorFlow runs every operation on all cores at once. Those of an LSTM over a few windows are too small for that: the
threads wait for each other longer than they work. Here each operation has one thread, and a batch is worked out in
parts that do not wait for one another, one a core. The mathematics are the same, but for the order of the sums and the
random numbers of dropout. What that saves on two cores is in benchmarks/RESULTS.md (``python -m benchmarks
train_step``). More cores have not been measured.
"""

from __future__ import annotations

import contextlib
import os

import keras

from seq2seq.models.config import ModelConfig

# Sequences in a part: below that, the kernel of the LSTM takes more time for each of them.
LEAST_ROWS = 16


def share_cores(config: ModelConfig, batch_size: int) -> int:
    """Let TensorFlow run each operation on one thread, and return in how many parts a model is to run a batch.

    That is 1 on another backend, with a GPU, or where TensorFlow has begun already or was told by the environment how
    many threads to use: then all is left as it is. It has to be called before TensorFlow has computed anything.

    Parameters
    ----------
    config : ModelConfig
        What is to be trained: ``tied`` has a sequence for each pitch of a window.
    batch_size : int
        Windows in a batch.
    """
    if keras.config.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return 1
    threading = tf.config.threading
    if not threading.get_intra_op_parallelism_threads() and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        with contextlib.suppress(RuntimeError):  # it has begun
            threading.set_inter_op_parallelism_threads(_cores())
            threading.set_intra_op_parallelism_threads(1)
    if threading.get_intra_op_parallelism_threads() != 1:
        return 1
    rows = config.pitches if config.model == "tied" else 1
    cores = int(threading.get_inter_op_parallelism_threads())
    return max(1, min(cores, batch_size, batch_size * rows // LEAST_ROWS))


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
