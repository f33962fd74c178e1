"""What happens as epochs pass: progress on the screen, the validation loss, the files of the run."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from rollcore import DatasetError
from rollcore.files import whole_file
from seq2seq.models.config import COLUMNS, TRAIN, VALIDATION
from seq2seq.training.feed import RollBatches
from seq2seq.training.metrics import Outside, score_model

History = list[dict[str, float]]

# The configuration of a run that has no epoch yet.
PENDING = ".config.json.part"
SHOW_EVERY_S = 10.0


class Epochs(keras.callbacks.Callback):
    """Score each epoch's weights on the validation split, and keep the best and the last.

    Parameters
    ----------
    run_dir : Path
        Where best.keras, last.keras and metrics.csv are written.
    validation : RollBatches
        Evaluation batches of the validation split.
    outside : Outside
        What the pitches beyond the model's range cost.
    history : list
        The epochs so far; grows by one dict of the `COLUMNS` an epoch.
    max_minutes : float or None
        Begin no epoch that would likely end later.
    """

    def __init__(
        self,
        run_dir: Path,
        validation: RollBatches,
        outside: Outside,
        history: History,
        max_minutes: float | None,
    ) -> None:
        super().__init__()
        self.run_dir, self.validation, self.outside, self.history = run_dir, validation, outside, history
        self.limit_s = float("inf") if max_minutes is None else 60 * max_minutes
        self.began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        _part_buffers(self.model)
        self.epoch = epoch
        self.epoch_began = self.shown = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Say every ten seconds how far the epoch is."""
        now = time.monotonic()
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
        loss = score_model(self.model, self.validation, self.outside).per_frame
        if not math.isfinite(loss + logs["loss"]):
            raise DatasetError(f"{self.run_dir}: the loss of epoch {epoch + 1} is no number: lower the learning rate")
        best = min((row[VALIDATION] for row in self.history), default=float("inf"))
        seconds = time.monotonic() - self.epoch_began
        row = dict(zip(COLUMNS, (epoch + 1, float(logs["loss"]), loss, seconds), strict=True))
        try:
            self._keep(row, loss < best)
        except OSError as error:
            raise DatasetError(f"{self.run_dir}: cannot be written: {error.strerror or error}") from error
        self.history.append(row)
        print(
            f"epoch {epoch + 1}/{self.params['epochs']}: train {row[TRAIN]:.3f}, validation {loss:.3f} "
            f"nats a frame{', the best so far' if loss < best else ''}, {seconds:.0f} s",
            flush=True,
        )
        if time.monotonic() - self.began + seconds > self.limit_s and epoch + 1 < self.params["epochs"]:
            self.model.stop_training = True
            print("the time is up before the next epoch would be: --resume goes on from here", flush=True)

    def _keep(self, row: dict[str, float], best: bool) -> None:
        """Put the files of this epoch in the place of what was there, once the model is saved."""
        last, copy = self.run_dir / ".last.part.keras", self.run_dir / ".best.part.keras"
        try:
            self.model.save(last)
            if best:
                shutil.copyfile(last, copy)
            if not self.history:  # what a former run left
                for name in ("best.keras", "last.keras", "metrics.csv", "loss.png"):
                    (self.run_dir / name).unlink(missing_ok=True)
            if (self.run_dir / PENDING).exists():
                os.replace(self.run_dir / PENDING, self.run_dir / "config.json")
            if best:
                os.replace(copy, self.run_dir / "best.keras")
            # In this order: a history that is an epoch ahead of last.keras is cut by --resume.
            write_history(self.run_dir, [*self.history, row])
            os.replace(last, self.run_dir / "last.keras")
        finally:
            last.unlink(missing_ok=True)
            copy.unlink(missing_ok=True)


def _part_buffers(model: keras.Model) -> None:
    """Give the averages memory of their own.

    Where Keras swaps them with the weights on JAX, both come to share it, and the next step gives that of the weights
    away.
    """
    if keras.config.backend() == "jax":
        for variable in model.optimizer.variables:
            variable.assign(np.array(variable))


def write_history(run_dir: Path, history: History) -> None:
    """Write metrics.csv, one line an epoch."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in history:
        writer.writerow({**{k: f"{v:.6f}" for k, v in row.items()}, "epoch": int(row["epoch"])})
    with whole_file(run_dir / "metrics.csv") as file:
        file.write(text.getvalue().encode())
