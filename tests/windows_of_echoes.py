"""Echoes of a window, copied frame by frame from what is found for the whole piece."""

from __future__ import annotations

import numpy as np

from seq2seq.models.echo import find_echoes, find_varied


def write_echoes(piece, start, reach, echo, match, voices=1):
    """Write echoes ``(s, k * c, 16)`` and their trust ``(s, k * voices)`` of frames `start` on of a piece.

    Of the k the first is the echo, the others are the varied ones.
    """
    piece = np.asarray(piece)
    varied = match.shape[1] // voices - 1
    exact, runs = find_echoes(piece, reach, voices)
    others, shifts, degrees = find_varied(piece, reach, varied, voices)
    lags = np.concatenate([exact[:, None], others], axis=1)
    trust = np.concatenate([runs[:, None], degrees], axis=1)
    bits = np.unpackbits(piece, axis=-1, bitorder="little")
    echo[:], match[:] = 0, 0
    for k, t in enumerate(range(start, start + len(match))):
        for kind in range(1 + varied if 0 <= t < len(piece) else 0):
            for voice, planes in enumerate(np.split(np.arange(piece.shape[1]), voices)):
                if lags[t, kind, voice]:
                    frame = bits[t - lags[t, kind, voice], planes]
                    if kind:
                        frame = moved(frame, int(shifts[t, kind - 1, voice]))
                    echo[k, kind * piece.shape[1] + planes] = np.packbits(frame, axis=-1, bitorder="little")
                    match[k, kind * voices + voice] = trust[t, kind, voice]


def moved(frame, semitones):
    """Return bits ``(…, 128)`` some semitones up, without those that leave the range."""
    found = np.zeros_like(frame)
    for pitch in range(128):
        if 0 <= pitch + semitones < 128:
            found[..., pitch + semitones] = frame[..., pitch]
    return found
