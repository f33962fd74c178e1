"""Trainings that log to a real MLflow server: alive, killed in the middle, and not there at all."""

import contextlib
import csv
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from fake_runs import losses as losses_of
from fake_runs import write_run
from seq2seq.errors import RunError
from seq2seq.run import TRAIN, VALIDATION
from seq2seq.training.tracking import tracked
from servers import mlflow_serving
from small_dataset import write_dataset

SMALL = ["--model", "seq2seq", "--units", "8", "--input-frames", "8", "--target-frames", "4"]
SMALL += ["--epochs", "16", "--samples", "0", "--seed", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pytest.importorskip("keras", reason="Keras is not installed: pip install 'rollcore[cpu]'")
    return write_dataset(tmp_path_factory.mktemp("data"))


def begin(data, run, *options):
    """Begin a training in a process of its own."""
    command = [sys.executable, "-m", "seq2seq", "train", str(data), "--run-dir", str(run), *SMALL, *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def losses(run):
    return [(row["epoch"], row[TRAIN], row[VALIDATION]) for row in rows(run)]


def files(run):
    return sorted(str(path.relative_to(run)) for path in run.rglob("*"))


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("plain") / "run"
    process = begin(data, run)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return run


def test_a_training_is_logged_while_it_goes_on(data, plain, mlflow_server, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'rollcore[mlflow]'")
    process = begin(data, tmp_path / "run", "--mlflow", mlflow_server, "--mlflow-parent", "all", "--tensorboard")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert losses(tmp_path / "run") == losses(plain)
    client = mlflow.MlflowClient(tracking_uri=mlflow_server)
    experiment = client.get_experiment_by_name("jsb").experiment_id
    (there,) = client.search_runs([experiment], "attributes.run_name = 'run'")
    sent = {point.step: point.value for point in client.get_metric_history(there.info.run_id, VALIDATION)}
    assert sent == {int(epoch): float(validation) for epoch, _, validation in losses(plain)}
    assert there.info.status == "FINISHED"
    assert there.data.metrics["loss_of_updates"] > 0
    assert there.data.metrics["test_nats_per_frame"] > 0  # of the table at the end
    assert [file.path for file in client.list_artifacts(there.info.run_id)] == ["loss.png"]
    (parent,) = client.search_runs([experiment], "attributes.run_name = 'all'")
    assert there.data.tags["mlflow.parentRunId"] == parent.info.run_id
    events = list((tmp_path / "run" / "tensorboard").iterdir())
    assert [file.name[:6] for file in events] == ["events"]


def assert_unharmed(process, run, plain, errors):
    """Check that a training ended as one without a server does."""
    assert process.returncode == 0, errors
    assert losses(run) == losses(plain)
    assert files(run) == files(plain)
    assert "Traceback" not in errors


def test_a_server_that_is_killed_changes_nothing_of_the_training(data, plain, tmp_path):
    with mlflow_serving(tmp_path) as (address, server):
        process = begin(data, tmp_path / "run", "--mlflow", address)
        while process.poll() is None and not (tmp_path / "run" / "metrics.csv").exists():
            time.sleep(0.01)
        os.killpg(server.pid, signal.SIGKILL)
        assert process.poll() is None, "the training was over before the server could be killed"
        _, errors = process.communicate(timeout=300)
    assert_unharmed(process, tmp_path / "run", plain, errors)
    assert "MLflow: not all was sent (" in errors
    assert errors.rstrip().endswith("send it with seq2seq push RUN --mlflow URI")


def test_a_server_that_is_not_there_changes_nothing_either(data, plain, tmp_path):
    process = begin(data, tmp_path / "run", "--mlflow", "http://127.0.0.1:9")
    _, errors = process.communicate(timeout=300)
    assert_unharmed(process, tmp_path / "run", plain, errors)
    assert errors.count("MLflow: ") == 2  # when it is noticed, and at the end


def test_a_server_that_is_silent_changes_nothing_either(data, plain, tmp_path):
    """It takes connections and never answers; the end of the training waits for a few seconds, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = begin(data, tmp_path / "run", "--mlflow", f"http://127.0.0.1:{silent.getsockname()[1]}")
        _, errors = process.communicate(timeout=300)
        silent.setblocking(False)
        silent.accept()[0].close()  # it was asked
    assert_unharmed(process, tmp_path / "run", plain, errors)
    assert "MLflow: not all was sent (" in errors
    assert errors.rstrip().endswith("send it with seq2seq push RUN --mlflow URI")


def test_how_a_training_ended_is_logged(mlflow_server, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'rollcore[mlflow]'")
    pytest.importorskip("keras", reason="Keras is not installed: pip install 'rollcore[cpu]'")
    client = mlflow.MlflowClient(tracking_uri=mlflow_server)
    ends = {"done": None, "stopped": None, "failed": RunError("not a number"), "ended": KeyboardInterrupt()}
    for name, error in ends.items():
        run = write_run(tmp_path / name, losses_of(2), train={"epochs": 3 if name == "stopped" else 2}, dataset="ends")
        with contextlib.suppress(RunError, KeyboardInterrupt), tracked(run.path, mlflow_uri=mlflow_server) as callbacks:
            callbacks[0].on_epoch_end(1)
            if error is not None:
                raise error
    found = client.search_runs([client.get_experiment_by_name("ends").experiment_id])
    expected = {"done": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "ended": "KILLED"}
    assert {run.info.run_name: run.info.status for run in found} == expected
