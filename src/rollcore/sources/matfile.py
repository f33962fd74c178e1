"""The four standard piano-roll datasets as .mat files → dataset, with their own splits.

JSB Chorales, Nottingham, MuseData and Piano-midi.de (Boulanger-Lewandowski, Bengio and Vincent, ICML 2012),
as .mat files of ``traindata``, ``validdata`` and ``testdata``: cells of 0/1 arrays (steps, 88) whose column 0
is MIDI pitch 21. One step is a quarter note in JSB Chorales and an eighth note in the other three. (A test
shows it for Nottingham: rolls of the MIDI files at two steps a beat equal the arrays, up to transposition.)
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollcore.dataset import FILE_DTYPE, OUTCOMES, PIECE_DTYPE, REPAIR_DTYPE, SPLITS, digest
from rollcore.errors import RollcoreError
from rollcore.grid import Grid
from rollcore.midi import DEFAULT_TEMPO
from rollcore.roll import notes_from_roll
from rollcore.writer import DatasetWriter, Tables

__all__ = ["import_mat"]

LOWEST_PITCH = 21
KEYS = 88
_VARIABLES = ("traindata", "validdata", "testdata")  # in the order of SPLITS
_STEPS_PER_BEAT = {"jsb": 1, "nottingham": 2, "muse": 2, "piano": 2}


def import_mat(
    mat_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    steps_per_beat: int | float | str | Fraction | None = None,
) -> int:
    """Write a dataset of the sounding plane from one of the standard .mat files.

    Pieces are called ``train/000``, ``validation/000`` and so on, in the order of the arrays, and keep the
    split they have there; identical pieces in two splits (Nottingham has two such pairs) are kept, to stay
    comparable with published figures.

    Parameters
    ----------
    mat_path
        The .mat file.
    out
        The dataset to write.
    steps_per_beat
        How many rows a quarter note has; known from the name for the four, needed for any other file.

    Returns
    -------
    int
        Number of pieces.

    Raises
    ------
    RollcoreError
        When scipy is missing, the file cannot be read, holds something else, or its time step is not known.
    DatasetError
        When the dataset cannot be written; what was there before is unchanged.
    """
    path = Path(mat_path)
    grid = None if steps_per_beat is None else Grid.beats(steps_per_beat)
    cells = _load(path)
    if grid is None:  # asked for last: the option does not help where the file is not there, or something else
        known = [steps for name, steps in _STEPS_PER_BEAT.items() if path.name.lower().startswith(name)]
        if not known:
            raise RollcoreError(
                f"{path}: not named as one of the four standard files, so its time step is not known; "
                "say how many rows a quarter note has with --steps-per-beat"
            )
        grid = Grid.beats(known[0])
    pieces = np.zeros(sum(map(len, cells)), PIECE_DTYPE)
    files = np.zeros(len(pieces), FILE_DTYPE)
    files["outcome"] = OUTCOMES.index("read")
    names = []
    with DatasetWriter(out, grid=grid, planes=("sounding",)) as writer:
        row = 0
        for split, arrays in enumerate(cells):
            rolls = []
            start = 0
            for index, array in enumerate(arrays):
                roll = _pack(array)
                names.append(f"{SPLITS[split]}/{index:03d}".encode())
                pieces[row]["file"] = row
                pieces[row]["start"] = start
                pieces[row]["frames"] = len(roll)
                pieces[row]["notes"] = len(notes_from_roll(roll))
                pieces[row]["tempo"] = DEFAULT_TEMPO
                pieces[row]["time_signature"] = 4, 4
                pieces[row]["microseconds"] = len(roll) * DEFAULT_TEMPO // grid.rate
                for column in ("digest", "pitch_digest", "note_digest"):
                    pieces[row][column] = np.frombuffer(digest(array.tobytes()), ">u8")
                pieces[row]["split"] = split
                files[row]["bytes"] = array.nbytes
                rolls.append(roll)
                start += len(roll)
                row += 1
            if rolls:
                pieces["shard"][row - len(rolls) : row] = writer.append(np.concatenate(rolls))
        files["name_end"] = np.cumsum([len(name) for name in names])
        tables = Tables(pieces, files, np.zeros(0, REPAIR_DTYPE), b"".join(names), [])
        writer.commit(tables, {"source": path.name})
    return len(pieces)


def _pack(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (steps, 88) into rows of shape (steps, 1, 16)."""
    bits = np.zeros((len(array), 1, 128), np.uint8)
    bits[:, 0, LOWEST_PITCH : LOWEST_PITCH + KEYS] = array
    return np.packbits(bits, axis=-1, bitorder="little")


def _load(path: Path) -> list[list[NDArray[np.uint8]]]:
    """Read and check the three cells: each a list of uint8 arrays (steps, 88) of 0 and 1."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise RollcoreError("reading .mat files needs scipy: pip install 'rollcore[mat]'") from None
    try:
        with open(path, "rb") as file:  # scipy hides why it cannot open one
            contents: dict[str, Any] = loadmat(file, variable_names=_VARIABLES)
    except Exception as error:  # scipy raises whatever it stumbles over in a damaged file, OSError too
        if isinstance(error, OSError) and error.errno:
            raise RollcoreError(f"{path}: cannot be read: {error.strerror}; check the path") from error
        raise RollcoreError(
            f"{path}: not a .mat file that scipy reads; check the name, or download it again"
        ) from error
    splits = []
    for name in _VARIABLES:
        if name not in contents:
            raise RollcoreError(f"{path}: holds no {name}; name a .mat file that holds {', '.join(_VARIABLES)}")
        arrays = []
        for index, cell in enumerate(np.atleast_1d(contents[name]).ravel()):
            array = np.asarray(cell)
            if array.ndim != 2 or array.shape[1] != KEYS or not len(array) or not np.isin(array, (0, 1)).all():
                raise RollcoreError(f"{path}: {name}[{index}]: expected 0 and 1 of shape (steps, {KEYS})")
            arrays.append(np.ascontiguousarray(array, np.uint8))
        splits.append(arrays)
    if not any(splits):
        raise RollcoreError(f"{path}: holds no pieces; download it again")
    return splits
