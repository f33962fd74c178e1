"""How a command meets the terminal: errors of one line, interruptions, progress, and nothing raw."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time

import click
import pytest

from rollcore.cli import main
from rollcore.console import Progress, Screen, run_command


def test_an_interruption_that_a_library_makes_an_error_of(tmp_path):
    program = """
import os, signal, sys, time, click
from rollcore.console import Progress, Screen, run_command
name = sys.argv.pop()
@click.command()
def mangle():
    try:
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(10)
    except KeyboardInterrupt:
        pass
    raise RuntimeError("MISMATCH of exceptions")
sys.exit(run_command(mangle, None, "mangle"))
"""
    for name, status, said in (
        ("SIGTERM", 130, "error: interrupted"),
        ("SIGINT", 130, "error: interrupted"),
        ("SIGCONT", 1, "RuntimeError: MISMATCH of exceptions"),
    ):
        command = [sys.executable, "-c", program.replace("time.sleep(10)", "") if name == "SIGCONT" else program, name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (status, said)


ESCAPES = r"""
import sys, click, warnings
from rollcore.console import Progress, Screen, run_command
bad = "a\x1b]0;title\x07b\x9bc\u202ed\udce9"
@click.command()
def speak():
    click.echo("echo " + bad)
    click.echo("told " + bad, err=True)
    print("print", bad, "\tcaf\u00e9")
    print("error", bad, file=sys.stderr)
    warnings.warn(bad)
    raise click.ClickException(bad)
sys.exit(run_command(speak, [], "speak"))
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_that_a_command_writes_reaches_the_terminal_raw(encoding):
    done = subprocess.run(
        [sys.executable, "-c", ESCAPES],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 1
    escaped = rb"a\x1b]0;title\x07b\x9bc\u202ed\udce9"
    assert done.stdout == b"echo " + escaped + b"\nprint " + escaped + " \tcaf\u00e9\n".encode()
    assert done.stderr.count(escaped) == 4
    assert not set(done.stderr) - set(range(32, 127)) - {ord("\n")}


def test_the_streams_are_as_before_after_a_command(capsys):
    before = sys.stdout, sys.stderr
    assert main(["--version"]) == 0
    assert (sys.stdout, sys.stderr) == before


def test_screens_tell_of_the_stream_behind_them(tmp_path):
    with open(tmp_path / "x", "w", encoding="latin-1", errors="replace") as stream:
        screen = Screen(stream)
        assert (screen.encoding, screen.errors, screen.isatty()) == ("latin-1", "replace", False)
        assert screen.fileno() == stream.fileno()
        assert screen.write("a\x1bb\r\n") == 5
        screen.close()
        assert not stream.closed
    assert (tmp_path / "x").read_bytes() == b"a\\x1bb\r\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_progress(monkeypatch, terminal):
    stream = Terminal() if terminal else io.StringIO()
    now = [100.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("files") as progress:
        for count in range(1, 1001):  # ten seconds
            now[0] += 0.01
            progress(count, "12 frames")
    written = stream.getvalue()
    if terminal:
        assert 90 <= written.count("a second") <= 101
        assert "\n" not in written
        assert written.endswith("\r" + " " * len("1,000 files, 100 a second, 12 frames") + "\r")
    else:
        assert 1 <= written.count("\n") <= 2
        assert "\r" not in written
        assert "500 files, 100 a second, 12 frames\n" in written


def test_the_rate_is_that_since_the_last_count_of_nothing(monkeypatch):
    stream, now = io.StringIO(), [100.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("frames") as progress:
        now[0] += 20  # a model is loaded
        progress(0)
        now[0] += 5
        progress(1000)
    assert stream.getvalue().splitlines()[-1] == "1,000 frames, 200 a second"


def test_no_progress_of_what_is_done_at_once(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("files") as progress:
        progress(1)
    assert stream.getvalue() == ""


def test_a_missing_extra_is_one_line_with_the_remedy(capsys, monkeypatch):
    @click.command()
    def train():
        import keras  # noqa: F401

    monkeypatch.setitem(sys.modules, "keras", None)  # as if it were not installed
    assert run_command(train, [], "seq2seq-train", {"keras": "'rollcore[cpu]'"}) == 1
    assert capsys.readouterr().err == "error: seq2seq-train needs keras: pip install 'rollcore[cpu]'\n"
    with pytest.raises(ModuleNotFoundError):
        run_command(train, [], "train")
