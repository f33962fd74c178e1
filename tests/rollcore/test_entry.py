"""What runs before anything that takes time to import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def test_an_interruption_while_the_command_is_being_loaded(tmp_path):
    """Ctrl-C while click is imported, which takes longer than all that stands before it."""
    (tmp_path / "click").mkdir()
    (tmp_path / "click" / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    for module in ("rollcore", "seq2seq"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Python asks Windows itself through a process")
def test_a_build_starts_no_other_process(midi, tmp_path):
    """The import of h5py asks the system for what Python starts a process to learn."""
    program = (
        "import sys; sys.addaudithook(lambda event, _: event == 'subprocess.Popen' and sys.exit('a process'));"
        "from rollcore.entry import rollcore; rollcore()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "build-dataset", str(midi), str(tmp_path / "out.h5")],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_shell_completes_the_commands():
    """As Bash asks for it, once it was told to by the lines of docs/get-started.md."""
    words = {"rollcore": "build-dataset", "seq2seq": "generate"}
    for name, command in words.items():
        variable = f"_{name.upper()}_COMPLETE"
        program = f"import sys; sys.argv = ['{name}']; from {name}.entry import {name}; {name}()"
        asked = {variable: "bash_complete", "COMP_WORDS": f"{name} {command[:3]}", "COMP_CWORD": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **asked}, capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == (f"plain,{command}\n", "")
