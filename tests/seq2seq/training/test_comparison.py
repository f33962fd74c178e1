"""The comparison of runs: which are found, what differs, in which order, and how it fits a terminal."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from functools import partial

import pytest

from seq2seq.cli import run_one
from seq2seq.errors import ConfigError
from seq2seq.models.config import ModelConfig, TrainConfig
from seq2seq.run import COLUMNS, Run
from seq2seq.training.comparison import compare, comparison_table, find_runs, sort_rows

main = partial(run_one, "compare")


def make(folder, losses, *, data="a", test=None, **settings):
    """A run folder without a model: (train, validation) of each epoch."""
    dataset = {"path": f"{data}.h5", "fingerprint": data * 16, "options": {}, "planes": ["sounding"], "pieces": 1}
    facts = {
        "model": ModelConfig(model=settings.pop("model", "seq2seq"), head="bernoulli").to_dict(),
        "train": dataclasses.asdict(TrainConfig(**{"epochs": 3, **settings})),
        "dataset": {**dataset, "grid": {"unit": "beats", "rate": "4"}},
    }
    run = Run(folder, facts)
    rows = [(epoch, *pair, 60, 0.1, 0.5, 9, 0) for epoch, pair in enumerate(losses, start=1)]
    history = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    with run.alone():
        run.keep(lambda path: path.write_bytes(b""), history, first=True)
    if test is not None:
        run.keep_evaluation({"scores": {"model": {"nats_per_frame": test, "f1": 1 / test}}})
    return run


@pytest.fixture
def runs(tmp_path):
    """Three runs, one of them without an epoch, and what is not a run."""
    folder = tmp_path / "runs"
    make(folder / "slow", [(3, 3), (2, 1), (1, 2)], test=2.5, seed=4)
    make(folder / "deep" / "quick", [(2, 0.5)], test=4.0, epochs=10)
    make(folder / "begun", [])
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    (folder / ".hidden").mkdir()
    (folder / "notes.txt").write_text("")
    return folder


def test_runs_are_compared_at_their_best_epochs(runs):
    row = compare([runs / "slow"])[0]
    assert (row["done"], row["of"], row["best"], row["train"], row["validation"]) == (3, 3, 2, 2, 1)
    assert (row["minutes"], row["test"], row["f1"], row["settings"]) == (3, 2.5, 0.4, {})
    assert row["history"] == Run.open(runs / "slow").history()


def test_all_that_is_there_is_told(runs, tmp_path):
    found, others = find_runs([runs, runs / "slow", runs / "notes.txt", tmp_path / "none", str(runs / "sl*")])
    assert [run.path.name for run in found] == ["begun", "quick", "slow"]
    assert {name.rpartition("/")[2]: why for name, why in others.items()} == {
        "broken": next(why for name, why in others.items() if name.endswith("broken")),
        "empty": "has no run in it",
        "notes.txt": "is a file, not a run folder",
        "none": "is not there",
    }
    assert "unreadable configuration" in others[str(runs / "broken")]


def test_a_pattern_finds_runs(runs):
    found, others = find_runs([str(runs / "*" / "qu*"), str(runs / "s*")])
    assert [run.path.name for run in found] == ["quick", "slow"]
    assert others == {}


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("validation", ["quick", "slow", "begun"]),
        ("f1", ["slow", "quick", "begun"]),
        ("test", ["slow", "quick", "begun"]),
        ("minutes", ["begun", "quick", "slow"]),
        ("epochs", ["begun", "slow", "quick"]),
        ("seed", ["begun", "quick", "slow"]),
        ("done", ["begun", "quick", "slow"]),
    ],
)
def test_rows_are_sorted(runs, by, names):
    rows = sort_rows(compare(find_runs([runs])[0]), by)
    assert [row["run"].rpartition("/")[2] for row in rows] == names


def test_rows_cannot_be_sorted_by_what_is_not_there(runs):
    with pytest.raises(ConfigError, match="choose one of run, done, best"):
        sort_rows(compare([runs / "slow"]), "nonesuch")


def test_the_table_fits(runs):
    rows = sort_rows(compare(find_runs([runs])[0]))
    lines = comparison_table(rows).splitlines()
    assert lines[0].split() == ["run", "epochs", "seed", "done", "best", "train", "validation", "test", "f1", "minutes"]
    assert lines[1].split()[1:] == ["10", "0", "1", "of", "10", "1", "2.000", "0.500", "4.000", "0.250", "1.0"]
    assert lines[3].split()[1:] == ["3", "0", "0", "of", "3", "-", "-", "-", "-", "-", "0.0"]
    longest = max(map(len, lines))
    assert comparison_table(rows, longest).splitlines() == lines
    short = comparison_table(compare([runs / "slow", runs / "begun"]), 60).splitlines()
    assert [line.split()[0] for line in short[1:3]] == ["slow", "begun"]
    narrow = comparison_table(rows, 10).splitlines()
    assert "seed" not in narrow[0]
    assert "they also differ in epochs, seed" in narrow[-1]


def test_the_command_says_the_same_in_csv_and_json(runs, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(runs)]) == 0
    text = capsys.readouterr().out
    assert f"left out: {runs / 'empty'}: has no run in it" in text
    assert main([str(runs), "--csv"]) == 0
    said = capsys.readouterr()
    cells = list(csv.reader(io.StringIO(said.out)))
    assert cells[0] == ["run", "epochs", "seed", "done", "best", "train", "validation", "test", "f1", "minutes"]
    assert [line[0].rpartition("/")[2] for line in cells[1:]] == ["quick", "slow", "begun"]
    assert "left out" in said.err
    assert main([str(runs), "--json", "--sort", "minutes"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["minutes"] for row in found["runs"]] == [0, 1, 3]
    assert len(found["others"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["runs"], "nothing is written unasked"


def test_what_cannot_be_compared_is_told(tmp_path, capsys):
    make(tmp_path / "a", [(1, 1)])
    make(tmp_path / "b", [(1, 1)], data="b")
    make(tmp_path / "c", [(1, 1)], model="blog")
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "different datasets cannot be compared" in said
    assert "losses of two tasks" in said
    assert main([str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert "cannot be compared" not in capsys.readouterr().out


def test_pictures_and_pages_are_written_on_request(runs, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'rollcore[plot]'")
    picture, page = tmp_path / "curves.png", tmp_path / "page.html"
    assert main([str(runs), "--picture", str(picture), "--html", str(page)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "quick" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "RUN"),
        (["{tmp}"], 1, "no run to compare"),
        (["{tmp}/none"], 1, "is not there"),
        (["{runs}", "--picture", "{tmp}/x.xyz"], 2, ".png"),
        (["{runs}", "--sort", "nonesuch"], 2, "nonesuch"),
        (["{runs}", "--json", "--csv"], 2, "choose one"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, status, said, runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    filled = [argument.format(runs=runs, tmp=tmp_path / "empty") for argument in arguments]
    assert main(filled) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
