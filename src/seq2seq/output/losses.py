"""Loss curves of runs: which may share an axis, and how far it reaches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from seq2seq.run import TRAIN, VALIDATION, Run

# An axis shows losses up to so many times the median of the run with the lowest loss.
_OF_THE_BEST = 2.0
# It also shows the best loss of half of the runs, with so much room above.
_OF_THE_HALF = 1.25


def panel_title(run: Run) -> str:
    """Return what the losses of a run are of; runs of another title have losses that cannot be compared with them."""
    task = "a window at once" if run.config.model == "blog" else "each frame from those before"
    dataset = f"{Path(run.dataset['path']).stem} ({run.dataset['fingerprint'][:6]})"
    return f"{dataset}, {task}"


def axis_top(curves: Iterable[Sequence[float]]) -> float:
    """Return where the axis of some loss curves ends, so that a diverged run does not flatten the others.

    Parameters
    ----------
    curves
        The losses of one run each; what is not finite is left out.

    Returns
    -------
    float
        The greatest loss that is at most twice the median loss of the run with the lowest loss, or at most a quarter
        above the best loss of half of the runs; 1.0 where there is none.

    Examples
    --------
    >>> axis_top([[5.0, 2.5, 2.1, 2.0], [4.4, 3.0, 300.0, 9000.0]])
    3.0
    >>> axis_top([])
    1.0
    """
    finite = [sorted(loss for loss in curve if math.isfinite(loss)) for curve in curves]
    finite = sorted(curve for curve in finite if curve)
    if not finite:
        return 1.0
    best, half = finite[0], finite[(len(finite) - 1) // 2][0]
    limit = max(_OF_THE_BEST * best[(len(best) - 1) // 2], _OF_THE_HALF * half)
    return max(loss for curve in finite for loss in curve if loss <= limit)


def losses_of(history: Sequence[Mapping[str, float]]) -> list[float]:
    """Return the training and validation losses of all epochs as one list."""
    return [row[column] for row in history for column in (TRAIN, VALIDATION)]


def with_gaps(history: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Return a history with a row of losses that are not numbers wherever its epochs go back, so that a line breaks."""
    found: list[Mapping[str, float]] = []
    for row in history:
        if found and row["epoch"] <= found[-1]["epoch"]:
            found.append({**found[-1], TRAIN: math.nan, VALIDATION: math.nan})
        found.append(row)
    return found
