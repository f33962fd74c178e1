"""read_midi's sources and errors, Midi.from_notes, write_midi."""

from __future__ import annotations

import copy
import io
import os
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest

from rollcore import Midi, MidiError, RollcoreError, read_midi, write_midi
from rollcore.midi import NOTE_DTYPE, PEDAL_DTYPE, TEMPO_DTYPE, TIME_SIGNATURE_DTYPE
from smf_cases import TWO, dump
from smf_cases import track as whole_track

FILE = dump('"MThd" 00000006 0001 0001 0060 "MTrk" 0000000B  00 90 3C 50  60 3C 00  00 FF 2F 00')
NOTE = (0, 96, 60, 80, 0, 0)


def written(midi: Midi, **options: object) -> mido.MidiFile:
    out = io.BytesIO()
    write_midi(midi, out, **options)  # type: ignore[arg-type]
    return mido.MidiFile(file=io.BytesIO(out.getvalue()), charset="utf-8")


def round_trip(midi: Midi) -> Midi:
    out = io.BytesIO()
    write_midi(midi, out)
    return read_midi(out.getvalue(), strict=True)


# ---------------------------------------------------------------- reading


def test_every_kind_of_source(tmp_path: Path) -> None:
    path = tmp_path / "päth \N{MUSICAL SYMBOL G CLEF}.mid"
    path.write_bytes(FILE)
    sources = [path, str(path), os.fsencode(path).decode(), FILE, bytearray(FILE), memoryview(FILE), io.BytesIO(FILE)]
    for source in sources:
        assert read_midi(source).notes.tolist() == [NOTE]
    with path.open("rb") as file:
        assert read_midi(file).notes.tolist() == [NOTE]


@pytest.mark.parametrize("source", ["missing.mid", ".", "nul\0byte.mid"])
def test_what_cannot_be_opened_is_one_line_with_its_name(source: str) -> None:
    with pytest.raises(RollcoreError, match="cannot be read: ") as raised:
        read_midi(source)
    assert str(raised.value).startswith(source)
    assert "\n" not in str(raised.value)


def test_a_name_that_is_not_utf8_can_be_printed() -> None:
    with pytest.raises(RollcoreError) as raised:
        read_midi(os.fsdecode(b"caf\xe9.mid"))
    assert str(raised.value).startswith("caf\\xe9.mid: cannot be read: ")


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RollcoreError, match="binary mode"):
        read_midi(io.StringIO("MThd"))  # type: ignore[arg-type]


def test_errors_name_file_offset_expected_found(tmp_path: Path) -> None:
    path = tmp_path / "long.mid"
    path.write_bytes(FILE.replace(b"\x00\x00\x00\x0b", b"\x00\x00\x23\x28"))
    with pytest.raises(MidiError) as raised:
        read_midi(path, strict=True)
    error = raised.value
    assert (error.file, error.offset, error.expected, error.found) == (str(path), 18, "a track length of 11", "9000")
    assert str(error) == f"{path}: byte 18: expected a track length of 11, found 9000"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert isinstance(error, RollcoreError)


def test_arrays_are_typed_read_only_and_outlive_the_midi() -> None:
    midi = read_midi(FILE)
    assert midi.notes.dtype == NOTE_DTYPE
    assert midi.tempos.dtype == TEMPO_DTYPE
    assert midi.pedals.dtype == PEDAL_DTYPE
    assert midi.tempo_tracks.dtype == np.uint16
    assert midi.time_signatures.dtype == TIME_SIGNATURE_DTYPE
    for array in (midi.notes, midi.tempos, midi.pedals, midi.tempo_tracks, midi.time_signatures):
        assert not array.flags.writeable
    notes = midi.notes
    del midi
    assert notes.tolist() == [NOTE]


def test_a_midi_can_be_pickled_and_copied() -> None:
    midi = read_midi(FILE)
    for twin in (pickle.loads(pickle.dumps(midi)), copy.deepcopy(midi)):
        assert twin.notes.tolist() == [NOTE]
        assert twin.ticks_per_beat == 96


