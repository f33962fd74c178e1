"""A sweep: which runs it trains, what it leaves alone, and that one that fails does not stop it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import pytest

from rollcore import open_dataset
from rollcore.storage import publish
from seq2seq.cli import run_one, sweep
from seq2seq.models.config import ModelConfig, TrainConfig
from seq2seq.run import COLUMNS, Run
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


def test_a_sweep_into_storage_goes_on_with_what_is_there(memory, data, tmp_path, monkeypatch, capsys):
    asked = []

    def run(planned, at_once, interruption, ended, *, shown):
        for number, arguments in enumerate(planned):
            asked.append(arguments[2:4])
            name = arguments[3].rpartition("/")[2]
            epochs = int(name.removeprefix("epochs="))
            if not (tmp_path / name).exists():
                write_run(tmp_path / name, data, epochs, epochs)
            publish(tmp_path / name, arguments[3], quiet=True)
            ended(number, 0, "")

    monkeypatch.setattr(sweep, "run_commands", run)
    publish(data, "memory://box/data.h5", quiet=True)
    for values, trained in (("2,3", ["2", "3"]), ("2,3,4", ["4"])):
        sets = ["--set", f"epochs={values}", "--set", "model=seq2seq", "--set", "units=6"]
        assert main(["memory://box/data.h5", *sets, "--run-dir", "memory://models/sweep/"]) == 0
        assert asked == [["--run-dir", f"memory://models/sweep/epochs={value}"] for value in trained]
        asked.clear()
        out = capsys.readouterr().out
        assert "memory://models/sweep/epochs=3" in out
        assert str(tmp_path) not in out
