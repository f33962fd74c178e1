"""Pictures of piano rolls: a keyboard on one side, time or bars along the other."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rollcore.errors import RollcoreError
from rollcore.files import whole_file
from rollcore.grid import Grid
from rollcore.roll import notes_from_roll

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_roll"]

_BLACK_KEYS = (1, 3, 6, 8, 10)
_COLOURS = ("#27447a", "#2f7f93", "#52a675", "#e0a030", "#cf4f3c")  # from the bass to the treble
_VOICE_COLOURS = ("#cf4f3c", "#27447a", "#52a675", "#e0a030", "#7b4fa3", "#2f7f93", "#8a5a2b", "#c2569b")
_INK, _LINE, _FAINT, _SHADE = "#30343b", "#aab2bd", "#dfe3e8", "#f0f2f5"
_DPI = 120
_SECONDS_A_TICK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_SHORTEST_BAR = 1 / 64  # in beats; shorter than any of two 256ths
_BARS_A_TICK = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def plot_roll(
    rows: NDArray[np.uint8],
    grid: Grid,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    title: str | None = None,
    start: float | Fraction = 0,
    length: float | Fraction | None = None,
    beats_per_bar: float = 4,
    upbeat: float | Fraction = 0,
    voices: Sequence[str] = (),
) -> None:
    """Draw a roll as a PNG picture that a musician can read.

    Notes are bars, coloured from bass to treble, with a dark edge where they are struck; black keys are shaded,
    every C is named. The picture shows the octaves that are used. The same roll gives the same bytes with the
    same version of matplotlib.

    Parameters
    ----------
    rows
        uint8 array of shape (frames, planes, 16). Without an onset plane, notes that follow each other on one
        pitch without a gap are drawn as one.
    grid
        The grid of `rows`: the time axis counts seconds, or bars and beats.
    target
        A path that ends in ``.png``, or a file open for writing in binary mode.
    title
        Stands above the picture, as it is.
    start, length
        The part to draw, in seconds or beats; to the end when `length` is not given.
    beats_per_bar
        Quarter notes between two bar lines on the beat grid: 4 in 4/4, 3 in 6/8, 2.5 in 5/8.
    upbeat
        Quarter notes before the first bar line; what they hold is bar 0, as musicians count.
    voices
        Names of the voices, where `rows` has planes of each: they have one colour each, and stand beside the title.

    Raises
    ------
    RollcoreError
        When matplotlib is missing, the part is empty, or the target cannot be written.

    Examples
    --------
    >>> import io, rollcore
    >>> midi = rollcore.Midi.from_notes([(0, 480, 60, 80, 0, 0)])
    >>> file = io.BytesIO()
    >>> plot_roll(rollcore.piano_roll(midi), rollcore.Grid.beats(4), file, title="Middle C")
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    if not hasattr(target, "write") and not os.fspath(target).lower().endswith(".png"):
        raise RollcoreError(f"{os.fspath(target)}: pictures are PNG files; name it so that it ends in .png")
    if not (math.isfinite(upbeat) and upbeat >= 0):
        raise RollcoreError(f"upbeat {upbeat}: expected 0 or more quarter notes")
    if not _SHORTEST_BAR <= beats_per_bar <= 1024:
        raise RollcoreError(f"beats per bar {beats_per_bar:g}: expected 1/64 to 1024")
    try:
        import matplotlib.colors
        import matplotlib.style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.figure import Figure
    except ImportError:
        raise RollcoreError("pictures need matplotlib: pip install 'rollcore[plot]'") from None

    first, last = _part(len(rows), grid, start, length)
    before = min(first, 1)  # one frame more tells which notes are not struck but go on
    notes = notes_from_roll(rows[first - before : last])
    notes["onset_tick"] -= before
    notes["offset_tick"] -= before
    notes = notes[notes["offset_tick"] > 0]
    low, high = _octaves(notes["pitch"])
    unit = "s" if grid.unit == "seconds" else "beats"
    duration = (last - first) / float(grid.rate)
    width = min(max(4 + duration * (0.32 if unit == "s" else 0.16), 10), 36)
    height = min(max(1.4 + (high - low) * 0.085, 3.4), 11)
    with matplotlib.style.context("default"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a title in any script
        figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        left, right, bottom, top = 0.75 / width, 1 - 0.25 / width, 0.62 / height, 1 - 0.48 / height
        keys = figure.add_axes((left, bottom, 0.42 / width, top - bottom))
        roll = figure.add_axes((left + 0.42 / width, bottom, right - left - 0.42 / width, top - bottom))
        _draw_keyboard(keys, low, high)
        _draw_pitches(roll, low, high)
        _draw_time(roll, first / float(grid.rate), last / float(grid.rate), unit, beats_per_bar, float(upbeat), width)
        if rows.shape[1] > 2 or voices:
            colours = np.array([matplotlib.colors.to_rgba(_VOICE_COLOURS[i % len(_VOICE_COLOURS)]) for i in range(16)])
            _draw_notes(roll, notes, first, float(grid.rate), colours[notes["track"]])
            for number, name in enumerate(reversed(voices)):
                place = (right - number * 1.3 / width, 1 - 0.3 / height)
                colour = colours[len(voices) - 1 - number]
                figure.text(
                    *place, name[:14], size=10, weight="bold", color=colour, ha="right", va="center", parse_math=False
                )
        else:
            keys_map = LinearSegmentedColormap.from_list("keys", _COLOURS)
            shades = keys_map((notes["pitch"].astype(float) - low) / max(high - low - 1, 1))
            _draw_notes(roll, notes, first, float(grid.rate), shades)
        if title is not None:
            shown = title.encode("utf-8", "backslashreplace").decode()
            figure.text(
                left, 1 - 0.3 / height, shown, size=11, weight="bold", color=_INK, va="center", parse_math=False
            )
        with contextlib.nullcontext(target) if hasattr(target, "write") else whole_file(target) as file:
            canvas.print_png(file, metadata={"Software": None})


def _part(frames: int, grid: Grid, start: float | Fraction, length: float | Fraction | None) -> tuple[int, int]:
    """Return the first frame to draw and the one after the last."""
    if not math.isfinite(start) or start < 0 or (length is not None and not (math.isfinite(length) and length > 0)):
        raise RollcoreError(
            f"the part to draw, from {start:g}{'' if length is None else f' for {length:g}'}: expected a start of 0 or "
            "more and a length above 0"
        )
    first = math.floor(Fraction(start) * grid.rate)
    last = frames if length is None else min(frames, math.ceil((Fraction(start) + Fraction(length)) * grid.rate))
    if first >= last and first:
        unit = "seconds" if grid.unit == "seconds" else "beats"
        raise RollcoreError(f"nothing to draw from {start}: the piece is {float(frames / grid.rate):.1f} {unit} long")
    return first, max(last, first + 1)


def _octaves(pitches: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the lowest pitch and the one above the highest, of two whole octaves at least."""
    if not len(pitches):
        return 48, 72
    low, high = int(pitches.min()) // 12 * 12, (int(pitches.max()) // 12 + 1) * 12
    if high - low < 24:
        low, high = (low, high + 12) if int(pitches.max()) % 12 > 5 else (low - 12, high)
    low = max(low, 0)
    return low, min(max(high, low + 24), 128)


def _draw_keyboard(axes: Axes, low: int, high: int) -> None:
    """Draw the keys as they lie on a piano, each black one over the line between its neighbours."""
    from matplotlib.patches import Rectangle

    axes.set(xlim=(0, 1), ylim=(low - 0.5, high - 0.5), xticks=[])
    # Seven white keys share the room of twelve semitones; they meet behind the middle of the black keys.
    edges = (-0.5, 1, 3, 4.5, 6, 8, 10, 11.5)
    for octave in range(low // 12 * 12, high, 12):
        for below, above in itertools.pairwise(edges):
            axes.add_patch(Rectangle((0, octave + below), 1, above - below, fc="white", ec=_LINE, lw=0.5))
        for key in _BLACK_KEYS:
            axes.add_patch(Rectangle((0, octave + key - 0.42), 0.62, 0.84, fc=_INK, ec="none"))
    named = [pitch for pitch in range(low, high) if pitch % 12 == 0]
    axes.set_yticks(named, [f"C{pitch // 12 - 1}" for pitch in named])
    axes.tick_params(axis="y", length=0, pad=4, labelsize=9, labelcolor=_INK)
    for spine in axes.spines.values():
        spine.set(color=_LINE, linewidth=0.8)


def _draw_pitches(axes: Axes, low: int, high: int) -> None:
    axes.set(ylim=(low - 0.5, high - 0.5), yticks=[])
    for pitch in range(low, high):
        if pitch % 12 in _BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=_SHADE, lw=0, zorder=0)
        elif pitch % 12 in (0, 5):  # no black key lies between B and C, and between E and F
            axes.axhline(pitch - 0.5, color=_LINE if pitch % 12 == 0 else _FAINT, lw=0.7, zorder=1)
    for spine in axes.spines.values():
        spine.set(color=_LINE, linewidth=0.8)


def _draw_time(
    axes: Axes, begin: float, end: float, unit: str, beats_per_bar: float, upbeat: float, width: float
) -> None:
    """Rule the time axis: seconds, or bar lines with fainter lines for the beats where there is room."""
    axes.set_xlim(begin, end)
    if unit == "s":
        step = _step(_SECONDS_A_TICK, (end - begin) / (width * 2))
        minor = step / 2
        label = "seconds" if end < 120 else "minutes:seconds"
    else:
        step = _step(_BARS_A_TICK, (end - begin) / beats_per_bar / (width * 1.6)) * beats_per_bar
        minor = step / 2
        label = f"bars of {beats_per_bar:g} beats"
    zero = upbeat if unit == "beats" else 0.0  # where lines are counted from
    ticks = _multiples(step, zero, begin, end)
    if unit == "s":
        texts = [f"{t:g}" if end < 120 else f"{int(t) // 60}:{int(t) % 60:02d}" for t in ticks]
    else:
        texts = [f"{round((t - zero) / beats_per_bar) + 1}" for t in ticks]  # musicians count from 1
    axes.set_xticks(ticks, texts)
    axes.vlines(ticks, *axes.get_ylim(), color=_LINE, lw=0.8 if unit == "beats" else 0.5, zorder=1)
    between = _multiples(minor, zero, begin, end)
    if unit == "beats" and step == beats_per_bar:  # room for the beats, counted from every bar line: 5/8 has 2.5
        first_beats = _multiples(step, zero, begin - step, end)
        between = np.add.outer(first_beats, np.arange(0, step)).ravel()
        between = between[(begin <= between) & (between <= end)]
    axes.vlines(np.setdiff1d(between, ticks), *axes.get_ylim(), color=_FAINT, lw=0.5, zorder=1)
    axes.tick_params(axis="x", length=3, color=_LINE, labelsize=9, labelcolor=_INK)
    axes.set_xlabel(label, fontsize=9, color=_INK, labelpad=4)


def _step(steps: Sequence[float], least: float) -> float:
    """Return the first step that is large enough, or a multiple of the last: however long the piece, lines are few."""
    return next((step for step in steps if step >= least), steps[-1] * math.ceil(least / steps[-1]))


def _multiples(step: float, zero: float, begin: float, end: float) -> NDArray[Any]:
    """Return the multiples of a step, counted from `zero` both ways, from `begin` to `end`."""
    return np.arange(math.ceil((begin - zero) / step), math.floor((end - zero) / step) + 1) * float(step) + zero


def _draw_notes(axes: Axes, notes: NDArray[Any], first: int, rate: float, colours: NDArray[Any]) -> None:
    from matplotlib.collections import PolyCollection

    if not len(notes):
        axes.text(0.5, 0.5, "no notes", transform=axes.transAxes, ha="center", va="center", color=_LINE, size=14)
        return
    struck = notes["onset_tick"] >= 0
    onset = (np.maximum(notes["onset_tick"], 0) + first) / rate
    offset = (notes["offset_tick"] + first) / rate
    pitch = notes["pitch"].astype(float)
    bottom, top = pitch - 0.44, pitch + 0.44
    begin, end = axes.get_xlim()
    edge = np.minimum((end - begin) * 0.0016, (offset - onset) * 0.4) * struck
    for left, right, shade in ((onset, offset, 1.0), (onset, onset + edge, 0.45)):
        corners = np.stack([[left, bottom], [left, top], [right, top], [right, bottom]]).transpose(2, 0, 1)
        fill = colours * (shade, shade, shade, 1)
        # A hair of white around a note keeps neighbours apart.
        line = {"edgecolors": "white", "linewidths": 0.35} if shade == 1 else {"linewidths": 0}
        axes.add_collection(PolyCollection(list(corners), facecolors=fill, zorder=3, **line))
