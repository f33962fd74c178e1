"""The top line moves as those of the training data do: its leaps are rationed.

A piece may leap as often as the pieces of the training data do: more than a fifth, and more than an octave. Each leap
beyond that share makes the next ones less likely by a factor of e, and they are repaid by the notes that follow. A
frame that leaps is drawn again as often as that asks for. But a leap back towards the middle of the line is free, as
melodies return to it (von Hippel and Huron 2000): so a line that has left its register, where the melody rests and the
chords below it are heard, may come back.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from seq2seq.output.measures import LEAP, Piece, top_line

#: What more than so many semitones are is rationed.
WIDTHS = (LEAP, 12)
#: Notes that the middle of a line is the mean of.
MIDDLE = 32


class Line:
    """The top lines of *n* outputs, and how much more than its share each has leapt.

    Parameters
    ----------
    shares
        For each of `WIDTHS`, the share of the intervals of a top line that are wider.
    outputs
        *n*.
    """

    def __init__(self, shares: tuple[float, ...], outputs: int) -> None:
        self._shares = np.array(shares)
        self._last = np.full(outputs, -1, np.int64)
        self._heard = np.zeros(outputs, np.int64)
        self._middle = np.zeros(outputs)
        self._excess = np.zeros((outputs, len(WIDTHS)))

    def reluctance(self, sounding: npt.NDArray[np.uint8], struck: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Return the probability, ``(n,)``, that a frame, planes ``(n, p)`` of 0 and 1, is drawn again."""
        top = _top(sounding, struck)
        away = np.abs(top - self._middle) > np.abs(self._last - self._middle)
        cost = (self._excess * self._wide(top)).sum(axis=1)
        return np.where(away, 1 - np.exp(-cost), 0.0)

    def hear(self, sounding: npt.NDArray[np.uint8], struck: npt.NDArray[np.uint8]) -> None:
        """Take in a frame, planes ``(n, p)`` of 0 and 1."""
        top = _top(sounding, struck)
        moved = top >= 0
        excess = np.maximum(self._excess + self._wide(top) - self._shares, 0.0)
        self._excess[moved] = excess[moved]
        self._heard += moved
        self._middle += np.where(moved, (top - self._middle) / np.clip(self._heard, 1, MIDDLE), 0.0)
        self._last = np.where(moved, top, self._last)

    def _wide(self, top: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which of `WIDTHS` the interval to a note of each output is wider than, ``(n, widths)``."""
        interval = np.where((top >= 0) & (self._last >= 0), np.abs(top - self._last), 0)
        return np.asarray(interval[:, None] > np.array(WIDTHS))


def _top(sounding: npt.NDArray[np.uint8], struck: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the note of the top line that is struck in a frame, ``(n,)``; -1 where none is."""
    pitches = sounding.shape[1]
    highest = pitches - 1 - np.argmax(sounding[:, ::-1], axis=1)
    heard = struck[np.arange(len(struck)), highest] > 0
    return np.where(heard, highest, -1).astype(np.int64)


def find_leaps(pieces: Iterable[Piece]) -> tuple[float, ...]:
    """Return for each of `WIDTHS` the share of the intervals of top lines that are wider; nothing without intervals."""
    intervals = [np.abs(np.diff(top_line(piece)[1])) for piece in pieces]
    every = np.concatenate(intervals) if intervals else np.zeros(0, np.int64)
    return tuple(round(float((every > width).mean()), 4) for width in WIDTHS) if len(every) else ()
