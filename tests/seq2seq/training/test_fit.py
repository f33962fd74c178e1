"""Training: what a run keeps, that it is the same again, goes on where it was left, and refuses what it must."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import DatasetError, open_dataset  # noqa: E402
from seq2seq import Generator, TrainConfig, evaluate, model_config, train  # noqa: E402
from seq2seq.errors import ConfigError, RunError  # noqa: E402
from seq2seq.models import architectures  # noqa: E402
from seq2seq.models.architectures import load_model  # noqa: E402
from seq2seq.models.weights import arrays_of, read_weights  # noqa: E402
from seq2seq.run import Run, trunk  # noqa: E402
from seq2seq.training.epochs import Epochs  # noqa: E402
from seq2seq.training.progress import Display  # noqa: E402
from small_dataset import write_dataset  # noqa: E402

QUIET = {"quiet": True, "samples": 0}


def weights(path):
    return [keras.ops.convert_to_numpy(weight) for weight in load_model(path).weights]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "loss.png"}


def assert_equal_runs(a, b):
    for one, other in zip(weights(Run.open(a).last_model), weights(Run.open(b).last_model), strict=True):
        np.testing.assert_array_equal(one, other)


class At(keras.callbacks.Callback):
    """Does something after some update of an epoch, or when an epoch begins."""

    def __init__(self, epoch, batch, action):
        super().__init__()
        self.place, self.action = (epoch, batch), action

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if (epoch, -1) == self.place:
            self.action()

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            self.action()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def raise_interrupt():
    raise KeyboardInterrupt


def test_a_run_folder_holds_all_that_the_run_was(data, small, run):
    found, dataset = Run.open(run), open_dataset(data)
    assert (found.config, found.settings) == (small.model, small.settings)
    assert found.dataset["fingerprint"] == dataset.fingerprint
    assert found.dataset["planes"] == list(dataset.planes)
    assert found.grid == dataset.grid
    facts = found.facts
    assert facts["versions"]["keras"] == keras.__version__
    assert facts["backend"] == keras.config.backend()
    assert all(facts[name] for name in ("began", "host", "device", "command"))
    history = found.history()
    assert [row["epoch"] for row in history] == [1, 2]
    assert history[-1]["learning_rate"] == pytest.approx(0, abs=1e-9)
    assert all(row["windows_per_second"] > 0 and 0 <= row["waiting_share"] <= 1 for row in history)
    assert all(0 <= row["validation_f1"] <= 1 for row in history)
    assert not found.samples.exists()
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'rollcore[plot]'")
    assert found.loss_picture.read_bytes().startswith(b"\x89PNG")


def test_the_best_epoch_is_the_one_kept(run):
    found = Run.open(run)
    figures = evaluate(run, split="validation", hop=6)["scores"]["model"]
    best = min(row["validation_nats_per_frame"] for row in found.history())
    assert figures["nats_per_frame"] == pytest.approx(best, abs=1e-5)
    config, arrays, facts = read_weights(found.weights)
    assert config == found.config
    assert facts["validation_nats_per_frame"] == pytest.approx(best, abs=1e-5)
    for name, array in arrays_of(load_model(found.best_model)).items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.fixture
def one_update_a_call(monkeypatch):
    """An update is a call of the backend, so that an epoch has several."""
    monkeypatch.setattr(architectures, "most_steps_per_execution", lambda: 1)


def test_a_run_that_was_stopped_within_epochs_comes_to_the_same_end(
    data, small, run, tmp_path, one_update_a_call, capsys
):
    folder, fit = tmp_path / "broken", {**QUIET, "quiet": False}
    # The time is up after an update: a scored model.
    first = train(data, folder, small.model, small.settings, max_minutes=0, **fit)
    assert not first["interrupted"]
    assert 0 < first["history"][0]["epoch"] < 1
    assert first["best_epoch"] == first["history"][0]["epoch"]
    said = capsys.readouterr().out
    assert "the time is up" in said
    assert f"updates waited {first['history'][0]['waiting_share']:.1%} of the time for data" in said
    # Ctrl-C while the second epoch runs, then while it is scored.
    second = train(data, folder, resume=True, callbacks=[At(1, 0, interrupt)], **fit)
    assert second["interrupted"]
    assert "--resume continues" in capsys.readouterr().out
    assert [row["epoch"] for row in second["history"]][1:] == [1]
    assert Run.open(folder).progress()["batches"] == 2 == len(small_batches(data, small)) - 1
    third = train(data, folder, resume=True, callbacks=[At(1, 0, interrupt)], **fit)
    assert third["interrupted"]
    assert len(third["history"]) == 2
    fourth = train(data, folder, resume=True, **fit)
    assert not fourth["interrupted"]
    whole = Run.open(run).history()
    assert [row["epoch"] for row in fourth["history"]][1:] == [1, 2]
    for name in ("train_nats_per_frame", "validation_nats_per_frame", "validation_f1"):
        assert [row[name] for row in fourth["history"][1:]] == pytest.approx([row[name] for row in whole], abs=2e-6)
    assert_equal_runs(run, folder)
    assert Run.open(folder).progress() == {}


def small_batches(data, small):
    from seq2seq import RollBatches

    return RollBatches(open_dataset(data), small.model, small.settings)


def test_an_interruption_in_the_first_epoch_leaves_a_model(data, small, tmp_path, one_update_a_call):
    folder = tmp_path / "run"
    result = train(data, folder, small.model, small.settings, callbacks=[At(0, 0, interrupt)], **QUIET)
    assert (result["interrupted"], result["history"], result["best_epoch"]) == (True, [], None)
    found = Run.open(folder)
    assert found.progress()["batches"] == 2  # the first update that ended after it
    for one, other in zip(weights(found.best_model), weights(found.last_model), strict=True):
        np.testing.assert_array_equal(one, other)
    read_weights(found.weights)


def test_an_interruption_before_any_update_leaves_nothing(data, small, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "a" / "b", small.model, small.settings, callbacks=[At(0, -1, raise_interrupt)], **QUIET)
    assert list(tmp_path.iterdir()) == []


def test_states_are_kept_by_time(data, small, tmp_path, one_update_a_call, monkeypatch):
    monkeypatch.setattr("seq2seq.training.epochs.KEEP_EVERY_S", 0.0)
    seen = []
    look = At(0, 0, lambda: seen.append((Run.open(tmp_path / "run").progress(), weights(tmp_path / "run/best.keras"))))
    with pytest.raises(RuntimeError):
        train(data, tmp_path / "run", small.model, small.settings, callbacks=[look, At(0, 1, fail)], **QUIET)
    assert seen[0][0]["batches"] == 1
    assert Run.open(tmp_path / "run").progress()["batches"] == 2


def fail():
    raise RuntimeError("killed")


# A training that keeps a state after each update, and waits after the second of its second epoch.
WAITING = """
import json, sys, time
import keras
from seq2seq import ModelConfig, TrainConfig, train
from seq2seq.models import architectures
from seq2seq.training import epochs

