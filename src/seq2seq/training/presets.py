"""Configurations that fit a dataset: what a model is and how long it is trained, where nothing else is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
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
            used |= np.bitwise_or.reduce(dataset.rows(int(piece))[:, ::2], axis=(0, 1))
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


# A small set is soon learnt by heart: on 120 folk tunes, the best epoch of eleven was the fifth, after 680 updates; on
# 40 the seventh, after 390; a training of seven was as good there, but not one of a smaller model. So a set is gone
# through a few times, or as often as makes a few hundred updates; each epoch is scored and saved, too.
MOST_PASSES, LEAST_UPDATES, MOST_EPOCHS = 6, 500, 50

# Of the model that is shared by all pitches: narrower layers, and longer targets, so that less of the time goes into
# frames that are read and not learnt from. docs/how-to/long-trainings.md has what that saves.
LEAN = {"units": 48, "input_frames": 32, "target_frames": 96, "batch_size": 4}
# Frames that a target has, however short the pieces are.
LEAST_TARGET = 16


@dataclass(frozen=True)
class Preset:
    """A recipe by name.

    Attributes
    ----------
    updates : int
        Updates that the training is to have at most; the epochs are as many as come nearest.
    model : dict
        Fields of :class:`ModelConfig` that differ from its defaults, whatever the model.
    tied : dict
        Fields of both configurations that differ from their defaults where the model is ``tied``.
    """

    updates: int
    model: dict[str, Any] = field(default_factory=dict)
    tied: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    "quick": Preset(600, {"layers": 1}, {**LEAN, "conv": 24}),
    "standard": Preset(1500, {}, LEAN),
    "large": Preset(20_000, {"units": 128, "conv": 64}),
}


def recipe(dataset: Dataset, preset: str = "standard", **settings: Any) -> tuple[ModelConfig, TrainConfig]:
    """Return both configurations of a *preset* for *dataset*; *settings* are fields of either, wanted otherwise.

    A target is not longer than the piece in the middle: half of the chorales' windows would be padding.

    Raises
    ------
    ConfigError
        If a setting is out of range, or there is no such preset.
    """
    chosen = _preset(preset)
    usual = {**chosen.model, **(chosen.tied if settings.get("model", "tied") == "tied" else {})}
    if "target_frames" in usual:
        frames = dataset.pieces["frames"][dataset.split("train")]
        middle = int(sorted(frames)[len(frames) // 2]) if len(frames) else 0
        usual["target_frames"] = min(usual["target_frames"], max(LEAST_TARGET, middle))
    settings = {**usual, **settings}
    model = model_config(dataset, **_fields(ModelConfig, settings))
    return model, train_config(dataset, model, preset, **_fields(TrainConfig, settings))


def train_config(dataset: Dataset, model: ModelConfig, preset: str = "standard", **settings: Any) -> TrainConfig:
    """Return how to train *model* on *dataset*; *settings* are fields of it that are wanted otherwise.

    Without ``epochs`` among them there are as many as make the updates of the *preset*, but no more than `MOST_PASSES`
    or what makes `LEAST_UPDATES`, whichever is more; at least one, and at most `MOST_EPOCHS`.

    Raises
    ------
    ConfigError
        If a setting is out of range, or there is no such preset.
    """
    wanted = _preset(preset).updates
    if "epochs" in settings:
        return TrainConfig(**settings)
    config = TrainConfig(**settings)
    hop = config.hop or model.target_frames
    frames = dataset.pieces["frames"][dataset.split("train")].astype(int)
    windows = float((0.5 + -(-frames // hop)).sum())
    an_epoch = max(1.0, windows // config.batch_size)
    epochs = round(min(wanted, max(LEAST_UPDATES, MOST_PASSES * an_epoch)) / an_epoch)
    return TrainConfig(**{**settings, "epochs": min(MOST_EPOCHS, max(1, epochs))})


def _preset(name: str) -> Preset:
    if name not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]


def _fields(kind: type, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are fields of a configuration."""
    return {one.name: settings[one.name] for one in fields(kind) if one.name in settings}
