"""The command as a process of its own, and how it words an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def buffered():
    """Return the environment of a process whose output is buffered, as it is unless a user asks otherwise."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def start(*arguments, **options):
    """Run the command for real, and within reach of Ctrl-C, which a shell turns off for what it runs behind."""
    command = [sys.executable, "-m", "rollcore", *map(os.fspath, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def assert_one_line(error, *words):
    """Check that standard error is one line that holds some words."""
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    for word in words:
        assert word in error
