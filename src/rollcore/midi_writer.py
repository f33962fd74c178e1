"""MIDI files out of columns of notes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from rollcore.errors import RollcoreError
from rollcore.files import whole_file
from rollcore.midi import NO_SIGNATURE, Midi, check_midi, is_time_signature

__all__ = ["write_midi"]

MAX_DELTA = (1 << 28) - 1

# At one tick: names, note-offs, controllers, pedals, programs, note-ons, then the note-offs of notes without length.
# What belongs to a channel comes with its channel counted over the ports, other messages with none.
_NAME, _OFF, _CONTROL, _PEDAL, _PROGRAM, _ON, _EMPTY_OFF, _END = range(8)
_Event = tuple[int, int, int | None, Any]


def _track(events: list[_Event], end_tick: int, ports: bool) -> Any:
    """Return the messages in order of tick, then rank, with delta times, ports where there are several, and an end."""
    from mido import MetaMessage, MidiTrack

    messages, now, port = MidiTrack(), 0, -1
    events.append((max([end_tick, *(event[0] for event in events)]), _END, None, MetaMessage("end_of_track")))
    for tick, _, channel, message in sorted(events, key=lambda event: event[:2]):
        if tick - now > MAX_DELTA:
            raise RollcoreError(f"tick {tick}: more than {MAX_DELTA} ticks after the event before it")
        message.time = tick - now
        if ports and channel is not None and channel >> 4 != port:
            port = channel >> 4
            messages.append(MetaMessage("midi_port", port=port, time=message.time))
            message.time = 0
        messages.append(message)
        now = tick
    return messages


def _conductor(midi: Midi, time_signature: tuple[int, int] | None, key_signature: str | None) -> list[_Event]:
    """Return what belongs to all tracks: time and key signatures, tempos, and which parts play drums."""
    from mido import Message, MetaMessage

    if time_signature is not None or not len(midi.time_signatures):
        beats, value = time_signature or (4, 4)
        if not is_time_signature(beats, value):
            raise RollcoreError(NO_SIGNATURE.format(f"{beats}/{value}"))
        bars = [(0, beats, value, 0)]
    else:
        bars = midi.time_signatures.tolist()
    events: list[_Event] = [
        (tick, 0, None, MetaMessage("time_signature", numerator=beats, denominator=value))
        for tick, beats, value, _ in bars
    ]
    if key_signature is not None:
        try:
            events.append((0, 1, None, MetaMessage("key_signature", key=key_signature)))
        except ValueError:
            raise RollcoreError(f"key_signature must be such as 'C', 'F#m' or 'Bb', not {key_signature!r}") from None
    for tick, tempo in midi.tempos.tolist():
        events.append((tick, 2, None, MetaMessage("set_tempo", tempo=tempo)))
    for tick, _, channel, drums in midi.parts.tolist():
        # Roland's "use for rhythm part", which is understood without a reset before it; part 10 is block 0.
        number = channel & 15
        block = 0 if number == 9 else number + 1 if number < 9 else number
        body = [0x40, 0x10 | block, 0x15, int(drums)]
        data = [0x41, 0x10, 0x42, 0x12, *body, -sum(body) & 0x7F]
        events.append((tick, 3, channel, Message("sysex", data=data)))
    return events


def _track_events(midi: Midi, track: int) -> list[_Event]:
    """Return what belongs to one track."""
    from mido import Message

    def rows(columns: npt.NDArray[Any]) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = columns[columns["track"] == track].tolist()
        return found

    events: list[_Event] = []
    for tick, _, channel, number, value in rows(midi.controllers):
        control = Message("control_change", channel=channel & 15, control=number, value=value)
        events.append((tick, _CONTROL, channel, control))
    for tick, _, channel, down in rows(midi.pedals):
        control = Message("control_change", channel=channel & 15, control=64, value=127 if down else 0)
        events.append((tick, _PEDAL, channel, control))
    for tick, _, channel, program in rows(midi.programs):
        events.append((tick, _PROGRAM, channel, Message("program_change", channel=channel & 15, program=program)))
    for onset, offset, pitch, velocity, channel, _ in rows(midi.notes):
        struck = Message("note_on", channel=channel & 15, note=pitch, velocity=velocity)
        events.append((onset, _ON, channel, struck))
        end = Message("note_off", channel=channel & 15, note=pitch, velocity=0)
        events.append((offset, _OFF if offset > onset else _EMPTY_OFF, channel, end))
    return events


def write_midi(
    midi: Midi,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    track_names: Sequence[str] | None = None,
    time_signature: tuple[int, int] | None = None,
    key_signature: str | None = None,
    end_tick: int = 0,
) -> None:
    """Write a format 1 file: a tempo track, then each track of `midi` with notes, pedals, programs or controllers.

    Equal input gives equal bytes. Lyrics, pitch bends and whatever else is in no column of `midi` is not in the file.
    Reading the file back gives the same columns, except that tracks are numbered anew from 1, and that notes of one
    channel and pitch of which one lies within the other come back paired first in, first out.

    Parameters
    ----------
    midi
        The piece; its tempos, its time signatures and what it says of drum parts all go to the tempo track.
    target
        A path, or a file open for writing in binary mode.
    track_names
        Names of those tracks in their order; missing ones stay unnamed. By default those of `midi`; the tempo track
        then has the name of track 0, unless that track is written itself.
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
    >>> from rollcore import read_midi
    >>> file = io.BytesIO()
    >>> write_midi(Midi.from_notes([(0, 480, 60, 80, 0, 0)]), file, track_names=["Piano"])
    >>> read_midi(file.getvalue(), strict=True).notes["offset_tick"]
    array([480])
    """
    from mido import MetaMessage, MidiFile

    check_midi(midi)
    if midi.format == 2:
        raise RollcoreError("a format 2 file holds several pieces; write its tracks one by one")
    if isinstance(track_names, str):
        raise RollcoreError(f"track_names must be a list of names, such as [{track_names!r}], not a text")
    parallel = (midi.notes, midi.pedals, midi.programs, midi.controllers)
    numbers = np.unique(np.concatenate([columns["track"] for columns in parallel])).tolist()
    ports = any((columns["channel"] > 15).any() for columns in (*parallel, midi.parts))
    if track_names is None:
        known = dict(enumerate(midi.track_names))
        names = [known.get(number, "") for number in numbers]
        title = "" if 0 in numbers else known.get(0, "")
    else:
        names, title = list(track_names[: len(numbers)]), ""

    def named(name: str, events: list[_Event]) -> list[_Event]:
        # A name taken from a file may hold bytes that are no UTF-8.
        text = name.encode("utf-8", "backslashreplace").decode()
        return [(0, _NAME, None, MetaMessage("track_name", name=text)), *events] if text else events

    conductor = _conductor(midi, time_signature, key_signature)
    tracks = [_track(named(title, conductor), end_tick, ports)]
    for index, number in enumerate(numbers):
        events = named(names[index] if index < len(names) else "", _track_events(midi, number))
        tracks.append(_track(events, end_tick, ports))
    division = midi.ticks_per_beat if midi.smpte is None else (-midi.smpte[0] << 8) | midi.smpte[1]
    file = MidiFile(type=1, ticks_per_beat=division, charset="utf-8", tracks=tracks)
    if hasattr(target, "write"):
        file.save(file=target)
        return
    with whole_file(target) as whole:
        file.save(file=whole)
