from __future__ import annotations

import errno
import os
import shutil
import time

import mido
import numpy as np
import pytest

import rollcore
from rollcore import DatasetError, Midi, RollcoreError
from rollcore.ledger import Ledger
from rollcore.sources.inputs import batches
from rollcore.writer import DatasetWriter
from songs import write


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


def test_batches_in_flight_are_bounded(many, tmp_path, monkeypatch):
    handed = loaded = 0
    most = 0
    found, enter = batches, Ledger.enter

    def watched(sources, size, column, archive):
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
