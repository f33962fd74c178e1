"""`seq2seq push`: what it refuses before anything is sent. That it sends is tested with real servers."""

import pytest

from fake_runs import losses, write_run
from seq2seq.cli import main


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "name an address such as az://models/run, or a server with --mlflow URI"),
        (["az://models/run", "--register", "music"], "--register and --parent are for an MLflow server"),
        (["--mlflow", "http://127.0.0.1:9", "--alias", "champion"], "--alias is for a model that --register names"),
        (["{run}", "--mlflow", "http://127.0.0.1:9", "--register", "music"], "--register is for one run, not for 2"),
        (["{run}", "az://models/run"], "an address in storage is that of one run, not of 2"),
    ],
)
def test_bad_usage_is_told_before_anything_is_sent(tmp_path, capsys, monkeypatch, options, told):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = str(write_run(tmp_path / "a", losses(2)).path)
    assert main(["push", run, *(option.format(run=run) for option in options)]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_that_is_not_a_run_is_told(tmp_path, capsys):
    run = str(write_run(tmp_path / "a", losses(2)).path)
    assert main(["push", run, str(tmp_path), "--mlflow", "http://127.0.0.1:9"]) == 1
    assert "not a run folder" in capsys.readouterr().err
    assert main(["push", run, "memory://models/run"]) == 1
    assert "holds no model yet" in capsys.readouterr().err
