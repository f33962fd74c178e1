"""What a roll sounds like in numbers. Pure NumPy: nothing here knows a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seq2seq.output.tables import text_table
from seq2seq.output.theory import PITCHES, pitch_name

#: An output is held to be stuck when one frame stands unchanged for this share of it.
STUCK_SHARE = 0.5
#: Less than this share of sounding frames is called silence.
SILENT_SHARE = 0.05
#: Beats or seconds of a stretch that counts as repeated, and how long ago it may have been heard.
REPEATED, REMEMBERED = 4, 32
#: Shorter rolls are not judged, but for silence: four bars of 4/4 at 4 steps per beat, where a chord may fill one.
JUDGED_FRAMES = 64


@dataclass(frozen=True)
class Figures:
    """What one roll, or several taken together, sounds like in numbers; see `figures`."""

    pieces: int
    frames: int
    notes: int
    lowest: int | None
    highest: int | None
    polyphony: float
    density: float
    pitch_class_entropy: float
    silence: float
    longest_run: float
    repetition: float


def figures(rolls: Iterable[npt.NDArray[np.uint8]], frames_per_unit: float) -> Figures:
    """Measure rolls.

    Parameters
    ----------
    rolls
        Packed rows, each ``(frames, planes, 16)`` uint8: sounding, then onset where there is one. Voices are
        put together.
    frames_per_unit
        Frames per beat or per second: the unit of the density.

    Returns
    -------
    Figures
        ``notes``: onsets, or without an onset plane the frames in which a pitch begins to sound.
        ``lowest``, ``highest``: over all rolls, None when nothing sounds.
        ``polyphony``: sounding pitches, mean over the frames that are not silent.
        ``density``: notes per unit of time.
        ``pitch_class_entropy``: of the notes' pitch classes, in bits; 0 to log2(12) = 3.58.
        ``silence``: share of the frames in which nothing sounds.
        ``longest_run``: frames that the longest stretch without any change lasts, mean over the rolls.
        ``repetition``: share of the frames that end a stretch of `REPEATED` units that equals one which ended at
        most `REMEMBERED` units earlier.

    Examples
    --------
    >>> rows = np.packbits(np.eye(128, dtype=np.uint8)[[60, 64, 64, 67]], axis=-1, bitorder="little")
    >>> found = figures([rows[:, None]], frames_per_unit=4)
    >>> found.notes, found.density, found.longest_run
    (3, 3.0, 2.0)
    """
    pieces = frames = sounding_frames = repeated = 0
    notes = np.zeros(PITCHES, dtype=np.int64)
    sounding = np.zeros(PITCHES, dtype=np.int64)
    runs: list[int] = []
    for rows in map(mixed, rolls):
        bits = np.unpackbits(rows, axis=-1, bitorder="little")
        pieces += 1
        frames += len(bits)
        sounding_frames += int(bits[:, 0].any(axis=1).sum())
        sounding += bits[:, 0].sum(axis=0, dtype=np.int64)
        notes += _beginnings(bits).sum(axis=0, dtype=np.int64)
        runs.append(_longest_run(rows))
        repeated += _repeated(rows, *(max(1, round(units * frames_per_unit)) for units in (REPEATED, REMEMBERED)))
    pitches = np.flatnonzero(sounding)
    classes = np.bincount(np.arange(PITCHES) % 12, weights=notes)
    shares = classes[classes > 0] / max(1, notes.sum())
    return Figures(
        pieces=pieces,
        frames=frames,
        notes=int(notes.sum()),
        lowest=int(pitches[0]) if len(pitches) else None,
        highest=int(pitches[-1]) if len(pitches) else None,
        polyphony=float(sounding.sum() / max(1, sounding_frames)),
        density=float(notes.sum() * frames_per_unit / max(1, frames)),
        pitch_class_entropy=float(np.sum(shares * np.log2(1 / shares))),
        silence=1 - sounding_frames / max(1, frames),
        longest_run=float(np.mean(runs)) if runs else 0.0,
        repetition=repeated / max(1, frames),
    )


def beginnings(sounding: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return where pitches begin to sound in ``(frames, 128)``: the onsets, as far as they show without a plane."""
    return sounding & ~np.pad(sounding, ((1, 0), (0, 0)))[:-1]


