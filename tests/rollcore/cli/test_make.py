"""``rollcore make-chords`` and ``import-mat``."""

from __future__ import annotations

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
