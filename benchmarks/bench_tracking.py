"""What a tracker costs a training: an MLflow server that answers, one that is gone, one that is silent, TensorBoard.

Trackers are fed by threads, so what they cost is mostly the import of their packages, once, and a wait of seconds at
the end where a server does not answer. The table has the wall time of whole trainings; the facts have processor time,
and the share of a training of ten minutes that it would be.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import peers, process

TARGET_PERCENT = 2
WHOLE_S = 600.0
EPOCHS = 30


@pytest.fixture
def server(scratch: Path) -> Iterator[str]:
    """Give the address of an MLflow server with SQLite on loopback, or skip."""
    program = os.environ.get("MLFLOW_SERVER")
    if program is None or not Path(program).exists():
        pytest.skip("no MLflow server: MLFLOW_SERVER is to name the program mlflow of an environment with mlflow")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    folder, address = scratch / "server", f"http://127.0.0.1:{port}"
    folder.mkdir()
    command = [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")
    }
    with open(folder / "log", "wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
                break
            time.sleep(0.2)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, 9)
        running.wait()


@pytest.mark.only_full
def test_a_training_with_trackers(race: Any, scratch: Path, server: str) -> None:
    if not peers.available("keras"):
        pytest.skip("keras is not installed")
    for module in ("mlflow", "tensorboard"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'rollcore[{module}]'")
    import rollcore

    rollcore.make_chords(scratch / "midi")
    rollcore.build_dataset(scratch / "midi", scratch / "chords.h5", steps_per_beat=4)
    command = [*process.command("seq2seq-train"), str(scratch / "chords.h5"), "--model", "seq2seq", "--units", "64"]
    command += ["--epochs", str(EPOCHS), "--samples", "0", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    runs = iter(range(1 << 30))
    used: dict[str, list[float]] = {}

    def training(name: str, *options: str) -> Callable[[], object]:
        def call() -> object:
            before = os.times()
            done = subprocess.run(
                [*command, "--run-dir", str(scratch / f"run-{next(runs)}"), *options],
                env=environment,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            after = os.times()
            spent = after.children_user + after.children_system - before.children_user - before.children_system
            used.setdefault(name, []).append(spent)
            return None

        return call

    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        places = {
            "without": (),
            "MLflow": ("--mlflow", server),
            "MLflow, server gone": ("--mlflow", "http://127.0.0.1:9"),
            "MLflow, server silent": ("--mlflow", f"http://127.0.0.1:{silent.getsockname()[1]}"),
            "TensorBoard": ("--tensorboard",),
        }
        race(
            {name: training(name, *options) for name, options in places.items()},
            question=f"A training of {EPOCHS} epochs of the sample pack, whole command",
            unit="training",
            before=lambda: [shutil.rmtree(path) for path in scratch.glob("run-*")],
            rounds=3,
        )
    for name, seconds in used.items():
        more = statistics.median(a - b for a, b in zip(seconds, used["without"], strict=True))
        race.fact(f"{name}: processor time", statistics.median(seconds), "s")
        if name != "without":
            percent = 100 * more / WHOLE_S
            race.fact(f"{name}: more than without, of a training of ten minutes", percent, "%", f"< {TARGET_PERCENT}")
    race.note(f"Python {sys.version.split()[0]}; the processor time of the server is not counted.")
