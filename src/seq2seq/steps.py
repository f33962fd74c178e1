"""The losses of updates, between those of epochs: a line of updates.csv each, of which there are never too many."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rollcore.files import whole_file
from seq2seq.errors import RunError

# A loss is noted once in so many seconds; beyond so many losses every second one is left out, and the pace is halved.
EVERY_S = 1.0
MOST = 10_000


class Step(NamedTuple):
    """The mean training loss of the updates since the latest that was noted, at a time in seconds since 1970."""

    update: int
    loss: float
    time_s: float


class Steps:
    """The steps of a training as it goes on.

    Parameters
    ----------
    steps : iterable of Step
        Those that a resumed training has.
    """

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.found = list(steps)
        self._every_s, self._noted = EVERY_S, 0.0
        self.begin(0, 0.0)

    def begin(self, batches: int, loss: float) -> None:
        """Begin an epoch, or go on with one of which *batches* are done, with that mean loss."""
        self._batches, self._loss = batches, loss

    def note(self, update: int, batches: int, loss: float) -> None:
        """Take note of the mean loss of the *batches* of an epoch that are done, *update* updates into the training."""
        now = time.time()
        if now - self._noted < self._every_s or batches <= self._batches:
            return
        mean = (batches * loss - self._batches * self._loss) / (batches - self._batches)
        self._noted = now
        self.begin(batches, loss)
        self.found.append(Step(update, mean, round(now, 3)))
        if len(self.found) > MOST:
            del self.found[::2]
            self._every_s *= 2

    def write(self, path: Path) -> None:
        """Write all of them in the place of the file."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(Step._fields)
        writer.writerows((step.update, f"{step.loss:.6f}", f"{step.time_s:.3f}") for step in self.found)
        try:
            with whole_file(path) as file:
                file.write(text.getvalue().encode())
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_steps(path: Path) -> list[Step]:
    """Return what :meth:`Steps.write` wrote, nothing where there is no file.

    Raises
    ------
    RunError
        If it cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            if (fields := tuple(next(lines, ()))) != Step._fields:
                raise ValueError(f"its columns are {', '.join(fields) or 'none'}")
            return [Step(int(update), float(loss), float(time_s)) for update, loss, time_s in lines]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: unreadable ({error}): remove it") from None
