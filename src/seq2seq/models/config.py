"""What a model is and how it is trained: two frozen dataclasses, saved beside the weights.

This module imports neither keras nor numpy, so that a command line can show its defaults at once.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seq2seq.errors import ConfigError

MODELS = ("blog", "seq2seq", "tied")
HEADS = ("bernoulli", "autoregressive")

# Periods, in frames, of the beat position given to a model on the musical grid: the powers of two are
# the bits of the frame index, the multiples of three serve metres such as 3/4 and 6/8.
MUSICAL_PERIODS = (2, 4, 8, 16, 32, 3, 6, 12, 24)

# Width of the largest transposition on either side, in semitones. The shift enters the model modulo 12.
MAX_TRANSPOSE = 6

# Varied echoes of a frame.
MOST_VARIED = 8

# The largest of all whole numbers here: more epochs, frames or units than anything can be trained with, and few enough
# to count updates in 64 bits.
MOST = 1_000_000


@dataclass(frozen=True)
class ModelConfig:
    """The architecture: everything a model is built from. `seq2seq.model_config` fits one to a dataset.

    Attributes
    ----------
    model : {"blog", "seq2seq", "tied"}
        The architecture; see :mod:`seq2seq.models.architectures`.
    head : {"bernoulli", "autoregressive"}
        Whether the pitches of a frame are independent given the past, or each is conditioned on those
        below it. ``blog`` has the Bernoulli head only.
    planes : tuple of str
        The planes of the dataset, inputs and targets: ``("sounding",)``, ``("sounding", "onset")``, or such a pair for
        each voice, ``("sounding:melody", "onset:melody", …)``.
    low, high : int
        The MIDI pitches the model hears and plays, both inclusive.
    input_frames, target_frames : int
        The training window: frames that are read, then frames that are predicted.
    units : int
        Width of each LSTM layer.
    layers : int
        LSTM layers in the encoder, and as many in the decoder.
    dropout : float
        Rate of dropout between layers; whole channels over time where the model is not ``blog``.
    head_dropout : float
        The same between the decoder and the head, for ``seq2seq`` and ``tied``: for data soon overfitted.
    attention : bool
        ``seq2seq`` only: the decoder also looks back at the encoder's outputs.
    periods : tuple of int
        Periods of the beat position, in frames; empty on the grid of seconds.
    reach : int
        ``tied`` only: how many semitones to either side a pitch hears in the previous frame.
    conv : int
        ``tied`` only: width of the convolutions over pitch, if not *units* is less.
    lags : tuple of int
        ``tied`` only: a frame is predicted with the frames this many frames before it at hand, too, so that
        what is repeated phrase by phrase can be recalled. Those before the window count as silent.
    echo : int
        ``tied`` only: the longest lag, in frames, at which an echo is looked for, beyond the window too; 0 for
        none. See :mod:`seq2seq.models.echo`.
    varied : int
        With an echo only: how many varied echoes there are, too, at most 8: what followed the pasts that are most like
        the latest frames, transposed or not.
    closing : int
        Not for ``blog``: a model may be told how many frames remain of a piece, from so many on; 0 for never. It
        learns from half of the windows how pieces close, and is scored without being told.
    """

    model: str = "tied"
    head: str = "autoregressive"
    planes: tuple[str, ...] = ("sounding",)
    low: int = 21
    high: int = 108
    input_frames: int = 50
    target_frames: int = 50
    units: int = 64
    layers: int = 2
    dropout: float = 0.1
    head_dropout: float = 0.0
    attention: bool = False
    periods: tuple[int, ...] = ()
    reach: int = 18
    conv: int = 48
    lags: tuple[int, ...] = ()
    echo: int = 0
    varied: int = 0
    closing: int = 0

    def __post_init__(self) -> None:
        """Refuse what no model can be built from."""
        for name in ("planes", "periods", "lags"):
            if isinstance(values := getattr(self, name), list):
                object.__setattr__(self, name, tuple(values))
        _one_of("model", self.model, MODELS)
        _one_of("head", self.head, HEADS)
        if self.model == "blog" and self.head != "bernoulli":
            raise ConfigError("model blog predicts all frames and pitches at once: its head is bernoulli")
        for name in ("low", "high"):
            at_least(0, name, getattr(self, name))
        if not 0 <= self.low <= self.high <= 127:
            raise ConfigError(f"pitches from {self.low} to {self.high}: expected 0 to 127, the lower one first")
        pairs = tuple(f"{plane}:{name}" for name in self.voices for plane in ("sounding", "onset"))
        named = self.voices and all(self.voices) and len(set(self.voices)) == len(self.voices)
        if self.planes not in (("sounding",), ("sounding", "onset")) and not (named and self.planes == pairs):
            raise ConfigError(f"planes {self.planes} are not sounding, or sounding and onset, or those of each voice")
        for name in ("input_frames", "target_frames", "units", "layers", "conv"):
            at_least(1, name, getattr(self, name))
        for name in ("reach", "echo", "varied", "closing"):
            at_least(0, name, getattr(self, name))
        for name in ("lags", "periods"):
            for frames in getattr(self, name):
                at_least(2, f"each of {name}", frames)
        for name in ("dropout", "head_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        if self.echo and self.model != "tied":
            raise ConfigError(f"model {self.model} hears no echo: leave it 0, or use model tied")
        if self.varied > MOST_VARIED or (self.varied and not self.echo):
            raise ConfigError(f"{self.varied} varied echoes: expected {MOST_VARIED} at most, and none without an echo")
        if self.closing and self.model == "blog":
            raise ConfigError("model blog is not told how many frames remain: leave closing 0")
        if self.attention and self.model != "seq2seq":
            raise ConfigError(f"model {self.model} has no attention: leave it out, or use model seq2seq")

    @property
    def pitches(self) -> int:
        """Number of pitches of the range."""
        return self.high - self.low + 1

    @property
    def echoes(self) -> int:
        """Number of echoes that a frame has, the varied ones included."""
        return 1 + self.varied if self.echo else 0

    @property
    def countdown(self) -> tuple[int, ...]:
        """Numbers of remaining frames that a model tells apart: 1, 2, 3, 4, 6, 8, 12, 16 … up to *closing*."""
        steps = sorted({1, *(count << power for power in range(20) for count in (2, 3))})
        return tuple(step for step in steps if step <= self.closing)

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of the voices in the order of their planes; empty where all notes share the planes."""
        return tuple(str(plane).partition(":")[2] for plane in self.planes[::2] if ":" in str(plane))

    @property
    def voice_count(self) -> int:
        """Number of voices, one where all notes share the planes."""
        return max(1, len(self.voices))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values that JSON can hold."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ModelConfig:
        """Return the configuration that :meth:`to_dict` wrote."""
        return cls(**fields)


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained; the defaults serve the musical grid.

    Attributes
    ----------
    epochs : int
        Passes over the training windows.
    batch_size : int
        Windows per update. Many small, high-rate updates did better than few large ones.
    hop : int
        Frames between the starts of neighbouring windows; 0 stands for the target's length, which
        predicts every frame once per epoch.
    random_phase : bool
        Where a piece's windows begin is drawn anew every epoch; otherwise always at its start.
    learning_rate : float
        Peak of the schedule: linear warm-up over the first 5 %, level, then straight down to nothing.
    transpose : int
        Windows are shifted by up to this many semitones either way, and the model is told the shift.
    keep_key : float
        The share of windows that stay untransposed.
    ema : float, optional
        Decay per update of the moving average of the weights, which is what is evaluated and kept. By default 0.99,
        and less in a run of fewer than 500 updates, so that the average reaches over a fifth of them.
    patience : int
        The training ends after so many epochs in a row of which none is better on the validation split than the best
        before them (early stopping); 0 stands for never. The schedule of the learning rate stays that of all epochs.
    seed : int
        Seeds the weights, the order of windows, the shifts and the dropout: same seed, same run.
    """

    epochs: int = 20
    batch_size: int = 8
    hop: int = 0
    random_phase: bool = True
    learning_rate: float = 4e-3
    transpose: int = 5
    keep_key: float = 0.3
    ema: float | None = None
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no training can run with."""
        for name in ("epochs", "batch_size"):
            at_least(1, name, getattr(self, name))
        for name in ("hop", "transpose", "patience"):
            at_least(0, name, getattr(self, name))
        if not 0 <= self.keep_key <= 1:
            raise ConfigError(f"keep_key must be a share from 0 to 1, not {self.keep_key}")
        if self.transpose > MAX_TRANSPOSE:
            raise ConfigError(f"transpose must be within 0..{MAX_TRANSPOSE} semitones, not {self.transpose}")
        if not 0 < self.learning_rate <= 1:
            raise ConfigError(f"learning rate must be above 0 and at most 1, not {self.learning_rate}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ConfigError(f"ema must be at least 0 and below 1, not {self.ema}")
        if not isinstance(self.seed, numbers.Integral) or not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be within 0..{2**32 - 1}, not {self.seed}")


def at_least(least: int, name: str, value: Any) -> None:
    """Raise `ConfigError` unless a value is a whole number from *least* to `MOST`."""
    if not isinstance(value, numbers.Integral) or not least <= int(value) <= MOST:
        raise ConfigError(f"{name} must be a whole number from {least} to {MOST:,}, not {value}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