def test_many_notes_of_one_tick_are_sorted_too() -> None:
    """More notes at one onset than are ordered by insertion, in two tracks, back to front."""
    rng = np.random.default_rng(5)
    keys = rng.permutation([(channel, pitch) for channel in range(4) for pitch in range(128)])
    ons = b"".join(bytes([0, 0x90 | channel, pitch, 1]) for channel, pitch in keys)
    offs = b"".join(bytes([1, 0x80 | channel, pitch, 1]) for channel, pitch in keys[::-1])
    body = ons + offs + bytes.fromhex("00FF2F00")
    track = b"MTrk" + len(body).to_bytes(4, "big") + body
    notes = read_midi(dump('"MThd" 00000006 0001 0002 0060') + track + track, strict=True).notes.tolist()
    assert len(notes) == 1024
    assert notes == sorted(notes, key=lambda n: (n[0], n[5], n[4], n[2], n[1]))


# ---------------------------------------------------------------- select


def test_select_by_tracks_programs_channels_and_drums() -> None:
    midi = read_midi(
        dump(
            TWO
            + whole_track('00 FF 03 05 "Piano"  00 B0 40 7F  00 90 3C 50  60 3C 00  00 C0 18  00 90 3E 50  60 3E 00')
            + whole_track('00 FF 03 04 "BASS"  00 C1 20  00 91 28 50  60 28 00  00 B9 07 40  00 99 24 50  60 24 00')
        )
    )

    def pitches(**options: object) -> list[int]:
        return midi.select(**options).notes["pitch"].tolist()

    assert pitches() == midi.notes["pitch"].tolist() == [60, 40, 62, 36]
    assert pitches(tracks="piano") == pitches(tracks="PI*") == pitches(tracks=0) == [60, 62]
    assert pitches(tracks=["bass", "p*o"]) == [60, 40, 62, 36]
    assert pitches(tracks="pi") == []
    assert pitches(programs="0-7") == [60], "drums have no program"
    assert pitches(programs=[24, 32]) == [40, 62]
    assert pitches(programs=0, drums=True) == [36]
    assert pitches(channels=[1, 10]) == [60, 62, 36]
    assert pitches(drums=True) == [36]
    assert pitches(drums=False) == [60, 40, 62]
    bass = midi.select(channels=2)
    assert (len(bass.pedals), len(bass.controllers), bass.programs["program"].tolist()) == (0, 0, [32])
    assert bass.track_names == midi.track_names == ("Piano", "BASS")
    assert midi.select(drums=True).controllers["value"].tolist() == [64]
    with pytest.raises(RollcoreError, match="channels 17: expected numbers from 1 to 16"):
        midi.select(channels=17)


def test_select_keeps_the_pedals_of_format_2_by_track() -> None:
    both = whole_track("00 B0 40 7F  00 90 3C 50  60 3C 00") * 2
    midi = read_midi(dump('"MThd" 00000006 0002 0002 0060' + both))
    assert midi.select(tracks=1).pedals.tolist() == [(0, 1, 0, True)]


# ---------------------------------------------------------------- from_notes


def test_from_notes_sorts_and_copies() -> None:
    notes = np.array([(5, 9, 60, 1, 0, 1), (5, 9, 60, 1, 0, 0), (0, 9, 70, 1, 2, 0), (0, 9, 60, 1, 2, 0)], NOTE_DTYPE)
    midi = Midi.from_notes(notes, tempos=[(9, 400_000), (0, 500_000)])
    assert midi.notes.tolist() == [notes[3].item(), notes[2].item(), notes[1].item(), notes[0].item()]
    assert midi.tempos.tolist() == [(0, 500_000), (9, 400_000)]
    assert not np.shares_memory(midi.notes, notes)
    assert Midi.from_notes([]).notes.tolist() == []
    lists = Midi.from_notes([list(note) for note in notes], tempos=[[9, 400_000], [0, 500_000]])
    assert np.array_equal(lists.notes, midi.notes)
    assert np.array_equal(lists.tempos, midi.tempos)
    arrays = Midi.from_notes(np.array(notes.tolist()), tempos=np.array([[9, 400_000], [0, 500_000]]))
    assert np.array_equal(arrays.notes, midi.notes)
    assert np.array_equal(arrays.tempos, midi.tempos)


