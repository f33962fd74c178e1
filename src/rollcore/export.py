"""A dataset for those who read with other tools: a file for each split, as Parquet or as NumPy's .npz."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rollcore.dataset import SPLITS, Dataset, open_dataset
from rollcore.errors import RollcoreError
from rollcore.files import whole_file
from rollcore.roll import ROW_BYTES

__all__ = ["export_npz", "export_parquet"]

PIECES_A_GROUP = 256
"""Pieces of a row group of Parquet: what its readers hold in memory at once."""

_NUMBERS = ("frames", "notes", "tempo", "upbeat", "shift", "microseconds")
_DIGESTS = ("digest", "pitch_digest", "note_digest")


def export_parquet(dataset: str | os.PathLike[str] | Dataset, folder: str | os.PathLike[str]) -> list[Path]:
    """Write a Parquet file for each split that has pieces: one row a piece.

    Columns are `name`, `rows` (bytes: uint8 of shape (frames, planes, 16), row after row), `frames`, `notes`, `tempo`,
    `time_signature` (such as ``"3/4"``), `upbeat`, `shift`, `microseconds`, and `digest`, `pitch_digest`,
    `note_digest` in hex. The schema's metadata have `grid_unit`, `grid_rate`, `planes` and `options`.

    Parameters
    ----------
    dataset
        A dataset, or its path.
    folder
        Where to write ``train.parquet``, ``validation.parquet`` and ``test.parquet``; made if it is not there.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    RollcoreError
        If pyarrow is not installed, or a file cannot be written; what was there before is unchanged then.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise RollcoreError("Parquet needs pyarrow: pip install 'rollcore[parquet]'") from None
    opened = _opened(dataset)
    kinds = {"name": pyarrow.string(), "rows": pyarrow.large_binary(), "time_signature": pyarrow.string()}
    kinds |= dict.fromkeys(_NUMBERS, pyarrow.int64()) | dict.fromkeys(_DIGESTS, pyarrow.string())
    schema = pyarrow.schema(list(kinds.items()), metadata=_settings(opened))
    files = []
    for path, pieces in _splits(opened, folder, ".parquet"):
        with whole_file(path) as file, parquet.ParquetWriter(file, schema) as writer:
            for start in range(0, len(pieces), PIECES_A_GROUP):
                table = [_described(opened, piece) for piece in pieces[start : start + PIECES_A_GROUP].tolist()]
                writer.write_table(pyarrow.Table.from_pylist(table, schema=schema))
        files.append(path)
    return files


def export_npz(dataset: str | os.PathLike[str] | Dataset, folder: str | os.PathLike[str]) -> list[Path]:
    """Write an .npz file for each split that has pieces.

    Its arrays are `rows`, uint8 of shape (all frames, planes, 16), one piece after the other; `starts` and `frames`,
    the first row and the number of rows of each piece; `names`; the other columns of the pieces; and `grid`, a text
    such as ``"4 steps per beat"``. Nothing in it is pickled.

    Parameters, results and errors are those of :func:`export_parquet`, but that nothing else is needed.
    """
    opened = _opened(dataset)
    files = []
    for path, pieces in _splits(opened, folder, ".npz"):
        table = opened.pieces[pieces]
        columns = {name: table[name] for name in table.dtype.names or () if name not in ("shard", "file", "offset")}
        columns["starts"] = np.cumsum(table["frames"]) - table["frames"]
        columns["names"] = np.array([_name(opened, piece) for piece in pieces.tolist()])
        columns["grid"] = np.array(str(opened.grid))
        del columns["start"]
        with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            with archive.open(_member("rows"), "w", force_zip64=True) as member:
                shape = (int(table["frames"].sum()), len(opened.planes), ROW_BYTES)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for piece in pieces.tolist():
                    member.write(opened.rows(piece).reshape(-1).data)
            for name, column in columns.items():
                with archive.open(_member(name), "w", force_zip64=True) as member:
                    _write_array(member, column)
        files.append(path)
    return files


def _opened(dataset: str | os.PathLike[str] | Dataset) -> Dataset:
    opened = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    opened.check_whole()
    return opened


def _splits(dataset: Dataset, folder: str | os.PathLike[str], ending: str) -> Iterator[tuple[Path, NDArray[np.int64]]]:
    """Name a file for each split with pieces, in a folder that is made first."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RollcoreError(f"{os.fspath(folder)}: cannot be made: {error.strerror}; name another folder") from error
    for split in SPLITS:
        pieces = dataset.split(split)
        if len(pieces):
            yield Path(folder) / f"{split}{ending}", pieces


def _settings(dataset: Dataset) -> dict[str, str]:
    return {
        "grid_unit": dataset.grid.unit,
        "grid_rate": str(dataset.grid.rate),
        "planes": ",".join(dataset.planes),
        "options": json.dumps(dataset.options, sort_keys=True),
    }


def _described(dataset: Dataset, piece: int) -> dict[str, Any]:
    entry = dataset.pieces[piece]
    return {
        "name": _name(dataset, piece),
        "rows": dataset.rows(piece).tobytes(),
        "time_signature": "/".join(map(str, entry["time_signature"].tolist())),
        **{name: int(entry[name]) for name in _NUMBERS},
        **{name: entry[name].astype(">u8").tobytes().hex() for name in _DIGESTS},
    }


def _name(dataset: Dataset, piece: int) -> str:
    """Return the name of a piece; bytes that are not UTF-8 are escaped, since other tools refuse them."""
    return os.fsencode(dataset.name(piece)).decode("utf-8", "backslashreplace")


def _member(name: str) -> zipfile.ZipInfo:
    """Name an array of an .npz, with a time that is always the same."""
    return zipfile.ZipInfo(f"{name}.npy")


def _write_array(file: Any, array: NDArray[Any]) -> None:
    target: BinaryIO = file
    np.lib.format.write_array(target, np.asarray(array, order="C"), allow_pickle=False)
