"""What the tests against real programs share: a browser that counts requests and complaints, an MLflow server."""

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

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Open a file at a width in pixels; at the end no page may have complained or asked for anything but itself."""
    contexts, faults = [], []

    def opened(path, width=1280, scheme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, is_mobile=width < 500, has_touch=width < 500
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        address = path.as_uri()
        page.on("request", lambda request: None if request.url == address else faults.append(request.url[:200]))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def mlflow_program():
    """Return the program `mlflow` of an environment that has the whole of it, servers included, or skip."""
    program = os.environ.get("MLFLOW_SERVER") or shutil.which("mlflow", path=str(Path(sys.executable).parent))
    if program is None or not Path(program).exists():
        pytest.skip("no MLflow server: MLFLOW_SERVER is to name the program mlflow of an environment with mlflow")
    lacking = [sys.executable, "-c", "import fastapi"] if "MLFLOW_SERVER" not in os.environ else None
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


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory):
    with mlflow_serving(tmp_path_factory.mktemp("mlflow")) as (address, _):
        yield address
