"""A training on each of Keras's backends that is installed, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
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
inputs["echo"], inputs["match"] = rows, inputs["valid"]
blog, attention = {{"model": "blog", "head": "bernoulli"}}, {{"model": "seq2seq", "attention": True}}
for kind in (blog, attention, {{"lags": (2, 3), "echo": 64}}):
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
    planes=("sounding",), low=40, high=100, input_frames=8, target_frames=8, units=4, periods=(4,), echo=16
)
history = train({data!r}, {run!r}, config, TrainConfig(epochs=2, hop=64))["history"]
history = train({data!r}, {run!r}, resume=True, epochs=3)["history"]
found = evaluate({run!r}, split="validation", hop=8)["scores"]["model"]["nats_per_frame"]
best = min(row["validation_nats_per_frame"] for row in history)
assert len(history) == 3 and abs(found - best) < 1e-4, (found, history)
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
