"""What happens as updates and epochs pass: progress on the screen, the validation loss, the states of the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from seq2seq.errors import RunError
from seq2seq.models.weights import write_weights
from seq2seq.run import COLUMNS, TRAIN, VALIDATION, History, Run, out_of_patience, trunk
from seq2seq.steps import Steps
from seq2seq.training.devices import Devices
from seq2seq.training.feed import Batch, RollBatches
from seq2seq.training.metrics import Outside, score_model
from seq2seq.training.progress import Display, Interruption, duration

# A state is kept at least so often: an epoch of a large corpus takes hours.
KEEP_EVERY_S = 600.0
# A window that is only scored costs about a third of one that is learnt from.
SCORING_COST = 1 / 3
# The pace of the updates is told once it was measured for so long, the first call, which compiles, aside.
MEASURED_S, MEASURED_CALLS = 2.0, 4
# A training loss of so many times the lowest before it, or the unigram baseline, has diverged.
DIVERGED = 1.5
# What may be due after an update. Of several processes, each says what it thinks, and the highest counts for all.
_NOTHING, _KEEP, _TIME_IS_UP, _STOP = range(4)


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
    skip : int
        Batches at the beginning of the epoch that a resumed training has learnt from.
    waited_s : float
        Time in which a batch was made that the current call needs. Where the backend reads ahead, part of it may have
        passed beside an update, so it is an upper bound.
    taken : int
        Batches of this epoch that are done with, those that were skipped aside.
    """

    def __init__(self, batches: RollBatches, at_once: int) -> None:
        super().__init__()
        self.batches, self.at_once = batches, at_once
        self.skip = self.taken = 0
        self.waited_s = 0.0

    def __len__(self) -> int:
        """Return the number of batches that are left of the epoch."""
        return len(self.batches) - self.skip

    def __getitem__(self, index: int) -> Batch:
        """Return a batch of the epoch."""
        began = time.monotonic()
        batch = self.batches[index + self.skip]
        if index < self.taken + self.at_once:
            self.waited_s += time.monotonic() - began
        return batch

    def on_epoch_end(self) -> None:
        """Draw the next epoch."""
        self.batches.on_epoch_end()


class _Interrupted(Exception):
    """The scoring was left because of an interruption."""


