"""The MIDI files of a folder and the folders in it, in an order that names alone decide."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from rollcore.errors import RollcoreError
from rollcore.sources.members import is_midi_name, words

__all__ = ["walk", "with_slash"]


def with_slash(folder: bytes) -> bytes:
    """Return a folder's path with one slash at its end."""
    return folder.rstrip(b"/") + b"/"


def walk(root: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes, str | None]]:
    """Walk a folder without recursion; at any time it holds one listing for each level of depth.

    Links are followed, and each folder is entered once.

    Parameters
    ----------
    root
        The folder.
    prefix
        What stands before the names.

    Yields
    ------
    name : bytes
        Of a MIDI file, relative to the folder, behind the prefix; of a folder that cannot be listed, with a slash.
    path : bytes
        Where it is.
    reason : str or None
        Why it cannot be read.

    Raises
    ------
    RollcoreError
        When the folder itself cannot be listed.
    """
    try:
        entered = {_identity(root)}
        levels = [(with_slash(root), prefix, *_listing(root))]
    except OSError as error:
        raise RollcoreError(f"{os.fsdecode(root)}: cannot list the folder: {words(error)}") from None
    while levels:
        folder, below, names, others = levels[-1]
        for name in names:
            path = folder + name
            is_folder, reason = others.get(name, (False, None))
            if not is_folder:
                yield below + name, path, reason
                continue
            try:
                identity = _identity(path)
                if identity not in entered:
                    entered.add(identity)
                    levels.append((path + b"/", below + name + b"/", *_listing(path)))
                    break
            except OSError as error:
                yield below + name + b"/", path, f"folder: {words(error)}"
        else:
            levels.pop()


def _identity(folder: bytes) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _listing(folder: bytes) -> tuple[Iterator[bytes], dict[bytes, tuple[bool, str | None]]]:
    """Return the names of the MIDI files and folders of a folder in byte order, and what `_kind` says of the others.

    Those are what is not a plain file, which most are. The folder's own listing says which entry is a file or a folder,
    so that only links are looked up.
    """
    names: list[bytes] = []
    others: dict[bytes, tuple[bool, str | None]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if is_midi_name(name):
                if not entry.is_file(follow_symlinks=False):
                    others[name] = _kind(entry)
                names.append(name)
            elif name != b"__MACOSX":
                try:
                    if entry.is_dir():
                        others[name] = True, None
                        names.append(name)
                except OSError:  # a link in a circle, and not a MIDI file by its name
                    continue
    names.sort()
    return iter(names), others


def _kind(entry: os.DirEntry[bytes]) -> tuple[bool, str | None]:
    """Say whether an entry with a MIDI name is a folder, and if neither that nor a file, why not."""
    try:
        if entry.is_file():
            return False, None
        if entry.is_dir():
            return True, None
        broken = entry.is_symlink() and not os.path.exists(entry.path)
        return False, "broken link" if broken else "not a regular file"
    except OSError as error:
        return False, "broken link" if error.errno == errno.ELOOP else words(error)