def test_columns_go_by_their_names() -> None:
    names = ("velocity", "track", "pitch", "offset_tick", "channel", "onset_tick")
    notes = np.array([(80, 3, 60, 480, 1, 120)], [(name, "i8") for name in names])
    tempos = np.array([(400_000, 96)], [("microseconds_per_beat", "i8"), ("tick", "i8")])
    midi = Midi.from_notes(notes, tempos=tempos)
    assert midi.notes.tolist() == [(120, 480, 60, 80, 1, 3)]
    assert midi.tempos.tolist() == [(96, 400_000)]
    start = notes[["velocity", "track", "pitch", "offset_tick", "channel"]]
    with pytest.raises(RollcoreError, match=r"expected onset_tick, offset_tick, .*, found velocity, track"):
        Midi.from_notes(start)


def test_seconds_are_those_of_pretty_midi(midi_folder: Path) -> None:
    for path in sorted(midi_folder.rglob("*.mid"))[::40]:
        midi = read_midi(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has a word to say on tempos in other tracks, and reads them
            theirs = pretty_midi.PrettyMIDI(str(path))
        ticks = np.concatenate([midi.notes["onset_tick"], midi.notes["offset_tick"]])
        assert midi.seconds(ticks) == pytest.approx([theirs.tick_to_time(int(tick)) for tick in ticks], abs=1e-6)


def test_seconds_are_those_of_counting_tick_by_tick() -> None:
    tempos = [(100, 250_000), (100, 1_000_000), (340, 300_000)]
    midi = Midi.from_notes([(0, 480, 60, 80, 0, 0)], ticks_per_beat=96, tempos=tempos)
    seconds, now = [], 0.0
    for tick in range(400):  # each lasts by the last tempo at it or before
        seconds.append(now)
        at = next((tempo for start, tempo in reversed(tempos) if start <= tick), 500_000)
        now += at / 96e6
    assert midi.seconds(np.arange(400).reshape(20, 20)).ravel() == pytest.approx(seconds)
    assert midi.seconds(100) == pytest.approx(100 * 0.5 / 96)


def test_seconds_of_absolute_time_and_of_tracks() -> None:
    film = Midi(np.array([NOTE], NOTE_DTYPE), np.empty(0, TEMPO_DTYPE), 0, smpte=(25, 40))
    assert film.seconds([0, 1000]).tolist() == [0, 1]
    assert Midi(film.notes, film.tempos, 0, smpte=(29, 100)).seconds(3000) == pytest.approx(1.001)
    tempos = np.array([(0, 1_000_000), (0, 250_000)], TEMPO_DTYPE)
    tracks = np.array([0, 4], np.uint16)
    several = Midi(film.notes, tempos, 96, format=2, tempo_tracks=tracks)
    assert [several.seconds(96, track).item() for track in (0, 4, 7)] == [1, 0.25, 0.5]
    with pytest.raises(RollcoreError, match="ticks_per_beat"):
        Midi(film.notes, film.tempos, 0).seconds(0)
    with pytest.raises(RollcoreError, match="expected 2, one a tempo, found 0"):
        Midi(film.notes, tempos, 96, format=2).seconds(0, 4)


@pytest.mark.parametrize(
    ("n_tracks", "n_notes", "last_tick"),
    [(16, 3000, 9000), (3, 200, 1 << 26), (16, 40, 0), (1500, 3, 500), (2, 30_000, 100)],
)
def test_notes_of_many_tracks_are_in_order(n_tracks: int, n_notes: int, last_tick: int) -> None:
    rng = np.random.default_rng(n_tracks)
    tracks, expected = [], []
    for track in range(n_tracks):
        ticks = np.sort(rng.integers(0, last_tick, n_notes, endpoint=True)).tolist()
        if track == 0:
            ticks[-1] = 4 * last_tick  # far behind all others
        pitches, now, body = rng.integers(0, 128, n_notes).tolist(), 0, b""
        for tick, pitch in zip(ticks, pitches, strict=True):
            body += quantity(tick - now) + bytes([0x90 | track % 16, pitch, 1, 0, pitch, 0])
            now = tick
            expected.append((tick, tick, pitch, 1, track % 16, track))
        body += bytes([0, 0xFF, 0x2F, 0])
        tracks.append(b"MTrk" + len(body).to_bytes(4, "big") + body)
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 1]) + n_tracks.to_bytes(2, "big") + bytes([0, 96])
    expected.sort(key=lambda note: (note[0], note[5], note[4], note[2]))
    assert read_midi(header + b"".join(tracks)).notes.tolist() == expected


