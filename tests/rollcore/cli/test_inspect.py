"""``rollcore info``, ``report`` and ``verify``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import rollcore
from rollcore.cli import main
from rollcore_command import assert_one_line, start
from smf_cases import TWO, XG_ON, dump, track


def test_info(run, dataset):
    status, out, err = run("info", dataset)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) <= 24
    assert max(map(len, out.splitlines())) <= 160
    assert "14 found, 13 read (1 of them repaired), 1 skipped" in out
    assert f"{'bars':<12} 4/4 in 13\n" in out
    status, out, err = run("info", dataset, "--json")
    facts = json.loads(out)
    opened = rollcore.open_dataset(dataset)
    assert facts["files"] == {"found": 14, "read": 13, "repaired": 1, "skipped": 1}
    assert (
        facts["splits"]["all"]["pieces"]
        == 13
        == sum(facts["splits"][s]["pieces"] for s in ("train", "validation", "test"))
    )
    assert facts["splits"]["all"]["frames"] == sum(len(opened.rows(i)) for i in range(13))
    assert facts["splits"]["all"]["notes"] == int(opened.pieces["notes"].sum())
    assert (facts["grid"], facts["planes"], facts["fingerprint"]) == (
        "4 steps per beat",
        ["sounding", "onset"],
        opened.fingerprint,
    )
    assert (facts["grid_unit"], facts["grid_rate"]) == ("beats", "4")
    assert facts["time_signatures"] == {"4/4": 13}
    assert facts["bytes"] == dataset.stat().st_size


def test_report_accounts_for_every_file(run, dataset, midi):
    status, out, err = run("report", dataset, "--json")
    assert (status, err) == (0, "")
    listed = json.loads(out)
    names = listed["read"] + [file["name"] for key in ("skipped", "repaired") for file in listed[key]]
    assert sorted(names) == sorted(path.name for path in midi.iterdir())
    [skipped], [repaired] = listed["skipped"], listed["repaired"]
    assert skipped["name"] == "page.mid"
    assert "not a MIDI file" in skipped["reason"]
    assert repaired["name"] == "torn.mid"
    assert repaired["repairs"] == rollcore.read_midi(midi / "torn.mid").repairs
    status, out, err = run("report", dataset)
    assert (status, err) == (0, "")
    assert "skipped: 1\n" in out
    assert all(name in out for name in names)
    assert all(code in out for code in repaired["repairs"])


def test_names_cannot_garble_the_terminal(run, midi, tmp_path):
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    for name in (b"caf\xe9.mid", b"new\nline.mid", b"\x1b[31mred.mid", "ñ.mid".encode()):
        os.link(midi / "C_major.mid", folder + b"/" + name)
    assert run("build-dataset", tmp_path / "odd", tmp_path / "out.h5")[0] == 0
    for command in ("report", "info"):
        status, out, _ = run(command, tmp_path / "out.h5")
        assert status == 0
        assert "\x1b" not in out
        assert "caf\\udce9.mid" in out
        assert "new\\nline.mid" in out
    names = {os.fsencode(name) for name in json.loads(run("report", tmp_path / "out.h5", "--json")[1])["read"]}
    assert names == set(os.listdir(folder))
    for piece in range(4):
        assert run("plot", tmp_path / "out.h5", str(piece), tmp_path / "x.png")[0] == 0
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with start("report", tmp_path / "out.h5", env=environment) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "ñ.mid" in out.decode()  # click knows that such a terminal is misconfigured


def test_verify_names_the_damage(run, dataset, tmp_path):
    opened = rollcore.open_dataset(dataset)
    damaged = bytearray(dataset.read_bytes())
    damaged[int(opened.pieces["offset"][5]) + 100] ^= 1
    (tmp_path / "out.h5").write_bytes(damaged)
    status, out, err = run("verify", tmp_path / "out.h5")
    assert status == 1
    assert "shard 000000" in out
    assert_one_line(err, "1 of 1 shards", "build it again")


BAND = dump(
    TWO
    + track('00 FF 03 05 "Piano"' + XG_ON + "00 C0 04  00 90 3C 50  60 3C 00  00 C0 49  00 90 48 50  60 48 00")
    + track('00 FF 03 03 "Kit"  00 B2 00 7F  00 C2 00  00 92 24 50  60 24 00  00 91 30 50  60 91 30 00')
)


def test_info_of_a_midi_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "band.mid"
    file.write_bytes(BAND)
    assert main(["info", str(file)]) == 0
    assert "Piano" in capsys.readouterr().out
    assert main(["info", "--json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == 4
    file.write_bytes(b"<html>")
    assert main(["info", str(file)]) == 1
    assert "expected a MIDI file (MThd), found '<html'" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "none.mid")]) == 1


def test_bad_data(run, midi, dataset, tmp_path):
    (tmp_path / "cut.h5").write_bytes(dataset.read_bytes()[:-5000])
    (tmp_path / "text.h5").write_text("mine")
    new = tmp_path / "new.h5"
    for arguments, words in [
        (["info", new], ["new.h5"]),
        (["info", tmp_path / "text.h5"], ["not an HDF5 file"]),
        (["report", tmp_path / "cut.h5"], ["cut.h5"]),
        (["verify", tmp_path / "cut.h5"], ["cut.h5"]),
        (["verify", midi / "C_major.mid"], ["C_major.mid"]),
    ]:
        status, out, err = run(*arguments)
        assert (status, out) == (1, "")
        assert_one_line(err, *words)
