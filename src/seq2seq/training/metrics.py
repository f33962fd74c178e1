"""How well frames are predicted: a model's score, and the scores of three baselines on the same frames.

The protocol is that of docs/evaluation.md: every frame of every piece once, from its past alone. Nats are
summed over all 128 pitches: a pitch that the model does not play gets the smoothed share of frames it
sounds in on the training split, so that no frame is impossible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollcore import Dataset
from seq2seq.models.config import ModelConfig
from seq2seq.output.tables import text_table
from seq2seq.training.feed import RollBatches

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Score:
    """The nats of every frame of some pieces, and the sums that precision and recall are made of.

    Attributes
    ----------
    nats : float64 array, shape (frames,)
        Negative log-likelihood of each frame, piece after piece.
    piece : int64 array, shape (frames,)
        Rank of the piece that each frame is of.
    hits, wrong, missed : int
        Pitches sounding and predicted, predicted only, sounding only, over all frames, of each voice by itself.
    voices : dict of str to float64 array, shape (frames,)
        The nats of each voice, which sum to *nats*; empty where all notes share the planes.
    """

    nats: FloatArray
    piece: NDArray[np.int64]
    hits: int
    wrong: int
    missed: int
    voices: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def per_frame(self) -> float:
        """Mean nats of a frame, all frames alike."""
        return float(self.nats.mean())

    @property
    def per_piece(self) -> float:
        """Mean over pieces of the mean nats of their frames."""
        return float(np.mean(np.bincount(self.piece, self.nats) / np.bincount(self.piece)))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, pooled over frames."""
        return 2 * self.hits / max(1, 2 * self.hits + self.wrong + self.missed)

    def without_first(self) -> Score | None:
        """Return the score without the first frame of each piece; None if nothing is left.

        The counts stay those of all frames.
        """
        later = np.append(False, self.piece[1:] == self.piece[:-1])
        if not later.any():
            return None
        _, piece = np.unique(self.piece[later], return_inverse=True)
        return Score(self.nats[later], piece, self.hits, self.wrong, self.missed)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON holds them."""
        rest = self.without_first()
        return {
            "frames": len(self.nats),
            "pieces": int(self.piece[-1]) + 1,
            "nats_per_frame": self.per_frame,
            "nats_per_frame_by_piece": self.per_piece,
            "nats_per_frame_without_first": rest and rest.per_frame,
            "nats_per_frame_by_piece_without_first": rest and rest.per_piece,
            "precision": self.hits / max(1, self.hits + self.wrong),
            "recall": self.hits / max(1, self.hits + self.missed),
            "f1": self.f1,
            **({"voices": {name: float(nats.mean()) for name, nats in self.voices.items()}} if self.voices else {}),
        }


def score_model(
    model: Any,
    batches: RollBatches,
    outside: Outside,
    threshold: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """Return the score of *model* on evaluation *batches*, which count every frame once.

    A pitch is predicted where its logit exceeds *threshold* (0: probability one half): given the frames before,
    and with the autoregressive head the pitches below it, as they are. *progress* is
    called with the batches that are done and all of them.
    """
    return _score(batches, model.config, _predictor(model), outside, threshold, progress)


def fit_threshold(model: Any, batches: RollBatches) -> float:
    """Return the logit above which predicting a pitch has the best F1 on *batches*, to a twentieth."""
    config, predict = model.config, _predictor(model)
    edges = np.linspace(-6, 6, 241)
    true, every = np.zeros(len(edges) + 1, np.int64), np.zeros(len(edges) + 1, np.int64)
    for i in range(len(batches)):
        inputs, targets, weights = batches[i]
        counts = weights > 0
        level = np.searchsorted(edges, predict(inputs)[:, :, ::2][counts])
        sounds = _frames(inputs, targets, config)[0][:, :, ::2][counts] == 1
        every += np.bincount(level.ravel(), minlength=len(every))
        true += np.bincount(level[sounds], minlength=len(true))
    # What lies above edge k are the levels beyond it.
    hits, guessed = true[::-1].cumsum()[::-1][1:], every[::-1].cumsum()[::-1][1:]
    return float(edges[np.argmax(2 * hits / np.maximum(1, guessed + true.sum()))])


def _predictor(model: Any) -> Callable[[dict[str, NDArray[Any]]], FloatArray]:
    return lambda inputs: np.asarray(model.predict_on_batch(inputs), np.float64)


class Outside:
    """The nats of the pitches beyond a model's range, from the share of training frames they sound in.

    With *n* frames of which *k* have the pitch, its probability is (k + 1) / (n + 2), Laplace's rule; likewise
    for onsets among the frames where it sounds.

    Attributes
    ----------
    unigram : float
        Mean nats of a training frame by the shares of all pitches: what counting alone achieves.
    """

    def __init__(self, dataset: Dataset, config: ModelConfig) -> None:
        beyond = np.ones(128, bool)
        beyond[config.low : config.high + 1] = False
        self._beyond = np.flatnonzero(beyond)
        total, counts = 0, np.zeros((len(dataset.planes), 128), np.int64)
        for piece in dataset.split("train"):
            rows = dataset.rows(int(piece))
            total += len(rows)
            for plane in range(len(counts)):
                counts[plane] += _bits(rows[:, plane]).sum(0, dtype=np.int64)
        among = np.full_like(counts, total)
        among[1::2] = counts[:-1:2]
        share = (counts + 1) / (among + 2)
        nats = -(counts * np.log(share) + (among - counts) * np.log1p(-share))
        self.unigram = float(nats.sum() / max(1, total))
        self._logits = _logit(share)[:, self._beyond]

    def __call__(self, bits: NDArray[np.uint8]) -> FloatArray:
        """Return the nats ``(…, voices)`` of frames *bits* ``(…, c, 128)`` beyond the range."""
        return _nats(bits[..., self._beyond], np.broadcast_to(self._logits, bits[..., self._beyond].shape))


def score_orders(model: Any, dataset: Dataset, split: str, hop: int, outside: Outside) -> list[Score]:
    """Return the scores of a model with voices, one for each voice that comes first in every frame.

    The others follow in the order of their planes, then those before it: of score *i*, voice *i* knows nothing of the
    others in its frame, and the voice before it all of them.
    """
    count = model.config.voice_count
    places = ([(voice - first) % count for voice in range(count)] for first in range(count))
    every = [RollBatches(dataset, model.config, split=split, hop=hop, order=order) for order in places]
    return [score_model(model, batches, outside) for batches in every]


def score_baselines(dataset: Dataset, config: ModelConfig, split: str) -> dict[str, Score]:
    """Return the scores of three baselines on a split, their probabilities fitted on the training split.

    ``unigram`` knows how often each pitch sounds; ``markov`` also whether the pitch itself sounded in the last
    known frame; ``repeat`` only that, pitches pooled. The last known frame is the one before; but for the model
    ``blog``, which predicts a window at once, it is the last input frame, and the tables also know how far
    ahead of it a frame is. Laplace's rule smooths all. ``repeat`` predicts the last known frame; the others the
    pitches whose probability exceeds the threshold that has the best F1 on the training split.
    """
    ahead = config.target_frames if config.model == "blog" else 1
    config = replace(config, echo=0, varied=0)
    fit = RollBatches(dataset, config, split="train", batch_size=64)
    shape = (len(config.planes), ahead, 2, config.pitches)
    sounded, frames = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for i in range(len(fit)):
        inputs, targets, weights = fit[i]
        bits, last = _frames(inputs, targets, config)
        for state in (0, 1):
            where = (last == state) & (weights[..., None, None] > 0)
            for plane in range(shape[0]):
                among = where[:, :, plane // 2]
                if plane % 2:
                    among = among & (bits[:, :, plane - 1] == 1)
                _add(frames[plane, :, state], among)
                _add(sounded[plane, :, state], among & (bits[:, :, plane] == 1))
    outside = Outside(dataset, config)
    unigram = _table(sounded.sum((1, 2), keepdims=True), frames.sum((1, 2), keepdims=True), shape)
    tables = {
        "unigram": (unigram, _best_threshold(sounded[::2].sum((1, 2)).ravel(), frames[::2].sum((1, 2)).ravel())),
        "markov": (_table(sounded, frames, shape), _best_threshold(sounded[::2].ravel(), frames[::2].ravel())),
        "repeat": (_table(sounded.sum(3, keepdims=True), frames.sum(3, keepdims=True), shape), None),
    }
    batches = RollBatches(dataset, config, split=split, batch_size=64)
    scores = {}
    for name, (table, threshold) in tables.items():

        def predict(inputs: dict[str, NDArray[Any]], table: FloatArray = table) -> FloatArray:
            targets = inputs["rows"][:, config.input_frames :]
            _, last = _frames(inputs, targets, config)
            last = np.repeat(last, len(table) // last.shape[2], axis=2)
            step = np.arange(last.shape[1]) if ahead > 1 else np.zeros(last.shape[1], int)
            chosen = np.where(last == 1, table[:, step, 1].swapaxes(0, 1), table[:, step, 0].swapaxes(0, 1))
            return np.asarray(chosen, np.float64)

        scores[name] = _score(batches, config, predict, outside, threshold)
    return scores


def score_table(scores: dict[str, dict[str, Any]]) -> str:
    """Return the figures of :meth:`Score.to_dict`, by name, as the lines of a table."""
    columns = {
        "nats/frame": "nats_per_frame",
        "by piece": "nats_per_frame_by_piece",
        "w/o first": "nats_per_frame_without_first",
        "piece w/o": "nats_per_frame_by_piece_without_first",
        "precision": "precision",
        "recall": "recall",
        "F1": "f1",
    }
    rows = [["", *columns]]
    for name, row in scores.items():
        cells = (row[key] for key in columns.values())
        rows.append([name, *("-" if cell is None else f"{cell:.3f}" for cell in cells)])
    return text_table(rows, "l" + "r" * len(columns))


def voice_table(voices: Mapping[str, float], given: Mapping[str, float]) -> str:
    """Return the nats of each voice, in the sum of all and given the others, as the lines of a table."""
    rows = [["", "nats/frame", "given the others"]]
    rows += [[name, f"{nats:.3f}", f"{given[name]:.3f}" if name in given else "-"] for name, nats in voices.items()]
    return text_table(rows, "lrr")


def _score(
    batches: RollBatches,
    config: ModelConfig,
    predict: Callable[[dict[str, NDArray[Any]]], FloatArray],
    outside: Outside,
    threshold: float | None = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """Score logits; *threshold* is that of a logit, and None stands for predicting the last known frame."""
    nats = np.full((int(batches.frames.sum()), config.voice_count), np.nan)
    piece = np.repeat(np.arange(len(batches.frames)), batches.frames)
    begins = np.cumsum(batches.frames) - batches.frames
    hits = wrong = missed = 0
    for i in range(len(batches)):
        inputs, targets, weights = batches[i]
        logits = predict(inputs)
        every = _bits(targets)
        bits = every[..., config.low : config.high + 1]
        counts = weights > 0
        part = batches.counted(i)
        place = (begins[part.piece] + part.frame)[:, None] + np.arange(config.target_frames)
        nats[place[counts]] = (_nats(bits, logits) + outside(every))[counts]
        guess = logits[:, :, ::2] > threshold if threshold is not None else _frames(inputs, targets, config)[1] == 1
        # What sounds beyond the range is missed.
        found, true = guess[counts], every[:, :, ::2][counts] == 1
        inside = true[..., config.low : config.high + 1]
        hits += int((found & inside).sum())
        wrong += int((found & ~inside).sum())
        missed += int(true.sum() - (found & inside).sum())
        if progress is not None:
            progress(i + 1, len(batches))
    return Score(nats.sum(axis=1), piece, hits, wrong, missed, dict(zip(config.voices, nats.T, strict=False)))


def _frames(
    inputs: dict[str, NDArray[Any]], targets: NDArray[np.uint8], config: ModelConfig
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the bits of the targets ``(n, s, c, p)``, and of the last known frame, sounding, ``(n, s, voices, p)``."""
    within = slice(config.low, config.high + 1)
    first = config.input_frames - 1
    if config.model == "blog":
        last = np.repeat(inputs["rows"][:, first : first + 1, ::2], config.target_frames, axis=1)
    else:
        last = inputs["rows"][:, first:-1, ::2]
    return _bits(targets)[..., within], _bits(last)[..., within]


