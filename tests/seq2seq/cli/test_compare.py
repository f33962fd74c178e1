"""`seq2seq compare`: the same in text, CSV and JSON; pictures and pages on request; mistakes in one line."""

from __future__ import annotations

import csv
import io
import json
from functools import partial

import pytest

from fake_runs import write_run, write_small_run
from rollcore.storage import publish
from seq2seq.cli import run_one

main = partial(run_one, "compare")


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
    write_small_run(tmp_path / "a", [(1, 1)])
    write_small_run(tmp_path / "b", [(1, 1)], data="b")
    write_small_run(tmp_path / "c", [(1, 1)], model="blog")
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
        (["{tmp}/damaged"], 1, "no run to compare: {tmp}/damaged/metrics.csv: "),
        (["{tmp}/none"], 1, "is not there"),
        (["{runs}", "--picture", "{tmp}/x.xyz"], 2, ".png"),
        (["{runs}", "--sort", "nonesuch"], 2, "nonesuch"),
        (["{runs}", "--json", "--csv"], 2, "choose one"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, status, said, runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (write_run(tmp_path / "empty" / "damaged").path / "metrics.csv").write_text("a,b\n1\n")
    filled = [argument.format(runs=runs, tmp=tmp_path / "empty") for argument in arguments]
    assert main(filled) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said.format(tmp=tmp_path / "empty") in captured.err


def test_runs_in_storage_are_compared_and_the_page_goes_there(memory, tmp_path, capsys):
    for name in ("a", "b"):
        write_small_run(tmp_path / name, [(1, 1)])
        publish(tmp_path / name, f"memory://models/{name}", quiet=True)
    for places in (["memory://models"], ["memory://models/*"], [str(tmp_path / "a"), "memory://models/b"]):
        assert main([*places, "--json", "--html", "memory://pages/page.html"]) == 0
        said = capsys.readouterr()
        found = [row["run"] for row in json.loads(said.out)["runs"]]
        assert found == [places[0] if len(places) == 2 else "memory://models/a", "memory://models/b"]
        assert said.err == "page: memory://pages/page.html\n"
        assert b"</html>" in memory.cat("/pages/page.html")
        memory.rm("/pages/page.html")
    assert main(["memory://models/c"]) == 1
    assert capsys.readouterr().err == "error: memory://models/c: not there; check the container and the path\n"
