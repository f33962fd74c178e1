"""How a long command speaks to a person: lines that stay, one line that renews itself, and Ctrl-C heard in time."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from rollcore.console import printable

# How often the state is shown: on a terminal, where it renews itself, and elsewhere, where each is a line of a log.
RENEW_EVERY_S, LOG_EVERY_S = 0.2, 30.0


class Display:
    """Standard output of a training.

    Parameters
    ----------
    quiet : bool
        Whether to show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._stream = None if quiet else sys.stdout  # None, too, where the shell closed it
        self._terminal = self._stream is not None and self._stream.isatty()
        self._interval = RENEW_EVERY_S if self._terminal else LOG_EVERY_S
        self._shown, self._width = time.monotonic(), 0

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._stream is not None:
            self._erase()
            print(printable(text), file=self._stream, flush=True)
            self._shown = time.monotonic()

    def status(self, text: str) -> None:
        """Show how far the work is: at once on a terminal, every 30 seconds elsewhere."""
        now = time.monotonic()
        if self._stream is None or now - self._shown < self._interval:
            return
        self._shown = now
        if not self._terminal:
            print(printable(text), file=self._stream, flush=True)
            return
        line = printable(text)[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + line.ljust(self._width))
        self._width = len(line)
        self._stream.flush()

    def _erase(self) -> None:
        if self._width and self._stream is not None:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0

    def close(self) -> None:
        """Leave the line that renews itself."""
        self._erase()


class Interruption:
    """Takes note of the first Ctrl-C while the block runs, and of SIGTERM where it does as Ctrl-C does.

    The work looks at `received` where it can end in order; a second one ends it where it is. Signals that the process
    ignores or leaves to the system stay as they are, and so do all of them outside the main thread.
    """

    def __init__(self) -> None:
        self.received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(number)):
                    self._before[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            self._before[number](number, frame)
            return
        self.received = True
        # A print could meet another one that it interrupted.
        os.write(2, b"\nstopping after the current updates; once more stops at once\n")


def duration(seconds: float) -> str:
    """Return a length of time in words.

    Examples
    --------
    >>> duration(5.4), duration(154), duration(3600), duration(40_000)
    ('5 s', '2 min 34 s', '60 min', '11 h 7 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
