"""What a GPU makes of the models: the LSTM that runs, updates and their feed, mixed precision, the backends.

Skipped where there is no NVIDIA GPU. A backend is measured by a worker, a process of its own (``python -m
benchmarks.bench_gpu MODEL BATCH POLICY``), which makes an update whenever it reads a line.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import corpus, peers

MODELS, BATCHES = ("blog", "seq2seq", "tied"), (8, 64, 256)
BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
WAIT_TARGET = 100  # an update takes so many times as long as its batch: waits below 1 %


def gpu() -> str | None:
    """Name of the first GPU, or None."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0].strip()
    return said or None


pytestmark = pytest.mark.skipif(gpu() is None, reason="no NVIDIA GPU here (nvidia-smi)")


def prepare(model: str, batch_size: int, policy: str = "float32") -> tuple[Callable[[], float], Callable[[], Any]]:
    """Give functions that make one update on a batch at hand, and that make a batch of a dataset."""
    import keras

    import rollcore
    from seq2seq import RollBatches, TrainConfig, build_model, model_config
    from seq2seq.models.layers import RollLoss

    keras.config.set_dtype_policy(policy)
    with tempfile.TemporaryDirectory() as folder:
        rollcore.build_dataset(corpus.corpus(300), Path(folder) / "out.h5")
        dataset = rollcore.open_dataset(Path(folder) / "out.h5")
        head = "bernoulli" if model == "blog" else "autoregressive"
        config = model_config(dataset, model=model, head=head)
        batches = RollBatches(dataset, config, TrainConfig(batch_size=batch_size))
    net = build_model(config)
    net.compile(keras.optimizers.Adam(), RollLoss(config.low, config.high), jit_compile=keras.config.backend() == "jax")
    batch, turn = batches[0], iter(range(1 << 30))
    return lambda: float(net.train_on_batch(*batch)), lambda: batches[next(turn) % len(batches)]


@contextlib.contextmanager
def worker(backend: str, *arguments: object) -> Iterator[Callable[[], float]]:
    """Give a function that makes one update in a process of another backend."""
    command = [sys.executable, "-m", "benchmarks.bench_gpu", *map(str, arguments)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def update() -> float:
            print(file=process.stdin, flush=True)
            return float(process.stdout.readline())

        try:
            yield update
        finally:
            process.stdin.close()


def lstms(units: int, frames: int, batch: int) -> dict[str, Callable[[], Any]]:
    """Give forward and backward passes of one LSTM of Keras over TensorFlow, with and without cuDNN."""
    import keras
    import tensorflow as tf

    x = np.random.default_rng(0).random((batch, frames, units), np.float32)
    calls: dict[str, Callable[[], Any]] = {}
    weights = None
    for name, choice in (("Keras, cuDNN allowed", "auto"), ("Keras, generic path", False)):
        layer = keras.layers.LSTM(units, return_sequences=True, use_cudnn=choice)
        layer.build(x.shape)
        weights = weights or layer.get_weights()
        layer.set_weights(weights)

        @tf.function
        def both(inputs: Any, layer: Any = layer) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(inputs))
            return [loss, *tape.gradient(loss, [weight.value for weight in layer.trainable_weights])]

        calls[name] = lambda both=both: [np.asarray(part) for part in both(tf.constant(x))]
    return calls


def torch_lstm(units: int, frames: int, batch: int) -> Callable[[], Any]:
    """Give the same passes of PyTorch's LSTM, which cuDNN runs on a GPU; its weights are its own."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    layer = torch.nn.LSTM(units, units, batch_first=True).to(device)
    x = torch.rand(batch, frames, units, device=device)

    def both() -> float:
        layer.zero_grad()
        loss = layer(x)[0].sum()
        loss.backward()
        return float(loss.detach())

    return both


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("model", MODELS)
def test_step(race: Any, model: str, batch: int) -> None:
    """An update, and the feed that must keep out of its way."""
    update, feed = prepare(model, batch)
    race(
        {"feed: one batch from the mapped dataset": feed, f"update of {model}": update},
        question=f"{gpu()}: feeding and updating `{model}`, batch {batch}",
        unit="batch",
        rounds=25,
        targets={f"update of {model}": WAIT_TARGET},
    )


def test_lstm(race: Any) -> None:
    """Whether cuDNN runs: it is several times as fast as the generic path, or it does not run."""
    pytest.importorskip("tensorflow")
    calls: dict[str, Callable[[], Any]] = lstms(256, 100, 64)
    if peers.available("torch"):
        calls["PyTorch nn.LSTM"] = torch_lstm(256, 100, 64)

    def check(results: dict[str, Any]) -> None:
        for ours, theirs in zip(results["Keras, cuDNN allowed"], results["Keras, generic path"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2 * np.abs(theirs).max())

    race(calls, question=f"{gpu()}: one LSTM, forward and backward, batch 64", unit="pass", check=check, rounds=25)


@pytest.mark.parametrize("model", MODELS)
def test_precision(race: Any, model: str) -> None:
    """Mixed precision; each in a process of its own, as the policy is global."""
    with (
        worker("tensorflow", model, 64, "float32") as usual,
        worker("tensorflow", model, 64, "mixed_float16") as mixed,
    ):
        race(
            {"float32": usual, "mixed_float16": mixed},
            question=f"{gpu()}: update of `{model}`, batch 64, in mixed precision",
            unit="update",
            rounds=25,
        )


@pytest.mark.parametrize("model", MODELS)
def test_backends(race: Any, model: str) -> None:
    """The same model on the backends that are installed."""
    with contextlib.ExitStack() as stack:
        calls = {
            backend: stack.enter_context(worker(backend, model, 64, "float32"))
            for backend, package in BACKENDS.items()
            if peers.available(package)
        }
        race(calls, question=f"{gpu()}: update of `{model}`, batch 64, by backend", unit="update", rounds=25)


def main(model: str, batch: str, policy: str) -> None:
    """Make an update for each line of standard input, and print its loss."""
    update, _ = prepare(model, int(batch), policy)
    for _ in sys.stdin:
        print(update(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
