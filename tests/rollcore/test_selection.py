"""Whose notes are kept, and the planes of voices."""

from __future__ import annotations

import json

import mido
import numpy as np
import pytest

import oracles_roll as oracle
import rollcore
from rollcore import Midi, RollcoreError, Selection
from rollcore.cli import main

TRACKS = ("Melody ", "BRIDGE", "Piano left", "piano right", "", "Kit")
CHANNELS = (0, 1, 2, 3, 4, 9)


def band():
    """A bar of each of six tracks, on channels of their own; every part has a pitch of its own."""
    rows = [
        (480 * beat, 480 * beat + 240, 60 + track, 80, channel, track)
        for track, channel in enumerate(CHANNELS)
        for beat in range(4)
    ]
    notes = np.array(rows, rollcore.NOTE_DTYPE)
    programs = np.array([(0, 0, 0, 73), (0, 1, 1, 24), (960, 1, 1, 40), (0, 2, 2, 0)], rollcore.PROGRAM_DTYPE)
    order = np.argsort(programs["tick"], kind="stable")
    return Midi(
        notes[np.lexsort((notes["track"], notes["onset_tick"]))],
        np.zeros(0, rollcore.TEMPO_DTYPE),
        ticks_per_beat=480,
        programs=programs[order],
        track_names=TRACKS,
    )


@pytest.fixture
def path(tmp_path):
    """The band as a file that mido writes."""
    out = mido.MidiFile(ticks_per_beat=480)
    midi = band()
    for track, name in enumerate(TRACKS):
        events = [
            (int(p["tick"]), 0, mido.Message("program_change", channel=p["channel"], program=p["program"]))
            for p in midi.programs
            if p["track"] == track
        ]
        for note in midi.notes[midi.notes["track"] == track]:
            what = {"channel": int(note["channel"]), "note": int(note["pitch"])}
            events += [(int(note["onset_tick"]), 2, mido.Message("note_on", velocity=80, **what))]
            events += [(int(note["offset_tick"]), 1, mido.Message("note_off", **what))]
        written = out.add_track(name)
        now = 0
        for tick, _, message in sorted(events, key=lambda event: event[:2]):
            written.append(message.copy(time=tick - now))
            now = tick
    (tmp_path / "in").mkdir()
    out.save(tmp_path / "in" / "band.mid")
    return tmp_path / "in" / "band.mid"


def kept(rows):
    """Pitches that sound in a roll, with the number of onsets."""
    onsets = rollcore.unpack(rows)[:, 1::2].sum(axis=(0, 1))
    return {int(pitch): int(onsets[pitch]) for pitch in np.flatnonzero(onsets)}


SELECTIONS = [
    ({"tracks": "melody"}, {60: 4}),
    ({"tracks": "MELODY,bridge"}, {60: 4, 61: 4}),
    ({"tracks": ["piano*"]}, {62: 4, 63: 4}),
    ({"tracks": "*left,*I*ge"}, {61: 4, 62: 4}),
    ({"tracks": "4,1"}, {61: 4, 64: 4}),
    ({"tracks": 0}, {60: 4}),
    ({"channels": "1,3-4"}, {60: 4, 62: 4, 63: 4}),
    ({"programs": "24-31"}, {61: 2}),  # the bridge changes to 40 after two beats
    ({"programs": "0"}, {62: 4, 63: 4, 64: 4}),
    ({"programs": [40, 73]}, {60: 4, 61: 2}),
    ({"pitch_range": "61-62"}, {61: 4, 62: 4}),
    ({"pitch_range": (64, 127), "drums": True}, {64: 4, 65: 4}),
    ({"only_drums": True}, {65: 4}),
    ({"tracks": "*", "channels": "2-16", "pitch_range": "0-62"}, {61: 4, 62: 4}),
]


@pytest.mark.parametrize(("options", "expected"), SELECTIONS)
def test_a_roll_and_a_build_keep_what_was_asked_for(path, tmp_path, options, expected):
    options = dict(options)
    drums = options.pop("drums", False)
    select = Selection(**options)
    rows = rollcore.piano_roll(rollcore.read_midi(path), drums=drums, select=select)
    assert kept(rows) == expected
    assert np.array_equal(rows, rollcore.piano_roll(band(), drums=drums, select=select))
    report = rollcore.build_dataset(path, tmp_path / "x.h5", drums=drums, select=select)
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    assert np.array_equal(dataset.rows(0), rows)
    assert int(dataset.pieces["notes"][0]) == sum(expected.values())
    assert sum(report.left_out.values()) == 24 - sum(expected.values())
    assert Selection(**json.loads(json.dumps(dataset.options["select"]))) == select
    part = select.kept(rollcore.read_midi(path), drums=drums)
    assert kept(rollcore.piano_roll(part, drums=True)) == expected


