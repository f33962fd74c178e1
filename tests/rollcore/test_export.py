"""Datasets for other tools, read back by those."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import rollcore
from rollcore.export import export_npz, export_parquet


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    rollcore.make_chords(folder / "midi")
    notes = np.array([(0, 480, 60, 80, 0, 0)], rollcore.NOTE_DTYPE)
    rollcore.write_midi(rollcore.Midi.from_notes(notes), folder / "x.mid")
    (folder / "x.mid").rename(folder / "midi" / "caf\udce9.mid")
    rollcore.build_dataset(folder / "midi", folder / "x.h5")
    return rollcore.open_dataset(folder / "x.h5")


def escaped(name):
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def test_parquet_is_read_back_by_pyarrow(dataset, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'rollcore[parquet]'")
    monkeypatch.setattr("rollcore.export.PIECES_A_GROUP", 50)
    files = export_parquet(dataset.path, tmp_path / "out")
    assert [path.name for path in files] == ["train.parquet", "validation.parquet", "test.parquet"]
    for path in files:
        table = parquet.read_table(path)
        pieces = dataset.split(path.stem).tolist()
        assert table.num_rows == len(pieces)
        assert table.schema.metadata[b"grid_rate"] == b"4"
        assert table.schema.metadata[b"planes"] == ",".join(dataset.planes).encode()
        for piece, row in zip(pieces, table.to_pylist(), strict=True):
            rows = np.frombuffer(row["rows"], np.uint8).reshape(row["frames"], -1, 16)
            assert np.array_equal(rows, dataset.rows(piece))
            assert row["name"] == escaped(dataset.name(piece))
            entry = dataset.pieces[piece]
            assert row["time_signature"] == "{}/{}".format(*entry["time_signature"])
            assert [row[name] for name in ("notes", "tempo", "shift")] == [
                entry[k] for k in ("notes", "tempo", "shift")
            ]
            assert row["digest"] == "{:016x}{:016x}".format(*entry["digest"].tolist())
    assert parquet.ParquetFile(files[0]).num_row_groups == -(-len(dataset.split("train")) // 50)


def test_parquet_is_read_back_by_datasets(dataset, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed: pip install datasets")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'rollcore[parquet]'")
    files = export_parquet(dataset, tmp_path / "out")
    named = {path.stem: str(path) for path in files}
    loaded = datasets.load_dataset("parquet", data_files=named, cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == {name: len(dataset.split(name)) for name in named}


def test_npz_is_read_back_by_numpy(dataset, tmp_path):
    files = export_npz(dataset, tmp_path / "out")
    for path in files:
        with np.load(path) as held:  # which refuses what is pickled
            pieces = dataset.split(path.stem).tolist()
            assert held["names"].tolist() == [escaped(dataset.name(piece)) for piece in pieces]
            assert str(held["grid"]) == str(dataset.grid)
            for piece, start, frames in zip(pieces, held["starts"], held["frames"], strict=True):
                assert np.array_equal(held["rows"][start : start + frames], dataset.rows(piece))
            assert np.array_equal(held["note_digest"], dataset.pieces["note_digest"][pieces])
            assert len(held["rows"]) == held["frames"].sum()


def test_the_same_dataset_gives_the_same_bytes(dataset, tmp_path):
    def sums(folder):
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in export_npz(dataset, folder)]

    assert sums(tmp_path / "a") == sums(tmp_path / "b")
