"""Where MIDI files come from: folders, single files, lists, archives and tables, as batches of members.

Everything here works on file-system bytes, so a name that is not valid UTF-8 is as good as any other. A member
that cannot be read is handed on with a reason and counts as found; only an input that is not there at all is
an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rollcore.errors import RollcoreError
from rollcore.sources.archives import ArchiveError, is_archive, needs_zstd, read_archive, zstd_module
from rollcore.sources.folders import walk, with_slash
from rollcore.sources.lists import PathInput, expand, is_list, missing, missing_in_list, read_list
from rollcore.sources.members import Content, Gzipped, PlainFile, is_gzipped, is_midi_name, words
from rollcore.sources.parquet import check_parquet, is_parquet, read_parquet
from rollcore.storage import Listing, fetch, is_folder, is_remote

__all__ = ["Archive", "ArchiveMember", "Batch", "batches", "status_of"]

#: A batch of archive members is handed on once it holds this much, whatever its number of members.
MAX_BATCH_BYTES = 32 << 20

#: name, contents and reason of a member of an archive
ArchiveMember: TypeAlias = "tuple[bytes, Content, str | None]"
#: gives the members of an archive: of its path, its name as given, their prefix, and what reads them
Archive: TypeAlias = "Callable[[bytes, bytes, bytes, Iterator[ArchiveMember]], Iterator[ArchiveMember]]"

#: name, path to open (None for a member of an archive), contents (of a member of an archive), reason
_Member: TypeAlias = "tuple[bytes, bytes | None, Content, str | None]"


#: Files in storage that are read when their turn comes, by the paths of their copies.
_coming: dict[bytes, Listing] = {}


@dataclass(eq=False, repr=False)
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
        Some may still be compressed: :meth:`contents` gives them all.
    reasons
        Why a member cannot be read, None where nothing is known against it. A file may still turn out to be
        unreadable, or gone, when it is opened.
    """

    names: list[bytes] = field(default_factory=list)
    paths: list[bytes] | None = None
    blobs: list[Content] | None = None
    reasons: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def bring(self) -> None:
        """Fetch the files that are in storage.

        Raises
        ------
        StorageError
            When one cannot be fetched.
        """
        if not _coming:
            return
        paths = self.paths if self.paths is not None else [getattr(blob, "path", b"") for blob in self.blobs or []]
        waiting: dict[int, tuple[Listing, list[str]]] = {}
        for path in paths:
            if (listing := _coming.get(path)) is not None:
                waiting.setdefault(id(listing), (listing, []))[1].append(os.fsdecode(path))
        for listing, some in waiting.values():
            listing.bring(some)

    def contents(self) -> list[bytes]:
        """Return the contents, decompressed where they were not yet.

        This is the work of the thread that parses them, not of the one that finds them. Where it fails there is a new
        reason and no content.
        """
        found: list[bytes] = []
        for i, blob in enumerate(self.blobs or []):
            content = blob
            if not isinstance(content, bytes):
                content, self.reasons[i] = content.unpack()
            found.append(content)
        if self.blobs is not None:
            self.blobs[:] = found
        return found