class Epochs(keras.callbacks.Callback):
    """Score each epoch's averaged weights on the validation split, and keep the best and the last.

    The weights that are scored and kept are the moving averages; while updates run, the optimizer holds them. Whatever
    is on the disk was written with the averages in the model.

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
        The epochs so far; grows by one dict of the `COLUMNS` an epoch, and by one where the time was up within one.
    display : Display
        Where the progress is shown.
    interruption : Interruption
        Tells when to end.
    max_minutes : float or None
        When to end, within an epoch too; the state is scored by then.

    Attributes
    ----------
    carried : dict
        ``batches``, ``loss`` (their mean) and ``seconds`` of the epoch that a resumed training goes on with.
    facts : dict
        What generation needs of the training data; it goes with the weights.
    averaged : bool
        Whether the averages are in the model.
    begun : bool
        Whether a state of this run is on the disk.
    steps : Steps
        The losses of updates.
    level : int
        Updates after which the learning rate comes down.
    on_best : callable or None
        Called with the number of an epoch that is the best so far, once it is kept.
    devices : Devices
        Who takes part; of several processes, all come to the same decisions.
    stopped : bool
        Whether the training was ended before its last epoch, by someone or by the time.
    settled : bool
        Whether it ended since it had become no better for long enough.
    """

    def __init__(
        self,
        run: Run,
        feed: Feed,
        validation: RollBatches,
        outside: Outside,
        history: History,
        display: Display,
        interruption: Interruption,
        max_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.run, self.feed = run, feed
        self.validation, self.outside, self.history = validation, outside, history
        self.display, self.interruption = display, interruption
        self.limit_s = float("inf") if max_minutes is None else 60 * max_minutes
        self.carried: dict[str, float] = {}
        self.facts: dict[str, Any] = {}
        self.averaged = self.begun = self.stopped = self.settled = False
        self.on_best: Callable[[int], None] | None = None
        self.level = 0
        self.steps = Steps()
        self.devices = Devices()
        self.began = self.kept = time.monotonic()
        self.pace_s: float | None = None  # of a batch
        self.scoring_s: float | None = None
        self._first: tuple[float, int] | None = None  # when the first call of the epoch was done, and its batches
        self._calls = 0

    @property
    def total(self) -> int:
        """Batches of a whole epoch."""
        return len(self.feed.batches)

    @property
    def last(self) -> int:
        """Epochs that the run is to have."""
        return self.run.settings.epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Put the weights in the place of their averages, and note the time."""
        if self.averaged:
            self._swap_averages()
        self._enter(epoch)
        self.batches, self.loss = int(self.before["batches"]), self.before["loss"]
        self.steps.begin(self.batches, self.loss)
        self.feed.waited_s, self.feed.taken = 0.0, 0
        self._first, self._warned = None, False

    def _enter(self, epoch: int) -> None:
        self.epoch = epoch
        self.epoch_began = self.updated = time.monotonic()
        self.before, self.carried = {"batches": 0, "loss": 0.0, "seconds": 0.0, **self.carried}, {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show how far the epoch is; keep the state now and then; end where that was asked for."""
        self.updated = now = time.monotonic()
        self.feed.taken = done = min(batch + 1, len(self.feed))  # batches are counted several at a time
        self.batches = int(self.before["batches"]) + done
        self.loss = (self.before["batches"] * self.before["loss"] + done * float(logs["loss"])) / self.batches
        self.steps.note(self.epoch * self.total + self.batches, self.batches, self.loss)
        self._measure(now, done)
        if self.history and done >= 16 and not self._warned:
            self._warn()
        self.display.status(self._state(now))
        if self.batches == self.total:
            return  # the end of the epoch looks to the rest
        if self._comes_down():
            self._keep_within()
            self._swap_averages()
        due = self._due()
        if due == _STOP:
            self._keep_within()
            self._stop()
        elif due == _TIME_IS_UP:
            self._score_within()
        elif due == _KEEP:
            self._keep_within()
            self._swap_averages()

    def _due(self) -> int:
        """Return what is due, the same in all processes."""
        now = time.monotonic()
        if self.interruption.received:
            due = _STOP
        elif now - self.began + self._scoring_estimate() >= self.limit_s:
            due = _TIME_IS_UP
        else:
            due = _KEEP if now - self.kept >= KEEP_EVERY_S else _NOTHING
        due = self.devices.most(due)
        if due == _STOP:
            self.interruption.received = True  # for those that it did not reach
        return due

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score and keep the averaged weights."""
        if self.stopped:
            return
        if not self.averaged:
            self._swap_averages()
        try:
            row = self._score(epoch + 1)
        except _Interrupted:
            self._keep_within()
            self._stop()
            return
        if logs is not None:
            logs["val_loss"] = row[VALIDATION]  # for the callbacks that follow
        self._keep(row, {})
        left = self.last - epoch - 1
        if not left:
            return
        patience = self.run.settings.patience
        if self.devices.most(out_of_patience(self.history, patience)):
            self.display.say(f"no better in {patience} epoch{'s' if patience > 1 else ''}: the training ends here")
            self.settled = self.model.stop_training = True
            return
        if self.pace_s is None:
            self._tell_length(row["seconds"] * left)
        due = self._due()
        if due == _TIME_IS_UP:
            self.display.say("the time is up: --resume continues from here")
        if due >= _TIME_IS_UP:
            self._stop()

    def _comes_down(self) -> bool:
        """Whether the next call of the backend takes the learning rate down for the first time."""
        done = self.epoch * self.total + self.batches
        return done <= self.level < done + self.feed.at_once

    def complete(self, epoch: int) -> None:
        """Score and keep an epoch whose updates are all done, as a resumed training may find it."""
        self._enter(epoch)
        self.batches, self.loss = self.total, self.before["loss"]
        self.on_epoch_end(epoch)

    def _swap_averages(self) -> None:
        """Exchange the weights with their moving averages, by way of copies: no two of them share memory then."""
        averages = self.model.optimizer._model_variables_moving_average
        for weight, average in zip(self.model.trainable_variables, averages, strict=True):
            kept, swapped = np.array(weight), np.array(average)
            weight.assign(swapped)
            average.assign(kept)
        self.averaged = not self.averaged

    def _score(self, epoch: float) -> dict[str, float]:
        """Return the row of metrics.csv for the weights as they are."""

        def show(done: int, of: int) -> None:
            self.display.status(f"epoch {self.epoch + 1}/{self.last}: validation {done / of:.0%}")
            if self.devices.most(self.interruption.received):
                self.interruption.received = True
                raise _Interrupted

        began = time.monotonic()
        score = score_model(self.model, self.validation, self.outside, progress=show)
        now = time.monotonic()
        self.scoring_s = now - began
        loss = score.per_frame
        if not math.isfinite(loss + self.loss):
            raise RunError(
                f"{self.run.path}: the loss of epoch {self.epoch + 1} is not a number: lower the learning rate"
            )
        training_s = max(1e-9, self.updated - self.epoch_began)
        values = (
            epoch,
            self.loss,
            loss,
            self.before["seconds"] + now - self.epoch_began,
            float(self.model.optimizer.learning_rate),
            score.f1,
            self.feed.taken * self.feed.batches.batch_size / training_s,
            min(1.0, self.feed.waited_s / training_s),
        )
        return dict(zip(COLUMNS, values, strict=True))

    def _keep(self, row: dict[str, float], progress: dict[str, float]) -> None:
        """Keep a state that was scored, and say how it does."""
        best = row[VALIDATION] < min((one[VALIDATION] for one in self.history), default=float("inf"))
        self._write([*self.history, row], best, progress)
        said = self._judge(row, best)
        self.history.append(row)
        self.display.say(
            f"epoch {row['epoch']:g}/{self.last}: train {row[TRAIN]:.3f}, validation {row[VALIDATION]:.3f} "
            f"nats a frame{said}, {duration(row['seconds'])}"
        )
        if best and self.on_best is not None:
            self.on_best(self.epoch + 1)

    def _judge(self, row: dict[str, float], best: bool) -> str:
        """Say what the losses of an epoch mean, beside those before it."""
        unigram, lowest = self.outside.unigram, self._lowest()
        if row[TRAIN] > DIVERGED * lowest:
            return f", DIVERGED (train was {lowest:.3f} before): lower the learning rate"
        if row[VALIDATION] > unigram:
            return f", worse than counting pitches ({unigram:.3f})"
        return ", the best so far" if best else ""

    def _lowest(self) -> float:
        """Return the lowest training loss of the epochs before this one."""
        before = (row[TRAIN] for row in trunk(self.history) if row["epoch"] <= self.epoch)
        return min(before, default=float("inf"))

    def _keep_within(self) -> None:
        """Keep the state of an epoch that is not complete; it is the model of the run where there is none yet."""
        if not self.averaged:
            self._swap_averages()
        self._write(self.history, not self.history, self._progress(time.monotonic() - self.epoch_began))

    def _score_within(self) -> None:
        """Score and keep the state of an epoch that is not complete, since the time is up."""
        self._swap_averages()
        share = min(0.999, max(0.001, round(self.batches / self.total, 3)))
        try:
            row = self._score(self.epoch + share)
        except _Interrupted:
            self._keep_within()
        else:
            self._keep(row, self._progress(-self.before["seconds"]))
            self.display.say("the time is up: --resume continues from here")
        self._stop()

    def _progress(self, seconds: float) -> dict[str, float]:
        """Return what a resumed training must know of the epoch, *seconds* of which passed since the latest row."""
        updates = int(self.model.optimizer.iterations)
        seconds += self.before["seconds"]
        return {"updates": updates, "batches": self.batches, "loss": self.loss, "seconds": seconds}

    def _write(self, history: History, best: bool, progress: dict[str, float]) -> None:
        facts = {
            **self.facts,
            "updates": int(self.model.optimizer.iterations),
            "validation_nats_per_frame": history[-1][VALIDATION] if history else None,
            "unigram_nats_per_frame": self.outside.unigram,
        }
        if progress:
            progress = {**progress, "rows": len(history)}
        model = self.model
        self.run.keep(
            model.save,
            history,
            weights=(lambda path: write_weights(model, path, facts)) if best else None,
            progress=progress,
            first=not self.begun,
            level=self._comes_down(),
        )
        self.steps.write(self.run.updates)
        self.begun, self.kept = True, time.monotonic()

    def _stop(self) -> None:
        self.stopped = self.model.stop_training = True

    def _measure(self, now: float, done: int) -> None:
        """Measure the pace, and tell how long all of it will take as soon as it is known."""
        self._calls += 1
        if self._first is None:  # it compiled, or waited for the first batch
            self._first = (now, done)
            return
        elapsed, known = now - self._first[0], self.pace_s is not None
        if known or elapsed >= MEASURED_S or self._calls > MEASURED_CALLS:
            self.pace_s = elapsed / (done - self._first[1])
            if not known:
                left = self.last - self.epoch
                updates = left * self.total - self.batches
                self._tell_length(updates * self.pace_s + left * self._scoring_estimate())

    def _tell_length(self, seconds: float) -> None:
        pace = "" if self.pace_s is None else f", {self.pace_s:.3g} s an update"
        if seconds > self.limit_s:
            less = f"; it will end after {duration(self.limit_s)}"
        else:
            less = "; for less: --max-minutes, --preset quick, fewer --epochs" if seconds > 600 else ""
        self.display.say(f"all of it takes about {duration(seconds)}{pace}{less}")

    def _scoring_estimate(self) -> float:
        """Return how long it takes to score the validation split, as far as that is known."""
        if self.scoring_s is not None:
            return self.scoring_s
        if self.pace_s is None:
            return 0.0
        windows = len(self.validation) * self.validation.batch_size
        return windows * SCORING_COST * self.pace_s / self.feed.batches.batch_size

    def _state(self, now: float) -> str:
        """Return how far the training is, as one line."""
        text = f"epoch {self.epoch + 1}/{self.last}: {self.batches / self.total:.0%}, {self.loss:.3f} nats a frame"
        if self.pace_s is None:
            return text
        scoring = self._scoring_estimate()
        left = (self.total - self.batches) * self.pace_s + scoring
        end = left + (self.last - self.epoch - 1) * (self.total * self.pace_s + scoring)
        end = max(0.0, min(end, self.began + self.limit_s - now))
        rate = self.feed.batches.batch_size / self.pace_s
        return f"{text}, {rate:.0f} windows/s, {duration(min(left, end))} left of it, {duration(end)} of all"

    def _warn(self) -> None:
        """Say at once where the loss of an epoch leaves that of the earlier ones behind."""
        lowest = self._lowest()
        if self.loss > DIVERGED * lowest:
            self._warned = True
            self.display.say(f"the training diverges: {self.loss:.3f} nats a frame, {lowest:.3f} before")