def _bits(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.unpackbits(rows, axis=-1, bitorder="little")


def _nats(bits: NDArray[np.uint8], logits: FloatArray) -> FloatArray:
    """Return the nats ``(…, voices)`` of *bits* under *logits* ``(…, c, p)``; onsets count where a pitch sounds."""
    nats = np.logaddexp(0, logits) - logits * bits
    total: FloatArray = nats[..., ::2, :].sum(-1)
    if bits.shape[-2] > 1:
        total = total + (nats[..., 1::2, :] * bits[..., ::2, :]).sum(-1)
    return total


def _logit(probability: FloatArray) -> FloatArray:
    return np.log(probability) - np.log1p(-probability)


def _table(sounded: NDArray[np.int64], frames: NDArray[np.int64], shape: tuple[int, ...]) -> FloatArray:
    """Return the logits of Laplace's rule, pooled tables spread to *shape* (planes, ahead, state, pitches)."""
    return np.broadcast_to(_logit((sounded + 1) / (frames + 2)), shape)


def _add(counts: NDArray[np.int64], found: NDArray[np.bool_]) -> None:
    """Add found ``(n, s, p)`` to counts ``(ahead, p)``; all s are one if counts tell no steps apart."""
    by_step = found.sum(0)
    counts += by_step if len(counts) > 1 or len(by_step) == 1 else by_step.sum(0, keepdims=True)


def _best_threshold(sounded: NDArray[np.int64], frames: NDArray[np.int64]) -> float:
    """Return the logit for the best F1 of a table, of whose *frames* each entry *sounded* so many."""
    share = (sounded + 1) / (frames + 2)
    order = np.argsort(-share)
    hits = np.cumsum(sounded[order])
    f1 = 2 * hits / np.maximum(1, np.cumsum(frames[order]) + sounded.sum())
    best = int(np.argmax(f1))
    return float(np.nextafter(_logit(share[order][best]), -np.inf))
