"""``blog`` and ``seq2seq`` in PyTorch, with the weights of the Keras models that they are raced against.

Written as someone would who knows PyTorch: ``nn.LSTM`` for a whole sequence, Adam, the batch unpacked by NumPy.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import nn


class Blog(nn.Module):
    """Two LSTMs read the input; their last output, repeated, feeds two more."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.encoder_0 = nn.LSTM(config.pitches, config.units, batch_first=True)
        self.encoder_norm = nn.BatchNorm1d(config.units, eps=1e-3)
        self.encoder_1 = nn.LSTM(config.units, config.units, batch_first=True)
        self.decoder_0 = nn.LSTM(config.units, config.units, batch_first=True)
        self.decoder_norm = nn.BatchNorm1d(config.units, eps=1e-3)
        self.decoder_1 = nn.LSTM(config.units, config.units, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.logits = nn.Linear(config.units, config.pitches)

    def forward(self, inputs: dict[str, Any]) -> Any:
        """Return the logits of the target frames."""
        config = self.config
        out = self.encoder_0(inputs["bits"][:, : config.input_frames])[0]
        out = self.dropout(self.encoder_norm(out.transpose(1, 2)).transpose(1, 2))
        out = self.encoder_1(out)[0][:, -1:].expand(-1, config.target_frames, -1)
        out = self.decoder_0(out)[0]
        out = self.dropout(self.decoder_norm(out.transpose(1, 2)).transpose(1, 2))
        return self.logits(self.decoder_1(out)[0])

    def take(self, model: Any) -> None:
        """Copy the weights of the Keras model."""
        layers = {layer.name: layer for layer in model.stack}
        for name in ("encoder_0", "encoder_1", "decoder_0", "decoder_1"):
            _take_lstm(getattr(self, name), layers[name])
        _take_dense(self.logits, layers["logits"].layer)


class Seq2Seq(nn.Module):
    """Stacked LSTM encoder and decoder, and a masked hidden layer over the pitches of a frame."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        width, pitches, hidden = config.pitches + 13, config.pitches, 8 * config.pitches
        sizes = [width, *[config.units] * (config.layers - 1)]
        self.encoder = nn.ModuleList(nn.LSTM(size, config.units, batch_first=True) for size in sizes)
        self.decoder = nn.ModuleList(nn.LSTM(size, config.units, batch_first=True) for size in sizes)
        # Whole channels over time.
        self.between = nn.Dropout1d(config.dropout)
        self.logit, self.entry = nn.Linear(config.units, pitches), nn.Linear(config.units, hidden)
        self.inward = nn.Parameter(torch.empty(pitches, hidden))
        self.outward = nn.Parameter(torch.empty(hidden, pitches))
        pitch, owner = torch.arange(pitches), torch.arange(pitches).repeat_interleave(8)
        self.register_buffer("sees", (pitch[:, None] < owner).float(), persistent=False)
        self.register_buffer("speaks", (owner[:, None] <= pitch).float(), persistent=False)

    def forward(self, inputs: dict[str, Any]) -> Any:
        """Return the logits of the target frames."""
        bits, first = inputs["bits"], self.config.input_frames
        shift = nn.functional.one_hot(inputs["shift"].long() % 12, 12)[:, None].expand(-1, bits.shape[1] - 1, -1)
        read = torch.cat([bits[:, :-1], inputs["valid"][:, :-1, None].float(), shift.float()], dim=-1)
        states, out = [], read[:, : first - 1]
        for layer in self.encoder:
            out, state = layer(self._drop(out))
            states.append(state)
        out = read[:, first - 1 :]
        for layer, state in zip(self.decoder, states, strict=True):
            out = layer(self._drop(out), state)[0]
        hidden = torch.relu(self.entry(out) + bits[:, first:] @ (self.inward * self.sees))
        return self.logit(out) + hidden @ (self.outward * self.speaks)

    def _drop(self, features: Any) -> Any:
        return self.between(features.transpose(1, 2)).transpose(1, 2)

    def take(self, model: Any) -> None:
        """Copy the weights of the Keras model."""
        for ours, theirs in ((self.encoder, model.encoder), (self.decoder, model.decoder)):
            for layer, theirs_layer in zip(ours, theirs, strict=True):
                _take_lstm(layer, theirs_layer)
        (head,) = model.heads
        _take_dense(self.logit, head.logit)
        _take_dense(self.entry, head.entry)
        with torch.no_grad():
            self.inward.copy_(torch.tensor(np.array(head.inward)))
            self.outward.copy_(torch.tensor(np.array(head.outward)))


class Peer:
    """A PyTorch model with the weights of a Keras model, its optimizer, and the loss in nats a frame."""

    def __init__(self, model: Any) -> None:
        torch.set_num_threads(int(os.environ.get("TF_NUM_INTRAOP_THREADS") or len(os.sched_getaffinity(0))))
        self.config = model.config
        self.net = {"blog": Blog, "seq2seq": Seq2Seq}[self.config.model](self.config)
        self.net.take(model)
        self.optimizer = torch.optim.Adam(self.net.parameters())

    @property
    def weights(self) -> int:
        """Number of weights. Of the two bias vectors of an LSTM the sum counts, so one is left out."""
        return sum(p.numel() for name, p in self.net.named_parameters() if "bias_hh" not in name)

    def loss(self, inputs: dict[str, np.ndarray], targets: np.ndarray, weights: np.ndarray) -> Any:
        """Return the nats a frame of a batch as it is packed for Keras."""
        given = {"bits": self._bits(inputs["rows"]), **{k: torch.from_numpy(inputs[k]) for k in ("valid", "shift")}}
        logits, wanted = self.net(given), self._bits(targets)
        nats = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(-1)
        counts = torch.from_numpy(weights)
        return (nats * counts).sum() / counts.sum()

    def update(self, *batch: Any) -> float:
        """Learn from a batch, and return its loss before."""
        self.net.train()
        self.optimizer.zero_grad()
        loss = self.loss(*batch)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def evaluate(self, *batch: Any) -> float:
        """Return the loss of a batch as it is used, without dropout."""
        self.net.eval()
        with torch.no_grad():
            return float(self.loss(*batch))

    def _bits(self, rows: np.ndarray) -> Any:
        low, high = self.config.low, self.config.high
        unpacked = np.unpackbits(rows[:, :, 0], axis=-1, bitorder="little")[..., low : high + 1]
        return torch.from_numpy(unpacked.astype(np.float32))


def _take_lstm(ours: nn.LSTM, theirs: Any) -> None:
    """Copy an LSTM; the order of its gates is the same in both."""
    kernel, recurrent, bias = (np.array(weight) for weight in theirs.weights)
    with torch.no_grad():
        ours.weight_ih_l0.copy_(torch.tensor(kernel.T))
        ours.weight_hh_l0.copy_(torch.tensor(recurrent.T))
        ours.bias_ih_l0.copy_(torch.tensor(bias))
        ours.bias_hh_l0.zero_()


def _take_dense(ours: nn.Linear, theirs: Any) -> None:
    with torch.no_grad():
        ours.weight.copy_(torch.tensor(np.array(theirs.kernel).T))
        ours.bias.copy_(torch.tensor(np.array(theirs.bias)))
