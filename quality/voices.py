"""What a teacher of harmony would mark in four-part writing: parallels, leaps, ranges, missing voices.

The voices of a frame are its sounding pitches from the top down; frames in which not four sound are left out, so that a
unison is not taken for a voice that is missing. It counts by itself: what sampling holds to be a fault is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# Soprano, alto, tenor and bass of a choir, as textbooks have them.
RANGES = ((60, 81), (53, 74), (48, 69), (40, 62))
LARGEST = (12, 9, 9, 12)  # a wider leap within a voice is marked


def voice_leading(pieces: Iterable[NDArray[np.bool_]]) -> dict[str, float]:
    """Return counts per hundred changes of chord, over pieces ``(frames, 128)``, and shares of frames and of notes.

    ``"frames in four voices"``: of those in which anything sounds. ``"parallel fifths"``, ``"parallel octaves"``: two
    voices move in the same direction from one such interval to another. ``"leaps"``: a voice moves further than
    `LARGEST`. ``"out of range"``: the share of notes outside of `RANGES`.
    """
    changes = frames = full = fifths = octaves = wide = out = notes = 0
    for sounding in pieces:
        counts = sounding.sum(axis=1)
        frames, full = frames + int((counts > 0).sum()), full + int((counts == 4).sum())
        before: NDArray[np.int64] | None = None
        for frame, count in zip(sounding, counts, strict=True):
            if count != 4:
                before = None
                continue
            now = np.flatnonzero(frame)[::-1]
            if before is not None and (now == before).all():
                continue
            notes += 4
            out += sum(not low <= pitch <= high for pitch, (low, high) in zip(now, RANGES, strict=True))
            if before is not None:
                changes += 1
                moved = now - before
                wide += int((np.abs(moved) > LARGEST).sum())
                for one in range(4):
                    for other in range(one + 1, 4):
                        then, interval = (before[one] - before[other]) % 12, (now[one] - now[other]) % 12
                        if moved[one] * moved[other] > 0 and then == interval:
                            fifths += interval == 7
                            octaves += interval == 0
            before = now
    per = 100 / max(1, changes)
    return {
        "frames in four voices": full / max(1, frames),
        "parallel fifths": fifths * per,
        "parallel octaves": octaves * per,
        "leaps": wide * per,
        "out of range": out / max(1, notes),
    }
