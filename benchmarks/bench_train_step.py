"""One update of a model at batch 64 on the CPU, and the share of it that feeding takes."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import pytest

from benchmarks import corpus, peers

if peers.available("torch"):
    # PyTorch's optimisers load it when first made; with TensorFlow in the process by then, that ends the process.
    import torch._dynamo  # noqa: F401

BATCH_SIZE = 64
N_FILES = 1000
FEED_SHARE_TARGET = 0.02


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give a dataset of musical time, as the models' defaults expect it."""
    rollcore = pytest.importorskip("rollcore")
    out = tmp_path_factory.mktemp("train_step") / "out.h5"
    rollcore.build_dataset(corpus.corpus(N_FILES), out, steps_per_beat=4, planes="sounding")
    return rollcore.open_dataset(out)


def _torch_step(config: Any) -> tuple[Any, int]:
    """Build the `blog` architecture in PyTorch; give its update from packed rows, and its number of weights."""
    import torch
    from torch import nn

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    width = config.pitches

    class Blog(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder_0 = nn.LSTM(width, config.units, batch_first=True)
            self.encoder_norm = nn.BatchNorm1d(config.units)
            self.encoder_1 = nn.LSTM(config.units, config.units, batch_first=True)
            self.decoder_0 = nn.LSTM(config.units, config.units, batch_first=True)
            self.decoder_norm = nn.BatchNorm1d(config.units)
            self.decoder_1 = nn.LSTM(config.units, config.units, batch_first=True)
            self.dropout = nn.Dropout(config.dropout)
            self.logits = nn.Linear(config.units, width)

        def forward(self, frames: Any) -> Any:
            out = self.encoder_0(frames)[0]
            out = self.dropout(self.encoder_norm(out.transpose(1, 2)).transpose(1, 2))
            out = self.encoder_1(out)[0][:, -1:].expand(-1, config.target_frames, -1)
            out = self.decoder_0(out)[0]
            out = self.dropout(self.decoder_norm(out.transpose(1, 2)).transpose(1, 2))
            return self.logits(self.decoder_1(out)[0])

    model = Blog()
    optimizer = torch.optim.Adam(model.parameters())

    def bits(rows: np.ndarray) -> Any:
        unpacked = np.unpackbits(rows[:, :, 0], axis=-1, bitorder="little")[..., config.low : config.high + 1]
        return torch.from_numpy(unpacked.astype(np.float32))

    def step(inputs: dict[str, np.ndarray], targets: np.ndarray, weights: np.ndarray) -> float:
        optimizer.zero_grad()
        logits = model(bits(inputs["rows"][:, : config.input_frames]))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, bits(targets), reduction="none")
        mean = (loss.sum(-1) * torch.from_numpy(weights)).mean()
        mean.backward()
        optimizer.step()
        return float(mean.detach())

    # PyTorch keeps two bias vectors an LSTM where Keras keeps one; the sum of the two is what counts.
    spare = sum(p.numel() for name, p in model.named_parameters() if "bias_hh" in name)
    return step, sum(p.numel() for p in model.parameters()) - spare


def _prepare(dataset: Any, preset: str) -> tuple[Any, Any, Any]:
    """Give a configuration, a freshly compiled model of it, and the batches that train it."""
    if not peers.available("keras"):
        pytest.skip("keras is not installed")
    import keras

    from seq2seq import ModelConfig, RollBatches, TrainConfig, build_model
    from seq2seq.models.layers import RollLoss

    keras.utils.set_random_seed(0)
    head = "bernoulli" if preset == "blog" else "autoregressive"
    # Echoes are the dearest part of a batch: `tied` has them, although it would not by default on this grid.
    config = dataclasses.replace(ModelConfig(), model=preset, head=head, echo=4096 if preset == "tied" else 0)
    model = build_model(config)
    model.compile(optimizer=keras.optimizers.Adam(), loss=RollLoss(config.low, config.high))
    return config, model, RollBatches(dataset, config, TrainConfig(batch_size=BATCH_SIZE))


