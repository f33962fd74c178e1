"""Commands run as a user runs them: a fresh process, its wall time and its peak memory."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import ROOT

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
POLL_SECONDS = 0.005
# What is installed has been compiled. Of a checkout every command would compile all it imports: 35 ms of a build.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True)
class Usage:
    """What one command took. Megabytes are 10**6 bytes."""

    seconds: float
    resident_mb: float
    """Highest resident set, files that are mapped and shared libraries included."""
    private_mb: float
    """Highest anonymous and shared memory, mapped files aside."""
    output: str


def back_memory() -> None:
    """Write to most of the free memory once and let go of it.

    A virtual machine has its host find a page the first time that each is used, which costs more than what any
    contender does with it, and falls on whichever of them gets the page. Only where the system tells how much is free.
    """
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") * 3 // 4
    with mmap.mmap(-1, size) as memory:
        for start in range(0, size, os.sysconf("SC_PAGE_SIZE")):
            memory[start] = 1


def command(name: str) -> list[str]:
    """Give the command line of an installed command, or of its module where it is not installed."""
    script = Path(sys.executable).parent / name
    if script.exists():
        return [str(script)]
    return [sys.executable, "-m", *name.split("-", 1)]


def run(arguments: Sequence[str | Path]) -> str:
    """Run a command to its end and give its standard output; raise with its standard error if it fails."""
    done = subprocess.run([str(a) for a in arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def measure(arguments: Sequence[str | Path]) -> Usage:
    """Run a command to its end, watching its memory every few milliseconds (which costs it a little time)."""
    resident = private = 0

    def watch(pid: int) -> None:
        nonlocal resident, private
        while True:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                return
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            if "VmHWM" not in fields:  # a zombie has no memory left
                return
            resident = max(resident, int(fields["VmHWM"].split()[0]))
            private = max(private, int(fields["RssAnon"].split()[0]) + int(fields["RssShmem"].split()[0]))
            time.sleep(POLL_SECONDS)

    start = time.perf_counter()
    with subprocess.Popen(
        [str(a) for a in arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        watcher = threading.Thread(target=watch, args=(child.pid,))
        watcher.start()
        output = child.stdout.read() if child.stdout else ""
        child.wait()
        seconds = time.perf_counter() - start
        watcher.join()
    if child.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: exit code {child.returncode}: {output[-2000:]}")
    return Usage(seconds, resident * 1024 / 1e6, private * 1024 / 1e6, output)
