"""Piano rolls: notes to packed rows and back."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollcore import _roll
from rollcore.errors import RollcoreError
from rollcore.grid import MAX_MINUTES, MAX_TEMPO_BPM, Grid, choose_grid
from rollcore.midi import (
    CONTROLLER_DTYPE,
    NOTE_DTYPE,
    NOTE_ROW_DTYPE,
    PEDAL_DTYPE,
    PROGRAM_DTYPE,
    TEMPO_DTYPE,
    TEMPO_ROW_DTYPE,
    Midi,
    check_division,
    decoded_names,
)
from rollcore.selection import MAX_VOICES, NO_SELECTION, Selection

PLANES = ("sounding", "onset")
ROW_BYTES = 16
"""Bytes of one frame of one plane: 128 pitches, pitch p at bit ``p & 7`` of byte ``p >> 3``."""

SHORTEST_BEAT, LONGEST_BEAT = MAX_TEMPO_BPM + 1, (1 << 24) - 1
"""Microseconds: a smaller number was meant in beats per minute, and MIDI has no room for a larger one."""

TICKS_PER_BEAT, MOST_TICKS_PER_BEAT = 480, 32_767
"""What is common, and what MIDI has room for."""

RECORD_DTYPE = np.dtype(
    [
        ("size", "i8"),
        ("notes", "i8"),
        ("frames", "i8"),
        ("microseconds", "i8"),
        ("left_out", "i8", (8,)),
        ("moved", "i8"),
        ("digests", "u1", (3 * 16,)),
        ("status", "i4"),
        ("error", "i4"),
        ("tempo", "i4"),
        ("time_signature", "i4", (2,)),
        ("upbeat", "i4"),
        ("shift", "i4"),
        ("free", "i4"),
        ("repairs", "i4", (32,)),
        ("head", "u1", (264,)),
    ],
    align=True,
)
"""What the kernel says of one file; the C struct of the same shape is in _roll.pyx."""

assert RECORD_DTYPE.itemsize == _roll.RECORD_BYTES

_NOTE_STRUCT = np.dtype(
    [
        ("onset_tick", "<i8"),
        ("offset_tick", "<i8"),
        ("private", "V8"),
        ("track", "<u2"),
        ("pitch", "u1"),
        ("velocity", "u1"),
        ("channel", "u1"),
        ("drums", "?"),
    ],
    align=True,
)
"""A note as the kernel has it while it asks which to keep."""

assert _NOTE_STRUCT.itemsize == _roll.NOTE_BYTES

_REFUSALS = {
    _roll.STATUS_TOO_LONG: "piece: longer than {minutes:g} minutes",
    _roll.STATUS_NO_BEATS: "SMPTE time division has no beats: choose a grid in frames per second (fps)",
    _roll.STATUS_BAD_NOTES: "notes: expected pitches 0-127 and 0 <= onset_tick <= offset_tick",
    _roll.STATUS_FEW_NOTES: "piece: fewer than {select.min_notes:,} notes",
    _roll.STATUS_FEW_PITCHES: "piece: fewer than {select.min_pitches:,} pitches",
    _roll.STATUS_BAD_TEMPOS: "tempos: expected ticks in ascending order and at least 1 microsecond per beat",
}


def check_planes(planes: str | Sequence[str]) -> tuple[str, ...]:
    """Return the planes in their one order, from a sequence or a text such as ``"sounding,onset"``."""
    given = [plane.strip() for plane in planes.split(",")] if isinstance(planes, str) else list(planes)
    chosen = tuple(plane for plane in PLANES if plane in given)
    if len(chosen) != len(given) or "sounding" not in chosen:
        raise RollcoreError(f"planes {','.join(map(str, given))}: expected sounding, or sounding,onset")
    return chosen


def plane_voices(planes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the voices that planes are of: none where all notes share the planes.

    Parameters
    ----------
    planes
        The planes of a frame in their order: ``sounding``, or ``sounding, onset``, or for each voice the pair
        ``sounding:NAME, onset:NAME``. A name is printable, without comma and colon, and stands for one voice.

    Raises
    ------
    RollcoreError
        If the planes are none of these.

    Examples
    --------
    >>> plane_voices(("sounding:melody", "onset:melody", "sounding:piano", "onset:piano"))
    ('melody', 'piano')
    >>> plane_voices(("sounding", "onset"))
    ()
    """
    if tuple(planes) in (PLANES[:1], PLANES):
        return ()
    names = tuple(plane.removeprefix("sounding:") for plane in planes[::2])
    pairs = tuple(f"{plane}:{name}" for name in names for plane in PLANES)
    proper = all(name and name.isprintable() and not {",", ":"} & set(name) for name in names)
    if not names or tuple(planes) != pairs or not proper or len(set(names)) != len(names):
        raise RollcoreError(
            f"planes {','.join(planes)}: expected sounding, or sounding and onset, or such a pair for each voice"
        )
    return names


