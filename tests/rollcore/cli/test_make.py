"""``rollcore make-chords`` and ``import-mat``."""

from __future__ import annotations

import numpy as np
import pytest

import rollcore
from rollcore_command import assert_one_line


def test_import_mat(run, rolls_folder, tmp_path):
    status, out, err = run("import-mat", rolls_folder / "JSB_Chorales.mat", tmp_path / "out.h5")
    assert (status, err) == (0, "")
    assert out.startswith("382 pieces in ")
    assert "1 steps per beat" in run("info", tmp_path / "out.h5")[1]


def test_make_chords(run, tmp_path):
    status, out, err = run("make-chords", tmp_path / "pack")
    assert (status, err) == (0, "")
    assert out == f"156 MIDI files in {tmp_path}/pack; next: rollcore build-dataset {tmp_path}/pack out.h5\n"
    written = sorted((tmp_path / "pack").iterdir())
    assert len(written) == 156
    assert all(path.suffix == ".mid" and path.read_bytes().startswith(b"MThd") for path in written)


def test_the_target_may_be_an_option_and_quiet_says_nothing(run, tmp_path):
    io = pytest.importorskip("scipy.io", reason="scipy is not installed: pip install 'rollcore[mat]'")
    cell = np.empty((1, 1), object)
    cell[0, 0] = np.eye(3, 88, dtype=np.uint8)
    io.savemat(tmp_path / "JSB_Chorales.mat", dict.fromkeys(("traindata", "validdata", "testdata"), cell))
    assert run("import-mat", "-q", tmp_path / "JSB_Chorales.mat", "-o", tmp_path / "x.h5") == (0, "", "")
    assert len(rollcore.open_dataset(tmp_path / "x.h5")) == 3
    assert run("make-chords", "--quiet", "--output", tmp_path / "pack") == (0, "", "")
    assert len(list((tmp_path / "pack").iterdir())) == 156


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["make-chords"], ["Missing argument 'FOLDER'"]),
        (["make-chords", "a", "-o", "b"], ["too many arguments: expected FOLDER"]),
        (["import-mat", "-o", "x.h5"], ["Missing argument 'MAT'"]),
        (["import-mat", "x.mat"], ["Missing argument 'OUT'"]),
        (["import-mat", "x.mat", "x.h5", "-o", "y.h5"], ["too many arguments: expected MAT OUT"]),
    ],
)
def test_bad_usage(run, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert_one_line(err, *words)
    assert list(tmp_path.iterdir()) == []


def test_bad_data(run, midi, tmp_path):
    (tmp_path / "text.h5").write_text("mine")
    new = tmp_path / "new.h5"
    for arguments, words in [
        (
            ["import-mat", tmp_path / "no.mat", new, "--steps-per-beat", "4"],
            ["no.mat", "No such file", "check the path"],
        ),
        (["import-mat", tmp_path / "no.mat", new], ["no.mat", "No such file", "check the path"]),
        (["import-mat", midi / "C_major.mid", new], ["C_major.mid", "not a .mat file", "check the name"]),
        (["make-chords", tmp_path / "text.h5"], ["cannot make the folder"]),
    ]:
        status, out, err = run(*arguments)
        assert (status, out) == (1, "")
        assert_one_line(err, *words)
    assert (tmp_path / "text.h5").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["text.h5"]
