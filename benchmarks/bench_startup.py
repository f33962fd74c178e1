"""What a command costs before it does anything, and the smallest build that anyone runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import process


@pytest.mark.parametrize(("name", "target"), [("rollcore", 0.2), ("seq2seq-train", 0.4)])
def test_help(race: Any, name: str, target: float) -> None:
    pytest.importorskip("rollcore")
    command = [*process.command(name), "--help"]
    contenders: dict[str, Any] = {
        name: lambda: process.run(command),
        "floor: an empty Python program": lambda: process.run([sys.executable, "-c", "pass"]),
        "floor: import click": lambda: process.run([sys.executable, "-c", "import click"]),
        "import numpy": lambda: process.run([sys.executable, "-c", "import numpy"]),
    }
    race(contenders, question=f"`{name} --help`", unit="run", rounds=15, quick_rounds=5, seconds_target=target)


def test_sample_pack(race: Any, scratch: Path) -> None:
    pytest.importorskip("rollcore")
    from rollcore.sources.pack import make_chords

    folder, out = scratch / "chords", scratch / "out.h5"
    n_files = len(make_chords(folder))
    command = [*process.command("rollcore"), "build-dataset", folder, out]
    importing = [sys.executable, "-c", "import numpy, h5py"]
    race(
        {
            "rollcore": lambda: process.run(command),
            "floor: import numpy and h5py": lambda: process.run(importing),
        },
        question=f"The sample pack of {n_files} files → dataset, whole command",
        unit="build",
        before=lambda: out.unlink(missing_ok=True),
        rounds=15,
        seconds_target=0.6,
    )
