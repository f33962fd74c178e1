"""What several tests share: the real data, where it is found, and a small dataset."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(os.environ.get("ROLLCORE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


# Files that train models, run many processes or search for counterexamples: `make check` leaves them out.
SLOW = (
    "seq2seq/cli/test_evaluate.py",
    "seq2seq/cli/test_generate.py",
    "seq2seq/output/test_composition.py",
    "seq2seq/output/test_export.py",
    "seq2seq/training/",
    "seq2seq/models/test_architectures.py",
    "seq2seq/models/test_archive.py",
    "seq2seq/models/test_layers.py",
    "seq2seq/models/test_weights.py",
    "seq2seq/sampling/",
    "seq2seq/test_run.py",
    "rollcore/test_build.py",
    "rollcore/test_damage.py",
    "rollcore/test_fuzz_short.py",
    "rollcore/test_loading.py",
    "rollcore/test_smf_properties.py",
    "rollcore/test_windowing_processes.py",
    "rollcore/test_untrusted_",
    "seq2seq/models/test_echo.py",
    "rollcore/test_smf_conformance.py",
    "test_benchmarks.py",
    "test_docs.py",
    "test_quality.py",
)


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell lets what runs in its background ignore it, and so do the processes that a test begins."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in a slow file, or reads all real files."""
    for item in items:
        real = {"midi_folder", "rolls_folder"} & set(getattr(item, "fixturenames", ()))
        if real or any(part in item.path.as_posix() for part in SLOW):
            item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end what was skipped for want of data or a program, and how to get it."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        terminalreporter.section("skipped for want of something")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count:4} {reason}")


@pytest.fixture(scope="session")
def midi_folder() -> Path:
    """Folder of real MIDI files; set ROLLCORE_DATA to the folder that holds `midi/` and `rolls/`."""
    folder = DATA / "midi"
    if not folder.is_dir():
        pytest.skip("no real MIDI files: set ROLLCORE_DATA to a folder that holds midi/")
    return folder


@pytest.fixture(scope="session")
def rolls_folder() -> Path:
    """Folder of the four standard piano-roll datasets as .mat files."""
    folder = DATA / "rolls"
    if not folder.is_dir():
        pytest.skip("no .mat datasets: set ROLLCORE_DATA to a folder that holds rolls/")
    return folder
