"""The learning rate of a training: up over the first twentieth, then down along a cosine to nothing."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seq2seq")
class Schedule(keras.optimizers.schedules.CosineDecay):
    """Linear warm-up to *peak* over the first twentieth of the updates, then a cosine down to 0.

    Parameters
    ----------
    peak : float
        The highest rate.
    updates : int
        Updates of the whole training.
    restart : int
        Updates of a shorter run that was extended to this one. Its rate had come down to nothing, and one that jumped
        to where the longer cosine is would undo what was learnt. So all begins again here, for the updates that are
        left: the rates of both parts add up to those of a run that had this length from the beginning.
    """

    def __init__(self, peak: float, updates: int, restart: int = 0) -> None:
        left = updates - restart
        warm = max(1, left // 20)
        super().__init__(peak / 20, max(1, left - warm), warmup_target=peak, warmup_steps=warm)
        self.peak, self.updates, self.restart = peak, updates, restart

    def __call__(self, step: Any) -> Any:
        """Return the rate of update number *step*, counted from 0."""
        return super().__call__(step if not self.restart else ops.maximum(step - self.restart, 0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"peak": self.peak, "updates": self.updates, "restart": self.restart}
