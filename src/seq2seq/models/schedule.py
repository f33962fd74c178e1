"""The learning rate of a training: up over the first twentieth, level, then down to nothing."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# The share of the updates over which the rate goes up, and that over which it comes down.
WARM_SHARE, DESCENT_SHARE = 0.05, 0.5


@keras.saving.register_keras_serializable(package="seq2seq")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to *peak* over the first twentieth of the updates, level, then straight down to 0.

    On the level part the rate does not depend on how long the training is to be. A state of the model from before the
    descent can therefore go on as part of a longer training, and becomes what that training makes of it.

    Parameters
    ----------
    peak : float
        The highest rate.
    updates : int
        Updates of the whole training.
    level : int, optional
        Updates before the rate comes down; by default those before the last `DESCENT_SHARE` of the training.
    """

    def __init__(self, peak: float, updates: int, level: int | None = None) -> None:
        self.peak, self.updates = peak, updates
        self.level = level_updates(updates) if level is None else level
        self.warm = max(1, int(WARM_SHARE * updates))

    def __call__(self, step: Any) -> Any:
        """Return the rate of update number *step*, counted from 0."""
        step = ops.cast(step, "float32")
        up = ops.minimum(1.0, 0.05 + 0.95 * step / self.warm)
        down = (self.updates - step) / max(1, self.updates - self.level)
        return self.peak * ops.minimum(up, ops.clip(down, 0.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"peak": self.peak, "updates": self.updates, "level": self.level}


def level_updates(updates: int) -> int:
    """Return after how many of the *updates* of a training its rate comes down."""
    return updates - int(DESCENT_SHARE * updates)
