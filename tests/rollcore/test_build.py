from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import h5py
import mido
import numpy as np
import pytest

import rollcore
from rollcore import DatasetError, Grid, Midi, RollcoreError
from rollcore.ledger import Ledger
from rollcore.loading import Loader
from rollcore.roll import RollOptions
from rollcore.sources.inputs import batches
from rollcore.writer import DatasetWriter


def song(*rows):
    notes = np.array([(on, off, pitch, 80, channel, 0) for on, off, pitch, channel in rows], rollcore.NOTE_DTYPE)
    return Midi.from_notes(notes)


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    rollcore.write_midi(song(*rows), path)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """300 different songs: more than one batch."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(300):
        write(folder / f"{i % 7}" / f"{i:03}.mid", (0, 480 + i, 30 + i % 60, 0), (i, 960, 40, 1))
    return folder


@pytest.mark.parametrize(
    "options",
    [{"fps": 50}, {"steps_per_beat": 4, "planes": ("sounding", "onset"), "sustain": True, "drums": True}],
    ids=["time", "beats"],
)
def test_every_real_file_is_its_piano_roll(midi_folder, tmp_path, options):
    report = rollcore.build_dataset(midi_folder, tmp_path / "out.h5", **options)
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    paths = sorted(midi_folder.rglob("*.mid"))
    assert report.found == report.read == report.pieces == len(dataset) == len(paths)
    for i, path in enumerate(paths):
        assert dataset.name(i) == str(path.relative_to(midi_folder))
        expected = rollcore.piano_roll(rollcore.read_midi(path), **options)
        assert np.array_equal(dataset.rows(i), expected)
    assert report.frames == sum(len(dataset.rows(i)) for i in range(len(dataset)))
    assert report.bytes == (tmp_path / "out.h5").stat().st_size
    assert dataset.verify() == []


def signature_by_mido(path):
    """The time signature at the first note that is no drum: no file begins with a pick-up of its own bar."""
    changes, onsets = [(0, 4, 4)], []
    for track in mido.MidiFile(path, clip=True).tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "time_signature":
                changes.append((now, message.numerator, message.denominator))
            if message.type == "note_on" and message.velocity and message.channel != 9:
                onsets.append(now)
    until = [change for change in sorted(changes, key=lambda change: change[0]) if change[0] <= min(onsets)]
    return until[-1][1:]


def test_every_real_file_has_its_time_signature(midi_folder, tmp_path):
    rollcore.build_dataset(midi_folder, tmp_path / "out.h5", steps_per_beat=4)
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    expected = [signature_by_mido(path) for path in sorted(midi_folder.rglob("*.mid"))]
    assert dataset.pieces["time_signature"].tolist() == [list(signature) for signature in expected]
    assert {(6, 8), (3, 4), (1, 4)} < set(expected)
    for piece, (beats, value) in enumerate(expected):
        assert dataset.bar(piece) == ((beats, value) if beats > 1 else (4, 4))


EVENTS = {  # in hex, after a delta of 0
    "1/4": "FF 58 04 01021808",
    "2/4": "FF 58 04 02021808",
    "3/4": "FF 58 04 03021808",
    "6/8": "FF 58 04 06031808",
    "fast": "FF 51 03 061A80",  # 400,000 microseconds per beat
    "slow": "FF 51 03 0F4240",  # 1,000,000
    "drum": "99 24 50  10 89 24 00",
    "note": "90 3C 50  10 80 3C 00",
}


@pytest.mark.parametrize(
    ("format", "tracks", "opening"),
    [
        (1, ["3/4 slow note"], (1_000_000, (3, 4), 0)),
        (1, ["note slow"], (500_000, (4, 4), 0)),
        (1, ["3/4 fast", "6/8 slow note"], (1_000_000, (6, 8), 0)),  # at one tick the last in the file holds
        (1, ["6/8 slow note", "3/4 fast"], (400_000, (3, 4), 0)),
        (1, ["2/4 fast drum 6/8 slow note"], (1_000_000, (6, 8), 16)),
        (2, ["3/4 fast drum", "6/8 slow note"], (1_000_000, (6, 8), 0)),
        (2, ["note", "3/4 slow note"], (500_000, (4, 4), 0)),
        (2, ["3/4 slow note", "6/8 fast note"], (1_000_000, (3, 4), 0)),
        (2, ["2/4 slow note 6/8 note", "3/4 note note 3/4 note"], (1_000_000, (6, 8), 16)),
        ("smpte", ["3/4 slow note"], (500_000, (3, 4), 0)),
        # A first bar that is shorter is a pick-up: 17 notes are 272 ticks, 18 a whole bar of 3/4, which has 288.
        (1, ["2/4" + 17 * " note" + " 3/4 note"], (500_000, (3, 4), 272)),
        (1, ["2/4" + 18 * " note" + " 3/4 note"], (500_000, (2, 4), 0)),
        (1, [17 * "note " + "3/4 2/4 note"], (500_000, (4, 4), 0)),
        (1, [10 * "note " + "3/4 2/4 note"], (500_000, (2, 4), 160)),  # the second one holds
        (1, ["3/4" + 20 * " drum" + " 2/4 note note"], (500_000, (2, 4), 320 - 192)),  # bar lines reach back
        (1, ["1/4 note 3/4 note"], (500_000, (3, 4), 16)),
        (1, ["3/4 note 1/4 note"], (500_000, (3, 4), 0)),  # no metre takes over
        (1, ["3/4" + 20 * " drum" + " 1/4 note"], (500_000, (1, 4), 320)),
    ],
)
@pytest.mark.parametrize("drums", [False, True])
def test_how_a_piece_begins_is_seen_at_the_first_note_that_is_kept(tmp_path, format, tracks, opening, drums):
    data = bytes.fromhex("4D546864 00000006") + (1 if format == "smpte" else format).to_bytes(2, "big")
    data += len(tracks).to_bytes(2, "big") + (b"\xe7\x28" if format == "smpte" else b"\x00\x60")
    for track in tracks:
        body = bytes.fromhex(" ".join(f"00 {EVENTS[event]}" for event in track.split()) + " 00 FF 2F 00")
        data += b"MTrk" + len(body).to_bytes(4, "big") + body
    (tmp_path / "x.mid").write_bytes(data)
    beats = {"fps": 50} if format == "smpte" else {"steps_per_beat": 96}  # a frame a tick
    rollcore.build_dataset(tmp_path / "x.mid", tmp_path / "x.h5", drums=drums, **beats)
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    piece = dataset.pieces[0]
    found = int(piece["tempo"]), tuple(piece["time_signature"].tolist()), int(piece["upbeat"])
    if not drums or not any("drum" in track for track in tracks):
        assert found == opening
    tempo, bar, upbeat = rollcore.read_midi(data).opening(drums=drums)
    if format != "smpte":
        assert found[0] == (tempo or 500_000)
    assert dataset.bar(0) == (bar or (4, 4))
    assert bar is None or found[1] == bar
    assert upbeat * 96 == found[2]


@pytest.mark.parametrize("seconds", [4, 60, 1500, 6000], ids=["200", "3,000", "75,000", "300,000"])
def test_tracks_that_lie_over_each_other_in_few_pitches(tmp_path, seconds):
    # Track after track in the file, each a melody, and their notes of one pitch overlap: only in order of time can
    # they be painted. As many frames as a sort by digits meets.
    rng = np.random.default_rng(seconds)
    times = np.sort(rng.integers(0, seconds * 960, (3, 81)))
    notes = np.zeros(3 * 80, rollcore.NOTE_DTYPE)
    notes["track"] = np.repeat([0, 1, 2], 80)
    notes["velocity"] = 80
    notes["onset_tick"], notes["offset_tick"] = times[:, :-1].ravel(), times[:, 1:].ravel()
    notes["pitch"] = rng.integers(60, 63, len(notes))
    midi = Midi.from_notes(notes[np.argsort(notes["onset_tick"])])
    rollcore.write_midi(midi, tmp_path / "three.mid")
    rollcore.build_dataset(tmp_path / "three.mid", tmp_path / "out.h5", fps=50)
    rows = rollcore.open_dataset(tmp_path / "out.h5").rows(0)
    sounding = np.unpackbits(rows[:, 0], axis=-1, bitorder="little")
    expected = np.zeros_like(sounding)
    for note in notes:  # 480 ticks a beat, two beats a second: 960 ticks in 50 frames
        start, end = int(note["onset_tick"]) * 50 // 960, int(note["offset_tick"]) * 50 // 960
        expected[start : max(end, start + 1), note["pitch"]] = 1
    assert np.array_equal(sounding, expected)


def test_same_input_same_bytes(many, tmp_path, monkeypatch):
    def build(folder, **options):
        rollcore.build_dataset(folder, tmp_path / "out.h5", **options)
        return (tmp_path / "out.h5").read_bytes()

    first = build(many, threads=1)
    assert build(many, threads=2) == first
    time.sleep(1.1)  # HDF5 notes times in whole seconds, unless told not to
    assert build(many, threads=7) == first
    moved = tmp_path / "elsewhere"
    for path in sorted(many.rglob("*.mid"), reverse=True):  # another order in the directories
        target = moved / path.relative_to(many)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "C")
    assert build(moved) == first


def test_small_buffers_change_nothing(many, tmp_path, monkeypatch):
    rollcore.build_dataset(many, tmp_path / "a.h5", planes=("sounding", "onset"))
    monkeypatch.setattr("rollcore.build.BUFFER_BYTES", 1)  # a piece at a time
    rollcore.build_dataset(many, tmp_path / "b.h5", planes=("sounding", "onset"))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


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


def test_splits_by_name(tmp_path):
    folder = tmp_path / "in"
    names = ["a.mid", "sub/b.mid", "c,d.mid", "h\xe9.mid", "copy.mid", "left out.mid"]
    for i, name in enumerate(names):
        write(folder / name, (0, 480, 60 + i, 0))
    shutil.copy(folder / "a.mid", folder / "copy.mid")
    split = dict(zip(names[:5], ["test", "train", "validation", "train", "validation"], strict=True))
    report = rollcore.build_dataset(folder, tmp_path / "x.h5", split={**split, "absent.mid": "test"}, threads=2)
    assert (report.pieces, report.splits, report.reasons) == (5, (2, 2, 1), {"in none of the splits given": 1})
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    found = {dataset.name(int(i)): name for name in ("train", "validation", "test") for i in dataset.split(name)}
    assert found == split
    assert dataset.options["split"] == "given"
    report = rollcore.build_dataset(folder, tmp_path / "x.h5", split=split, dedupe=True)
    assert report.reasons == {"in none of the splits given": 1, "same notes as an earlier file (--dedupe)": 1}
    with pytest.raises(RollcoreError, match=r"none of 6 files .*in none of the splits"):
        rollcore.build_dataset(folder, tmp_path / "x.h5", split={"z.mid": "train"})


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


def test_a_build_without_a_piece_names_the_commonest_reason(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(RollcoreError, match=r"no \.mid, \.midi or \.kar file found"):
        rollcore.build_dataset(folder, tmp_path / "out.h5")
    for name in "abc":
        (folder / f"{name}.mid").touch()
    write(folder / "d.mid", (0, 9, 36, 9))
    with pytest.raises(RollcoreError, match=r"none of 4 files .* \(3\): empty file"):
        rollcore.build_dataset(folder, tmp_path / "out.h5")
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system has no posix_fallocate")
def test_a_file_system_without_allocation_will_do_but_a_full_one_will_not(many, tmp_path, monkeypatch):
    rollcore.build_dataset(many, tmp_path / "usual.h5")
    for code in (errno.EOPNOTSUPP, errno.ENOSPC):

        def refuse(*_, code=code):
            raise OSError(code, "x")

        monkeypatch.setattr(os, "posix_fallocate", refuse)
        if code == errno.EOPNOTSUPP:
            rollcore.build_dataset(many, tmp_path / "out.h5")
            assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "usual.h5").read_bytes()
        else:
            with pytest.raises(DatasetError, match="No space left on device"):
                rollcore.build_dataset(many, tmp_path / "out.h5")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "x"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_leaves_the_old_file_and_no_litter(many, tmp_path, monkeypatch, failure):
    out = tmp_path / "out.h5"
    rollcore.build_dataset(many, out, fps=10)
    before = out.read_bytes()
    calls = []

    def fail(self, offset, data):
        calls.append(offset)
        if len(calls) == 2:
            raise failure

    monkeypatch.setattr(DatasetWriter, "write", fail)
    expected = DatasetError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected) as error:
        rollcore.build_dataset(many, out, threads=1)
    if expected is DatasetError:
        assert (
            str(error.value)
            == f"{out}: cannot be written (No space left on device); what was there before is unchanged"
        )
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == ["out.h5"]


def test_litter_of_a_killed_build_is_taken_over(many, tmp_path):
    (tmp_path / ".out.h5.partial").write_bytes(b"left behind" * 100_000)
    rollcore.build_dataset(many, tmp_path / "out.h5")
    assert os.listdir(tmp_path) == ["out.h5"]
    assert rollcore.open_dataset(tmp_path / "out.h5").verify() == []


def test_two_builds_of_one_target_do_not_mix(many, tmp_path):
    with (
        DatasetWriter(tmp_path / "out.h5", grid=Grid.seconds(50), planes=("sounding",)),
        pytest.raises(DatasetError, match="another build is writing it"),
    ):
        rollcore.build_dataset(many, tmp_path / "out.h5")
    rollcore.build_dataset(many, tmp_path / "out.h5")


def test_a_link_to_a_target_stays_a_link(many, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.h5"
    link.symlink_to(tmp_path / "disk" / "real.h5")
    for fps in (50, 25):  # into nothing, then over a dataset
        rollcore.build_dataset(many, link, fps=fps)
        assert link.is_symlink()
        assert rollcore.open_dataset(tmp_path / "disk" / "real.h5").grid == Grid.seconds(fps)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real.h5"]


def test_targets_that_cannot_be(many, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("keep me")
    weights = tmp_path / "model.weights.h5"
    with h5py.File(weights, "w") as file:
        file["layer"] = [1.0, 2.0]
    pipe = tmp_path / "pipe.h5"
    os.mkfifo(pipe)
    for target, message in [
        (tmp_path, "is a folder"),
        (notes, "is no rollcore dataset"),
        (weights, "is no rollcore dataset"),
        (Path("/"), "is a folder"),
        (Path("."), "is a folder"),
        (pipe, "no regular file"),
        (tmp_path / "no" / "such" / "x.h5", "cannot be written"),
        (tmp_path / ("x" * 300), "cannot be written"),
    ]:
        with pytest.raises(DatasetError, match=message):
            rollcore.build_dataset(many, target)
    with pytest.raises(DatasetError, match="is a folder; name the file"):
        rollcore.build_dataset(many, f"{tmp_path / 'new'}/")
    assert not (tmp_path / "new").exists()
    assert notes.read_text() == "keep me"
    # What HDF5 cannot open may still be somebody's: cut short, or open for writing elsewhere.
    cut = tmp_path / "cut.h5"
    cut.write_bytes(weights.read_bytes()[:-100])
    with h5py.File(tmp_path / "open.h5", "w", libver="latest") as file:
        file["layer"] = [1.0, 2.0]
        file.flush()
        for target in (cut, tmp_path / "open.h5"):
            with pytest.raises(DatasetError, match="is no rollcore dataset"):
                rollcore.build_dataset(many, target)
    with h5py.File(weights) as file:
        assert file["layer"][:].tolist() == [1.0, 2.0]


def test_a_dataset_cut_short_is_built_again(many, tmp_path):
    path = tmp_path / "out.h5"
    rollcore.build_dataset(many, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    path.chmod(0o640)
    rollcore.build_dataset(many, path)
    assert path.read_bytes() == whole
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(many, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")
    (tmp_path / ".out.h5.partial").symlink_to(precious)
    with pytest.raises(DatasetError, match="cannot be written"):
        rollcore.build_dataset(many, tmp_path / "out.h5")
    assert precious.read_text() == "keep me"


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads 0"),
        ({"split": (0, 0, 0)}, "split"),
        ({"split": (50, 50)}, "split"),
        ({"split": (-1, 50, 51)}, "split"),
        ({"split": (0.8, 0.1, 0.1)}, "whole shares"),
        ({"split": "811"}, "whole shares"),
        ({"split": {"a.mid": "dev"}}, "split of 'a.mid': 'dev': expected a name, and one of train, validation, test"),
        ({"fps": 50, "steps_per_beat": 4}, "choose one grid"),
        ({"threads": "two"}, "threads two"),
        ({"threads": 1.5}, "threads 1.5"),
        ({"split": 5}, "split 5"),
        ({"split": None}, "split None"),
        ({"planes": (1, 2)}, "planes 1,2"),
        ({"max_minutes": "long"}, "long"),
        ({"max_minutes": None}, "None"),
        ({"max_minutes": float("nan")}, "nan"),
        ({"fps": "fast"}, "fast"),
        ({"fps": [50]}, r"\[50\]"),
    ],
)
def test_bad_options_are_named(many, tmp_path, options, message):
    with pytest.raises(RollcoreError, match=message):
        rollcore.build_dataset(many, tmp_path / "out.h5", **options)


@pytest.mark.parametrize("inputs", [None, 5, [None], [[]], "a\0b"])
def test_what_cannot_be_an_input_is_named(tmp_path, inputs):
    with pytest.raises(RollcoreError, match="folder, a MIDI file"):
        rollcore.build_dataset(inputs, tmp_path / "out.h5")


@pytest.mark.parametrize("out", [None, 5, "a\0b"])
def test_what_cannot_be_a_target_is_named(many, out):
    with pytest.raises(RollcoreError, match="name the file to write"):
        rollcore.build_dataset(many, out)


def test_no_input_is_named(tmp_path):
    with pytest.raises(RollcoreError, match="no input"):
        rollcore.build_dataset([], tmp_path / "out.h5")


def test_progress_counts_up_to_what_was_found(many, tmp_path):
    seen = []
    report = rollcore.build_dataset(
        many, tmp_path / "out.h5", progress=lambda files, frames: seen.append((files, frames))
    )
    assert seen == sorted(seen)
    assert seen[-1] == (300, report.frames)


def test_an_error_of_the_progress_function_is_its_own(many, tmp_path):
    def report(files, frames):
        raise OSError(errno.EPIPE, "nobody reads")

    with pytest.raises(OSError, match="nobody reads"):
        rollcore.build_dataset(many, tmp_path / "out.h5", progress=report)
    assert list(tmp_path.iterdir()) == []


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


def test_an_interruption_after_the_rename_comes_too_late(many, tmp_path, monkeypatch):
    replace = os.replace

    def interrupted(source, target):
        replace(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        report = rollcore.build_dataset(many, tmp_path / "out.h5")
    assert report.bytes == (tmp_path / "out.h5").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]
    assert rollcore.open_dataset(tmp_path / "out.h5").verify() == []

    def earlier(source, target):
        raise KeyboardInterrupt

    before = (tmp_path / "out.h5").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", earlier)
        with pytest.raises(KeyboardInterrupt):
            rollcore.build_dataset(many, tmp_path / "out.h5", fps=10)
    assert (tmp_path / "out.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


def test_another_name_of_the_partial_file_is_not_written_over(many, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    os.link(precious, tmp_path / ".out.h5.partial")
    with pytest.raises(DatasetError, match=r"\.out\.h5\.partial: is another file's too"):
        rollcore.build_dataset(many, tmp_path / "out.h5")
    assert precious.read_text() == "keep me"


def test_batches_in_flight_are_bounded(many, tmp_path, monkeypatch):
    handed = loaded = 0
    most = 0
    found, enter = batches, Ledger.enter

    def watched(sources, size, column):
        nonlocal handed, most
        for batch in found(sources, size=3):
            handed += 1
            most = max(most, handed - loaded)
            yield batch

    def counted(self, batch):
        nonlocal loaded
        loaded += 1
        return enter(self, batch)

    monkeypatch.setattr("rollcore.build.batches", watched)
    monkeypatch.setattr(Ledger, "enter", counted)
    rollcore.build_dataset(many, tmp_path / "out.h5", threads=2)
    assert handed == loaded == 100
    assert most == 3


def test_dense_files_are_loaded_a_few_at_a_time_and_give_the_same_rows(many, tmp_path):
    """A file of 3 million notes takes more room than a batch has: each becomes a shard of its own."""
    folder = tmp_path / "in"
    folder.mkdir()
    chord = b"".join(bytes([0, 20 + pitch, 80]) for pitch in range(100))
    chord += bytes([96]) + b"".join(bytes([20 + pitch, 0, 0]) for pitch in range(100))[:-1]
    events = b"\x00\x90\x14\x00" + chord * 30_000 + b"\x00\xff\x2f\x00"
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 0, 96])
    (folder / "a.mid").write_bytes(header + b"MTrk" + len(events).to_bytes(4, "big") + events)
    for name in "bc":
        os.link(folder / "a.mid", folder / f"{name}.mid")
    write(folder / "d.mid", (0, 480, 60, 0))
    with tarfile.open(tmp_path / "in.tar", "w", dereference=True) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    rollcore.build_dataset(folder, tmp_path / "one.h5", threads=1)
    dataset = rollcore.open_dataset(tmp_path / "one.h5")
    assert dataset.pieces["notes"].tolist() == [3_000_000] * 3 + [1]
    assert dataset.pieces["shard"].tolist() == [0, 1, 2, 3]
    assert dataset.verify() == []
    for piece, name in enumerate("ad"):
        expected = rollcore.piano_roll(rollcore.read_midi(folder / f"{name}.mid"))
        assert np.array_equal(dataset.rows(3 * piece), expected)
    for source in (folder, tmp_path / "in.tar"):
        rollcore.build_dataset(source, tmp_path / "two.h5", threads=2)
        assert (tmp_path / "two.h5").read_bytes() == (tmp_path / "one.h5").read_bytes()


LIMITED = """
import resource, sys
import rollcore
inputs, out, room = sys.argv[1:]
import rollcore.build
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(room), -1))
rollcore.build_dataset(inputs, out, threads=1)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set by what Linux tells")
def test_want_of_memory_fails_the_build_and_skips_nothing(many, tmp_path):
    out = tmp_path / "out.h5"
    rollcore.build_dataset(many, out)
    before = out.read_bytes()
    (tmp_path / "in").mkdir()
    shutil.copy(next(many.rglob("*.mid")), tmp_path / "in" / "a.mid")
    (tmp_path / "in" / "b.mid").write_bytes(bytes(60 << 20))
    code = [sys.executable, "-c", LIMITED, str(tmp_path / "in"), str(out)]
    done = subprocess.run([*code, str(50 << 20)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("MemoryError\n")
    assert out.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["in", "out.h5"]
    assert subprocess.run([*code, str(500 << 20)]).returncode == 0


def test_a_loader_crosses_processes():
    loader = Loader(RollOptions(Grid.beats(4), drums=True, max_minutes=5))
    assert pickle.loads(pickle.dumps(loader)) == loader


def test_a_full_disk_while_a_shard_is_appended(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with DatasetWriter(tmp_path / "x.h5", grid=Grid.seconds(50), planes=("sounding",)) as writer:
        monkeypatch.setattr(writer, "write", full)
        with pytest.raises(DatasetError, match=r"x\.h5: cannot be written \(No space left on device\)"):
            writer.append(np.zeros((3, 1, 16), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD', "MusicXML"),
        (b"<?xml version='1.0'?><score-timewise>", "MusicXML"),
        (b"<?xml version='1.0'?><html>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "XML"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
        (b"\x1f\0-lh5-", "an LHA archive"),
        (b"FORM\0\0\0\x0eXDIRINFO", "XMI"),
        (b"SMF2CLIP\0\x40", "a MIDI 2.0 clip"),
        (b"XMF_1.00", "XMF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer: git lfs pull"),
        (b"TVRoZAAAAAYAAQ", "base64 text"),
        (b"ID3\4", "MP3 audio"),
        (b"\xff\xfb\x90\x44", "MP3 audio"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "WAV audio"),
        (b"RIFF\x24\0\0\0AVI LIST", "a RIFF file that is not RMID"),
        (b"a.mid".ljust(257, b"\0") + b"ustar", "a tar archive"),
        (b"hello", "no MThd"),
    ],
)
def test_what_a_file_is_that_is_not_midi(tmp_path, content, kind):
    (tmp_path / "x.mid").write_bytes(content)
    with pytest.raises(RollcoreError, match=r"not a MIDI file \(" + kind.replace(".", r"\.") + r"\)"):
        rollcore.build_dataset(tmp_path / "x.mid", tmp_path / "x.h5")
