"""The group of the commands: all are found, imported when asked for, and end with the statuses that are promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import rollcore
from rollcore.errors import RollcoreError
from seq2seq import cli


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "sweep"])
def test_help_waits_for_no_framework(command):
    code = (
        f"import sys; from seq2seq.cli import run_one; status = run_one('{command}', ['--help'])\n"
        "assert status == 0 and not {'keras', 'tensorflow', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: seq2seq-" in done.stdout


def test_every_command_is_listed():
    modules = {path.stem for path in Path(cli.__file__).parent.glob("*.py")} - {"__init__", "options"}
    assert set(cli.COMMANDS) == modules
    context = click.Context(cli.cli)
    assert cli.cli.list_commands(context) == list(cli.COMMANDS)
    for name in cli.COMMANDS:
        command = cli.cli.get_command(context, name)
        assert isinstance(command, click.Command)
        assert all(option.help for option in command.params if isinstance(option, click.Option)), name
    assert cli.cli.get_command(context, "os") is None


def test_the_list_of_commands_imports_none_of_them():
    code = (
        "import sys; from seq2seq.cli import main; status = main(['--help'])\n"
        "assert status == 0 and 'seq2seq.cli.train' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = done.stdout[done.stdout.index("Commands:") :].splitlines()[1:]
    assert [line.split()[0] for line in listed] == list(cli.COMMANDS)


def test_the_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"seq2seq {rollcore.__version__}\n"


def test_a_command_that_is_not_there_is_bad_usage(capsys):
    assert cli.main(["compose"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "compose" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RollcoreError("x.h5: damaged"), 1, "error: x.h5: damaged\n"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ModuleNotFoundError("No module named 'keras'", name="keras"), 1, "pip install 'rollcore[cpu]'"),
        (ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib"), 1, "pip install 'rollcore[plot]'"),
    ],
)
def test_a_failure_is_a_line_and_a_status(monkeypatch, capsys, error, status, said):
    def fail():
        raise error

    monkeypatch.setattr("seq2seq.cli.models.shipped_models", fail)
    assert cli.main(["models"]) == status
    captured = capsys.readouterr().err
    assert said in captured
    assert captured.strip().count("\n") == 0  # after ^C the line begins anew


def test_a_command_has_a_name_of_its_own(capsys):
    assert cli.run_one("models", ["--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: seq2seq-models ")
