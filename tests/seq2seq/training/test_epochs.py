"""Epochs: each is scored, told and handed on; batches that were learnt from are skipped once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import open_dataset  # noqa: E402
from seq2seq import model_config, train  # noqa: E402
from seq2seq.errors import RunError  # noqa: E402
from seq2seq.run import Run  # noqa: E402
from seq2seq.training import epochs  # noqa: E402
from seq2seq.training.devices import Devices  # noqa: E402
from seq2seq.training.epochs import Epochs, Feed  # noqa: E402

QUIET = {"quiet": True, "samples": 0}


def test_a_loss_that_is_no_number_ends_the_training(data, small, tmp_path, monkeypatch):
    score = SimpleNamespace(per_frame=float("nan"), f1=0.0)
    monkeypatch.setattr("seq2seq.training.epochs.score_model", lambda *_, **__: score)
    with pytest.raises(RunError, match="epoch 1 is not a number: lower the learning rate"):
        train(data, tmp_path / "run", small.model, small.settings, **QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("train_nats", "validation", "said"),
    [
        (3.0, 2.0, ", the best so far"),
        (3.0, 4.9, ""),
        (3.0, 5.5, ", worse than counting pitches (5.000)"),
        (6.5, 2.0, ", DIVERGED (train was 4.000 before): lower the learning rate"),
    ],
)
def test_what_losses_mean_is_told(train_nats, validation, said):
    row = {"train_nats_per_frame": train_nats, "validation_nats_per_frame": validation}
    known = SimpleNamespace(outside=SimpleNamespace(unigram=5.0), _lowest=lambda: 4.0)
    assert Epochs._judge(known, row, validation < 3) == said


def test_callbacks_see_the_validation_loss_and_can_end_it(other_data, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = logs["val_loss"]
            self.model.stop_training = True

    stop, model = Stop(), {"model": "seq2seq", "units": 4, "input_frames": 4, "target_frames": 6}
    config = model_config(open_dataset(other_data), **model)
    result = train(other_data, tmp_path / "run", config, callbacks=[stop], **QUIET)
    assert [row["validation_nats_per_frame"] for row in result["history"]] == [stop.seen]


class Slow(list):
    """Batches that take a second each to make."""

    def __init__(self, clock, values):
        super().__init__(values)
        self.clock, self.drawn = clock, 0

    def __getitem__(self, index):
        self.clock[0] += 1
        return super().__getitem__(index)

    def on_epoch_end(self):
        self.drawn += 1


def test_only_batches_that_the_current_call_needs_are_waited_for(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(epochs, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    feed = Feed(Slow(clock, "abcdefg"), at_once=2)
    assert [feed[index] for index in range(5)] == list("abcde")
    assert feed.waited_s == 2, "the other three were read ahead"
    feed.taken = 4
    assert feed[5] == "f"
    assert feed.waited_s == 3


def test_batches_that_were_learnt_from_are_not_read_again():
    feed = Feed(Slow([0.0], "abcdefg"), at_once=2)
    feed.skip = 3
    assert len(feed) == 4
    assert [feed[index] for index in range(len(feed))] == list("defg")
    feed.on_epoch_end()
    assert feed.batches.drawn == 1


@pytest.mark.parametrize(
    ("seconds", "limit", "told"),
    [
        (500, float("inf"), ""),
        (700, float("inf"), "for less: --max-minutes"),
        (700, 60, "it will end after 1 min"),
    ],
)
def test_how_long_all_of_it_takes_is_told_with_a_way_out(seconds, limit, told):
    said = []
    known = SimpleNamespace(pace_s=0.5, limit_s=limit, display=SimpleNamespace(say=said.append))
    Epochs._tell_length(known, seconds)
    assert "0.5 s an update" in said[0]
    assert told in said[0]
    assert (";" in said[0]) == bool(told)


class Interrupted(Devices):
    """A process among others, of which one was interrupted before it asked for the `when`-th time."""

    when, asked = 3, 0

    def most(self, value):
        Interrupted.asked += 1
        return max(value, epochs._STOP if Interrupted.asked >= self.when else 0)


def test_a_process_stops_after_the_same_update_as_another_one(data, small, tmp_path, monkeypatch):
    monkeypatch.setattr("seq2seq.training.fit.join", lambda choice: Interrupted())
    monkeypatch.setattr("seq2seq.models.architectures.most_steps_per_execution", lambda: 1)
    result = train(data, tmp_path / "run", small.model, small.settings, **QUIET)
    assert result["interrupted"]
    assert Run.open(tmp_path / "run").progress()["updates"] == Interrupted.when
