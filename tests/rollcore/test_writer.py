"""A dataset is written beside its target, and takes its place when it is whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

import rollcore
from rollcore import DatasetError, Grid
from rollcore.writer import DatasetWriter
from songs import write


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Three short songs."""
    folder = tmp_path_factory.mktemp("songs")
    for i in range(3):
        write(folder / f"{i}.mid", (0, 480 + i, 30 + i, 0), (i, 960, 40, 1))
    return folder


def test_litter_of_a_killed_build_is_taken_over(songs, tmp_path):
    (tmp_path / ".out.h5.partial").write_bytes(b"left behind" * 100_000)
    rollcore.build_dataset(songs, tmp_path / "out.h5")
    assert os.listdir(tmp_path) == ["out.h5"]
    assert rollcore.open_dataset(tmp_path / "out.h5").verify() == []


def test_two_builds_of_one_target_do_not_mix(songs, tmp_path):
    with (
        DatasetWriter(tmp_path / "out.h5", grid=Grid.seconds(50), planes=("sounding",)),
        pytest.raises(DatasetError, match="another build is writing it"),
    ):
        rollcore.build_dataset(songs, tmp_path / "out.h5")
    rollcore.build_dataset(songs, tmp_path / "out.h5")


def test_a_link_to_a_target_stays_a_link(songs, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.h5"
    link.symlink_to(tmp_path / "disk" / "real.h5")
    for fps in (50, 25):  # into nothing, then over a dataset
        rollcore.build_dataset(songs, link, fps=fps)
        assert link.is_symlink()
        assert rollcore.open_dataset(tmp_path / "disk" / "real.h5").grid == Grid.seconds(fps)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real.h5"]


def test_targets_that_cannot_be(songs, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("keep me")
    weights = tmp_path / "model.weights.h5"
    with h5py.File(weights, "w") as file:
        file["layer"] = [1.0, 2.0]
    pipe = tmp_path / "pipe.h5"
    os.mkfifo(pipe)
    for target, message in [
        (tmp_path, "is a folder"),
        (notes, "is not a rollcore dataset"),
        (weights, "is not a rollcore dataset"),
        (Path("/"), "is a folder"),
        (Path("."), "is a folder"),
        (pipe, "not a regular file"),
        (tmp_path / "no" / "such" / "x.h5", "cannot be written"),
        (tmp_path / ("x" * 300), "cannot be written"),
    ]:
        with pytest.raises(DatasetError, match=message):
            rollcore.build_dataset(songs, target)
    with pytest.raises(DatasetError, match="is a folder; name the file"):
        rollcore.build_dataset(songs, f"{tmp_path / 'new'}/")
    assert not (tmp_path / "new").exists()
    assert notes.read_text() == "keep me"
    # What HDF5 cannot open may still be somebody's: cut short, or open for writing elsewhere.
    cut = tmp_path / "cut.h5"
    cut.write_bytes(weights.read_bytes()[:-100])
    with h5py.File(tmp_path / "open.h5", "w", libver="latest") as file:
        file["layer"] = [1.0, 2.0]
        file.flush()
        for target in (cut, tmp_path / "open.h5"):
            with pytest.raises(DatasetError, match="is not a rollcore dataset"):
                rollcore.build_dataset(songs, target)
    with h5py.File(weights) as file:
        assert file["layer"][:].tolist() == [1.0, 2.0]


def test_a_dataset_cut_short_is_built_again(songs, tmp_path):
    path = tmp_path / "out.h5"
    rollcore.build_dataset(songs, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    path.chmod(0o640)
    rollcore.build_dataset(songs, path)
    assert path.read_bytes() == whole
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(songs, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")
    (tmp_path / ".out.h5.partial").symlink_to(precious)
    with pytest.raises(DatasetError, match="cannot be written"):
        rollcore.build_dataset(songs, tmp_path / "out.h5")
    assert precious.read_text() == "keep me"


def test_an_interruption_after_the_rename_comes_too_late(songs, tmp_path, monkeypatch):
    replace = os.replace

    def interrupted(source, target):
        replace(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        report = rollcore.build_dataset(songs, tmp_path / "out.h5")
    assert report.bytes == (tmp_path / "out.h5").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]
    assert rollcore.open_dataset(tmp_path / "out.h5").verify() == []

    def earlier(source, target):
        raise KeyboardInterrupt

    before = (tmp_path / "out.h5").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", earlier)
        with pytest.raises(KeyboardInterrupt):
            rollcore.build_dataset(songs, tmp_path / "out.h5", fps=10)
    assert (tmp_path / "out.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


def test_another_name_of_the_partial_file_is_not_written_over(songs, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    os.link(precious, tmp_path / ".out.h5.partial")
    with pytest.raises(DatasetError, match=r"\.out\.h5\.partial: is another file's too"):
        rollcore.build_dataset(songs, tmp_path / "out.h5")
    assert precious.read_text() == "keep me"


def test_a_full_disk_while_a_shard_is_appended(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with DatasetWriter(tmp_path / "x.h5", grid=Grid.seconds(50), planes=("sounding",)) as writer:
        monkeypatch.setattr(writer, "write", full)
        with pytest.raises(DatasetError, match=r"x\.h5: cannot be written \(No space left on device\)"):
            writer.append(np.zeros((3, 1, 16), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system has no posix_fallocate")
def test_a_file_system_without_allocation_will_do_but_a_full_one_will_not(songs, tmp_path, monkeypatch):
    rollcore.build_dataset(songs, tmp_path / "usual.h5")
    for code in (errno.EOPNOTSUPP, errno.ENOSPC):

        def refuse(*_, code=code):
            raise OSError(code, "x")

        monkeypatch.setattr(os, "posix_fallocate", refuse)
        if code == errno.EOPNOTSUPP:
            rollcore.build_dataset(songs, tmp_path / "out.h5")
            assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "usual.h5").read_bytes()
        else:
            with pytest.raises(DatasetError, match="No space left on device"):
                rollcore.build_dataset(songs, tmp_path / "out.h5")
