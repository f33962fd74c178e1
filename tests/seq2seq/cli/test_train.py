"""The command that trains: its options, its table, and what it says of bad ones."""

from __future__ import annotations

import json
from functools import partial

import pytest

from small_dataset import write_dataset

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import DatasetError, open_dataset  # noqa: E402
from seq2seq.cli import run_one  # noqa: E402
from seq2seq.models.config import ModelConfig, TrainConfig  # noqa: E402
from seq2seq.run import Run  # noqa: E402
from seq2seq.training.presets import PRESETS, recipe, train_config  # noqa: E402

main = partial(run_one, "train")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def asked(monkeypatch):
    """What the training is asked for, which is not begun."""
    found = {}

    def stop(data, run_dir, model, settings, **rest):
        found.update(model=model, settings=settings, run_dir=run_dir, **rest)
        raise DatasetError("not begun")

    monkeypatch.setattr("seq2seq.cli.train.train", stop)
    return found


@pytest.fixture
def run(data, tmp_path):
    """The configuration of a run, without a model."""
    dataset = open_dataset(data)
    model = ModelConfig(model="seq2seq", units=6, input_frames=4, target_frames=6, low=30, high=90)
    run = Run.new(tmp_path / "run", model, TrainConfig(epochs=7, seed=3), dataset, "CPU")
    run.path.mkdir()
    run.change(run.settings, dataset)
    return run


