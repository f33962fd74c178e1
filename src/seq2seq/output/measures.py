"""What a piece of music is like in numbers: key, melody, metre, form, ending.

A piece is read as frames on the musical grid, with onsets. The *top line* is, of the notes struck at one time, the
highest, where nothing above it goes on sounding. The key is the one of Krumhansl and Kessler's 24 profiles (1982) that
correlates best with how long each pitch class sounds; a minor key has both its sevenths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seq2seq.output.figures import beginnings
from seq2seq.output.theory import KEY_PROFILES

if TYPE_CHECKING:
    from rollcore import Dataset

Floats = NDArray[np.float64]

#: Longer pieces are read up to here, endings aside, so that long and short ones can be compared.
MOST_BARS = 64
#: Distances, in bars, at which bars are compared.
LAGS = (1, 2, 4, 8, 16)
#: A larger interval in the top line, in semitones, is a leap.
LEAP = 7
#: Bars of a stretch whose key is compared with that of the piece.
STRETCH = 4

_STEPS = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10, 11))


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece, as the measures read it.

    Attributes
    ----------
    name : str
        Where it is from.
    sounding, onset : ndarray of bool, shape (frames, 128)
        The notes that sound in a frame, and those struck in it.
    steps_per_beat : float
        Frames in a quarter note.
    bar_frames : int
        Frames in a bar.
    upbeat : int
        Frames before the first bar line.
    """

    name: str
    sounding: NDArray[np.bool_]
    onset: NDArray[np.bool_]
    steps_per_beat: float
    bar_frames: int
    upbeat: int = 0

    def bars(self) -> int:
        """Return how many bars, the last perhaps cut short, follow the upbeat; `MOST_BARS` at most."""
        return min(MOST_BARS, -(-max(0, len(self.sounding) - self.upbeat) // self.bar_frames))

    def head(self) -> slice:
        """Return the frames that are read: the upbeat and `MOST_BARS` bars."""
        return slice(0, self.upbeat + MOST_BARS * self.bar_frames)

    def bar(self, number: int) -> slice:
        """Return the frames of a bar, counted from 0 after the upbeat."""
        first = self.upbeat + number * self.bar_frames
        return slice(first, first + self.bar_frames)


def piece_of(
    name: str,
    rows: NDArray[np.uint8],
    planes: Sequence[str],
    steps_per_beat: float,
    time_signature: tuple[int, int] = (4, 4),
    upbeat: int = 0,
) -> Piece:
    """Return a piece from rows ``(frames, planes, 16)``: voices put together, onsets found where no plane has them."""
    bits = np.unpackbits(rows, axis=-1, bitorder="little").astype(bool)

    def heard(kind: str) -> NDArray[np.bool_]:
        return np.asarray(bits[:, [plane.startswith(kind) for plane in planes]].any(axis=1))

    sounding, onset = heard("sounding"), heard("onset")
    if not any(plane.startswith("onset") for plane in planes):
        onset = beginnings(sounding)
    beats, value = time_signature
    return Piece(name, sounding, onset, steps_per_beat, max(1, round(4 * steps_per_beat * beats / value)), upbeat)


def dataset_pieces(dataset: Dataset, numbers: Iterable[int]) -> list[Piece]:
    """Return those of the pieces of a dataset of the musical grid in which a note is struck."""
    found = []
    for number in map(int, numbers):
        steps, upbeat = float(dataset.grid.rate), int(dataset.pieces[number]["upbeat"])
        rows, planes = dataset.rows(number), dataset.planes
        found.append(piece_of(dataset.name(number), rows, planes, steps, dataset.bar(number), upbeat))
    return [piece for piece in found if piece.onset.any()]


def top_line(piece: Piece) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return frames and pitches of the top line."""
    pitches = np.arange(128)
    struck = np.where(piece.onset, pitches, -1).max(axis=1)
    highest = np.where(piece.sounding, pitches, -1).max(axis=1)
    frames = np.flatnonzero((struck >= 0) & (struck == highest))
    return frames, struck[frames].astype(np.int64)


def note_lengths(piece: Piece) -> NDArray[np.int64]:
    """Return how many frames each note sounds."""
    frames, pitches = np.nonzero(piece.onset)
    # A note ends where its pitch falls silent or is struck again.
    stops = ~piece.sounding | piece.onset
    stops = np.concatenate([stops, np.ones((1, 128), bool)])
    order = np.lexsort((frames, pitches))
    frames, pitches = frames[order], pitches[order]
    ends = np.empty_like(frames)
    for pitch in np.unique(pitches):
        at = pitches == pitch
        stop = np.flatnonzero(stops[:, pitch])
        ends[at] = stop[np.searchsorted(stop, frames[at], side="right")]
    return (ends - frames).astype(np.int64)


def class_weights(sounding: NDArray[np.bool_]) -> Floats:
    """Return for how many frames each of the 12 pitch classes sounds, summed over octaves."""
    heard = sounding.sum(axis=0, dtype=np.float64)
    return np.bincount(np.arange(128) % 12, weights=heard, minlength=12).astype(np.float64)


def find_key(weights: Floats) -> tuple[int, int]:
    """Return tonic (0 is C) and mode (0 major, 1 minor) of the best key for weights of the 12 pitch classes.

    >>> find_key(np.array([3.0, 0, 1, 0, 2, 1, 0, 2, 0, 1, 0, 1]))
    (0, 0)
    """
    centred = weights - weights.mean()
    scores = np.empty((12, 2))
    for mode, profile in enumerate(KEY_PROFILES):
        shape = np.array(profile) - np.mean(profile)
        for tonic in range(12):
            scores[tonic, mode] = centred @ np.roll(shape, tonic) / np.linalg.norm(shape)
    best = int(scores.argmax())
    return best // 2, best % 2


def scale_of(key: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which of the 12 pitch classes belong to a key."""
    within = np.zeros(12, bool)
    within[(key[0] + np.array(_STEPS[key[1]])) % 12] = True
    return within


def in_key(piece: Piece) -> float:
    """Return the share of notes that belong to the piece's key."""
    part = piece.head()
    pitches = np.nonzero(piece.onset[part])[1]
    key = find_key(class_weights(piece.sounding[part]))
    return float(scale_of(key)[pitches % 12].mean()) if len(pitches) else math.nan


def home_stretches(piece: Piece) -> float:
    """Return the share of stretches of four bars, one after another, whose own key is that of the piece."""
    key = find_key(class_weights(piece.sounding[piece.head()]))
    found = []
    for first in range(0, piece.bars() - STRETCH + 1, STRETCH):
        part = slice(piece.bar(first).start, piece.bar(first + STRETCH - 1).stop)
        weights = class_weights(piece.sounding[part])
        if weights.any():
            found.append(find_key(weights) == key)
    return float(np.mean(found)) if found else math.nan


def leaps(piece: Piece) -> float:
    """Return the share of the top line's intervals of more than seven semitones."""
    intervals = np.abs(np.diff(_head_line(piece)[1]))
    return float((intervals > LEAP).mean()) if len(intervals) else math.nan


def steps(piece: Piece) -> float:
    """Return the share of the top line's intervals of one or two semitones."""
    intervals = np.abs(np.diff(_head_line(piece)[1]))
    return float(((intervals > 0) & (intervals <= 2)).mean()) if len(intervals) else math.nan


def on_beat(piece: Piece) -> float:
    """Return the share of notes struck on a beat: a quarter note, counted from the bar line."""
    frames = np.nonzero(piece.onset[piece.head()])[0]
    beat = max(1, round(piece.steps_per_beat))
    return float(((frames - piece.upbeat) % piece.bar_frames % beat == 0).mean()) if len(frames) else math.nan


def changes(piece: Piece) -> float:
    """Return the share of frames, the first aside, in which something differs from the frame before or is struck."""
    sounding = piece.sounding[piece.head()]
    moved = (sounding[1:] != sounding[:-1]).any(axis=1) | piece.onset[piece.head()][1:].any(axis=1)
    return float(moved.mean()) if len(moved) else math.nan


def bars_again(piece: Piece, lag: int, *, rhythm: bool = False) -> float:
    """Return the share of bars that strike the same notes, or by *rhythm* at the same times, as *lag* bars before.

    Bars in which nothing is struck are not counted.
    """
    names = _bar_names(piece, rhythm)
    pairs = [(names[i], names[i - lag]) for i in range(lag, len(names)) if names[i]]
    return float(np.mean([now == before for now, before in pairs])) if pairs else math.nan


def longest_phrase(piece: Piece) -> int:
    """Return the bars of the longest phrase that returns: it is heard again, note for note, after it has ended."""
    names = _bar_names(piece, False)
    best = 0
    # Along each diagonal, the run of equal bars; a run longer than its lag would overlap what it repeats.
    for lag in range(1, len(names)):
        run = 0
        for i in range(lag, len(names)):
            run = run + 1 if names[i] and names[i] == names[i - lag] else 0
            best = max(best, min(run, lag))
    return best


def still_bars(piece: Piece) -> float:
    """Return the share of whole bars, after the first note, in which nothing is struck."""
    names = _bar_names(piece, True)
    first = next((i for i, name in enumerate(names) if name), len(names))
    held = [not name for name in names[first:]]
    return float(np.mean(held)) if held else math.nan


def ends_on_tonic(piece: Piece) -> float:
    """Return 1 if the last note of the top line is the tonic of the piece's key, else 0."""
    pitches = top_line(piece)[1]
    tonic, _ = find_key(class_weights(piece.sounding))
    return float(pitches[-1] % 12 == tonic) if len(pitches) else math.nan


def _head_line(piece: Piece) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    frames, pitches = top_line(piece)
    within = frames < piece.head().stop
    return frames[within], pitches[within]


def _bar_names(piece: Piece, rhythm: bool) -> list[bytes]:
    """Return for each bar what is struck in it as bytes to compare: empty if nothing is."""
    struck = np.asarray(piece.onset.any(axis=1))[:, None] if rhythm else piece.onset
    names = []
    for number in range(piece.bars()):
        frames, pitches = np.nonzero(struck[piece.bar(number)])
        names.append(np.stack([frames, pitches]).astype(np.int32).tobytes())
    return names


#: The measures by name, in the order of a table; each gives a number for a piece, nan where it does not apply.
MEASURES: dict[str, Callable[[Piece], float]] = {
    "notes in the piece's key": in_key,
    "4-bar stretches in the home key": home_stretches,
    "leaps over 7 semitones in the top line": leaps,
    "steps in the top line": steps,
    "notes on the beat": on_beat,
    "frames that change": changes,
    "bars without a new note": still_bars,
    **{f"bar again after {lag}": partial(bars_again, lag=lag) for lag in LAGS},
    **{f"rhythm of a bar again after {lag}": partial(bars_again, lag=lag, rhythm=True) for lag in LAGS},
    "longest returning phrase, bars": longest_phrase,
    "last top note is the tonic": ends_on_tonic,
}


def measure(pieces: list[Piece]) -> dict[str, Floats]:
    """Return each measure of each piece, ``(pieces,)``, nan where it does not apply."""
    return {name: np.array([function(piece) for piece in pieces], float) for name, function in MEASURES.items()}
