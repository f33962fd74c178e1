"""``rollcore merge``, of what ``build-dataset --part`` wrote."""

from __future__ import annotations

from rollcore.cli import main


def test_parts_are_built_and_joined(midi, tmp_path, capsys):
    for i in (1, 2):
        assert main(["build-dataset", str(midi), str(tmp_path / f"{i}.h5"), "--part", f"{i}/2"]) == 0
    assert main(["build-dataset", str(midi), str(tmp_path / "whole.h5")]) == 0
    capsys.readouterr()
    assert main(["merge", str(tmp_path / "2.h5"), str(tmp_path / "1.h5"), "-o", str(tmp_path / "out.h5")]) == 0
    assert "pieces of 2 parts in" in capsys.readouterr().out
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    for bad in ("3/2", "0/2", "1", "a/b", "1/2/3"):
        assert main(["build-dataset", str(midi), str(tmp_path / "x.h5"), "--part", bad]) == 2
    assert main(["merge", str(tmp_path / "1.h5"), "-o", str(tmp_path / "x.h5")]) == 1
    assert "these are missing: 2" in capsys.readouterr().err