def test_the_training_is_what_the_options_say(data, tmp_path, asked):
    options = [
        "--echo",
        "7",
        "--varied",
        "2",
        "--lags",
        "3,5",
        "--units",
        "9",
        "--transpose",
        "2",
        "--samples",
        "0",
        "-q",
    ]
    assert main([str(data), "-o", str(tmp_path), *options, "--max-minutes", "1.5"]) == 1
    model, settings = asked["model"], asked["settings"]
    assert (model.echo, model.varied, model.lags, model.units, settings.transpose) == (7, 2, (3, 5), 9, 2)
    assert (asked["run_dir"], asked["samples"], asked["quiet"], asked["max_minutes"]) == (tmp_path, 0, True, 1.5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_is_not_asked_for_otherwise(data, tmp_path, asked, preset):
    assert main([str(data), "-o", str(tmp_path), "--preset", preset, "--layers", "3"]) == 1
    assert (asked["model"], asked["settings"]) == recipe(open_dataset(data), preset, layers=3)
    assert asked["model"].layers == 3


def test_the_epochs_of_a_preset_come_near_its_updates(data):
    dataset, model = open_dataset(data), ModelConfig(input_frames=4, target_frames=6)
    # 1 + 2 + 5 + 2 targets of 6 frames, and half of one for each piece, where its phase is drawn.
    # That is 12 updates an epoch: 500 are 42 epochs.
    assert train_config(dataset, model, batch_size=1).epochs == 42
    with pytest.MonkeyPatch.context() as patch:  # what makes the least, or the most passes, but no more than 50
        patch.setattr("seq2seq.training.presets.LEAST_UPDATES", 1200)
        assert train_config(dataset, model, batch_size=1).epochs == 50
        patch.setattr("seq2seq.training.presets.LEAST_UPDATES", 120)
        assert train_config(dataset, model, batch_size=1).epochs == 10
        patch.setattr("seq2seq.training.presets.LEAST_UPDATES", 12)
        assert train_config(dataset, model, batch_size=1).epochs == 6
    batch_size = 1
    windows = sum(0.5 + -(-int(n) // 6) for n in dataset.pieces["frames"][dataset.split("train")])
    assert windows == 12
    for updates, epochs in ((12, 1), (30, 2), (100, 8), (3, 1)):
        preset = type(PRESETS["quick"])(updates)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PRESETS, "quick", preset)
            assert train_config(dataset, model, "quick", batch_size=batch_size).epochs == epochs
    assert train_config(dataset, model, epochs=3).epochs == 3


def test_the_model_of_the_post_is_trained_as_the_post_did(data, tmp_path, asked):
    assert main([str(data), "-o", str(tmp_path), "--model", "blog", "--dropout", "0.2"]) == 1
    model, settings = asked["model"], asked["settings"]
    assert (model.head, model.dropout) == ("bernoulli", 0.2)
    assert (settings.batch_size, settings.transpose, settings.learning_rate) == (32, 0, 0.006)


def test_a_run_is_repeated_by_its_configuration(data, tmp_path, asked, run):
    config = str(run.path / "config.json")
    assert main([str(data), "-o", str(tmp_path), "--config", config]) == 1
    assert asked["model"] == run.config
    assert asked["settings"] == TrainConfig(epochs=7, seed=3), "one that was extended is repeated at its whole length"
    assert main([str(data), "-o", str(tmp_path), "--config", config, "--seed", "9", "--units", "8"]) == 1
    assert (asked["model"].units, asked["settings"].seed, asked["settings"].epochs) == (8, 9, 7)


def test_a_run_goes_on_with_its_own_settings(data, run, asked):
    arguments = [str(data), "-o", str(run.path), "--resume"]
    assert main([*arguments, "--units", "6", "--epochs", "9"]) == 1
    assert (asked["model"], asked["settings"], asked["resume"], asked["epochs"]) == (None, None, True, 9)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["none.h5"], 1, "none.h5"),
        ([], 2, "DATA"),
        (["{tmp}"], 1, "rollcore build-dataset"),
        (["my song.mid"], 1, "rollcore build-dataset 'my song.mid' 'my song.h5'"),
        (["{data}", "--model", "nonesuch"], 2, "nonesuch"),
        (["{data}", "--preset", "huge"], 2, "huge"),
        (["{data}", "--model", "blog", "--head", "autoregressive"], 2, "bernoulli"),
        (["{data}", "--lags", "4,x"], 2, "4,x"),
        (["{data}", "--lags", "1"], 2, "lags"),
        (["{data}", "--model", "seq2seq", "--lags", "4"], 2, "--model tied"),
        (["{data}", "--model", "blog", "--echo", "9"], 2, "--model tied"),
        (["{data}", "--model", "seq2seq", "--varied", "1"], 2, "--model tied"),
        (["{data}", "--echo", "0", "--varied", "1"], 2, "none without an echo"),
        (["{data}", "--run-dir", "{tmp}/no", "--resume"], 1, "not a run folder"),
        (["{data}", "--run-dir", "{run}", "--resume", "--units", "7"], 2, "--units cannot change"),
        (["{data}", "--run-dir", "{run}", "--resume", "--preset", "quick"], 2, "for a new run"),
        (["{data}", "--run-dir", "{run}", "--resume", "--overwrite"], 2, "choose one"),
        (["{data}", "--run-dir", "{data}"], 1, "is a file"),
        (["{data}", "--config", "{tmp}/none.json"], 2, "cannot be read"),
        (["{data}", "--config", "{data}"], 2, "not settings"),
        (["{data}", "--config", "{tmp}/unts.json"], 2, "(model has no setting 'unts')"),
        (["{data}", "--learning-rate", "-1"], 2, "--learning-rate"),
        (["{data}", "--learning-rate", "nan"], 2, "learning rate"),
        (["{data}", "--max-minutes", "-1"], 2, "--max-minutes"),
        (["{data}", "--samples", "-1"], 2, "--samples"),
        (["{data}", "--seed", "-1"], 2, "--seed"),
        (["{data}", "--attention"], 2, "no attention"),
        (["{data}", "--low", "80", "--high", "40"], 2, "the lower one first"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, status, said, data, run, tmp_path, capsys):
    (tmp_path / "unts.json").write_text('{"model": {"unts": 64}, "train": {}}')
    filled = [argument.format(data=data, run=run.path, tmp=tmp_path) for argument in arguments]
    assert main(filled) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


@pytest.mark.parametrize("name", ["ResourceExhaustedError", "OutOfMemoryError"])
def test_what_does_not_fit_into_memory_is_said_in_one_line(name, data, tmp_path, monkeypatch, capsys):
    def exhaust(*_, **__):
        raise type(name, (RuntimeError,), {})("OOM when allocating tensor\nand sixty lines more")

    monkeypatch.setattr("seq2seq.cli.train.train", exhaust)
    assert main([str(data), "--run-dir", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: out of memory: choose a smaller --batch-size")
    assert told.count("\n") == 1


def test_an_interrupted_training_is_not_evaluated(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("seq2seq.cli.train.train", lambda *_, **__: {"interrupted": True})
    assert main([str(data), "--run-dir", str(tmp_path)]) == 130
    assert "nats/frame" not in capsys.readouterr().out


def test_settings_of_a_run_are_plain_json(run):
    facts = json.loads((run.path / "config.json").read_text())
    assert facts["dataset"]["grid"] == {"unit": "beats", "rate": "1"}
    assert facts["command"]
