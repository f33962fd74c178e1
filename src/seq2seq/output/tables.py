"""Tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GAP = "  "


def text_table(rows: Sequence[Sequence[str]], right: str | None = None) -> str:
    """Return rows of cells, the head first, as lines whose columns are aligned.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of one length.
    right : str, optional
        ``"r"`` for each column that is aligned on the right, another letter for one on the left; all are on the left
        by default.

    Examples
    --------
    >>> print(text_table([["run", "loss"], ["a", "1.25"], ["long", "12.50"]], "lr"))
    run    loss
    a      1.25
    long  12.50
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = right or "l" * len(widths)
    lines = (
        GAP.join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def endings_line(found: Mapping[str, float]) -> str:
    """Return in words what an evaluation says of where pieces end.

    Examples
    --------
    >>> endings_line({"model": 2.514, "mean_length": 5.3})
    'where pieces end, beside their frames: 2.51 nats a piece; from the mean length of training pieces alone: 5.30'
    """
    model, known = found["model"], found["mean_length"]
    return (
        f"where pieces end, beside their frames: {model:.2f} nats a piece; "
        f"from the mean length of training pieces alone: {known:.2f}"
    )
