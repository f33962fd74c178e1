"""Music stays in its key: each piece has one, as those of the training data have.

A model that heard its data in many keys begins in any, and a wrong note leads to others. So an output has a key from
the start: that of what it continues, or one drawn as often as pieces of the training data are in it. It may leave the
key as often as those pieces do: each note outside it beyond that share makes the next ones less likely by a factor of
e, and they are repaid by the notes that follow.

Nor is a scale a key: music that dwells on the fifth is soon at home there. So each degree sounds for as long as it does
in the training data: one that has had more than its share of the last bars becomes less likely, one that has had less
becomes likelier. So the tonic and its chord come back, and with them the leading note.

The constants were chosen beside the tunes that two models were trained on, 120 of Nottingham: no other piece had a
part in it.
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
#: Frames that are remembered of how long each degree of the scale has sounded, and what is taken from the logits of a
#: degree that has had all of that time instead of none beyond its share.
MEMORY, BALANCE = 64.0, 24.0


@dataclass(frozen=True)
class Keys:
    """The keys of a corpus.

    Attributes
    ----------
    shares
        Tonic (0 is C), mode (0 major, 1 minor) and the share of the pieces in that key, of each key there is.
    strange
        The share of the notes that are outside the key of their piece.
    degrees
        For pieces in major and for those in minor, the share of the time that each of the 12 semitones above the tonic
        sounds: 0 throughout where no piece is in that mode. Empty where that is not known.
    """

    shares: tuple[tuple[int, int, float], ...]
    strange: float
    degrees: tuple[tuple[float, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        degrees = [list(mode) for mode in self.degrees]
        return {"shares": [list(key) for key in self.shares], "strange": self.strange, "degrees": degrees}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Keys:
        """Return the keys that `to_dict` wrote; raise ValueError, TypeError or LookupError if it did not."""
        shares = tuple((int(tonic), int(mode), float(share)) for tonic, mode, share in facts["shares"])
        strange = float(facts["strange"])
        known = all(0 <= tonic < 12 and mode in (0, 1) and 0 < share <= 1 for tonic, mode, share in shares)
        if not shares or not known or not 0 <= strange <= 1:
            raise ValueError(f"keys {facts}")
        degrees = tuple(tuple(map(float, mode)) for mode in facts.get("degrees", ()))
        within = all(len(mode) == 12 and min(mode) >= 0 and max(mode) <= 1 for mode in degrees)
        if len(degrees) not in (0, 2) or not within:
            raise ValueError(f"keys {facts}")
        return cls(shares, strange, degrees)


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
    tonic
        1 for the pitches that are the tonic, else 0, ``(n, pitches)``.
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
        self.tonic = np.array([classes == tonic for tonic, _ in chosen], np.float64)
        self._outside = np.array([~scale_of(key)[classes] for key in chosen], np.float64)
        self._strange = keys.strange
        self._classes = classes
        self._degrees = np.zeros((len(chances), 12))
        if keys.degrees:
            self._degrees[:] = [np.roll(keys.degrees[mode], tonic) for tonic, mode in chosen]
        self._heard = np.zeros((len(chances), 12))
        self._excess = np.zeros(len(chances))
        self._opening = np.full(len(chances), 0.0 if sounding.any() else OPENING)
        self.bias = np.zeros(self._outside.shape)
        self._weigh()

    def hear(self, began: npt.NDArray[np.bool_], sounding: npt.NDArray[np.bool_]) -> None:
        """Take in which notes began in a frame, and which sound in it, ``(n, pitches)`` each."""
        self._excess += (began * (self._outside - self._strange)).sum(axis=1)
        np.maximum(self._excess, 0.0, out=self._excess)
        counts = np.stack([sounding[:, self._classes == c].sum(axis=1) for c in range(12)], axis=1)
        self._heard = self._heard * (1 - 1 / MEMORY) + counts
        self._opening = np.maximum(self._opening - HEARD * began.sum(axis=1), 0.0)
        self._weigh()

    def _weigh(self) -> None:
        total = self._heard.sum(axis=1, keepdims=True)
        beyond = (self._heard - total * self._degrees) / np.maximum(total, MEMORY)
        beyond[~self._degrees.any(axis=1)] = 0
        self.bias[:] = -self._outside * (self._excess + self._opening)[:, None] - BALANCE * beyond[:, self._classes]


def find_keys(rolls: Iterable[npt.NDArray[np.uint8]]) -> Keys | None:
    """Return the keys of pieces, packed rows ``(frames, planes, 16)`` each; None where nothing sounds."""
    found: Counter[tuple[int, int]] = Counter()
    degrees = np.zeros((2, 12))
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
        degrees[key[1]] += np.roll(class_weights(sounding), -key[0])
    if not found:
        return None
    shares = tuple((*key, round(count / found.total(), 4)) for key, count in sorted(found.items()))
    played = tuple(tuple(np.round(mode / max(1.0, mode.sum()), 4).tolist()) for mode in degrees)
    return Keys(shares, round(strange / max(1, notes), 4), played)
