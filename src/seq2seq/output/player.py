"""Pieces of music as pages hold them: their notes inline, drawn and played by the script of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

import rollcore
from rollcore.console import printable

# The columns of `Piece.notes`.
ONSET_S, OFFSET_S, PITCH, VOICE, VELOCITY = range(5)

_DRUMS = 9


def file_links(*files: Path | None) -> dict[str, str]:
    """Return links to files that lie in the folder of the page; None stands for a file that is not there."""
    return {file.name: quote(file.name, errors="surrogateescape") for file in files if file is not None}


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece of music on a page.

    Attributes
    ----------
    name : str
        Stands above it.
    notes : ndarray
        ``(notes, 5)`` float64: onset and offset in seconds, pitch 0 to 127, index of the voice, velocity 1 to 127.
    seconds : float
        How long the piece is, with the rest at its end.
    voices : sequence of str
        Name of each voice.
    drums : sequence of int
        Indices of the voices that are drums.
    primer_s : float
        Where the primer ends that the piece begins with; 0 without one.
    bar_s : float, optional
        How long a bar is, where all bars are alike and the first begins with the piece.
    remarks : sequence of str
        What is to be said of it, a line each.
    links : mapping of str to str
        Text to address, relative to the page and quoted.
    """

    name: str
    notes: npt.NDArray[np.float64]
    seconds: float
    voices: Sequence[str] = ("Piano",)
    drums: Sequence[int] = ()
    primer_s: float = 0.0
    bar_s: float | None = None
    remarks: Sequence[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_midi(cls, midi: rollcore.Midi, name: str, *, seconds: float = 0.0, **rest: Any) -> Piece:
        """Return a piece of the notes of a MIDI file, a voice for every track and channel.

        Parameters
        ----------
        midi
            The notes; their times are those of the tempo map.
        name
            Name of the piece.
        seconds
            How long the piece is at least: a MIDI file does not say how long the rest at its end is.
        **rest
            Other attributes: ``voices``, ``primer_s``, ``bar_s``, ``remarks``, ``links``.
        """
        found = midi.notes
        notes = np.empty((len(found), 5))
        notes[:, ONSET_S], notes[:, OFFSET_S] = midi.seconds(found["onset_tick"]), midi.seconds(found["offset_tick"])
        notes[:, PITCH], notes[:, VELOCITY] = found["pitch"], found["velocity"]
        keys, notes[:, VOICE] = np.unique(found["track"].astype(np.int64) * 16 + found["channel"], return_inverse=True)
        drums = [voice for voice, key in enumerate(keys.tolist()) if key % 16 == _DRUMS]
        names = ["Drums" if voice in drums else f"voice {voice + 1}" for voice in range(len(keys))]
        lasts = max(seconds, float(notes[:, OFFSET_S].max(initial=0.0)))
        return cls(name, notes, lasts, **{"voices": names, "drums": drums, **rest})

    def cut(self, most: int) -> Piece:
        """Return the piece as far as its first *most* notes go, and a remark that says so where it is longer."""
        if len(self.notes) <= most:
            return self
        order = np.argsort(self.notes[:, ONSET_S], kind="stable")[:most]
        notes = self.notes[order].copy()
        end = float(self.notes[:, ONSET_S][np.argsort(self.notes[:, ONSET_S], kind="stable")[most]])
        notes[:, OFFSET_S] = np.minimum(notes[:, OFFSET_S], max(end, float(notes[:, ONSET_S].max())))
        note = f"the first {end:.0f} of {self.seconds:.0f} seconds"
        kept = {name: getattr(self, name) for name in ("voices", "drums", "bar_s", "links")}
        return Piece(self.name, notes, end, primer_s=min(self.primer_s, end), remarks=[*self.remarks, note], **kept)

    def to_json(self) -> dict[str, Any]:
        """Return what the script of a page reads: times in milliseconds, four numbers a note (assets/player.js)."""
        times = np.round(self.notes[:, :2] * 1000).astype(np.int64)
        rest = self.notes[:, 2:].astype(np.int64)
        order = np.lexsort((rest[:, 0], rest[:, 1], times[:, 0]))
        times, rest = times[order], rest[order]
        columns = (
            np.diff(times[:, 0], prepend=0),
            times[:, 1] - times[:, 0],
            rest[:, 0] + 128 * rest[:, 1],
            rest[:, 2],
        )
        return {
            "name": printable(self.name),
            "ms": round(self.seconds * 1000),
            "notes": np.column_stack(columns).ravel().tolist(),
            "voices": list(self.voices),
            "drums": list(self.drums),
            "primer": round(self.primer_s * 1000),
            "bar": None if self.bar_s is None else round(self.bar_s * 1000, 3),
        }
