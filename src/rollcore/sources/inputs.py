"""Where MIDI files come from: folders, single files, lists and archives, as batches of members.

Everything here works on file-system bytes, so a name that is no valid UTF-8 is as good as any other. A member
that cannot be read is handed on with a reason and counts as found; only an input that is not there at all is
an error.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rollcore.errors import RollcoreError
from rollcore.sources.archives import ArchiveError, is_archive, is_midi_name, needs_zstd, read_archive, zstd_module

__all__ = ["Batch", "batches"]

PathInput: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"

#: A batch of archive members is handed on once it holds this much, whatever its number of members.
MAX_BATCH_BYTES = 32 << 20

#: name, path to open (None for a member of an archive), contents (of a member of an archive), reason
_Member: TypeAlias = "tuple[bytes, bytes | None, bytes, str | None]"


@dataclass
class Batch:
    """Some members in their order, either all files to open or all contents at hand.

    Attributes
    ----------
    names
        One display name a member, in file-system bytes: unique in a build, and the same on every machine.
    paths
        The files to open, or None where the members came out of an archive.
    blobs
        The contents of members of an archive (``b""`` where there is a reason), or None where they are files.
    reasons
        Why a member cannot be read, None where nothing is known against it. A file may still turn out to be
        unreadable, or gone, when it is opened.
    """

    names: list[bytes] = field(default_factory=list)
    paths: list[bytes] | None = None
    blobs: list[bytes] | None = None
    reasons: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)


def batches(inputs: PathInput | Sequence[PathInput], *, size: int = 256) -> Iterator[Batch]:
    """Find the MIDI files of some inputs, in an order that depends on names alone.

    A folder is walked in sorted byte order, links followed, each directory entered once; its ``.mid``,
    ``.midi``, ``.kar``, ``.rmi`` and ``.smf`` files count, in any case. A file named outright counts whatever
    its extension, unless it is an archive (``.zip``, or ``.tar``, plain or with ``.gz``, ``.bz2``, ``.xz``,
    ``.zst``): then its members with those extensions do, those of a zip in the order of the same folder, those
    of a tar in its own. Archives inside folders and archives are left alone. A string ``@files.txt`` is a list,
    one path a line (or each ended by NUL, as by ``find -print0``), ``-`` is one on standard input; relative
    paths count from the current directory, and a line may name a folder or an archive too.

    Parameters
    ----------
    inputs
        One input or several. A `pathlib.Path` is never taken for a list.
    size
        Most members a batch holds, at least 1.

    Returns
    -------
    iterator of Batch
        Names are relative to the folder or archive; with several inputs the input's own name, as given,
        stands before them. Files from a list keep the name their line has.

    Raises
    ------
    RollcoreError
        At the call, when an input is not there; later, when a list or a top folder cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.MID", "a.kar", "notes.txt"):
    ...         pathlib.Path(folder, name).touch()
    ...     [batch.names for batch in batches(folder)]
    [[b'a.kar', b'b.MID']]
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    sources = [inputs] if isinstance(inputs, str | bytes | os.PathLike) else list(inputs)
    for source in sources:
        if _is_list(source):
            continue
        path = os.fsencode(source)
        if (missing := _missing(path)) is not None:
            shown = os.fsdecode(path)
            raise RollcoreError(f"{shown}: {missing}; name a folder, a MIDI file, an archive or @list")
        if needs_zstd(path):
            zstd_module()
    walks_one_folder = len(sources) == 1 and not _is_list(sources[0])
    return _collect(_unique(_members(sources), walks_one_folder), size)


def _is_list(source: PathInput) -> bool:
    return isinstance(source, str) and (source == "-" or (source.startswith("@") and len(source) > 1))


def _missing(path: bytes) -> str | None:
    """Say why an input is not there; None where it is."""
    try:
        os.stat(path)
    except OSError as error:
        return _words(error)
    except ValueError:
        return "not a file name"  # it holds a NUL byte
    return None


def _words(error: OSError) -> str:
    """Give the system's own words in lower case, without the file's name, so that reasons can be counted."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _collect(members: Iterator[_Member], size: int) -> Iterator[Batch]:
    """Group members: `size` at most, files apart from contents, contents bounded in bytes."""
    batch, of_files, held = Batch(), True, 0
    where: list[bytes] = []
    for name, path, blob, reason in members:
        if not where or (path is not None) is not of_files or len(where) == size or held > MAX_BATCH_BYTES:
            if where:
                yield batch
            where, of_files, held = [], path is not None, 0
            batch = Batch(paths=where) if of_files else Batch(blobs=where)
        batch.names.append(name)
        where.append(blob if path is None else path)
        batch.reasons.append(reason)
        held += len(blob)
    if where:
        yield batch


def _unique(members: Iterator[_Member], walks_one_folder: bool) -> Iterator[_Member]:
    """Keep names unique: a path met again is the same file, an archive's member met again gets a number."""
    seen: set[bytes] = set()
    for member in members:
        name, path, blob, reason = member
        if path is not None and walks_one_folder:  # unique as they come, and 200,000 of them need no set
            yield member
            continue
        if name in seen:
            if path is not None:
                continue
            number = 2
            while (name := b"%b (%d)" % (member[0], number)) in seen:
                number += 1
        seen.add(name)
        yield name, path, blob, reason


