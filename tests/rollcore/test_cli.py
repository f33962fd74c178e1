"""The command: what it prints, what it says of bad usage and bad data, and how it ends."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time

import pytest
from click.testing import CliRunner

import rollcore
from rollcore.cli import cli
from rollcore_command import assert_one_line, buffered, start

COMMANDS = ("make-chords", "build-dataset", "info", "report", "verify", "plot", "render", "import-mat")


# --- what it does


def test_help_comes_without_heavy_imports():
    code = (
        "import sys; from rollcore.cli import main; main(['--help'])\n"
        "print(sorted({'numpy', 'h5py', 'mido', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_no_arguments_show_the_help(run):
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "build-dataset" in out


def test_version(run):
    assert run("--version") == (0, f"rollcore {rollcore.__version__}\n", "")


def test_from_nothing_to_a_picture(run, tmp_path):
    status, out, err = run("make-chords", tmp_path / "midi")
    assert (status, err) == (0, "")
    assert out.startswith("156 MIDI files in ")
    status, out, err = run("build-dataset", tmp_path / "midi", tmp_path / "out.h5")
    assert (status, err) == (0, "")
    assert "files found" in out
    assert "files/s" in out
    assert run("verify", tmp_path / "out.h5")[0] == 0
    for piece in ("0", "A_harmonic_minor.mid"):
        status, out, err = run("plot", tmp_path / "out.h5", piece, tmp_path / "x.png")
        assert (status, err) == (0, "")
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


# --- what it says when something is wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], ["No such command"]),
        (["--frob"], ["No such option"]),
        (["info"], ["Missing argument", "rollcore info --help"]),
    ],
)
def test_bad_usage(run, arguments, words):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert_one_line(err, *words)


# --- how it ends


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_standard_output_on_a_full_disk(dataset):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "rollcore", "info", os.fspath(dataset)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=buffered())
    assert done.returncode == 1
    assert_one_line(done.stderr, "standard output: No space left")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_without_standard_streams(dataset, midi, tmp_path, closed):
    command = f'"{sys.executable}" -m rollcore build-dataset "{midi}" "{tmp_path / "out.h5"}" {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed == "2>&-")
    assert len(rollcore.open_dataset(tmp_path / "out.h5")) == len(rollcore.open_dataset(dataset))


def test_a_reader_that_goes_away(tmp_path, midi):
    os.makedirs(tmp_path / "many")
    for i in range(4000):  # more names than a pipe holds
        os.link(midi / "C_major.mid", tmp_path / "many" / f"{i:0100}.mid")
    rollcore.build_dataset(tmp_path / "many", tmp_path / "out.h5", fps=1)
    with start("report", tmp_path / "out.h5", env=buffered()) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(ends, tmp_path, midi):
    (tmp_path / "out.h5").write_bytes(b"")
    with start("build-dataset", "-", tmp_path / "out.h5", stdin=subprocess.PIPE) as process:
        process.stdin.write(os.fsencode(midi / "C_major.mid") + b"\n")
        process.stdin.flush()
        unread = bytes(4)
        while (unread := fcntl.ioctl(process.stdin, termios.FIONREAD, unread)) != bytes(4):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)  # it has read the line, and waits for the next
        process.send_signal(ends)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().strip() == "error: interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]
