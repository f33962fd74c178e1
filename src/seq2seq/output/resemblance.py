"""How alike two sets of pieces are: samples and real music, or real music and other real music.

Three comparisons, which look at different things: the overlap of distributions (Yang and Lerch 2018), the Fréchet
distance of a feature vector a piece, and whether a nearest neighbour tells the two sets apart. The last two
depend on how many pieces there are, so both sides have equally many, draws are repeated, and the same is done with real
music against other real music. Beside them, memorisation: how much of a top line is copied from the training pieces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seq2seq.output.measures import (
    Floats,
    Piece,
    bars_again,
    changes,
    class_weights,
    home_stretches,
    in_key,
    leaps,
    longest_phrase,
    note_lengths,
    on_beat,
    steps,
    top_line,
)

DRAWS = 40
#: Notes in a row, in any key, that count as copied where a training piece has them.
COPIED_NOTES = 16
_LONGEST_COPY = 512

#: What the Fréchet distance and the nearest neighbours look at, one number each a piece.
FEATURES = (
    "notes in the piece's key",
    "4-bar stretches in the home key",
    "share of leaps",
    "share of steps",
    "mean size of an interval",
    "entropy of the pitch classes",
    "mean pitch",
    "spread of the pitches",
    "notes a beat",
    "notes at a time",
    "mean length of a note, beats",
    "spread of the times between onsets, beats",
    "notes on the beat",
    "frames that change",
    "bar again after 4",
    "bar again after 8",
    "rhythm again after 1",
    "rhythm again after 4",
    "longest returning phrase, root",
)


def features(piece: Piece) -> Floats:
    """Return the feature vector of a piece, as `FEATURES` names it; 0 where one does not apply."""
    line_frames, line = top_line(piece)
    intervals = np.abs(np.diff(line)) if len(line) > 1 else np.zeros(1)
    weights = class_weights(piece.sounding) / max(1, piece.sounding.sum())
    pitches = np.nonzero(piece.onset)[1]
    beats = len(piece.sounding) / piece.steps_per_beat
    gaps = np.diff(line_frames) / piece.steps_per_beat if len(line) > 1 else np.zeros(1)
    found = (
        in_key(piece),
        home_stretches(piece),
        leaps(piece),
        steps(piece),
        intervals.mean(),
        -(weights[weights > 0] * np.log2(weights[weights > 0])).sum(),
        pitches.mean(),
        pitches.std(),
        len(pitches) / beats,
        piece.sounding.sum() / max(1, piece.sounding.any(axis=1).sum()),
        note_lengths(piece).mean() / piece.steps_per_beat,
        gaps.std(),
        on_beat(piece),
        changes(piece),
        bars_again(piece, 4),
        bars_again(piece, 8),
        bars_again(piece, 1, rhythm=True),
        bars_again(piece, 4, rhythm=True),
        math.sqrt(longest_phrase(piece)),
    )
    vector: Floats = np.nan_to_num(np.array(found, float))
    return vector


def distributions(piece: Piece) -> dict[str, Floats]:
    """Return the histograms, each summing to 1, that `overlap` compares."""
    frames, line = top_line(piece)
    gaps, lengths = np.diff(frames), note_lengths(piece)
    per_beat = piece.steps_per_beat
    struck = piece.onset.sum(axis=1)
    beat = max(1, round(per_beat))
    density = np.add.reduceat(struck, np.arange(0, len(struck), beat))
    counts = {
        "pitch class": class_weights(piece.sounding),
        "interval": np.bincount(np.clip(np.diff(line), -12, 12) + 12, minlength=25),
        "note length": _octaves(lengths / per_beat),
        "time between onsets": _octaves(gaps / per_beat),
        "density": np.bincount(np.minimum(density, 15), minlength=16),
        "polyphony": np.bincount(np.minimum(piece.sounding.sum(axis=1), 10), minlength=11),
    }
    return {name: np.asarray(count, float) / max(1.0, float(np.sum(count))) for name, count in counts.items()}


def _octaves(beats: Floats) -> NDArray[np.int64]:
    """Return a histogram of lengths by half powers of two, from a sixteenth to four bars."""
    place = np.clip(np.round(2 * np.log2(np.maximum(beats, 1e-9))) + 4, 0, 12)
    return np.bincount(place.astype(np.int64), minlength=13)


def overlap(samples: Sequence[Floats], real: Sequence[Floats]) -> float:
    """Return the overlapped area of Yang and Lerch (2018), 0 to 1: how alike two sets of histograms are.

    The Euclidean distances between the real pieces have one density, those from each sample to each real piece another
    (Gaussian kernels, Scott's rule); the area that the two share is 1 where the samples are like the real pieces.
    At least two real pieces, and one sample.
    """
    reference, made = np.array(real), np.array(samples)
    upper = np.triu_indices(len(reference), 1)
    within = np.linalg.norm(reference[:, None] - reference, axis=2)[upper]
    between = np.linalg.norm(made[:, None] - reference, axis=2).ravel()
    spread = max(float(within.std()), float(between.std()), 1e-3)
    grid = np.linspace(
        min(within.min(), between.min()) - 3 * spread, max(within.max(), between.max()) + 3 * spread, 400
    )
    shared = np.minimum(_density(within, grid), _density(between, grid))
    return float(min(1.0, shared.sum() * (grid[1] - grid[0])))


def _density(values: Floats, grid: Floats) -> Floats:
    width = max(float(values.std()) * len(values) ** -0.2, float(grid[1] - grid[0]))
    chunks = [np.exp(-0.5 * ((grid[:, None] - part) / width) ** 2).sum(axis=1) for part in np.array_split(values, 50)]
    total: Floats = np.sum(chunks, axis=0) / (len(values) * width * math.sqrt(2 * math.pi))
    return total


def frechet(left: Floats, right: Floats) -> float:
    """Return the Fréchet distance between Gaussians fitted to vectors ``(n, k)`` and ``(m, k)``.

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))``, with means m and covariances S.
    """
    first, second = np.cov(left, rowvar=False, ddof=0), np.cov(right, rowvar=False, ddof=0)
    root = _root(first)
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    gap = left.mean(axis=0) - right.mean(axis=0)
    return float(max(0.0, gap @ gap + np.trace(first) + np.trace(second) - 2 * shared))


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def neighbour_accuracy(left: Floats, right: Floats) -> float:
    """Return how often the nearest other vector is of the same set: 0.5 where the sets are alike, 1 where apart."""
    every = np.concatenate([left, right])
    distance = np.linalg.norm(every[:, None] - every, axis=2)
    np.fill_diagonal(distance, np.inf)
    own = np.arange(len(every)) < len(left)
    return float((own[distance.argmin(axis=1)] == own).mean())


def compare_sets(samples: Floats, real: Floats, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return the Fréchet ratio and the nearest-neighbour accuracy, with intervals, from `DRAWS` draws.

    A draw takes equally many samples, real pieces and other real pieces: as many as there are samples, or half as many
    as there are real pieces. Features are divided by their spread over the real pieces.

    Returns
    -------
    dict
        For ``"frechet ratio"`` (the distance of samples over the mean distance of real pieces from each other),
        ``"neighbour accuracy"`` and ``"neighbour accuracy, real"``: ``"mean"``, and ``"low"`` and ``"high"``,
        between which nine of ten draws lie. ``"pieces"``: how many a draw took.
    """
    count = min(len(samples), len(real) // 2)
    if count < 2:
        return {}
    spread = real.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    samples, real = samples / scale, real / scale
    rng = np.random.default_rng(seed)
    far, near, told, chance = [], [], [], []
    for _ in range(DRAWS):
        made = samples[rng.choice(len(samples), count, replace=False)]
        order = rng.permutation(len(real))
        here, there = real[order[:count]], real[order[count : 2 * count]]
        far.append(frechet(made, here))
        near.append(frechet(here, there))
        told.append(neighbour_accuracy(made, here))
        chance.append(neighbour_accuracy(here, there))
    ratios = np.array(far) / max(float(np.mean(near)), 1e-12)
    found = {"frechet ratio": ratios, "neighbour accuracy": told, "neighbour accuracy, real": chance}
    result = {name: _interval(np.asarray(values)) for name, values in found.items()}
    return {**result, "pieces": {"mean": float(count)}}


def _interval(values: Floats) -> dict[str, float]:
    low, high = np.quantile(values, [0.05, 0.95])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


class Memory:
    """The top lines of the training pieces, to find what of another piece is copied from them.

    A note is remembered by its interval from the note before and the frames between the two, so that copies in another
    key are found, too.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        lines = [_moves(piece) for piece in pieces]
        gap = [np.full(1, -1, np.int64)]  # what no piece has: runs end where pieces do
        self._moves = np.concatenate([part for line in lines for part in (line, gap[0])] or gap)
        self._runs: dict[int, NDArray[np.uint64]] = {}

    def copied(self, piece: Piece) -> float:
        """Return the share of the top line's notes in runs of `COPIED_NOTES` or more that a training piece has."""
        moves = _moves(piece)
        length = COPIED_NOTES - 1  # a move joins two notes
        if len(moves) < length:
            return math.nan
        found = self._has(moves, length)
        within = np.zeros(len(moves) + 1, bool)
        for start in np.flatnonzero(found):
            within[start : start + COPIED_NOTES] = True
        return float(within.mean())

    def longest(self, piece: Piece) -> int:
        """Return the notes of the longest run of the top line that a training piece has."""
        moves = _moves(piece)
        low, high = 0, min(len(moves), _LONGEST_COPY)
        while low < high:
            middle = (low + high + 1) // 2
            if self._has(moves, middle).any():
                low = middle
            else:
                high = middle - 1
        return low + 1 if low else 0

    def _has(self, moves: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Return at which moves a run of *length* begins that a training piece has."""
        if length not in self._runs:
            self._runs[length] = np.unique(_hashes(self._moves, length))
        known, asked = self._runs[length], _hashes(moves, length)
        if not len(known):
            return np.zeros(len(asked), bool)
        return np.asarray(known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked)


def _moves(piece: Piece) -> NDArray[np.int64]:
    frames, pitches = top_line(piece)
    moves: NDArray[np.int64] = (np.diff(pitches) + 128) * 4096 + np.minimum(np.diff(frames), 4095)
    return moves


def _hashes(moves: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    """Return a hash of each run of *length* moves: a polynomial over the integers modulo 2 to the 64."""
    if len(moves) < length:
        return np.empty(0, np.uint64)
    mixed = moves.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    total = np.zeros(len(moves) - length + 1, np.uint64)
    for place in range(length):
        total = total * np.uint64(0xD1342543DE82EF95) + mixed[place : place + len(total)]
    return total
