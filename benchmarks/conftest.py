"""The harness: contenders run in interleaved rounds, answers are compared before a time is kept.

A benchmark asks for the fixture ``race`` and hands it its contenders. Rounds go A B C, B C A, C A B, …, so
that a busy minute of the machine falls on all of them. What is kept is, for every contender, the median and
the quartiles of its seconds per unit, and of its ratio to the reference *within the same round*. Everything
lands in the ``extra_info`` of pytest-benchmark's JSON, where `benchmarks.report` finds it.
"""

from __future__ import annotations

import compileall
import gc
import importlib.util
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from benchmarks import corpus, process

PACKAGES = (
    *("rollcore", "numpy", "h5py", "mido", "symusic", "pretty_midi", "pypianoroll", "muspy"),
    *("keras", "tensorflow-cpu", "tensorflow", "torch", "jax", "pytest-benchmark"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="small corpora, few rounds: a few seconds per file")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile our modules to bytecode, as an installation does: the peers' were when pip installed them."""
    for package in ("rollcore", "seq2seq"):
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            compileall.compile_dir(Path(found.origin).parent, quiet=2)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add versions and host to the JSON; the host's name is nobody's business."""
    machine_info.pop("node", None)
    cpu = machine_info.get("cpu", {})
    machine_info["cpu"] = {key: cpu[key] for key in ("brand_raw", "arch", "count") if key in cpu}
    machine_info["cores"] = process.CORES
    machine_info["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    machine_info["load_average"] = [round(load, 2) for load in os.getloadavg()]
    machine_info["quick"] = bool(config.getoption("--quick"))
    machine_info["corpus"] = corpus.describe()
    machine_info["seed_files"] = corpus.sources()[0]
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    machine_info["versions"] = versions


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop what belongs to the other mode."""
    other = "only_full" if config.getoption("--quick") else "only_quick"
    dropped = [item for item in items if item.get_closest_marker(other)]
    items[:] = [item for item in items if item not in dropped]
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest) -> bool:
    """Whether this is the quick mode: small corpora, few rounds."""
    return bool(request.config.getoption("--quick"))


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Give an empty folder on the disk that also holds the corpora, emptied afterwards."""
    folder = corpus.cache_folder() / f"scratch-{os.getpid()}-{tmp_path.name}"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def _spread(values: list[float]) -> dict[str, float]:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": statistics.median(values), "low": low, "high": high, "best": min(values)}


class Race:
    """Interleaved contenders; see the module's docstring."""

    def __init__(self, benchmark: Any, quick: bool) -> None:
        self._benchmark = benchmark
        self._quick = quick
        self._info = benchmark.extra_info
        self._info.update(quick=quick, facts=[])

    def fact(self, what: str, value: float, unit: str, target: str = "") -> None:
        """Keep one more measured number; `target` is what it has to be, such as ``"< 300"`` or ``">= 5"``."""
        self._info["facts"].append({"what": what, "value": value, "unit": unit, "target": target})

    def note(self, text: str) -> None:
        """Keep a remark that belongs under the table."""
        self._info.setdefault("notes", []).append(text)

    def __call__(
        self,
        contenders: Mapping[str, Callable[[], object] | tuple[Callable[[], object], float]],
        *,
        question: str,
        unit: str = "file",
        units: float = 1,
        check: Callable[[dict[str, Any]], None] | None = None,
        before: Callable[[], object] | None = None,
        rounds: int = 9,
        quick_rounds: int = 5,
        targets: Mapping[str, float] | None = None,
        rate_target: float | None = None,
        seconds_target: float | None = None,
    ) -> dict[str, dict[str, float]]:
        """Run all contenders in interleaved rounds and keep their times and ratios.

        Parameters
        ----------
        contenders
            Name → function, or name → (function, units it works off in one call). The first is the reference.
        question
            What is measured, for the table.
        unit, units
            What one unit of work is called, and how many of them a call works off.
        check
            Called with name → result of one untimed call of each, before any time is taken, to assert that
            they agree.
        before
            Called before every timed call, outside of the clock (to remove the output of the call before).
        rounds, quick_rounds
            Timed calls of each contender.
        targets
            Name → how many times faster than that contender the reference has to be (below 1: how close to a
            floor).
        rate_target, seconds_target
            Units per second, or seconds per unit, that the reference has to reach.

        Returns
        -------
        dict
            Name → median, low, high quartile and best of the seconds per unit.
        """
        runs = {}
        for name, contender in contenders.items():
            call, count = contender if isinstance(contender, tuple) else (contender, units)
            runs[name] = (call, count)
        results = {name: call() for name, (call, _) in runs.items()}
        if check is not None:
            check(results)
        del results

        seconds: dict[str, list[float]] = {name: [] for name in runs}
        order = list(runs)

        def one_round() -> None:
            gc.collect()
            gc.disable()
            for name in order:
                call, count = runs[name]
                if before is not None:
                    before()
                start = time.perf_counter()
                call()
                seconds[name].append((time.perf_counter() - start) / count)
            gc.enable()
            order.append(order.pop(0))

        self._benchmark.pedantic(one_round, rounds=quick_rounds if self._quick else rounds, iterations=1)
        reference = next(iter(runs))
        ratios = {
            name: _spread([theirs / ours for theirs, ours in zip(times, seconds[reference], strict=True)])
            for name, times in seconds.items()
            if name != reference
        }
        spreads = {name: _spread(times) for name, times in seconds.items()}
        self._info.update(
            question=question,
            reference=reference,
            unit=unit,
            units={name: count for name, (_, count) in runs.items()},
            seconds=spreads,
            ratios=ratios,
            rounds=len(seconds[reference]),
            targets=dict(targets or {}),
            rate_target=rate_target,
            seconds_target=seconds_target,
        )
        return spreads


@pytest.fixture
def race(benchmark: Any, quick: bool) -> Race:
    """Give the function that races contenders and keeps what came out."""
    return Race(benchmark, quick)
