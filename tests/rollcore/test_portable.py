"""What other systems lack: the same bytes are written without it. None of this was run on Windows itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rollcore
from rollcore import DatasetError, Grid, Midi
from rollcore.writer import DatasetWriter

WITHOUT = """
import builtins, mmap, os, sys

real = builtins.__import__
def refuse(name, *rest, **more):
    if name.split(".")[0] in ("fcntl", "resource", "pwd", "grp", "termios"):
        raise ImportError(f"no module {name}")
    return real(name, *rest, **more)

import filelock, h5py, numpy, importlib.metadata, pathlib, tempfile, subprocess, logging  # these know their systems
builtins.__import__ = refuse
for name in ("sysconf", "register_at_fork", "pread", "pwrite", "posix_fallocate", "fchmod", "sched_getaffinity",
             "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "mkfifo", "fork"):
    if hasattr(os, name):
        delattr(os, name)
for name in [name for name in dir(mmap) if name.startswith(("MADV_", "PROT_", "MAP_"))]:
    delattr(mmap, name)

import rollcore
import rollcore.files
rollcore.files.RENAMES_OPEN_FILES = False
import rollcore.loading
rollcore.loading.READS_PATHS = False
import rollcore.cli, seq2seq, seq2seq.cli, seq2seq.run
for module in rollcore.cli.COMMANDS.values():
    __import__(f"rollcore.cli.{module[0]}")
from rollcore.cli import main
source, out = sys.argv[1:]
assert main(["build-dataset", source, out]) == 0
dataset = rollcore.open_dataset(out)
assert dataset.verify() == []
windows = rollcore.windows(dataset, 8, partial=True)
windows.gather(range(len(windows)), threads=2)
del dataset, windows
assert main(["build-dataset", source, out]) == 0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("portable") / "midi"
    folder.mkdir()
    for i in range(40):
        notes = np.array([(0, 480 + 10 * i, 40 + i, 80, 0, 0), (i, 960, 50, 80, 0, 0)], rollcore.NOTE_DTYPE)
        rollcore.write_midi(Midi.from_notes(notes), folder / f"{i:02} ñ.mid")
    (folder / "empty.mid").touch()
    (folder / "gone.mid").symlink_to("nowhere")
    (folder / "page.mid").write_text("<html>")
    return folder


def test_nothing_that_only_some_systems_have_is_needed(folder, tmp_path):
    rollcore.build_dataset(folder, tmp_path / "usual.h5")
    code = [sys.executable, "-c", WITHOUT, str(folder), str(tmp_path / "out.h5")]
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "has no locks: nothing kept a second build" in done.stdout
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "usual.h5").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["out.h5", "usual.h5"]


def test_files_read_by_python_are_those_that_the_kernel_reads(folder, tmp_path, monkeypatch):
    copy = tmp_path / "midi"
    shutil.copytree(folder, copy, symlinks=True)
    (copy / "folder.mid").mkdir()
    with open(copy / "huge.mid", "wb") as file:
        file.truncate((64 << 20) + 1)
    if hasattr(os, "mkfifo"):
        os.mkfifo(copy / "pipe.mid")
    usual = rollcore.build_dataset(copy, tmp_path / "usual.h5")
    monkeypatch.setattr("rollcore.loading.READS_PATHS", False)
    report = rollcore.build_dataset(copy, tmp_path / "x.h5")
    assert report.reasons == usual.reasons
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "usual.h5").read_bytes()
    monkeypatch.setattr("rollcore.loading.ROOM_BYTES", 1)  # one at a time
    report = rollcore.build_dataset(copy, tmp_path / "x.h5")
    assert (report.found, report.pieces, report.reasons) == (usual.found, usual.pieces, usual.reasons)


def test_a_system_that_replaces_nothing_that_is_open_says_so(folder, tmp_path, monkeypatch):
    rollcore.build_dataset(folder, tmp_path / "out.h5")
    before = (tmp_path / "out.h5").read_bytes()
    monkeypatch.setattr("rollcore.writer.RENAMES_OPEN_FILES", False)

    def refuse(source, target):
        raise PermissionError(13, "Access is denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(DatasetError, match="cannot be replaced on this system: close it there"):
            rollcore.build_dataset(folder, tmp_path / "out.h5", fps=10)
    assert (tmp_path / "out.h5").read_bytes() == before
    assert os.listdir(tmp_path) == ["out.h5"]
    rollcore.build_dataset(folder, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == before


NO_LOCKS = "#include <errno.h>\nint flock(int fd, int operation) { errno = ENOLCK; return -1; }\n"


@pytest.mark.skipif(sys.platform != "linux", reason="a library is put before the system's as Linux does it")
def test_a_file_system_without_locks_is_built_on_with_one_line(folder, tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make a system without locks of: install gcc")
    (tmp_path / "no.c").write_text(NO_LOCKS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "no.so", tmp_path / "no.c"], check=True)
    out = tmp_path / "out.h5"
    command = [sys.executable, "-m", "rollcore", "build-dataset", str(folder), str(out)]
    done = subprocess.run(command, env={**os.environ, "LD_PRELOAD": str(tmp_path / "no.so")}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"has no locks") == 1
    rollcore.build_dataset(folder, tmp_path / "usual.h5")
    assert out.read_bytes() == (tmp_path / "usual.h5").read_bytes()
    assert b"has no locks" not in subprocess.run(command, capture_output=True).stdout


@pytest.mark.parametrize("name", ["pwrite", "pread"])
def test_reads_and_writes_at_an_offset_without_the_system_s_own(folder, tmp_path, monkeypatch, name):
    if not hasattr(os, name):
        pytest.skip(f"this system has no {name}")
    rollcore.build_dataset(folder, tmp_path / "usual.h5")
    monkeypatch.delattr(os, name)
    rollcore.build_dataset(folder, tmp_path / "out.h5", threads=3)
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "usual.h5").read_bytes()


def test_a_second_build_is_kept_out(tmp_path):
    with DatasetWriter(tmp_path / "x.h5", grid=Grid.beats(4), planes=("sounding",)) as writer:
        assert writer.guarded
        with pytest.raises(DatasetError, match="another build is writing it"):
            DatasetWriter(tmp_path / "x.h5", grid=Grid.beats(4), planes=("sounding",))


def test_the_version_is_written_down_once():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in text
    assert f'"{rollcore.__version__}"' not in text
