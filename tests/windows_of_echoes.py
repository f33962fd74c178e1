"""Echoes of a window, copied frame by frame from what is found for the whole piece."""

from __future__ import annotations

import numpy as np

from seq2seq.models.echo import find_echoes


def write_echoes(piece, start, reach, echo, match):
    """Write echoes ``(s, c, 16)`` and runs ``(s, voices)`` of frames `start` onwards of a piece ``(frames, c, 16)``."""
    voices = match.shape[1]
    lags, runs = find_echoes(np.asarray(piece), reach, voices)
    echo[:], match[:] = 0, 0
    for k, t in enumerate(range(start, start + len(match))):
        for voice, planes in enumerate(np.split(np.arange(echo.shape[1]), voices)):
            if 0 <= t < len(piece) and lags[t, voice]:
                echo[k, planes], match[k, voice] = piece[t - lags[t, voice], planes], runs[t, voice]
