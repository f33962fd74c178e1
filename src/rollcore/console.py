"""How a command meets the terminal: one-line errors, exit codes, progress, names that are safe to print."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, TextIO

import click

from rollcore.errors import RollcoreError

__all__ = ["Progress", "Screen", "printable", "run_command", "show_as"]

INTERRUPTED = 130
_shown: dict[str, str] = {}
# What click 8.2 and later raise where a group is called without arguments; before, it showed the help itself.
_NoArguments: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


def printable(text: str) -> str:
    r"""Escape what would garble a terminal: control characters and bytes that are no UTF-8.

    Examples
    --------
    >>> printable("a\nb"), printable("caf\udce9.mid"), printable("ñ 日本")
    ('a\\nb', 'caf\\udce9.mid', 'ñ 日本')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Screen(io.TextIOBase):
    """A text stream that lets nothing through but what can be shown, line ends, tabs and carriage returns.

    While a command runs it stands before standard output and standard error: names in an archive, settings in a file
    and the messages of other libraries cannot move the cursor, change colours or title of a terminal, or garble a log.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, escaped as `printable` does."""
        shown = text
        if not text.isprintable():
            shown = "".join(c if c in "\n\t\r" else printable(c) for c in text)
        self._stream.write(shown)
        return len(text)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """That of the stream."""
        return getattr(self._stream, "errors", None)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Leave the stream open: it is not this one's."""


@contextlib.contextmanager
def _screens() -> Iterator[None]:
    """Put a `Screen` before each of the standard streams."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            # A terminal that is said to know only ASCII is most likely set up wrongly; click takes it so, too.
            known = codecs.lookup(stream.encoding or "utf-8").name
            stream.reconfigure(encoding="utf-8" if known == "ascii" else known, errors="backslashreplace")
    sys.stdout, sys.stderr = (None if stream is None else Screen(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def show_as(path: str, name: str) -> None:
    """Let errors name a path otherwise, such as a copy in the cache by its address in storage."""
    _shown[path] = name


def run_command(
    command: click.Command, argv: Sequence[str] | None, name: str, extras: Mapping[str, str] | None = None
) -> int:
    """Run a click command and end in order: nothing that a user can cause shows a traceback.

    Parameters
    ----------
    command
        The command; it raises `RollcoreError` on bad data.
    argv
        Arguments without the program's name; those of the process when None.
    name
        The program's name in its help.
    extras
        Packages that may be missing, and what `pip install` is to be given for each.

    Returns
    -------
    int
        0 when all is well, 1 on bad data or a failing system, 2 on bad usage, 130 when interrupted. With 1 and 2
        there is one line on standard error, unless the reader of standard output has gone.
    """
    if f"_{name.replace('-', '_').upper()}_COMPLETE" in os.environ:  # a shell asks; click answers it in bytes
        return _run(command, argv, name, extras or {})
    with _screens():
        return _run(command, argv, name, extras or {})


def _run(command: click.Command, argv: Sequence[str] | None, name: str, extras: Mapping[str, str]) -> int:
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    if argv is None:  # a process of its own: what a job scheduler sends ends it as Ctrl-C does
        signal.signal(signal.SIGTERM, interrupt)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is in the background of a script
            signal.signal(signal.SIGINT, interrupt)
    try:
        try:
            result = command.main(args=argv, prog_name=name, standalone_mode=False)
            status = result if isinstance(result, int) else 0
        except _NoArguments as error:
            click.echo(error.format_message())
            status = 0
        finally:
            _flush()  # a full disk or a closed pipe shows here, not at the end of the process
    except click.UsageError as error:
        where = f"; see {error.ctx.command_path} --help" if error.ctx is not None else ""
        return _fail(error.format_message().rstrip(".") + where, error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except RollcoreError as error:
        return _fail(str(error), 1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name not in extras:
            raise
        return _fail(f"{name} needs {error.name}: pip install {extras[error.name]}", 1)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except MemoryError:
        return _fail("out of memory", 1)
    except SystemExit:  # click's way out when the reader of standard output has gone
        _drop_output()
        return 1
    except OSError as error:
        if error.errno == errno.EPIPE:
            return 1
        # Without a name it is the folder that was removed under our feet, or what we print to.
        unnamed = "current folder" if error.errno == errno.ENOENT else "standard output"
        where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else unnamed
        return _fail(f"{where}: {error.strerror or error}", 1)
    except Exception:
        # Some libraries make an error of their own of an interruption that finds them at work.
        if not received:
            raise
        return _fail("interrupted", INTERRUPTED)
    return status


def _flush() -> None:
    try:
        if sys.stdout is not None:  # None where the shell closed it
            sys.stdout.flush()
    except OSError:
        _drop_output()
        raise


def _drop_output() -> None:
    """Let what is left in the buffer go nowhere: it would fail once more when the process ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    for path in sorted(_shown, key=len, reverse=True):
        message = message.replace(path, _shown[path])
    click.echo(f"error: {printable(' '.join(message.split()))}", err=True)
    return status


class Progress:
    """A counter on standard error: one line that changes on a terminal, a line now and then in a log.

    Parameters
    ----------
    unit
        What is counted.

    Examples
    --------
    >>> with Progress("files") as progress:
    ...     progress(256, "3.1 h of music")
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._stream = sys.stderr  # None where the shell closed it
        self._terminal = self._stream is not None and self._stream.isatty()
        self._interval = 0.1 if self._terminal else 5.0
        self._began = self._shown = time.monotonic()
        self._width = 0

    def __call__(self, count: int, rest: str = "") -> None:
        """Show a count, at most ten times a second on a terminal and every five seconds elsewhere.

        The rate is that since the beginning, or since the last count of 0.
        """
        now = time.monotonic()
        if count == 0:
            self._began = now
        if self._stream is None or now - self._shown < self._interval:
            return
        self._shown = now
        rate = count / max(now - self._began, 1e-9)
        line = f"{count:,} {self._unit}, {rate:,.0f} a second" + (f", {rest}" if rest else "")
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._width and self._stream is not None:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