def test_what_is_left_out_is_counted_and_named(path, tmp_path):
    select = Selection(tracks="melody,bridge,kit", programs="24,40", pitch_range="0-60")
    with pytest.raises(RollcoreError, match=r"no notes but those that were not asked for \(--pitch-range\)"):
        rollcore.build_dataset(path, tmp_path / "x.h5", select=select)
    report = rollcore.build_dataset(path, tmp_path / "x.h5", select=Selection(tracks="bridge,kit", programs="24"))
    assert report.left_out == {"drums": 4, "of other tracks": 16, "of other programs": 2}
    assert "  left out                22   4 drums; 16 of other tracks; 2 of other programs" in str(report).split("\n")
    assert rollcore.build_dataset(path, tmp_path / "x.h5", drums=True).left_out == {}
    rollcore.write_midi(Selection(only_drums=True).kept(band()), tmp_path / "kit.mid")
    with pytest.raises(RollcoreError, match="no notes but drums"):
        rollcore.build_dataset(tmp_path / "kit.mid", tmp_path / "x.h5", select=Selection(pitch_range="60-70"))


def test_what_no_file_has_is_named(path, tmp_path):
    select = Selection(tracks="bridge,99,nobody", programs="24,3,4,5", channels="1-16")
    report = rollcore.build_dataset(path, tmp_path / "x.h5", select=select)
    assert report.unmatched == ("--tracks 99", "--tracks nobody")
    assert str(report).split("\n")[-2:] == [
        "--tracks 99: none of these files has such a note",
        "--tracks nobody: none of these files has such a note",
    ]
    voices = Selection(voices=["a=bridge", "b=nobody,99"])
    assert rollcore.build_dataset(path, tmp_path / "x.h5", select=voices).unmatched == ("--voice b=nobody,99",)
    for options, option in (
        ({"tracks": "99"}, "--tracks"),
        ({"programs": "3-5,9"}, "--programs"),
        ({"channels": "16"}, "--channels"),
        ({"voices": ["a=nobody"]}, "--voice"),
    ):
        with pytest.raises(RollcoreError, match=rf"none of 1 files gave a piece; .*not asked for \({option}\)"):
            rollcore.build_dataset(path, tmp_path / "x.h5", select=Selection(**options))
    assert list(Selection(programs="3-5,9,11,12").parts) == ["--programs 3-5,9,11-12"]


def test_a_format_2_track_of_drums_is_counted_too(tmp_path):
    track = bytes.fromhex("4D54726B 0000000B 00 90 3C 50 60 3C 00 00 FF 2F 00")
    drums = track.replace(b"\x90", b"\x99")
    (tmp_path / "x.mid").write_bytes(bytes.fromhex("4D546864 00000006 0002 0002 0060") + track + drums)
    assert rollcore.build_dataset(tmp_path / "x.mid", tmp_path / "x.h5").left_out == {"drums": 1}


def test_pieces_with_too_few_notes_or_pitches_are_skipped(path, tmp_path):
    for options, reason in (({"min_notes": 21}, "--min-notes"), ({"min_pitches": 6}, "--min-pitches")):
        with pytest.raises(RollcoreError, match=f"fewer .* than asked for \\({reason}\\)"):
            rollcore.build_dataset(path, tmp_path / "x.h5", select=Selection(**options))
        with pytest.raises(RollcoreError, match="piece: fewer than"):
            rollcore.piano_roll(band(), select=Selection(**options))
    enough = Selection(min_notes=20, min_pitches=5)
    assert rollcore.build_dataset(path, tmp_path / "x.h5", select=enough).notes == 20
    # A skipped piece between others takes no room.
    for name in "a", "c":
        rollcore.write_midi(Midi.from_notes([(0, 480, 40, 80, 0, 0)]), path.parent / f"{name}.mid")
    report = rollcore.build_dataset(path.parent, tmp_path / "x.h5", select=Selection(min_pitches=2))
    assert (report.pieces, report.skipped) == (1, 2)
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    assert np.array_equal(dataset.rows(0), rollcore.piano_roll(band()))


