"""The MIDI file of generated music, as a musician would open it in a score editor.

One tempo, a time signature, named tracks, notes joined over frames and struck anew where the onset plane says so;
accents on the beats, phrases that swell and ebb, the top voice over the others; and the length that was asked for,
silence included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

import rollcore

DEFAULT_TEMPO_US = 500_000  # microseconds per beat: 120 beats per minute

#: Velocities: a note off the beat, and what is added on a beat, on the middle of a bar and on its first beat.
_PLAIN, _BEAT, _MIDDLE, _DOWNBEAT = 70, 6, 10, 16
_FLAT = 80
#: Phrases of four bars swell by so much up to their third bar, and ebb.
_PHRASE_BARS, _SWELL, _PEAK = 4, 8, Fraction(5, 8)
_DRUM_CHANNEL = 9
#: The top voice sings; the others make room for each other.
_TOP, _INNER, _LEAST = 6, -2, -12


def bar_frames(grid: rollcore.Grid, time_signature: tuple[int, int]) -> int | None:
    """Return the frames of a bar, or None where bars are not a whole number of frames or the grid is of seconds."""
    if grid.unit == "seconds":
        return None
    frames = grid.rate * Fraction(4 * time_signature[0], time_signature[1])
    return int(frames) if frames.denominator == 1 else None


def velocities(
    rows: npt.NDArray[np.uint8], notes: npt.NDArray[np.void], grid: rollcore.Grid, time_signature: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Return a velocity for each note, from its place in the bar, in its phrase of four bars and in its chord.

    Parameters
    ----------
    rows
        Packed rows ``(frames, planes, 16)`` of all that sounds.
    notes
        Structured array with ``onset_tick`` counted in frames, and ``pitch``.
    grid, time_signature
        Those of *rows*; without bars no beat is accented.
    """
    onset, pitch = notes["onset_tick"].astype(np.int64), notes["pitch"].astype(np.int64)
    found = np.full(len(notes), _PLAIN, np.int64)
    bar = bar_frames(grid, time_signature)
    if bar is not None:
        beat = grid.rate * Fraction(4, time_signature[1])
        place = onset % bar
        if beat.denominator == 1:
            found[place % int(beat) == 0] = _PLAIN + _BEAT
        if time_signature[0] % 2 == 0 and time_signature[0] > 2 and bar % 2 == 0:
            found[place == bar // 2] = _PLAIN + _MIDDLE
        found[place == 0] = _PLAIN + _DOWNBEAT
        through = onset % (_PHRASE_BARS * bar) / (_PHRASE_BARS * bar)
        found += np.round(_SWELL * (1 - np.abs(through / float(_PEAK) - 1))).astype(np.int64)
    sounding = np.unpackbits(rows[:, 0], axis=-1, bitorder="little")
    size = sounding.sum(axis=1, dtype=np.int64)
    top = 127 - np.argmax(sounding[:, ::-1], axis=1)
    inner = np.maximum(_INNER * (size - 1), _LEAST)
    return found + np.where(pitch == top[onset], _TOP, inner[onset])


@dataclass(frozen=True, eq=False)
class Score:
    """Music as a MIDI file has it.

    Attributes
    ----------
    midi
        The notes of all voices, a track and a channel each, with their velocities and the tempo.
    track_names
        Names of those voices that have a note.
    time_signature, key_signature
        As `rollcore.write_midi` takes them.
    end_tick
        Where it ends, with the rest after its last note.
    seconds
        How long that is.
    """

    midi: rollcore.Midi
    track_names: tuple[str, ...]
    time_signature: tuple[int, int]
    key_signature: str | None
    end_tick: int
    seconds: float

    def write(self, target: str | Path | BinaryIO) -> None:
        """Write a MIDI file.

        Raises
        ------
        RollcoreError
            If the file cannot be written.
        """
        rollcore.write_midi(
            self.midi,
            target,
            track_names=self.track_names,
            time_signature=self.time_signature,
            key_signature=self.key_signature,
            end_tick=self.end_tick,
        )


def make_score(
    voices: Sequence[tuple[str, npt.NDArray[np.uint8]]],
    *,
    grid: rollcore.Grid,
    tempo_us_per_beat: int = DEFAULT_TEMPO_US,
    time_signature: tuple[int, int] = (4, 4),
    key_signature: str | None = None,
    flat: bool = False,
    programs: Sequence[int] = (),
) -> Score:
    """Set voices as a score, one track each.

    Parameters
    ----------
    voices
        Track name and packed rows ``(frames, planes, 16)`` of each; all have the same length.
    grid
        The grid of the rows.
    tempo_us_per_beat
        Microseconds per beat.
    time_signature, key_signature
        As `rollcore.write_midi` takes them.
    flat
        Whether all notes have one velocity.
    programs
        The program of each voice, 0 to 127; without them the file names none.

    Raises
    ------
    RollcoreError
        If the grid is finer than MIDI ticks.
    """
    together = np.bitwise_or.reduce([rows for _, rows in voices])
    shape = _FLAT if flat else partial(velocities, together, grid=grid, time_signature=time_signature)
    parts: list[npt.NDArray[np.void]] = []
    names: list[str] = []
    played_by: list[tuple[int, int, int, int]] = []
    for number, (name, rows) in enumerate(voices):
        voice = rollcore.midi_from_roll(rows, grid=grid, tempo=tempo_us_per_beat, velocity=shape)
        if len(voice.notes):
            played = voice.notes.copy()
            track = len(names)
            # The tenth channel is that of drums.
            channel = (track + (track >= _DRUM_CHANNEL)) % 16
            played["track"], played["channel"] = track, channel
            if programs:
                played_by.append((0, track, channel, programs[number]))
            names.append(name)
            parts.append(played)
    midi = rollcore.Midi.from_notes(
        np.concatenate(parts) if parts else voice.notes, ticks_per_beat=voice.ticks_per_beat, tempos=voice.tempos
    )
    midi = replace(midi, programs=np.array(played_by, rollcore.PROGRAM_DTYPE))
    ticks = rollcore.frame_ticks(grid, tempo_us_per_beat, voice.ticks_per_beat)
    seconds = Fraction(len(together)) / grid.rate
    if grid.unit == "beats":
        seconds *= Fraction(tempo_us_per_beat, 1_000_000)
    end_tick = math.ceil(len(together) * ticks)
    return Score(midi, tuple(names), time_signature, key_signature, end_tick, float(seconds))


def program_of(voice: str) -> int:
    """Return the first program of General MIDI that has the name of a voice in its own, as 32 for bass; else 0."""
    word = voice.strip().casefold()
    return next((number for number, name in enumerate(rollcore.PROGRAM_NAMES) if word in name.casefold().split()), 0)


def without(rows: npt.NDArray[np.uint8], melody: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return *rows* less the notes of *melody*, both packed ``(frames, planes, 16)``; the melody may be shorter."""
    rest = rows.copy()
    rest[: len(melody)] &= ~melody[: len(rows), :1]
    return rest


def detach(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return *rows* as music of its own: what sounds in the first frame begins there."""
    own = rows.copy()
    if len(own) and own.shape[1] > 1:
        own[0, 1::2] = own[0, ::2]
    return own
