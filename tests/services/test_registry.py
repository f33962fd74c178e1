"""A run's model in MLflow's registry, loaded by its alias in another process, and served."""

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import rollcore
import seq2seq
from fake_runs import losses, write_run
from seq2seq.cli import main
from seq2seq.models.weights import save_weights
from seq2seq.sampling.corpus import Corpus
from servers import free_port, mlflow_program, serving
from small_dataset import write_dataset
from untrained import untrained

MODEL = {"model": "seq2seq", "low": 40, "high": 88, "input_frames": 20, "target_frames": 7, "units": 8}
NAME = "music"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    dataset = rollcore.open_dataset(write_dataset(folder))
    run = write_run(folder / "a", losses(2), model=MODEL, dataset="registry")
    save_weights(run.config, untrained(run.config), run.weights, Corpus.of(dataset).to_dict())
    return run


@pytest.fixture(scope="module")
def environment(mlflow_server):
    """That of a process which has the whole of MLflow, and this package."""
    source = str(Path(seq2seq.__file__).parents[1])
    return {
        **os.environ,
        "MLFLOW_TRACKING_URI": mlflow_server,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": source,
    }


@pytest.fixture(scope="module")
def registered(run, mlflow_server):
    pytest.importorskip("pandas", reason="pandas is not installed: pip install 'rollcore[mlflow]'")
    arguments = ["push", str(run.path), "--mlflow", mlflow_server, "--register", NAME, "--alias", "champion"]
    assert main(arguments) == 0
    return arguments


@pytest.fixture(scope="module")
def served(registered, environment, tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("serve")
    command = [mlflow_program(), "models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    address = f"http://127.0.0.1:{port}"
    program = str(Path(mlflow_program()).parent)
    path = {"PATH": f"{program}:{environment['PATH']}"}
    with serving(command, f"{address}/ping", folder / "log", cwd=folder, env=environment | path):
        yield f"{address}/invocations"


def post(address, *requests):
    """Return the status and the body of an answer."""
    body = json.dumps({"inputs": requests}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_what_is_registered_twice_is_one_version(registered, run, mlflow_server, capsys):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=mlflow_server, registry_uri=mlflow_server)
    assert main(registered) == 0
    assert f"models:/{NAME}/1: the model of {run.path}, @champion" in capsys.readouterr().out
    (version,) = client.search_model_versions(f"name = '{NAME}'")
    assert client.get_model_version_by_alias(NAME, "champion").version == version.version
    (there,) = client.search_runs([client.get_experiment_by_name("registry").experiment_id])
    assert (version.run_id, there.info.status) == (there.info.run_id, "KILLED")  # two epochs of twenty


def test_another_process_composes_with_the_champion(registered, environment):
    code = (
        "import json, sys, mlflow\n"
        f"model = mlflow.pyfunc.load_model('models:/{NAME}@champion')\n"
        "found = model.predict([{'frames': 16, 'seed': 3, 'num_outputs': 2}, {'frames': 8}])\n"
        "print(json.dumps([[len(one) for one in found], found[0][0]['seconds'], 'keras' in sys.modules]))"
    )
    python = str(Path(mlflow_program()).with_name("python"))
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    counts, seconds, keras = json.loads(done.stdout.splitlines()[-1])
    assert (counts, keras) == ([2, 1], False)
    assert seconds == 8  # 16 frames, one a beat, at 120 beats per minute


def test_a_request_is_answered_with_notes_figures_and_a_midi_file(served):
    status, body = post(
        served, {"primer_pitches": "C4 E4 G4", "frames": 32, "seed": 1, "temperature": 0.9, "scale": "C major"}
    )
    assert status == 200, body
    ((music,),) = json.loads(body)["predictions"]
    midi = rollcore.read_midi(base64.b64decode(music["midi"]))
    assert len(midi.notes) == len(music["notes"]) > 0
    heard = np.array(music["notes"])
    assert heard[:, 2].tolist() == midi.notes["pitch"].tolist()
    assert heard[:, 0] == pytest.approx(midi.seconds(midi.notes["onset_tick"]), abs=1e-5)
    assert {int(pitch) % 12 for pitch in heard[:, 2]} <= {0, 2, 4, 5, 7, 9, 11}
    assert music["seconds"] == 16
    assert music["figures"]["notes"] == len(music["notes"])
    # The same seed, the same music; a primer of one's own goes on.
    again = post(
        served, {"primer_pitches": "C4 E4 G4", "frames": 32, "seed": 1, "temperature": 0.9, "scale": "C major"}
    )
    assert again == (status, body)
    status, body = post(served, {"primer_midi": music["midi"], "frames": 8, "include_primer": True})
    assert status == 200, body
    assert json.loads(body)["predictions"][0][0]["primer_frames"] > 0


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"primer_pitches": "H4"}, "request 1: "),
        ({"frames": 100_000}, "request 1: frames must be at most 4,096 in one request, not 100,000"),
        ({"seconds": 5000}, "seconds must be at most 600"),
        ({"num_outputs": 1000}, "num_outputs must be at most 8"),
        ({"primer_midi": "!"}, "primer_midi is not base64"),
        ({"primer_midi": base64.b64encode(b"no MIDI").decode()}, "request 1: "),
        ({"time_signature": "4"}, "is not one such as 4/4"),
        ({"temperature": -1}, "temperature must be"),
        ({"frames": "many"}, "frames"),
        ({"primer": "/etc/passwd"}, "primer"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(served, request_, words):
    status, body = post(served, request_)
    assert status == 400
    told = json.loads(body)
    assert words in told["message"]
    assert "Traceback" not in body
    assert "stack_trace" not in told
    assert post(served, {"frames": 4})[0] == 200  # it goes on