def quantity(value: int) -> bytes:
    """A number as MIDI writes it, seven bits a byte."""
    groups = [value >> shift & 127 for shift in (21, 14, 7, 0)]
    while len(groups) > 1 and groups[0] == 0:
        del groups[0]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


@pytest.mark.parametrize(
    ("note", "problem"),
    [
        ((-1, 5, 60, 80, 0, 0), "onset_tick must not be negative"),
        ((5, 4, 60, 80, 0, 0), "offset_tick must not be before onset_tick"),
        ((0, 5, 128, 80, 0, 0), "pitch must be from 0 to 127"),
        ((0, 5, 60, 0, 0, 0), "velocity must be from 1 to 127"),
        ((0, 5, 60, 128, 0, 0), "velocity must be from 1 to 127"),
    ],
)
def test_notes_that_no_file_can_hold(note: tuple[int, ...], problem: str) -> None:
    with pytest.raises(RollcoreError, match=f"^note 1: {problem}$"):
        Midi.from_notes([NOTE, note])
    with pytest.raises(RollcoreError, match=f"^note 0: {problem}$"):
        write_midi(Midi(np.array([note], NOTE_DTYPE), np.empty(0, TEMPO_DTYPE), 480), io.BytesIO())


@pytest.mark.parametrize("pitch", [float("nan"), -1, 256, 60.9, 2**70, "C4"])
def test_notes_that_are_no_whole_numbers(pitch: Any) -> None:
    with pytest.raises(RollcoreError, match="notes, tempos and time signatures must be whole numbers"):
        Midi.from_notes([(0, 5, pitch, 80, 0, 0)])


def test_no_value_changes_on_its_way_into_a_piece() -> None:
    wide = np.zeros(1, [(name, "i8") for name in NOTE_DTYPE.names or ()])
    for name, value in zip(wide.dtype.names or (), (0, 480, 60, 80, 0, 3), strict=True):
        wide[name] = value
    assert Midi.from_notes(wide).notes.tolist() == [(0, 480, 60, 80, 0, 3)]
    assert Midi.from_notes(np.array([[0.0, 480, 60, 80, 0, 3]])).notes.tolist() == [(0, 480, 60, 80, 0, 3)]
    wide["pitch"] = 300
    with pytest.raises(RollcoreError, match="pitch cannot be 300"):
        Midi.from_notes(wide)
    with pytest.raises(RollcoreError, match=r"offset_tick cannot be 480\.9"):
        Midi.from_notes(np.array([[0, 480.9, 60, 80, 0, 0]]))
    with pytest.raises(RollcoreError, match="whole numbers in rows"):
        Midi.from_notes([(0, 480, 60)])


@pytest.mark.parametrize("tempo", [(0, 0), (0, 1 << 24), (0, -5), (-1, 500_000)])
def test_tempos_that_no_file_can_hold(tempo: tuple[int, int]) -> None:
    with pytest.raises(RollcoreError, match="tempo must be from 1 to 16777215"):
        Midi.from_notes([], tempos=[tempo])


