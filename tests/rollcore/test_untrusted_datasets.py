"""Datasets that somebody made to do harm: each is refused in one line, before what it points to is read.

Every file is opened in a process of its own, which a crash or a hang would end.
docs/security.md lists what is promised.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

import rollcore
from rollcore import DatasetError

OPEN = """
import resource, sys, rollcore
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    dataset = rollcore.open_dataset(sys.argv[1])
    print("opened", dataset.verify())
except rollcore.DatasetError as error:
    print("refused", error)
try:
    # Not what getrusage says, which counts the process that this one was forked from.
    with open("/proc/self/status") as file:
        print(next(int(line.split()[1]) >> 10 for line in file if line.startswith("VmHWM")))
except FileNotFoundError:
    print(0)
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    notes = np.array([(0, 480, 60, 80, 0, 0), (480, 960, 64, 80, 0, 0)], rollcore.NOTE_DTYPE)
    rollcore.write_midi(rollcore.Midi.from_notes(notes), folder / "a.mid")
    rollcore.build_dataset(folder / "a.mid", folder / "x.h5", fps=50)
    return folder / "x.h5"


@pytest.fixture
def made(good, tmp_path):
    """A dataset to change, with another beside it that it may point to."""
    shutil.copy(good, tmp_path / "other.h5")
    shutil.copy(good, tmp_path / "x.h5")
    return tmp_path / "x.h5"


