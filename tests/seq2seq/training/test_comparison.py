"""The comparison of runs: which are found, what differs, in which order, and how it fits a terminal."""

from __future__ import annotations

import pytest

from seq2seq.errors import ConfigError
from seq2seq.run import Run
from seq2seq.training.comparison import compare, comparison_table, find_runs, sort_rows


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
