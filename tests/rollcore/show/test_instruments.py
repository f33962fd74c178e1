"""The names of General MIDI, against those of pretty_midi and the families of the standard."""

from __future__ import annotations

import re

import pytest

from rollcore.show.instruments import PROGRAM_NAMES

# Where pretty_midi writes a name otherwise than the standard's table.
OTHERWISE = {"clavinet": "clavi", "synthchoir": "synthvoice"}


def letters(name):
    return re.sub(r"[^a-z0-9+]", "", name.lower())


def test_names_are_those_of_pretty_midi():
    pretty_midi = pytest.importorskip("pretty_midi")
    expected = [letters(pretty_midi.program_to_instrument_name(program)) for program in range(128)]
    assert [letters(name) for name in PROGRAM_NAMES] == [OTHERWISE.get(name, name) for name in expected]


def test_programs_are_counted_from_0():
    """The standard's table counts from 1: 1 is the piano, 41 the violin, 57 the trumpet, 128 the gunshot."""
    named = {1: "Acoustic Grand Piano", 20: "Church Organ", 41: "Violin", 57: "Trumpet", 74: "Flute", 128: "Gunshot"}
    assert {number: PROGRAM_NAMES[number - 1] for number in named} == named
    assert len(PROGRAM_NAMES) == len(set(PROGRAM_NAMES)) == 128
