"""The MIDI file of generated music, as a musician would open it in a score editor.

One tempo, a time signature, named tracks, notes joined over frames and struck anew where the onset plane says
so; accents on the beats, the top voice over the others; and the length that was asked for, silence included.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rollcore

DEFAULT_TEMPO = 500_000  # microseconds per beat: 120 beats per minute

#: Velocities: a note off the beat, and what is added on a beat, on the middle of a bar and on its first beat.
_PLAIN, _BEAT, _MIDDLE, _DOWNBEAT = 70, 6, 10, 16
#: The top voice sings; the others make room for each other.
_TOP, _INNER, _LEAST = 6, -2, -12


def bar_frames(grid: rollcore.Grid, time_signature: tuple[int, int]) -> int | None:
    """Return the frames of a bar, or None where bars are no whole number of frames or the grid is of seconds."""
    if grid.unit == "seconds":
        return None
    frames = grid.rate * Fraction(4 * time_signature[0], time_signature[1])
    return int(frames) if frames.denominator == 1 else None


def velocities(
    rows: npt.NDArray[np.uint8], notes: npt.NDArray[np.void], grid: rollcore.Grid, time_signature: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Return a velocity for each note, from its place in the bar and in its chord.

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
    sounding = np.unpackbits(rows[:, 0], axis=-1, bitorder="little")
    size = sounding.sum(axis=1, dtype=np.int64)
    top = 127 - np.argmax(sounding[:, ::-1], axis=1)
    inner = np.maximum(_INNER * (size - 1), _LEAST)
    return found + np.where(pitch == top[onset], _TOP, inner[onset])


def write_score(
    voices: Sequence[tuple[str, npt.NDArray[np.uint8]]],
    path: Path,
    *,
    grid: rollcore.Grid,
    tempo: int = DEFAULT_TEMPO,
    time_signature: tuple[int, int] = (4, 4),
    key_signature: str | None = None,
) -> None:
    """Write voices as a MIDI file, one track each.

    Parameters
    ----------
    voices
        Track name and packed rows ``(frames, planes, 16)`` of each; all have the same length.
    path
        The file, replaced if it exists.
    grid
        The grid of the rows.
    tempo
        Microseconds per beat.
    time_signature, key_signature
        As `rollcore.write_midi` takes them.

    Raises
    ------
    RollcoreError
        If the file cannot be written, or the grid is finer than MIDI ticks.
    """
    from mido import MidiFile

    together = np.bitwise_or.reduce([rows for _, rows in voices])
    parts: list[npt.NDArray[np.void]] = []
    names: list[str] = []
    for name, rows in voices:
        played = rollcore.midi_from_roll(rows, grid=grid, tempo=tempo).notes.copy()
        in_frames = rollcore.notes_from_roll(rows)
        # Both come sorted by onset, then pitch.
        played["velocity"] = velocities(together, in_frames, grid, time_signature)
        if len(played):
            played["channel"] = played["track"] = len(names)
            names.append(name)
            parts.append(played)
    empty = rollcore.midi_from_roll(together[:0], grid=grid, tempo=tempo)
    midi, division = empty, empty.ticks_per_beat
    if parts:
        notes = np.concatenate(parts)
        midi = rollcore.Midi.from_notes(notes, ticks_per_beat=division, tempos=empty.tempos)
    buffer = io.BytesIO()
    rollcore.write_midi(midi, buffer, track_names=names, time_signature=time_signature, key_signature=key_signature)

    # The end of the tracks says how long the music is, where it ends with a rest, too.
    ticks_per_frame = Fraction(division) / grid.rate
    if grid.unit == "seconds":
        ticks_per_frame = Fraction(division * 1_000_000, tempo) / grid.rate
    end = -(-len(together) * ticks_per_frame.numerator // ticks_per_frame.denominator)
    buffer.seek(0)
    file = MidiFile(file=buffer)
    for track in file.tracks:
        track[-1].time += max(0, end - sum(message.time for message in track))
    whole = io.BytesIO()
    file.save(file=whole)
    try:
        path.write_bytes(whole.getvalue())
    except OSError as error:
        raise rollcore.RollcoreError(f"{path}: cannot be written: {error.strerror}") from error


def without(rows: npt.NDArray[np.uint8], melody: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return *rows* less the notes of *melody*, both packed ``(frames, planes, 16)``; the melody may be shorter."""
    rest = rows.copy()
    rest[: len(melody)] &= ~melody[: len(rows), :1]
    return rest


def detach(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return *rows* as music of its own: what sounds in the first frame begins there."""
    own = rows.copy()
    if len(own) and own.shape[1] == 2:
        own[0, 1] = own[0, 0]
    return own
