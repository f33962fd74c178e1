"""Echoes of a window, copied frame by frame from what is found for the whole piece."""

from __future__ import annotations

import numpy as np

from seq2seq.models.echo import find_echoes


def write_echoes(piece, start, reach, echo, match):
    """Write the echoes ``(s, c, 16)`` and runs ``(s,)`` of frames `start` onwards of a piece ``(frames, c, 16)``."""
    lags, runs = find_echoes(np.asarray(piece), reach)
    echo[:], match[:] = 0, 0
    for k, t in enumerate(range(start, start + len(match))):
        if 0 <= t < len(piece) and lags[t]:
            echo[k], match[k] = piece[t - lags[t]], runs[t]
