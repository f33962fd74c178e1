"""Entry points: each runs its command and ends the process with its status, and Ctrl-C is heard before any import."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from seq2seq import cli, entry


@pytest.fixture(autouse=True)
def signals_as_before():
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["train", "generate", "evaluate", "compare"])
def test_a_command_ends_the_process_with_its_status(monkeypatch, name):
    asked = []
    monkeypatch.setattr(cli, "run_one", lambda command: asked.append(command) or 130)
    with pytest.raises(SystemExit) as ended:
        getattr(entry, name)()
    assert (asked, ended.value.code) == ([name], 130)


def test_all_commands_in_one(monkeypatch):
    monkeypatch.setattr(cli, "main", lambda: 2)
    with pytest.raises(SystemExit) as ended:
        entry.seq2seq()
    assert ended.value.code == 2


def test_a_signal_while_modules_are_imported_is_one_line():
    code = (
        "import os, signal, sys\n"
        "class Late:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'seq2seq.cli': os.kill(os.getpid(), signal.SIGTERM)\n"
        "import seq2seq.entry; sys.meta_path.insert(0, Late()); seq2seq.entry.train()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")
