"""What a MIDI file holds, track by track, as plain values for programs and as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rollcore.console import printable
from rollcore.midi import Midi
from rollcore.show.instruments import PROGRAM_NAMES

__all__ = ["midi_facts", "midi_lines"]

_LISTED_PROGRAMS = 3


def midi_facts(midi: Midi) -> dict[str, Any]:
    """Sum up a piece in values that JSON can hold.

    Returns
    -------
    dict
        ``format``, ``ticks_per_beat`` (None with SMPTE time), ``seconds`` up to the last note-off, ``notes``,
        ``repairs``, and ``tracks``: a list of ``track`` (its number, from 0), ``name``, ``port`` (from 0), ``channel``
        (1 to 16), ``drums``, ``programs`` (numbers in the order of time), ``notes`` and ``pitches`` (lowest and
        highest). A track is listed once for each channel and once for its drums.
    """
    notes, drums, programs = midi.notes, midi.drums, midi.note_programs
    tracks = []
    whose = np.stack([notes["track"], notes["channel"], drums], axis=1).astype(np.int64)
    kinds, of_kind = np.unique(whose, axis=0, return_inverse=True)
    by_kind = np.argsort(of_kind.ravel(), kind="stable")
    groups = np.split(by_kind, np.cumsum(np.bincount(of_kind.ravel(), minlength=1))[:-1])
    for (track, channel, is_drums), mine in zip(kinds.tolist(), groups, strict=False):
        pitches = notes["pitch"][mine]
        tracks.append(
            {
                "track": track,
                "name": midi.track_names[track] if track < len(midi.track_names) else "",
                "port": channel >> 4,
                "channel": (channel & 15) + 1,
                "drums": bool(is_drums),
                "programs": list(dict.fromkeys(programs[mine].tolist())),
                "notes": len(mine),
                "pitches": [int(pitches.min()), int(pitches.max())],
            }
        )
    tracks_apart = np.unique(notes["track"]).tolist() if midi.format == 2 else []
    seconds = [float(midi.seconds(notes["offset_tick"].max(initial=0)))] if midi.format != 2 else []
    for track in tracks_apart:  # each has its own tempos
        seconds.append(float(midi.seconds(notes["offset_tick"][notes["track"] == track].max(), track)))
    return {
        "format": midi.format,
        "ticks_per_beat": None if midi.smpte else midi.ticks_per_beat,
        "seconds": max(seconds, default=0.0),
        "notes": len(notes),
        "repairs": midi.repairs,
        "tracks": tracks,
    }


def midi_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Put `midi_facts` into words: a line for each track, as options that choose tracks want them."""
    time = "SMPTE time" if facts["ticks_per_beat"] is None else f"{facts['ticks_per_beat']} ticks a beat"
    yield f"format {facts['format']}, {time}, {facts['seconds']:,.1f} s, {facts['notes']:,} notes"
    if facts["repairs"]:
        yield "repaired: " + ", ".join(f"{code} {count:,}" for code, count in facts["repairs"].items())
    names = [printable(row["name"]) for row in facts["tracks"]]
    width = max([4, *map(len, names)])
    yield ""
    yield f"track  {'name':<{width}}  channel    notes  pitches  program"
    several = any(row["port"] for row in facts["tracks"])
    for row, name in zip(facts["tracks"], names, strict=True):
        channel = f"{row['channel']} ({row['port']})" if several else str(row["channel"])
        pitches = "-".join(map(str, row["pitches"]))
        played = [f"{program} {PROGRAM_NAMES[program]}" for program in row["programs"][:_LISTED_PROGRAMS]]
        more = ", …" if len(row["programs"]) > _LISTED_PROGRAMS else ""
        program = "drums" if row["drums"] else ", ".join(played) + more
        yield f"{row['track']:>5}  {name:<{width}}  {channel:>7}  {row['notes']:>7,}  {pitches:>7}  {program}"
