"""MIDI files as columns of notes: a tolerant reader that says what it mended.

How damaged files are read, rule by rule, is in ``docs/reading.md``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from rollcore import _smf
from rollcore.errors import MidiError, RollcoreError
from rollcore.repairs import REPAIR_CODES, REPAIRS, first_bytes, skip_reason, strict_error

__all__ = [
    "CONTROLLER_DTYPE",
    "DEFAULT_TEMPO",
    "NOTE_DTYPE",
    "PART_DTYPE",
    "PEDAL_DTYPE",
    "PROGRAM_DTYPE",
    "REPAIRS",
    "REPAIR_CODES",
    "TEMPO_DTYPE",
    "TIME_SIGNATURE_DTYPE",
    "Midi",
    "Opening",
    "is_time_signature",
    "read_midi",
    "skip_reason",
]

Array = npt.NDArray[Any]

NOTE_DTYPE = np.dtype(
    [
        ("onset_tick", "<i8"),
        ("offset_tick", "<i8"),
        ("pitch", "u1"),
        ("velocity", "u1"),
        ("channel", "u1"),
        ("track", "<u2"),
    ],
    align=True,
)
TEMPO_DTYPE = np.dtype([("tick", "<i8"), ("microseconds_per_beat", "<i4")], align=True)
NOTE_ROW_DTYPE = np.dtype(  # as the kernel has it
    [
        ("onset_tick", "<i8"),
        ("offset_tick", "<i8"),
        ("pitch", "u1"),
        ("velocity", "u1"),
        ("channel", "u1"),
        ("drums", "?"),
        ("track", "<u2"),
    ],
    align=True,
)
PROGRAM_DTYPE = np.dtype([("tick", "<i8"), ("track", "<u2"), ("channel", "u1"), ("program", "u1")], align=True)
CONTROLLER_DTYPE = np.dtype(
    [("tick", "<i8"), ("track", "<u2"), ("channel", "u1"), ("number", "u1"), ("value", "u1")], align=True
)
PART_DTYPE = np.dtype([("tick", "<i8"), ("track", "<u2"), ("channel", "u1"), ("drums", "?")], align=True)
PEDAL_DTYPE = np.dtype([("tick", "<i8"), ("track", "<u2"), ("channel", "u1"), ("down", "?")], align=True)
TIME_SIGNATURE_DTYPE = np.dtype([("tick", "<i8"), ("beats", "<u2"), ("value", "<u2"), ("track", "<u2")], align=True)
TEMPO_ROW_DTYPE = np.dtype([("tick", "<i8"), ("microseconds_per_beat", "<i4"), ("track", "<u2")], align=True)

#: Microseconds per beat before the first tempo event: 120 beats per minute.
DEFAULT_TEMPO = 500_000
NO_SIGNATURE = "a time signature must be 1 to 255 beats of a power of two up to 256, at a tick of 0 or more, not {}"


def _no_pedals() -> Array:
    return np.empty(0, PEDAL_DTYPE)


def _no_time_signatures() -> Array:
    return np.empty(0, TIME_SIGNATURE_DTYPE)


def _no_programs() -> Array:
    return np.empty(0, PROGRAM_DTYPE)


def _no_controllers() -> Array:
    return np.empty(0, CONTROLLER_DTYPE)


def _no_parts() -> Array:
    return np.empty(0, PART_DTYPE)


def _no_tracks() -> Array:
    return np.empty(0, np.uint16)


class Opening(NamedTuple):
    """How a piece begins.

    Attributes
    ----------
    tempo
        Microseconds per beat at the first note; None where the file names none by then.
    time_signature
        That of the bars it begins with, such as ``(6, 8)``, by the rule of :meth:`Midi.bar_at`: the one at the first
        note, but where another takes over within less than a bar of its own, that one: the first bar is a pick-up then.
    upbeat
        Quarter notes from tick 0 to the first bar line, less than a bar: bars are counted from where their time
        signature stands. 0 in absolute time.
    """

    tempo: int | None
    time_signature: tuple[int, int] | None
    upbeat: Fraction


@dataclass(frozen=True, eq=False)
class Midi:
    """A piece of music in ticks, as a MIDI file holds it.

    Parameters
    ----------
    notes
        ``NOTE_DTYPE`` array sorted by onset, track, channel, pitch, offset. A note ends where its note-off
        stands, at ``offset_tick >= onset_tick``. Channels count from 0, those of port p from ``16 * p``: channel 9 of a
        port is drums, unless `parts` says otherwise.
    tempos
        ``TEMPO_DTYPE`` array sorted by tick, as found in the file; 500000 microseconds per beat hold before
        the first one.
    ticks_per_beat
        Ticks in a quarter note; 0 when `smpte` holds.
    format
        0, 1 or 2. In format 2 every track is a piece of its own, with its own tempos; a piano roll lays them over each
        other.
    tempo_tracks
        uint16 array parallel to `tempos`: the track each one stands in.
    pedals
        ``PEDAL_DTYPE`` array sorted by tick: where the sustain pedal (controller 64) of a channel goes down (64
        and above) or up. It starts up. Tracks of one channel share it; in format 2 each has its own.
    time_signatures
        ``TIME_SIGNATURE_DTYPE`` array sorted by tick, as found in the file: `beats` in a bar, of note value `value`
        (a power of two, 4 is a quarter), and the track each one stands in; 4/4 holds before the first one.
    programs
        ``PROGRAM_DTYPE`` array sorted by tick: the program, 0 to 127, of a channel from a tick on; 0 before the first
        one. Tracks of one channel share it; in format 2 each has its own.
    controllers
        ``CONTROLLER_DTYPE`` array sorted by tick: every control change but controller 64, which is in `pedals`.
    parts
        ``PART_DTYPE`` array sorted by tick: where the part of a channel becomes one of drums, or one of melody, by what
        General MIDI 2, GS and XG define.
    track_names
        The name of each track in order of number, empty where it has none.
    smpte
        Frames per second (24, 25, 29 or 30; 29 means 30000/1001) and ticks per frame of a file in absolute
        time, otherwise None.
    repairs
        How often each of ``REPAIR_CODES`` was mended while reading; only those that were.
    """

    notes: Array
    tempos: Array
    ticks_per_beat: int
    format: int = 1
    tempo_tracks: Array = field(default_factory=_no_tracks)
    pedals: Array = field(default_factory=_no_pedals)
    time_signatures: Array = field(default_factory=_no_time_signatures)
    programs: Array = field(default_factory=_no_programs)
    controllers: Array = field(default_factory=_no_controllers)
    parts: Array = field(default_factory=_no_parts)
    track_names: tuple[str, ...] = ()
    smpte: tuple[int, int] | None = None
    repairs: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_notes(
        cls,
        notes: Array | Iterable[Sequence[int]],
        *,
        ticks_per_beat: int = 480,
        tempos: Array | Iterable[Sequence[int]] = (),
        time_signatures: Array | Iterable[Sequence[int]] = (),
    ) -> Midi:
        """Make a piece from notes in any order.

        Parameters
        ----------
        notes
            ``NOTE_DTYPE`` array, or rows of whole numbers in that order; copied.
        ticks_per_beat
            Ticks in a quarter note, 1 to 32767.
        tempos
            ``TEMPO_DTYPE`` array, or pairs of tick and microseconds per beat, in any order.
        time_signatures
            ``TIME_SIGNATURE_DTYPE`` array, or rows of tick, beats, value and track, in any order.

        Raises
        ------
        RollcoreError
            When a value does not fit a MIDI file.

        Examples
        --------
        >>> midi = Midi.from_notes([(480, 960, 64, 80, 0, 0), (0, 480, 60, 80, 0, 0)], tempos=[(0, 600_000)])
        >>> midi.notes["pitch"]
        array([60, 64], dtype=uint8)
        """
        try:
            rows, changes = _rows(notes, NOTE_DTYPE), _rows(tempos, TEMPO_DTYPE)
            bars = _rows(time_signatures, TIME_SIGNATURE_DTYPE)
        except (TypeError, ValueError, OverflowError) as error:
            raise RollcoreError(f"notes, tempos and time signatures must be whole numbers in rows: {error}") from error
        check_midi(cls(rows, changes, ticks_per_beat, time_signatures=bars))
        keys = ("offset_tick", "pitch", "channel", "track", "onset_tick")
        rows = rows[np.lexsort([rows[key] for key in keys])]
        changes = changes[np.argsort(changes["tick"], kind="stable")]
        bars = bars[np.argsort(bars["tick"], kind="stable")]
        tracks = np.zeros(len(changes), np.uint16)
        return cls(rows, changes, ticks_per_beat, tempo_tracks=tracks, time_signatures=bars)

    @property
    def drums(self) -> npt.NDArray[np.bool_]:
        """Whether each note is one of drums, as its part is when it is struck: bool array parallel to `notes`.

        Examples
        --------
        >>> Midi.from_notes([(0, 480, 60, 80, 0, 0), (0, 480, 36, 80, 9, 0)]).drums
        array([False,  True])
        """
        return self._in_force(self.parts, "drums", self.notes["channel"] & 15 == 9)

    @property
    def note_programs(self) -> npt.NDArray[np.uint8]:
        """The program of each note's channel when it is struck: uint8 array parallel to `notes`."""
        return self._in_force(self.programs, "program", np.zeros(len(self.notes), np.uint8))

    def _in_force(self, changes: Array, name: str, before: Array) -> Array:
        """Return, for each note, what the last change of its channel until its onset says, else its value `before`."""
        found = before.copy()
        whose, notes = changes["channel"].astype(np.int64), self.notes["channel"].astype(np.int64)
        if self.format == 2:
            whose, notes = whose + 256 * changes["track"].astype(np.int64), notes + 256 * self.notes["track"]
        for lane in np.unique(whose):
            mine = changes[whose == lane]
            mine = mine[np.argsort(mine["tick"], kind="stable")]
            of_lane = np.flatnonzero(notes == lane)
            at = np.searchsorted(mine["tick"], self.notes["onset_tick"][of_lane], side="right") - 1
            found[of_lane[at >= 0]] = mine[name][at[at >= 0]]
        return found

    def select(
        self,
        *,
        tracks: str | int | Sequence[str | int] = (),
        programs: str | int | Sequence[int] = (),
        channels: str | int | Sequence[int] = (),
        drums: bool | None = None,
    ) -> Midi:
        """Return the piece with some of its notes; everything that is given has to hold.

        Parameters
        ----------
        tracks
            Names or numbers, from 0, of tracks, such as ``"melody,bass*,3"`` or ``["Piano", 3]``. A name matches
            without regard to case, and ``*`` stands for anything.
        programs
            General MIDI programs, 0 to 127, such as ``"0-7,24"`` or ``[0, 24]``. Drums have none.
        channels
            Channels, 1 to 16 as musicians count them, of any port.
        drums
            True for drums alone, False for all but drums.

        Returns
        -------
        Midi
            Pedals, programs, controllers and drum parts stay where notes of their channel stay, in format 2 of their
            track; tempos, time signatures, names and numbers of tracks are as they were.

        Raises
        ------
        RollcoreError
            When a value is out of range.

        Examples
        --------
        >>> midi = Midi.from_notes([(0, 480, 60, 80, 0, 0), (0, 480, 36, 80, 9, 1)])
        >>> midi.select(drums=True).notes["pitch"].tolist(), midi.select(channels=1).notes["pitch"].tolist()
        ([36], [60])
        """
        from rollcore.selection import Selection

        wanted = Selection(tracks=tracks, programs=programs, channels=channels, only_drums=drums is True)
        keep_drums = drums is not False and (drums is True or not wanted.programs)
        kept = wanted.kept(self, drums=keep_drums)

        def lanes(rows: Array) -> npt.NDArray[np.int64]:
            tracks_apart = rows["track"].astype(np.int64) if self.format == 2 else 0
            return np.asarray(rows["channel"] + 256 * tracks_apart, np.int64)

        used = np.unique(lanes(kept.notes))
        columns = {what: getattr(self, what) for what in ("pedals", "programs", "controllers", "parts")}
        return replace(kept, **{what: rows[np.isin(lanes(rows), used)] for what, rows in columns.items()})

    def bar_at(self, tick: int, track: int | None = None) -> tuple[int, int] | None:
        """Return the time signature to count bars by at a tick, such as ``(6, 8)``; None where the file has none.

        That of a bar of one beat is none: programs that know of no bars write 1/4, as most files of POP909 have it.
        `track` says whose, in format 2, where every track has its own.
        """
        bars = self.time_signatures[self.time_signatures["tick"] <= tick]
        if track is not None:
            bars = bars[bars["track"] == track]
        return counted_bar(int(bars["beats"][-1]), int(bars["value"][-1])) if len(bars) else None

    def opening(self, *, drums: bool = False) -> Opening:
        """Return how a piece begins: tempo and time signature at the first note, as `rollcore.piano_roll` keeps notes.

        Parameters
        ----------
        drums
            Whether a note of a drum part counts.

        Returns
        -------
        Opening
            In format 2, of the first track with a note.

        Raises
        ------
        RollcoreError
            When the piece has no time division.

        Examples
        --------
        >>> midi = Midi.from_notes([(0, 480, 60, 80, 0, 0)], time_signatures=[(0, 1, 4, 0), (480, 3, 4, 0)])
        >>> midi.opening()
        Opening(tempo=None, time_signature=(3, 4), upbeat=Fraction(1, 1))
        """
        check_division(self)
        notes = self.notes if drums else self.notes[~self.drums]
        track = int(notes["track"].min()) if self.format == 2 and len(notes) else None
        if track is not None:
            notes = notes[notes["track"] == track]
        tick = int(notes["onset_tick"].min()) if len(notes) else 0
        until = self.tempos["tick"] <= tick
        if track is not None and len(self.tempo_tracks) == len(until):
            until &= self.tempo_tracks == track
        tempos = self.tempos["microseconds_per_beat"][until]
        tempo = int(tempos[-1]) if len(tempos) else None
        bar = self.bar_at(tick, track)
        if self.smpte is not None:
            return Opening(tempo, bar, Fraction(0))
        changes = self.time_signatures["tick"]
        if track is not None:
            changes = changes[self.time_signatures["track"] == track]
        begins = int(changes[changes <= tick].max(initial=0))
        if (later := changes[changes > tick]).size:
            following = self.bar_at(int(later.min()), track)
            # A first bar that is shorter than those that follow it is a pick-up, whatever time signature it was given.
            if following is not None and later.min() - begins < 4 * self.ticks_per_beat * Fraction(*following):
                bar, begins = following, int(later.min())
        whole = 4 * Fraction(*(bar or (4, 4)))
        return Opening(tempo, bar, Fraction(begins, self.ticks_per_beat) % whole)

    def seconds(self, ticks: npt.ArrayLike, track: int | None = None) -> npt.NDArray[np.float64]:
        """Return the time of ticks, by the tempos of the piece or by its absolute time.

        Parameters
        ----------
        ticks
            Numbers of any shape, such as ``midi.notes["onset_tick"]``.
        track
            Whose tempos to go by, in format 2, where every track has its own; all of them by default.

        Returns
        -------
        float64 array of the shape of `ticks`
            Seconds since tick 0.

        Raises
        ------
        RollcoreError
            When the piece has no time division, or tempos are out of order or without their tracks.

        Examples
        --------
        >>> Midi.from_notes([(0, 480, 60, 80, 0, 0)], tempos=[(240, 1_000_000)]).seconds([0, 240, 480])
        array([0.  , 0.25, 0.75])
        """
        check_division(self)
        wanted = np.asarray(ticks, np.float64)
        if self.smpte is not None:
            fps, ticks_per_frame = self.smpte
            return wanted / ((30_000 / 1001 if fps == 29 else fps) * ticks_per_frame)
        tempos = self.tempos
        if track is not None:
            if len(self.tempo_tracks) != len(tempos):
                raise RollcoreError(
                    f"tempo_tracks: expected {len(tempos)}, one a tempo, found {len(self.tempo_tracks)}"
                )
            tempos = tempos[self.tempo_tracks == track]
        if (np.diff(tempos["tick"]) < 0).any():
            raise RollcoreError("tempos: expected ticks in ascending order")
        edges = np.append(0.0, tempos["tick"])
        rates = np.append(DEFAULT_TEMPO, tempos["microseconds_per_beat"]) / (1e6 * self.ticks_per_beat)
        starts = np.append(0, np.cumsum(np.diff(edges) * rates[:-1]))
        at = np.maximum(np.searchsorted(edges, wanted, side="right") - 1, 0)
        return np.asarray(starts[at] + (wanted - edges[at]) * rates[at])


