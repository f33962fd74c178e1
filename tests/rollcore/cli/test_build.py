"""``rollcore build-dataset``: its options, its inputs, and what it says when something is wrong."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import rollcore
from rollcore.cli import cli
from rollcore.grid import MAX_MINUTES
from rollcore_command import assert_one_line, start

HTML = b"<!DOCTYPE html><title>404</title>"


def test_the_stated_default_is_the_default():
    assert f"[default: {MAX_MINUTES}]" in CliRunner().invoke(cli, ["build-dataset", "--help"]).output


def test_build_options_reach_the_dataset(run, midi, tmp_path):
    options = ["--steps-per-beat", "8", "--planes", "sounding,onset", "--drums", "--sustain", "--max-minutes", "30"]
    options += ["--no-align", "--split", "1/1/1", "--dedupe", "--threads", "2"]
    status, _, err = run("build-dataset", *options, midi, tmp_path / "out.h5")
    assert (status, err) == (0, "")
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    assert str(dataset.grid) == "8 steps per beat"
    assert dataset.planes == ("sounding", "onset")
    assert dataset.options == {
        "align": False,
        "drums": True,
        "sustain": True,
        "max_minutes": 30.0,
        "split": [1, 1, 1],
        "dedupe": "notes",
    }
    rows = rollcore.piano_roll(rollcore.read_midi(midi / "C_major.mid"), steps_per_beat=8, planes=("sounding", "onset"))
    np.testing.assert_array_equal(dataset.rows(dataset.find("C_major.mid")), rows)


def test_output_quiet_and_verbose(run, midi, tmp_path):
    assert run("build-dataset", midi, "-q", "-o", tmp_path / "out.h5") == (0, "", "")
    assert len(rollcore.open_dataset(tmp_path / "out.h5")) == 13
    status, out, err = run(
        "build-dataset", midi / "C_major.mid", midi / "page.mid", "--output", tmp_path / "x.h5", "-v"
    )
    assert (status, err) == (0, "")
    assert "not a MIDI file (a web page)" in out
    assert "page.mid" in out.rpartition("skipped")[2]
    assert "read as they are" not in out  # the table says how many


def test_several_inputs_and_lists(run, midi, tmp_path, monkeypatch):
    monkeypatch.chdir(midi)
    pathlib.Path(tmp_path / "list.txt").write_text("C_major.mid\nG_major.mid\n")
    for inputs, pieces in ((["C_major.mid", "G_major.mid"], 2), ([f"@{tmp_path}/list.txt"], 2), (["."], 13)):
        assert run("build-dataset", *inputs, tmp_path / "out.h5")[0] == 0
        assert len(rollcore.open_dataset(tmp_path / "out.h5")) == pieces
    with start("build-dataset", "-", tmp_path / "out.h5", stdin=subprocess.PIPE) as process:
        _, err = process.communicate(b"C_major.mid\n")
    assert (process.returncode, err) == (0, b"")
    assert len(rollcore.open_dataset(tmp_path / "out.h5")) == 1


def test_splits_of_a_file(run, midi, tmp_path):
    splits = tmp_path / "splits.csv"
    splits.write_bytes(b'\xef\xbb\xbfC_major.mid, test\r\n\r\nabsent.mid,train\r\n"torn.mid",train\r\n')
    status, out, err = run("build-dataset", midi, tmp_path / "out.h5", "--split", f"@{splits}")
    assert (status, err) == (0, "")
    assert "2   1 / 0 / 1 train / validation / test" in out
    assert "11 in none of the splits given" in out
    assert f"absent{1:20}   of the names with a split, first absent.mid" in out


def test_split_names_do_not_depend_on_the_locale(tmp_path):
    (tmp_path / "midi").mkdir()
    for name in (b"caf\xc3\xa9.mid", b"caf\xe9.mid"):
        note = rollcore.Midi.from_notes([(0, 480, 60, 80, 0, 0)])
        rollcore.write_midi(note, tmp_path / "midi" / os.fsdecode(name))
    (tmp_path / "splits.csv").write_bytes(b"caf\xc3\xa9.mid,test\ncaf\xe9.mid,validation\n")
    arguments = ["build-dataset", "midi", "out.h5", "--split", "@splits.csv"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "rollcore", *arguments], cwd=tmp_path, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"2   0 / 1 / 1 train" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build-dataset", "only-one"], ["Missing argument 'OUT': rollcore build-dataset only-one out.h5"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "fast"], ["'fast'", "such as 50"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "0"], ["positive"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "1/0"], ["1/0"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "50", "--steps-per-beat", "4"], ["choose one"]),
        (["build-dataset", "MIDI", "OUT", "--steps-per-beat", "-4"], ["positive"]),
        (["build-dataset", "MIDI", "OUT", "--planes", "onset"], ["sounding"]),
        (["build-dataset", "MIDI", "OUT", "--planes", "velocity"], ["sounding"]),
        (["build-dataset", "MIDI", "OUT", "--split", "80/20"], ["80/10/10", "@splits.csv"]),
        (["build-dataset", "MIDI", "OUT", "--split", "0/0/0"], ["(80, 10, 10)"]),
        (["build-dataset", "MIDI", "OUT", "--split", "110/-10/0"], ["(80, 10, 10)"]),
        (["build-dataset", "MIDI", "OUT", "--split", "99999999999/1/1"], ["(80, 10, 10)"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "1e999999999"], ["such as 50"]),
        (["build-dataset", "MIDI", "OUT", "--max-minutes", "nan"], ["more than 0"]),
        (["build-dataset", "MIDI", "OUT", "--max-minutes", "1e6"], ["smaller"]),
        (["build-dataset", "MIDI", "OUT", "--max-minutes", "inf"], ["at most"]),
        (["build-dataset", "MIDI", "OUT", "--threads", "0"], ["--threads"]),
    ],
)
def test_bad_usage(run, midi, tmp_path, arguments, words):
    places = {"MIDI": midi, "OUT": tmp_path / "new.h5"}
    status, out, err = run(*(places.get(argument, argument) for argument in arguments))
    assert (status, out) == (2, "")
    assert_one_line(err, *words)
    assert list(tmp_path.iterdir()) == []


def test_bad_data(run, midi, tmp_path):
    for name in ("empty", "pages"):
        (tmp_path / name).mkdir()
    (tmp_path / "pages" / "a.mid").write_bytes(HTML)
    (tmp_path / "pages" / "b.mid").write_bytes(HTML)
    (tmp_path / "pages" / "c.mid").write_bytes(b"")
    (tmp_path / "pages" / "list.txt").write_bytes(b"gone2.mid\ngone1.mid\n")
    (tmp_path / "text.h5").write_text("mine")
    dev, twice = tmp_path / "empty" / "dev.csv", tmp_path / "empty" / "twice.csv"
    dev.write_text('"a, \nb.mid",train\nb.mid,dev\n')
    twice.write_text("a.mid,train\na.mid,test\n")
    new = tmp_path / "new.h5"
    for arguments, words in [
        (["build-dataset", tmp_path / "nowhere", new], ["nowhere", "no such file"]),
        (["build-dataset", tmp_path / "empty", new], ["empty", "no .mid"]),
        (["build-dataset", tmp_path / "pages", new], ["none of 3", "(2)", "not a MIDI file", "first file: a.mid"]),
        (
            ["build-dataset", f"@{tmp_path / 'pages' / 'list.txt'}", new],
            ["none of 2", "(2)", "no such file", "from the current directory", "first file: gone2.mid"],
        ),
        (["build-dataset", "@nowhere.txt", new], ["cannot read the list"]),
        (["build-dataset", midi, new, "--split", "@nowhere.csv"], ["nowhere.csv: cannot be read: no such file"]),
        (["build-dataset", midi, new, "--split", f"@{dev}"], ["dev.csv: line 3: expected", "found 'b.mid,dev'"]),
        (["build-dataset", midi, new, "--split", f"@{twice}"], ["twice.csv: line 2: a.mid is in another split"]),
        (["build-dataset", midi, tmp_path / "text.h5"], ["text.h5", "not a rollcore dataset"]),
        (["build-dataset", midi, tmp_path / "empty"], ["is a folder"]),
        (["build-dataset", midi, "."], ["is a folder"]),
        (["build-dataset", midi, tmp_path / "no" / "new.h5"], ["cannot be written", "No such file"]),
    ]:
        status, out, err = run(*arguments)
        assert (status, out) == (1, "")
        assert_one_line(err, *words)
    assert (tmp_path / "text.h5").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "pages", "text.h5"}