architectures.most_steps_per_execution = lambda: 1
epochs.KEEP_EVERY_S = 0.0

class Wait(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            print("waiting", flush=True)
            time.sleep(600)

data, folder, model, settings = sys.argv[1:]
model, settings = ModelConfig.from_dict(json.loads(model)), TrainConfig(**json.loads(settings))
train(data, folder, model, settings, callbacks=[Wait()], samples=0, quiet=True)
"""


def test_a_batch_is_worked_out_in_as_many_parts_as_the_cores_ask_for(data, small, tmp_path, monkeypatch):
    parts = []
    predict = architectures.Seq2Seq._predict
    monkeypatch.setattr(
        architectures.Seq2Seq,
        "_predict",
        lambda self, given, *rest: parts.append(len(given)) or predict(self, given, *rest),
    )
    monkeypatch.setattr("seq2seq.training.cores.share_cores", lambda config, batch_size: batch_size // 2)
    train(data, tmp_path / "run", small.model, dataclasses.replace(small.settings, epochs=1), **QUIET)
    assert parts.pop(0) == 1  # while it is built
    assert set(parts) == {2}


def test_a_training_that_is_killed_goes_on_from_its_latest_state(data, small, run, tmp_path, one_update_a_call):
    settings = [json.dumps(small.model.to_dict()), json.dumps(dataclasses.asdict(small.settings))]
    command = [sys.executable, "-c", WAITING, str(data), str(tmp_path / "run"), *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=like_here()) as process:
        assert process.stdout.readline() == b"waiting\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert Run.open(tmp_path / "run").progress()["updates"] == 5
    train(data, tmp_path / "run", resume=True, **QUIET)
    assert_equal_losses(Run.open(tmp_path / "run").history(), Run.open(run).history())
    assert_equal_runs(run, tmp_path / "run")


def like_here():
    """Let another process share the cores as this one does, which may have used TensorFlow before it trained."""
    if keras.config.backend() != "tensorflow" or tf_threads() == 1:
        return None
    return {**os.environ, "TF_NUM_INTRAOP_THREADS": str(os.cpu_count())}


def tf_threads():
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads()


def losses(history):
    return np.array([[row["epoch"], row["train_nats_per_frame"], row["validation_nats_per_frame"]] for row in history])


def assert_equal_losses(a, b):
    np.testing.assert_allclose(losses(a), losses(b), atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("epochs", "level"), [(2, "1"), (3, "1.67")], ids=["level to the end of an epoch", "level to the middle of one"]
)
def test_a_run_that_gets_more_epochs_becomes_the_longer_run(
    data, small, tmp_path, one_update_a_call, monkeypatch, epochs, level, capsys
):
    """Extended twice, it is the run that had the last length from the beginning, to the last bit."""
    moved, folder, straight = shutil.copy(data, tmp_path / "moved.h5"), tmp_path / "longer", tmp_path / "straight"
    monkeypatch.setattr("seq2seq.models.schedule.WARM_SHARE", 0.0)  # that of a longer run is longer
    settings = dataclasses.replace(small.settings, ema=0.5)
    train(data, straight, small.model, dataclasses.replace(settings, epochs=6), **QUIET)
    first = train(data, folder, small.model, dataclasses.replace(settings, epochs=epochs), **QUIET)["history"]
    capsys.readouterr()
    result = train(moved, folder, resume=True, epochs=4, **QUIET | {"quiet": False})
    assert f"{epochs} epochs become 4, from epoch {level}, before the rate" in capsys.readouterr().out
    second = result["history"]
    assert_equal_losses(second[:epochs], first)
    train(moved, folder, resume=True, epochs=6, **QUIET)
    found = Run.open(folder)
    assert found.dataset["path"] == str(moved)
    assert found.settings == dataclasses.replace(settings, epochs=6)
    assert_equal_losses(found.history()[: len(second)], second)
    whole = Run.open(straight)
    assert_equal_losses(trunk(found.history()), whole.history())
    assert_equal_runs(straight, folder)
    schedules = [load_model(one.last_model).optimizer._learning_rate.get_config() for one in (found, whole)]
    assert schedules[0] == schedules[1]
    best = min(row["validation_nats_per_frame"] for row in found.history())
    assert read_weights(found.weights)[2]["validation_nats_per_frame"] == pytest.approx(best, abs=1e-5)
    with pytest.raises(RunError, match="6 epochs are done, so it cannot become a run of 3"):
        train(data, folder, resume=True, epochs=3, **QUIET)
    with pytest.raises(ConfigError, match="for a run that is resumed"):
        train(data, tmp_path / "new", epochs=3)


def test_an_extension_that_is_stopped_goes_on(data, small, run, tmp_path, one_update_a_call):
    """At any moment: before its first state, before its first epoch is complete, and in its last half."""
    folder, whole = tmp_path / "run", tmp_path / "whole"
    for path in (folder, whole):
        shutil.copytree(run, path)
    train(data, whole, resume=True, epochs=5, **QUIET)
    with pytest.raises(RuntimeError):
        train(data, folder, resume=True, epochs=5, callbacks=[At(1, 0, fail)], **QUIET)
    assert Run.open(folder).history() == Run.open(run).history()
    for place in ((1, 0), (2, 0), (4, 0)):
        assert train(data, folder, resume=True, callbacks=[At(*place, interrupt)], **QUIET)["interrupted"]
    train(data, folder, resume=True, **QUIET)
    assert_equal_losses(Run.open(folder).history(), Run.open(whole).history())
    assert_equal_runs(folder, whole)


class Rates(keras.callbacks.Callback):
    """Notes the learning rate of each update."""

    def on_train_begin(self, logs=None):
        self.found = []

    def on_train_batch_begin(self, batch, logs=None):
        self.found.append(float(self.model.optimizer.learning_rate))


@pytest.mark.parametrize(
    ("stop", "epochs", "updates", "down"),
    [(2, 4, 4, 3), (3, 5, 4, 3), (6, 7, 9, 8)],
    ids=["beyond its level part", "beyond that of the shorter one", "while its rate comes down"],
)
def test_a_run_comes_to_an_earlier_end(data, small, tmp_path, one_update_a_call, stop, epochs, updates, down):
    """From where it is, or from the state before its rate came down; an epoch has 3 updates."""
    settings = dataclasses.replace(small.settings, epochs=8)
    train(data, tmp_path / "run", small.model, settings, callbacks=[At(stop, 0, interrupt)], **QUIET)
    rates, all_rates = Rates(), []
    collect = keras.callbacks.LambdaCallback(on_train_end=lambda logs: all_rates.extend(rates.found))
    history = train(data, tmp_path / "run", resume=True, epochs=epochs, callbacks=[rates, collect], **QUIET)["history"]
    assert history[-1]["epoch"] == epochs
    assert history[-1]["learning_rate"] == pytest.approx(0, abs=1e-9)
    assert len(all_rates) == updates
    assert sum(rate < 0.999 * settings.learning_rate for rate in all_rates) == down


def test_a_training_ends_when_it_becomes_no_better(data, small, tmp_path, monkeypatch, capsys):
    losses = [3.0, 2.0, 2.5, 2.0, 1.0]
    monkeypatch.setattr(
        "seq2seq.training.epochs.score_model", lambda *_, **__: SimpleNamespace(per_frame=losses.pop(0), f1=0.5)
    )
    settings = dataclasses.replace(small.settings, epochs=9, patience=2)
    result = train(data, tmp_path / "run", small.model, settings, samples=0)
    assert (len(result["history"]), result["best_epoch"], result["interrupted"]) == (4, 2, False)
    assert "no better in 2 epochs: the training ends here" in capsys.readouterr().out
    assert Run.open(tmp_path / "run").finished()
    before = files(tmp_path / "run")
    assert len(train(data, tmp_path / "run", resume=True, samples=0)["history"]) == 4
    assert "it became no better after 4 epochs" in capsys.readouterr().out
    after = files(tmp_path / "run")
    assert {name for name in before if before[name] != after[name]} <= {"config.json"}
    # With more epochs it goes on, until it has become no better again.
    losses += [2.5, 2.5]
    history = train(data, tmp_path / "run", resume=True, epochs=12, **QUIET)["history"]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("place", "name", "fault", "error"),
    [
        (Epochs, "on_epoch_begin", KeyboardInterrupt(), KeyboardInterrupt),
        (keras.Model, "save", KeyboardInterrupt(), KeyboardInterrupt),
        (keras.Model, "save", OSError(28, "No space left on device"), RunError),
        (Run, "_write_history", KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["while training", "while saving", "disk full", "while replacing"],
)
def test_a_former_run_stands_until_a_state_is_saved(data, small, run, tmp_path, monkeypatch, place, name, fault, error):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    before = files(folder)

    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(place, name, fail)
    with pytest.raises(error):
        train(data, folder, small.model, small.settings, overwrite=True, **QUIET)
    if place is not Run:
        assert files(folder) == before


def test_a_trained_model_is_replaced_on_demand_only(data, small, run, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(run, kept)
    before = files(kept)
    for missing in ((), ("last.keras", "model.safetensors"), ("best.keras",)):
        for name in missing:  # what is left can still be used
            (kept / name).unlink()
            del before[name]
        with pytest.raises(RunError, match="--overwrite"):
            train(data, kept, small.model, small.settings, **QUIET)
        assert files(kept) == before
        shutil.copytree(run, kept, dirs_exist_ok=True)
        before = files(kept)


def test_a_few_updates_are_not_averaged_away(data, small, run, tmp_path):
    """An average over a hundred updates is the initial weights, nearly, in a run of a few."""
    losses = {}
    for ema in (None, 0.0, 0.99):
        settings = dataclasses.replace(small.settings, learning_rate=0.02, ema=ema)
        history = train(data, tmp_path / str(ema), small.model, settings, **QUIET)["history"]
        losses[ema] = history[-1]["validation_nats_per_frame"]
    lost = losses[0.99] - losses[0.0]
    assert lost > 0.1
    assert abs(losses[None] - losses[0.0]) < 0.2 * lost


def test_a_run_of_another_dataset_or_model_does_not_go_on(data, other_data, run, tmp_path):
    with pytest.raises(RunError, match="not the dataset"):
        train(other_data, run, resume=True)
    wider = tmp_path / "wider"
    shutil.copytree(run, wider)
    wide = Run.open(wider)
    wide.facts["model"]["units"] = 8
    wide.change(wide.settings, open_dataset(data))
    with pytest.raises((RunError, DatasetError), match="not the model that config"):
        train(data, wider, resume=True)
    with pytest.raises(RunError, match="not a run folder"):
        train(data, tmp_path / "none", resume=True)


def test_a_run_that_was_killed_between_two_files_goes_on(data, run, tmp_path):
    torn = tmp_path / "torn"
    shutil.copytree(run, torn)
    lines = (torn / "metrics.csv").read_text().splitlines(keepends=True)
    (torn / "metrics.csv").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match="of no epoch that metrics"):
        train(data, torn, resume=True, **QUIET)
    # The history is an epoch ahead, which is cut.
    (torn / "metrics.csv").write_text("".join([*lines, "3" + lines[-1][1:]]))
    assert train(data, torn, resume=True, **QUIET)["history"] == Run.open(run).history()


@pytest.fixture(scope="module")
def echoing(tmp_path_factory):
    """A dataset with four validation pieces of eight bars, and a small model that has an echo."""
    lengths = {"traindata": (40, 50), "validdata": (32, 40, 36, 33), "testdata": (9,)}
    path = write_dataset(tmp_path_factory.mktemp("echoing"), lengths)
    shape = {"units": 6, "layers": 1, "input_frames": 8, "target_frames": 8, "dropout": 0.0, "head_dropout": 0.0}
    return path, model_config(open_dataset(path), **shape), TrainConfig(epochs=2, batch_size=4, seed=5)


@pytest.fixture(scope="module")
def fitted(echoing, tmp_path_factory):
    """The folder of its run."""
    path, model, settings = echoing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seq2seq.sampling.fitting.DRAWN", 4)
        train(path, folder := tmp_path_factory.mktemp("fitted") / "run", model, settings, quiet=True)
    return folder


def test_sampling_is_fitted_at_the_end_of_a_training(echoing, fitted):
    facts = read_weights(Run.open(fitted).weights)[2]
    assert facts["cool"] == facts["fit"]["cool"] in facts["fit"]["cools"]
    assert len(facts["fit"]["drawn"]) == len(facts["fit"]["distances"]) == len(facts["fit"]["cools"])
    assert Generator.load(fitted).corpus.cool == facts["cool"]


def test_a_fit_that_was_not_made_is_made_by_a_resumed_training(echoing, fitted, tmp_path, monkeypatch, capsys):
    """None without samples, none where Ctrl-C ends it or time is up; then what an uninterrupted training has."""
    path, model, settings = echoing
    monkeypatch.setattr("seq2seq.sampling.fitting.DRAWN", 4)
    folder, status = tmp_path / "run", Display.status
    assert not train(path, folder, model, settings, samples=0)["interrupted"]
    run = Run.open(folder)
    unfitted = run.weights.read_bytes()
    assert "fit" not in read_weights(run.weights)[2]

    def interrupt_the_fit(self, text):
        if text.startswith("sampling: "):
            interrupt()
        status(self, text)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "status", interrupt_the_fit)
        assert train(path, folder, resume=True)["interrupted"]
    said = capsys.readouterr().out
    assert "--resume continues" in said
    assert "sampling: " not in said
    assert run.weights.read_bytes() == unfitted
    assert Generator.load(folder).corpus.cool is None
    train(path, folder, resume=True, max_minutes=0)
    assert run.weights.read_bytes() == unfitted
    capsys.readouterr()
    assert not train(path, folder, resume=True)["interrupted"]
    assert capsys.readouterr().out.count("sampling: cool") == 1
    assert run.weights.read_bytes() == Run.open(fitted).weights.read_bytes()


def test_a_better_epoch_is_fitted_anew_and_another_is_not(echoing, fitted, tmp_path, monkeypatch):
    path = echoing[0]
    monkeypatch.setattr("seq2seq.sampling.fitting.DRAWN", 4)
    shutil.copytree(fitted, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    weights = run.weights.read_bytes()
    train(path, run.path, resume=True, quiet=True)
    assert run.weights.read_bytes() == weights
    train(path, run.path, resume=True, epochs=4, quiet=True)
    assert run.history()[-1]["validation_nats_per_frame"] < run.history()[1]["validation_nats_per_frame"]
    assert run.weights.read_bytes() != weights
    assert "fit" in read_weights(run.weights)[2]


def test_a_training_whose_sampling_cannot_be_fitted_is_complete(echoing, fitted, tmp_path, monkeypatch, capsys):
    def fit_run(*_):
        raise RunError("the disk is full")

    monkeypatch.setattr("seq2seq.sampling.fitting.fit_run", fit_run)
    shutil.copytree(fitted, tmp_path / "run")
    assert not train(echoing[0], tmp_path / "run", resume=True)["interrupted"]
    assert "sampling keeps its defaults: the disk is full" in capsys.readouterr().out
