"""How pitches, ranges and scales are spelled. Middle C is C4 is MIDI pitch 60, as in scientific pitch notation."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

import rollcore
from seq2seq.errors import ConfigError

PITCHES = 128

#: Semitones above the tonic. The melodic minor is the ascending one; "minor" is the natural minor.
SCALES: dict[str, tuple[int, ...]] = {
    **rollcore.SCALES,
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "chromatic": tuple(range(12)),
}

#: How much each pitch class belongs to the major and to the minor key on C (Krumhansl and Kessler 1982).
KEY_PROFILES = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "##": 2, "x": 2, "b": -1, "♭": -1, "bb": -2}
_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_NOTE = re.compile(r"([A-Ga-g])(##|bb|[#♯xb♭]?)(-?\d+)?")

_SCALE = re.compile(r"([A-Ga-g])(##|bb|[#♯xb♭]?) ?(.*)")
# What follows the tonic in a chord symbol.
_SHORT = {"maj": "major", "M": "major", "m": "minor", "min": "minor"}

_MAJOR_KEYS = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"]
_MINOR_KEYS = ["Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m"]


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch, the black keys as they are most often spelled.

    >>> pitch_name(60), pitch_name(70)
    ('C4', 'Bb4')
    """
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def parse_pitch(text: str) -> int:
    """Return the MIDI pitch, 0 to 127, of a name such as ``F#3`` or a number such as ``54``.

    Raises
    ------
    ConfigError
        If the text is not a pitch, or one outside MIDI's C-1 to G9.

    Examples
    --------
    >>> parse_pitch("C4"), parse_pitch("Bb-1"), parse_pitch("54")
    (60, 10, 54)
    """
    text = text.strip()
    if text.isdecimal():
        pitch = int(text)
    else:
        match = _NOTE.fullmatch(text)
        if match is None or match[3] is None:
            raise ConfigError(f"{text!r} is not a pitch; write it like C4 (middle C), F#3 or Bb2")
        pitch = _LETTERS[match[1].upper()] + _ACCIDENTALS[match[2]] + 12 * (int(match[3]) + 1)
    if not 0 <= pitch < PITCHES:
        raise ConfigError(f"{text!r} lies outside MIDI's pitches, C-1 to G9")
    return pitch


def parse_pitches(text: str) -> tuple[int, ...]:
    """Return the pitches of a chord written with spaces or commas, low to high, each once.

    Raises
    ------
    ConfigError
        If one of them is not a pitch, or there is none.

    Examples
    --------
    >>> parse_pitches("C4 E4 G4")
    (60, 64, 67)
    """
    pitches = sorted({parse_pitch(word) for word in text.replace(",", " ").split()})
    if not pitches:
        raise ConfigError("no pitches given; write them like 'C4 E4 G4'")
    return tuple(pitches)


def range_mask(text: str) -> npt.NDArray[np.bool_]:
    """Return which of the 128 pitches lie in a range such as ``C2:C6``, both ends included.

    Raises
    ------
    ConfigError
        If the text is not two pitches with a colon between, the lower one first.

    Examples
    --------
    >>> np.flatnonzero(range_mask("B3:D4")).tolist()
    [59, 60, 61, 62]
    """
    ends = text.split(":")
    if len(ends) != 2:
        raise ConfigError(f"{text!r} is not a pitch range; write it like C2:C6")
    low, high = parse_pitch(ends[0]), parse_pitch(ends[1])
    if low > high:
        raise ConfigError(f"pitch range {text!r} has its higher end first")
    pitches = np.arange(PITCHES)
    return (pitches >= low) & (pitches <= high)


def scale_mask(text: str) -> npt.NDArray[np.bool_]:
    """Return which of the 128 pitches belong to a scale such as ``A minor``, ``Am`` or ``Eb dorian``.

    Raises
    ------
    ConfigError
        If the tonic or the scale is not known; the message lists the scales.

    Examples
    --------
    >>> np.flatnonzero(scale_mask("A harmonic minor")[60:72]).tolist()
    [0, 2, 4, 5, 8, 9, 11]
    """
    tonic, name = _scale(text)
    degrees = np.zeros(12, dtype=bool)
    degrees[[(_pitch_class(tonic) + step) % 12 for step in SCALES[name]]] = True
    return degrees[np.arange(PITCHES) % 12]


def key_signature(text: str) -> str | None:
    """Return the key signature of a major or minor scale as MIDI writes it, or None for all other scales.

    >>> key_signature("A harmonic minor"), key_signature("Bbm"), key_signature("D dorian")
    ('Am', 'Bbm', None)
    """
    tonic, name = _scale(text)
    key = tonic + ("m" if name.endswith("minor") else "")
    known = _MINOR_KEYS if key.endswith("m") else _MAJOR_KEYS
    return key if name.endswith(("major", "minor")) and key in known else None


def _scale(text: str) -> tuple[str, str]:
    """Return tonic and name of a scale: ``("A", "minor")`` of ``a minor``, ``Am`` and ``A min``."""
    match = _SCALE.fullmatch(" ".join(text.split()))
    if match is not None:
        letter, accidental, name = match.groups()
        name = _SHORT.get(name, name.lower().replace("-", " "))
        if name in SCALES:
            return letter.upper() + accidental.replace("♯", "#").replace("♭", "b"), name
    raise ConfigError(f"{text!r} is not a scale; write it like Am or A minor: a tonic and one of {', '.join(SCALES)}")


def _pitch_class(tonic: str) -> int:
    return _LETTERS[tonic[0]] + _ACCIDENTALS[tonic[1:]]
