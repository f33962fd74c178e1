"""The echo: the frame that comes next if the music goes on repeating itself.

Music repeats itself at distances that no fixed lag knows. So before a frame is predicted, every lag up to a
reach is asked how many of the latest frames equal those so many frames before them. The lag that has the
longest such run wins, the shorter one of equals; the frame a lag before the one to come is its *echo*, and
the run says how far it may be trusted. Both are known from the past alone.

Runs are counted up to `LONGEST` frames. So where a chord stands for longer than that, its echo is that it goes on,
whatever followed it before: an echo is for a grid on which music moves within 32 frames.

Data compression knows this as a match model (Mahoney 2005, PAQ8), and copies from the longest match since Ziv
and Lempel (1977); to show a neural network what followed like moments of the same text is a cache (Grave et al. 2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seq2seq.models import _echo

#: Longer runs count as this long.
LONGEST = _echo.LONGEST
#: The run of a lag at which something is to come again.
TOLD = _echo.TOLD
#: Lengths of a run that a model tells apart.
TRUST = (1, 2, 3, 4, 6, 8, 12, 16, 24, LONGEST)


def frame_keys(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a hash of each of *rows* ``(frames, c, 16)``; two that differ share one with a chance of 2 ** -64."""
    words = np.require(rows.reshape(len(rows), -1).view(np.uint64), requirements=("C", "A"))
    keys = np.zeros(len(words), np.uint64)
    _echo.mix(words, keys)
    return keys


def find_echoes(rows: NDArray[np.uint8], reach: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return at which lag each frame of a piece has its echo, and how long the run is that says so.

    Parameters
    ----------
    rows
        All frames of the piece, ``(frames, c, 16)``.
    reach
        The longest lag.

    Returns
    -------
    lags : uint32 array, shape (frames,)
        The echo of frame t is ``rows[t - lags[t]]``; 0 where there is none.
    match : uint8 array, shape (frames,)
        The length of the run, at most `LONGEST`; 0 where there is none.
    """
    lags, match = np.zeros(len(rows), np.uint32), np.zeros(len(rows), np.uint8)
    _echo.find(frame_keys(rows), np.zeros(min(reach, len(rows)), np.uint8), lags, match)
    return lags, match


class Echoes:
    """The echoes of *n* outputs that grow from the same primer, a frame at a time.

    Parameters
    ----------
    rows
        ``(n, frames, c, 16)``: the primer's frames, then those to come, which are heard once they are written.
    reach
        The longest lag.
    """

    def __init__(self, rows: NDArray[np.uint8], reach: int) -> None:
        self._rows = rows
        self._words = rows.reshape(*rows.shape[:2], -1).view(np.uint64)
        self._keys = np.zeros(rows.shape[:2], np.uint64)
        self._runs = np.zeros((len(rows), min(reach, rows.shape[1])), np.uint8)
        self._next = 0

    def next(
        self, told: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
        """Return echo ``(n, c, 16)``, run ``(n,)`` and lag ``(n,)`` of the next frame, from all frames before it.

        *told* ``(n,)`` are lags, 0 for none, whose runs are to count as `TOLD` frames from here on at least: what was
        played so long ago is to come again.
        """
        n, _, planes, width = self._rows.shape
        echo, match, lags = np.zeros((n, planes, width), np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.int64)
        if self._next and self._runs.size:
            told = lags if told is None else told
            words = echo.reshape(n, -1).view(np.uint64)
            _echo.step(self._words, self._keys, self._next, self._runs, told.copy(), words, match, lags)
        self._next += 1
        return echo, match, lags

    def follow(self, chosen: NDArray[np.int64]) -> None:
        """Let each output go on from what the one that *chosen* ``(n,)`` names has heard; the rows are the caller's."""
        self._keys[:], self._runs[:] = self._keys[chosen], self._runs[chosen]
