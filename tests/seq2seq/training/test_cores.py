"""How a training uses the cores: asked in processes of their own, since TensorFlow can be told only once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("tensorflow", reason="only TensorFlow has threads to be told about")

ASK = """
import dataclasses, json, os, sys
os.sched_getaffinity = lambda process: range(int(sys.argv[1]))
import tensorflow as tf
from seq2seq.models.config import ModelConfig
from seq2seq.training.cores import share_cores
if "begun" in sys.argv:
    tf.constant(1.0) + 1.0
tied = ModelConfig(low=60, high=int(sys.argv[2]))
other = dataclasses.replace(tied, model="seq2seq")
parts = [share_cores(config, batch) for config in (tied, other) for batch in (1, 2, 4, 31, 64)]
threading = tf.config.threading
print(json.dumps([parts, threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()]))
"""


def asked(cores, *arguments, high=83, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM")}
    command = [sys.executable, "-c", ASK, str(cores), str(high), *arguments]
    done = subprocess.run(
        command, env={**kept, "KERAS_BACKEND": "tensorflow", **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("cores", "high", "tied", "other"),
    [
        # 24 pitches a window: no more parts than windows.
        (2, 83, [1, 2, 2, 2, 2], [1, 1, 1, 1, 2]),
        (8, 83, [1, 2, 4, 8, 8], [1, 1, 1, 1, 4]),
        # 12 pitches a window: no part of fewer than 16 sequences.
        (8, 71, [1, 1, 3, 8, 8], [1, 1, 1, 1, 4]),
        (1, 83, [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
    ],
)
def test_each_operation_has_a_thread_and_each_core_a_part(cores, high, tied, other):
    assert asked(cores, high=high) == [tied + other, 1, cores]


def test_what_has_begun_or_was_told_is_left_alone():
    assert asked(2, "begun") == [[1] * 10, 0, 0]
    assert asked(2, TF_NUM_INTRAOP_THREADS="2") == [[1] * 10, 0, 0]
