"""The sample pack: 156 short pieces, 12 keys by 13 scales, made by rule.

Each is sixteen bars of 4/4 in four phrases: an opening that ends on the dominant, its answer that comes home, a
contrast over the seventh chords of all seven degrees in falling fifths, and the answer again. Over the chords goes a
melody that has a note of the chord on every half bar and moves by step in between; below, a bass of roots and
fifths. All notes are the scale's own. Where the fifth degree has a diminished triad, another chord that has
a neighbour of the tonic takes the dominant's place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rollcore.errors import RollcoreError
from rollcore.midi import Midi
from rollcore.midi_writer import write_midi
from rollcore.sources.chords import SCALES, stack_thirds, tonics

__all__ = ["make_chords"]

_KEY_SIGNATURE = {
    "major": "",
    "harmonic major": "",
    "natural minor": "m",
    "harmonic minor": "m",
    "melodic minor": "m",
}

# Degrees count from 0, the tonic. What stands before the dominant: three bars of the opening, one of the answer.
_OPENINGS = ((0, 5, 3), (0, 3, 1), (0, 5, 1), (0, 2, 3), (0, 3, 5), (0, 4, 5), (0, 1, 3))
_BEFORE_CADENCE = (3, 1, 3, 5)
_FIFTHS = (0, 3, 6, 2, 5, 1)  # two a bar, each a fifth below the one before; the fifth degree follows
_DOMINANTS = (4, 6, 1, 3)

# Start and length in eighths, within a bar of eight; every melody bar has a note on each half.
_MELODY = (
    ((0, 2), (2, 2), (4, 2), (6, 2)),
    ((0, 3), (3, 1), (4, 2), (6, 2)),
    ((0, 2), (2, 1), (3, 1), (4, 4)),
    ((0, 2), (2, 2), (4, 3), (7, 1)),
    ((0, 1), (1, 1), (2, 2), (4, 2), (6, 2)),
    ((0, 4), (4, 2), (6, 2)),
)
_CADENCE = ((0, 2), (2, 2), (4, 3), (7, 1))
_HALF_CLOSE, _CLOSE = ((0, 4), (4, 4)), ((0, 8),)
_CHORDS = (
    ((0, 4), (4, 4)),
    ((0, 2), (2, 2), (4, 2), (6, 2)),
    ((0, 3), (3, 1), (4, 4)),
    ((0, 4), (4, 2), (6, 2)),
)
_BROKEN = ((0, 1, 2, 3), (0, 2, 1, 3), (3, 2, 1, 0), (0, 3, 1, 2))  # chord voices, from the lowest, in eighths
_TEMPOS = (96, 100, 104, 108, 112, 116, 120, 126, 132)  # beats per minute

_TICKS_PER_BEAT = 480
_EIGHTH = _TICKS_PER_BEAT // 2
_RELEASE = 40  # ticks a note ends early, so that a repeated one is heard, and seen, to be struck again
_LOWEST_TONIC = 65  # F4, of the melody
_LOWEST_BASS = 36  # C2
_CHORD_RANGE = (48, 62)
_MELODY_DEGREES = range(-1, 7)  # from the leading note below the tonic to the seventh above
# What an interval of so many degrees costs the melody; larger ones do not occur.
_INTERVAL_COST = {0: 5, 1: 0, 2: 4, 3: 9}
_BACK_COST = 4
_NEVER = 10_000


Harmony = Sequence[tuple[int, int]]
Rhythm = Sequence[tuple[int, int]]


class _Slot(NamedTuple):
    """A note of the melody to be chosen: start and length in eighths from the piece's beginning, and its degrees."""

    start: int
    length: int
    allowed: tuple[int, ...]


def _triad(degree: int) -> set[int]:
    """Return the degrees of a triad, all below 7."""
    return {(degree + third) % 7 for third in (0, 2, 4)}


def _size(scale: str, degree: int) -> tuple[int, ...]:
    """Return the two upper notes of a triad, in semitones above the lowest."""
    bottom, third, fifth = stack_thirds(scale, degree, 3)
    return third - bottom, fifth - bottom


def _dominant(scale: str) -> int:
    """Return the degree that leads home: the first whose triad is plain major or minor."""
    return next(degree for degree in _DOMINANTS if _size(scale, degree) in ((4, 7), (3, 7)))


