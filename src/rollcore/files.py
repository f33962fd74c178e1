"""Files that take their place when they are whole."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rollcore.errors import RollcoreError


def keep_mode(fd: int, replaced: str | os.PathLike[str]) -> None:
    """Give an open file the permissions of the one that it is to replace, if there is one."""
    with contextlib.suppress(OSError):  # not every file system has them
        os.fchmod(fd, stat.S_IMODE(os.stat(replaced).st_mode))


@contextlib.contextmanager
def whole_file(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write, which replaces what was there when the block ends well.

    Raises
    ------
    RollcoreError
        If it cannot be written; what was there before is unchanged then.
    """
    path = Path(os.path.realpath(target))  # a link stays one
    apart = not path.exists() or path.is_file()  # and so does a pipe
    part = path.with_name(f".{path.name}.{os.getpid()}.part") if apart else path
    try:
        with open(part, "wb") as file:
            if apart:
                keep_mode(file.fileno(), path)
            yield file
        if apart:
            os.replace(part, path)
    except OSError as error:
        raise RollcoreError(f"{os.fspath(target)}: cannot be written: {error.strerror or error}") from error
    finally:
        if apart:
            with contextlib.suppress(OSError):
                part.unlink()