@pytest.mark.parametrize("ticks_per_beat", [0, -1, 32768, 480.5, 480.0])
def test_ticks_per_beat_that_no_file_can_hold(ticks_per_beat: Any) -> None:
    with pytest.raises(RollcoreError, match="ticks_per_beat must be a whole number from 1 to 32767"):
        Midi.from_notes([], ticks_per_beat=ticks_per_beat)


@pytest.mark.parametrize("smpte", [(23, 40), (25, 0), (25, 256), (25, 40.5), (300, 40)])
def test_smpte_divisions_that_no_file_can_hold(smpte: Any) -> None:
    midi = Midi(np.empty(0, NOTE_DTYPE), np.empty(0, TEMPO_DTYPE), 0, smpte=smpte)
    with pytest.raises(RollcoreError, match="expected 24, 25, 29 or 30 frames per second"):
        write_midi(midi, io.BytesIO())


# ---------------------------------------------------------------- writing


def test_a_tempo_track_then_named_tracks() -> None:
    midi = Midi.from_notes([(0, 480, 60, 80, 0, 3), (0, 480, 36, 100, 9, 7)], tempos=[(0, 600_000)])
    file = written(midi, track_names=["Piano", "Schlägel"], time_signature=(6, 8), key_signature="F#m")
    assert (file.type, file.ticks_per_beat, len(file.tracks)) == (1, 480, 3)
    assert [message.type for message in file.tracks[0]] == [
        "time_signature",
        "key_signature",
        "set_tempo",
        "end_of_track",
    ]
    assert (file.tracks[0][0].numerator, file.tracks[0][0].denominator) == (6, 8)
    assert file.tracks[0][1].key == "F#m"
    assert [track.name for track in file.tracks[1:]] == ["Piano", "Schlägel"]
    assert all(track[-1].type == "end_of_track" for track in file.tracks)


def test_a_track_name_that_is_no_unicode() -> None:
    midi = Midi.from_notes([(0, 480, 60, 80, 0, 0)])
    assert written(midi, track_names=["caf\udce9"]).tracks[1].name == "caf\\udce9"


def test_order_at_one_tick() -> None:
    """Note-offs, then the pedal, then note-ons, then the ends of notes without length."""
    notes = [(0, 48, 60, 80, 0, 0), (48, 96, 60, 80, 0, 0), (48, 48, 64, 80, 0, 0)]
    midi = Midi.from_notes(notes)
    pedals = np.array([(48, 0, 0, True)], PEDAL_DTYPE)
    midi = Midi(midi.notes, midi.tempos, 480, pedals=pedals)
    now, order = 0, []
    for message in written(midi).tracks[1]:
        now += message.time
        if now == 48 and not message.is_meta:
            order.append((message.type, message.dict().get("note", message.dict().get("control"))))
    assert order == [("note_off", 60), ("control_change", 64), ("note_on", 60), ("note_on", 64), ("note_off", 64)]
    back = round_trip(midi)
    assert [note[:3] for note in back.notes.tolist()] == [(0, 48, 60), (48, 96, 60), (48, 48, 64)]
    assert back.pedals.tolist() == [(48, 1, 0, True)]


def test_time_signatures_are_written_and_read_back() -> None:
    bars = [(960, 6, 8, 2), (0, 3, 4, 0)]
    midi = Midi.from_notes([NOTE], tempos=[(480, 400_000)], time_signatures=bars)
    assert midi.time_signatures.tolist() == [(0, 3, 4, 0), (960, 6, 8, 2)]
    events, now = [], 0
    for message in written(midi).tracks[0]:
        now += message.time
        if message.type == "time_signature":
            events.append((now, message.numerator, message.denominator))
    assert events == [(0, 3, 4), (960, 6, 8)]
    assert round_trip(midi).time_signatures.tolist() == [(0, 3, 4, 0), (960, 6, 8, 0)]
    only = written(midi, time_signature=(2, 2)).tracks[0]
    signatures = [(m.time, m.numerator, m.denominator) for m in only if m.type == "time_signature"]
    assert signatures == [(0, 2, 2)]


