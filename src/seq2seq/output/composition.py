"""A piece of generated music: what it is made of, how it was made, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

import rollcore
from seq2seq.output.figures import Figures
from seq2seq.output.notation import Score

# What has so many times the notes of the training data, for its length, is noise, most likely.
_NOISY = 5
# What repeats itself for so much of its length, and twice as much as the training data, is stuck in a loop.
_LOOPED = 0.75
_DEGENERATE = "-degenerate"


@dataclass(frozen=True, eq=False)
class Composition:
    """One piece of generated music.

    Attributes
    ----------
    series, number
        What all that is made by one request is called, and which of them this is, from 1.
    rows
        ``(frames, planes, 16)`` uint8: the primer where it is included, then the new music.
    primer_frames
        How many of the rows are the primer's.
    grid
        The grid of the rows.
    score
        The notes as a MIDI file has them.
    tempo_bpm
        Quarter notes per minute.
    primer
        What it continues: the name of a file or piece, pitches, or none.
    figures, training
        Figures of the new music without the primer, and of the training data.
    degenerate
        Why it is not music, in one line, or None.
    facts
        How it was made, name by name; None for what was not asked for.
    warning
        What is wrong with the model, in one line, or None.
    voices
        Names of the voices that the rows have planes of; none where all notes share the planes.
    """

    series: str
    number: int
    rows: npt.NDArray[np.uint8]
    primer_frames: int
    grid: rollcore.Grid
    score: Score
    tempo_bpm: float
    primer: str
    figures: Figures
    training: Figures
    degenerate: str | None
    facts: Mapping[str, object]
    warning: str | None = None
    voices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.series}-{self.number}{'' if self.degenerate is None else _DEGENERATE}"

    @property
    def unit(self) -> Literal["beat", "second"]:
        """What the density of its figures is per."""
        return "beat" if self.grid.unit == "beats" else "second"

    @property
    def seconds_per_frame(self) -> float:
        """How long a frame lasts."""
        return (60 / self.tempo_bpm if self.grid.unit == "beats" else 1) / float(self.grid.rate)

    def remarks(self) -> list[str]:
        """Return what is wrong with it, a line each."""
        found = [] if self.degenerate is None else [f"NOT MUSIC, {self.degenerate}"]
        if self.warning is not None:
            found.append(self.warning)
        if self.figures.repetition > max(_LOOPED, 2 * self.training.repetition):
            found.append(
                f"a loop, most likely: {self.figures.repetition:.0%} repeats what was just heard, "
                f"{self.training.repetition:.0%} in the training data; raise the temperature, or train for longer"
            )
        if 0 < _NOISY * self.training.density < self.figures.density:
            times = self.figures.density / self.training.density
            found.append(f"noise, most likely: {times:.0f} times as dense as the training data; train for longer")
        return found


def figure_columns(compositions: Sequence[Composition]) -> dict[str, Figures]:
    """Return the figures of compositions of one request, and those of the training data, by heading."""
    training = compositions[0].training
    columns = {str(composition.number): composition.figures for composition in compositions}
    return {**columns, f"training ({training.pieces} pieces)": training}
