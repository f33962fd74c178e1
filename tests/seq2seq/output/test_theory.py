"""Scales, ranges and pitches against hand-spelled tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.errors import ConfigError
from seq2seq.output.theory import SCALES, key_signature, parse_pitch, parse_pitches, pitch_name, range_mask, scale_mask

# Spelled out as in any theory primer, one line each: the oracle of the masks.
SPELLED = {
    "C major": "C D E F G A B",
    "Eb major": "Eb F G Ab Bb C D",
    "F# major": "F# G# A# B C# D# F",
    "A minor": "A B C D E F G",
    "F natural minor": "F G Ab Bb C Db Eb",
    "A harmonic minor": "A B C D E F G#",
    "C melodic minor": "C D Eb F G A B",
    "C ionian": "C D E F G A B",
    "D dorian": "D E F G A B C",
    "E phrygian": "E F G A B C D",
    "F lydian": "F G A B C D E",
    "G mixolydian": "G A B C D E F",
    "A aeolian": "A B C D E F G",
    "B locrian": "B C D E F G A",
    "C harmonic major": "C D E F G Ab B",
    "C phrygian dominant": "C Db E F G Ab Bb",
    "C lydian dominant": "C D E F# G A Bb",
    "C ukrainian dorian": "C D Eb F# G A Bb",
    "G major pentatonic": "G A B D E",
    "E minor pentatonic": "E G A B D",
    "A blues": "A C D Eb E G",
    "C whole-tone": "C D E F# G# A#",
    "Bb chromatic": "Bb B C Db D Eb E F Gb G Ab A",
    "cb major": "B C# D# E F# G# A#",
}
CLASSES = {"C": 0, "C#": 1, "Db": 1, "D": 2, "D#": 3, "Eb": 3, "E": 4, "F": 5, "F#": 6, "Gb": 6, "G": 7}
CLASSES |= {"G#": 8, "Ab": 8, "A": 9, "A#": 10, "Bb": 10, "B": 11}


@pytest.mark.parametrize(("name", "spelling"), SPELLED.items())
def test_a_scale_holds_the_pitches_of_its_spelling(name, spelling):
    wanted = {CLASSES[note] for note in spelling.split()}
    assert [bool(x) for x in scale_mask(name)] == [pitch % 12 in wanted for pitch in range(128)]


def test_every_scale_has_been_spelled():
    spelled = {name.partition(" ")[2].replace("-", " ") for name in SPELLED}
    assert spelled == set(SCALES)


@pytest.mark.parametrize("text", ["H minor", "A", "A minr", "", "A4 minor", "major"])
def test_a_wrong_scale_is_told_in_one_line_with_the_known_ones(text):
    with pytest.raises(ConfigError, match="harmonic minor") as caught:
        scale_mask(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "case",
    ["C4=60", "A4=69", "A0=21", "C8=108", "C-1=0", "G9=127", "Cb4=59", "B#3=60", "Bb3=58", "c4=60", "61=61"],
)
def test_pitches_by_name(case):
    text, _, pitch = case.partition("=")
    assert parse_pitch(text) == int(pitch)


@given(st.integers(0, 127))
def test_a_pitch_is_read_back_from_its_name(pitch):
    assert parse_pitch(pitch_name(pitch)) == pitch


@pytest.mark.parametrize("text", ["H4", "C", "", "G#9", "Cb-1", "128", "-1", "C4 E4"])
def test_what_is_no_pitch_is_refused(text):
    with pytest.raises(ConfigError, match="pitch"):
        parse_pitch(text)


def test_chords():
    assert parse_pitches("G4 C4, E4 C4") == (60, 64, 67)
    with pytest.raises(ConfigError, match="no pitches"):
        parse_pitches("  ")


def test_ranges_hold_both_ends():
    assert np.flatnonzero(range_mask("C2:C6")).tolist() == list(range(36, 85))
    assert np.flatnonzero(range_mask("C4:C4")).tolist() == [60]


@pytest.mark.parametrize("text", ["C2", "C6:C2", "C2-C6", "C2:", "C2:C3:C4"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ConfigError, match="pitch"):
        range_mask(text)


@pytest.mark.parametrize(
    ("short", "whole", "key"),
    [
        ("Am", "A minor", "Am"),
        ("F#m", "F# natural minor", "F#m"),
        ("Bbmin", "Bb minor", "Bbm"),
        ("E maj", "E major", "E"),
        ("CM", "C major", "C"),
        ("c m", "C minor", "Cm"),
        ("G dorian", "G dorian", None),
        ("G# major", "Ab major", None),
    ],
)
def test_scales_in_short(short, whole, key):
    assert np.array_equal(scale_mask(short), scale_mask(whole))
    assert key_signature(short) == key
