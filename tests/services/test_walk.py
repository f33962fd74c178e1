"""The walk through an experiment in the README: each of its lines is run as it stands there, with a small model."""

import json
import os
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from small_dataset import write_dataset

README = Path(__file__).resolve().parents[2] / "README.md"
SMALL = ["model=seq2seq", "units=6", "input-frames=4", "target-frames=6", "transpose=3"]


def walk():
    """Return the lines of the first block under Experiments, as words."""
    text = README.read_text(encoding="utf-8").split("## Experiments\n", 1)[1]
    block = text.lstrip("\n").split("\n\n", 1)[0]
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def test_the_walk_of_the_readme(mlflow_server, tmp_path):
    pytest.importorskip("keras", reason="Keras is not installed: pip install 'rollcore[cpu]'")
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'rollcore[mlflow]'")
    write_dataset(tmp_path).rename(tmp_path / "my.h5")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    lines = walk()
    assert [line[:2] for line in lines] == [["seq2seq", name] for name in ("sweep", "compare", "push", "serve")]

    def command(line, *more):
        return [sys.executable, "-m", *(mlflow_server if word == "URI" else word for word in line), *more]

    def run(line, *more):
        done = subprocess.run(command(line, *more), cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    sweep, compare, push, serve = lines
    said = run(sweep, *(word for setting in SMALL for word in ("--set", setting)), "--quiet")
    assert said.count(": trained\n") == 4
    assert run(compare).count("epochs=") == 4
    page = (tmp_path / compare[compare.index("--html") + 1]).read_text(encoding="utf-8")
    assert all(run.name in page for run in (tmp_path / "runs/sweep").iterdir())
    assert "the model of" in run(push)
    name, alias = (push[push.index(option) + 1] for option in ("--register", "--alias"))
    client = mlflow.MlflowClient(tracking_uri=mlflow_server, registry_uri=mlflow_server)
    version = client.get_model_version_by_alias(name, alias)
    assert client.get_run(version.run_id).info.run_name == Path(push[2]).name
    with subprocess.Popen(
        command(serve, "--port", "0"), cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            address = server.stdout.readline().split()[1]
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert "<form" in answer.read().decode()
            asked = urllib.request.Request(f"{address}/compose", json.dumps({"frames": 16}).encode())
            asked.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert json.load(answer)
        finally:
            server.terminate()
