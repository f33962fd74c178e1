"""What `rollcore info` tells of a MIDI file."""

from __future__ import annotations

from rollcore import read_midi
from rollcore.show.instruments import PROGRAM_NAMES
from rollcore.show.tracks import midi_facts, midi_lines
from smf_cases import TWO, XG_ON, dump, track

BAND = dump(
    TWO
    + track('00 FF 03 05 "Piano"' + XG_ON + "00 C0 04  00 90 3C 50  60 3C 00  00 C0 49  00 90 48 50  60 48 00")
    + track('00 FF 03 03 "Kit"  00 B2 00 7F  00 C2 00  00 92 24 50  60 24 00  00 91 30 50  60 91 30 00')
)


def test_facts_of_a_file() -> None:
    facts = midi_facts(read_midi(BAND))
    assert (facts["format"], facts["ticks_per_beat"], facts["seconds"], facts["notes"]) == (1, 96, 1.0, 4)
    common = {"port": 0, "drums": False}
    assert facts["tracks"] == [
        {**common, "track": 0, "name": "Piano", "channel": 1, "programs": [4, 73], "notes": 2, "pitches": [60, 72]},
        {**common, "track": 1, "name": "Kit", "channel": 2, "programs": [0], "notes": 1, "pitches": [48, 48]},
        {**common, "track": 1, "name": "Kit", "channel": 3, "programs": [0], "notes": 1, "pitches": [36, 36]}
        | {"drums": True},
    ]
    assert midi_facts(read_midi(dump(TWO)))["tracks"] == []


def test_lines_name_programs_and_ports() -> None:
    lines = list(midi_lines(midi_facts(read_midi(BAND))))
    assert lines[0] == "format 1, 96 ticks a beat, 1.0 s, 4 notes"
    assert [line.split() for line in lines[3:]] == [
        ["0", "Piano", "1", "2", "60-72", "4", "Electric", "Piano", "1,", "73", "Flute"],
        ["1", "Kit", "2", "1", "48-48", "0", "Acoustic", "Grand", "Piano"],
        ["1", "Kit", "3", "1", "36-36", "drums"],
    ]
    assert len(set(PROGRAM_NAMES)) == 128
    port = list(midi_lines(midi_facts(read_midi(dump(TWO + track("00 FF 21 01 03  00 95 3C 50  60 3C 00"))))))
    assert port[1].startswith("repaired: track_count 1")
    assert "6 (3)" in port[-1]


def test_each_track_of_format_2_has_its_own_time() -> None:
    slow = track("00 FF 51 03 0F4240  00 90 3C 50  60 3C 00")
    fast = track("00 90 3C 50  60 3C 00")
    assert midi_facts(read_midi(dump('"MThd" 00000006 0002 0002 0060' + slow + fast)))["seconds"] == 1.0