@pytest.mark.parametrize(
    "preset", ["blog", *(pytest.param(preset, marks=pytest.mark.only_full) for preset in ("seq2seq", "tied"))]
)
def test_feed_share(race: Any, dataset: Any, preset: str) -> None:
    config, model, batches = _prepare(dataset, preset)
    batch = batches[0]
    turn = iter(range(1 << 30))
    race(
        {
            "feed: one batch from the mapped dataset": lambda: batches[next(turn) % len(batches)],
            f"seq2seq, update of {preset}": lambda: float(model.train_on_batch(*batch)),
        },
        question=f"Feeding and updating `{preset}`, {config.head} head, batch {BATCH_SIZE}, "
        f"{config.input_frames} + {config.target_frames} frames{', with echoes' * (config.echo > 0)}",
        unit="batch",
        rounds=15,
        quick_rounds=7,
        targets={f"seq2seq, update of {preset}": 1 / FEED_SHARE_TARGET},
    )


@pytest.mark.only_full
def test_torch(race: Any, dataset: Any) -> None:
    """The same architecture in Keras and in PyTorch."""
    if not peers.available("torch"):
        pytest.skip("torch is not installed")
    config, model, batches = _prepare(dataset, "blog")
    batch = batches[0]
    torch_step, torch_weights = _torch_step(config)
    peer = "PyTorch nn.LSTM, the batch unpacked by NumPy"

    def check(results: dict[str, Any]) -> None:
        assert torch_weights == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        # Untrained, both are close to ignorance: one bit a pitch.
        assert abs(results["Keras"] - results[peer]) < 0.1 * results["Keras"]

    race(
        {"Keras": lambda: float(model.train_on_batch(*batch)), peer: lambda: torch_step(*batch)},
        question=f"One update of `blog`, batch {BATCH_SIZE}, Keras over TensorFlow and PyTorch",
        unit="update",
        check=check,
        rounds=15,
    )


@pytest.mark.only_full
@pytest.mark.parametrize("preset", ["blog", "seq2seq"])
def test_fused(race: Any, dataset: Any, preset: str) -> None:
    """TensorFlow's fused LSTM, in halves on several threads, against Keras's loop."""
    _, fused, batches = _prepare(dataset, preset)
    _, loop, _ = _prepare(dataset, preset)
    batch = batches[0]
    from seq2seq.models.recurrence import LSTM

    for model, is_fused in ((fused, True), (loop, False)):
        for layer in model._flatten_layers(include_self=False):
            if isinstance(layer, LSTM):
                layer.__dict__["_fused"] = is_fused

    def check(results: dict[str, Any]) -> None:
        assert abs(results["fused"] - results["loop"]) < 0.05 * results["loop"]

    race(
        {"fused": lambda: float(fused.train_on_batch(*batch)), "loop": lambda: float(loop.train_on_batch(*batch))},
        question=f"One update of `{preset}`, batch {BATCH_SIZE}, TensorFlow's fused LSTM and Keras's loop",
        unit="update",
        check=check,
        rounds=15,
    )


@pytest.mark.only_full
def test_fit(race: Any, dataset: Any) -> None:
    """A whole `fit`, feed and all, against the same updates on one batch that is always at hand."""
    _, model, batches = _prepare(dataset, "blog")
    n_updates = min(40, len(batches))
    batch = batches[0]

    import keras

    class Same(keras.utils.PyDataset):
        def __len__(self) -> int:
            return n_updates

        def __getitem__(self, index: int) -> Any:
            return batch

    class Some(Same):
        def __getitem__(self, index: int) -> Any:
            return batches[index]

    def fit(feed: Any) -> None:
        model.fit(feed, epochs=1, verbose=0)

    race(
        {"fed from the mapped dataset": lambda: fit(Some()), "floor: one batch, over and over": lambda: fit(Same())},
        question=f"`fit`, {n_updates} updates of `blog` at batch {BATCH_SIZE}",
        unit="update",
        units=n_updates,
        rounds=9,
        targets={"floor: one batch, over and over": 0.98},
    )
