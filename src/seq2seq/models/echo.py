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

Music also comes back changed: on another degree, with one part altered. So there may be *varied echoes*, the frames
that followed the pasts most like the latest frames, each another frame. How alike two frames are is Jaccard's index,
the share of the notes of either that both have; to how alike a lag has been, of which 3/16 are forgotten a frame, that
of each new frame is added. Every lag is asked untransposed and by up to seven semitones up or down; a transposed one
has to be more alike by half a frame. The sum, from 0 to 255, is the *degree* of a varied echo. All is reckoned in whole
numbers, so that it is the same wherever it is done.
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
#: Degrees of a varied echo that a model tells apart.
DEGREES = (25, 51, 76, 102, 127, 153, 178, 204, 229, 247)


def frame_keys(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a hash of each of *rows* ``(frames, c, 16)``; two that differ share one with a chance of 2 ** -64."""
    words = _words(rows)
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


def find_varied(
    rows: NDArray[np.uint8], reach: int, number: int, voices: int = 1
) -> tuple[NDArray[np.uint32], NDArray[np.int8], NDArray[np.uint8]]:
    """Return at which lags each frame of a piece has the varied echoes of each voice, and how they are transposed.

    Parameters
    ----------
    rows
        All frames of the piece, ``(frames, c, 16)``.
    reach
        The longest lag.
    number
        How many of them.
    voices
        How many voices share the planes out among them, in their order.

    Returns
    -------
    lags : uint32 array, shape (frames, number, voices)
        Varied echo k of frame t is what stands in the planes of the voice in frame ``t - lags[t, k]``; 0 where there is
        none.
    shifts : int8 array, shape (frames, number, voices)
        By how many semitones that is to be moved up.
    degrees : uint8 array, shape (frames, number, voices)
        How alike the pasts are; 0 where there is none.
    """
    shape = voices, len(rows), number
    lags, shifts, degrees = np.zeros(shape, np.uint32), np.zeros(shape, np.int8), np.zeros(shape, np.uint8)
    for voice, planes in enumerate(np.split(rows, voices, axis=1)):
        alike, words = _nothing_alike(planes.shape[1], min(reach, len(rows))), _words(planes)
        echoes = np.zeros((number, words.shape[1]), np.uint64)
        _echo.find_varied(words, alike, echoes, lags[voice], shifts[voice], degrees[voice])
    return lags.transpose(1, 2, 0), shifts.transpose(1, 2, 0), degrees.transpose(1, 2, 0)


def _words(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return *rows* ``(frames, c, 16)`` as words ``(frames, 2 * c)``."""
    return np.require(rows.reshape(len(rows), -1).view(np.uint64), requirements=("C", "A"))


def _nothing_alike(planes: int, *shape: int) -> NDArray[np.int32]:
    """Return how alike the pasts of each lag are before anything is heard: zeros, for voices of so many planes."""
    if 2 * planes > _echo.WIDEST:
        raise ValueError(f"varied echoes are those of one or two planes a voice, not of {planes}")
    return np.zeros((*shape, _echo.LANES), np.int32)


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
    varied
        How many varied echoes there are, too.
    """

    def __init__(self, rows: NDArray[np.uint8], reach: int, voices: int = 1, varied: int = 0) -> None:
        n, frames, planes, _ = rows.shape
        self._rows = rows
        self._words = np.zeros((voices, n, frames, 2 * planes // voices), np.uint64)
        self._keys = np.zeros((voices, n, frames), np.uint64)
        self._runs = np.zeros((voices, n, min(reach, frames)), np.uint8)
        self._varied = varied
        if varied:
            self._alike = _nothing_alike(planes // voices, voices, n, min(reach, frames))
        self._next = 0

    def next(
        self, told: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
        """Return the echoes of the next frame, how far they may be trusted, and their lags, from all frames before it.

        They are ``(n, k * c, 16)``, the echo and then the varied ones; ``(n, k * voices)``, runs and then degrees; and
        ``(n, voices)``, the lags of the echo alone.

        *told* ``(n,)`` are lags, 0 for none, whose runs are to count as `TOLD` frames from here on at least: what was
        played so long ago is to come again.
        """
        voices, n, _, width = self._words.shape
        exact, varied = np.zeros((voices, n, width), np.uint64), np.zeros((voices, n, self._varied, width), np.uint64)
        runs, degrees = np.zeros((voices, n), np.uint8), np.zeros((voices, n, self._varied), np.uint8)
        lags, t = np.zeros((voices, n), np.int64), self._next
        if t and self._runs.size:
            latest = self._rows[:, t - 1].reshape(n, -1).view(np.uint64).reshape(n, voices, width)
            told = np.zeros(n, np.int64) if told is None else told.copy()
            for voice, words in enumerate(self._words):
                words[:, t - 1] = latest[:, voice]
                kept = self._keys[voice], t, self._runs[voice]
                _echo.step(words, *kept, told, exact[voice], runs[voice], lags[voice])
                if self._varied:
                    _echo.step_varied(words, t, self._alike[voice], varied[voice], degrees[voice])
        self._next += 1
        # By output, by echo, by voice.
        every = np.concatenate([exact[:, :, None], varied], axis=2).transpose(1, 2, 0, 3)
        match = np.concatenate([runs[:, :, None], degrees], axis=2).transpose(1, 2, 0)
        return np.ascontiguousarray(every).view(np.uint8).reshape(n, -1, 16), match.reshape(n, -1), lags.T

    def follow(self, chosen: NDArray[np.int64]) -> None:
        """Let each output go on from what the one that *chosen* ``(n,)`` names has heard; the rows are the caller's."""
        kept = [self._words, self._keys, self._runs, *([self._alike] if self._varied else [])]
        for array in kept:
            array[:] = array[:, chosen]
