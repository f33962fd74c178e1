"""The sample pack: spellings known from theory, and files that hold what they say."""

import pytest

from rollcore.errors import RollcoreError
from rollcore.sources.chords import SCALES, scale_chords, scale_notes, tonics

# From textbooks of harmony, not from this code.
NOTES = {
    ("C", "major"): "C D E F G A B",
    ("F#", "major"): "F# G# A# B C# D# E#",
    ("Db", "major"): "Db Eb F Gb Ab Bb C",
    ("D", "dorian"): "D E F G A B C",
    ("E", "phrygian"): "E F G A B C D",
    ("F", "lydian"): "F G A B C D E",
    ("G", "mixolydian"): "G A B C D E F",
    ("A", "natural minor"): "A B C D E F G",
    ("Eb", "natural minor"): "Eb F Gb Ab Bb Cb Db",
    ("B", "locrian"): "B C D E F G A",
    ("D", "harmonic minor"): "D E F G A Bb C#",
    ("F#", "harmonic minor"): "F# G# A B C# D E#",
    ("G#", "harmonic minor"): "G# A# B C# D# E F##",
    ("C", "melodic minor"): "C D Eb F G A B",
    ("C", "harmonic major"): "C D E F G Ab B",
    ("E", "phrygian dominant"): "E F G# A B C D",
    ("F", "lydian dominant"): "F G A B C D Eb",
    ("D", "ukrainian dorian"): "D E F G# A B C",
}
TRIADS = {
    ("C", "major"): "C Dm Em F G Am Bdim",
    ("A", "harmonic minor"): "Am Bdim C+ Dm E F G#dim",
    ("A", "natural minor"): "Am Bdim C Dm Em F G",
    ("E", "major"): "E F#m G#m A B C#m D#dim",
    ("Bb", "major"): "Bb Cm Dm Eb F Gm Adim",
    ("C", "melodic minor"): "Cm Dm Eb+ F G Adim Bdim",
    ("C", "harmonic major"): "C Ddim Em Fm G Ab+ Bdim",
    ("D", "dorian"): "Dm Em F G Am Bdim C",
    ("E", "phrygian dominant"): "E F G#dim Am Bdim C+ Dm",
    ("G", "lydian dominant"): "G A Bdim C#dim Dm Em F+",
    ("D", "ukrainian dorian"): "Dm E F G#dim Am Bdim C+",
}
SEVENTHS = {
    ("C", "major"): "Cmaj7 Dm7 Em7 Fmaj7 G7 Am7 Bm7b5",
    ("A", "natural minor"): "Am7 Bm7b5 Cmaj7 Dm7 Em7 Fmaj7 G7",
    ("A", "harmonic minor"): "Am(maj7) Bm7b5 Cmaj7#5 Dm7 E7 Fmaj7 G#dim7",
    ("C", "melodic minor"): "Cm(maj7) Dm7 Ebmaj7#5 F7 G7 Am7b5 Bm7b5",
    ("C", "harmonic major"): "Cmaj7 Dm7b5 Em7 Fm(maj7) G7 Abmaj7#5 Bdim7",
}
PITCH_CLASS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def pitch_class(note):
    return (PITCH_CLASS[note[0]] + note.count("#") - note[1:].count("b")) % 12


@pytest.mark.parametrize(("key", "expected"), NOTES.items())
def test_scales_are_spelled_as_in_the_books(key, expected):
    assert " ".join(scale_notes(*key)) == expected


@pytest.mark.parametrize(("key", "expected"), TRIADS.items())
def test_triads_are_named_as_in_the_books(key, expected):
    assert " ".join(scale_chords(*key)) == expected


@pytest.mark.parametrize(("key", "expected"), SEVENTHS.items())
def test_sevenths_are_named_as_in_the_books(key, expected):
    assert " ".join(scale_chords(*key, sevenths=True)) == expected


def test_modes_share_the_notes_of_their_parent_scale():
    parents = {
        "major": ["major", "dorian", "phrygian", "lydian", "mixolydian", "natural minor", "locrian"],
        "harmonic minor": ["harmonic minor", None, None, "ukrainian dorian", "phrygian dominant"],
        "melodic minor": ["melodic minor", None, None, "lydian dominant"],
    }
    for parent, modes in parents.items():
        for tonic in tonics(parent):
            notes = scale_notes(tonic, parent)
            for degree, mode in enumerate(modes):
                if mode and notes[degree][1:] in ("", "#", "b"):
                    assert scale_notes(notes[degree], mode) == notes[degree:] + notes[:degree]


@pytest.mark.parametrize("scale", SCALES)
def test_every_key_is_spelled_letter_by_letter_without_double_accidentals(scale):
    names = tonics(scale)
    assert [pitch_class(name) for name in names] == list(range(12))
    for tonic in names:
        notes = scale_notes(tonic, scale)
        assert sorted(note[0] for note in notes) == list("ABCDEFG")
        assert all(note[1:] in ("", "#", "b") for note in notes)
        assert tuple((pitch_class(note) - pitch_class(tonic)) % 12 for note in notes) == SCALES[scale]
        assert (
            "b" not in "".join(note[1:] for note in notes)
            or "#" not in "".join(note[1:] for note in notes)
            or (
                scale not in list(SCALES)[:7]  # the modes of major never mix sharps and flats
            )
        )


def test_conventional_keys():
    assert " ".join(tonics("major")) == "C Db D Eb E F F# G Ab A Bb B"
    assert " ".join(tonics("natural minor")) == "C C# D Eb E F F# G G# A Bb B"


@pytest.mark.parametrize("bad", ["", "H", "c##", "Cmaj", "#"])
def test_bad_tonic(bad):
    with pytest.raises(RollcoreError, match="is not a tonic"):
        scale_notes(bad, "major")


def test_bad_scale():
    for function in (
        lambda: scale_notes("C", "blues"),
        lambda: scale_chords("C", "blues"),
        lambda: tonics("blues"),
    ):
        with pytest.raises(RollcoreError, match="there are major, dorian"):
            function()
