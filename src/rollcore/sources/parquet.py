"""MIDI files in a column of a Parquet table, as sets of a million files are published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from rollcore.errors import RollcoreError
from rollcore.sources.members import MAX_MEMBER_BYTES

__all__ = ["check_parquet", "is_parquet", "read_parquet"]

#: Rows that are read at a time.
ROWS = 256


def is_parquet(path: bytes) -> bool:
    """Say whether a name is that of a Parquet table."""
    return path.lower().endswith(b".parquet")


def check_parquet(path: bytes, column: str | None) -> None:
    """Raise a `RollcoreError` unless a table can be opened and has the column."""
    with _opened(path) as table:
        _column(table, os.fsdecode(path), column)


def read_parquet(path: bytes, column: str | None) -> Iterator[tuple[bytes, bytes, str | None]]:
    """Read the MIDI files of a table, a part of a row group at a time.

    Parameters
    ----------
    path
        The table.
    column
        Column of bytes, or of a struct of ``bytes`` and ``path`` as Hugging Face's datasets have it; where it is None
        the only such column.

    Yields
    ------
    name : bytes
        The row's path where it has one, otherwise its number, with at least six digits.
    contents : bytes
        At most `MAX_MEMBER_BYTES`; empty where there is a reason.
    reason : str or None
        Why the row cannot be read.

    Raises
    ------
    RollcoreError
        When the table cannot be opened, has no such column, or is damaged further on.
    """
    import pyarrow as pa

    shown = os.fsdecode(path)
    with _opened(path) as table:
        name = _column(table, shown, column)
        row = 0
        try:
            for batch in table.iter_batches(batch_size=ROWS, columns=[name]):
                for value in batch.column(0):
                    yield _member(value.as_py(), row)
                    row += 1
        except (pa.ArrowException, OSError) as error:
            raise RollcoreError(f"{shown}: damaged after row {row:,}: {_first_line(error)}") from None


def _member(value: Any, row: int) -> tuple[bytes, bytes, str | None]:
    name = None
    if isinstance(value, dict):
        name, value = value["path"], value["bytes"]
    shown = os.fsencode(name) if name else b"%06d" % row
    if value is None:
        return shown, b"", "in table: no content"
    if len(value) > MAX_MEMBER_BYTES:
        return shown, b"", f"in table: larger than {MAX_MEMBER_BYTES >> 20} MiB"
    return shown, value, None


def _opened(path: bytes) -> Any:
    """Open a table without reading its rows."""
    shown = os.fsdecode(path)
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise RollcoreError(f"{shown}: .parquet needs pyarrow: pip install 'rollcore[parquet]'") from None
    try:
        return parquet.ParquetFile(shown, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise RollcoreError(f"{shown}: not a Parquet table that can be read: {_first_line(error)}") from None


def _column(table: Any, shown: str, column: str | None) -> str:
    """Return the name of the column that holds the files."""
    suitable = [field.name for field in table.schema_arrow if _holds_files(field.type)]
    if column in suitable:
        return str(column)
    if column is None and len(suitable) == 1:
        return str(suitable[0])
    there = f"; columns that hold bytes: {', '.join(suitable)}" if suitable else "; no column holds bytes"
    if column is None:
        raise RollcoreError(f"{shown}: say which column holds the MIDI files (--column){there}")
    raise RollcoreError(f"{shown}: no column {column!r} of bytes, or of a struct of bytes and path{there}")


def _holds_files(kind: Any) -> bool:
    """Say whether a type is that of bytes, or of a struct of ``bytes`` and ``path``."""
    from pyarrow import types

    if types.is_struct(kind):
        fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return fields.keys() == {"bytes", "path"} and _holds_files(fields["bytes"])
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
