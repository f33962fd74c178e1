"""Mirrors are fed from the run folder by threads: none of them can hold up a training, or fail it."""

import os
import threading
import time

import pytest

from fake_runs import losses, write_run
from seq2seq.errors import ConfigError, one_line
from seq2seq.training import tracking
from seq2seq.training.tracking import Feed, tracked


class Recorder:
    """A mirror that notes what it is given, and fails or waits when told to."""

    name, remedy = "Recorder", "send it later"

    def __init__(self):
        self.sent, self.finished, self.failing, self.going = [], [], False, threading.Event()
        self.going.set()

    def send(self, run):
        self.going.wait()
        if self.failing:
            raise ConnectionError("http://me:secret@example.org\n refused")
        self.sent.append(len(run.history(empty=True)))

    def finish(self, run, status):
        self.finished.append((run.name, status))


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def said():
    return []


def eventually(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_what_the_folder_has_is_sent(tmp_path, recorder, said):
    feed = Feed(recorder, write_run(tmp_path / "a", losses(3)).path, said.append)
    feed.epoch()
    assert eventually(lambda: recorder.sent)
    feed.close("FINISHED")
    assert recorder.sent == [3, 3]
    assert recorder.finished == [("a", "FINISHED")]
    assert said == []


def test_before_the_first_state_a_former_run_is_left_alone(tmp_path, recorder, said):
    run = write_run(tmp_path / "a", losses(3))
    run.last_model.write_bytes(b"of a former run")
    os.utime(run.last_model, (1e9, 1e9))
    feed = Feed(recorder, run.path, said.append)
    feed.look()
    feed.close("FAILED")
    assert (recorder.sent, recorder.finished, said) == ([], [], [])


def test_a_state_within_the_first_epoch_is_sent(tmp_path, recorder, said):
    run = write_run(tmp_path / "a")
    feed = Feed(recorder, run.path, said.append)
    feed.look()
    time.sleep(0.05)
    assert recorder.sent == []
    run.last_model.write_bytes(b"of this one")
    feed.look()
    assert eventually(lambda: recorder.sent == [0])
    feed.close("KILLED")
    assert recorder.finished == [("a", "KILLED")]


def test_a_mirror_that_fails_is_told_once_and_tried_again(tmp_path, recorder, said):
    feed = Feed(recorder, write_run(tmp_path / "a", losses(2)).path, said.append)
    recorder.failing = True
    for _ in range(3):
        feed.epoch()
        time.sleep(0.05)
    assert said == ["Recorder: http://example.org refused; the training goes on without it"]
    recorder.failing = False
    feed.close("KILLED")
    assert recorder.sent == [2]
    assert recorder.finished == [("a", "KILLED")]
    assert len(said) == 1


def test_what_was_not_sent_at_the_end_is_told(tmp_path, recorder, said):
    feed = Feed(recorder, write_run(tmp_path / "a", losses(2)).path, said.append)
    recorder.failing = True
    feed.epoch()
    feed.close("FINISHED")
    assert said[-1] == "Recorder: not all was sent (http://example.org refused): send it later"
    assert "secret" not in "".join(said)


def test_a_mirror_that_is_silent_is_waited_for_at_the_end_alone(tmp_path, recorder, said, monkeypatch):
    monkeypatch.setattr(tracking, "_PATIENCE_S", 0.2)
    feed = Feed(recorder, write_run(tmp_path / "a", losses(2)).path, said.append)
    recorder.going.clear()
    done = threading.Event()

    def training():
        for _ in range(1000):
            feed.look()
            feed.epoch()
        done.set()

    threading.Thread(target=training, daemon=True).start()
    assert done.wait(30)  # although the mirror answers nothing
    feed.close("FINISHED")
    assert said == ["Recorder: not all was sent (no answer within 0 s): send it later"]
    recorder.going.set()


def test_no_tracker_no_thread(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = threading.active_count()
    with tracked(tmp_path) as callbacks:
        assert callbacks == []
        assert threading.active_count() == before


def test_a_tracker_that_is_not_installed_is_told(tmp_path, monkeypatch, said):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--mlflow needs mlflow: pip install 'rollcore\[mlflow\]'"):
        tracked(tmp_path, mlflow_uri="http://127.0.0.1:9").__enter__()
    with pytest.raises(ConfigError, match=r"--tensorboard needs tensorboard"):
        tracked(tmp_path, tensorboard=True).__enter__()
    # The environment's address is not what was asked for here: the training begins.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with tracked(tmp_path, say=said.append) as callbacks:
        assert callbacks == []
    assert said == ["MLFLOW_TRACKING_URI is set, but MLflow is not installed (pip install 'rollcore[mlflow]')"]


def test_errors_of_others_become_one_line():
    assert one_line(ValueError()) == "ValueError"
    assert one_line(ValueError("a\n  b https://u:p@h/x c")) == "a b https://h/x c"
    assert len(one_line(ValueError("x" * 1000))) == 300
