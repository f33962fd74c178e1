"""A short, seeded run of mutated files through reading and painting; `make fuzz` is the long one."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from agreement import agrees_with_the_twin
from oracles_roll import cells, roll, sustained
from rollcore import RollcoreError, piano_roll
from smf_cases import CASES

PIECES = [
    b"MThd\0\0\0\6",
    b"MTrk",
    b"MTrk\0\0\0\4",
    b"\0\xff\x2f\0",
    b"\0\xff\x51\3",
    b"\0\x90\x3c\x50",
    b"\0\xb0\x40\x7f",
]
BYTES = [0x00, 0x01, 0x3C, 0x40, 0x7F, 0x80, 0x81, 0x90, 0x99, 0xB0, 0xF0, 0xF2, 0xF7, 0xFF]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to six edits: a byte, a run deleted, copied or inserted, a piece of another file."""
    contents = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(contents))
        choice = rng.randrange(5)
        if choice == 0:
            contents[at : at + 1] = bytes([rng.randrange(256)])
        elif choice == 1:
            contents[at : at + 1] = bytes([rng.choice(BYTES)])
        elif choice == 2:
            del contents[at : at + rng.randint(1, 8)]
        elif choice == 3:
            contents[at:at] = rng.choice(PIECES)
        else:
            start = rng.randint(0, len(contents))
            contents[at:at] = contents[start : start + rng.randint(1, 40)]
    return bytes(contents)


def test_mutated_files_read_and_paint_as_the_oracles_do() -> None:
    rng = random.Random(20)
    painted = refused = 0
    seeds = [case.data for case in CASES if len(case.data) < 1000]
    for _ in range(4000):
        midi = agrees_with_the_twin(mutate(rng.choice(seeds), rng))
        if midi is None:
            continue
        grid = rng.choice([{"fps": 50}, {"fps": 7}, {"steps_per_beat": 4}, {"steps_per_beat": 12}])
        options = {"drums": rng.random() < 0.5}
        sustain = rng.random() < 0.5
        try:
            rows = piano_roll(midi, planes=("sounding", "onset"), sustain=sustain, max_minutes=0.5, **grid, **options)
        except RollcoreError:
            refused += 1
            continue
        assert rows.shape[1:] == (2, 16)
        assert rows.dtype == np.uint8
        if midi.smpte or midi.format == 2:
            continue
        # Which notes are drums the twin of the parser has confirmed; the painter's twin gets what is left.
        kept = midi.notes if options["drums"] else midi.notes[~midi.drums]
        notes = [(on, off, pitch, channel, track) for on, off, pitch, _, channel, track in kept.tolist()]
        if sustain:
            pedals = [(tick, channel, down) for tick, _, channel, down in midi.pedals.tolist()]
            controls = [(tick, channel, *rest) for tick, _, channel, *rest in midi.controllers.tolist()]
            notes = sustained(notes, pedals, controls=controls)
        sounding, struck, frames = roll(midi.ticks_per_beat, notes, midi.tempos.tolist(), drums=True, **grid)
        assert len(rows) == frames
        assert cells(rows[:, 0]) == sounding
        assert cells(rows[:, 1]) == struck
        painted += frames > 0
    assert painted > 1000
    assert refused > 100


def test_without_clang_the_long_run_says_so() -> None:
    script = Path(__file__).parents[2] / "fuzz" / "run.sh"
    if not script.exists():
        pytest.skip("fuzz/ is not beside the tests: an installed wheel is tested")
    run = subprocess.run(
        ["sh", script, "1"], env={**os.environ, "CLANG": "no-such-clang"}, capture_output=True, text=True
    )
    assert run.returncode == 2
    assert run.stderr == "error: fuzzing needs clang with libFuzzer (package clang); set CLANG= to name it\n"
