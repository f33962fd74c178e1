"""MIDI files as columns of notes: a tolerant reader that says what it mended, and a writer.

How damaged files are read, rule by rule, is in ``docs/reading.md``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from rollcore import _smf
from rollcore.errors import MidiError, RollcoreError
from rollcore.files import whole_file
from rollcore.repairs import REPAIR_CODES, REPAIRS, first_bytes, skip_reason, strict_error

__all__ = [
    "DEFAULT_TEMPO",
    "NOTE_DTYPE",
    "PEDAL_DTYPE",
    "REPAIRS",
    "REPAIR_CODES",
    "TEMPO_DTYPE",
    "TIME_SIGNATURE_DTYPE",
    "Midi",
    "Opening",
    "is_time_signature",
    "read_midi",
    "skip_reason",
    "write_midi",
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
PEDAL_DTYPE = np.dtype([("tick", "<i8"), ("track", "<u2"), ("channel", "u1"), ("down", "?")], align=True)
TIME_SIGNATURE_DTYPE = np.dtype([("tick", "<i8"), ("beats", "<u2"), ("value", "<u2"), ("track", "<u2")], align=True)
TEMPO_ROW_DTYPE = np.dtype([("tick", "<i8"), ("microseconds_per_beat", "<i4"), ("track", "<u2")], align=True)

#: Microseconds per beat before the first tempo event: 120 beats per minute.
DEFAULT_TEMPO = 500_000
MAX_DELTA = (1 << 28) - 1
_NO_SIGNATURE = "a time signature must be 1 to 255 beats of a power of two up to 256, at a tick of 0 or more, not {}"


def _no_pedals() -> Array:
    return np.empty(0, PEDAL_DTYPE)


def _no_time_signatures() -> Array:
    return np.empty(0, TIME_SIGNATURE_DTYPE)


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
        stands, at ``offset_tick >= onset_tick``. Channels count from 0: channel 9 is drums.
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
            Whether a note of channel 10 counts.

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
        notes = self.notes if drums else self.notes[self.notes["channel"] != 9]
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
        standard allows (foreign chunks, a longer header, an RMID wrapper) is no repair.

    Returns
    -------
    Midi
        Its arrays are read-only. Notes pair with note-offs per track, channel and pitch, first in, first
        out. A note without a note-off is left out and counted in ``repairs["unended_note"]``.

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
    status, (format_, ticks_per_beat, fps, ticks), notes, tempos, pedals, signatures, counts, first = _smf.parse(data)
    if status:
        found = first_bytes(data) if status == 2 else skip_reason(status, data)
        raise MidiError(name, 0, "a MIDI file (MThd)", found)
    if strict and first[0] >= 0:
        raise strict_error(name, *first)
    rows = np.frombuffer(tempos, TEMPO_ROW_DTYPE)
    changes = np.empty(len(rows), TEMPO_DTYPE)
    for key in TEMPO_DTYPE.names or ():
        changes[key] = rows[key]
    changes.flags.writeable = False
    return Midi(
        notes=np.frombuffer(notes, NOTE_DTYPE),
        tempos=changes,
        ticks_per_beat=ticks_per_beat,
        format=format_,
        tempo_tracks=rows["track"],
        pedals=np.frombuffer(pedals, PEDAL_DTYPE),
        time_signatures=np.frombuffer(signatures, TIME_SIGNATURE_DTYPE),
        smpte=(fps, ticks) if fps else None,
        repairs={code: count for code, count in zip(REPAIR_CODES, counts, strict=False) if count},
    )


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
    refuse(notes["channel"] > 15, "channel must be from 0 to 15")
    tempo = tempos["microseconds_per_beat"]
    if (tempo < 1).any() or (tempo >= 1 << 24).any() or (tempos["tick"] < 0).any():
        raise RollcoreError("a tempo must be from 1 to 16777215 microseconds per beat, at a tick of 0 or more")
    if (midi.pedals["tick"] < 0).any() or (midi.pedals["channel"] > 15).any():
        raise RollcoreError("a pedal must be of a channel from 0 to 15, at a tick of 0 or more")
    for tick, beats, value, _ in midi.time_signatures.tolist():
        if tick < 0 or not is_time_signature(beats, value):
            raise RollcoreError(_NO_SIGNATURE.format(f"{beats}/{value} at tick {tick}"))
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


def _delta_messages(events: list[tuple[int, int, Any]], end_tick: int) -> list[Any]:
    """Messages in order of tick, then rank, with their delta times set, and the end of the track."""
    from mido import MetaMessage

    messages, now = [], 0
    events.append((max([end_tick, *(tick for tick, _, _ in events)]), 9, MetaMessage("end_of_track")))
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        if tick - now > MAX_DELTA:
            raise RollcoreError(f"tick {tick}: more than {MAX_DELTA} ticks after the event before it")
        message.time = tick - now
        messages.append(message)
        now = tick
    return messages


def write_midi(
    midi: Midi,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    track_names: Sequence[str] = (),
    time_signature: tuple[int, int] | None = None,
    key_signature: str | None = None,
    end_tick: int = 0,
) -> None:
    """Write a format 1 file: a tempo track, then one track for each track of `midi` with notes or pedals.

    Equal input gives equal bytes. Instruments, lyrics and whatever else is in no column of `midi` is not in the file.
    Reading the file back gives the same notes, except that tracks are numbered
    anew from 1, and that notes of one channel and pitch of which one lies within the other come back paired
    first in, first out.

    Parameters
    ----------
    midi
        The piece; its tempos and time signatures all go to the tempo track.
    target
        A path, or a file open for writing in binary mode.
    track_names
        Names of those tracks in their order; missing ones stay unnamed.
    time_signature
        Beats in a bar and the note value of a beat, throughout; by default the time signatures of `midi`, or 4/4
        where it has none.
    key_signature
        Such as ``"C"``, ``"F#m"`` or ``"Bb"``.
    end_tick
        Where the tracks end at the earliest: the rest after the last note belongs to the piece.

    Raises
    ------
    RollcoreError
        When a value does not fit a MIDI file, `midi` is of format 2 (several pieces), or the target cannot
        be written.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> write_midi(Midi.from_notes([(0, 480, 60, 80, 0, 0)]), file, track_names=["Piano"])
    >>> read_midi(file.getvalue(), strict=True).notes["offset_tick"]
    array([480])
    """
    from mido import Message, MetaMessage, MidiFile, MidiTrack

    check_midi(midi)
    if midi.format == 2:
        raise RollcoreError("a format 2 file holds several pieces; write its tracks one by one")
    if time_signature is not None or not len(midi.time_signatures):
        beats, value = time_signature or (4, 4)
        if not is_time_signature(beats, value):
            raise RollcoreError(_NO_SIGNATURE.format(f"{beats}/{value}"))
        bars = [(0, beats, value, 0)]
    else:
        bars = midi.time_signatures.tolist()

    events = [
        (tick, 0, MetaMessage("time_signature", numerator=beats, denominator=value)) for tick, beats, value, _ in bars
    ]
    if key_signature is not None:
        try:
            events.append((0, 1, MetaMessage("key_signature", key=key_signature)))
        except ValueError:
            raise RollcoreError(f"key_signature must be such as 'C', 'F#m' or 'Bb', not {key_signature!r}") from None
    for tick, tempo in midi.tempos.tolist():
        events.append((tick, 2, MetaMessage("set_tempo", tempo=tempo)))
    tracks = [MidiTrack(_delta_messages(events, end_tick))]

    for index, track in enumerate(np.union1d(midi.notes["track"], midi.pedals["track"])):
        events = []
        if index < len(track_names):
            # A name taken from a file may hold bytes that are no UTF-8.
            name = track_names[index].encode("utf-8", "backslashreplace").decode()
            events.append((0, 0, MetaMessage("track_name", name=name)))
        for tick, _, channel, down in midi.pedals[midi.pedals["track"] == track].tolist():
            control = Message("control_change", channel=channel, control=64, value=127 if down else 0)
            events.append((tick, 2, control))
        # At one tick: note-offs, the pedal, note-ons, then the note-offs of notes without length.
        for onset, offset, pitch, velocity, channel, _ in midi.notes[midi.notes["track"] == track].tolist():
            events.append((onset, 3, Message("note_on", channel=channel, note=pitch, velocity=velocity)))
            end = Message("note_off", channel=channel, note=pitch, velocity=0)
            events.append((offset, 1 if offset > onset else 4, end))
        tracks.append(MidiTrack(_delta_messages(events, end_tick)))

    division = midi.ticks_per_beat
    if midi.smpte is not None:
        division = (-midi.smpte[0] << 8) | midi.smpte[1]
    file = MidiFile(type=1, ticks_per_beat=division, charset="utf-8", tracks=tracks)
    if hasattr(target, "write"):
        file.save(file=target)
        return
    with whole_file(target) as whole:
        file.save(file=whole)
