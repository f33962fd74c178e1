"""The runs of a sweep: a job for each combination, each a process of its own, which an interruption reaches."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from seq2seq.errors import ConfigError
from seq2seq.training.progress import Interruption
from seq2seq.training.sweep import failed, plan_jobs, run_commands


def test_every_combination_is_a_run():
    jobs = plan_jobs(["epochs=1,2", "model=blog,tied", "batch-size=8"], Path("runs"))
    assert [job.folder.name for job in jobs] == [
        "epochs=1,model=blog",
        "epochs=1,model=tied",
        "epochs=2,model=blog",
        "epochs=2,model=tied",
    ]
    assert jobs[1].options == ("--epochs", "1", "--model", "tied", "--batch-size", "8")
    assert [job.folder.name for job in plan_jobs(["epochs=3"], Path("runs"))] == ["run"]


@pytest.mark.parametrize("sets", [["epochs"], ["epochs="], ["epochs=1,,2"], ["=1"], ["epochs=1,1"], ["epochs=1"] * 2])
def test_settings_that_are_none(sets):
    with pytest.raises(ConfigError):
        plan_jobs(sets, Path("runs"))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program in the place of `python`, whose second argument from the end is what it does."""
    script = tmp_path / "python"
    script.write_text(
        f"#!{sys.executable}\n"
        "import signal, sys, time\n"
        "what = sys.argv[-1]\n"
        "if what == 'fail':\n"
        "    print('noise', file=sys.stderr); sys.exit('error: it failed')\n"
        "if what == 'wait':\n"
        "    signal.signal(signal.SIGINT, lambda *_: sys.exit(130)); open(sys.argv[-2], 'w'); time.sleep(60)\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def test_commands_are_processes_of_their_own(program):
    ends = {}
    with Interruption() as interruption:
        run_commands(
            [["pass"], ["fail"], ["pass"]], 2, interruption, lambda *end: ends.update({end[0]: end[1:]}), shown=False
        )
    assert ends == {0: (0, ""), 1: (1, "error: it failed"), 2: (0, "")}


def test_an_interruption_is_passed_on_and_nothing_else_begins(program, tmp_path):
    def interrupt():
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    ends, began = [], time.monotonic()
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with Interruption() as interruption:
            commands = [[str(tmp_path / "ready"), "wait"], ["pass"]]
            run_commands(commands, 1, interruption, lambda *end: ends.append(end), shown=False)
    finally:
        thread.join()
    assert time.monotonic() - began < 50, "the command was not told"
    assert [end[:2] for end in ends] == [(0, 130)]


def test_what_names_a_folder_is_safe_in_its_name():
    jobs = plan_jobs(["config=../a b,c"], Path("runs"))
    assert [job.folder for job in jobs] == [Path("runs/config=.._a_b"), Path("runs/config=c")]


@pytest.mark.parametrize(("status", "has"), [(0, False), (130, False), (1, True), (2, True), (-9, True)])
def test_an_interrupted_command_has_not_failed(status, has):
    assert failed(status) == has
