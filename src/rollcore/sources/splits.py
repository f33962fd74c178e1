"""Which split a file belongs to by its name: tables of names and splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollcore.errors import RollcoreError
from rollcore.sources.members import strip_ending, words

__all__ = ["NamedSplits", "read_splits"]

SPLITS = ("train", "validation", "test")
# Columns of a table with a header: which one has the split, and which one the file's name, by their usual headings.
_SPLIT_COLUMNS = ("split", "subset", "partition", "set", "fold")
_NAME_COLUMNS = ("midi_filename", "midi", "filename", "file_name", "file", "path", "midi_path", "name", "piece", "id")


def read_splits(path: str) -> dict[str, str]:
    """Read a table with the split of each file: with or without a header, separated by commas or tabs.

    A table without a header has two columns, the name and the split, in either order; names may hold commas. With one,
    the columns are found by their headings, so that the table of the MAESTRO dataset is read as it is.

    Parameters
    ----------
    path
        The table, UTF-8; bytes that are not are kept.

    Returns
    -------
    dict
        ``"train"``, ``"validation"`` or ``"test"`` by name.

    Raises
    ------
    RollcoreError
        When the table cannot be read, a line has no split, or a name has two.
    """
    import csv  # most builds need no table

    found: dict[str, str] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            for line, name, split in _rows(path, file):
                if found.setdefault(name, split) != split:
                    raise RollcoreError(f"{path}: line {line}: {name} is in another split already")
    except OSError as error:
        raise RollcoreError(f"{path}: cannot be read: {words(error)}; name a table of names and splits") from None
    except csv.Error as error:
        raise RollcoreError(f"{path}: cannot be read: {error}") from None
    return found


def _rows(path: str, file: Iterator[str]) -> Iterator[tuple[int, str, str]]:
    """Give line number, name and split of each row."""
    import csv

    first = next(file, "")
    separator = "\t" if "\t" in first else ","

    def lines() -> Iterator[str]:
        yield first
        yield from file

    rows = csv.reader(lines(), delimiter=separator)
    columns: tuple[int, int] | None = None  # of the name and the split; None where there are these two alone
    began = False
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if not began:
            began = True
            if not any(cell.strip() in SPLITS for cell in row):
                columns = _columns(path, [cell.strip().lower() for cell in row])
                continue
        if columns is None:
            name, split = _two(row, separator)
        else:
            name, split = (row[at] if at < len(row) else "" for at in columns)
        if split.strip() not in SPLITS or not name.strip():
            shown = separator.join(row)[:80]
            raise RollcoreError(
                f"{path}: line {rows.line_num}: expected the name of a file and train, validation or test; "
                f"found {shown!r}"
            )
        yield rows.line_num, name, split.strip()


def _columns(path: str, heading: list[str]) -> tuple[int, int] | None:
    """Return the columns of the name and of the split; None where the heading is that of two columns in any order."""
    if len(heading) == 2:
        return None
    split = next((heading.index(name) for name in _SPLIT_COLUMNS if name in heading), None)
    name = next((heading.index(name) for name in _NAME_COLUMNS if name in heading), None)
    if split is None or name is None:
        missing, known = ("split", _SPLIT_COLUMNS) if split is None else ("file", _NAME_COLUMNS)
        raise RollcoreError(
            f"{path}: line 1: no column tells the {missing}; call one {known[0]} (also known: {', '.join(known[1:])})"
        )
    return name, split


def _two(row: list[str], separator: str) -> tuple[str, str]:
    """Return name and split of a row that has nothing else; a name may hold the separator."""
    if len(row) > 1 and row[-1].strip() in SPLITS:
        return separator.join(row[:-1]), row[-1]
    if len(row) > 1 and row[0].strip() in SPLITS:
        return separator.join(row[1:]), row[0]
    return "", ""


class NamedSplits:
    """Splits by name, for files whose names are written in other ways than in a table.

    A file is found by its name as it stands; failing that, without blanks at its ends, without its ending, and by as
    many of its last folders as the table has; failing that, where the file's own name is the end of one name in the
    table alone.

    Parameters
    ----------
    splits
        Index of the split by name, in file-system bytes.

    Examples
    --------
    >>> splits = NamedSplits({b"2004/a": 0, b"b.mid": 2})
    >>> splits.place(b"maestro/2004/a.midi"), splits.place(b"2006/b.mid"), splits.place(b"c.mid")
    (0, 2, None)
    >>> splits.absent()
    []
    """

    def __init__(self, splits: Mapping[bytes, int]) -> None:
        self._splits = dict(splits)
        self._met: set[bytes] = set()
        self._loose: dict[bytes, bytes | None] = {}  # a name by its looser spelling, None where two have the same
        self._ends: dict[bytes, bytes | None] = {}  # a name by its last parts
        for name in self._splits:
            for spelling in {_loosened(name), _loosened(name, ending=False)}:
                _add(self._loose, spelling, name)
                parts = spelling.split(b"/")
                for first in range(1, len(parts)):
                    _add(self._ends, b"/".join(parts[first:]), name)

    def place(self, name: bytes) -> int | None:
        """Return the index of a file's split, None where the table does not have it."""
        found = self._find(name)
        if found is None:
            return None
        self._met.add(found)
        return self._splits[found]

    def absent(self) -> list[bytes]:
        """Return the names in the table that no file asked for has."""
        return [name for name in self._splits if name not in self._met]

    def _find(self, name: bytes) -> bytes | None:
        if name in self._splits:
            return name
        spellings = _loosened(name), _loosened(name, ending=False)
        parts = [spelling.split(b"/") for spelling in spellings]
        for first in range(len(parts[0])):
            for spelling in parts:
                if (found := self._loose.get(b"/".join(spelling[first:]), None)) is not None:
                    return found
        return self._ends.get(spellings[0]) or self._ends.get(spellings[1])


def _loosened(name: bytes, *, ending: bool = True) -> bytes:
    name = name.strip().removeprefix(b"./")
    return name if ending else strip_ending(name).strip()


def _add(table: dict[bytes, bytes | None], key: bytes, name: bytes) -> None:
    table[key] = name if table.get(key, name) == name else None
