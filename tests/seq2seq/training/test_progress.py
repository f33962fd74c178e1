"""What a training shows, on a terminal and in a log, and how it hears Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest

from seq2seq.training import progress
from seq2seq.training.progress import Display, Interruption


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_one_line_renews_itself_on_a_terminal(monkeypatch, clock):
    monkeypatch.setattr("sys.stdout", stream := Terminal())
    monkeypatch.setenv("COLUMNS", "20")
    display = Display()
    for text in ("a line that is longer than the terminal", "short", "not yet"):
        clock[0] += 0.3 if text != "not yet" else 0.1
        display.status(text)
    assert stream.getvalue() == "\ra line that is long" + "\r" + "short".ljust(19)
    display.say("stays")
    assert stream.getvalue().endswith("\r     \rstays\n")
    display.close()


def test_a_log_has_a_line_now_and_then(monkeypatch, clock):
    monkeypatch.setattr("sys.stdout", stream := io.StringIO())
    display = Display()
    for seconds, text in ((29, "no"), (2, "first"), (5, "no"), (26, "second")):
        clock[0] += seconds
        display.status(text)
    display.say("esc\x1bape")
    assert stream.getvalue() == "first\nsecond\nesc\\x1bape\n"


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_shown_where_nothing_can_be(monkeypatch, quiet, clock):
    stream = io.StringIO() if quiet else None
    monkeypatch.setattr("sys.stdout", stream)
    display = Display(quiet)
    clock[0] += 100
    display.status("no")
    display.say("no")
    display.close()
    assert stream is None or stream.getvalue() == ""


def test_the_second_signal_is_not_held_back(capfd):
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.received
        assert "stopping" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_that_the_process_leaves_to_the_system_stay_so():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption():
            assert signal.getsignal(signal.SIGTERM) is before[0]
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before[1])


def test_another_thread_can_train(monkeypatch):
    failed = []

    def enter():
        try:
            with Interruption():
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not failed
