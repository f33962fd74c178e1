"""Members that are read and quantised: as many as there is room for."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import rollcore
from rollcore import Grid
from rollcore.loading import Loader
from rollcore.roll import RollOptions
from rollcore.sources.inputs import Batch
from songs import write


def test_dense_files_are_loaded_a_few_at_a_time_and_give_the_same_rows(tmp_path):
    """A file of 3 million notes takes more room than a batch has: each becomes a shard of its own."""
    folder = tmp_path / "in"
    folder.mkdir()
    chord = b"".join(bytes([0, 20 + pitch, 80]) for pitch in range(100))
    chord += bytes([96]) + b"".join(bytes([20 + pitch, 0, 0]) for pitch in range(100))[:-1]
    events = b"\x00\x90\x14\x00" + chord * 30_000 + b"\x00\xff\x2f\x00"
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 0, 96])
    (folder / "a.mid").write_bytes(header + b"MTrk" + len(events).to_bytes(4, "big") + events)
    for name in "bc":
        os.link(folder / "a.mid", folder / f"{name}.mid")
    write(folder / "d.mid", (0, 480, 60, 0))
    with tarfile.open(tmp_path / "in.tar", "w", dereference=True) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    rollcore.build_dataset(folder, tmp_path / "one.h5", threads=1)
    dataset = rollcore.open_dataset(tmp_path / "one.h5")
    assert dataset.pieces["notes"].tolist() == [3_000_000] * 3 + [1]
    assert dataset.pieces["shard"].tolist() == [0, 1, 2, 3]
    assert dataset.verify() == []
    for piece, name in enumerate("ad"):
        expected = rollcore.piano_roll(rollcore.read_midi(folder / f"{name}.mid"))
        assert np.array_equal(dataset.rows(3 * piece), expected)
    for source in (folder, tmp_path / "in.tar"):
        rollcore.build_dataset(source, tmp_path / "two.h5", threads=2)
        assert (tmp_path / "two.h5").read_bytes() == (tmp_path / "one.h5").read_bytes()


LIMITED = """
import resource, sys
import rollcore
inputs, out, room = sys.argv[1:]
import rollcore.build
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(room), -1))
rollcore.build_dataset(inputs, out, threads=1)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set by what Linux tells")
def test_want_of_memory_fails_the_build_and_skips_nothing(tmp_path):
    out = tmp_path / "out.h5"
    write(tmp_path / "in" / "a.mid", (0, 480, 60, 0))
    rollcore.build_dataset(tmp_path / "in", out)
    before = out.read_bytes()
    (tmp_path / "in" / "b.mid").write_bytes(bytes(60 << 20))
    code = [sys.executable, "-c", LIMITED, str(tmp_path / "in"), str(out)]
    done = subprocess.run([*code, str(50 << 20)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("MemoryError\n")
    assert out.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["in", "out.h5"]
    assert subprocess.run([*code, str(500 << 20)]).returncode == 0


def test_a_loader_crosses_processes(tmp_path):
    write(tmp_path / "a.mid", (0, 480, 60, 0), (480, 480, 64, 9))
    loader = Loader(RollOptions(Grid.beats(4), drums=True, max_minutes=5))
    sent = pickle.loads(pickle.dumps(loader))
    assert sent.options == loader.options
    path = os.fsencode(tmp_path / "a.mid")
    loaded = sent(Batch([path], [path], None, [None]))
    assert loaded.records["notes"].tolist() == [2]  # with the drums