def test_the_bar_at_a_tick() -> None:
    found = [(4, 3, 4, 0), (8, 6, 8, 1), (9, 1, 4, 0), (10, 255, 256, 0)]
    midi = Midi.from_notes([NOTE], time_signatures=found)
    assert [midi.bar_at(tick) for tick in (3, 4, 7, 8, 9, 10)] == [None, (3, 4), (3, 4), (6, 8), None, (255, 256)]
    assert [midi.bar_at(8, track) for track in (0, 1, 2)] == [(3, 4), (6, 8), None]


def test_how_a_piece_opens() -> None:
    notes = [(0, 10, 40, 80, 9, 0), (480, 960, 60, 80, 0, 1)]
    tempos, bars = [(0, 400_000), (480, 600_000), (481, 700_000)], [(0, 2, 4, 0), (480, 3, 4, 0), (480, 6, 8, 1)]
    midi = Midi.from_notes(notes, tempos=tempos, time_signatures=bars)
    assert midi.opening() == (600_000, (6, 8), 1)
    assert midi.opening(drums=True) == (400_000, (6, 8), 1), "a bar of one beat is the pick-up"
    apart = Midi(
        midi.notes, midi.tempos, 480, format=2, tempo_tracks=np.array([0, 0, 1]), time_signatures=midi.time_signatures
    )
    assert apart.opening() == (None, (6, 8), 1), "the tempos are those of the other track"
    assert apart.opening(drums=True) == (400_000, (3, 4), 1)
    assert Midi.from_notes([]).opening() == (None, None, 0)


@pytest.mark.parametrize("row", [(-5, 0, 0, True), (-1, 0, 3, False)])
def test_pedals_that_no_file_can_hold(row: tuple[int, int, int, bool]) -> None:
    midi = Midi.from_notes([NOTE])
    pedals = np.array([row], midi.pedals.dtype)
    with pytest.raises(RollcoreError, match="pedals: expected a tick of 0 or more"):
        write_midi(Midi(midi.notes, midi.tempos, 480, pedals=pedals), io.BytesIO())


@pytest.mark.parametrize("row", [(0, 0, 4, 0), (0, 256, 4, 0), (0, 4, 3, 0), (0, 4, 512, 0), (-1, 4, 4, 0)])
def test_time_signatures_that_no_file_can_hold(row: tuple[int, int, int, int]) -> None:
    with pytest.raises(RollcoreError, match="a time signature must be 1 to 255 beats of a power of two up to 256"):
        Midi.from_notes([NOTE], time_signatures=[row])


def test_rows_that_lack_a_column() -> None:
    with pytest.raises(RollcoreError, match="expected tick, beats, value, track in each row"):
        Midi.from_notes([NOTE], time_signatures=[(0, 6, 8)])
    with pytest.raises(RollcoreError, match="expected onset_tick, offset_tick, pitch, velocity, channel, track in"):
        Midi.from_notes([(0, 480, 60, 80)])