def told(path):
    """What a process says of a dataset, and its peak memory in MiB, 0 where the system does not tell it."""
    done = subprocess.run([sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)
    *lines, peak = done.stdout.splitlines()
    assert len(lines) == 1
    return lines[0], int(peak)


def replace(file, name, make):
    """Put something else in the place of a table or a shard; `make` is given its contents."""
    values = file[name][...]
    del file[name]
    make(file, name, values)


def virtual_of_itself(file, name, values):
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(".", name, values.shape, values.dtype)
    file.create_virtual_dataset(name, layout)


def growing_virtual_of_itself(file, name, values):
    layout = h5py.VirtualLayout((1, *values.shape[1:]), values.dtype, maxshape=(None, *values.shape[1:]))
    source = h5py.VirtualSource(".", name, values.shape, values.dtype, maxshape=(None, *values.shape[1:]))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset(name, layout)


def virtual_of_another(file, name, values):
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource("other.h5", name, values.shape, values.dtype)
    file.create_virtual_dataset(name, layout)


def external_link(file, name, values):
    file[name] = h5py.ExternalLink("other.h5", name)


def soft_link(file, name, values):
    file.create_dataset("hidden", data=values)
    file[name] = h5py.SoftLink("/hidden")


def external_storage(file, name, values):
    file.create_dataset(name, shape=values.shape, dtype=values.dtype, external=[("/etc/passwd", 0, values.nbytes)])


def chunked(file, name, values):
    file.create_dataset(name, data=values, chunks=values.shape)


def compressed(file, name, values):
    file.create_dataset(name, data=values, chunks=values.shape, compression="gzip")


def one_chunk_of_a_gigabyte(file, name, values):
    shape = ((1 << 30) // values.dtype.itemsize // int(np.prod(values.shape[1:])), *values.shape[1:])
    table = file.create_dataset(name, shape=shape, dtype=values.dtype, chunks=shape, compression="gzip")
    zeros = b"\x00" * (1 << 20)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(zeros) for _ in range(1 << 10)) + packer.flush()
    table.id.write_direct_chunk((0,) * len(shape), packed)


def group(file, name, values):
    file.create_group(name)


def other_type(file, name, values):
    kind = "<f8" if values.dtype.names is None else [(name, "<f8") for name in values.dtype.names]
    file.create_dataset(name, shape=values.shape, dtype=kind)


def other_shape(file, name, values):
    file.create_dataset(name, data=values.reshape(1, *values.shape))


CRAFTS = [
    (virtual_of_itself, "virtual"),
    (growing_virtual_of_itself, "virtual"),
    (virtual_of_another, "virtual"),
    (external_link, "is a link"),
    (soft_link, "is a link"),
    (external_storage, "in another file"),
    (chunked, "h5repack"),
    (compressed, "h5repack"),
    (one_chunk_of_a_gigabyte, "h5repack"),
    (group, "damaged"),
    (other_type, "another type"),
    (other_shape, "another type"),
]


@pytest.mark.parametrize("name", ["pieces", "rows/000000"])
@pytest.mark.parametrize(("craft", "message"), CRAFTS, ids=[craft.__name__ for craft, _ in CRAFTS])
def test_what_is_not_in_the_file_in_one_piece_is_refused(made, name, craft, message):
    with h5py.File(made, "r+", libver="latest") as file:
        replace(file, name, craft)
    line, peak = told(made)
    assert line.startswith(f"refused {made}: damaged")
    assert message in line
    assert peak < 200


def test_a_whole_group_elsewhere_is_refused(made):
    with h5py.File(made, "r+", libver="latest") as file:
        del file["rows"]
        file["rows"] = h5py.ExternalLink("other.h5", "rows")
    assert "rows is a link" in told(made)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", np.float64("inf")),
        ("version", np.float64("nan")),
        ("version", np.array([4, 4], np.uint32)),
        ("version", "4"),
        ("planes", "sounding"),  # h5py writes text of no fixed length
        ("options", np.arange(3)),
        ("reasons", h5py.Empty("S4")),
        ("grid_rate", h5py.Reference()),
    ],
    ids=["infinity", "nan", "array", "text", "of any length", "numbers", "empty", "reference"],
)
def test_attributes_are_one_number_or_one_text_of_fixed_length(made, name, value):
    with h5py.File(made, "r+", libver="latest") as file:
        del file.attrs[name]
        if isinstance(value, h5py.Reference):
            file.attrs.create(name, file["rows"].ref, dtype=h5py.ref_dtype)
        else:
            file.attrs[name] = value
    assert "damaged" in told(made)[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.h5")
    assert "is not a file" in told(tmp_path / "x.h5")[0]


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(path):
    if not os.path.exists(path):
        pytest.skip(f"this system has no {path}")
    assert "is not a file" in told(path)[0]


def test_a_shard_of_another_size_than_the_tables_say_is_refused(made):
    with h5py.File(made, "r+", libver="latest") as file:
        replace(file, "rows/000000", lambda file, name, values: file.create_dataset(name, data=values[:-1]))
    assert "point outside" in told(made)[0]


def test_a_file_cut_short_while_it_is_open_is_told_before_long_work(made):
    dataset = rollcore.open_dataset(made)
    dataset.check_whole()
    os.truncate(made, made.stat().st_size // 2)
    with pytest.raises(DatasetError, match="was cut short since it was opened"):
        dataset.check_whole()
    with pytest.raises(DatasetError, match="was cut short"):
        dataset.verify()


def test_settings_and_names_of_a_dataset_do_not_reach_the_terminal_raw(made):
    """Whoever made a dataset chose its options, reasons and names."""
    hostile = "\x1b]0;owned\x07\x9b31m\u202e"
    with h5py.File(made, "r+", libver="latest") as file:
        options = {hostile: [hostile], "list": [[hostile]], "text": hostile, "drums": {hostile: hostile}}
        del file.attrs["options"]
        file.attrs["options"] = np.bytes_(json.dumps(options).encode())
    for command in ("info", "report", "verify"):
        done = subprocess.run([sys.executable, "-m", "rollcore", command, str(made)], capture_output=True, timeout=60)
        assert done.returncode == 0
        written = (done.stdout + done.stderr).decode()
        assert all(line.isprintable() for line in written.splitlines())
        assert ("x1b]0;owned" in written) == (command == "info")


def test_the_limits_of_these_tests_are_those_of_a_good_dataset(good):
    """What is measured above says nothing unless a good dataset passes it."""
    line, peak = told(good)
    assert line == "opened []"
    assert peak < 200
