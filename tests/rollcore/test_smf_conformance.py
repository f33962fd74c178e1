"""One hand-written file for each reading rule, and every way to cut or corrupt a small one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from agreement import agrees_with_the_twin
from rollcore import MidiError, read_midi
from rollcore.midi import REPAIR_CODES
from rollcore.repairs import REPAIRS
from smf_cases import ALLOWED, CASES, Case, dump, track


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rule(case: Case) -> None:
    midi = read_midi(case.data)
    assert midi.notes.tolist() == case.notes
    assert midi.repairs == case.repairs
    assert midi.tempos.tolist() == case.tempos
    assert midi.pedals.tolist() == case.pedals
    assert midi.time_signatures.tolist() == case.time_signatures
    assert midi.parts.tolist() == case.parts
    drums = [i for i, note in enumerate(case.notes) if note[4] == 9] if case.drums is None else case.drums
    assert np.flatnonzero(midi.drums).tolist() == drums
    assert case.track_names is None or midi.track_names == case.track_names
    assert case.programs is None or midi.programs.tolist() == case.programs
    assert (midi.ticks_per_beat, midi.format, midi.smpte) == (case.ticks_per_beat, case.format, case.smpte)
    if case.strict is None:
        assert read_midi(case.data, strict=True).notes.tolist() == case.notes
    else:
        with pytest.raises(MidiError) as raised:
            read_midi(case.data, strict=True)
        assert raised.value.offset == case.strict
        assert "\n" not in str(raised.value)
        assert str(raised.value).startswith(f"<bytes>: byte {case.strict}: expected ")
    agrees_with_the_twin(case.data)


def test_names_and_coverage_of_the_suite() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(CASES) - len(ALLOWED) >= 43  # kinds of damage
    seen = {code for case in CASES for code in case.repairs}
    assert seen == set(REPAIR_CODES) == set(REPAIRS)


# Ten ticks lie before its note, and a delta of 1290 is 8A 0A.
LINE_ENDS = dump(
    '"MThd" 00000006 0001 0002 0060' + track("0A 90 3C 50  60 3C 00  8A 0A 3C 50  60 3C 00") + track("0A C0 0A")
)


def test_line_ends_as_they_were_written() -> None:
    assert len(read_midi(LINE_ENDS, strict=True).notes) == 2
    # A bare 0A anywhere, or chunks that do not fill the file, and it is something else.
    assert read_midi(LINE_ENDS.replace(b"\n", b"\r\n", 2)).repairs
    assert read_midi(LINE_ENDS.replace(b"\n", b"\r\n") + b"MTrk").repairs


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "empty file"),
        (b"<html><head><title>404</title>", "'<html'"),
        (b"\n<!DOCTYPE html>", "0a 3c 21 44 4f"),
        (b"MTh", "'MTh'"),
        (b"PK\x03\x04", "50 4b 03 04"),
        (b"PK\x03\x04" + CASES[0].data, "50 4b 03 04"),  # a song stored in a zip archive
        (b"RIFF\x04\x00\x00\x00WAVE", "52 49 46 46 04"),
        (
            b"MTrk\x00\x00\x00\x04\x00\xff\x2f\x00",
            "4d 54 72 6b 00",
        ),  # a track with no header has no time base
        (LINE_ENDS.replace(b"\n", b"\r\n"), "line ends translated (0D 0A where 0A was)"),
        (b"foreign bytes" + LINE_ENDS.replace(b"\n", b"\r\n"), "line ends translated"),
    ],
)
def test_what_is_no_midi_file_says_what_it_is(data: bytes, found: str) -> None:
    with pytest.raises(
        MidiError, match=r"byte 0: expected (a MIDI file \(MThd\)|bytes as they were written), found "
    ) as raised:
        read_midi(data)
    assert found in str(raised.value)
    agrees_with_the_twin(data)


GOOD = dump(
    """
    "MThd" 00000006 0001 0002 0060
    "MTrk" 00000013
    00 FF 58 04 04021808
    00 FF 51 03 07A120
    00 FF 2F 00
    "MTrk" 00000021
    00 FF 03 01 41
    00 90 3C 50  00 40 50
    60 3C 00  00 80 40 40
    10 B0 40 7F
    81 00 F0 02 43F7
    00 FF 2F 00
    """
)


def test_every_prefix_of_a_good_file() -> None:
    assert read_midi(GOOD, strict=True).repairs == {}
    n_notes = [len(midi.notes) for cut in range(len(GOOD)) if (midi := agrees_with_the_twin(GOOD[:cut]))]
    assert n_notes == sorted(n_notes)
    assert n_notes[-1] == 2


def test_every_single_byte_corruption_of_a_small_file() -> None:
    for offset in range(len(GOOD)):
        for value in range(256):
            agrees_with_the_twin(GOOD[:offset] + bytes([value]) + GOOD[offset + 1 :])


def test_every_deletion_and_insertion_of_a_byte() -> None:
    for offset in range(len(GOOD)):
        agrees_with_the_twin(GOOD[:offset] + GOOD[offset + 1 :])
        for value in (0x00, 0x3C, 0x7F, 0x80, 0x90, 0xF0, 0xF2, 0xF7, 0xFE, 0xFF):
            agrees_with_the_twin(GOOD[:offset] + bytes([value]) + GOOD[offset:])


def test_more_tracks_than_the_track_number_holds() -> None:
    track = dump('"MTrk" 0000000B  00 90 3C 50  60 3C 00  00 FF 2F 00')
    midi = read_midi(dump('"MThd" 00000006 0001 FFFF 0060') + track * 65_540)
    assert len(midi.notes) == 65_540
    assert midi.notes["track"][-6:].tolist() == [65534] + [65535] * 5
    assert midi.repairs == {"track_count": 1}


def test_lengths_that_lie_allocate_nothing() -> None:
    """47 bytes that declare gigabytes four times over are read within 64 MiB beyond the interpreter's own."""
    data = dump(
        """
        "MThd" 00000006 0001 FFFF 0060
        "MTrk" 7FFFFFFF
        00 90 3C 50  FF FF FF 7F 3C 00      # ends 268435455 ticks later
        00 FF 01 FF FF FF 7F                # a text of 268435455 bytes
        "MTrk" FFFFFFFF
        """
    )
    assert len(data) == 47
    script = f"""
import resource
from rollcore import read_midi
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
midi = read_midi(bytes.fromhex("{data.hex()}"))
print(midi.notes.tolist())
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[(0, 268435455, 60, 80, 0, 0)]"