def _harmony(scale: str, number: int) -> list[tuple[int, int]]:
    """Return the degrees of the chords of the two halves of each bar, sixteen pairs."""
    dominant = _dominant(scale)
    rough = {degree for degree in range(1, 7) if _size(scale, degree)[1] != 7}
    turn = number % len(_OPENINGS)
    # Of the openings in turn, the first with the fewest diminished and augmented triads.
    opening = min(_OPENINGS[turn:] + _OPENINGS[:turn], key=lambda degrees: len(rough & set(degrees)))
    before = next(degree for degree in _BEFORE_CADENCE[number % 2 :] if degree != dominant)
    first, second, third = opening
    start = [(first, first), (second, second)]
    question = [*start, (third, third), (dominant, dominant)]
    answer = [*start, (before, dominant), (0, 0)]
    contrast = [*zip(_FIFTHS[::2], _FIFTHS[1::2], strict=True), (4, dominant)]
    return [*question, *answer, *contrast, *answer]


def _slots(harmony: Harmony, bars: Sequence[int], rhythms: Sequence[Rhythm]) -> Iterator[_Slot]:
    """Return the notes to be chosen in some bars: of the chord on each half of a bar, any in between."""
    for bar, rhythm in zip(bars, rhythms, strict=True):
        for start, length in rhythm:
            chord = _triad(harmony[bar][start // 4])
            strong = start % 4 == 0
            yield _Slot(8 * bar + start, length, tuple(d for d in _MELODY_DEGREES if not strong or d % 7 in chord))


def _steps_home(slots: Sequence[_Slot]) -> list[_Slot]:
    """Return the slots of a phrase that ends on the tonic, which a neighbour leads to."""
    *rest, last_but_one, last = slots
    return [*rest, last_but_one._replace(allowed=(-1, 1)), last._replace(allowed=(0,))]


def _draw(number: int, place: int, degree: int) -> int:
    """Return what makes one melody differ from another: a number below 12 that looks drawn."""
    mixed = (number * 2654435761 ^ place * 40503 ^ (degree + 8) * 69069) & 0xFFFFFFFF
    return (mixed * 2246822519 >> 13) % 12


def _melody(scale: str, number: int, slots: Sequence[_Slot], before: int | None) -> list[int]:
    """Choose a degree for each slot: the cheapest way through them, from the degree *before*.

    Steps cost nothing, wider intervals more, and so does going back to the note before the last; augmented seconds are
    never sung. On each half of a bar a drawn cost on every degree gives the line its shape.
    """
    pitch = {degree: SCALES[scale][degree % 7] + degree // 7 * 12 for degree in _MELODY_DEGREES}
    # The cheapest way to each pair of last notes.
    ways: dict[tuple[int | None, int | None], tuple[int, list[int]]] = {(None, before): (0, [])}
    for slot in slots:
        found: dict[tuple[int | None, int | None], tuple[int, list[int]]] = {}
        for degree in slot.allowed:
            shape = _draw(number, slot.start // 4, degree) if slot.start % 4 == 0 else 0
            for (earlier, last), (cost, way) in ways.items():
                total = cost + shape + _BACK_COST * (earlier == degree)
                if last is not None:
                    total += _INTERVAL_COST.get(abs(degree - last), _NEVER)
                    total += _NEVER * (abs(degree - last) == 1 and abs(pitch[degree] - pitch[last]) > 2)
                pair = (last, degree)
                if pair not in found or total < found[pair][0]:
                    found[pair] = (total, [*way, degree])
        ways = found
    return min(ways.values())[1]


def _tune(scale: str, number: int, harmony: Harmony) -> list[tuple[int, int, int]]:
    """Compose the melody: start and length in eighths, and degree, of every note of the sixteen bars."""
    one, two, three = (_MELODY[(number // place) % len(_MELODY)] for place in (1, 6, 4))
    opening = list(_slots(harmony, (0, 1), (one, two)))
    question = list(_slots(harmony, (2, 3), (one, _HALF_CLOSE)))
    answer = _steps_home(list(_slots(harmony, (6, 7), (_CADENCE, _CLOSE))))
    contrast = list(_slots(harmony, range(8, 12), (three, three, one, _HALF_CLOSE)))
    asked = _melody(scale, number, [*opening, *question], None)
    head = asked[: len(opening)]
    told = head + _melody(scale, number, answer, head[-1])
    between = _melody(scale, number, contrast, told[-1])
    notes = [(slot.start, slot.length, degree) for slot, degree in zip([*opening, *question], asked, strict=True)]
    for bars_later in (4, 12):
        for slot, degree in zip([*opening, *answer], told, strict=True):
            start = slot.start % 32 + 8 * bars_later
            notes.append((start, slot.length, degree))
    notes += [(slot.start, slot.length, degree) for slot, degree in zip(contrast, between, strict=True)]
    return sorted(notes)


def _nearest(chord: Sequence[int], previous: Sequence[int]) -> list[int]:
    """Voice a chord closely, in the inversion and octave whose voices move least from the previous chord."""
    low, high = _CHORD_RANGE
    voicings = []
    for inversion in range(len(chord)):
        voices = sorted([*chord[inversion:], *(note + 12 for note in chord[:inversion])])
        for octave in range(-72, 73, 12):
            moved = [note + octave for note in voices]
            if low <= moved[0] and moved[-1] <= high:
                voicings.append(moved)
    return min(voicings, key=lambda voices: (sum(min(abs(a - b) for b in previous) for a in voices), voices))


def _piece(pitch_class: int, scale: str, number: int) -> Midi:
    """Compose a piece: melody, chords and bass."""
    home = _LOWEST_TONIC + (pitch_class - _LOWEST_TONIC) % 12
    harmony = _harmony(scale, number)
    rhythm, pattern = _CHORDS[number // 3 % len(_CHORDS)], _BROKEN[number // 2 % len(_BROKEN)]
    notes: list[tuple[int, int, int, int, int, int]] = []

    def play(start: int, eighths: int, pitches: Sequence[int], loud: int, track: int) -> None:
        accent = 12 if start % 8 == 0 else 6 if start % 4 == 0 else 0
        # Phrases of four bars rise to their third and fall.
        swell = (0, 3, 6, 1)[start // 8 % 4]
        onset, offset = start * _EIGHTH, (start + eighths) * _EIGHTH - _RELEASE
        notes.extend((onset, offset, pitch, loud + accent + swell, track, track) for pitch in pitches)

    for start, eighths, degree in _tune(scale, number, harmony):
        play(start, eighths, [home + SCALES[scale][degree % 7] + degree // 7 * 12], 78, 0)
    middle = (sum(_CHORD_RANGE) // 2,)
    voices: Sequence[int] = middle
    for bar, halves in enumerate(harmony):
        if bar % 4 == 0:  # so that a phrase that returns has the voices that it had
            voices = middle
        broken = 8 <= bar < 11
        for half, degree in enumerate(halves):
            if half and degree == halves[0] and not broken:
                continue
            now, length = 8 * bar + 4 * half, 8 if halves[0] == halves[1] else 4
            voices = _nearest(
                [home + note for note in stack_thirds(scale, degree, 4 if bar in range(8, 12) else 3)], voices
            )
            if broken:
                for place, voice in enumerate(pattern):
                    play(now + place, 1, [voices[voice]], 56, 1)
            elif bar % 4 == 3:
                play(now, length, voices, 56, 1)
            else:
                for start, eighths in rhythm:
                    if 4 * half <= start < 4 * half + length:
                        play(8 * bar + start, eighths, voices, 56, 1)
            root, fifth = (_bass(pitch_class + SCALES[scale][place % 7]) for place in (degree, degree + 4))
            if length == 4 or bar in (7, 15):
                play(now, length, [root], 66, 2)
            else:
                play(now, 4, [root], 66, 2)
                play(now + 4, 4, [fifth], 66, 2)
    tempo = round(60e6 / _TEMPOS[number % len(_TEMPOS)])
    return Midi.from_notes(notes, ticks_per_beat=_TICKS_PER_BEAT, tempos=[(0, tempo)])


def _bass(pitch: int) -> int:
    return _LOWEST_BASS + (pitch - _LOWEST_BASS) % 12


def make_chords(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the sample pack: 12 keys by 13 scales, each a piece of sixteen bars over that scale's own chords.

    Every piece has four phrases (opening, answer, contrast, answer), a melody that moves by step and ends on the tonic,
    chords and bass. Harmony, rhythms, line and tempo (96 to 132 beats per minute, 29 to 40 seconds) differ from piece
    to piece. Format 1: a tempo track, "Melody", "Chords" and "Bass". The same bytes every time.

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
        When the folder or a file cannot be written; no file is added then.
    """
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RollcoreError(f"{root}: cannot make the folder: {error.strerror}; choose another") from error
    paths: list[Path] = []
    added: list[Path] = []
    try:
        for scale in SCALES:
            for pitch_class, tonic in enumerate(tonics(scale)):
                path = root / f"{tonic}_{scale.replace(' ', '_')}.mid"
                mode = _KEY_SIGNATURE.get(scale)
                added += [] if path.exists() else [path]
                write_midi(
                    _piece(pitch_class, scale, len(paths)),
                    path,
                    track_names=("Melody", "Chords", "Bass"),
                    key_signature=None if mode is None else tonic + mode,
                )
                paths.append(path)
    except BaseException:  # a part of the pack would be taken for all of it
        for path in added:
            path.unlink(missing_ok=True)
        raise
    return paths
