"""Entry points of the command: what runs before anything that takes time to import.

Ctrl-C in the first tenth of a second, while click is being imported, would show a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["expect_interruption", "rollcore"]


def expect_interruption() -> None:
    """Let Ctrl-C and SIGTERM end the process in one line; `run_command` takes over once it runs."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, b"error: interrupted\n")
        os._exit(130)

    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background of a script
        signal.signal(signal.SIGINT, end)


def rollcore() -> None:
    """Run `rollcore` and end the process with its status."""
    expect_interruption()
    from rollcore.cli import main

    sys.exit(main())
