"""Builds on a real Dask scheduler with real workers, some of which are killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import rollcore
from rollcore import Midi, RollcoreError

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'rollcore[dask]'")

from rollcore.cli import main
from rollcore.distributed import build_distributed

PROGRAM = "import sys; from distributed.cli.dask_{0} import main; sys.argv[0] = 'dask-{0}'; main()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in") / "midi"
    folder.mkdir()
    for i in range(3000):
        notes = np.array([(0, 480 + i % 900, 30 + i % 60, 80, 0, 0), (i % 100, 960, 40, 80, 1, 0)], rollcore.NOTE_DTYPE)
        if i < 60:
            rollcore.write_midi(Midi.from_notes(notes), folder / f"{i:04}.mid")
        else:
            os.link(folder / f"{i % 60:04}.mid", folder / f"{i:04}.mid")
    (folder / "empty.mid").touch()
    return folder


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "whole.h5"
    rollcore.build_dataset(folder, out, dedupe=True)
    return out.read_bytes()


class Cluster:
    """A scheduler and two workers, each a process that can be killed."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        self.workers = [self.worker() for _ in range(2)]

    def worker(self):
        return self.start("worker", self.address, "--nworkers", "1", "--nthreads", "1", "--no-nanny", "--no-dashboard")

    def start(self, kind, *arguments):
        command = [sys.executable, "-c", PROGRAM.format(kind), *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready(self):
        from distributed import Client

        with Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        return self

    def stop(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster():
    started = Cluster()
    try:
        yield started.ready()
    finally:
        started.stop()


def when_a_part_is_there(out, act):
    """Do something as soon as the first part of a build is written."""

    def watch():
        for _ in range(3000):
            if list(out.with_name(f".{out.name}.parts").glob("[0-9]*.h5")):
                act()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_workers_write_what_one_process_writes(cluster, folder, whole, tmp_path, capsys):
    out = tmp_path / "out.h5"
    seen = []
    count = build_distributed(folder, out, cluster.address, dedupe=True, progress=lambda *done: seen.append(done))
    assert out.read_bytes() == whole
    assert count == len(rollcore.open_dataset(out))
    assert seen == [(i, 8) for i in range(1, 9)]
    command = ["build-dataset", str(folder), str(out), "--dedupe", "--dask", cluster.address]
    assert main(command) == 0
    assert out.read_bytes() == whole
    assert os.listdir(tmp_path) == ["out.h5"]
    # What is wrong with the input is told as it is here.
    (tmp_path / "silent.mid").touch()
    with pytest.raises(RollcoreError, match="has a piece"):
        build_distributed(tmp_path / "silent.mid", tmp_path / "x.h5", cluster.address)
    with pytest.raises(RollcoreError, match=r"[Nn]o such file"):
        build_distributed(tmp_path / "absent", tmp_path / "x.h5", cluster.address)


def test_the_part_of_a_killed_worker_is_built_by_another(cluster, folder, whole, tmp_path):
    out = tmp_path / "out.h5"
    watcher = when_a_part_is_there(out, lambda: cluster.workers[0].send_signal(signal.SIGKILL))
    build_distributed(folder, out, cluster.address, parts=40, dedupe=True)
    watcher.join()
    assert cluster.workers[0].wait(10) == -signal.SIGKILL
    assert out.read_bytes() == whole
    assert os.listdir(tmp_path) == ["out.h5"]


def test_a_killed_scheduler_is_one_line_and_the_old_file_stays(cluster, folder, whole, tmp_path):
    out = tmp_path / "out.h5"
    out.write_bytes(whole)
    watcher = when_a_part_is_there(out, lambda: cluster.scheduler.send_signal(signal.SIGKILL))
    began = time.monotonic()
    command = [sys.executable, "-m", "rollcore", "build-dataset", str(folder), str(out), "--dask", cluster.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    watcher.join()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {cluster.address}: the scheduler is lost; start it, and build again\n"
    assert time.monotonic() - began < 90
    assert out.read_bytes() == whole


def test_no_scheduler_and_names_that_workers_do_not_understand(folder, tmp_path):
    with pytest.raises(RollcoreError, match="no Dask scheduler answers"):
        build_distributed(folder, tmp_path / "x.h5", "tcp://127.0.0.1:9")
    for inputs in (["a", "b"], "@list.txt", ["/a", "-"], "-"):
        with pytest.raises(RollcoreError, match=r"absolute|standard input"):
            build_distributed(inputs, tmp_path / "x.h5", "tcp://127.0.0.1:9")


def test_local_workers(folder, whole, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "midi")
    monkeypatch.chdir(tmp_path)
    build_distributed("midi", "out.h5", dedupe=True)
    assert (tmp_path / "out.h5").read_bytes() == whole
