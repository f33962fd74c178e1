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
        Updates of a shorter run that was extended to this one. Its rate had come down to nothing; a rate that jumped
        back to where the longer cosine is would undo what was learnt, so from here on the rate climbs to the cosine
        over a twentieth of the updates that are left.
    """

    def __init__(self, peak: float, updates: int, restart: int = 0) -> None:
        warm = max(1, updates // 20)
        super().__init__(peak / 20, max(1, updates - warm), warmup_target=peak, warmup_steps=warm)
        self.peak, self.updates, self.restart = peak, updates, restart

    def __call__(self, step: Any) -> Any:
        """Return the rate of update number *step*, counted from 0."""
        rate = super().__call__(step)
        if not self.restart:
            return rate
        climb = max(1, (self.updates - self.restart) // 20)
        share = ops.divide(ops.cast(step, rate.dtype) - self.restart + 1, climb)
        return ops.multiply(rate, ops.clip(share, 0.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"peak": self.peak, "updates": self.updates, "restart": self.restart}
