"""Loss curves as a picture: a panel for what can be compared, an axis that no diverged run flattens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollcore.files import whole_file
from seq2seq.errors import ConfigError
from seq2seq.output.losses import axis_top, losses_of, with_gaps
from seq2seq.run import TRAIN, VALIDATION

_WIDTH, _HEIGHT, _LEGEND = 7.0, 3.6, 3.0  # inches
_NAMED = 20  # runs that a legend names


def plot_losses(
    runs: Mapping[str, Sequence[Mapping[str, float]]], path: Path, panels: Mapping[str, str] | None = None
) -> bool:
    """Draw the losses of *runs* (history by name) to *path*; return False where matplotlib is missing.

    Parameters
    ----------
    runs
        The history of each run, by its name.
    path
        The picture, replaced if it exists.
    panels
        The title of the panel of each run, by its name: losses that cannot be compared do not share an axis. One panel
        without a title by default.

    Raises
    ------
    ConfigError
        If the name does not end in ``.png``.
    RollcoreError
        If the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: pictures are PNG files; name it so that it ends in .png")
    named = dict.fromkeys(runs, "") if panels is None else {name: panels[name] for name in runs}
    titles = list(dict.fromkeys(named.values()))
    legend = _LEGEND if len(runs) > 1 else 0
    figure = Figure(figsize=(_WIDTH + legend, _HEIGHT * max(1, len(titles))), layout="constrained")
    for place, title in zip(figure.subplots(max(1, len(titles)), squeeze=False)[:, 0], titles, strict=False):
        _draw(place, title, {name: history for name, history in runs.items() if named[name] == title})
        if len(runs) > 1:
            _name(place, [name for name in runs if named[name] == title])
        else:
            place.legend(["train", "validation"])
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=120)
    return True


def _draw(axes: Any, title: str, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Draw one panel; what lies above it is named below the title."""
    curves = {name: losses_of(history) for name, history in runs.items()}
    finite = [loss for curve in curves.values() for loss in curve if math.isfinite(loss)]
    top = axis_top(curves.values())
    low = min(finite, default=0.0)
    above = [name for name, history in runs.items() if history and not history[-1][VALIDATION] <= top]
    for k, history in enumerate(map(with_gaps, runs.values())):
        epoch = [row["epoch"] for row in history]
        for column, style in ((TRAIN, "x:"), (VALIDATION, "o-")):
            axes.plot(epoch, [row[column] for row in history], style, markersize=4, color=f"C{k % 10}")
    room = 0.04 * (top - low) or 0.05 * abs(top) or 1.0
    axes.set(xlabel="epoch", ylabel="nats per frame", ylim=(low - room, top + room))
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    said = f"above at the end: {', '.join(above[:3])}{', …' if len(above) > 3 else ''}" if above else ""
    axes.set_title("\n".join(filter(None, (title, said))), fontsize=10, parse_math=False)


def _name(axes: Any, names: Sequence[str]) -> None:
    """Put the names of the runs of a panel beside it."""
    lines = axes.get_lines()[1::2]  # those of the validation
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    # A label that begins with an underscore is hidden unless it is given with its line.
    box = axes.legend(
        lines[:_NAMED],
        list(names[:_NAMED]),
        title=f"validation; dotted: train{more}",
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        fontsize=8,
        title_fontsize=8,
    )
    for label in box.get_texts():
        label.set_parse_math(False)  # a dollar in a name does not begin a formula