def test_the_phase_and_the_digests_are_those_of_all_notes(tmp_path):
    rows = [(517 + 480 * i, 700 + 480 * i, 60 + i % 7, 80, i % 2, i % 2) for i in range(80)]
    rollcore.write_midi(Midi.from_notes(rows), tmp_path / "x.mid")
    found = []
    for select in (None, Selection(channels=1)):
        rollcore.build_dataset(tmp_path / "x.mid", tmp_path / "x.h5", select=select)
        dataset = rollcore.open_dataset(tmp_path / "x.h5")
        found.append([dataset.pieces[name][0].tolist() for name in ("shift", "pitch_digest", "note_digest", "split")])
    assert found[0] == found[1]
    assert found[0][0] == -37
    assert int(dataset.pieces["notes"][0]) == 40
    alone = rollcore.piano_roll(Selection(channels=1).kept(Midi.from_notes(rows)))
    assert np.flatnonzero(rollcore.unpack(alone)[:, 1].any(axis=1))[0] == 4, "40 onsets alone are no evidence"


# ---- voices -----------------------------------------------------------------------------------------------------


VOICES = {"melody": "MELODY", "piano": "piano*,bridge", "kit": "5"}


def test_each_voice_has_planes_of_its_own(path, tmp_path):
    select = Selection(voices=VOICES)
    midi = rollcore.read_midi(path)
    rows = rollcore.piano_roll(midi, drums=True, select=select)
    assert rows.shape == (14, 6, 16)
    for number, tracks in enumerate(("melody", "piano*,bridge", "kit")):
        alone = rollcore.piano_roll(midi, drums=True, select=Selection(tracks=tracks))
        assert np.array_equal(rows[: len(alone), 2 * number : 2 * number + 2], alone)
    report = rollcore.build_dataset(path, tmp_path / "x.h5", drums=True, select=select)
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    assert dataset.voices == ("melody", "piano", "kit")
    assert dataset.planes[:3] == ("sounding:melody", "onset:melody", "sounding:piano")
    assert np.array_equal(dataset.rows(0), rows)
    assert report.left_out == {"of no voice": 4}
    assert dataset.options["select"] == {"voices": ["melody=MELODY", "piano=piano*,bridge", "kit=5"]}
    window = rollcore.windows(dataset, 5, hop=5).gather([1], semitones=[2])
    assert np.array_equal(rollcore.unpack(window[0])[:, 3, 2:], rollcore.unpack(rows)[5:10, 3, :-2])


def test_a_note_has_the_first_voice_that_its_track_matches():
    rows = rollcore.piano_roll(band(), select=Selection(voices=["left=*left", "piano=piano*"]))
    assert [kept(rows[:, first : first + 2]) for first in (0, 2)] == [{62: 4}, {63: 4}]


def test_voices_return_as_notes():
    rows = rollcore.piano_roll(band(), drums=True, select=Selection(voices=VOICES))
    notes = rollcore.notes_from_roll(rows)
    assert {(int(n["pitch"]), int(n["track"])) for n in notes} == {(60, 0), (61, 1), (62, 1), (63, 1), (65, 2)}
    assert (notes["channel"] == notes["track"]).all()
    back = rollcore.midi_from_roll(rows, grid=rollcore.Grid.beats(4))
    assert np.array_equal(rollcore.piano_roll(back, select=Selection(voices=["a=0", "b=1", "c=2"])), rows)
    many = np.zeros((2, 32, 16), np.uint8)
    many[0, :, 3] = 4
    channels = rollcore.notes_from_roll(many)["channel"].tolist()
    assert channels == [*range(9), *range(10, 16), 0]
    with pytest.raises(RollcoreError, match="2 for each voice"):
        rollcore.notes_from_roll(np.zeros((2, 3, 16), np.uint8))


