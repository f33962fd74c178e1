"""Configurations that fit a dataset: what a model is and how long it is trained, where nothing else is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rollcore import DatasetError
from seq2seq.errors import ConfigError
from seq2seq.models.config import MUSICAL_PERIODS, ModelConfig, TrainConfig

if TYPE_CHECKING:
    from rollcore import Dataset

RECALLED_BEATS = (3, 4, 6, 8, 12, 16)
ECHO_FRAMES = 4096
CLOSING_BEATS = 32


def model_config(dataset: Dataset, **settings: Any) -> ModelConfig:
    """Return a configuration that fits *dataset*; *settings* are fields of it that are wanted otherwise.

    For the model of the blog post: ``model_config(dataset, model="blog", head="bernoulli", dropout=0.3)``, trained with
    ``TrainConfig(batch_size=32, learning_rate=0.006, transpose=0)``, which is what ``seq2seq train --model blog`` does.

    The planes are the dataset's; the pitches those of its training split, and five semitones more on both
    sides for transposed ones; on the musical grid, the model is told the beat, and ``tied`` recalls what was
    played one, two and four bars ago, be they of three or of four beats, as far as the window reaches, and hears
    the echo of up to `ECHO_FRAMES` frames ago, however fine the grid is. All but ``blog`` count down the last
    `CLOSING_BEATS` beats.
    """
    import numpy as np

    if "low" not in settings or "high" not in settings:
        used = np.zeros(16, np.uint8)
        for piece in dataset.split("train"):
            used |= np.bitwise_or.reduce(dataset.rows(int(piece))[:, 0], axis=0)
        pitches = np.flatnonzero(np.unpackbits(used, bitorder="little"))
        if not len(pitches):
            raise DatasetError(f"{dataset.path}: no notes in the training split: build it from more pieces")
        settings.setdefault("low", max(0, int(pitches[0]) - 5))
        settings.setdefault("high", min(127, int(pitches[-1]) + 5))
    if dataset.grid.unit == "beats":
        settings.setdefault("periods", MUSICAL_PERIODS)
        if settings.get("model", "tied") != "blog":
            settings.setdefault("closing", int(dataset.grid.rate * CLOSING_BEATS))
        if settings.get("model", "tied") == "tied":
            window = settings.get("input_frames", ModelConfig.input_frames)
            window += settings.get("target_frames", ModelConfig.target_frames)
            lags = sorted({int(dataset.grid.rate * beats) for beats in RECALLED_BEATS})
            settings.setdefault("lags", tuple(lag for lag in lags if 1 < lag < window))
            settings.setdefault("echo", ECHO_FRAMES)
    return ModelConfig(**{"planes": tuple(dataset.planes), **settings})


# A set of few pieces is not gone through more often, whatever the updates: each epoch is scored and saved.
MOST_EPOCHS = 50


@dataclass(frozen=True)
class Preset:
    """A recipe by name.

    Attributes
    ----------
    updates : int
        Updates that the training is to have; the epochs are as many as come nearest.
    model : dict
        Fields of :class:`ModelConfig` that differ from its defaults.
    """

    updates: int
    model: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    "quick": Preset(400, {"units": 32, "layers": 1, "conv": 24}),
    "standard": Preset(1500),
    "large": Preset(20_000, {"units": 128, "conv": 64}),
}


def train_config(dataset: Dataset, model: ModelConfig, preset: str = "standard", **settings: Any) -> TrainConfig:
    """Return how to train *model* on *dataset*; *settings* are fields of it that are wanted otherwise.

    Without ``epochs`` among them there are as many as make the updates of the *preset*, but at least one and at most
    `MOST_EPOCHS`.

    Raises
    ------
    ConfigError
        If a setting is out of range, or there is no such preset.
    """
    if preset not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    if "epochs" in settings:
        return TrainConfig(**settings)
    config = TrainConfig(**settings)
    hop = config.hop or model.target_frames
    frames = dataset.pieces["frames"][dataset.split("train")].astype(int)
    windows = float((0.5 + -(-frames // hop)).sum())
    epochs = round(PRESETS[preset].updates / max(1.0, windows // config.batch_size))
    return TrainConfig(**{**settings, "epochs": min(MOST_EPOCHS, max(1, epochs))})