def _members(sources: Sequence[PathInput]) -> Iterator[_Member]:
    for source in sources:
        if not _is_list(source):
            yield from _of_input(os.fsencode(source), named=len(sources) > 1)
            continue
        for path in _lines(str(source)):
            if (missing := _missing(path)) is None:
                yield from _of_input(path, named=True)
            else:
                yield path, path, b"", f"listed: {missing}{_hint(path, missing)}"


def _hint(path: bytes, missing: str) -> str:
    """Say where a listed path that is absent was looked for: many mean the folder of the list."""
    absent = missing == os.strerror(errno.ENOENT).lower() and not os.path.isabs(path)
    return " (relative paths count from the current directory)" if absent else ""


def _lines(source: str) -> list[bytes]:
    """Give the paths of a list; one made on Windows ends its lines with CR LF and may begin with a byte order mark."""
    try:
        if source == "-":
            if sys.stdin is None:
                raise RollcoreError("-: standard input is closed; name a list")
            text = sys.stdin.buffer.read()
        else:
            with open(source[1:], "rb") as file:
                text = file.read()
    except OSError as error:
        raise RollcoreError(f"{source}: cannot read the list: {_words(error)}; one path a line") from None
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes it
        try:
            text = text.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise RollcoreError(f"{source}: a list in damaged UTF-16: write it in UTF-8, one path a line") from None
    text = text.removeprefix(codecs.BOM_UTF8)
    lines = text.split(b"\0") if b"\0" in text else [line.removesuffix(b"\r") for line in text.split(b"\n")]
    return [line for line in lines if line]


def _of_input(path: bytes, *, named: bool) -> Iterator[_Member]:
    """Give the members of a folder, an archive or a file; `named` puts the input's own name before theirs."""
    prefix = _with_slash(path) if named else b""
    if os.path.isdir(path):
        yield from _walk(path, prefix)
        return
    shown = path if named else os.path.basename(path)
    if not os.path.isfile(path):
        yield shown, path, b"", "not a regular file"
        return
    if not is_archive(path):
        yield shown, path, b"", None
        return
    try:
        for name, blob, reason in read_archive(path):
            yield prefix + name, None, blob, reason
    except ArchiveError as error:
        yield shown, None, b"", str(error)
    except OSError as error:
        yield shown, None, b"", f"archive: {_words(error)}"


def _with_slash(folder: bytes) -> bytes:
    return folder.rstrip(b"/") + b"/"


def _walk(root: bytes, prefix: bytes) -> Iterator[_Member]:
    """Walk a folder without recursion; at any time it holds one listing for each level of depth."""
    skip = len(_with_slash(root))
    try:
        entered = {_identity(root)}
        levels = [(_with_slash(root), iter(_listing(root)))]
    except OSError as error:
        raise RollcoreError(f"{os.fsdecode(root)}: cannot list the folder: {_words(error)}") from None
    while levels:
        folder, entries = levels[-1]
        for name, is_folder, reason in entries:
            path = folder + name
            if not is_folder:
                yield prefix + path[skip:], path, b"", reason
                continue
            try:
                identity = _identity(path)
                if identity not in entered:
                    entered.add(identity)
                    levels.append((path + b"/", iter(_listing(path))))
                    break
            except OSError as error:
                yield prefix + path[skip:] + b"/", path, b"", f"folder: {_words(error)}"
        else:
            levels.pop()


def _identity(folder: bytes) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _listing(folder: bytes) -> list[tuple[bytes, bool, str | None]]:
    """Give the MIDI files and folders of a directory in byte order: name, whether a folder, reason.

    The directory's own listing says which entry is a file or a folder, so that only links are looked up.
    """
    found: list[tuple[bytes, bool, str | None]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if is_midi_name(name):
                found.append((name, *_kind(entry)))
            else:
                try:
                    if entry.is_dir():
                        found.append((name, True, None))
                except OSError:  # a link in a circle, and no MIDI file by its name
                    continue
    found.sort()
    return found


def _kind(entry: os.DirEntry[bytes]) -> tuple[bool, str | None]:
    """Say whether an entry with a MIDI name is a folder, and if neither that nor a file, why it is none."""
    try:
        if entry.is_file():
            return False, None
        if entry.is_dir():
            return True, None
        broken = entry.is_symlink() and not os.path.exists(entry.path)
        return False, "broken link" if broken else "not a regular file"
    except OSError as error:
        return False, "broken link" if error.errno == errno.ELOOP else _words(error)