def _rows(given: Array | Iterable[Sequence[int]], dtype: np.dtype[Any]) -> Array:
    """Copy rows to an array, or raise where a value would not stay the same."""
    names = dtype.names or ()
    if isinstance(given, np.ndarray) and given.dtype.names is not None:
        if set(given.dtype.names) != set(names):
            raise ValueError(f"expected {', '.join(names)}, found {', '.join(given.dtype.names)}")
        columns = [given[name] for name in names]
    else:
        table = np.array([tuple(row) for row in given])
        if len(table) and (table.ndim != 2 or table.shape[1] != len(names)):
            raise ValueError(f"expected {', '.join(names)} in each row")
        columns = list(table.T) if len(table) else [np.zeros(0)] * len(names)
    rows = np.zeros(len(columns[0]), dtype)
    for name, column in zip(names, columns, strict=True):
        with np.errstate(invalid="ignore"):
            rows[name] = column
        if (changed := rows[name] != column).any():
            raise ValueError(f"{name} cannot be {column[changed][0]}")
    return rows


def _load(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> tuple[str, bytes]:
    """Name and contents of whatever was passed as a source."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>", bytes(source)
    if hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise RollcoreError(f"{getattr(source, 'name', source)}: open the file in binary mode, 'rb'")
        return str(getattr(source, "name", "<file>")), data
    name = os.fsencode(source).decode("utf-8", "backslashreplace")
    try:
        with open(source, "rb") as file:
            return name, file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RollcoreError(f"{name}: cannot be read: {reason}") from error


def read_midi(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO, *, strict: bool = False
) -> Midi:
    """Read a Standard MIDI File, mending what can be mended.

    Parameters
    ----------
    source
        A path, the bytes of a file, or a file open in binary mode.
    strict
        Raise on whatever would have been mended, the place nearest the start of the file first. What the
        standard allows (foreign chunks, a longer header, an RMID wrapper) is not a repair.

    Returns
    -------
    Midi
        Its arrays are read-only. Notes pair with note-offs per track, channel and pitch, first in, first
        out. A note that nothing ends is left out and counted in ``repairs["unended_note"]``.

    Raises
    ------
    MidiError
        When there is no MIDI header (also: the file is empty), or on the first fault under `strict`.
    RollcoreError
        When the file cannot be opened or read.

    Examples
    --------
    >>> header = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 0, 96])
    >>> track = bytes.fromhex("00 90 3C 50  60 80 3C 00  00 FF 2F 00")
    >>> midi = read_midi(header + b"MTrk" + len(track).to_bytes(4, "big") + track)
    >>> midi.notes[["onset_tick", "offset_tick", "pitch"]].tolist(), midi.repairs
    ([(0, 96, 60)], {})
    """
    name, data = _load(source)
    parsed = _smf.parse(data)
    status, (format_, ticks_per_beat, fps, ticks), notes, tempos, pedals, signatures = parsed[:6]
    controllers, programs, parts, names, n_tracks, counts, first = parsed[6:]
    if status == 5:
        raise MidiError(name, 0, "bytes as they were written", f"{skip_reason(status, data)}: fetch it as binary")
    if status:
        found = first_bytes(data) if status == 2 else skip_reason(status, data)
        raise MidiError(name, 0, "a MIDI file (MThd)", found)
    if strict and first[0] >= 0:
        raise strict_error(name, *first)
    return Midi(
        notes=np.frombuffer(notes, NOTE_DTYPE),
        tempos=np.frombuffer(tempos, TEMPO_DTYPE),  # the track lies between its fields
        ticks_per_beat=ticks_per_beat,
        format=format_,
        tempo_tracks=np.frombuffer(tempos, TEMPO_ROW_DTYPE)["track"],
        pedals=np.frombuffer(pedals, PEDAL_DTYPE),
        time_signatures=np.frombuffer(signatures, TIME_SIGNATURE_DTYPE),
        programs=np.frombuffer(programs, PROGRAM_DTYPE),
        controllers=np.frombuffer(controllers, CONTROLLER_DTYPE),
        parts=np.frombuffer(parts, PART_DTYPE),
        track_names=decoded_names([(track, data[start : start + length]) for track, start, length in names], n_tracks),
        smpte=(fps, ticks) if fps else None,
        repairs={code: count for code, count in zip(REPAIR_CODES, counts, strict=False) if count},
    )


def decoded_names(names: list[tuple[int, bytes]], n_tracks: int) -> tuple[str, ...]:
    """Decode the names of tracks, which may be in any encoding: UTF-8, or Latin-1 where they cannot be."""
    if not names:
        return ()
    decoded = [""] * n_tracks
    for track, text in names:
        try:
            decoded[track] = text.decode()
        except UnicodeDecodeError:
            decoded[track] = text.decode("latin-1")
    return tuple(decoded)


def check_midi(midi: Midi) -> None:
    """Raise RollcoreError on the first value that a MIDI file cannot hold."""

    def refuse(bad: Array, what: str) -> None:
        if bad.any():
            raise RollcoreError(f"note {int(np.flatnonzero(bad)[0])}: {what}")

    notes, tempos = midi.notes, midi.tempos
    refuse(notes["onset_tick"] < 0, "onset_tick must not be negative")
    refuse(notes["offset_tick"] < notes["onset_tick"], "offset_tick must not be before onset_tick")
    refuse(notes["pitch"] > 127, "pitch must be from 0 to 127")
    refuse((notes["velocity"] < 1) | (notes["velocity"] > 127), "velocity must be from 1 to 127")
    tempo = tempos["microseconds_per_beat"]
    if (tempo < 1).any() or (tempo >= 1 << 24).any() or (tempos["tick"] < 0).any():
        raise RollcoreError("a tempo must be from 1 to 16777215 microseconds per beat, at a tick of 0 or more")
    for what in ("pedals", "programs", "controllers", "parts"):
        rows = getattr(midi, what)
        if (rows["tick"] < 0).any() or any(
            (rows[key] > 127).any() for key in ("program", "number", "value") if key in rows.dtype.names
        ):
            raise RollcoreError(f"{what}: expected a tick of 0 or more, and values from 0 to 127")
    for tick, beats, value, _ in midi.time_signatures.tolist():
        if tick < 0 or not is_time_signature(beats, value):
            raise RollcoreError(NO_SIGNATURE.format(f"{beats}/{value} at tick {tick}"))
    check_division(midi)


def check_division(midi: Midi) -> None:
    """Raise RollcoreError unless a MIDI header can hold the ticks of a beat or of a frame."""
    ticks = midi.ticks_per_beat if midi.smpte is None else midi.smpte[1]
    whole = isinstance(ticks, int | np.integer)
    if midi.smpte is None:
        if not (whole and 1 <= ticks <= 32767):
            raise RollcoreError(f"ticks_per_beat must be a whole number from 1 to 32767, not {ticks}")
    elif midi.smpte[0] not in (24, 25, 29, 30) or not (whole and 1 <= ticks <= 255):
        raise RollcoreError(f"smpte {midi.smpte}: expected 24, 25, 29 or 30 frames per second of 1 to 255 ticks")


def is_time_signature(beats: int, value: int) -> bool:
    """Whether a bar can be so many beats of such a note value: 1 to 255, a power of two up to 256."""
    return beats in range(1, 256) and value in (1, 2, 4, 8, 16, 32, 64, 128, 256)


def counted_bar(beats: int, value: int) -> tuple[int, int] | None:
    """Return the time signature where bars are counted by it; see `Midi.bar_at`."""
    return (beats, value) if beats > 1 and is_time_signature(beats, value) else None
