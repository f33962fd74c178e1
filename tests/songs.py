"""Short songs of a few notes, as MIDI files."""

from __future__ import annotations

import numpy as np

import rollcore
from rollcore import Midi


def song(*rows):
    """Return a song of notes: onset and end in ticks, pitch, channel."""
    notes = np.array([(on, off, pitch, 80, channel, 0) for on, off, pitch, channel in rows], rollcore.NOTE_DTYPE)
    return Midi.from_notes(notes)


def write(path, *rows):
    """Write a song; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rollcore.write_midi(song(*rows), path)