def test_overlapping_notes_of_voices_equal_the_oracle():
    rng = np.random.default_rng(4)
    count = 400
    notes = np.zeros(count, rollcore.NOTE_DTYPE)
    notes["onset_tick"] = np.sort(rng.integers(0, 4000, count))
    notes["offset_tick"] = notes["onset_tick"] + rng.integers(0, 900, count)
    notes["pitch"] = rng.integers(60, 64, count)
    notes["track"] = rng.integers(0, 3, count)
    notes["velocity"] = 80
    midi = Midi(notes, np.zeros(0, rollcore.TEMPO_DTYPE), ticks_per_beat=480)
    rows = rollcore.piano_roll(midi, align=False, select=Selection(voices=["a=0", "b=1", "c=2"]))
    for track in range(3):
        own = [(*note.tolist()[:3], 0, 0) for note in notes[notes["track"] == track]]
        sounding, struck, _ = oracle.roll(480, own, [], steps_per_beat=4)
        assert oracle.cells(rows[:, 2 * track]) == sounding
        assert oracle.cells(rows[:, 2 * track + 1]) == struck


# ---- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"programs": "0-128"}, "programs '0-128': expected numbers from 0 to 127"),
        ({"programs": "7-0"}, "programs '7-0'"),
        ({"channels": "0"}, "channels '0': expected numbers from 1 to 16"),
        ({"channels": [1.5]}, "channels"),
        ({"tracks": "a,,b"}, "tracks 'a,,b': expected names or numbers"),
        ({"pitch_range": "60"}, "pitch_range '60': expected the lowest and highest pitch"),
        ({"pitch_range": (60, 59)}, "pitch_range"),
        ({"min_notes": -1}, "min_notes -1: expected a whole number"),
        ({"min_pitches": 129}, "min_pitches 129"),
        ({"voices": ["melody"]}, "voice 'melody': expected NAME=TRACK"),
        ({"voices": {"a:b": "x"}}, "voice 'a:b'"),
        ({"voices": ["a=x", "a=y"]}, "of different names"),
        ({"voices": [f"{i}=x" for i in range(17)]}, "at most 16"),
    ],
)
def test_bad_selections_are_named(options, message):
    with pytest.raises(RollcoreError, match=message.replace("(", r"\(")):
        Selection(**options)


def test_voices_have_both_planes():
    with pytest.raises(RollcoreError, match="voices have onsets too"):
        rollcore.piano_roll(band(), planes="sounding", select=Selection(voices=VOICES))


# ---- commands ---------------------------------------------------------------------------------------------------


def test_the_commands_take_a_selection(path, tmp_path, capsys):
    out = str(tmp_path / "x.h5")
    assert (
        main(
            [
                "build-dataset",
                str(path),
                out,
                "--tracks",
                "melody,bridge",
                "--channels",
                "1-2",
                "--programs",
                "0-100",
                "--pitch-range",
                "0-60",
                "--min-notes",
                "2",
                "--min-pitches",
                "1",
            ]
        )
        == 0
    )
    assert kept(rollcore.open_dataset(out).rows(0)) == {60: 4}
    assert main(["build-dataset", str(path), out, "--only-drums"]) == 0
    assert kept(rollcore.open_dataset(out).rows(0)) == {65: 4}
    assert main(["build-dataset", str(path), out, "--voice", "melody=melody", "--voice", "piano=piano*"]) == 0
    assert rollcore.open_dataset(out).voices == ("melody", "piano")
    for source in ([str(path), "--voice", "melody=melody", "--voice", "piano=piano*"], [out, "0"]):
        assert main(["plot", *source, str(tmp_path / f"{len(source)}.png")]) == 0
    pictures = [(tmp_path / f"{n}.png").read_bytes() for n in (5, 2)]
    assert pictures[0][:4] == pictures[1][:4] == b"\x89PNG"
    assert main(["plot", str(path), str(tmp_path / "all.png")]) == 0
    assert (tmp_path / "all.png").read_bytes() != pictures[0]
    assert main(["render", str(path), str(tmp_path / "all.wav")]) == 0
    assert main(["render", str(path), str(tmp_path / "some.wav"), "--tracks", "melody"]) == 0
    assert (tmp_path / "all.wav").read_bytes() != (tmp_path / "some.wav").read_bytes()
    capsys.readouterr()
    for command in (
        ["plot", out, "0", "x.png", "--tracks", "a"],
        ["render", out, "0", "x.wav", "--only-drums"],
        ["build-dataset", str(path), out, "--programs", "200"],
    ):
        assert main(command) == 2
    assert "expected numbers from 0 to 127" in capsys.readouterr().err
