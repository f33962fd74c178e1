"""HDF5 as far as a dataset may use it; test_untrusted_datasets.py has what whole datasets may not do."""

from __future__ import annotations

import os
import shutil

import h5py
import numpy as np
import pytest

from rollcore import hdf5

TABLE = np.dtype([("a", "<u4"), ("b", "u1")])


@pytest.fixture
def path(tmp_path):
    """A table of three records, and two shards of rows behind each other."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["table"] = np.array([(1, 2), (3, 4), (5, 6)], TABLE)
        file["rows/000000"] = np.arange(5 * 2 * 16, dtype=np.uint8).reshape(5, 2, 16)
        file["rows/000001"] = np.full((1, 2, 16), 7, np.uint8)
        file.attrs["number"] = np.uint32(4)
        file.attrs["text"] = np.bytes_(b"beats")
    return path


def test_a_table_is_read_as_it_was_written(path):
    with h5py.File(path) as file:
        read = hdf5.table(file, "table", TABLE, 15)
        assert read.dtype == TABLE
        assert read.tolist() == [(1, 2), (3, 4), (5, 6)]
        with pytest.raises(hdf5.Refused, match="table is larger than the file"):
            hdf5.table(file, "table", TABLE, 14)
        with pytest.raises(hdf5.Refused, match="another type"):
            hdf5.table(file, "table", np.dtype("<u4"), 15)
        with pytest.raises(hdf5.Refused, match="another type"):
            hdf5.table(file, "rows/000000", np.dtype("u1"), 1000)  # three dimensions


def test_rows_lie_where_plain_file_access_finds_them(path):
    raw = path.read_bytes()
    with h5py.File(path) as file:
        places = hdf5.rows(file, 2)
        expected = [file[f"rows/{number:06}"][...] for number in range(2)]
    for place, rows in zip(places, expected, strict=True):
        assert place.shape == rows.shape
        assert raw[place.offset : place.offset + place.bytes] == rows.tobytes()


@pytest.mark.parametrize("values", [np.zeros((2, 2, 16), np.int8), np.zeros((2, 32), np.uint8)], ids=["i1", "2-D"])
def test_rows_of_another_kind_are_refused(path, values):
    with h5py.File(path, "r+") as file:
        del file["rows/000001"]
        file["rows/000001"] = values
        with pytest.raises(hdf5.Refused, match="shard 000001 has another type"):
            hdf5.rows(file, 2)


def test_rows_that_were_never_written_have_no_place(path):
    with h5py.File(path, "r+") as file:
        del file["rows/000001"]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple((1, 2, 16))
        h5py.h5d.create(file["rows"].id, b"000001", h5py.h5t.STD_U8LE, space, layout)
        with pytest.raises(hdf5.Refused, match="shard 000001 has no place in the file"):
            hdf5.rows(file, 2)


def test_attributes_are_one_number_or_one_text_of_fixed_length(path):
    with h5py.File(path, "r+") as file:
        assert hdf5.attribute(file, "number") == 4
        assert hdf5.attribute(file, "text") == b"beats"
        file.attrs["list"] = np.arange(2)
        file.attrs["any length"] = "text"
        file.attrs["real"] = 1.5
        for name in ("list", "any length", "real"):
            with pytest.raises(hdf5.Refused, match=f"attribute '{name}' is not one number"):
                hdf5.attribute(file, name)


def test_all_objects_are_looked_at(path):
    with h5py.File(path, "r+") as file:
        hdf5.check_all(file, 4)  # table, rows and two in it
        with pytest.raises(hdf5.Refused, match="more than 3 objects"):
            hdf5.check_all(file, 3)
        file["rows/deep"] = h5py.SoftLink("/table")
        with pytest.raises(hdf5.Refused, match="deep is a link"):
            hdf5.check_all(file, 100)
        del file["rows/deep"]
        file.create_dataset("rows/deeper/packed", data=np.zeros(9), compression="gzip")
        with pytest.raises(hdf5.Refused, match="packed is chunked or compressed; `h5repack"):
            hdf5.check_all(file, 100)


def test_what_is_not_a_regular_file_is_not_opened(path, tmp_path):
    with hdf5.open_regular(path) as fd:
        assert os.read(fd, 8) == hdf5.SIGNATURE
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    with pytest.raises(IsADirectoryError), hdf5.open_regular(tmp_path):
        pass
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(hdf5.NotRegular), hdf5.open_regular(tmp_path / "pipe"):
            pass


def test_a_file_that_was_replaced_meanwhile_is_refused(path, tmp_path):
    with hdf5.open_regular(path) as fd:
        with hdf5.open_file(path, fd) as file:
            assert "table" in file
        shutil.copy(path, tmp_path / "other.h5")
        os.replace(tmp_path / "other.h5", path)
        with pytest.raises(hdf5.Refused, match="was replaced"), hdf5.open_file(path, fd):
            pass
