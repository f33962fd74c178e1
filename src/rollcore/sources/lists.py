"""Lists of inputs: one path a line, and names with wildcards or braces."""

from __future__ import annotations

import codecs
import errno
import os
import re
import sys
from collections.abc import Iterator
from typing import TypeAlias

from rollcore import storage
from rollcore.errors import RollcoreError, StorageError
from rollcore.sources.members import words

__all__ = ["PathInput", "expand", "is_list", "missing", "missing_in_list", "read_list"]

PathInput: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"

#: Names that one pattern in braces may stand for.
MAX_NAMES = 1_000_000


def is_list(source: PathInput) -> bool:
    """Say whether an input is ``@list.txt`` or ``-``. A path object never is."""
    return isinstance(source, str) and (source == "-" or (source.startswith("@") and len(source) > 1))


def missing(path: bytes) -> str | None:
    """Say why an input is not there; None where it is."""
    if storage.is_remote(address := os.fsdecode(path)):
        try:
            storage.check_there(address)
        except StorageError as error:
            return str(error).removeprefix(f"{address}: ")
        return None
    try:
        os.stat(path)
    except OSError as error:
        return words(error)
    except ValueError:
        return "not a file name"  # it holds a NUL byte
    return None


def missing_in_list(path: bytes) -> str | None:
    """Say why a path in a list is not there, and where it was looked for: many mean the folder of the list."""
    reason = missing(path)
    if reason is None:
        return None
    absent = reason == os.strerror(errno.ENOENT).lower() and not os.path.isabs(path)
    return f"listed: {reason}" + (" (relative paths count from the current directory)" if absent else "")


def expand(source: PathInput) -> list[bytes]:
    """Return the paths that a name with braces and wildcards stands for, those of a wildcard in byte order.

    ``{000..099}`` is a range of numbers, ``{a,b}`` a choice, as in a shell and in lists of WebDataset shards; ``*``,
    ``?``, ``[…]`` and ``**`` are wildcards. What exists as it is written, and a path object, stands for itself.

    Raises
    ------
    RollcoreError
        When nothing is found.

    Examples
    --------
    >>> expand("train-{008..010}.tar")
    [b'train-008.tar', b'train-009.tar', b'train-010.tar']
    """
    if isinstance(source, str) and storage.is_remote(source):
        return [os.fsencode(address) for name in _braces(source) for address in storage.matching(name)]
    if not isinstance(source, str) or missing(os.fsencode(source)) is None or not re.search(r"[*?\[{]", source):
        return [os.fsencode(source)]
    import glob

    found: list[bytes] = []
    for name in _braces(source):
        if not glob.has_magic(name):
            found.append(os.fsencode(name))
        elif matches := glob.glob(name, recursive=True):
            found += sorted(map(os.fsencode, matches))
        else:
            raise RollcoreError(f"{name}: nothing is called so; check the path and the wildcard")
        if len(found) > MAX_NAMES:
            raise RollcoreError(f"{source}: stands for more than {MAX_NAMES:,} names; use a list, @files.txt")
    return found


def _braces(name: str) -> Iterator[str]:
    """Give the names that a name with braces stands for; braces that enclose neither a range nor a choice stay."""
    opening = name.find("{")
    closing = name.find("}", opening)
    if opening < 0 or closing < 0:
        yield name
        return
    head, inner = name[:opening], name[opening + 1 : closing]
    if (ends := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", inner)) is not None:
        first, last = ends.groups()
        width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
        step = 1 if int(first) <= int(last) else -1
        choices: Iterator[str] = (f"{n:0{width}d}" for n in range(int(first), int(last) + step, step))
    elif "," in inner:
        choices = iter(inner.split(","))
    else:
        choices = iter([f"{{{inner}}}"])
    tails = list(_braces(name[closing + 1 :]))
    for choice in choices:
        for tail in tails:
            yield head + choice + tail


def read_list(source: str) -> list[bytes]:
    """Return the paths of a list; one made on Windows ends its lines with CR LF and may begin with a byte order mark.

    Parameters
    ----------
    source
        ``@`` and the list's path, or ``-`` for standard input.

    Raises
    ------
    RollcoreError
        When the list cannot be read.
    """
    try:
        if source == "-":
            if sys.stdin is None:
                raise RollcoreError("-: standard input is closed; name a list")
            text = sys.stdin.buffer.read()
        else:
            with open(source[1:], "rb") as file:
                text = file.read()
    except OSError as error:
        raise RollcoreError(f"{source}: cannot read the list: {words(error)}; one path a line") from None
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes it
        try:
            text = text.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise RollcoreError(f"{source}: a list in damaged UTF-16: write it in UTF-8, one path a line") from None
    text = text.removeprefix(codecs.BOM_UTF8)
    lines = text.split(b"\0") if b"\0" in text else [line.removesuffix(b"\r") for line in text.split(b"\n")]
    return [line for line in lines if line]
