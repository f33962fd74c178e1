"""`seq2seq generate` with an untrained model: what it prints, and what it says of mistakes. Keras is not needed."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import mido
import pytest

import rollcore
from seq2seq.cli import run_one
from seq2seq.output.figures import figures
from untrained import PLANES

main = partial(run_one, "generate")


def test_silence_is_not_passed_off_as_music(untrained_run, tmp_path, capsys):
    arguments = [str(untrained_run), "--output-dir", str(tmp_path), "--steps", "20", "--temperature", "0"]
    for ending in (".mid", ".png", ".wav"):
        (tmp_path / f"tiny-t0-seed0-1{ending}").write_text("what an earlier call made of the same seed")
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert "NOT MUSIC, silence: not one note in 20 frames" in told.out
    assert told.err.startswith("error: no output is music (silence")
    assert "a temperature above 0" in told.err
    degenerate = "tiny-t0-seed0-1-degenerate"  # without a sound
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{degenerate}.mid",
        f"{degenerate}.png",
        "tiny-t0-seed0.html",
    ]
    assert "NOT MUSIC, silence" in (tmp_path / "tiny-t0-seed0.html").read_text()
    assert mido.MidiFile(next(tmp_path.glob("*.mid"))).length > 0


def test_figures_stand_beside_those_of_the_training(untrained_run, tmp_path, capsys):
    arguments = [str(untrained_run), "--output-dir", str(tmp_path), "--steps", "30", "--num-outputs", "2"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    pieces = len(rollcore.open_dataset(untrained_run.parent / "chords.h5").split("train"))
    assert lines[2].split() == ["1", "2", "training", f"({pieces}", "pieces)"]
    assert any(line.startswith("notes per beat") for line in lines)
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    wanted = figures([dataset.rows(int(piece)) for piece in dataset.split("train")], 4)
    assert told["training"]["notes"] == wanted.notes
    assert [output["figures"]["frames"] for output in told["outputs"]] == [30, 30]


def test_a_wrong_dataset_is_told_before_anything_is_drawn(untrained_run, tmp_path, riff, capsys):
    arguments = ["--primer", "3", "--data", str(riff), "--output-dir", str(tmp_path)]
    assert main([str(untrained_run), *arguments]) == 1
    assert "not an HDF5 file" in capsys.readouterr().err
    rollcore.build_dataset(untrained_run.parent / "midi", tmp_path / "x.h5", fps=50, planes=PLANES)
    assert (
        main([str(untrained_run), "--primer", "3", "--data", str(tmp_path / "x.h5"), "--output-dir", str(tmp_path)])
        == 1
    )
    assert "the model needs 4 steps per beat with planes sounding, onset" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--scale", "A minr"], 2, "'A minr' is not a scale"),
        (["--pitch-range", "C6:C2"], 2, "higher end first"),
        (["--pitch-range", "C-1:C0"], 2, "leave none"),
        (["--scale", "C major", "--pitch-range", "C#4:C#4"], 2, "leave no pitch"),
        (["--primer-pitches", "H4"], 2, "'H4' is not a pitch"),
        (["--primer-pitches", "C0 C4 C9"], 2, "the model knows E2 to E6, not C0 C9"),
        (["--output-dir", __file__], 1, "is a file or lies in one"),
        (["--primer", "none.mid"], 1, "none.mid: no such MIDI file"),
        (["--primer", "none.mid", "--primer-pitches", "C4"], 2, "not both"),
        (["--frames", "4", "--seconds", "1"], 2, "not in two of them"),
        (["--bars", "4", "--harmonize", "x.mid"], 2, "as long as the melody"),
        (["--bars", "10000000000"], 2, "bars must be a whole number"),
        (["--bars", "2000000000"], 2, "ask for fewer"),
        (["--candidates", "0"], 2, "candidates must be"),
        (["--steps", "0"], 2, "at least 1"),
        (["--seconds", "-3"], 2, "above 0"),
        (["--seconds", "inf"], 2, "below 1,000,000"),
        (["--top-p", "0"], 2, "top-p"),
        (["--temperature", "-1"], 2, "negative"),
        (["--max-polyphony", "0"], 2, "at least 1"),
        (["--tempo", "0"], 2, "4 to 1000"),
        (["--time-signature", "4/5"], 2, "time signature"),
        (["--harmonize", "none.mid"], 1, "none.mid"),
        (["--primer", "3", "--data", "none.h5"], 1, "none.h5"),
        (["--num-outputs", "0"], 2, "at least 1"),
        (["--seed", "-1"], 2, "at least 0"),
        (["--primer", "3", "--primer-frames", "0"], 2, "primer frames must be"),
        (["--tempo", "nan"], 2, "tempo must be a number"),
        (["--temperature", "nan"], 2, "temperature must be a number"),
        (["--nonsense"], 2, "--nonsense"),
    ],
)
def test_mistakes_are_told_in_one_line(untrained_run, tmp_path, capsys, options, status, said):
    assert main([str(untrained_run), "--output-dir", str(tmp_path), *options]) == status
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert said in told.err
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_primer_are_told(untrained_run, tmp_path, capsys):
    broken, empty = tmp_path / "broken.mid", tmp_path / "empty.mid"
    broken.write_bytes(b"MThd, or so it says")
    rollcore.write_midi(rollcore.Midi.from_notes([]), empty)
    high = tmp_path / "high.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(0, 480, 100, 80, 0, 0)]), high)
    for option, path, said in (
        ("--primer", broken, "broken.mid"),
        ("--primer", empty, "empty.mid: no notes"),
        ("--harmonize", empty, "empty.mid: no notes"),
        ("--primer", high, "no note that the model knows"),
        ("--harmonize", high, "transpose it"),
    ):
        assert main([str(untrained_run), option, str(path), "--output-dir", str(tmp_path / "out")]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert said in told


def test_run_folders_that_are_none_are_told(untrained_run, tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "not a run folder" in capsys.readouterr().err
    whole = json.loads((untrained_run / "config.json").read_text())
    for part, said in (("model", "unreadable"), ("train", "unreadable"), ("dataset", "unreadable")):
        (tmp_path / "config.json").write_text(json.dumps({**whole, part: {"path": 1}}))
        assert main([str(tmp_path)]) == 1
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    (tmp_path / "config.json").write_text(json.dumps(whole))
    assert main([str(tmp_path)]) == 1
    assert "no weights for sampling: train the run again" in capsys.readouterr().err


def test_the_dataset_may_be_gone_but_not_needed(untrained_run, tmp_path, riff, capsys):
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "model.safetensors").write_bytes((untrained_run / "model.safetensors").read_bytes())
    config = json.loads((untrained_run / "config.json").read_text())
    config["dataset"]["path"] = str(tmp_path / "gone.h5")
    (moved / "config.json").write_text(json.dumps(config))
    assert main([str(moved), "--primer", str(riff), "--steps", "30", "--output-dir", str(tmp_path)]) == 0
    assert "training (" in capsys.readouterr().out
    assert main([str(moved), "--primer", "3", "--output-dir", str(tmp_path)]) == 1
    assert "gone.h5 is gone: give a MIDI file, or a dataset with --data" in capsys.readouterr().err
    options = ["--data", str(untrained_run.parent / "chords.h5"), "--steps", "30", "--output-dir", str(tmp_path)]
    assert main([str(moved), "--primer", "3", *options]) == 0
    capsys.readouterr()
    assert main([str(moved / "model.safetensors"), "--primer", "3", "--output-dir", str(tmp_path)]) == 1
    assert "error: primer 3: no such MIDI file: give a MIDI file, or a dataset with --data" in capsys.readouterr().err


def test_generating_needs_no_framework(untrained_run, tmp_path):
    code = (
        "import sys; from seq2seq.cli import run_one; code = run_one('generate', sys.argv[1:]);"
        "loaded = {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules);"
        "sys.exit(f'{code}, {loaded}' if code or loaded else 0)"
    )
    arguments = [untrained_run, "--output-dir", tmp_path, "--frames", "40", "--num-outputs", "2"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from seq2seq.cli import run_one; run_one('generate', ['--help']);"
        "sys.exit(bool({'numpy', 'keras', 'h5py', 'mido'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
