"""Servers that tests run on loopback: how they are found, awaited, and ended with all their processes."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest


def mlflow_program():
    """Return the program `mlflow` of an environment that has the whole of it, servers included, or skip."""
    program = os.environ.get("MLFLOW_SERVER") or shutil.which("mlflow", path=str(Path(sys.executable).parent))
    if program is None or not Path(program).exists():
        pytest.skip("no MLflow server: MLFLOW_SERVER is to name the program mlflow of an environment with mlflow")
    lacking = [sys.executable, "-c", "import flask"] if "MLFLOW_SERVER" not in os.environ else None
    if lacking and subprocess.run(lacking, capture_output=True).returncode:
        pytest.skip("no MLflow server: what is installed here is mlflow-skinny")
    return program


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serving(command, address, log, **options):
    """Run a server until it answers at an address, and end it with all its processes when the block ends."""
    with open(log, "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options)
    try:
        for _ in range(1200):
            if server.poll() is not None:
                raise AssertionError(f"the server ended: {Path(log).read_text()[-2000:]}")
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    break
            time.sleep(0.1)
        else:
            raise AssertionError(f"the server does not answer: {Path(log).read_text()[-2000:]}")
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@contextlib.contextmanager
def mlflow_serving(folder):
    """Run an MLflow server on loopback, with SQLite; give its address and process."""
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'rollcore[mlflow]'")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [mlflow_program(), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONPATH", None)
    environment.pop("MLFLOW_TRACKING_URI", None)
    with serving(command, f"{address}/health", folder / "server.log", cwd=folder, env=environment) as server:
        yield address, server
