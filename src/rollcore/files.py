"""Files that take their place when they are whole, and what systems do differently about files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rollcore.errors import RollcoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Flags that not every system has: no copy of the descriptor for other programs, no line ends translated.
OPEN_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_BINARY", 0)
# Windows renames nothing that is open.
RENAMES_OPEN_FILES = os.name != "nt"
# Far behind the end of any file: where Windows locks, nobody else reads or writes.
_LOCKED_BYTE = 1 << 30
_one_at_a_time = threading.Lock()

_LONGEST_BEGINNING = 220  # bytes of a name that its unfinished file keeps


def lock(fd: int) -> bool:
    """Lock an open file against other processes that do the same, until it is closed.

    Returns
    -------
    bool
        False if the system or the file system has no locks.

    Raises
    ------
    BlockingIOError
        If another process has locked it.
    """
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif sys.platform == "win32":
            import msvcrt

            os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            return False
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):  # what Windows says
            raise BlockingIOError(error.errno, os.strerror(error.errno)) from error
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            return False
        raise
    return True


def write_at(fd: int, data: memoryview, offset: int) -> int:
    """Write at an offset, from any thread; returns how many bytes were written."""
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, offset)
    with _one_at_a_time:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Read at an offset, from any thread."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    with _one_at_a_time:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)


def allocate(fd: int, offset: int, size: int) -> None:
    """Reserve room in a file where the system can: cheaper than page by page, and a full disk shows at once."""
    if hasattr(os, "posix_fallocate"):  # macOS and Windows have none
        try:
            os.posix_fallocate(fd, offset, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # not every file system can
                raise


def keep_mode(fd: int, replaced: str | os.PathLike[str]) -> None:
    """Give an open file the permissions of the one that it is to replace, if there is one."""
    with contextlib.suppress(OSError, AttributeError):  # not every system, and not every file system, has them
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
    # Most file systems hold names of 255 bytes.
    begins = os.fsdecode(os.fsencode(path.name)[:_LONGEST_BEGINNING])
    part = path.with_name(f".{begins}.{os.getpid()}.part") if apart else path
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
