"""Music in parts, such as the four voices of a choir: how many there are, how high they go, how they move.

What the training data keep to is found in them: a number of notes that nearly always sound together, the range of each
part, how far it moves at once. Where they also avoid parallel fifths and octaves, so does the music that is drawn.

The parts of a frame are its sounding pitches from the top down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The share of sounding frames that have as many notes as there are parts; below it, music is not in parts.
IN_PARTS = 0.8
#: Parallel fifths and octaves in a hundred changes of chord up to which they count as avoided. Bach's chorales have 1.
AVOIDED = 3.0
# The share of pitches, and of moves, that ranges and the widest moves are to cover; the rest are exceptions.
_COVERED = 0.998
_FIFTH, _OCTAVE = 7, 0


@dataclass(frozen=True)
class Parts:
    """What music in parts keeps to.

    Attributes
    ----------
    ranges
        Lowest and highest pitch of each part, the top one first.
    widest
        Semitones that each part moves at most.
    """

    ranges: tuple[tuple[int, int], ...]
    widest: tuple[int, ...]

    @classmethod
    def find(cls, rolls: Sequence[NDArray[np.uint8]]) -> Parts | None:
        """Return the parts of pieces, packed rows ``(frames, planes, 16)`` each; None where they are not in parts."""
        sounding = [np.unpackbits(rows[:, 0], axis=-1, bitorder="little").astype(bool) for rows in rolls]
        counts = np.concatenate([frames.sum(axis=1) for frames in sounding]) if sounding else np.zeros(0, np.int64)
        counts = counts[counts > 0]
        if not len(counts):
            return None
        number = int(np.bincount(counts).argmax())
        if number < 2 or (counts == number).mean() < IN_PARTS:
            return None
        chords = [np.array([now for _, now in changes(frames, number)]).reshape(-1, number) for frames in sounding]
        pairs = [(then, now) for frames in sounding for then, now in changes(frames, number) if then is not None]
        if not pairs:
            return None
        made = sum(sum(parallels(then.tolist(), now.tolist())) for then, now in pairs)
        if 100 * made > AVOIDED * len(pairs):
            return None
        pitches = np.concatenate(chords)
        moves = np.abs([now - before for before, now in pairs])
        outer = (1 - _COVERED) / 2
        low, high = (np.quantile(pitches, share, axis=0, method="nearest") for share in (outer, 1 - outer))
        widest = np.quantile(moves, _COVERED, axis=0, method="nearest")
        return cls(tuple(zip(low.tolist(), high.tolist(), strict=True)), tuple(widest.tolist()))

    def faults(self, before: NDArray[np.integer[Any]], now: NDArray[np.integer[Any]]) -> int:
        """Return how many rules a frame breaks after the one before, both as sounding pitches from the lowest up.

        Where one note is missing, two parts are taken to sing the same, whichever makes the fewest faults. More notes
        missing are a fault; a rest is none.
        """
        if not len(now) or np.array_equal(before, now):
            return 0
        sung = self._sung(now[::-1].tolist())
        if not sung:
            return 1
        known: Sequence[list[int] | None] = self._sung(before[::-1].tolist()) or [None]
        return min(self._between(then, chord) for chord in sung for then in known)

    def _sung(self, down: list[int]) -> list[list[int]]:
        """Return what the parts may sing where so many notes sound, from the top down; nothing where that is open."""
        missing = len(self.ranges) - len(down)
        if missing == 1:
            return [sorted([*down, double], reverse=True) for double in down]
        return [] if missing else [down]

    def _between(self, before: list[int] | None, now: list[int]) -> int:
        """Return how many rules a chord breaks, from the top down, after one that is known or not."""
        found = sum(not low <= pitch <= high for pitch, (low, high) in zip(now, self.ranges, strict=True))
        if before is not None:
            found += sum(parallels(before, now))
            found += sum(abs(b - a) > most for a, b, most in zip(before, now, self.widest, strict=True))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"ranges": [list(ends) for ends in self.ranges], "widest": list(self.widest)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Parts:
        """Return the parts that `to_dict` wrote; raise ValueError, TypeError or LookupError if it did not."""
        ranges = tuple((int(low), int(high)) for low, high in facts["ranges"])
        widest = tuple(int(move) for move in facts["widest"])
        if len(ranges) < 2 or len(widest) != len(ranges) or not all(0 <= a <= b < 128 for a, b in ranges):
            raise ValueError(f"parts {facts}")
        return cls(ranges, widest)


def changes(sounding: NDArray[np.bool_], number: int) -> Iterable[tuple[NDArray[np.int64] | None, NDArray[np.int64]]]:
    """Yield each new chord of *number* notes of ``(frames, 128)``, top note first, after the chord just before it.

    That is None after a frame of more or fewer notes.
    """
    before: NDArray[np.int64] | None = None
    for frame in sounding:
        now = np.flatnonzero(frame)[::-1]
        if len(now) != number:
            before = None
        elif before is None or not np.array_equal(before, now):
            yield before, now
            before = now


def parallels(before: Sequence[int], now: Sequence[int]) -> tuple[int, int]:
    """Return how many pairs of parts move in the same direction from fifth to fifth, and from octave to octave.

    >>> parallels([67, 60, 48], [69, 62, 50])
    (2, 1)
    """
    fifths = octaves = 0
    for one in range(len(before)):
        for other in range(one + 1, len(before)):
            then, interval = (before[one] - before[other]) % 12, (now[one] - now[other]) % 12
            if then == interval and (now[one] - before[one]) * (now[other] - before[other]) > 0:
                fifths += interval == _FIFTH
                octaves += interval == _OCTAVE
    return fifths, octaves
