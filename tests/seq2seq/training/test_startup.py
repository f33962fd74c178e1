"""What a command does before it needs Keras: standard error while TensorFlow is imported."""

import subprocess
import sys

import pytest

from rollcore import RollcoreError
from seq2seq.training.startup import import_keras

COMMANDS = ("train", "generate", "evaluate", "compare")
PROGRAM = """
import os
from seq2seq.training.startup import _without_notices
os.write(2, b"before\\n")
with _without_notices():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"I0000 00:00:1 2 port.cc:153] oneDNN custom operations are on. You may see\\n")
    os.write(2, b"E0000 what went wrong \\xff\\n")
    END
os.write(2, b"after\\n")
"""


@pytest.mark.parametrize(
    ("end", "status", "last"),
    [("pass", 0, b"after\n"), ("os.abort()", -6, b""), ("raise SystemExit(3)", 3, b"")],
    ids=["imported", "crashed", "failed"],
)
def test_notices_are_left_out_and_nothing_else(end, status, last):
    done = subprocess.run([sys.executable, "-c", PROGRAM.replace("END", end)], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (status, b"before\nE0000 what went wrong \xff\n" + last)


def test_without_grep_everything_is_shown():
    program = "import os; os.environ['PATH'] = '/nonexistent'" + PROGRAM.replace("END", "pass")
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=True)
    assert len(done.stderr.splitlines()) == 5


def test_a_closed_standard_error_is_no_error():
    program = (
        "import os; os.close(2)\nfrom seq2seq.training.startup import _without_notices\n"
        "with _without_notices(): print('in')"
    )
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
