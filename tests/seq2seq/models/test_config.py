"""Settings that no model can be built from, and none can be trained with, are refused when they are written down."""

import dataclasses

import pytest

from seq2seq.errors import ConfigError
from seq2seq.models.config import ModelConfig, TrainConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 10**21},
        {"epochs": 1.5},
        {"batch_size": True - 1},
        {"batch_size": 10**7},
        {"hop": -1},
        {"transpose": 7},
        {"seed": 2**32},
        {"seed": "1"},
        {"learning_rate": float("nan")},
        {"keep_key": 1.1},
        {"ema": 1.0},
    ],
    ids=str,
)
def test_no_training_has_such_settings(wrong):
    with pytest.raises(ConfigError) as raised:
        TrainConfig(**wrong)
    assert "\n" not in str(raised.value)
    assert next(iter(wrong)).replace("_", " ") in str(raised.value).replace("_", " ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "transformer"},
        {"head": "softmax"},
        {"model": "blog"},
        {"planes": ("onset",)},
        {"planes": ("sounding:a", "onset:b")},
        {"planes": ("sounding:a", "onset:a", "sounding:a", "onset:a")},
        {"planes": ("sounding:", "onset:")},
        {"low": 60, "high": 59},
        {"high": 128},
        {"units": 0},
        {"units": 10**7},
        {"layers": 10**12},
        {"input_frames": 0.5},
        {"lags": (1,)},
        {"dropout": 1.0},
        {"model": "seq2seq", "echo": 8},
        {"varied": 1},
        {"varied": 9, "echo": 8},
        {"attention": True},
    ],
    ids=str,
)
def test_no_model_has_such_settings(wrong):
    with pytest.raises(ConfigError) as raised:
        ModelConfig(**wrong)
    assert "\n" not in str(raised.value)


def test_what_is_written_is_read():
    config = ModelConfig(model="tied", lags=(12, 16), periods=(2, 4), echo=4096, varied=8)
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert dataclasses.replace(config, units=48) != config
