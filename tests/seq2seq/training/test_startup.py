"""What a command does before it needs Keras: standard error while TensorFlow is imported."""

import subprocess
import sys

import pytest

from rollcore import RollcoreError
from seq2seq.training.startup import import_keras

COMMANDS = ("train", "generate", "evaluate", "compare")
PROGRAM = """
import os
from seq2seq.training.startup import _silent
CLOSE
os.write(1, b"before\\n")
with _silent():
    print("I0000 00:00:1 2 port.cc:153] oneDNN custom operations are on.", file=open(2, "w", closefd=False))
    END
os.write(2, b"after\\n")
"""


def test_notices_are_left_out_while_tensorflow_is_imported():
    for end, status, said in (("pass", 0, b"after\n"), ("raise RuntimeError('no')", 1, b"RuntimeError: no\n")):
        program = PROGRAM.replace("CLOSE", "").replace("END", end)
        done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE)
        assert done.returncode == status
        assert done.stderr.endswith(said)
        assert b"oneDNN" not in done.stderr


def test_a_closed_standard_error_is_not_an_error():
    program = "import os; os.close(2)\nfrom seq2seq.training.startup import _silent\nwith _silent(): print('in')"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"in\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_runs_as_a_module_too(name):
    done = subprocess.run([sys.executable, "-m", "seq2seq", name, "--help"], stdout=subprocess.PIPE, check=True)
    assert done.stdout.startswith(f"Usage: seq2seq {name}".encode())


def test_a_backend_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "nonesuch")
    with pytest.raises(RollcoreError, match=r"KERAS_BACKEND=nonesuch: .* choose tensorflow, jax, torch"):
        import_keras()


@pytest.mark.parametrize("name", ["generate", "evaluate"])
def test_a_wrong_run_folder_shows_before_keras_is_imported(name, tmp_path):
    program = f"""
import sys
from seq2seq.cli import run_one
assert run_one("{name}", [{str(tmp_path)!r}]) == 1
assert "keras" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=True)
    assert b"not a run folder" in done.stderr
