"""A sweep: which runs it trains, what it leaves alone, and that one that fails does not stop it."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from rollcore import open_dataset
from seq2seq.cli import run_one, sweep
from seq2seq.errors import ConfigError
from seq2seq.models.config import ModelConfig, TrainConfig
from seq2seq.run import COLUMNS, Run
from seq2seq.training.progress import Interruption
from seq2seq.training.sweep import plan_jobs, run_commands
from small_dataset import write_dataset

main = partial(run_one, "sweep")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"))


def write_run(folder, data, epochs, done, **model):
    """A run folder without a model."""
    dataset = open_dataset(data)
    config = ModelConfig(**{"model": "seq2seq", "units": 6, "low": 30, "high": 90} | model)
    run = Run.new(folder, config, TrainConfig(epochs=epochs), dataset, "CPU")
    history = [dict(zip(COLUMNS, (n, 1, 1, 1, 1, 1, 1, 1), strict=True)) for n in range(1, done + 1)]
    with run.alone():
        run.keep(lambda path: path.write_bytes(b""), history, first=True)


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
def commands(monkeypatch, data):
    """What a sweep runs, which is done by writing the run."""
    asked = []

    def run(planned, at_once, interruption, ended, *, shown):
        for number, arguments in enumerate(planned):
            asked.append(arguments)
            options = dict(zip(arguments[2::2], arguments[3::2], strict=False))
            if options["--epochs"] == "4":
                ended(number, 1, "error: out of memory")
                continue
            write_run(Path(options["--run-dir"]), data, int(options["--epochs"]), int(options["--epochs"]))
            ended(number, 0, "")

    monkeypatch.setattr(sweep, "run_commands", run)
    return asked


def test_what_is_done_is_left_and_what_fails_is_told(data, tmp_path, commands, capsys):
    write_run(tmp_path / "epochs=2", data, 2, 2)
    write_run(tmp_path / "epochs=3", data, 3, 1)
    write_run(tmp_path / "epochs=6", data, 6, 1, units=9)
    sets = ["--set", "epochs=2,3,4,5,6", "--set", "model=seq2seq", "--set", "units=6"]
    assert main([str(data), *sets, "-o", str(tmp_path)]) == 1
    said = capsys.readouterr()
    ran = [Path(arguments[3]).name for arguments in commands]
    assert ran == ["epochs=3", "epochs=4", "epochs=5"]
    assert ["--resume" in arguments for arguments in commands] == [True, False, False]
    assert "epochs=2: finished" in said.out
    assert "failed: epochs=4: out of memory" in said.out
    assert "failed: epochs=6: --units cannot change" in said.out
    assert said.err.startswith("error: ")
    assert "2 of 5 runs failed" in said.err
    table = said.out[said.out.index("run ") :].splitlines()
    assert len([line for line in table if str(tmp_path) in line and "failed" not in line]) >= 4
    assert "best" in table[0]


def test_a_run_of_another_dataset_is_not_taken_for_done(data, tmp_path, commands, capsys):
    other = write_dataset(tmp_path, seed=1)
    write_run(tmp_path / "sweep" / "run", other, 2, 2)
    assert main([str(data), "--set", "epochs=2", "-o", str(tmp_path / "sweep")]) == 1
    assert "a run of another dataset" in capsys.readouterr().out
    assert commands == []


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["epochs"], "such as epochs=10,50"),
        (["epochs=1,x"], "--set: Invalid value for '--epochs': 'x'"),
        (["nonesuch=1"], "No such option"),
        (["run-dir=a,b"], "not a setting"),
        (["model=blog,nonesuch"], "nonesuch"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_trained(data, tmp_path, commands, capsys, sets, said):
    options = [part for one in sets for part in ("--set", one)]
    assert main([str(data), *options, "-o", str(tmp_path / "runs")]) == 2
    captured = capsys.readouterr().err
    assert said in captured
    assert captured.count("\n") == 1
    assert commands == []
    assert not (tmp_path / "runs").exists()


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
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with Interruption() as interruption:
            commands = [[str(tmp_path / "ready"), "wait"], ["pass"]]
            run_commands(commands, 1, interruption, lambda *end: ends.append(end), shown=False)
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
    assert time.monotonic() - began < 50, "the command was not told"
    assert [end[:2] for end in ends] == [(0, 130)]


def test_a_sweep_trains_runs(data, tmp_path, capfd):
    pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
    window = ["--set", "input-frames=4", "--set", "target-frames=6", "--set", "samples=0"]
    sets = ["--set", "model=seq2seq", "--set", "units=3,4", "--set", "epochs=1", *window]
    assert main([str(data), *sets, "-o", str(tmp_path), "--jobs", "2"]) == 0
    said = capfd.readouterr().out
    for units in (3, 4):
        run = Run.open(tmp_path / f"units={units}")
        assert run.finished()
        assert run.config.units == units
        assert dataclasses.asdict(run.settings)["epochs"] == 1
        assert f"units={units}: trained" in said
    assert main([str(data), *sets, "-o", str(tmp_path)]) == 0
    assert capfd.readouterr().out.count(": finished") == 2
