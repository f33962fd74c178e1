"""Pieces made of notes that are written down, for tests of what music is like."""

from __future__ import annotations

import numpy as np

from seq2seq.output.measures import Piece

C_MAJOR = (60, 62, 64, 65, 67, 69, 71, 72)


def piece(notes, frames=None, bar=16, upbeat=0):
    """Make a piece from notes (start, length, pitch) in frames, four frames a beat."""
    last = max(start + length for start, length, _ in notes)
    sounding = np.zeros((frames or -(-last // bar) * bar, 128), bool)
    onset = np.zeros_like(sounding)
    for start, length, pitch in notes:
        sounding[start : start + length, pitch] = True
        onset[start, pitch] = True
    return Piece("made", sounding, onset, 4.0, bar, upbeat)


def melody(pitches, length=4, **options):
    """Make a melody of notes of one length, one after the other."""
    return piece([(length * i, length, pitch) for i, pitch in enumerate(pitches)], **options)


def phrases(order, upbeat=0, **options):
    """Make a piece of one-bar figures: the figure *f* is four beats up the scale from its f-th note."""
    notes = []
    for bar, figure in enumerate(order):
        notes += [(upbeat + 16 * bar + 4 * i, 4, C_MAJOR[(figure + i) % 8]) for i in range(4)]
    return piece(notes, upbeat=upbeat, **options)
