"""How cool music is drawn while a phrase returns, so that phrases last as long as they do in real pieces.

The `cool` of `seq2seq.sampling.phrasing.Phrasing` is fitted to a model once it is trained. With each of `COOLS`, a few
pieces are drawn from nothing, with the same seeds, and compared with the pieces of the validation split: which share of
the frames is in a run of the echo, where `cool` acts; how often such a run goes on; and which share of the frames
change. How often whole phrases return is not fitted: that is drawn with the frequency of the training data.

Whole bars that return would say too little: on Nottingham, the share of bars again after 8 falls from 0.36 to 0.28
between 0.8 and 0.9, but with 24 pieces it is uncertain by 0.05. Runs vary less. Still, a straight line over the
logarithm of the value is fitted to each statistic, through the pieces of all values. The distance of a value is the
root mean square of the differences between the lines and the means of the validation pieces. They are in units of the
standard deviation over pieces, of both sets pooled: a few validation pieces may be alike by chance. The default stays
unless another value is nearer by more than `MARGIN`, which is about what chance does to such a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rollcore
from seq2seq.models.echo import find_echoes
from seq2seq.models.weights import read_weights, save_weights
from seq2seq.output.measures import Piece, changes, dataset_pieces, piece_of
from seq2seq.output.notation import bar_frames
from seq2seq.sampling.corpus import Corpus
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.phrasing import RECENT, Phrasing
from seq2seq.sampling.request import Request

#: Values that are tried, in equal steps, by and large, of their logarithm. None is below `Phrasing.cold`.
COOLS = (0.5, 0.65, Phrasing.cool, 1.0, 1.25)
#: Pieces that are drawn with each.
DRAWN = 16
#: Their length at most, and that of the part of a real piece that is measured; and the least that says something.
MOST_BARS, MOST_FRAMES, LEAST_BARS = 32, 1024, 8
#: Validation pieces that are needed, and that are measured at most.
LEAST_PIECES, MOST_PIECES = 4, 100
#: By how many standard deviations over pieces a value must be nearer than the default to take its place.
MARGIN = 0.1
# Below it, the pieces are alike.
_LEAST_SPREAD = 1e-3
#: What is compared, in the order of `run_statistics`.
STATISTICS = ("frames in a run", "runs that go on", "frames that change")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """What was chosen, and what it was chosen by.

    Attributes
    ----------
    cool
        The value chosen.
    real
        Means of `STATISTICS` over the validation pieces.
    drawn
        The same over the pieces drawn with each of `COOLS`, in their order.
    distances
        How far the lines through those are from the validation pieces.
    """

    cool: float
    real: dict[str, float]
    drawn: tuple[dict[str, float], ...]
    distances: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"cools": list(COOLS), **asdict(self)}

    def __str__(self) -> str:
        found = self.drawn[COOLS.index(self.cool)]
        seen = ", ".join(f"{name} {found[name]:.2f} ({self.real[name]:.2f})" for name in STATISTICS)
        return f"cool {self.cool:g}; in samples (in validation pieces): {seen}"


def run_statistics(piece: Piece) -> tuple[float, float, float]:
    """Return the `STATISTICS` of a piece: three shares, 0 where a share is one of nothing.

    A frame is in a run where `Phrasing` would draw it with `cool`: its echo has a run, from more than `near` bars ago,
    and the music moves. The run goes on where the frame is what its echo is.
    """
    rows = np.packbits(np.stack([piece.sounding, piece.onset], axis=1), axis=-1, bitorder="little")
    frames = np.arange(len(rows))
    lags, match = (found[:, 0].astype(np.int64) for found in find_echoes(rows, len(rows)))
    moved = np.zeros(len(rows) + 1, np.int64)  # how many frames before each were unlike the one before
    moved[2:] = np.cumsum((rows[1:] != rows[:-1]).any(axis=(1, 2)))
    recent = moved[frames] - moved[np.maximum(frames - RECENT, 0)]
    run = (match >= Phrasing.run) & (recent >= Phrasing.moving) & (lags > Phrasing.near * piece.bar_frames)
    same = (rows == rows[frames - lags]).all(axis=(1, 2))
    return float(run.mean()), float(same[run].mean()) if run.any() else 0.0, changes(piece)


def fit_cool(draw: Callable[[float], Sequence[Piece]], real: Sequence[Piece]) -> Fit:
    """Return the one of `COOLS` with which music is nearest to real pieces; see the module.

    Parameters
    ----------
    draw
        Returns pieces that are drawn with a value.
    real
        Real pieces, at least one.
    """
    wanted = np.array([run_statistics(piece) for piece in real])
    drawn = [np.array([run_statistics(piece) for piece in draw(cool)]) for cool in COOLS]
    places, every = np.log(np.repeat(COOLS, [len(found) for found in drawn])), np.concatenate(drawn)
    slopes, heights = np.polyfit(places, every, 1)
    lines = heights + slopes * np.log(COOLS)[:, None]
    spread = np.sqrt((wanted.var(axis=0) + every.var(axis=0)) / 2)
    distances = np.sqrt(np.square((lines - wanted.mean(axis=0)) / np.maximum(spread, _LEAST_SPREAD)).mean(axis=1))
    default, best = COOLS.index(Phrasing.cool), int(distances.argmin())
    return Fit(
        cool=COOLS[best if distances[default] - distances[best] > MARGIN else default],
        real=_means(wanted),
        drawn=tuple(map(_means, drawn)),
        distances=tuple(round(float(distance), 4) for distance in distances),
    )


def fit_run(
    weights: Path, dataset: rollcore.Dataset, seed: int, progress: Callable[[int, int], None] | None = None
) -> Fit | None:
    """Fit `cool` to the model of a run and write it to its weights, with what it was chosen by as the fact `fit`.

    Nothing happens where `cool` means nothing, in a model without an echo or on a grid without bars; where there are
    fewer than `LEAST_PIECES` validation pieces of `LEAST_BARS` bars; and where it was done before.

    Parameters
    ----------
    weights
        A file of `seq2seq.models.weights`.
    dataset
        What the model was trained on.
    seed
        That of the pieces drawn.
    progress
        Called from time to time, by the threads that draw, with the frames drawn so far and in all. What it raises ends
        the fit, and nothing is written.

    Returns
    -------
    Fit or None
        None where nothing happened.

    Raises
    ------
    RollcoreError
        If the weights cannot be read or written.
    """
    config, arrays, facts = read_weights(weights)
    if not config.echo or "fit" in facts:
        return None
    corpus = Corpus.from_dict(facts)
    bar = bar_frames(corpus.grid, corpus.time_signature)
    real = _validation(dataset)
    if bar is None or len(real) < LEAST_PIECES:
        return None
    frames = min(MOST_BARS * bar, MOST_FRAMES, int(np.median([len(piece.sounding) for piece in real])))
    if frames < LEAST_BARS * bar:
        return None
    real = [replace(piece, sounding=piece.sounding[:frames], onset=piece.onset[:frames]) for piece in real]
    request = Request(frames=frames, num_outputs=DRAWN, candidates=1, seed=seed)

    def draw(cool: float) -> list[Piece]:
        done = COOLS.index(cool) * DRAWN * frames

        def look(now: int, of: int) -> None:
            if progress is not None:
                progress(done + now, len(COOLS) * of)

        made = Generator(config, arrays, replace(corpus, cool=cool), "").compose(request, progress=look)
        rate = float(corpus.grid.rate)
        return [piece_of("", one.rows, config.planes, rate, corpus.time_signature) for one in made]

    fit = fit_cool(draw, real)
    save_weights(config, arrays, weights, {**facts, "cool": fit.cool, "fit": fit.to_dict()})
    return fit


def _validation(dataset: rollcore.Dataset) -> list[Piece]:
    """Return validation pieces that are long enough, spread evenly over the split; none on the grid of seconds."""
    pieces = dataset.split("validation")
    if dataset.grid.unit != "beats" or not len(pieces):
        return []
    chosen = np.unique(np.linspace(0, len(pieces) - 1, MOST_PIECES).round().astype(int))
    return [piece for piece in dataset_pieces(dataset, pieces[chosen]) if piece.bars() >= LEAST_BARS]


def _means(found: Floats) -> dict[str, float]:
    return {name: round(float(mean), 4) for name, mean in zip(STATISTICS, found.mean(axis=0), strict=True)}
