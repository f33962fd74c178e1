"""Piano-roll datasets from MIDI files: parse, quantise, pack, map, window.

>>> import rollcore
>>> report = rollcore.build_dataset("midi/", "out.h5")      # doctest: +SKIP
>>> dataset = rollcore.open_dataset("out.h5")               # doctest: +SKIP
>>> batch = rollcore.windows(dataset, 100, split="train").gather([0, 1, 2])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollcore.batches import pack, transpose, unpack
    from rollcore.build import BuildReport, build_dataset
    from rollcore.dataset import Dataset, open_dataset
    from rollcore.errors import DatasetError, MidiError, RollcoreError
    from rollcore.grid import Grid
    from rollcore.merge import merge_parts
    from rollcore.midi import (
        CONTROLLER_DTYPE,
        NOTE_DTYPE,
        PART_DTYPE,
        PEDAL_DTYPE,
        PROGRAM_DTYPE,
        REPAIR_CODES,
        TEMPO_DTYPE,
        TIME_SIGNATURE_DTYPE,
        Midi,
        is_time_signature,
        read_midi,
    )
    from rollcore.midi_writer import write_midi
    from rollcore.roll import frame_ticks, midi_from_roll, notes_from_roll, piano_roll
    from rollcore.selection import Selection
    from rollcore.show.instruments import PROGRAM_NAMES
    from rollcore.show.plot import plot_roll
    from rollcore.show.sound import write_wav
    from rollcore.sources.chords import SCALES
    from rollcore.sources.matfile import import_mat
    from rollcore.sources.pack import make_chords
    from rollcore.windowing import Windows, windows

# Loaded on first use: `rollcore --help` must not wait for NumPy or h5py.
_HOME = {
    "batches": ("pack", "transpose", "unpack"),
    "build": ("BuildReport", "build_dataset"),
    "sources.chords": ("SCALES",),
    "sources.pack": ("make_chords",),
    "dataset": ("Dataset", "open_dataset"),
    "errors": ("DatasetError", "MidiError", "RollcoreError"),
    "grid": ("Grid",),
    "sources.matfile": ("import_mat",),
    "merge": ("merge_parts",),
    "midi": (
        "CONTROLLER_DTYPE",
        "NOTE_DTYPE",
        "PART_DTYPE",
        "PEDAL_DTYPE",
        "PROGRAM_DTYPE",
        "REPAIR_CODES",
        "TEMPO_DTYPE",
        "TIME_SIGNATURE_DTYPE",
        "Midi",
        "is_time_signature",
        "read_midi",
    ),
    "midi_writer": ("write_midi",),
    "show.instruments": ("PROGRAM_NAMES",),
    "show.plot": ("plot_roll",),
    "selection": ("Selection",),
    "roll": ("frame_ticks", "midi_from_roll", "notes_from_roll", "piano_roll"),
    "show.sound": ("write_wav",),
    "windowing": ("Windows", "windows"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__version__ = "0.2.0"
__all__ = [
    "CONTROLLER_DTYPE",
    "NOTE_DTYPE",
    "PART_DTYPE",
    "PEDAL_DTYPE",
    "PROGRAM_DTYPE",
    "PROGRAM_NAMES",
    "REPAIR_CODES",
    "SCALES",
    "TEMPO_DTYPE",
    "TIME_SIGNATURE_DTYPE",
    "BuildReport",
    "Dataset",
    "DatasetError",
    "Grid",
    "Midi",
    "MidiError",
    "RollcoreError",
    "Selection",
    "Windows",
    "build_dataset",
    "frame_ticks",
    "import_mat",
    "is_time_signature",
    "make_chords",
    "merge_parts",
    "midi_from_roll",
    "notes_from_roll",
    "open_dataset",
    "pack",
    "piano_roll",
    "plot_roll",
    "read_midi",
    "transpose",
    "unpack",
    "windows",
    "write_midi",
    "write_wav",
]


if not TYPE_CHECKING:  # where a misspelled name is to be told

    def __getattr__(name: str) -> Any:
        if name not in _MODULE:
            raise AttributeError(f"module 'rollcore' has no attribute {name!r}")
        return getattr(importlib.import_module(f"rollcore.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
