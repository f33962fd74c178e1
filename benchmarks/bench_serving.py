"""Music on request: how long one waits for 32 beats from a model that is served, the first time and later."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import pytest

BEATS, STEPS_PER_BEAT = 32, 4
TARGET_S = 1.0
REQUEST = {"primer_pitches": "C4 E4 G4", "frames": BEATS * STEPS_PER_BEAT, "seed": 1}
MODEL = "folk"


def test_the_page(race: Any) -> None:
    """`seq2seq serve`: JSON over HTTP on loopback; the model composes once before the server listens."""
    from seq2seq.deploy.server import MusicServer
    from seq2seq.sampling.generator import Generator

    generator = Generator.load(MODEL)
    with MusicServer(generator, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def ask() -> Any:
            body = json.dumps(REQUEST).encode()
            request = urllib.request.Request(f"{server.address}/compose", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)

        began = time.perf_counter()
        ask()
        race.fact("the first request after the server listens", time.perf_counter() - began, "s", f"< {TARGET_S}")
        race(
            {"seq2seq serve": ask},
            question=f"{BEATS} beats from the model `{MODEL}`, JSON over HTTP",
            unit="request",
            rounds=9,
            quick_rounds=3,
            seconds_target=TARGET_S,
        )
        server.shutdown()
        thread.join()


def test_the_model_of_mlflow(race: Any, scratch: Path) -> None:
    """What `mlflow models serve` calls for each request: the model as `mlflow.pyfunc.load_model` gives it."""
    for module in ("mlflow", "pandas"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'rollcore[mlflow]'")
    import mlflow

    from seq2seq.deploy import registry
    from seq2seq.shipped import weights_path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of type hints of its own
        mlflow.pyfunc.save_model(
            str(scratch / "model"),
            python_model=str(registry.CODE),
            artifacts={"weights": str(weights_path(MODEL))},
            pip_requirements=["rollcore"],
        )
        began = time.perf_counter()
        model = mlflow.pyfunc.load_model(str(scratch / "model"))
        race.fact("loading the model", time.perf_counter() - began, "s")
        began = time.perf_counter()
        model.predict([REQUEST])
        race.fact("the first request after that", time.perf_counter() - began, "s", f"< {TARGET_S}")
        race(
            {"model.predict": lambda: model.predict([REQUEST])},
            question=f"{BEATS} beats from the model `{MODEL}`, registered in MLflow",
            unit="request",
            rounds=9,
            quick_rounds=3,
            seconds_target=TARGET_S,
        )
