"""The configuration that fits a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from rollcore import build_dataset, make_chords, open_dataset
from seq2seq.errors import ConfigError
from seq2seq.models.config import ModelConfig
from seq2seq.training.presets import model_config, recipe, train_config


def test_the_range_is_that_of_the_training_pieces_and_five_more(data):
    dataset = open_dataset(data)
    used = np.zeros(128, bool)
    for piece in dataset.split("train"):
        used |= np.unpackbits(dataset.rows(int(piece))[:, 0], axis=-1, bitorder="little").any(0)
    config = model_config(dataset)
    assert (config.low, config.high) == (used.argmax() - 5, 127 - used[::-1].argmax() + 5)
    assert config.lags == (3, 4, 6, 8, 12, 16)
    assert config.echo == 4096
    assert config.periods
    assert config.closing == 32  # beats, of one frame each
    assert config.countdown == (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
    assert model_config(dataset, model="blog", head="bernoulli").closing == 0
    assert model_config(dataset, model="seq2seq").echo == 0
    assert model_config(dataset, input_frames=4, target_frames=4, low=30).lags == (3, 4, 6)
    assert model_config(dataset, low=30).low == 30


def test_in_seconds_there_is_neither_beat_nor_bar_nor_echo(tmp_path):
    make_chords(tmp_path / "chords")
    build_dataset(tmp_path / "chords", tmp_path / "chords.h5", fps=50, planes="sounding")
    config = model_config(open_dataset(tmp_path / "chords.h5"))
    assert (config.periods, config.lags, config.echo, config.closing) == ((), (), 0, 0)


def test_there_is_no_other_preset(data):
    with pytest.raises(ConfigError, match="preset must be one of quick, standard, large"):
        train_config(open_dataset(data), ModelConfig(), "huge")
    with pytest.raises(ConfigError, match="preset must be one of quick, standard, large"):
        recipe(open_dataset(data), "huge")


def test_a_recipe_is_leaner_for_the_model_of_all_pitches_alone(data):
    dataset = open_dataset(data)
    model, settings = recipe(dataset, seed=5)
    assert (model.units, model.layers, model.input_frames) == (48, 2, 32)
    frames = sorted(dataset.pieces["frames"][dataset.split("train")])
    assert model.target_frames == max(16, frames[len(frames) // 2]) < 96, "no longer than the pieces"
    assert recipe(dataset, target_frames=96)[0].target_frames == 96
    assert (settings.batch_size, settings.seed) == (4, 5)
    assert recipe(dataset, "quick")[0].layers == 1
    model, settings = recipe(dataset, model="seq2seq")
    assert (model.units, model.input_frames, model.target_frames, settings.batch_size) == (64, 50, 50, 8)
    assert recipe(dataset, units=20, batch_size=3)[0].units == 20
