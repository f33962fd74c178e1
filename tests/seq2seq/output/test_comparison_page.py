"""The page of a comparison: what it holds of each run, and how large it may become."""

import json
import math
import re

import pytest

from fake_runs import losses, write_run
from rollcore import RollcoreError
from seq2seq.output.comparison_page import comparison_page, samples, write_comparison
from seq2seq.run import Run


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_a_row_says_what_the_run_folder_says(tmp_path):
    test = {"split": "test", "scores": {"model": {"nats_per_frame": 1.91234567, "f1": 0.6}}}
    runs = [
        write_run(tmp_path / "a", [(3.0, 3.2), (2.0, 2.5), (1.0, 2.6)], train={"batch_size": 32}),
        write_run(tmp_path / "b", [(2.0, 2.0)], evaluation=test, model={"lags": (4, 8)}),
        write_run(tmp_path / "c"),
    ]
    found = data_of(comparison_page(runs))
    names = [column["name"] for column in found["columns"]]
    rows = {run["name"]: dict(zip(names, run["cells"], strict=True)) for run in found["runs"]}
    assert list(rows) == ["b", "a", "c"]  # the lowest validation loss first
    a = {"run": "a", "done": 3, "best": 2, "train": 2.0, "validation": 2.5, "test nats": None, "test F1": None}
    assert rows["a"] == {**a, "minutes": 1.5, "lags": "-", "batch_size": 32}
    assert (rows["b"]["test nats"], rows["b"]["test F1"], rows["b"]["lags"]) == (1.9123, 0.6, "4,8")
    assert (rows["c"]["done"], rows["c"]["validation"]) == (0, None)
    settings = dict(zip(found["settings"], found["runs"][0]["settings"], strict=True))
    assert settings["units"] == 64
    assert settings["dataset"].startswith("songs ")
    assert settings["grid"] == "4 steps per beat"


def test_losses_that_are_not_numbers_are_gaps(tmp_path):
    run = write_run(tmp_path / "a", [(1.0, math.nan), (math.inf, 2.0)])
    found = data_of(comparison_page([run]))["runs"][0]
    assert found["curve"] == {"epochs": [1, 2], "train": [1.0, None], "validation": [None, 2.0]}
    assert found["cells"][:5] == ["a", 2, 2, None, 2.0]


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [write_run(tmp_path / where / "same") for where in ("x", "y")] + [write_run(tmp_path / "other")]
    names = sorted(run["name"] for run in data_of(comparison_page(runs))["runs"])
    assert names == sorted(["other", *(str(tmp_path / where / "same") for where in ("x", "y"))])


def test_names_do_not_become_markup(tmp_path):
    run = write_run(tmp_path / "</script><b>" / "caf\udce9<img src=x>", losses(2), dataset="<i>", samples=1)
    page = comparison_page([run])
    assert not re.search(r"<img|<b>|<i>", page)
    assert data_of(page)["runs"][0]["name"] == "caf\\udce9<img src=x>"


def test_the_latest_samples_come_first(tmp_path):
    run = write_run(tmp_path / "a", losses(12), samples=12)
    (run.samples / "epoch-13.mid").write_bytes(b"not MIDI")
    assert [piece.name for piece in samples(run, 10_000)] == ["epoch-12", "epoch-11"]
    (run.samples / "epoch-13.mid").unlink()
    assert [piece.name for piece in samples(run, 10_000)] == ["epoch-12", "epoch-11", "epoch-10"]
    few = samples(run, 100)  # of 64 notes each
    assert [len(piece.notes) for piece in few] == [64, 36]
    assert few[1].remarks[0].startswith("the first 9 of 1")
    assert samples(write_run(tmp_path / "none"), 100) == []


def test_a_page_of_many_runs_stays_small(tmp_path, monkeypatch):
    """A hundred runs of a hundred epochs and three samples are far below the share of 20 MB that is theirs."""
    for number in range(100):
        write_run(tmp_path / f"run-{number}", losses(100), train={"seed": number}, samples=3)
    page = comparison_page(Run.open(folder) for folder in tmp_path.iterdir())
    assert len(page) < 1_000_000
    assert all(len(run["samples"]) == 3 for run in data_of(page)["runs"])
    write_run(tmp_path / "one more", losses(1), samples=3)
    page = comparison_page(Run.open(folder) for folder in tmp_path.iterdir())
    assert all(len(run["samples"]) == 1 for run in data_of(page)["runs"])


def test_a_page_of_no_runs_and_one_that_cannot_be_written(tmp_path):
    assert "Comparison of 0 runs" in comparison_page([])
    with pytest.raises(RollcoreError, match=r"no.x\.html: cannot be written: No such file"):
        write_comparison(tmp_path / "no" / "x.html", [])
