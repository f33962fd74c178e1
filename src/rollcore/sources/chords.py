"""The sample pack: 156 short MIDI files of a scale's own chords, 12 keys by 13 scales.

The thirteen scales are the seven modes of the major scale; the three scales with a raised leading note over a
minor sixth, a minor third or both (harmonic major, melodic minor, harmonic minor); and the three modes of
those that musicians call by a name of their own (Phrygian dominant and Ukrainian Dorian, the fifth and fourth
modes of harmonic minor; Lydian dominant, the fourth of melodic minor). All have seven notes, and stacking
every other one gives, on every degree, a plain major, minor, diminished or augmented triad and one of seven
common seventh chords. Pentatonic, blues, whole-tone, diminished and double harmonic scales do not, and are
left out for that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rollcore.errors import RollcoreError
from rollcore.midi import Midi, write_midi

__all__ = ["SCALES", "make_chords", "scale_chords", "scale_notes", "tonics"]

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
_KEY_SIGNATURE = {
    "major": "",
    "harmonic major": "",
    "natural minor": "m",
    "harmonic minor": "m",
    "melodic minor": "m",
}

# What the sketches are put together from; a file takes from each list by its number. Degrees count from 0.
_PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (5, 3, 0, 4),
    (0, 3, 1, 4),
    (0, 2, 3, 4),
    (0, 6, 5, 4),
    (0, 3, 6, 2),
)
_CADENCES = ((3, 1, 4), (5, 1, 4), (0, 3, 4), (2, 5, 6), (1, 3, 4))
_RHYTHMS = (  # start and length in eighths, within a bar of eight
    ((0, 4), (4, 4)),
    ((0, 3), (3, 3), (6, 2)),
    ((0, 2), (2, 2), (4, 2), (6, 2)),
    ((0, 3), (3, 1), (4, 4)),
    ((0, 8),),
)
_BROKEN = (
    (0, 1, 2, 3),
    (0, 2, 1, 3),
    (3, 2, 1, 0),
    (0, 3, 1, 2),
)  # chord voices, from the lowest, in eighths
_TEMPOS = (96, 100, 104, 108, 112, 116, 120, 126, 132)  # beats per minute

_TICKS_PER_BEAT = 480
_EIGHTH = _TICKS_PER_BEAT // 2
_RELEASE = 40  # ticks a note ends early, so that a repeated one is heard, and seen, to be struck again
_LOWEST_TONIC = 55  # G3
_LOWEST_BASS = 36  # C2
_CHORD_RANGE = (52, 84)


def _parse_note(name: str) -> tuple[int, int]:
    """Return the letter's place in C D E F G A B and the pitch class."""
    letter, accidental = name[:1].upper(), name[1:]
    if letter not in _LETTERS or not letter or accidental not in ("", "#", "b"):
        raise RollcoreError(f"{name!r} is no tonic; write a letter from A to G, then # or b where there is one")
    place = _LETTERS.index(letter)
    return place, (_NATURAL[place] + {"": 0, "#": 1, "b": -1}[accidental]) % 12


def _steps(scale: str) -> tuple[int, ...]:
    try:
        return SCALES[scale]
    except KeyError:
        raise RollcoreError(f"{scale!r} is no scale known here; there are {', '.join(SCALES)}") from None


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
        bottom, *upper = _chord(scale, degree, 4 if sevenths else 3)
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


