"""The account of a build: every file that was found, and what became of it."""

from __future__ import annotations

import os
import shutil

import numpy as np

import rollcore
from songs import write


def test_every_file_is_accounted_for(tmp_path):
    folder = tmp_path / "in"
    write(folder / "good.mid", (0, 480, 60, 0))
    write(folder / "drums.mid", (0, 480, 36, 9))
    write(folder / "long.mid", (0, 480 * 2 * 60 * 3, 60, 0))  # three minutes
    write(folder / "silent.mid")
    raw = (folder / "good.mid").read_bytes()
    (folder / "mended.mid").write_bytes(raw[:-4])  # no end of track
    (folder / "empty.mid").touch()
    (folder / "page.mid").write_text("<!DOCTYPE html><html></html>")
    (folder / "zip.mid").write_bytes(b"PK\x03\x04 and so on" + raw)  # what it stores is not one file
    (folder / "cut.mid").write_bytes(raw[:30])
    os.mkfifo(folder / "pipe.mid")
    (folder / "gone.mid").symlink_to("nowhere")
    report = rollcore.build_dataset(folder, tmp_path / "out.h5", max_minutes=2)
    assert (report.found, report.read, report.repaired, report.skipped) == (11, 2, 1, 9)
    assert report.read + report.skipped == report.found
    assert set(report.reasons) == {
        "no notes",
        "no notes, and damaged",
        "no notes but drums (--drums keeps them)",
        "longer than 2 minutes (--max-minutes)",
        "empty file",
        "not a MIDI file (a web page)",
        "not a MIDI file (a zip archive)",
        "not a regular file",
        "broken link",
    }
    assert set(report.reasons.values()) == {1}
    assert sum(report.repairs.values()) >= 1
    assert "files found" in str(report)
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    outcome = {dataset.file_name(i): int(dataset.files["outcome"][i]) for i in range(11)}
    assert [name for name, kind in outcome.items() if kind == 0] == ["good.mid"]
    assert [name for name, kind in outcome.items() if kind == 1] == ["mended.mid"]
    assert {dataset.file_name(int(file)) for file in dataset.repairs["file"]} == {"cut.mid", "mended.mid"}


def test_reasons_are_few_however_odd_the_files(tmp_path):
    rng = np.random.default_rng(3)
    folder = tmp_path / "in"
    write(folder / "good.mid", (0, 480, 60, 0))
    for i in range(500):
        (folder / f"{i}.mid").write_bytes(rng.bytes(20))
    report = rollcore.build_dataset(folder, tmp_path / "out.h5")
    assert report.skipped == 500
    assert len(report.reasons) <= 8


def test_duplicates_share_a_split_and_dedupe_keeps_the_first(tmp_path):
    folder = tmp_path / "in"
    for i in range(40):
        write(folder / f"{i:02}.mid", (0, 480, 60 + i, 0))
        shutil.copy(folder / f"{i:02}.mid", folder / f"copy of {i:02}.mid")
    rollcore.build_dataset(folder, tmp_path / "all.h5")
    dataset = rollcore.open_dataset(tmp_path / "all.h5")
    splits = {dataset.name(i): int(dataset.pieces["split"][i]) for i in range(80)}
    assert all(splits[f"{i:02}.mid"] == splits[f"copy of {i:02}.mid"] for i in range(40))
    assert len(set(splits.values())) > 1
    report = rollcore.build_dataset(folder, tmp_path / "one.h5", dedupe=True, threads=4)
    assert (report.pieces, report.skipped) == (40, 40)
    kept = rollcore.open_dataset(tmp_path / "one.h5")
    assert [kept.name(i) for i in range(40)] == [f"{i:02}.mid" for i in range(40)]
    assert all(int(kept.pieces["split"][i]) == splits[f"{i:02}.mid"] for i in range(40))


def test_the_report_counts_repairs_of_files_that_were_read(tmp_path):
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 0, 96])
    silent = header + b"MTrk" + bytes([0, 0, 0, 0])  # no end of track, and no notes
    played = bytes.fromhex("00 90 3C 50  60 80 3C 00")
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "a.mid").write_bytes(silent)
    (tmp_path / "midi" / "b.mid").write_bytes(header + b"MTrk" + len(played).to_bytes(4, "big") + played)
    report = rollcore.build_dataset(tmp_path / "midi", tmp_path / "out.h5")
    assert (report.read, report.repaired, report.skipped) == (1, 1, 1)
    assert report.repairs == {"missing_end_of_track": 1}


def test_reasons_do_not_depend_on_how_files_are_met(tmp_path):
    for names, folder in (("abc", "in"), ("cba", "other")):
        for name, content in zip(names, (b"", b"<html>", bytes(20)), strict=True):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{name}.mid").write_bytes(content)
        write(tmp_path / folder / "z.mid", (0, 480, 60, 0))
        rollcore.build_dataset(tmp_path / folder, tmp_path / "out.h5")
        dataset = rollcore.open_dataset(tmp_path / "out.h5")
        assert dataset.reasons == ["empty file", "not a MIDI file (a web page)", "not a MIDI file (zeros)"]
        told = [dataset.reasons[int(reason)] for reason in dataset.files["reason"][:3]]
        assert told == (dataset.reasons if folder == "in" else dataset.reasons[::-1])
