"""Batches of packed windows for Keras: which windows an epoch reads, and how they leave the host.

A window is *input* frames followed by *target* frames. A target may begin at any frame of a piece, the first
one too: what its input lacks is padded with zeros and marked as not valid. So every frame of every
piece can be predicted, and from its past alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

import rollcore
from rollcore import DatasetError
from seq2seq.models.config import ModelConfig, TrainConfig, at_least
from seq2seq.models.echo import find_echoes, find_varied

#: Windows in a batch that is scored.
SCORED_AT_ONCE = 16
# The share of training windows that know how many frames remain of their piece.
_TOLD = 0.5

Batch = tuple[dict[str, NDArray[Any]], NDArray[np.uint8], NDArray[np.float32]]


class Cover(NamedTuple):
    """Windows over pieces, as parallel int64 arrays of shape (windows,).

    Attributes
    ----------
    piece, frame
        The piece (its rank among those covered) and the frame of it at which the target begins.
    first, last
        The target frames ``first <= t < last`` count; the others of the window are context.
    """

    piece: NDArray[np.int64]
    frame: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def cover(frames: NDArray[Any], target: int, hop: int, phase: NDArray[np.int64] | None = None) -> Cover:
    """Return the windows that predict the pieces, *hop* frames apart.

    With ``hop <= target``, each frame is counted once without *phase*: of the first window all frames count, of
    the later ones the last *hop*, which so have the longest past. This is the cover for evaluation.

    Parameters
    ----------
    frames : ndarray, shape (pieces,)
        Length of each piece.
    target, hop : int
        Length of a target, and frames from one to the next.
    phase : ndarray of int64, shape (pieces,), optional
        1 to *hop* for each piece: the targets begin at frames 0, phase, phase + hop, …, and all frames
        of a target count; but for ``hop >= target`` those of the first end where the second begins. With
        ``hop == target`` each frame counts once, with a smaller hop ``target / hop`` times away from the start.
    """
    frames = np.asarray(frames, np.int64)
    if phase is None:
        # The first window reaches to frame `target`; each later one adds `hop` frames.
        count = np.where(frames > 0, 1 + np.maximum(-((target - frames) // hop), 0), 0)
        piece, k = _ranks(count)
        first = np.where((k > 0) & (hop < target), target - hop, 0)
        return Cover(piece, k * hop, first, np.full_like(k, target))
    count = np.where(frames > 0, 1 + np.maximum(-((phase - frames) // hop), 0), 0)
    piece, k = _ranks(count)
    start = np.where(k > 0, phase[piece] + (k - 1) * hop, 0)
    last = np.where((k == 0) & (hop >= target), np.minimum(phase[piece], target), target)
    return Cover(piece, start, np.zeros_like(k), last)


def _ranks(count: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for ``count[i]`` entries of each i: i, and the entry's rank among those of i."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)


class RollBatches(keras.utils.PyDataset):
    """Batches ``(inputs, targets, weights)`` of a split, packed as the models take them.

    Inputs are ``rows``, ``(n, frames, planes, 16) uint8``, input frames and then target frames; ``valid``, ``(n,
    frames) uint8``, 0 where a frame is padding; ``start``, ``(n,) int32``, the frame of the piece at which the window
    begins, counted from its first bar line; ``shift``, ``(n,) int32``, by how many semitones it is transposed; for a
    model with a countdown, ``left``, ``(n,) int32``, the frames from the window's first to the end of the piece, or 0
    where the model is not to know, as in evaluation and in half of the windows of a training; for a model with an
    echo, ``echo``, ``(n, frames, k * planes, 16) uint8``, and ``match``, ``(n, frames, k * voices) uint8``, of the echo
    and then of the varied ones, k in all, see :mod:`seq2seq.models.echo`; and for one with several voices, ``order``,
    ``(n, voices) int32``, the place of each in the order in which a frame is predicted, drawn anew for every window of
    a training. Targets are ``(n, target frames, planes, 16) uint8``, weights ``(n, target frames) float32``: 1 for the
    frames that count. The dataset is held by path, not by handle, so batches can be built in other processes.

    Parameters
    ----------
    dataset : rollcore.Dataset
        The pieces.
    model : ModelConfig
        The lengths of the window.
    train : TrainConfig, optional
        How to draw an epoch: shuffled, at random phases, transposed. Without it the batches are those of
        evaluation: every frame counted once, in order, in the key it is in.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    batch_size : int, optional
        Windows per batch; that of *train* by default.
    hop : int, optional
        Frames between windows in evaluation, up to the target's length, which 0 stands for. A training has that of
        *train*.
    order : sequence of int, optional
        The place of each voice in the order of evaluation; that of the planes by default.
    share : (int, int)
        Which part of each batch is read: part 0 of 1 is all of it. A training of several processes has one each.

    Raises
    ------
    DatasetError
        If the split has no frame to predict, the dataset has other planes than the model, or an option is out of range.
    """

    def __init__(
        self,
        dataset: rollcore.Dataset,
        model: ModelConfig,
        train: TrainConfig | None = None,
        *,
        split: str = "train",
        batch_size: int | None = None,
        hop: int = 0,
        order: Sequence[int] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__()
        self.model, self.train, self._share = model, train, share
        if batch_size is None:
            batch_size = train.batch_size if train else SCORED_AT_ONCE
        at_least(1, "batch_size", batch_size)
        if not 0 <= hop <= model.target_frames:
            raise DatasetError(f"hop must be within 0..{model.target_frames}, the target's length, not {hop}")
        if tuple(dataset.planes) != model.planes:
            raise DatasetError(
                f"{dataset.path}: has planes {', '.join(dataset.planes)}, the model {', '.join(model.planes)}"
            )
        self.batch_size = batch_size
        self._places = np.arange(model.voice_count) if order is None else np.array(order)
        length = model.input_frames + model.target_frames
        # One window for every frame that a target may begin at: frame t of piece i is number first[i] + t.
        self.windows = rollcore.windows(dataset, length, hop=1, split=split, lead=model.input_frames, partial=True)
        self.pieces: NDArray[np.int64] = np.asarray(dataset.split(split), np.int64)
        self.frames: NDArray[np.int64] = dataset.pieces["frames"][self.pieces].astype(np.int64)
        self._upbeats: NDArray[np.int64] = dataset.pieces["upbeat"][self.pieces].astype(np.int64)
        if not self.frames.sum():
            raise DatasetError(
                f"{dataset.path}: the {split} split is empty: build the dataset of more pieces or another --split"
            )
        self._number = np.cumsum(self.frames) - self.frames
        self._echoes = _Echoes(self.windows, self._number, self.frames, model) if model.echo else None
        self._hop = (train.hop if train else hop) or model.target_frames
        if train is None:
            self._cover = cover(self.frames, model.target_frames, self._hop)
            self._length = -(-len(self._cover.piece) // self.batch_size)
        else:
            if train.random_phase:
                # Phases change how many windows there are: an epoch is always about as long as their mean.
                windows = int(np.sum(0.5 + np.ceil(self.frames / self._hop)))
            else:
                windows = len(cover(self.frames, model.target_frames, self._hop).piece)
            self._length = max(1, windows // self.batch_size)
            self.draw(0)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._length

    def draw(self, epoch: int) -> None:
        """Draw the windows and shifts of training epoch *epoch*: the same for the same seed."""
        train = self.train
        if train is None:
            return
        self.windows.dataset.check_whole()  # once an epoch: to read beyond the end of the map ends the process
        self.epoch = epoch
        rng = np.random.default_rng((train.seed, epoch))
        phase = None
        if train.random_phase:
            phase = rng.integers(1, self._hop, size=len(self.frames), endpoint=True)
        drawn = cover(self.frames, self.model.target_frames, self._hop, phase)
        order = np.resize(rng.permutation(len(drawn.piece)), self._length * self.batch_size)
        self._cover = Cover(*(column[order] for column in drawn))
        shift = rng.integers(1, 2 * train.transpose, size=len(order), endpoint=True) if train.transpose else 0
        # 1..t are t shifts up, the rest as many down; none of them is 0, whose share is keep_key.
        shift = np.where(shift > train.transpose, train.transpose - shift, shift)
        self._shift = np.where(rng.random(len(order)) < train.keep_key, 0, shift).astype(np.int8)
        self._told = rng.random(len(order)) < _TOLD
        if self.model.voice_count > 1:
            self._order = rng.random((len(order), self.model.voice_count)).argsort(axis=1).astype(np.int32)

    def on_epoch_end(self) -> None:
        """Draw the next epoch."""
        if self.train is not None:
            self.draw(self.epoch + 1)

    def counted(self, index: int) -> Cover:
        """Return the windows of batch *index*; a negative one counts from the end."""
        return Cover(*(column[self._part(index)] for column in self._cover))

    def _part(self, index: int) -> slice:
        """Return which windows of the epoch batch *index* has."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} is out of range: there are {len(self)}")
        first, (part, parts) = index % len(self) * self.batch_size, self._share
        return slice(first + self.batch_size * part // parts, first + self.batch_size * (part + 1) // parts)

    def __getitem__(self, index: int) -> Batch:
        """Return batch *index* of the epoch; a negative index counts from the end."""
        part = self.counted(index)
        input_frames = self.model.input_frames
        numbers = self._number[part.piece] + part.frame
        shift, told = np.zeros(len(numbers), np.int8), np.zeros(len(numbers), bool)
        order = np.tile(self._places.astype(np.int32), (len(numbers), 1))
        if self.train is not None:
            drawn = self._part(index)
            shift, told = self._shift[drawn], self._told[drawn]
            order = order if self.model.voice_count == 1 else self._order[drawn]
        rows = self.windows.gather(numbers, semitones=shift if shift.any() else None)
        valid = self.windows.valid(numbers)
        time = np.arange(self.model.target_frames)
        counts = (time >= part.first[:, None]) & (time < part.last[:, None]) & valid[:, input_frames:]
        inputs: dict[str, NDArray[Any]] = {
            "rows": rows,
            "valid": valid.astype(np.uint8),
            "start": (part.frame - input_frames - self._upbeats[part.piece]).astype(np.int32),
            "shift": shift.astype(np.int32),
        }
        if self.model.closing:
            left = self.frames[part.piece] - part.frame + input_frames
            inputs["left"] = np.where(told, left, 0).astype(np.int32)
        if self.model.voice_count > 1:
            inputs["order"] = order
        if self._echoes is not None:
            inputs.update(self._echoes.gather(part.piece, part.frame - input_frames, rows.shape[1], shift))
        return inputs, rows[:, input_frames:], counts.astype(np.float32)


class _Echoes:
    """The echoes of the pieces of a split, found when a piece is first read.

    They take 3 bytes a frame for each voice, where lags are short, and 4 for each varied one.

    Parameters
    ----------
    windows : rollcore.Windows
        A window for every frame that is to be read, as `RollBatches` has them.
    first, frames : ndarray of int64, shape (pieces,)
        The number of each piece's first window, and its length.
    model : ModelConfig
        The longest lag, and the voices.
    """

    def __init__(
        self, windows: rollcore.Windows, first: NDArray[np.int64], frames: NDArray[np.int64], model: ModelConfig
    ) -> None:
        self._single = rollcore.windows(windows.dataset, 1, split=windows.split)  # a window a frame, same numbers
        self._pieces, self._first, self._frames = windows.pieces, first, frames
        self._reach, self._varied, self._voices = model.echo, model.varied, model.voice_count
        # By frame, by echo, the varied ones last, and by voice.
        shape = int(frames.sum()), model.echoes, self._voices
        self._lags, self._match = np.zeros(shape, np.min_scalar_type(self._reach)), np.zeros(shape, np.uint8)
        self._shifts = np.zeros((shape[0], self._varied, self._voices), np.int8)
        self._known = np.zeros(len(frames), bool)

    def gather(
        self, piece: NDArray[np.int64], start: NDArray[np.int64], length: int, shift: NDArray[np.int8]
    ) -> dict[str, NDArray[np.uint8]]:
        """Return ``echo`` and ``match`` of windows from frame *start* on of pieces (by rank), transposed by *shift*."""
        for one in np.unique(piece[~self._known[piece]]):
            part = slice(self._first[one], self._first[one] + self._frames[one])
            rows = self._single.dataset.rows(int(self._pieces[one]))
            self._lags[part, 0], self._match[part, 0] = find_echoes(rows, self._reach, self._voices)
            if self._varied:
                varied = find_varied(rows, self._reach, self._varied, self._voices)
                self._lags[part, 1:], self._shifts[part], self._match[part, 1:] = varied
            self._known[one] = True
        frame = start[:, None] + np.arange(length)
        within = (frame >= 0) & (frame < self._frames[piece, None])
        number = np.where(within, self._first[piece, None] + frame, 0)
        match = np.where(within[..., None, None], self._match[number], np.uint8(0))
        echoes = []
        for kind, voice in itertools.product(range(1 + self._varied), range(self._voices)):
            source = np.where(within, number - self._lags[number, kind, voice], 0)
            moved = np.broadcast_to(shift[:, None], source.shape)
            if kind:
                moved = moved + self._shifts[number, kind - 1, voice]
            rows = self._single.gather(source.ravel(), semitones=moved.ravel() if moved.any() else None)[:, 0]
            echoes.append(np.split(rows.reshape(*source.shape, *rows.shape[1:]), self._voices, axis=2)[voice])
            echoes[-1][match[..., kind, voice] == 0] = 0
        return {"echo": np.concatenate(echoes, axis=2), "match": match.reshape(*match.shape[:2], -1)}
