"""Where pieces end: the probability that a piece is over, from its metre, its key and its last notes.

A logistic regression, fitted on the training split beside the model and stored with its weights. It is apart from the
model, so that the likelihood of frames stays what it is; that of the endings is reported with it. Whether a piece of so
many frames is over there is asked of what has sounded by then: whether a beat, a bar, a phrase of four or eight bars is
complete, how long the music has been and how long the last notes have stood, and whether bass and top line have come
home to the tonic. The top line is that of `seq2seq.output.measures`: what rings on below a melody that has ended is not
its last note.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.output.figures import beginnings, mixed
from seq2seq.output.theory import KEY_PROFILES

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.uint8]

#: Frames that a regression is fitted on, at most.
MOST_FRAMES = 100_000
#: Shares of the training pieces whose lengths a piece is compared with.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: What keeps the weights small where few pieces speak for them.
_RIDGE = 1.0
_CONSTANT = 6
_FEATURES = _CONSTANT + len(QUANTILES) + 7


@dataclass(frozen=True, eq=False)
class Metre:
    """How frames are counted: frames of a beat and of a bar, and frames before the first bar line.

    On the grid of seconds there are no bars: a beat is a second, and a bar None.
    """

    beat: Fraction
    bar: int | None
    upbeat: int = 0


@dataclass(frozen=True, eq=False)
class Endings:
    """The endings of a corpus.

    Attributes
    ----------
    weights
        Of the features, ``(k,)``.
    lengths
        Frames that the `QUANTILES` of the training pieces have.
    nats_per_piece, constant_nats_per_piece
        Negative log-likelihood of where the training pieces end, under this model and under one that knows how long
        pieces are on average.
    """

    weights: Floats
    lengths: tuple[int, ...]
    nats_per_piece: float
    constant_nats_per_piece: float

    @classmethod
    def fit(cls, pieces: Sequence[tuple[Rows, Metre]]) -> Endings | None:
        """Return the endings of pieces, rows ``(frames, planes, 16)`` each; None where there are none."""
        pieces = [(rows, metre) for rows, metre in pieces if len(rows) > 1]
        if not pieces:
            return None
        frames = np.array([len(rows) for rows, _ in pieces])
        lengths = tuple(int(length) for length in np.quantile(frames, QUANTILES).round())
        # Of many frames some are looked at, each of them for several.
        share = min(1.0, MOST_FRAMES / int(frames.sum()))
        rng = np.random.default_rng(0)
        parts, ends, weight = [], [], []
        for rows, metre in pieces:
            found = features(rows, metre, lengths)
            kept = rng.random(len(found)) < share
            kept[-1] = True
            parts.append(found[kept])
            ends.append(np.arange(len(found))[kept] == len(found) - 1)
            weight.append(np.where(ends[-1], 1.0, 1 / share))
        x, y, counts = np.concatenate(parts), np.concatenate(ends), np.concatenate(weight)
        weights = _regression(x, y, counts)
        z = x @ weights
        nats = float((counts * (np.logaddexp(0, z) - z * y)).sum()) / len(pieces)
        return cls(weights, lengths, nats, constant_nats(float(frames.mean()), float(frames.mean())))

    def logits(self, rows: Rows, metre: Metre) -> Floats:
        """Return for 1 to ``len(rows)`` frames of a piece the logit that it is over by then, ``(frames,)``."""
        return np.asarray(features(rows, metre, self.lengths) @ self.weights)

    def nats_of(self, pieces: Iterable[tuple[Rows, Metre]]) -> float:
        """Return the negative log-likelihood of where pieces end, one at least, as a mean over them.

        That is, of going on at each frame but the last, and of ending there. The frames themselves are not in it.
        """
        found = []
        for rows, metre in pieces:
            logits = self.logits(rows, metre)
            found.append(float(np.logaddexp(0, logits).sum() - logits[-1]))
        return float(np.mean(found))

    def draw(self, rows: Rows, metre: Metre, least: int, rng: np.random.Generator) -> int:
        """Return after how many frames, *least* or more, a piece ends that could go on to the end of *rows*.

        Where no draw ends it before, it ends where that is likeliest in its second half.
        """
        logits = self.logits(rows, metre)
        least = min(least, len(rows))
        over = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
        over[: least - 1] = False
        if over.any():
            return int(np.argmax(over)) + 1
        half = max(least - 1, len(rows) // 2)
        return half + int(np.argmax(logits[half:])) + 1

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "weights": [float(f"{weight:.8g}") for weight in self.weights],
            "lengths": list(self.lengths),
            "nats_per_piece": round(self.nats_per_piece, 4),
            "constant_nats_per_piece": round(self.constant_nats_per_piece, 4),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Endings:
        """Return the endings that `to_dict` wrote; raise ValueError, TypeError or LookupError if it did not."""
        weights = np.array(facts["weights"], np.float64)
        lengths = tuple(int(length) for length in facts["lengths"])
        if weights.shape != (_FEATURES,) or not np.isfinite(weights).all() or len(lengths) != len(QUANTILES):
            raise ValueError("endings are of another version")
        if not 1 <= min(lengths) <= max(lengths) < 2**31:
            raise ValueError(f"endings after {max(lengths)} frames")
        return cls(weights, lengths, float(facts["nats_per_piece"]), float(facts["constant_nats_per_piece"]))


def constant_nats(known: float, frames: float) -> float:
    """Return the nats of where a piece of so many frames ends for who knows only that they have *known* on average.

    Of pieces of several lengths it is that of their mean. *known* is above 1.
    """
    return float(np.log(known) - (frames - 1) * np.log1p(-1 / known))


def features(rows: Rows, metre: Metre, lengths: Iterable[int]) -> Floats:
    """Return what is known of a piece after 1 to ``len(rows)`` of its frames, ``(frames, k)``."""
    rows = mixed(rows)
    count = np.arange(1, len(rows) + 1)
    columns: list[npt.NDArray[Any]] = [np.ones(len(rows)), _complete(count - metre.upbeat, metre.beat)]
    for bars in (1, 2, 4, 8):
        # Of a piece with a pick-up, the last bar is as much shorter; or it is a whole one.
        ends = np.zeros(len(rows))
        if metre.bar is not None:
            whole = bars * metre.bar
            ends = np.maximum(_complete(count, Fraction(whole)), _complete(count - metre.upbeat, Fraction(whole)))
        columns.append(ends)
    columns += [(count >= length).astype(float) for length in lengths]
    bits = np.unpackbits(rows[:, 0], axis=-1, bitorder="little").astype(bool)
    sounding = bits.any(axis=1)
    if rows.shape[1] > 1:
        onsets = np.unpackbits(rows[:, -1], axis=-1, bitorder="little").astype(bool)
        struck = onsets.any(axis=1)
    else:
        onsets = beginnings(bits)
        struck = np.append(True, (rows[1:, 0] != rows[:-1, 0]).any(axis=1))
    since = count - np.maximum.accumulate(np.where(struck, count, 0)) + 1
    beats = np.minimum(8.0, since / float(metre.beat))
    tonic = _tonics(bits)
    # What sounds last, a rest after it aside.
    latest = np.maximum.accumulate(np.where(sounding, np.arange(len(rows)), 0))
    highest = 127 - np.argmax(bits[:, ::-1], axis=1)
    melodic = onsets[np.arange(len(rows)), highest]
    last_melodic = np.maximum.accumulate(np.where(melodic, np.arange(len(rows)), 0))
    bass, top = np.argmax(bits, axis=1)[latest], highest[last_melodic]
    home_bass, home_top = (bass - tonic) % 12 == 0, (top - tonic) % 12 == 0
    columns += [beats, np.log2(beats + 1), beats >= 1, beats >= 2, home_bass, home_top, np.logical_not(sounding)]
    return np.stack([np.asarray(column, float) for column in columns], axis=1)


def _complete(count: npt.NDArray[np.int64], frames: Fraction) -> Floats:
    """Return 1 where so many frames are whole groups of *frames*, one at least."""
    whole: npt.NDArray[np.bool_] = (count * frames.denominator) % frames.numerator == 0
    return np.asarray(whole & (count > 0), float)


def _tonics(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the tonic, 0 to 11, of the key that what has sounded by each frame of *bits* ``(frames, 128)`` is in."""
    classes = np.zeros((len(bits), 12))
    for pitch_class in range(12):
        classes[:, pitch_class] = bits[:, pitch_class::12].sum(axis=1)
    heard = np.cumsum(classes, axis=0)
    profiles = np.array([np.roll(profile, tonic) for profile in KEY_PROFILES for tonic in range(12)])
    profiles -= profiles.mean(axis=1, keepdims=True)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    return np.asarray(np.argmax(heard @ profiles.T, axis=1) % 12)


def _regression(x: Floats, y: npt.NDArray[np.bool_], counts: Floats) -> Floats:
    """Return the weights of a logistic regression with a ridge, by Newton's method."""
    weights = np.zeros(x.shape[1])
    weights[0] = np.log((y.sum() + 0.5) / (counts[~y].sum() + 0.5))
    ridge = np.full(len(weights), _RIDGE)
    ridge[0] = 1e-6
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (counts * (y - p)) - ridge * weights
        curvature = (x * (counts * p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        # Newton's method may leap where a feature decides alone.
        weights += step * min(1.0, 4 / max(1e-9, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-6:
            break
    return weights
