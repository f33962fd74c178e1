"""What new music goes on from: a MIDI file, the opening of a piece or a chord, on the grid of the run."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rollcore
from rollcore import DatasetError, RollcoreError
from seq2seq.models.config import ModelConfig
from seq2seq.output.figures import Figures, figures
from seq2seq.output.notation import bar_frames
from seq2seq.output.theory import parse_pitches, pitch_name
from seq2seq.run import Run

#: Pieces of the training split that figures are compared with, spread evenly over it.
COMPARED_PIECES = 200
#: Beats per minute that music may have.
SLOWEST, FASTEST = 4, 1000


@dataclass(frozen=True, eq=False)
class Primer:
    """Packed rows that begin with a bar, their origin, and the beats per minute and the time signature, if known."""

    rows: npt.NDArray[np.uint8]
    name: str
    tempo: float | None = None
    time_signature: tuple[int, int] | None = None


class Source:
    """Where primers and melodies come from, cut to the grid of the run, and the figures of its dataset."""

    def __init__(self, run: Run, config: ModelConfig, data: str | Path | None) -> None:
        self.config = config
        self._path = Path(data if data is not None else run.dataset["path"])
        self._named = data is not None
        self.grid = run.grid
        self._fingerprint = run.dataset["fingerprint"]
        options = run.dataset["options"]
        self._options = {name: bool(options.get(name)) for name in ("drums", "sustain")}
        self.trained_on_it = True

    def dataset(self) -> rollcore.Dataset:
        """Return the dataset, which must be cut like the one of the training."""
        if not self._named and not self._path.exists():
            raise DatasetError(f"{self._path}: the dataset of the run is gone: give a primer file, or --data")
        dataset = rollcore.open_dataset(self._path)
        if (dataset.grid, dataset.planes) != (self.grid, self.config.planes):
            planes = ", ".join(self.config.planes)
            raise DatasetError(f"{self._path}: the model needs {self.grid} with planes {planes}: name such a dataset")
        self.trained_on_it = dataset.fingerprint == self._fingerprint
        return dataset

    def figures(self) -> Figures | None:
        """Return the figures of the training split, or None where the dataset is gone."""
        try:
            dataset = self.dataset()
        except DatasetError:
            if self._named:
                raise
            return None
        pieces = dataset.split("train")
        chosen = np.unique(np.linspace(0, len(pieces) - 1, min(COMPARED_PIECES, len(pieces))).round().astype(int))
        return figures((dataset.rows(int(pieces[i])) for i in chosen), float(self.grid.rate))

    def midi(self, path: str, time_signature: tuple[int, int] | None = None) -> Primer:
        """Return a whole MIDI file, its rows made as those of the dataset were, with rest before a pick-up.

        Tempo and time signature are those it begins with, if *time_signature* is not given; None where the file names
        none by then, or none that anyone plays.
        """
        midi = rollcore.read_midi(path)
        fps, steps = (None, self.grid.rate) if self.grid.unit == "beats" else (self.grid.rate, None)
        try:
            rows = rollcore.piano_roll(midi, fps=fps, steps_per_beat=steps, planes=self.config.planes, **self._options)
        except RollcoreError as error:
            raise RollcoreError(f"{path}: {error}") from error
        if not len(rows):
            raise RollcoreError(f"{path}: no notes in it{'' if self._options['drums'] else ', or drums alone'}")
        tempo, bar, upbeat = midi.opening(drums=self._options["drums"])
        time_signature = time_signature or bar
        rows = _from_bar_line(rows, int(upbeat * self.grid.rate), self._bar(time_signature))
        return Primer(rows, path, None if tempo is None else _beats_per_minute(tempo), time_signature)

    def _bar(self, time_signature: tuple[int, int] | None) -> int:
        """Return the frames of a bar, of 4/4 where it is not known; 1 where bars are no whole number of frames."""
        return bar_frames(self.grid, time_signature or (4, 4)) or 1

    def primer(
        self,
        name: str | int | os.PathLike[str] | None,
        pitches: str | None,
        limit: int | None,
        begins: bool,
        time_signature: tuple[int, int] | None,
        seed: int,
    ) -> Primer:
        """Return the primer that was asked for; *begins* makes it empty where none was."""
        name = os.fspath(name) if isinstance(name, os.PathLike) else name
        if limit is not None and limit < 1:
            raise ValueError(f"primer steps must be at least 1, not {limit}")
        if pitches is not None:
            # A bar of it, struck on every beat; or a second.
            frames = self._bar(time_signature) if self.grid.unit == "beats" else int(self.grid.rate) or 1
            bits = np.zeros((frames, len(self.config.planes), 128), np.uint8)
            chord = parse_pitches(pitches)
            beyond = [pitch_name(pitch) for pitch in chord if not self.config.low <= pitch <= self.config.high]
            if beyond:
                span = f"{pitch_name(self.config.low)} to {pitch_name(self.config.high)}"
                raise RollcoreError(f"primer pitches: the model knows {span}, not {' '.join(beyond)}: choose others")
            bits[:, :, list(chord)] = 1
            held = np.ones(frames, bool)
            held[[int(beat * self.grid.rate) for beat in range(math.ceil(frames / self.grid.rate))]] = False
            bits[held, 1:] = 0
            rows = np.packbits(bits, axis=-1, bitorder="little")
            found = Primer(_from_first_note(rows, self._bar(time_signature), limit), pitches)
        elif isinstance(name, str) and Path(name).is_file():
            whole = self.midi(name, time_signature)
            found = replace(whole, rows=_from_first_note(whole.rows, self._bar(whole.time_signature), limit))
        elif name is None and begins:
            return Primer(np.zeros((0, len(self.config.planes), 16), np.uint8), "nothing")
        else:
            found = self._piece(name, limit, time_signature, seed)
        low, high = self.config.low, self.config.high
        heard = np.unpackbits(found.rows[:, 0], axis=-1, bitorder="little")[:, low : high + 1]
        if not heard.any():
            span = f"{pitch_name(low)} to {pitch_name(high)}"
            within = f"its first {limit} frames have" if limit is not None else "the primer has"
            raise RollcoreError(f"{found.name}: {within} no note that the model knows ({span}): name another")
        return found

    def _piece(
        self, name: str | int | None, limit: int | None, time_signature: tuple[int, int] | None, seed: int
    ) -> Primer:
        """Return the opening of a piece: the one that is named, or one of the validation split."""
        dataset = self.dataset()
        if name is None:
            pieces = dataset.split("validation")
            if not len(pieces):
                pieces = dataset.split("train")
            if not len(pieces):
                raise DatasetError(f"{self._path}: no piece to train or validate on: name a primer, or another --data")
            index = int(pieces[np.random.default_rng(seed).integers(len(pieces))])
        else:
            try:
                index = dataset.find(name)
            except RollcoreError as error:
                raise RollcoreError(f"primer {name}: no such MIDI file, and {error}") from None
        bar = self._bar(time_signature or dataset.bar(index))
        limit = limit or max(1, self.config.input_frames // bar) * bar
        tempo = _beats_per_minute(dataset.pieces["tempo"][index])
        whole = _from_bar_line(dataset.rows(index), int(dataset.pieces["upbeat"][index]), bar)
        rows = _from_first_note(whole, bar, limit)
        return Primer(rows, dataset.name(index), tempo, dataset.bar(index))


def _from_bar_line(rows: npt.NDArray[np.uint8], upbeat: int, bar: int) -> npt.NDArray[np.uint8]:
    """Return the rows with rest before them that makes a bar of the pick-up: bars are counted from the beginning."""
    rest = np.zeros((-upbeat % bar, *rows.shape[1:]), np.uint8)
    return np.concatenate([rest, rows]) if len(rest) else rows


def _from_first_note(rows: npt.NDArray[np.uint8], bar: int, limit: int | None) -> npt.NDArray[np.uint8]:
    """Return *limit* rows from the first bar with a note, and rest to a whole bar: new music begins with a bar."""
    sounding = np.flatnonzero(rows[:, 0].any(axis=1))
    first = int(sounding[0]) // bar * bar if len(sounding) else 0
    rows = rows[first:][:limit]
    rest = np.zeros((-len(rows) % bar, *rows.shape[1:]), np.uint8)
    return np.concatenate([rows, rest])


def _beats_per_minute(tempo: Any) -> float | None:
    """Return a tempo in microseconds per beat as beats per minute, or None where no one could play it."""
    return 60e6 / int(tempo) if 60e6 / FASTEST <= tempo <= 60e6 / SLOWEST else None