def batches(
    inputs: PathInput | Sequence[PathInput],
    *,
    size: int = 256,
    column: str | None = None,
    archive: Archive | None = None,
) -> Iterator[Batch]:
    """Find the MIDI files of some inputs, in an order that depends on names alone.

    A folder is walked in sorted byte order, links followed, each directory entered once; its ``.mid``,
    ``.midi``, ``.kar``, ``.rmi`` and ``.smf`` files count, in any case, also with ``.gz`` behind (and ``.midi2``,
    ``.xmf`` and ``.mxmf``, so that a report can say what they are); what macOS puts beside files does not. A file
    named outright counts whatever its extension, unless it is an archive (``.zip``, or ``.tar``, plain or with ``.gz``,
    ``.bz2``, ``.xz``, ``.zst``): then its members with those extensions do, those of a zip in the order of the same
    folder, those of a tar in its own. Of a ``.parquet`` table every row counts. Archives and tables inside folders
    and archives are left alone. A string ``@files.txt`` is a list, one path a line (or each ended by NUL, as by
    ``find -print0``), ``-`` is one on standard input; relative paths count from the current directory, and a line may
    name a folder or an archive too. A string that is not the name of something may hold wildcards and braces:
    ``"train/*.parquet"``, ``"train-{000..099}.tar"``.

    Parameters
    ----------
    inputs
        One input or several. A `pathlib.Path` is never taken for a list or a wildcard.
    size
        Most members a batch holds, at least 1.
    column
        Column of Parquet tables that holds the files; the only one that can, when not given.
    archive
        Stands between each archive or table and its members: called with its path, the name it was given by, what
        stands before the names of its members, and what reads these.

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
    given = [inputs] if isinstance(inputs, str | bytes | os.PathLike) else list(inputs)
    sources: list[str | bytes] = []
    named = len(given) > 1
    for source in given:
        if is_list(source):
            sources.append(str(source))
            continue
        paths = expand(source)
        named |= paths != [os.fsencode(source)]
        sources += paths
    for path in sources:
        if isinstance(path, str):
            continue
        if (reason := missing(path)) is not None:
            raise RollcoreError(f"{os.fsdecode(path)}: {reason}; name a folder, a MIDI file, an archive or @list")
        if needs_zstd(path):
            zstd_module()
        if is_parquet(path) and os.path.isfile(path):  # one in storage is looked into when it has been fetched
            check_parquet(path, column)
    found = _members(sources, named, column, archive)
    # The names of one folder are unique as they come, and 200,000 of them need no set.
    one_folder = len(sources) == 1 and isinstance(sources[0], bytes) and os.path.isdir(sources[0])
    return _collect(found if one_folder else _unique(found), size)


def _collect(members: Iterator[_Member], size: int) -> Iterator[Batch]:
    """Group members: `size` at most, files apart from what an archive holds, contents bounded in bytes."""
    together: list[_Member] = []
    held, of_files = 0, True
    for member in members:
        _, path, content, _ = member
        is_file = path is not None or _is_file(member)
        if together and (is_file != of_files or len(together) == size or held > MAX_BATCH_BYTES):
            yield _batch(together)
            together, held = [], 0
        of_files = is_file
        together.append(member)
        held += len(content)
    if together:
        yield _batch(together)


def _batch(members: list[_Member]) -> Batch:
    """Return members as a batch: paths where all are files to open, which is the fastest, otherwise contents.

    Files of a folder stay together, some of them compressed or not.
    """
    names, reasons = [member[0] for member in members], [member[3] for member in members]
    paths = [path for _, path, _, _ in members if path is not None]
    if len(paths) == len(members):
        return Batch(names, paths, None, reasons)
    blobs = [blob if path is None or reason is not None else PlainFile(path) for _, path, blob, reason in members]
    return Batch(names, None, blobs, reasons)


def _is_file(member: _Member) -> bool:
    return member[1] is not None or (isinstance(member[2], Gzipped) and bool(member[2].path))


def _unique(members: Iterator[_Member]) -> Iterator[_Member]:
    """Keep names unique: a path met again is the same file, an archive's member met again gets a number."""
    seen: set[bytes] = set()
    for member in members:
        name, path, blob, reason = member
        if name in seen:
            if _is_file(member):
                continue
            number = 2
            while (name := b"%b (%d)" % (member[0], number)) in seen:
                number += 1
        seen.add(name)
        yield name, path, blob, reason


def _members(
    sources: Sequence[str | bytes], named: bool, column: str | None, archive: Archive | None
) -> Iterator[_Member]:
    for source in sources:
        if isinstance(source, bytes):
            yield from _of_input(source, named=named, column=column, archive=archive)
            continue
        for path in read_list(source):
            if (reason := missing_in_list(path)) is None:
                yield from _of_input(path, named=True, column=column, archive=archive)
            else:
                yield path, path, b"", reason


def _of_input(path: bytes, *, named: bool, column: str | None, archive: Archive | None) -> Iterator[_Member]:
    """Give the members of a folder, an archive, a table or a file; `named` puts the input's own name before theirs."""
    prefix = with_slash(path) if named else b""
    name_given = path
    if is_remote(address := os.fsdecode(path)) and is_folder(address):
        listing = Listing(address, _wanted)
        below = {os.fsencode(found.below): os.fsencode(copy) for copy, found in listing.files.items()}
        for name in sorted(below, key=lambda name: name.replace(b"/", b"\0")):  # as a folder is walked
            _coming[below[name]] = listing
            yield _file(prefix + name, below[name], None)
        return
    path = os.fsencode(fetch(address))
    if os.path.isdir(path):
        for name, found, reason in walk(path, prefix):
            if found.endswith(b".mid"):  # most need no further look
                yield name, found, b"", reason
            else:
                yield _file(name, found, reason)
        return
    shown = name_given if named else os.path.basename(path)
    if not os.path.isfile(path):
        yield shown, path, b"", "not a regular file"
    elif is_archive(path):
        try:
            members = read_archive(path)
            for name, content, reason in archive(path, name_given, prefix, members) if archive else members:
                yield prefix + name, None, content, reason
        except ArchiveError as error:
            yield shown, None, b"", str(error)
        except OSError as error:
            yield shown, None, b"", f"archive: {words(error)}"
    elif is_parquet(path):
        rows: Iterator[ArchiveMember] = read_parquet(path, column)
        for name, content, reason in archive(path, name_given, prefix, rows) if archive else rows:
            yield prefix + name, None, content, reason
    else:
        yield _file(shown, path, None)


def status_of(path: bytes) -> tuple[int, int]:
    """Return size and time, in nanoseconds, of a file that may have to be fetched from storage first.

    Raises
    ------
    OSError, ValueError
        If there is none.
    """
    if path in _coming:
        found = _coming[path].files[os.fsdecode(path)]
        return found.size, found.time_ns or 0
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _wanted(name: str) -> bool:
    return is_midi_name(os.fsencode(name))


def _file(name: bytes, path: bytes, reason: str | None) -> _Member:
    """Give a file as one to open, or to unpack where it is compressed."""
    if reason is not None or not is_gzipped(path):
        return name, path, b"", reason
    try:
        return name, None, Gzipped(None, path, status_of(path)[0]), None
    except OSError as error:
        return name, path, b"", words(error)
