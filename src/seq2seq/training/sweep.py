"""A run for each combination of some settings: which there are, and the commands that train them."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollcore.console import INTERRUPTED
from seq2seq.errors import ConfigError
from seq2seq.training.progress import Interruption

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes
    ----------
    folder : Path
        Its run folder, named after the settings that vary.
    options : tuple of str
        The options of the command, such as ``("--epochs", "10")``.
    """

    folder: Path
    options: tuple[str, ...]


def plan_jobs(sets: Iterable[str], folder: Path) -> list[Job]:
    """Return a job for each combination of settings, the last of which varies fastest.

    Parameters
    ----------
    sets : iterable of str
        ``NAME=VALUE,VALUE…`` each; NAME is an option of the training without its dashes.
    folder : Path
        Where the run folders are.

    Raises
    ------
    ConfigError
        If a text is not of that form, or a name or a value stands there twice.
    """
    names, values = [], []
    for text in sets:
        name, equals, listed = text.partition("=")
        found = [value.strip() for value in listed.split(",")]
        if not equals or not re.fullmatch(r"[a-z][a-z-]*", name) or not all(found):
            raise ConfigError(f"{text!r} is not a setting and its values, such as epochs=10,50")
        if name in names or len(set(found)) < len(found):
            raise ConfigError(f"{text!r}: each setting and each of its values can be named once")
        names.append(name)
        values.append(found)
    jobs = []
    for combination in itertools.product(*values):
        pairs = list(zip(names, combination, strict=True))
        varied = [f"{name}={value}" for (name, value), every in zip(pairs, values, strict=True) if len(every) > 1]
        options = itertools.chain.from_iterable((f"--{name}", value) for name, value in pairs)
        jobs.append(Job(folder / (re.sub(r"[^\w=.,+-]", "_", ",".join(varied)) or "run"), tuple(options)))
    return jobs


def run_commands(
    commands: Sequence[Sequence[str]],
    at_once: int,
    interruption: Interruption,
    ended: Callable[[int, int, str], None],
    *,
    shown: bool,
) -> None:
    """Run commands of `seq2seq` as processes of their own, so that one that fails leaves the others alone.

    An interruption is passed on to those that run, which end in order, and no other begins.

    Parameters
    ----------
    commands : sequence
        The arguments of each.
    at_once : int
        How many may run side by side.
    interruption : Interruption
        Tells when to end.
    ended : callable
        Called with the number of a command, its exit status and the last line of its standard error.
    shown : bool
        Whether their standard output is that of this process.
    """
    waiting, told = list(enumerate(commands)), False
    running: dict[int, subprocess.Popen[str]] = {}
    try:
        while running or (waiting and not interruption.received):
            while waiting and len(running) < at_once and not interruption.received:
                number, arguments = waiting.pop(0)
                running[number] = subprocess.Popen(
                    [sys.executable, "-m", "seq2seq", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=None if shown else subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    start_new_session=True,  # or Ctrl-C would reach it twice, and the second ends it at once
                )
            if interruption.received and not told:
                told = True
                for process in running.values():
                    process.send_signal(signal.SIGINT)
            for number, process in list(running.items()):
                try:
                    said = process.communicate(timeout=_LOOK_EVERY_S / len(running))[1]
                except subprocess.TimeoutExpired:
                    continue
                del running[number]
                ended(number, process.returncode, (said.strip().splitlines() or [""])[-1])
            time.sleep(0 if not running else _LOOK_EVERY_S / 10)
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def failed(status: int) -> bool:
    """Whether an exit status is that of a command that neither ended well nor was interrupted."""
    return status not in (0, INTERRUPTED)
