"""What new music continues: a MIDI file, the opening of a piece or a chord, on the grid of the model."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rollcore
from rollcore import DatasetError, RollcoreError
from rollcore.storage import is_there
from seq2seq.errors import ConfigError
from seq2seq.models.config import ModelConfig
from seq2seq.output.notation import bar_frames
from seq2seq.output.theory import parse_pitches, pitch_name
from seq2seq.sampling.corpus import Corpus, beats_per_minute
from seq2seq.sampling.request import Request

Rows = npt.NDArray[np.uint8]
# Those of a melody whose file knows no voices.
PLANES = ("sounding", "onset")
# What a piece that did not come from a file is called.
_UNNAMED = "a MIDI file"


class NoNotesError(RollcoreError):
    """A file without a note that counts."""


@dataclass(frozen=True, eq=False)
class Primer:
    """Packed rows that begin with a bar, their origin, and tempo and time signature where they are known."""

    rows: Rows
    name: str
    tempo_bpm: float | None = None
    time_signature: tuple[int, int] | None = None


class Source:
    """Where primers and melodies come from, cut to the grid of a model.

    Parameters
    ----------
    config, corpus
        The model, and what it was trained on.
    data
        The dataset whose pieces may be named; it is opened when one is.
    """

    def __init__(self, config: ModelConfig, corpus: Corpus, data: str | os.PathLike[str] | None) -> None:
        self.config, self.corpus, self.data = config, corpus, data

    def melody(
        self,
        source: str | os.PathLike[str] | rollcore.Midi,
        time_signature: tuple[int, int] | None,
        hold: tuple[int, ...],
    ) -> Primer:
        """Return a whole piece as `midi` does, that has notes of the voices numbered *hold*.

        A file without a track of any voice is the one that is held, all of it.
        """
        voices = self.config.voices
        names = ", ".join(voices[voice] for voice in hold)
        try:
            whole = self.midi(source, time_signature)
        except NoNotesError:
            if len(hold) != 1:
                raise
            whole = self.midi(source, time_signature, PLANES)
            rows = np.zeros((len(whole.rows), len(self.config.planes), 16), np.uint8)
            rows[:, 2 * hold[0] : 2 * hold[0] + 2] = whole.rows
            return replace(whole, rows=rows)
        if hold and not whole.rows[:, [2 * voice for voice in hold]].any():
            raise RollcoreError(f"{whole.name}: no notes of {names}, but of other voices: name one of those to hold")
        return whole

    def midi(
        self,
        source: str | os.PathLike[str] | rollcore.Midi,
        time_signature: tuple[int, int] | None = None,
        planes: tuple[str, ...] | None = None,
    ) -> Primer:
        """Return a whole piece, its rows made as those of the dataset were, with rest before a pick-up.

        With *planes*, its voices are not told apart. Tempo and time signature are those it begins with, if
        *time_signature* is not given; None where the file names none by then, or none that anyone plays.
        """
        midi = source if isinstance(source, rollcore.Midi) else rollcore.read_midi(source)
        name = _UNNAMED if isinstance(source, rollcore.Midi) else os.fspath(source)
        grid, reading = self.corpus.grid, self.corpus.reading
        select = dict(reading.get("select", {}))
        if planes is not None:
            select.pop("voices", None)
        try:
            rows = rollcore.piano_roll(
                midi,
                grid=grid,
                planes=planes or self.config.planes,
                drums=bool(reading.get("drums")),
                sustain=bool(reading.get("sustain")),
                align=bool(reading.get("align", True)),
                select=rollcore.Selection(**select),
            )
        except RollcoreError as error:
            raise RollcoreError(f"{name}: {error}") from error
        drums = bool(reading.get("drums"))
        if not len(rows):
            raise NoNotesError(f"{name}: no notes in it{'' if drums else ', or drums alone'}{_of_voices(select)}")
        tempo, bar, upbeat = midi.opening(drums=drums)
        time_signature = time_signature or bar
        rows = _from_bar_line(rows, math.floor(upbeat * grid.rate + Fraction(1, 2)), self._bar(time_signature))
        return Primer(rows, name, None if tempo is None else beats_per_minute(tempo), time_signature)

    def primer(self, request: Request, time_signature: tuple[int, int] | None) -> Primer:
        """Return the primer of a request; an empty one where it names none."""
        name, limit = request.primer, request.primer_frames
        if request.primer_pitches is not None:
            found = self._chord(request.primer_pitches, limit, time_signature)
        elif name is None:
            empty = np.zeros((0, len(self.config.planes), 16), np.uint8)
            return Primer(empty, "none", self.corpus.tempo_bpm, self.corpus.time_signature)
        elif isinstance(name, rollcore.Midi) or (isinstance(name, str | os.PathLike) and Path(name).is_file()):
            whole = self.midi(name, time_signature)
            found = replace(whole, rows=_from_first_note(whole.rows, self._bar(whole.time_signature), limit))
        else:
            found = self._piece(os.fspath(name) if isinstance(name, os.PathLike) else name, limit, time_signature)
        low, high = self.config.low, self.config.high
        heard = np.unpackbits(found.rows[:, ::2], axis=-1, bitorder="little")[..., low : high + 1]
        if not heard.any():
            within = f"its first {limit} frames have" if limit is not None else "the primer has"
            raise RollcoreError(f"{found.name}: {within} no note that the model knows ({self.span}): name another")
        return found

    @property
    def span(self) -> str:
        """The pitches of the model in words."""
        return f"{pitch_name(self.config.low)} to {pitch_name(self.config.high)}"

    def _bar(self, time_signature: tuple[int, int] | None) -> int:
        """Return the frames of a bar, of 4/4 where it is not known; 1 where bars are not whole numbers of frames."""
        return bar_frames(self.corpus.grid, time_signature or (4, 4)) or 1

    def _chord(self, pitches: str, limit: int | None, time_signature: tuple[int, int] | None) -> Primer:
        """Return a bar of a chord, struck on every beat; or a second of it."""
        grid = self.corpus.grid
        time_signature = time_signature or self.corpus.time_signature
        frames = self._bar(time_signature) if grid.unit == "beats" else int(grid.rate) or 1
        bits = np.zeros((frames, len(self.config.planes), 128), np.uint8)
        chord = parse_pitches(pitches)
        beyond = [pitch_name(pitch) for pitch in chord if not self.config.low <= pitch <= self.config.high]
        if beyond:
            raise ConfigError(f"primer pitches: the model knows {self.span}, not {' '.join(beyond)}: choose others")
        # Of several voices, the last one plays it: by custom melodies come first.
        own = 2 * max(0, len(self.config.voices) - 1)
        bits[:, own:, list(chord)] = 1
        held = np.ones(frames, bool)
        held[[int(beat * grid.rate) for beat in range(math.ceil(frames / grid.rate))]] = False
        bits[held, own + 1 :] = 0
        rows = np.packbits(bits, axis=-1, bitorder="little")
        rows = _from_first_note(rows, self._bar(time_signature), limit)
        return Primer(rows, pitches, self.corpus.tempo_bpm, time_signature)

    def _piece(self, name: str | int, limit: int | None, time_signature: tuple[int, int] | None) -> Primer:
        """Return the opening of a piece of the dataset."""
        dataset = self._dataset(name)
        try:
            index = dataset.find(name)
        except RollcoreError as error:
            raise RollcoreError(f"primer {name}: no such MIDI file, and {error}") from None
        bar = self._bar(time_signature or dataset.bar(index))
        limit = limit or max(1, self.config.input_frames // bar) * bar
        whole = _from_bar_line(dataset.rows(index), int(dataset.pieces["upbeat"][index]), bar)
        rows = _from_first_note(whole, bar, limit)
        return Primer(rows, dataset.name(index), beats_per_minute(dataset.pieces["tempo"][index]), dataset.bar(index))

    def _dataset(self, name: str | int) -> rollcore.Dataset:
        """Return the dataset that a piece is named of, which must be cut like the one of the training."""
        if self.data is None or not is_there(self.data):
            where = "" if self.data is None else f", and the dataset {self.data} is gone"
            raise DatasetError(f"primer {name}: no such MIDI file{where}: give a MIDI file, or a dataset with --data")
        dataset = rollcore.open_dataset(self.data)
        if (dataset.grid, tuple(dataset.planes)) != (self.corpus.grid, self.config.planes):
            planes = ", ".join(self.config.planes)
            raise DatasetError(
                f"{self.data}: the model needs {self.corpus.grid} with planes {planes}: name such a dataset"
            )
        return dataset


def _of_voices(select: Mapping[str, Any]) -> str:
    """Return, to end a message, which tracks are those of voices."""
    return f", or none of its voices ({'; '.join(select['voices'])})" if select.get("voices") else ""


def _from_bar_line(rows: Rows, upbeat: int, bar: int) -> Rows:
    """Return the rows with rest before them that makes a bar of the pick-up: bars are counted from the beginning."""
    rest = np.zeros((-upbeat % bar, *rows.shape[1:]), np.uint8)
    return np.concatenate([rest, rows]) if len(rest) else rows


def _from_first_note(rows: Rows, bar: int, limit: int | None) -> Rows:
    """Return *limit* rows from the first bar with a note, and rest to a whole bar: new music begins with a bar."""
    sounding = np.flatnonzero(rows[:, ::2].any(axis=(1, 2)))
    first = int(sounding[0]) // bar * bar if len(sounding) else 0
    rows = rows[first:][:limit]
    rest = np.zeros((-len(rows) % bar, *rows.shape[1:]), np.uint8)
    return np.concatenate([rows, rest])
