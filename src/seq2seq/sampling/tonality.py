"""Music stays in its key: each piece has one, as those of the training data have.

A model that heard its data in many keys begins in any, and a wrong note leads to others. So an output has a key from
the start: that of what it continues, or one drawn as often as pieces of the training data are in it. It may leave the
key as often as those pieces do: each note outside it beyond that share makes the next ones less likely by a factor of
e, and they are repaid by the notes that follow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.output.figures import beginnings
from seq2seq.output.measures import class_weights, find_key, scale_of

#: What is taken from a logit before the first note of a piece that begins by itself, and how much less after each note:
#: until the model hears the key, it is kept to.
OPENING, HEARD = 8.0, 0.25


@dataclass(frozen=True)
class Keys:
    """The keys of a corpus.

    Attributes
    ----------
    shares
        Tonic (0 is C), mode (0 major, 1 minor) and the share of the pieces in that key, of each key there is.
    strange
        The share of the notes that are outside the key of their piece.
    """

    shares: tuple[tuple[int, int, float], ...]
    strange: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"shares": [list(key) for key in self.shares], "strange": self.strange}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Keys:
        """Return the keys that `to_dict` wrote; raise ValueError, TypeError or LookupError if it did not."""
        shares = tuple((int(tonic), int(mode), float(share)) for tonic, mode, share in facts["shares"])
        strange = float(facts["strange"])
        known = all(0 <= tonic < 12 and mode in (0, 1) and 0 < share <= 1 for tonic, mode, share in shares)
        if not shares or not known or not 0 <= strange <= 1:
            raise ValueError(f"keys {facts}")
        return cls(shares, strange)


class Tonality:
    """The keys of *n* outputs, and how far each has left its own.

    Parameters
    ----------
    keys
        Those of the training data.
    primer
        Packed rows ``(frames, planes, 16)`` that all outputs continue; the key is theirs where notes sound in them.
    chances
        A random number for each output, ``(n,)``.
    low, pitches
        The lowest pitch of the model, and how many it plays.

    Attributes
    ----------
    bias
        What is to be added to the logits, ``(n, pitches)``; kept up to date.
    """

    def __init__(
        self,
        keys: Keys,
        primer: npt.NDArray[np.uint8],
        chances: npt.NDArray[np.float64],
        low: int,
        pitches: int,
    ) -> None:
        sounding = np.asarray(np.unpackbits(primer[:, ::2], axis=-1, bitorder="little").any(axis=1))
        if sounding.any():
            chosen = [find_key(class_weights(sounding))] * len(chances)
        else:
            ends = np.cumsum([share for *_, share in keys.shares])
            places = np.searchsorted(ends / ends[-1], chances, side="right")
            chosen = [keys.shares[place][:2] for place in np.minimum(places, len(ends) - 1)]
        classes = np.arange(low, low + pitches) % 12
        self._outside = np.array([~scale_of(key)[classes] for key in chosen], np.float64)
        self._strange = keys.strange
        self._excess = np.zeros(len(chances))
        self._opening = np.full(len(chances), 0.0 if sounding.any() else OPENING)
        self.bias = np.zeros(self._outside.shape)
        self._weigh()

    def hear(self, began: npt.NDArray[np.bool_]) -> None:
        """Take in which notes began in a frame, ``(n, pitches)``."""
        self._excess += (began * (self._outside - self._strange)).sum(axis=1)
        np.maximum(self._excess, 0.0, out=self._excess)
        self._opening = np.maximum(self._opening - HEARD * began.sum(axis=1), 0.0)
        self._weigh()

    def _weigh(self) -> None:
        self.bias[:] = -self._outside * (self._excess + self._opening)[:, None]


def find_keys(rolls: Iterable[npt.NDArray[np.uint8]]) -> Keys | None:
    """Return the keys of pieces, packed rows ``(frames, planes, 16)`` each; None where nothing sounds."""
    found: Counter[tuple[int, int]] = Counter()
    strange = notes = 0
    for rows in rolls:
        bits = np.unpackbits(rows, axis=-1, bitorder="little").astype(bool)
        sounding = np.asarray(bits[:, ::2].any(axis=1))
        if not sounding.any():
            continue
        began = beginnings(sounding) if bits.shape[1] == 1 else bits[:, 1::2].any(axis=1)
        key = find_key(class_weights(sounding))
        found[key] += 1
        pitches = np.nonzero(began)[1]
        strange += int((~scale_of(key)[pitches % 12]).sum())
        notes += len(pitches)
    if not found:
        return None
    shares = tuple((*key, round(count / found.total(), 4)) for key, count in sorted(found.items()))
    return Keys(shares, round(strange / max(1, notes), 4))
