"""Piano-roll datasets from MIDI files: parse, quantise, pack, map, window.

>>> import rollcore
>>> report = rollcore.build_dataset("midi/", "out.h5")      # doctest: +SKIP
>>> dataset = rollcore.open_dataset("out.h5")               # doctest: +SKIP
>>> batch = rollcore.windows(dataset, 100, split="train").gather([0, 1, 2])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollcore.batches import pack, transpose, unpack
    from rollcore.build import BuildReport, build_dataset
    from rollcore.chords import SCALES, make_chords
    from rollcore.dataset import Dataset, open_dataset
    from rollcore.errors import DatasetError, MidiError, RollcoreError
    from rollcore.grid import Grid
    from rollcore.matfile import import_mat
    from rollcore.midi import (
        NOTE_DTYPE,
        PEDAL_DTYPE,
        REPAIR_CODES,
        TEMPO_DTYPE,
        TIME_SIGNATURE_DTYPE,
        Midi,
        is_time_signature,
        read_midi,
        write_midi,
    )
    from rollcore.plot import plot_roll
    from rollcore.roll import midi_from_roll, notes_from_roll, piano_roll
    from rollcore.sound import write_wav
    from rollcore.windows import Windows, windows

# Loaded on first use: `rollcore --help` must not wait for NumPy, h5py or Numba.
_HOME = {
    "batches": ("pack", "transpose", "unpack"),
    "build": ("BuildReport", "build_dataset"),
    "chords": ("SCALES", "make_chords"),
    "dataset": ("Dataset", "open_dataset"),
    "errors": ("DatasetError", "MidiError", "RollcoreError"),
    "grid": ("Grid",),
    "matfile": ("import_mat",),
    "midi": (
        "NOTE_DTYPE",
        "PEDAL_DTYPE",
        "REPAIR_CODES",
        "TEMPO_DTYPE",
        "TIME_SIGNATURE_DTYPE",
        "Midi",
        "is_time_signature",
        "read_midi",
        "write_midi",
    ),
    "plot": ("plot_roll",),
    "roll": ("midi_from_roll", "notes_from_roll", "piano_roll"),
    "sound": ("write_wav",),
    "windows": ("Windows", "windows"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "NOTE_DTYPE",
    "PEDAL_DTYPE",
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
    "Windows",
    "build_dataset",
    "import_mat",
    "is_time_signature",
    "make_chords",
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


class _Package(ModuleType):
    """Importing a submodule sets it as an attribute here, where it must not hide a function of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Leave a public name to ``__getattr__``."""
        if not (name in _MODULE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