def _chord(scale: str, degree: int, size: int) -> list[int]:
    """Stack `size` notes, every second one of the scale, in semitones above the tonic; degrees may pass 6."""
    steps = SCALES[scale]
    return [steps[place % 7] + place // 7 * 12 for place in range(degree, degree + 2 * size, 2)]


def _nearest(chord: Sequence[int], previous: Sequence[int]) -> list[int]:
    """Voice a chord closely, in the inversion and octave whose voices move least from the previous chord."""
    low, high = _CHORD_RANGE
    voicings = []
    for inversion in range(len(chord)):
        voices = sorted([*chord[inversion:], *(note + 12 for note in chord[:inversion])])
        for octave in range(-48, 49, 12):
            moved = [note + octave for note in voices]
            if low <= moved[0] and moved[-1] <= high:
                voicings.append(moved)
    return min(voicings, key=lambda voices: (sum(abs(a - b) for a, b in zip(voices, previous, strict=True)), voices))


def _sketch(pitch_class: int, scale: str, number: int) -> Midi:
    """Compose sixteen bars: every triad in block form, every seventh broken, a progression, a cadence."""
    home = _LOWEST_TONIC + (pitch_class - _LOWEST_TONIC) % 12
    bass_of = [_LOWEST_BASS + (pitch_class + step - _LOWEST_BASS) % 12 for step in SCALES[scale]]
    progression = _PROGRESSIONS[number % len(_PROGRESSIONS)]
    cadence = _CADENCES[number % len(_CADENCES)]
    rhythm = _RHYTHMS[number // 3 % len(_RHYTHMS)]
    pattern = _BROKEN[number // 2 % len(_BROKEN)]
    walk = range(8) if number % 2 == 0 else range(7, -1, -1)
    notes: list[tuple[int, int, int, int, int, int]] = []

    def play(start: int, eighths: int, pitches: Sequence[int], *, bass: bool = False) -> None:
        accent = 14 if start % 8 == 0 else 7 if start % 4 == 0 else 0
        for pitch in pitches:
            onset, offset = start * _EIGHTH, (start + eighths) * _EIGHTH - _RELEASE
            notes.append((onset, offset, pitch, 70 + accent + 4 * bass, int(bass), int(bass)))

    def chord(degree: int, size: int) -> list[int]:
        return [home + note for note in _chord(scale, degree, size)]

    now = 0
    for degree in walk:  # four bars: the triads of the scale in block form, up or down it
        play(now, 4, chord(degree, 3))
        play(now, 4, [bass_of[degree % 7]], bass=True)
        now += 4
    for degree in reversed(walk):  # four bars: the sevenths, broken, the other way
        voices = chord(degree, 4)
        for place, voice in enumerate(pattern):
            play(now + place, 1, [voices[voice]])
        play(now, 4, [bass_of[degree % 7]], bass=True)
        now += 4
    voices = chord(0, 3)
    for degree in progression:  # four bars: a progression of triads, close voices, root and fifth in the bass
        voices = _nearest(chord(degree, 3), voices)
        for start, eighths in rhythm:
            play(now + start, eighths, voices)
        play(now, 4, [bass_of[degree]], bass=True)
        play(now + 4, 4, [bass_of[(degree + 4) % 7]], bass=True)
        now += 8
    voices = chord(0, 4)
    for degree in cadence:  # three bars: a cadence of broken sevenths
        voices = _nearest(chord(degree, 4), voices)
        for place, voice in enumerate(pattern + pattern[::-1]):
            play(now + place, 1, [voices[voice]])
        play(now, 8, [bass_of[degree]], bass=True)
        now += 8
    play(now, 8, chord(0, 3))  # and home
    play(now, 8, [bass_of[0]], bass=True)
    tempo = round(60e6 / _TEMPOS[number % len(_TEMPOS)])
    return Midi.from_notes(notes, ticks_per_beat=_TICKS_PER_BEAT, tempos=[(0, tempo)])


def make_chords(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the sample pack: 12 keys by 13 scales, each sixteen bars of that scale's own chords.

    Every file walks through the seven triads in block form and the seven seventh chords in broken form, then
    plays a progression and a cadence; which, and in which rhythm, pattern and tempo (96 to 132 beats per
    minute, 29 to 40 seconds), differs from file to file. Format 1: a tempo track, "Chords" and "Bass". The
    same bytes every time.

    Parameters
    ----------
    folder
        Made if it is not there; files of the same names are overwritten, others left alone.

    Returns
    -------
    list of Path
        The files, such as ``A_harmonic_minor.mid``, scale by scale from C upwards.

    Raises
    ------
    RollcoreError
        When the folder or a file cannot be written.
    """
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RollcoreError(f"{root}: cannot make the folder: {error.strerror}; choose another") from error
    paths: list[Path] = []
    for scale in SCALES:
        for pitch_class, tonic in enumerate(tonics(scale)):
            path = root / f"{tonic}_{scale.replace(' ', '_')}.mid"
            mode = _KEY_SIGNATURE.get(scale)
            write_midi(
                _sketch(pitch_class, scale, len(paths)),
                path,
                track_names=("Chords", "Bass"),
                key_signature=None if mode is None else tonic + mode,
            )
            paths.append(path)
    return paths
