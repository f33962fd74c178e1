"""A training on each of Keras's backends that is installed, in a process of its own."""

from __future__ import annotations

import csv
import importlib.util
import os
import socket
import subprocess
import sys

import pytest

import rollcore

# Not imported here: Keras wants the backend of its configuration at once, and that may not be there.
if importlib.util.find_spec("keras") is None:
    pytest.skip("keras is not installed: pip install 'rollcore[cpu]'", allow_module_level=True)

STEP = """
import keras, numpy as np
from seq2seq.models.config import ModelConfig
from seq2seq.models.layers import RollLoss
from seq2seq.models.architectures import build_model

assert keras.config.backend() == {backend!r}
rng = np.random.default_rng(0)
bits = (rng.random((2, 5, 2, 128)) < 0.1).astype(np.uint8)
bits[:, :, 1] &= bits[:, :, 0]
rows = np.packbits(bits, axis=-1, bitorder="little")
inputs = {{
    "rows": rows,
    "valid": np.ones((2, 5), np.uint8),
    "start": np.zeros(2, np.int32),
    "shift": np.array([0, -3], np.int32),
}}
inputs["echo"], inputs["match"] = np.tile(rows, (1, 1, 2, 1)), np.full((2, 5, 2), [1, 200], np.uint8)
blog, attention = {{"model": "blog", "head": "bernoulli"}}, {{"model": "seq2seq", "attention": True}}
for kind in (blog, attention, {{"lags": (2, 3), "echo": 64, "varied": 1}}):
    config = ModelConfig(
        planes=("sounding", "onset"), low=40, high=80, input_frames=3, target_frames=2, units=8, periods=(4,), **kind
    )
    keras.utils.set_random_seed(0)
    model = build_model(config)
    model.compile(keras.optimizers.Adam(1e-3, use_ema=True, global_clipnorm=1.0), RollLoss(40, 80))
    losses = [float(model.train_on_batch(inputs, rows[:, 3:], sample_weight=np.ones((2, 2)))) for _ in range(4)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0], losses
print("trained")

from seq2seq import evaluate, train
from seq2seq.models.config import TrainConfig

config = ModelConfig(
    planes=("sounding",), low=40, high=100, input_frames=8, target_frames=8, units=4, periods=(4,), echo=16, varied=1
)
history = train({data!r}, {run!r}, config, TrainConfig(epochs=2, hop=64))["history"]
history = train({data!r}, {run!r}, resume=True, epochs=3)["history"]
found = evaluate({run!r}, split="validation", hop=8)["scores"]["model"]["nats_per_frame"]
best = min(row["validation_nats_per_frame"] for row in history)
epochs = [int(row["epoch"]) for row in history]  # it goes on from before the learning rate came down
assert epochs == [1, 2, 2, 3] and abs(found - best) < 1e-4, (found, history)
"""


@pytest.mark.parametrize(("backend", "package"), [("tensorflow", "tensorflow"), ("jax", "jax"), ("torch", "torch")])
def test_a_training_on_each_backend(backend, package, tmp_path):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    data = tmp_path / "few.h5"
    rollcore.build_dataset(rollcore.make_chords(tmp_path / "midi")[::12], data, planes="sounding", split=(2, 1, 1))
    code = STEP.format(backend=backend, data=str(data), run=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("trained\n")


TRAIN = ["--model", "seq2seq", "--head", "bernoulli", "--units", "6", "--input-frames", "4", "--target-frames", "6"]
TRAIN += ["--batch-size", "8", "--dropout", "0", "--epochs", "2", "--samples", "0", "--hop", "8"]
# The command; with a first argument it gets SIGTERM after the first call of the backend in the second epoch.
COMMAND = """
import os, signal, sys
from seq2seq.entry import seq2seq as main

if sys.argv[1]:
    import seq2seq.training.epochs as epochs

    class Epochs(epochs.Epochs):
        def on_train_batch_begin(self, batch, logs=None):
            if self.epoch == 1 and batch:
                os.kill(os.getpid(), signal.SIGTERM)

    epochs.Epochs = Epochs
sys.argv[:2] = ["seq2seq", "train"]
sys.exit(main())
"""


def run_processes(arguments, processes=1, ended=None, flags=""):
    """Run the training in several processes, of which `ended` gets SIGTERM; give exit statuses and outputs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    begun = []
    for process in range(processes):
        environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
        if processes > 1:
            environment.update(JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES=str(processes))
            environment.update(JAX_PROCESS_ID=str(process))
        command = [sys.executable, "-c", COMMAND, "now" * (process == ended), *map(str, arguments)]
        begun.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        )
    try:
        said = [process.communicate(timeout=600) for process in begun]
    finally:
        for process in begun:
            process.kill()
    return [process.returncode for process in begun], said


def losses(run):
    with open(run / "metrics.csv", newline="") as file:
        return [
            float(row[name])
            for row in csv.DictReader(file)
            for name in ("train_nats_per_frame", "validation_nats_per_frame")
        ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A dataset, and a run of one device on it."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    folder = tmp_path_factory.mktemp("alone")
    rollcore.build_dataset(
        rollcore.make_chords(folder / "midi")[::12], folder / "few.h5", planes="sounding", split=(2, 1, 1)
    )
    statuses, said = run_processes([folder / "few.h5", "-o", folder / "run", *TRAIN])
    assert statuses == [0], said
    return folder / "few.h5", folder / "run"


def test_two_devices_learn_as_one_does(alone, tmp_path):
    data, run = alone
    statuses, said = run_processes(
        [data, "-o", tmp_path / "run", *TRAIN, "--devices", "all"],
        flags="--xla_force_host_platform_device_count=2",
    )
    assert statuses == [0], said
    assert "on 2 x CPU" in said[0][0]
    assert losses(tmp_path / "run") == pytest.approx(losses(run), abs=1e-4)


def test_two_processes_stop_together_and_go_on_to_the_same_end(alone, tmp_path):
    data, run = alone
    arguments = [data, "-o", tmp_path / "run", *TRAIN]
    statuses, said = run_processes(arguments, processes=2, ended=1)
    assert statuses == [130, 130], said
    assert "interrupted" in said[0][0]
    assert "nats" not in said[1][0], "the first process alone prints"
    assert len(losses(tmp_path / "run")) == 2
    statuses, said = run_processes([*arguments, "--resume"], processes=2)
    assert statuses == [0, 0], said
    assert "better than" in said[0][0]
    assert losses(tmp_path / "run") == pytest.approx(losses(run), abs=1e-4)
    # What one process must not do ends the others too.
    statuses, said = run_processes(arguments, processes=2)
    assert statuses == [1, 1], said
    assert "holds a trained model" in said[0][1]
    assert "another process could not begin" in said[1][1]
