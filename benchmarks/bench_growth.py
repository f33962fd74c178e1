"""From a thousand files to two hundred thousand: time per file, and peak memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import corpus, process

GRID = (
    "--steps-per-beat",
    "4",
    "--planes",
    "sounding",
)  # rows of a fifth of the bytes: 200,000 files still fit the disk and the page cache
MEMORY_BAR_MB = 300


def _races(race: Any, scratch: Path, sizes: list[int], rounds: int) -> None:
    pytest.importorskip("rollcore")
    rollcore, out = process.command("rollcore"), scratch / "out.h5"

    def build(n_files: int) -> str:
        return process.run([*rollcore, "build-dataset", corpus.corpus(n_files), out, *GRID])

    one = corpus.corpus(1)
    names = {n: f"rollcore, {n:,} files" for n in sizes}
    for n in sizes:
        corpus.corpus(n)
    # The largest folder is the reference: should it alone become slower, the ratios to the others fall.
    contenders: dict[str, Any] = {names[n]: (lambda n=n: build(n), n) for n in reversed(sizes)}
    start_up = "rollcore, one file (start-up)"
    contenders[start_up] = lambda: process.run([*rollcore, "build-dataset", one, out, *GRID])
    spreads = race(
        contenders,
        question="Time per file as the folder grows, 4 steps per beat, whole command",
        before=lambda: out.unlink(missing_ok=True),
        rounds=rounds,
        quick_rounds=rounds,
    )
    fixed = spreads[start_up]["best"]
    slopes = {n: spreads[names[n]]["median"] - fixed / n for n in sizes}
    for n in sizes:
        race.fact(f"time per file at {n:,} files, start-up taken off", slopes[n] * 1e6, "µs")
        usage = process.measure([*rollcore, "build-dataset", corpus.corpus(n), out, *GRID])
        race.fact(f"peak memory at {n:,} files, mapped files aside", usage.private_mb, "MB", f"< {MEMORY_BAR_MB}")
        race.fact(f"peak resident set at {n:,} files, everything", usage.resident_mb, "MB")
        race.fact(f"output at {n:,} files", out.stat().st_size / 1e6, "MB")
        out.unlink()
    first, last = slopes[sizes[0]], slopes[sizes[-1]]
    race.fact(f"time per file, {sizes[-1]:,} over {sizes[0]:,} files", last / first, "", "<= 1.1")


@pytest.mark.only_quick
def test_growth_quick(race: Any, scratch: Path) -> None:
    _races(race, scratch, [1000, 6000], rounds=3)


@pytest.mark.only_full
def test_growth(race: Any, scratch: Path) -> None:
    _races(race, scratch, [1000, 6000, 20_000, 200_000], rounds=3)
