"""Entry points of the command: what runs before anything that takes time to import.

Ctrl-C in the first tenth of a second, while click is being imported, would show a traceback.
"""

from __future__ import annotations

import gc
import os
import platform
import signal
import sys
from types import FrameType

__all__ = ["expect_interruption", "rollcore"]

# What is imported is 50,000 objects, and none is garbage: to look for some after every 700 takes 10 ms.
OBJECTS_BETWEEN_COLLECTIONS = 100_000


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
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    # h5py asks for the whole of uname, where Python starts a process to learn this field: 9 ms of a small build's 120.
    platform.uname().processor = platform.machine()  # type: ignore[misc]
    from rollcore.cli import main

    status = main()
    gc.freeze()  # what is left goes with the process; to look through it first takes 10 ms
    sys.exit(status)