@dataclass(frozen=True)
class RollOptions:
    """How notes become rows; the parameters of :func:`piano_roll`, checked.

    Attributes
    ----------
    matched
        Of the parts of the selection those that the files read so far have notes of.

    Raises
    ------
    RollcoreError
        If one of them is out of range.
    """

    grid: Grid
    planes: tuple[str, ...] = PLANES
    drums: bool = False
    sustain: bool = False
    align: bool = True
    max_minutes: float = MAX_MINUTES
    select: Selection = NO_SELECTION
    matched: set[str] = field(default_factory=set, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        planes = self.planes if self.select.planes == self.planes else check_planes(self.planes)
        if self.select.voices and len(planes) == 1:
            raise RollcoreError("planes sounding: voices have onsets too; leave planes out")
        object.__setattr__(self, "planes", self.select.planes or planes)
        object.__setattr__(self, "drums", bool(self.drums or self.select.only_drums))
        self.grid.limits(self.max_minutes)

    def kernel(self) -> _roll.Batch:
        """Return a kernel that reads and paints with these options."""
        seconds, beats = self.grid.limits(self.max_minutes)
        return _roll.Batch(
            self.grid.unit == "beats",
            self.grid.rate.numerator,
            self.grid.rate.denominator,
            len(self.planes) > 1,
            self.drums,
            self.sustain,
            self.align,
            seconds,
            beats,
            max(1, len(self.select.voices)),
            self.select.min_notes,
            self.select.min_pitches,
            self._choose if self.select.of_notes else None,
        )

    def _choose(
        self,
        notes: memoryview,
        programs: list[tuple[int, int, int, int]],
        names: list[tuple[int, bytes]],
        n_tracks: int,
        format: int,
    ) -> NDArray[np.int8]:
        """Say for each note of a file that the kernel has read which voice it has, or why it is left out."""
        rows = np.frombuffer(notes, _NOTE_STRUCT)
        midi = Midi(
            rows,
            np.empty(0, TEMPO_DTYPE),
            ticks_per_beat=1,
            format=format,
            programs=np.array(programs, PROGRAM_DTYPE),
            track_names=decoded_names(names, n_tracks),
        )
        if len(self.matched) < len(self.select.parts):
            for option, part in self.select.parts.items():
                if option not in self.matched and (part.choose(midi, rows["drums"], keep_drums=True) >= 0).any():
                    self.matched.add(option)
        return self.select.choose(midi, rows["drums"], keep_drums=self.drums)

    def unmatched(self) -> tuple[str, ...]:
        """Return the parts of the selection that no file read so far has a note of, by option."""
        return tuple(option for option in self.select.parts if option not in self.matched)

    def stored(self) -> dict[str, Any]:
        """Return what a dataset says of them beside its grid and planes."""
        return {
            "align": bool(self.align),
            "drums": bool(self.drums),
            "max_minutes": float(self.max_minutes),
            "sustain": bool(self.sustain),
            **({"select": self.select.stored()} if self.select != NO_SELECTION else {}),
        }


def piano_roll(
    midi: Midi,
    *,
    fps: int | float | str | Fraction | None = None,
    steps_per_beat: int | float | str | Fraction | None = None,
    grid: Grid | None = None,
    planes: str | Sequence[str] = PLANES,
    drums: bool = False,
    sustain: bool = False,
    align: bool = True,
    max_minutes: float = MAX_MINUTES,
    select: Selection | None = None,
) -> NDArray[np.uint8]:
    """Quantise notes to a grid and pack them, one bit a pitch.

    On the grid of beats an onset or a note-off goes to the nearest step, ``floor(beats * rate + 1/2)``; on that of
    seconds to the frame it lies in, ``floor(seconds * rate)``. Both are computed in integers over the tempo map. A note
    sounds from the frame of its onset up to, and without, the frame of its note-off, and on at least one frame. The
    roll ends with its last note.

    Parameters
    ----------
    midi
        The piece, as :func:`rollcore.read_midi` returns it.
    fps, steps_per_beat, grid
        The grid: frames per second, or steps per quarter note, or a `Grid`; 4 steps when none is given.
    planes
        ``("sounding", "onset")`` or ``"sounding"``; the onset plane has a bit only where a note begins. Without it,
        notes of one pitch that touch on the grid are one. Voices have planes of their own instead.
    drums
        Keep the notes of drum parts (``midi.drums``), as a rule those of channel 10.
    sustain
        Extend notes while controller 64 is 64 or more on their channel, up to the next onset of the same pitch, and
        those that the sostenuto pedal (66) has caught; "all sound off" (120) ends them.
    align
        On the grid of beats, shift the notes of a piece whose onsets all lie beside the sixteenths by one and the same
        offset, as docs/format.md says. Notes and pedals move, tempos and bar lines do not. What lies on the grid
        already, and what was played without one, stays as it is.
    max_minutes
        Refuse longer pieces before anything is allocated.
    select
        Which notes are kept: a :class:`rollcore.Selection` of tracks, programs, channels or pitches. With voices, each
        has planes of its own.

    Returns
    -------
    uint8 array of shape (frames, planes, 16)
        ``np.unpackbits(rows, axis=-1, bitorder="little")[f, k, p]`` is plane `k` of pitch `p` at frame `f`.

    Raises
    ------
    TypeError
        If `midi` is no `Midi`.
    RollcoreError
        If the piece is longer than `max_minutes`, has no beats for a beat grid (SMPTE division), or one of its values
        or an option is out of range.

    Examples
    --------
    >>> import rollcore
    >>> middle_c = np.array([(0, 480, 60, 80, 0, 0)], rollcore.NOTE_DTYPE)
    >>> rows = piano_roll(rollcore.Midi.from_notes(middle_c))
    >>> rows.shape, rollcore.unpack(rows, 60, 61)[:, 0].tolist(), rollcore.unpack(rows, 60, 61)[:, 1].tolist()
    ((4, 2, 16), [[1, 0], [1, 0], [1, 0], [1, 0]], [[1, 0], [0, 0], [0, 0], [0, 0]])
    """
    if not isinstance(midi, Midi):
        raise TypeError(f"a piano roll is of a rollcore.Midi, as read_midi returns it, not of a {type(midi).__name__}")
    options = RollOptions(
        choose_grid(fps, steps_per_beat, grid),
        tuple(planes) if select is not None and tuple(planes) == select.planes else check_planes(planes),
        drums,
        sustain,
        align,
        max_minutes,
        select or NO_SELECTION,
    )
    batch = options.kernel()
    check_division(midi)
    smpte_fps, smpte_ticks = midi.smpte or (0, 0)
    if midi.notes.dtype != NOTE_DTYPE:
        raise RollcoreError(f"notes: expected an array of dtype NOTE_DTYPE, found {midi.notes.dtype}")
    notes = np.zeros(len(midi.notes), NOTE_ROW_DTYPE)
    for name in NOTE_DTYPE.names or ():
        notes[name] = midi.notes[name]
    notes["drums"] = midi.drums
    voices = np.empty(0, np.int8)
    if options.select.of_notes:
        voices = options.select.choose(midi, notes["drums"], keep_drums=options.drums)
    tempos = np.zeros(len(midi.tempos), TEMPO_ROW_DTYPE)
    for name in TEMPO_DTYPE.names or ():
        tempos[name] = midi.tempos[name]
    if midi.format == 2:  # every track has tempos of its own
        if len(midi.tempo_tracks) != len(tempos):
            raise RollcoreError(
                f"tempo_tracks: expected one for each of {len(tempos)} tempos, found {len(midi.tempo_tracks)}"
            )
        in_order = np.argsort(notes["track"], kind="stable")
        notes, voices = notes[in_order], voices[in_order] if len(voices) else voices
        tempos["track"] = midi.tempo_tracks
    pedals, controllers = midi.pedals, midi.controllers
    if sustain:
        pedals = pedals[np.argsort(pedals["tick"], kind="stable")]
        controllers = controllers[np.argsort(controllers["tick"], kind="stable")]
    record = np.zeros(1, RECORD_DTYPE)
    batch.load_notes(
        midi.format,
        0 if midi.smpte else midi.ticks_per_beat,
        smpte_fps,
        smpte_ticks,
        notes.view(np.uint8),
        tempos.view(np.uint8),
        _bytes_of(pedals, PEDAL_DTYPE, "pedals"),
        _bytes_of(controllers, CONTROLLER_DTYPE, "controllers"),
        voices,
        record.view(np.uint8),
    )
    status = int(record["status"][0])
    if status in _REFUSALS:
        raise RollcoreError(_REFUSALS[status].format(minutes=max_minutes, select=options.select))
    if status == _roll.STATUS_NO_MEMORY:
        raise MemoryError
    frames = int(record["frames"][0])
    rows = np.empty((frames + 1, len(options.planes), ROW_BYTES), np.uint8)  # the kernel needs one row more
    batch.roll(record.view(np.uint8), rows.reshape(-1))
    return rows[:frames]


def _bytes_of(array: NDArray[np.void], dtype: np.dtype[np.void], name: str) -> NDArray[np.uint8]:
    if array.dtype != dtype:
        raise RollcoreError(f"{name}: expected an array of dtype {name[:-1].upper()}_DTYPE, found {array.dtype}")
    return np.ascontiguousarray(array).view(np.uint8)


def notes_from_roll(rows: NDArray[np.uint8], *, ticks_per_frame: int = 1, velocity: int = 80) -> NDArray[np.void]:
    """Read the notes off a roll: the inverse of :func:`piano_roll` on the grid.

    A note is a run of frames at one pitch; where the roll has an onset plane, an onset within a run begins a new
    note. Without the onset plane, notes that follow each other without a gap are one.

    Parameters
    ----------
    rows
        uint8 array of shape (frames, planes, 16); more than two planes are those of voices, a pair for each.
    ticks_per_frame
        Ticks that one frame stands for.
    velocity
        Velocity of every note, 1 to 127.

    Returns
    -------
    structured array of dtype `NOTE_DTYPE`
        Sorted by onset, then pitch; channel and track 0, or as many as there are voices before: track and channel are
        the voice's number, but channel 9, which is passed over.

    Raises
    ------
    RollcoreError
        If `rows` is not a roll, or an option is not a whole number or out of range.
    """
    rows = _check_rows(rows)
    frames, planes, _ = rows.shape
    ticks_per_frame = _check_whole("ticks_per_frame", ticks_per_frame, 1, (2**63 - 1) // max(frames, 1))
    velocity = _check_whole("velocity", velocity, 1, 127)
    voices = [_voice_notes(rows[:, first : first + 2], ticks_per_frame) for first in range(0, planes, 2)]
    for number, notes in enumerate(voices):
        notes["velocity"] = velocity
        notes["track"] = number
        notes["channel"] = (number + (number >= 9)) % 16
    notes = np.concatenate(voices)
    return notes[np.lexsort((notes["track"], notes["pitch"], notes["onset_tick"]))]


def _voice_notes(rows: NDArray[np.uint8], ticks_per_frame: int) -> NDArray[np.void]:
    """Read the notes off a sounding plane, and an onset plane where there is one."""
    frames, planes, _ = rows.shape
    found: list[tuple[NDArray[np.intp], ...]] = []
    for byte in np.flatnonzero(rows[:, 0].any(axis=0)):  # eight pitches at a time: a day of music fits into memory
        bits = np.zeros((planes, 8, frames + 1), bool)
        bits[:, :, :frames] = np.unpackbits(rows[:, :, byte, None], axis=-1, bitorder="little").transpose(1, 2, 0)
        sounding = bits[0]
        begins = sounding.copy()
        begins[:, 1:] &= ~sounding[:, :-1]
        if planes == 2:
            begins |= bits[1] & sounding
        pitch, onset = np.nonzero(begins)
        # A note ends where the next one of its pitch begins or where the pitch falls silent, whichever is first;
        # every pitch has one such place after each onset, in the same order.
        ends = np.zeros_like(sounding)
        ends[:, 1:] = sounding[:, :-1] & (~sounding[:, 1:] | begins[:, 1:])
        found.append((onset, np.nonzero(ends)[1], 8 * byte + pitch))
    notes = np.zeros(sum(len(onset) for onset, _, _ in found), NOTE_DTYPE)
    if found:
        onset, offset, pitch = map(np.concatenate, zip(*found, strict=True))
        notes["onset_tick"] = onset * ticks_per_frame
        notes["offset_tick"] = offset * ticks_per_frame
        notes["pitch"] = pitch
    return notes


def midi_from_roll(
    rows: NDArray[np.uint8],
    *,
    grid: Grid,
    tempo: int = 500_000,
    ticks_per_beat: int | None = None,
    velocity: int | Callable[[NDArray[np.void]], NDArray[np.integer[Any]]] = 80,
) -> Midi:
    """Turn a roll into a piece whose roll on the same grid is `rows` again.

    Parameters
    ----------
    rows
        uint8 array of shape (frames, planes, 16).
    grid
        The grid of `rows`.
    tempo
        Microseconds per beat, 1,001 to 16,777,215: 500,000 is 120 beats per minute.
    ticks_per_beat
        Resolution; a frame must last at least one tick. By default 480, or what is near to it and a whole number of
        ticks for each step, or more where frames are shorter.
    velocity
        Velocity of every note, 1 to 127, or a function that returns one for each note from the notes counted in frames,
        as :func:`notes_from_roll` returns them.

    Raises
    ------
    RollcoreError
        If a frame is shorter than a tick, or an option is out of range.
    """
    beat = " microseconds per beat, as 500000 for 120 bpm"
    tempo = _check_whole("tempo", tempo, SHORTEST_BEAT, LONGEST_BEAT, beat)
    if ticks_per_beat is None:
        ticks_per_beat = _division(grid, tempo)
    ticks_per_beat = _check_whole("ticks_per_beat", ticks_per_beat, 1, MOST_TICKS_PER_BEAT)
    if callable(velocity):
        notes = notes_from_roll(rows)
        notes["velocity"] = velocity(notes)
    else:
        notes = notes_from_roll(rows, velocity=velocity)
    ticks_per_frame = frame_ticks(grid, tempo, ticks_per_beat)
    if ticks_per_frame < 1:
        raise RollcoreError(
            f"{ticks_per_beat} ticks per beat: too coarse for {grid}; raise ticks_per_beat or lower the rate"
        )
    ticks, unit = ticks_per_frame.numerator, ticks_per_frame.denominator
    for name in ("onset_tick", "offset_tick"):
        frames = notes[name]
        if 2 * (len(rows) * ticks + unit) >= 2**63:
            frames = frames.astype(object)  # Python's integers know no overflow
        # The nearest tick has this frame as its nearest step; within a slice of time the tick after its start lies.
        notes[name] = (2 * frames * ticks + unit) // (2 * unit) if grid.unit == "beats" else -(-frames * ticks // unit)
    tempos = np.array([(0, tempo)], TEMPO_DTYPE)
    return Midi.from_notes(notes, ticks_per_beat=ticks_per_beat, tempos=tempos)


def frame_ticks(grid: Grid, tempo: int, ticks_per_beat: int) -> Fraction:
    """Return the ticks of a frame at a tempo of so many microseconds per beat."""
    if grid.unit == "beats":
        return Fraction(ticks_per_beat) / grid.rate
    return Fraction(ticks_per_beat * 1_000_000, tempo) / grid.rate


def _division(grid: Grid, tempo: int) -> int:
    """Return ticks per beat of which a step has a whole number, and a frame one at least, where MIDI has room."""
    if grid.unit == "beats":
        division = grid.rate.numerator * max(1, round(TICKS_PER_BEAT / grid.rate.numerator))
        return division if division <= MOST_TICKS_PER_BEAT else TICKS_PER_BEAT
    division = TICKS_PER_BEAT
    while division * 1_000_000 < grid.rate * tempo and 2 * division <= MOST_TICKS_PER_BEAT:
        division *= 2  # a slow beat holds many frames
    return division


def _check_whole(name: str, value: int, least: int, most: int, what: str = "") -> int:
    if not isinstance(value, numbers.Integral) or not least <= value <= most:
        raise RollcoreError(f"{name} {value}: expected a whole number from {least} to {most}{what}")
    return int(value)


def _planes_fit(planes: int) -> bool:
    return planes == 1 or (planes % 2 == 0 and 0 < planes <= 2 * MAX_VOICES)


def _check_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = np.asarray(rows)
    if rows.dtype != np.uint8 or rows.ndim != 3 or not _planes_fit(rows.shape[1]) or rows.shape[2] != ROW_BYTES:
        raise RollcoreError(
            f"rows: expected uint8 of shape (frames, 1 or 2 planes, or 2 for each voice, 16), found {rows.dtype} of "
            f"shape {rows.shape}"
        )
    return rows
