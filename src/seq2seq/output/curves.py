"""Loss curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rollcore.files import whole_file
from seq2seq.errors import ConfigError
from seq2seq.run import TRAIN, VALIDATION


def plot_losses(runs: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> bool:
    """Draw the losses of *runs* (history by name) to *path*; return False where matplotlib is missing.

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
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for k, (name, history) in enumerate(runs.items()):
        epoch = [row["epoch"] for row in history]
        for what, column, style in (("validation", VALIDATION, "o-"), ("train", TRAIN, "x:")):
            losses = [row[column] for row in history]
            # A label that began with the name might begin with an underscore, which hides it.
            axes.plot(epoch, losses, style, markersize=4, color=f"C{k % 10}", label=f"{what}, {name}")
    axes.set(xlabel="epoch", ylabel="nats per frame")
    axes.locator_params(axis="x", integer=True)
    for label in axes.legend().get_texts():
        label.set_parse_math(False)  # a dollar in a name does not begin a formula
    axes.grid(alpha=0.3)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=120)
    return True
