"""The parser on random input: what mido writes, random pairings, random bytes, and real files."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agreement import agrees_with_the_twin
from oracles_smf import pair
from rollcore import Midi, read_midi, write_midi
from rollcore.midi import NOTE_DTYPE
from smf_cases import CASES

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Few channels and pitches, so that notes overlap, end early and stray.
note_events = st.lists(
    st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 1), st.integers(60, 62)), max_size=60
)


def mido_file(*tracks: list[mido.Message], ticks_per_beat: int = 480, type: int = 1) -> bytes:
    file = mido.MidiFile(type=type, ticks_per_beat=ticks_per_beat, tracks=[mido.MidiTrack(track) for track in tracks])
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


@quick
@given(st.lists(note_events, min_size=1, max_size=3), st.booleans())
def test_pairing_equals_the_oracle(tracks: list[list[tuple[int, bool, int, int]]], offs_are_ons: bool) -> None:
    written, expected, stray, left, onsets = [], [], 0, [], []
    for index, events in enumerate(tracks):
        messages, absolute, now = [], [], 0
        for delta, is_on, channel, pitch in events:
            now += delta
            absolute.append((now, is_on, channel, pitch, 90))
            kind = "note_on" if is_on or offs_are_ons else "note_off"
            messages.append(mido.Message(kind, time=delta, channel=channel, note=pitch, velocity=90 if is_on else 0))
        written.append(messages)
        notes, n_stray, open_notes = pair(absolute)
        expected += [(*note, index) for note in notes]
        stray += n_stray
        left += [(*note, index, now) for note in open_notes]
        onsets += [(channel, pitch, tick) for tick, is_on, channel, pitch, _ in absolute if is_on]
    held = [  # what the end of its track ends: all tracks are shorter than 16 beats
        (onset, end, pitch, velocity, channel, index)
        for onset, _, pitch, velocity, channel, index, end in left
        if end > onset and not any((c, p) == (channel, pitch) and tick > onset for c, p, tick in onsets)
    ]
    expected += held
    midi = read_midi(mido_file(*written))
    assert midi.notes.tolist() == sorted(expected, key=lambda n: (n[0], n[5], n[4], n[2], n[1]))
    found = {"stray_note_off": stray, "unended_note": len(left) - len(held), "held_to_end": len(held)}
    assert midi.repairs == {code: count for code, count in found.items() if count}


others = st.one_of(
    st.builds(mido.MetaMessage, st.just("set_tempo"), tempo=st.integers(1, (1 << 24) - 1)),
    st.builds(mido.MetaMessage, st.just("lyrics"), text=st.text(st.characters(max_codepoint=255), max_size=200)),
    st.builds(
        mido.MetaMessage,
        st.just("time_signature"),
        numerator=st.integers(1, 255),
        denominator=st.integers(0, 8).map(lambda power: 2**power),
    ),
    st.builds(mido.MetaMessage, st.just("key_signature"), key=st.sampled_from(["C", "Abm", "F#"])),
    st.builds(mido.MetaMessage, st.just("sequencer_specific"), data=st.binary(max_size=5)),
    st.builds(mido.Message, st.just("sysex"), data=st.lists(st.integers(0, 127), max_size=200)),
    st.builds(mido.Message, st.just("program_change"), channel=st.integers(0, 1), program=st.integers(0, 127)),
    st.builds(mido.Message, st.just("pitchwheel"), channel=st.integers(0, 1), pitch=st.integers(-8192, 8191)),
    st.builds(
        mido.Message,
        st.just("control_change"),
        channel=st.integers(0, 1),
        control=st.sampled_from([1, 64]),
        value=st.integers(0, 127),
    ),
)
deltas = st.one_of(st.integers(0, 300), st.sampled_from([127, 128, 16383, 16384, 2097151, 2097152, (1 << 28) - 1]))
songs = st.lists(  # tracks of (delta, note as (length, channel, pitch, velocity) or another message)
    st.lists(
        st.tuples(
            deltas,
            st.one_of(
                others,
                st.tuples(st.integers(0, 500), st.integers(0, 15), st.integers(0, 127), st.integers(1, 127)),
            ),
        ),
        max_size=25,
    ),
    min_size=1,
    max_size=3,
)


@quick
@given(songs, st.integers(1, 32767))
def test_what_mido_writes_is_read_back_exactly(
    song: list[list[tuple[int, mido.Message | tuple[int, int, int, int]]]], ticks_per_beat: int
) -> None:
    written, notes, tempos, pedals, bars = [], [], [], [], []
    for index, track in enumerate(song):
        events: list[tuple[int, mido.Message]] = []
        now = 0
        busy: dict[tuple[int, int], int] = {}
        for delta, what in track:
            now += delta
            if isinstance(what, tuple):
                length, channel, pitch, velocity = what
                if busy.get((channel, pitch), -1) >= now:
                    continue  # pairing of overlaps is the other test's affair
                busy[channel, pitch] = now + length
                notes.append((now, now + length, pitch, velocity, channel, index))
                common = {"channel": channel, "note": pitch}
                events.append((now, mido.Message("note_on", velocity=velocity, **common)))
                events.append((now + length, mido.Message("note_off", **common)))
                continue
            events.append((now, what))
            if what.type == "set_tempo":
                tempos.append((now, what.tempo))
            if what.type == "time_signature":
                bars.append((now, what.numerator, what.denominator, index))
            if what.type == "control_change" and what.control == 64:
                pedals.append((now, index, what.channel, what.value >= 64))
        events.sort(key=lambda event: event[0])
        ticks = [0, *(tick for tick, _ in events)]
        written.append(
            [message.copy(time=tick - before) for (tick, message), before in zip(events, ticks, strict=False)]
        )
    midi = read_midi(mido_file(*written, ticks_per_beat=ticks_per_beat), strict=True)
    assert midi.ticks_per_beat == ticks_per_beat
    assert midi.notes.tolist() == sorted(notes, key=lambda n: (n[0], n[5], n[4], n[2], n[1]))
    assert midi.tempos.tolist() == sorted(tempos, key=lambda tempo: tempo[0])
    changes, down = [], set()
    for pedal in sorted(pedals, key=lambda pedal: pedal[0]):
        if pedal[3] != (pedal[2] in down):
            down ^= {pedal[2]}
            changes.append(pedal)
    assert midi.pedals.tolist() == changes
    assert midi.time_signatures.tolist() == sorted(bars, key=lambda bar: bar[0])


@quick
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**7),
            st.integers(0, 10**6),
            st.integers(0, 127),
            st.integers(1, 127),
            st.integers(0, 15),
            st.integers(0, 3),
        ),
        unique_by=lambda note: (note[2], note[4], note[5]),  # no two notes share a queue
        max_size=40,
    ),
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, (1 << 24) - 1)), max_size=5),
)
def test_writing_and_reading_is_the_identity(notes: list[tuple[int, ...]], tempos: list[tuple[int, int]]) -> None:
    notes = [(on, on + length, *rest) for on, length, *rest in notes]
    midi = Midi.from_notes(np.array(notes, NOTE_DTYPE), ticks_per_beat=960, tempos=tempos)
    out = io.BytesIO()
    write_midi(midi, out)
    back = read_midi(out.getvalue(), strict=True)
    order = np.unique(midi.notes["track"]).tolist()  # track 0 of the file is the tempo track
    renumbered = [(*note[:5], order.index(note[5]) + 1) for note in midi.notes.tolist()]
    assert back.notes.tolist() == renumbered
    assert back.tempos.tolist() == midi.tempos.tolist()
    assert back.ticks_per_beat == 960


@quick
@given(st.binary(max_size=120), st.integers(0, 2**32 - 1))
def test_random_track_bytes_read_as_the_twin_does(body: bytes, length: int) -> None:
    head = b"MThd" + bytes([0, 0, 0, 6, 0, 1, 0, 1, 0, 96]) + b"MTrk"
    agrees_with_the_twin(head + len(body).to_bytes(4, "big") + body)
    agrees_with_the_twin(head + length.to_bytes(4, "big") + body)


@settings(quick, max_examples=400)
@given(st.data())
def test_damaged_hexdumps_read_as_the_twin_does(data: st.DataObject) -> None:
    contents = bytearray(data.draw(st.sampled_from(CASES)).data)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(contents)))
        gone = data.draw(st.integers(0, 4))
        pieces = [b"MTrk", b"MThd", b"\x00\xff\x2f\x00", b"\x00\x00\x00\x04", b"RIFF"]
        contents[at : at + gone] = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from(pieces)))
    agrees_with_the_twin(bytes(contents))


# ---------------------------------------------------------------- real files


def test_real_files_equal_symusic(midi_folder: Path) -> None:
    """No difference in any note or tempo: these files need no repair, where the readers' rules part."""
    symusic = pytest.importorskip("symusic", reason="symusic is not installed")
    for path in sorted(midi_folder.rglob("*.mid")):
        midi = read_midi(path, strict=True)
        score = symusic.Score(path)
        theirs = Counter(
            (note.start, note.end, note.pitch, note.velocity, track.is_drum)
            for track in score.tracks
            for note in track.notes
        )
        ours = Counter(
            (onset, offset, pitch, velocity, channel == 9)
            for onset, offset, pitch, velocity, channel, _ in midi.notes.tolist()
        )
        assert ours == theirs, path.name
        assert midi.tempos.tolist() == [(tempo.time, tempo.mspq) for tempo in score.tempos], path.name
        assert midi.ticks_per_beat == score.ticks_per_quarter


def test_real_files_equal_mido(midi_folder: Path) -> None:
    """Every message that mido decodes, paired by the oracle, gives the same notes."""
    for path in sorted(midi_folder.rglob("*.mid"))[::8]:
        midi = read_midi(path)
        file = mido.MidiFile(path)
        notes, tempos = [], []
        for index, track in enumerate(file.tracks):
            now, events = 0, []
            for message in track:
                now += message.time
                if message.type == "set_tempo":
                    tempos.append((now, message.tempo))
                if message.type in ("note_on", "note_off"):
                    is_on = message.type == "note_on" and message.velocity > 0
                    events.append((now, is_on, message.channel, message.note, message.velocity))
            paired, stray, unended = pair(events)
            assert stray == len(unended) == 0
            notes += [(*note, index) for note in paired]
        assert midi.notes.tolist() == sorted(notes, key=lambda n: (n[0], n[5], n[4], n[2], n[1])), path.name
        assert midi.tempos.tolist() == sorted(tempos, key=lambda tempo: tempo[0])
        assert (midi.ticks_per_beat, midi.format) == (file.ticks_per_beat, file.type)
