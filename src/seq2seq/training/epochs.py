"""What happens as epochs pass: progress on the screen, the validation loss, the files of the run."""

from __future__ import annotations

import math
import time
from typing import Any

import keras
import numpy as np

from seq2seq.errors import RunError
from seq2seq.models.weights import write_weights
from seq2seq.run import COLUMNS, TRAIN, VALIDATION, History, Run
from seq2seq.training.feed import Batch, RollBatches
from seq2seq.training.metrics import Outside, score_model

SHOW_EVERY_S = 10.0


class Feed(keras.utils.PyDataset):
    """Batches of a training, and how long updates may have waited for them.

    Parameters
    ----------
    batches : RollBatches
        What is read.
    at_once : int
        Updates that are one call of the backend, which takes as many batches.

    Attributes
    ----------
    waited_s : float
        Time in which a batch was made that the current call needs. Where the backend reads ahead, part of it may have
        passed beside an update, so it is an upper bound.
    taken : int
        Batches of the epoch that are done with.
    """

    def __init__(self, batches: RollBatches, at_once: int) -> None:
        super().__init__()
        self.batches, self.at_once = batches, at_once
        self.waited_s, self.taken = 0.0, 0

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        """Return batch *index* of the epoch."""
        began = time.monotonic()
        batch = self.batches[index]
        if index < self.taken + self.at_once:
            self.waited_s += time.monotonic() - began
        return batch

    def on_epoch_end(self) -> None:
        """Draw the next epoch."""
        self.batches.on_epoch_end()


class Epochs(keras.callbacks.Callback):
    """Score each epoch's weights on the validation split, and keep the best and the last.

    Parameters
    ----------
    run : Run
        Where the states are kept.
    feed : Feed
        What the updates read.
    validation : RollBatches
        Evaluation batches of the validation split.
    outside : Outside
        What the pitches beyond the model's range cost.
    history : list
        The epochs so far; grows by one dict of the `COLUMNS` an epoch.
    max_minutes : float or None
        Begin no epoch that would likely end later.
    facts : dict
        What generation needs of the training data; it goes with the weights.
    """

    def __init__(
        self,
        run: Run,
        feed: Feed,
        validation: RollBatches,
        outside: Outside,
        history: History,
        max_minutes: float | None,
        facts: dict[str, Any],
    ) -> None:
        super().__init__()
        self.facts = facts
        self.run, self.feed = run, feed
        self.validation, self.outside, self.history = validation, outside, history
        self.limit_s = float("inf") if max_minutes is None else 60 * max_minutes
        self.began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        _part_buffers(self.model)
        self.epoch = epoch
        self.epoch_began = self.shown = time.monotonic()
        self.feed.waited_s, self.feed.taken = 0.0, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Say every ten seconds how far the epoch is."""
        now = self.updated = time.monotonic()
        self.feed.taken = batch + 1
        if now - self.shown < SHOW_EVERY_S:
            return
        self.shown = now
        share = min(1, (batch + 1) / self.params["steps"])  # batches are counted several at a time
        print(
            f"epoch {self.epoch + 1}/{self.params['epochs']}: {share:.0%}, {logs['loss']:.3f} nats a frame, "
            f"{(now - self.epoch_began) * (1 / share - 1):.0f} s to its end",
            flush=True,
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score and save the weights, which are the averaged ones by now."""
        _part_buffers(self.model)
        score = score_model(self.model, self.validation, self.outside)
        loss = score.per_frame
        if not math.isfinite(loss + logs["loss"]):
            raise RunError(f"{self.run.path}: the loss of epoch {epoch + 1} is no number: lower the learning rate")
        best = min((row[VALIDATION] for row in self.history), default=float("inf"))
        seconds = time.monotonic() - self.epoch_began
        training_s = max(1e-9, self.updated - self.epoch_began)
        windows = len(self.feed) * self.feed.batches.batch_size
        rate = float(self.model.optimizer.learning_rate)
        values = (epoch + 1, float(logs["loss"]), loss, seconds, rate, score.f1, windows / training_s)
        row = dict(zip(COLUMNS, (*values, min(1.0, self.feed.waited_s / training_s)), strict=True))
        self.run.keep(
            self.model.save,
            [*self.history, row],
            weights=(lambda path: write_weights(self.model, path, self.facts)) if loss < best else None,
            first=not self.history,
        )
        self.history.append(row)
        print(
            f"epoch {epoch + 1}/{self.params['epochs']}: train {row[TRAIN]:.3f}, validation {loss:.3f} "
            f"nats a frame{', the best so far' if loss < best else ''}, {seconds:.0f} s",
            flush=True,
        )
        if time.monotonic() - self.began + seconds > self.limit_s and epoch + 1 < self.params["epochs"]:
            self.model.stop_training = True
            print("the time is up before the next epoch would be: --resume goes on from here", flush=True)


def _part_buffers(model: keras.Model) -> None:
    """Give the averages memory of their own.

    Where Keras swaps them with the weights on JAX, both come to share it, and the next step gives that of the weights
    away.
    """
    if keras.config.backend() == "jax":
        for variable in model.optimizer.variables:
            variable.assign(np.array(variable))
