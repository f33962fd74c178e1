"""MLflow as a mirror of run folders, with its real server on loopback."""

import math
import time

import pytest

from fake_runs import losses, write_run
from seq2seq.cli import main
from seq2seq.run import TRAIN, VALIDATION
from seq2seq.steps import Step, Steps

TEST = {
    "split": "test",
    "scores": {"model": {"nats_per_frame": 1.75, "f1": 0.625, "frames": 100}},
    "endings": {"model": 2.5, "mean_length": 5.25},
}


@pytest.fixture
def client(mlflow_server, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'rollcore[mlflow]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return mlflow.MlflowClient(tracking_uri=mlflow_server)


def found(client, experiment, text=""):
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id], text)


def points(client, run, name):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def test_what_is_pushed_is_found_again(client, mlflow_server, tmp_path, capsys):
    history = losses(5, 1.8)
    run = write_run(
        tmp_path / "a", history, train={"epochs": 5}, model={"lags": (4, 8)}, samples=2, evaluation=TEST, dataset="one"
    )
    run.loss_picture.write_bytes(b"a picture")
    Steps([Step(8, 3.5, 1e9), Step(16, 3.25, 1e9 + 1)]).write(run.updates)
    assert main(["push", str(run.path), "--mlflow", mlflow_server]) == 0
    assert "5 epochs are in MLflow's run " in capsys.readouterr().out
    (there,) = found(client, "one", "params.units = '64' and metrics.validation_nats_per_frame < 3")
    assert points(client, there, VALIDATION) == [
        (epoch + 1, validation) for epoch, (_, validation) in enumerate(history)
    ]
    assert points(client, there, TRAIN) == [(epoch + 1, trained) for epoch, (trained, _) in enumerate(history)]
    assert points(client, there, "loss_of_updates") == [(8, 3.5), (16, 3.25)]
    assert (there.data.params["lags"], there.data.params["batch_size"]) == ("4,8", "8")
    assert (there.data.metrics["test_nats_per_frame"], there.data.metrics["test_f1"]) == (1.75, 0.625)
    assert there.data.metrics["test_ending_nats_per_piece"] == 2.5
    assert (there.info.run_name, there.info.status) == ("a", "FINISHED")
    assert there.data.tags["dataset"] == run.dataset["fingerprint"]
    (data,) = there.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("one", run.dataset["fingerprint"][:36])
    files = [file.path for file in client.list_artifacts(there.info.run_id)]
    assert files == ["loss.png", "samples"]
    kept = client.download_artifacts(there.info.run_id, "samples", str(tmp_path))
    assert (tmp_path / "samples" / "epoch-2.mid").read_bytes() == (run.samples / "epoch-2.mid").read_bytes(), kept


def test_what_is_sent_twice_is_there_once(client, mlflow_server, tmp_path):
    history = [*losses(3), (math.nan, 2.0)]
    run = write_run(tmp_path / "a", history, train={"epochs": 4}, dataset="two", samples=1)
    for _ in range(2):
        assert main(["push", str(run.path), "--mlflow", mlflow_server]) == 0
    (there,) = found(client, "two")
    assert len(points(client, there, VALIDATION)) == 4
    assert len(there.inputs.dataset_inputs) == 1
    # What is new is added: the folder lies elsewhere by now, and has one epoch more.
    other = write_run(tmp_path / "moved" / "a", [*history, (1.0, 1.5)], train={"epochs": 6}, dataset="two", samples=2)
    assert main(["push", str(other.path), "--mlflow", mlflow_server]) == 0
    (there,) = found(client, "two")
    assert [step for step, _ in points(client, there, VALIDATION)] == [1, 2, 3, 4, 5]
    assert there.info.status == "KILLED"  # of six epochs
    assert there.data.tags["changed.epochs"] == "6"


def test_runs_of_a_sweep_are_nested_in_one(client, mlflow_server, tmp_path):
    runs = [write_run(tmp_path / name, losses(2), dataset="three") for name in ("a", "b")]
    for _ in range(2):
        arguments = ["push", *(str(run.path) for run in runs), "--mlflow", mlflow_server, "--parent", "it's a sweep"]
        assert main(arguments) == 0
    there = {run.info.run_name: run for run in found(client, "three")}
    assert sorted(there) == ["a", "b", "it's a sweep"]
    parents = {there[name].data.tags["mlflow.parentRunId"] for name in ("a", "b")}
    assert parents == {there["it's a sweep"].info.run_id}


def test_a_wrong_address_or_folder_is_told_in_one_line(mlflow_server, tmp_path, capsys):
    run = write_run(tmp_path / "a", losses(2))
    began = time.monotonic()
    assert main(["push", str(run.path), "--mlflow", "http://me:secret@127.0.0.1:9"]) == 1
    assert time.monotonic() - began < 20
    told = capsys.readouterr().err
    assert told.startswith(f"error: {run.path}: not sent: ")
    assert told.count("\n") == 1
    assert "secret" not in told
    assert main(["push", str(tmp_path), "--mlflow", mlflow_server]) == 1
    assert "not a run folder" in capsys.readouterr().err
