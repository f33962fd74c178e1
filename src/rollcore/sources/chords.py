"""Scales and the chords that stand on their degrees, spelled as musicians spell them.

The thirteen scales are the seven modes of the major scale; the three scales with a raised leading note over a
minor sixth, a minor third or both (harmonic major, melodic minor, harmonic minor); and the three modes of
those that musicians call by a name of their own (Phrygian dominant and Ukrainian Dorian, the fifth and fourth
modes of harmonic minor; Lydian dominant, the fourth of melodic minor). All have seven notes, and stacking
every other one gives, on every degree, a plain major, minor, diminished or augmented triad and one of seven
common seventh chords. Pentatonic, blues, whole-tone, diminished and double harmonic scales do not, and are
left out for that.
"""

from __future__ import annotations

from rollcore.errors import RollcoreError

__all__ = ["SCALES", "scale_chords", "scale_notes", "stack_thirds", "tonics"]

#: Semitones above the tonic, by name.
SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "natural minor": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "harmonic major": (0, 2, 4, 5, 7, 8, 11),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
    "lydian dominant": (0, 2, 4, 6, 7, 9, 10),
    "ukrainian dorian": (0, 2, 3, 6, 7, 9, 10),
}

_LETTERS = "CDEFGAB"
_NATURAL = (0, 2, 4, 5, 7, 9, 11)
_ACCIDENTAL = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
_QUALITY = {  # intervals above the root, in semitones
    (4, 7): "",
    (3, 7): "m",
    (3, 6): "dim",
    (4, 8): "+",
    (4, 7, 11): "maj7",
    (4, 7, 10): "7",
    (3, 7, 10): "m7",
    (3, 7, 11): "m(maj7)",
    (3, 6, 10): "m7b5",
    (3, 6, 9): "dim7",
    (4, 8, 11): "maj7#5",
}


def _parse_note(name: str) -> tuple[int, int]:
    """Return the letter's place in C D E F G A B and the pitch class."""
    letter, accidental = name[:1].upper(), name[1:]
    if letter not in _LETTERS or not letter or accidental not in ("", "#", "b"):
        raise RollcoreError(f"{name!r} is not a tonic; write a letter from A to G, then # or b where there is one")
    place = _LETTERS.index(letter)
    return place, (_NATURAL[place] + {"": 0, "#": 1, "b": -1}[accidental]) % 12


def _steps(scale: str) -> tuple[int, ...]:
    try:
        return SCALES[scale]
    except KeyError:
        raise RollcoreError(f"{scale!r} is not a scale known here; there are {', '.join(SCALES)}") from None


def scale_notes(tonic: str, scale: str) -> tuple[str, ...]:
    """Spell a scale, one letter a degree.

    Parameters
    ----------
    tonic
        Such as ``"C"``, ``"F#"`` or ``"Bb"``.
    scale
        A name in `SCALES`.

    Raises
    ------
    RollcoreError
        When there is no such tonic or scale.

    Examples
    --------
    >>> " ".join(scale_notes("Eb", "major"))
    'Eb F G Ab Bb C D'
    """
    place, root = _parse_note(tonic)
    spelled = []
    for degree, semitones in enumerate(_steps(scale)):
        letter = (place + degree) % 7
        accidental = (root + semitones - _NATURAL[letter] + 6) % 12 - 6
        spelled.append(_LETTERS[letter] + _ACCIDENTAL[accidental])
    return tuple(spelled)


def scale_chords(tonic: str, scale: str, *, sevenths: bool = False) -> tuple[str, ...]:
    """Name the seven chords of a scale: every other note from each degree.

    Parameters
    ----------
    tonic, scale
        As in `scale_notes`.
    sevenths
        Four notes a chord instead of three.

    Returns
    -------
    tuple of str
        Root and quality: none for major, ``m``, ``dim`` and ``+`` (augmented) for triads.

    Raises
    ------
    RollcoreError
        When there is no such tonic or scale.

    Examples
    --------
    >>> " ".join(scale_chords("A", "harmonic minor"))
    'Am Bdim C+ Dm E F G#dim'
    >>> " ".join(scale_chords("C", "major", sevenths=True))
    'Cmaj7 Dm7 Em7 Fmaj7 G7 Am7 Bm7b5'
    """
    roots = scale_notes(tonic, scale)
    names = []
    for degree, root in enumerate(roots):
        bottom, *upper = stack_thirds(scale, degree, 4 if sevenths else 3)
        names.append(root + _QUALITY[tuple(note - bottom for note in upper)])
    return tuple(names)


def tonics(scale: str) -> tuple[str, ...]:
    """Give the twelve tonics of a scale from C upwards, each in the spelling with the fewest accidentals.

    No scale needs a double accidental then. Of two equal spellings, a white key goes before a black one,
    F# before Gb, C# and G# before their flats if the third is minor, and flats before sharps otherwise.

    Examples
    --------
    >>> " ".join(tonics("major")), " ".join(tonics("harmonic minor"))
    ('C Db D Eb E F F# G Ab A Bb B', 'C C# D Eb E F F# G Ab A Bb B')
    """
    sharps = ("F#", "C#", "G#") if _steps(scale)[2] == 3 else ("F#",)

    def cost(tonic: str) -> tuple[int, int, bool]:
        marks = [len(note) - 1 for note in scale_notes(tonic, scale)]
        return max(marks), sum(marks), len(tonic) == 2 and ("#" in tonic) != (tonic in sharps)

    spellings = [letter + mark for letter in _LETTERS for mark in ("", "b", "#")]
    return tuple(
        min(
            (name for name in spellings if _parse_note(name)[1] == pitch_class),
            key=lambda name: (*cost(name), len(name)),
        )
        for pitch_class in range(12)
    )


def stack_thirds(scale: str, degree: int, size: int) -> list[int]:
    """Stack `size` notes, every second one of the scale, in semitones above the tonic; degrees may pass 6."""
    steps = SCALES[scale]
    return [steps[place % 7] + place // 7 * 12 for place in range(degree, degree + 2 * size, 2)]
