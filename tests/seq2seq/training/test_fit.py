"""The commands that train, evaluate and compare: what they write, keep, and refuse."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from small_dataset import write_dataset

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import DatasetError, build_dataset, make_chords, open_dataset  # noqa: E402
from seq2seq import compare, evaluate, generate, train  # noqa: E402
from seq2seq.cli import run_one  # noqa: E402
from seq2seq.errors import ConfigError, RunError  # noqa: E402
from seq2seq.models.architectures import load_model  # noqa: E402
from seq2seq.models.config import TrainConfig  # noqa: E402
from seq2seq.run import COLUMNS, Run  # noqa: E402
from seq2seq.training import metrics  # noqa: E402
from seq2seq.training.epochs import Epochs  # noqa: E402
from seq2seq.training.fit import model_config, plot_losses  # noqa: E402

train_main, evaluate_main, compare_main = (partial(run_one, name) for name in ("train", "evaluate", "compare"))

SMALL = {"model": "seq2seq", "head": "bernoulli", "units": 6, "input_frames": 4, "target_frames": 6}
FAST = TrainConfig(epochs=2, batch_size=4, transpose=3, seed=5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "first"
    train(data, run_dir, model_config(open_dataset(data), **SMALL), FAST)
    return run_dir


def weights(path):
    return [keras.ops.convert_to_numpy(weight) for weight in load_model(path).weights]


def test_a_run_folder_holds_all_that_the_run_was(data, run):
    found = Run.open(run)
    assert found.config == model_config(open_dataset(data), **SMALL)
    assert found.settings == FAST
    assert found.dataset["fingerprint"] == open_dataset(data).fingerprint
    assert found.grid == open_dataset(data).grid
    assert found.facts["versions"]["keras"] == keras.__version__
    history = found.history()
    assert [row["epoch"] for row in history] == [1, 2]
    with open(run / "metrics.csv", newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'rollcore[plot]'")
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_epoch_is_the_one_kept(data, run):
    figures = evaluate(run, split="validation", hop=6)["scores"]["model"]
    best = min(row["validation_nats_per_frame"] for row in Run.open(run).history())
    assert figures["nats_per_frame"] == pytest.approx(best, abs=1e-5)


def test_the_same_seed_gives_the_same_run(data, run, tmp_path):
    model = model_config(open_dataset(data), **SMALL)
    train(data, tmp_path / "again", model, FAST)
    for name in ("best.keras", "last.keras"):
        for a, b in zip(weights(run / name), weights(tmp_path / "again" / name), strict=True):
            np.testing.assert_array_equal(a, b)
    losses = [
        [row["train_nats_per_frame"] for row in Run.open(folder).history()] for folder in (run, tmp_path / "again")
    ]
    assert losses[0] == losses[1]


def test_an_interrupted_run_keeps_its_epochs_and_goes_on_to_the_same_end(data, tmp_path, monkeypatch, capsys):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    # Without dropout, whose state Keras does not save.
    model = model_config(open_dataset(data), **SMALL, dropout=0.0)
    train(data, whole, model, FAST)

    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    begin = Epochs.on_epoch_begin
    monkeypatch.setattr(Epochs, "on_epoch_begin", interrupt)
    assert train(data, broken, model, FAST)["interrupted"]
    assert "--resume goes on" in capsys.readouterr().out
    assert len(Run.open(broken).history()) == 1
    monkeypatch.undo()
    result = train(data, broken, resume=True)
    assert not result["interrupted"]
    assert len(result["history"]) == 2
    for a, b in zip(weights(whole / "last.keras"), weights(broken / "last.keras"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_finished_run_is_given_more_epochs(data, tmp_path, capsys):
    model, folder = model_config(open_dataset(data), **SMALL), tmp_path / "longer"
    train(data, folder, model, FAST)
    first, before = Run.open(folder).history(), weights(folder / "last.keras")
    dataset_of_run = Run.open(folder).dataset
    moved = shutil.copy(data, tmp_path / "moved.h5")
    assert train_main([str(moved), "--run-dir", str(folder), "--resume", "--epochs", "4"]) == 0
    assert Run.open(folder).dataset == {**dataset_of_run, "path": str(moved)}
    history = Run.open(folder).history()
    assert history[:2] == first
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert Run.open(folder).facts["train"] == {**dataclasses.asdict(FAST), "epochs": 4}
    # Learning went on, at a rate that reaches 0 with the last update of the longer run.
    after = weights(folder / "last.keras")
    assert max(np.abs(a - b).max() for a, b in zip(before, after, strict=True)) > 1e-3
    adam = load_model(folder / "last.keras").optimizer
    assert adam.ema_momentum == pytest.approx(1 - 5 / int(adam.iterations))
    rate = adam.get_config()["learning_rate"]["config"]
    assert rate["warmup_steps"] + rate["decay_steps"] == int(adam.iterations)
    for length, status in ("4", 0), ("3", 1):
        assert train_main([str(data), "--run-dir", str(folder), "--resume", "--epochs", length]) == status
    said = capsys.readouterr()
    assert "all 4 epochs are done" in said.out
    assert "4 epochs are done, so it cannot become a run of 3" in said.err
    with pytest.raises(ConfigError, match="for a run that is resumed"):
        train(data, tmp_path / "new", model, FAST, epochs=3)


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interruption_while_the_model_is_saved(epoch, data, tmp_path, monkeypatch, capsys):
    def interrupt(run, history):
        if len(history) == epoch:
            raise KeyboardInterrupt
        write(run, history)

    write = Run._write_history
    model = model_config(open_dataset(data), **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_write_history", interrupt)
        if epoch == 1:
            with pytest.raises(KeyboardInterrupt):
                train(data, tmp_path, model, FAST)
            assert "resume" not in capsys.readouterr().out
            return
        assert len(train(data, tmp_path, model, FAST)["history"]) == 1
    assert "epoch 1 left" in capsys.readouterr().out
    assert [row["epoch"] for row in train(data, tmp_path, resume=True)["history"]] == [1, 2]


@pytest.mark.parametrize("again", [["--overwrite"], ["--resume", "--epochs", "3"]], ids=["overwrite", "resume"])
@pytest.mark.parametrize(
    ("place", "name", "fault", "status", "said"),
    [
        (Epochs, "on_epoch_begin", KeyboardInterrupt, 130, "interrupted"),
        (keras.Model, "save", KeyboardInterrupt, 130, "interrupted"),
        (keras.Model, "save", OSError(28, "No space left on device"), 1, "run: cannot be written: No space"),
    ],
    ids=["while training", "while saving", "disk full"],
)
def test_a_former_run_stands_until_an_epoch_is_saved(
    data, tmp_path, monkeypatch, capsys, again, place, name, fault, status, said
):
    folder = tmp_path / "run"
    train(data, folder, model_config(open_dataset(data), **SMALL), FAST)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "loss.png"}

    def fail(*_, **__):
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(place, name, fail)
        assert train_main([str(data), "--run-dir", str(folder), *again]) == status
    assert said in "".join(capsys.readouterr())
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "loss.png"}
    if again[0] == "--resume":  # the run is to have three epochs, which the next --resume knows
        assert Run.open(folder).facts["train"]["epochs"] == 3
        assert [row["epoch"] for row in train(data, folder, resume=True)["history"]] == [1, 2, 3]
        before["config.json"] = after["config.json"]
    assert after == before


def test_a_folder_is_for_one_training_at_a_time(data, run, capsys):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with Run.open(run).alone():
        assert train_main([str(data), "--run-dir", str(run), "--overwrite"]) == 1
    assert "another training is writing it" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_attention_may_be_named_when_a_run_goes_on(data, tmp_path):
    arguments = [str(data), "--run-dir", str(tmp_path), *QUICK, "--attention"]
    assert train_main(arguments) == 0
    # The model is that of the run, whichever is the default.
    assert train_main([*arguments[:3], "--resume", "--attention"]) == 0


def test_any_name_stands_beside_the_curves(run, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'rollcore[plot]'")
    from matplotlib.figure import Figure

    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
        assert plot_losses({"$\\foo$": Run.open(run).history(), "_x": Run.open(run).history()}, tmp_path / "x.png")
    drawn[0].canvas.draw()
    said = [label.get_text() for label in drawn[0].axes[0].get_legend().get_texts()]
    assert said == ["validation, $\\foo$", "train, $\\foo$", "validation, _x", "train, _x"]


def test_a_few_updates_are_not_averaged_away(data, tmp_path):
    """An average over a hundred updates is the initial weights, nearly, in a run of a few."""
    losses = {}
    for ema in (None, 0.0, 0.99):
        settings = dataclasses.replace(FAST, learning_rate=0.02, ema=ema)
        history = train(data, tmp_path / str(ema), model_config(open_dataset(data), **SMALL), settings)["history"]
        losses[ema] = history[-1]["validation_nats_per_frame"]
    lost = losses[0.99] - losses[0.0]
    assert lost > 0.1
    assert abs(losses[None] - losses[0.0]) < 0.2 * lost


QUICK = ["--model", "seq2seq", "--units", "6", "--input-frames", "4", "--target-frames", "6", "--epochs", "2"]


@pytest.mark.parametrize(("complete", "said"), [(0, "before an epoch was complete"), (1, "--resume goes on")])
def test_an_interrupted_command_ends_as_interrupted(complete, said, data, tmp_path, monkeypatch, capsys):
    def interrupt(self, epoch, logs=None):
        if epoch == complete:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    begin = Epochs.on_epoch_begin
    monkeypatch.setattr(Epochs, "on_epoch_begin", interrupt)
    assert train_main([str(data), "--run-dir", str(tmp_path / "run"), *QUICK]) == 130
    shown = capsys.readouterr().out
    assert said in shown
    assert "nats/frame" not in shown, "no evaluation is begun"
    assert (tmp_path / "run" / "last.keras").exists() == bool(complete)


def test_a_trained_model_is_replaced_on_demand_only(data, run, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    kept = tmp_path / "kept"
    shutil.copytree(run, kept)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    arguments = [str(data), "--run-dir", str(kept), *QUICK[:-1], "1"]
    assert train_main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    (kept / "last.keras").rename(tmp_path / "apart")  # what is left can still make music
    assert train_main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err
    (tmp_path / "apart").rename(kept / "last.keras")
    # Not before there is a model to put in its place.
    for failing in ("on_epoch_begin", "on_train_batch_end"):
        with monkeypatch.context() as patch:
            patch.setattr(Epochs, failing, interrupt)
            assert train_main([*arguments, "--overwrite"]) == 130
        assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert train_main([*arguments, "--overwrite"]) == 0
    assert len(Run.open(kept).history()) == 1
    assert Run.open(kept).facts["train"]["epochs"] == 1
    assert not list(kept.glob(".*"))


@pytest.mark.parametrize("name", ["ResourceExhaustedError", "OutOfMemoryError"])
def test_what_does_not_fit_into_memory_is_said_in_one_line(name, data, tmp_path, monkeypatch, capsys):
    def exhaust(*_, **__):
        raise type(name, (RuntimeError,), {})("OOM when allocating tensor\nand sixty lines more")

    monkeypatch.setattr("seq2seq.cli.train.train", exhaust)
    assert train_main([str(data), "--run-dir", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: out of memory: choose a smaller --batch-size")
    assert told.count("\n") == 1


def test_the_table_after_the_training_is_that_of_the_evaluation(data, tmp_path, capsys):
    run_dir = str(tmp_path / "run")
    assert train_main([str(data), "--run-dir", run_dir, *QUICK]) == 0
    trained = capsys.readouterr().out
    assert evaluate_main([run_dir, str(data)]) == 0
    evaluated = capsys.readouterr().out
    row = next(line for line in evaluated.splitlines() if line.startswith("model "))
    figures = row.removeprefix("model").split()
    assert any(line.split()[-len(figures) :] == figures for line in trained.splitlines() if "(epoch" in line)
    assert "windows 3 frames apart" in trained
    assert "windows 3 frames apart" in evaluated
    assert "another dataset" not in evaluated
    assert train_main([str(data), "--run-dir", run_dir, "--resume"]) == 0
    assert "all 2 epochs are done" in capsys.readouterr().out


def test_what_was_trained_on_another_dataset_is_said_to_be(run, tmp_path, capsys):
    other = write_dataset(tmp_path, seed=1)
    assert evaluate_main([str(run), str(other)]) == 0
    assert "may have been trained on" in capsys.readouterr().out
    picture = ["--picture", str(tmp_path / "curves.png")]
    assert train_main([str(other), "--run-dir", str(tmp_path / "second"), *QUICK]) == 0
    capsys.readouterr()
    assert compare_main([str(run), str(tmp_path / "second"), *picture]) == 0
    assert "different datasets cannot be compared" in capsys.readouterr().out
    assert compare_main([str(run), str(run), *picture]) == 0
    assert "cannot be compared" not in capsys.readouterr().out


def test_a_loss_that_is_no_number_ends_the_training(data, tmp_path, monkeypatch):
    monkeypatch.setattr("seq2seq.training.epochs.score_model", lambda *_: SimpleNamespace(per_frame=float("nan")))
    with pytest.raises(RunError, match="epoch 1 is no number: lower the learning rate"):
        train(data, tmp_path / "run", model_config(open_dataset(data), **SMALL), FAST)
    assert not (tmp_path / "run" / "best.keras").exists()


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
    assert model_config(dataset, model="seq2seq").echo == 0
    assert model_config(dataset, input_frames=4, target_frames=4, low=30).lags == (3, 4, 6)
    assert model_config(dataset, low=30).low == 30


def test_in_seconds_there_is_neither_beat_nor_bar_nor_echo(tmp_path):
    make_chords(tmp_path / "chords")
    build_dataset(tmp_path / "chords", tmp_path / "chords.h5", fps=50, planes="sounding")
    config = model_config(open_dataset(tmp_path / "chords.h5"))
    assert (config.periods, config.lags, config.echo) == ((), (), 0)


def test_the_command_trains_what_its_options_say(data, tmp_path, monkeypatch, capsys):
    def stop(data, run_dir, config, settings, **rest):
        raise DatasetError(f"{config.echo} {config.lags} {config.units} {settings.transpose}")

    monkeypatch.setattr("seq2seq.cli.train.train", stop)
    arguments = [
        str(data),
        "--run-dir",
        str(tmp_path),
        "--echo",
        "7",
        "--lags",
        "3,5",
        "--units",
        "9",
        "--transpose",
        "2",
    ]
    assert train_main(arguments) == 1
    assert "7 (3, 5) 9 2" in capsys.readouterr().err


OPTIONS = ["--model", "blog", "--epochs", "2", "--units", "5", "--input-frames", "4", "--target-frames", "6"]


def test_the_commands_from_training_to_comparison(data, run, tmp_path, capsys):
    blog = tmp_path / "blog"
    assert train_main([str(data), "--run-dir", str(blog), *OPTIONS, "--max-minutes", "0"]) == 0
    out = capsys.readouterr().out
    assert "epoch 1/2: train" in out
    assert "the time is up" in out
    assert "epoch 2/2" not in out
    table = out[out.index("test split") :].splitlines()
    assert [line.split()[0] for line in table[2:6]] == ["blog", "unigram", "markov", "repeat"]

    assert evaluate_main([str(run), str(data), "--split", "validation", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["scores"]) == ["model", "unigram", "markov", "repeat"]
    assert result["scores"]["model"]["frames"] == 25
    assert evaluate_main([str(blog)]) == 0
    assert "28 frames of 2 pieces" in capsys.readouterr().out
    assert evaluate_main([str(blog), "--hop", "3"]) == 1
    assert "its windows do not overlap" in capsys.readouterr().err

    picture = tmp_path / "curves.png"
    assert compare_main([str(run), str(blog), "--picture", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"run", "model", "batch_size", "validation"} <= set(lines[0].split())
    assert "input_frames" not in lines[0].split()
    assert picture.exists()
    assert "losses of two tasks" in "".join(lines)
    rows = compare([run, blog])
    assert [row["epochs"] for row in rows] == [2, 1]
    assert rows[0]["settings"]["model"] == "seq2seq"
    assert rows[0]["validation"] == min(row["validation_nats_per_frame"] for row in Run.open(run).history())


@pytest.mark.parametrize(
    ("main", "arguments", "status", "said"),
    [
        (train_main, ["none.h5"], 1, "none.h5"),
        (train_main, [], 2, "DATA"),
        (train_main, ["{data}", "--model", "nonesuch"], 2, "nonesuch"),
        (train_main, ["{data}", "--model", "blog", "--head", "autoregressive"], 1, "bernoulli"),
        (train_main, ["{data}", "--lags", "4,x"], 2, "4,x"),
        (train_main, ["{data}", "--model", "seq2seq", "--lags", "4"], 2, "--model tied"),
        (train_main, ["{data}", "--model", "blog", "--echo", "9"], 2, "--model tied"),
        (train_main, ["{data}", "--run-dir", "{tmp}/no", "--resume"], 1, "not a run folder"),
        (train_main, ["{data}", "--run-dir", "{run}", "--resume", "--units", "7"], 2, "--units cannot change"),
        (train_main, ["{data}", "--run-dir", "{data}"], 1, "is a file"),
        (train_main, ["{data}", "--learning-rate", "-1"], 1, "learning rate"),
        (train_main, ["{data}", "--learning-rate", "nan"], 1, "learning rate"),
        (train_main, ["{data}", "--run-dir", "{tmp}/no", "--max-minutes", "-1"], 1, "max_minutes"),
        (train_main, ["{data}", "--seed", "-1"], 2, "--seed"),
        (train_main, ["{data}", "--attention"], 1, "no attention"),
        (train_main, ["{data}", "--run-dir", "{run}", "--resume", "--overwrite"], 2, "choose one"),
        (train_main, ["{data}", "--low", "80", "--high", "40"], 1, "the lower one first"),
        (evaluate_main, ["{data}"], 1, "not a run folder"),
        (compare_main, ["{run}", "--picture", "{tmp}/x.xyz"], 1, "PNG"),
        (evaluate_main, ["{tmp}"], 1, "not a run folder"),
        (evaluate_main, ["{run}", "{data}", "--split", "nonesuch"], 2, "nonesuch"),
        (evaluate_main, ["{run}", "--hop", "7"], 1, "hop 7"),
        (compare_main, [], 2, "RUN"),
        (compare_main, ["{tmp}"], 1, "not a run folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(main, arguments, status, said, data, run, tmp_path, capsys):
    filled = [argument.format(data=data, run=run, tmp=tmp_path) for argument in arguments]
    assert main(filled) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_the_threshold_is_fitted_where_nothing_is_scored(data, run, monkeypatch):
    fitted = []
    fit = metrics.fit_threshold
    monkeypatch.setattr(metrics, "fit_threshold", lambda net, batches: fitted.append(batches) or fit(net, batches))
    evaluate(run, data, split="test")
    assert [batches.pieces.tolist() for batches in fitted] == [open_dataset(data).split("validation").tolist()]


def test_runs_are_compared_at_their_best_epochs(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    rows = [(1, 3, 3, 60), (2, 2, 1, 60), (3, 1, 2, 60)]
    Run.open(tmp_path / "copy")._write_history([dict(zip(COLUMNS, (*row, 0, 0, 0, 0), strict=True)) for row in rows])
    row = compare([tmp_path / "copy"])[0]
    assert (row["epochs"], row["best_epoch"], row["train"], row["validation"], row["minutes"]) == (3, 2, 2, 1, 3)


def test_a_run_without_its_model_or_with_another_dataset_is_refused(data, run, tmp_path):
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    with pytest.raises(RunError, match="no model here"):
        evaluate(tmp_path)
    config = json.loads((run / "config.json").read_text())
    config["dataset"]["path"] = str(tmp_path / "gone.h5")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DatasetError, match="the dataset of the run is gone: name it as DATA"):
        evaluate(tmp_path)
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    with pytest.raises(RunError, match="no epoch was completed"):
        compare([tmp_path])
    (tmp_path / "other").mkdir()
    other = write_dataset(tmp_path / "other", seed=1)
    with pytest.raises(RunError, match="not the dataset"):
        train(other, run, resume=True)
    wider = tmp_path / "wider"
    shutil.copytree(run, wider)
    intact = json.loads((run / "config.json").read_text())
    (wider / "config.json").write_text(json.dumps(intact | {"model": intact["model"] | {"units": 8}}))
    for use in (evaluate, generate, partial(train, data, resume=True)):
        with pytest.raises(DatasetError, match="not the model that config"):
            use(run_dir=wider)
    torn = tmp_path / "torn"
    shutil.copytree(run, torn)
    lines = (torn / "metrics.csv").read_text().splitlines(keepends=True)
    (torn / "metrics.csv").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match="of no epoch that metrics"):
        train(data, torn, resume=True)
    # Killed between the two files: the history is an epoch ahead, which is done once more.
    (torn / "metrics.csv").write_text("".join([*lines, lines[-1]]))
    assert train(data, torn, resume=True)["history"] == Run.open(run).history()
    (torn / "metrics.csv").write_text(lines[0])
    with pytest.raises(RunError, match="no epoch was completed"):
        train(data, torn, resume=True)
    (torn / "metrics.csv").write_text("epoch,loss\n1,2\n")
    with pytest.raises(RunError, match="its columns are not epoch, train_nats"):
        compare([torn])
    places = [config["dataset"] | {name: 5} for name in ("path", "fingerprint", "grid", "options")]
    kinds = [{**config, "dataset": place} for place in places]
    kinds += [{**config, "model": []}, {**config, "model": config["model"] | {"low": 40.5}}]
    for wrong in ("{", "[" * 100_000, *map(json.dumps, kinds)):
        (tmp_path / "config.json").write_text(wrong)
        with pytest.raises(RunError, match="unreadable configuration"):
            Run.open(tmp_path)


@pytest.mark.parametrize("command", ["train", "evaluate", "compare"])
def test_help_waits_for_no_framework(command):
    code = (
        f"import sys; from seq2seq.cli import run_one; status = run_one('{command}', ['--help'])\n"
        "assert status == 0 and not {'keras', 'tensorflow', 'numba', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: seq2seq-" in done.stdout
