"""The echo: the frame that comes next if the music goes on repeating itself.

Music repeats itself at distances that no fixed lag knows. So before a frame is predicted, every lag up to a
reach is asked how many of the latest frames equal those so many frames before them. The lag that has the
longest such run wins, the shorter one of equals; the frame a lag before the one to come is its *echo*, and
the run says how far it may be trusted. Both are known from the past alone.
Voices that have planes of their own have echoes of their own: one may come back to its tune while another does not.

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


def find_echoes(rows: NDArray[np.uint8], reach: int, voices: int = 1) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return at which lag each frame of a piece has the echo of each voice, and how long the run is that says so.

    Parameters
    ----------
    rows
        All frames of the piece, ``(frames, c, 16)``.
    reach
        The longest lag.
    voices
        How many voices share the planes out among them, in their order.

    Returns
    -------
    lags : uint32 array, shape (frames, voices)
        The echo of frame t is what stands in the planes of the voice in frame ``t - lags[t]``; 0 where there is none.
    match : uint8 array, shape (frames, voices)
        The length of the run, at most `LONGEST`; 0 where there is none.
    """
    lags, match = np.zeros((voices, len(rows)), np.uint32), np.zeros((voices, len(rows)), np.uint8)
    for voice, planes in enumerate(np.split(rows, voices, axis=1)):
        _echo.find(frame_keys(planes), np.zeros(min(reach, len(rows)), np.uint8), lags[voice], match[voice])
    return lags.T, match.T


class Echoes:
    """The echoes of *n* outputs that grow from the same primer, a frame at a time.

    Parameters
    ----------
    rows
        ``(n, frames, c, 16)``: the primer's frames, then those to come, which are heard once they are written.
    reach
        The longest lag.
    voices
        How many voices share the planes out among them, in their order.
    """

    def __init__(self, rows: NDArray[np.uint8], reach: int, voices: int = 1) -> None:
        n, frames, planes, _ = rows.shape
        self._rows = rows
        self._words = np.zeros((voices, n, frames, 2 * planes // voices), np.uint64)
        self._keys = np.zeros((voices, n, frames), np.uint64)
        self._runs = np.zeros((voices, n, min(reach, frames)), np.uint8)
        self._next = 0

    def next(
        self, told: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
        """Return echo ``(n, c, 16)``, run and lag ``(n, voices)`` of the next frame, from all frames before it.

        *told* ``(n,)`` are lags, 0 for none, whose runs are to count as `TOLD` frames from here on at least: what was
        played so long ago is to come again.
        """
        voices, n, _, width = self._words.shape
        echo, match = np.zeros((voices, n, width), np.uint64), np.zeros((voices, n), np.uint8)
        lags, t = np.zeros((voices, n), np.int64), self._next
        if t and self._runs.size:
            latest = self._rows[:, t - 1].reshape(n, -1).view(np.uint64).reshape(n, voices, width)
            told = np.zeros(n, np.int64) if told is None else told.copy()
            for voice, words in enumerate(self._words):
                words[:, t - 1] = latest[:, voice]
                runs = self._keys[voice], t, self._runs[voice]
                _echo.step(words, *runs, told, echo[voice], match[voice], lags[voice])
        self._next += 1
        rows = echo.swapaxes(0, 1).reshape(n, -1).view(np.uint8)
        return rows.reshape(n, *self._rows.shape[2:]), match.T, lags.T

    def follow(self, chosen: NDArray[np.int64]) -> None:
        """Let each output go on from what the one that *chosen* ``(n,)`` names has heard; the rows are the caller's."""
        for array in (self._words, self._keys, self._runs):
            array[:] = array[:, chosen]
