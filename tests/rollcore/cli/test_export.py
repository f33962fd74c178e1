"""``rollcore export``."""

from __future__ import annotations

from rollcore.cli import main


def test_a_dataset_is_written_for_numpy(dataset, tmp_path, capsys):
    assert main(["export", str(dataset), "--npz", str(tmp_path / "n")]) == 0
    assert "train.npz: " in capsys.readouterr().out
    assert main(["export", str(dataset)]) == 2
    (tmp_path / "file").touch()
    assert main(["export", str(dataset), "--npz", str(tmp_path / "file")]) == 1
    assert "file: cannot be made: File exists" in capsys.readouterr().err