def test_equal_input_gives_equal_bytes_on_path_and_file(tmp_path: Path) -> None:
    midi = Midi.from_notes([NOTE], tempos=[(0, 500_000)])
    out = io.BytesIO()
    write_midi(midi, out)
    write_midi(midi, tmp_path / "a.mid")
    write_midi(midi, str(tmp_path / "b.mid"))
    assert out.getvalue() == (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_nothing_is_invented() -> None:
    back = round_trip(Midi.from_notes([]))
    assert back.tempos.tolist() == []
    assert back.notes.tolist() == []
    assert back.ticks_per_beat == 480


@pytest.mark.parametrize("smpte", [(24, 4), (25, 40), (29, 80), (30, 255)])
def test_smpte_division_is_kept(smpte: tuple[int, int]) -> None:
    midi = Midi(np.array([NOTE], NOTE_DTYPE), np.empty(0, TEMPO_DTYPE), 0, smpte=smpte)
    back = round_trip(midi)
    assert (back.smpte, back.ticks_per_beat) == (smpte, 0)


def test_nested_notes_come_back_first_in_first_out() -> None:
    midi = Midi.from_notes([(0, 100, 60, 80, 0, 0), (10, 20, 60, 70, 0, 0)])
    assert [note[:4] for note in round_trip(midi).notes.tolist()] == [(0, 20, 60, 80), (10, 100, 60, 70)]


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    midi = Midi.from_notes([NOTE])
    with pytest.raises(RollcoreError, match="more than 268435455 ticks"):
        write_midi(Midi.from_notes([(0, 1 << 28, 60, 80, 0, 0)]), io.BytesIO())
    with pytest.raises(RollcoreError, match="format 2"):
        write_midi(Midi(midi.notes, midi.tempos, 480, format=2), io.BytesIO())
    with pytest.raises(RollcoreError, match=r"time signature .* not 3/5"):
        write_midi(midi, io.BytesIO(), time_signature=(3, 5))
    with pytest.raises(RollcoreError, match=r"key_signature .* not 'H'"):
        write_midi(midi, io.BytesIO(), key_signature="H")
    with pytest.raises(RollcoreError, match=r"no/x\.mid: cannot be written: No such file"):
        write_midi(midi, tmp_path / "no" / "x.mid")


def test_threads_share_nothing() -> None:
    """Many threads on different files at once give what one gives."""
    files = []
    for pitch in range(100):
        body = b"".join(bytes([0, 0x90, pitch, 80, 1, pitch, 0]) for _ in range(300)) + bytes.fromhex("00FF2F00")
        files.append(dump('"MThd" 00000006 0001 0001 0060 "MTrk"') + len(body).to_bytes(4, "big") + body)
    alone = [read_midi(file).notes.tolist() for file in files]
    with ThreadPoolExecutor(8) as pool:
        assert [midi.notes.tolist() for midi in pool.map(read_midi, files * 3)] == alone * 3


def test_the_rest_at_the_end_belongs_to_the_piece():
    midi = Midi.from_notes([(0, 480, 60, 80, 0, 0), (0, 960, 64, 80, 1, 1)])
    for end_tick, lasts in (0, 960), (700, 960), (4800, 4800):
        out = io.BytesIO()
        write_midi(midi, out, end_tick=end_tick)
        tracks = mido.MidiFile(file=io.BytesIO(out.getvalue())).tracks
        assert max(sum(message.time for message in track) for track in tracks) == lasts
        assert all(track[-1].type == "end_of_track" and sum(m.time for m in track) >= end_tick for track in tracks)
        assert np.array_equal(read_midi(out.getvalue(), strict=True).notes["offset_tick"], midi.notes["offset_tick"])
    with pytest.raises(RollcoreError, match="ticks after the event before it"):
        write_midi(midi, io.BytesIO(), end_tick=2**28 + 960)


def test_a_file_of_more_notes_than_memory_is_reserved_for():
    n = 230_000
    events = np.zeros((2 * n, 3), np.uint8)  # delta, pitch, velocity
    events[:, 0] = 1
    events[:, 1] = np.tile(np.arange(n) % 128, 2)
    events[:n, 2] = 64
    played = b"\x01\x90" + events.tobytes()[1:] + b"\x00\xff\x2f\x00"
    unended = b"\x00\x91\x05\x40" + b"\x00\x05\x40" * 60_000 + b"\x87\xff\x7f\xff\x2f\x00"  # far beyond 16 beats
    tracks = b"".join(b"MTrk" + len(body).to_bytes(4, "big") + body for body in (unended, played))
    midi = read_midi(bytes.fromhex("4D546864 00000006 0001 0002 0060") + tracks)
    assert np.array_equal(midi.notes["onset_tick"], np.arange(1, n + 1))
    assert np.array_equal(midi.notes["offset_tick"], np.arange(n + 1, 2 * n + 1))
    assert np.array_equal(midi.notes["pitch"], np.arange(n) % 128)
    assert midi.repairs == {"unended_note": 60_001}