def mixed(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return packed rows with the voices of *rows* ``(frames, planes, 16)`` put together, ``(frames, 1 or 2, 16)``."""
    if rows.shape[1] <= 2:
        return rows
    return np.stack([np.bitwise_or.reduce(rows[:, plane::2], axis=1) for plane in (0, 1)], axis=1)


def figure_rows(columns: Mapping[str, Figures], unit: str) -> list[list[str]]:
    """Set figures side by side, one column each, as rows of cells; the first row holds the headings.

    Parameters
    ----------
    columns
        Heading to figures.
    unit
        What the density is per: ``"beat"`` or ``"second"``.
    """
    rows = [["", *columns]]
    for label, show in (
        ("frames", lambda f: f"{f.frames / max(1, f.pieces):.0f}"),
        ("notes", lambda f: f"{f.notes / max(1, f.pieces):.0f}"),
        ("pitch range", _range_text),
        ("polyphony", lambda f: f"{f.polyphony:.2f}"),
        (f"notes per {unit}", lambda f: f"{f.density:.2f}"),
        ("pitch-class entropy", lambda f: f"{f.pitch_class_entropy:.2f} bits"),
        ("silence", lambda f: f"{f.silence:.1%}"),
        ("longest unchanged", lambda f: f"{f.longest_run:.0f} frames"),
        ("repetition", lambda f: f"{f.repetition:.1%}"),
    ):
        rows.append([label, *(show(found) for found in columns.values())])
    return rows


def table(columns: Mapping[str, Figures], unit: str) -> str:
    """Return :func:`figure_rows` as lines of text."""
    return text_table(figure_rows(columns, unit), "l" + "r" * len(columns))


def degeneration(rows: npt.NDArray[np.uint8], *, one_pitch: bool = False) -> str | None:
    """Say in one line why a roll is not music, or return None.

    Caught are silence, a drone (one pitch only), one chord for ever (with or without rests and repeats),
    and a frame that stands unchanged for half the roll or longer. Rolls under 64 frames are only checked
    for silence.

    Parameters
    ----------
    rows
        Packed rows, ``(frames, planes, 16)`` uint8.
    one_pitch
        Whether no more than one pitch may sound: a drone is what was asked for then.

    Examples
    --------
    >>> degeneration(np.zeros((16, 1, 16), dtype=np.uint8))
    'silence: not one note in 16 frames'
    """
    rows, frames = mixed(rows), len(rows)
    sounding = rows[:, 0].any(axis=1)
    if not sounding.any():
        return f"silence: not one note in {frames} frames"
    if frames < JUDGED_FRAMES:
        return None
    if sounding.mean() < SILENT_SHARE:
        return f"silence: nothing sounds in {frames - int(sounding.sum())} of {frames} frames"
    chords = np.unique(rows[sounding, 0], axis=0)
    pitches = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(chords), bitorder="little"))
    names = " ".join(pitch_name(int(pitch)) for pitch in pitches)
    if len(pitches) == 1 and not one_pitch:
        return f"a drone: {names} is the only pitch in {frames} frames"
    if len(chords) == 1 and not one_pitch:
        return f"one chord for ever: {names} and nothing else in {frames} frames"
    run = _longest_run(rows)
    if run >= math.ceil(STUCK_SHARE * frames):
        return f"stuck: nothing changes for {run} of {frames} frames"
    return None


def _beginnings(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Where notes begin: the onset plane, or the rises of the sounding one. (frames, planes, 128) bits."""
    if bits.shape[1] > 1:
        return bits[:, 1]
    before = np.concatenate([np.zeros_like(bits[:1, 0]), bits[:-1, 0]])
    return np.asarray(bits[:, 0] & ~before)


def _longest_run(rows: npt.NDArray[np.uint8]) -> int:
    """Frames in the longest stretch in which no plane changes; an onset repeated is a change."""
    if len(rows) == 0:
        return 0
    changed = (rows[1:, 0] != rows[:-1, 0]).any(axis=1)
    if rows.shape[1] > 1:
        changed |= rows[1:, 1].any(axis=1)
    edges = np.flatnonzero(np.concatenate([[True], changed, [True]]))
    return int(np.diff(edges).max())


def _repeated(rows: npt.NDArray[np.uint8], length: int, reach: int) -> int:
    """Count the frames that end a stretch of *length* which also ended at most *reach* frames before."""
    if len(rows) < length:
        return 0
    # Frames are told apart by their words of eight bytes, one after the other: much quicker than as rows.
    kinds = np.zeros(len(rows), np.int64)
    for word in np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint64).T:
        pairs = kinds * len(rows) + np.unique(word, return_inverse=True)[1]
        kinds = np.unique(pairs, return_inverse=True)[1]
    # Stretches are told apart by those of half their length, or a little more than half.
    span = 1
    while span < length:
        further = min(span, length - span)
        pairs = kinds[: len(kinds) - further] * len(rows) + kinds[further:]
        kinds = np.unique(pairs, return_inverse=True)[1]
        span += further
    order = np.argsort(kinds, kind="stable")
    again = kinds[order[1:]] == kinds[order[:-1]]
    return int((again & (np.diff(order) <= reach)).sum())


def _range_text(found: Figures) -> str:
    """Lowest and highest pitch by name."""
    if found.lowest is None or found.highest is None:
        return "none"
    return f"{pitch_name(found.lowest)}-{pitch_name(found.highest)}"
