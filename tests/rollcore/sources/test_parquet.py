"""Tables of MIDI files: bytes, or a struct of bytes and path."""

import os

import pytest

import rollcore
from found_members import MIDI, members, names
from rollcore.errors import RollcoreError
from rollcore.sources import parquet
from rollcore.sources.inputs import batches

pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'rollcore[parquet]'")


def write(path, columns, **options):
    from pyarrow import parquet as pq

    pq.write_table(pa.table(columns), path, **options)
    return path


def test_bytes_are_named_by_their_row(tmp_path):
    columns = {"id": [7, 8, 9], "music": [MIDI, None, MIDI + b"2"], "cover": [b"png"] * 3}
    path = write(tmp_path / "a.parquet", columns, row_group_size=2)
    assert members(path, column="music") == [
        (b"000000", MIDI, None),
        (b"000001", b"", "in table: no content"),
        (b"000002", MIDI + b"2", None),
    ]


def test_a_struct_of_bytes_and_path_has_its_own_names(tmp_path):
    rows = [{"bytes": MIDI, "path": "ñ.mid"}, {"bytes": MIDI + b"2", "path": None}]
    write(tmp_path / "a.parquet", {"music": rows})
    assert members(tmp_path / "a.parquet") == [("ñ.mid".encode(), MIDI, None), (b"000001", MIDI + b"2", None)]


def test_several_tables_by_a_wildcard(tmp_path):
    for name in "ba":
        write(tmp_path / f"{name}.parquet", {"music": [MIDI]})
    found = names(f"{tmp_path}/*.parquet")
    assert found == [os.fsencode(tmp_path / f"{name}.parquet/000000") for name in "ab"]


def test_what_is_wrong_is_said_at_the_call(tmp_path):
    path = write(tmp_path / "a.parquet", {"id": [1], "one": [b""], "two": [b""]})
    with pytest.raises(RollcoreError, match=r"a\.parquet: say which column .* \(--column\).*: one, two"):
        batches(path)
    with pytest.raises(RollcoreError, match="no column 'id' of bytes"):
        batches(path, column="id")
    with pytest.raises(RollcoreError, match="no column holds bytes"):
        batches(write(tmp_path / "b.parquet", {"id": [1]}))
    (tmp_path / "c.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(RollcoreError, match=r"c\.parquet: not a Parquet table"):
        batches(tmp_path / "c.parquet")


def test_a_table_damaged_further_on(tmp_path):
    path = write(
        tmp_path / "a.parquet",
        {"music": [os.urandom(500) for _ in range(2000)]},
        row_group_size=500,
        write_page_checksum=True,
    )
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4 : len(data) * 3 // 4 + 20000] = bytes(20000)
    path.write_bytes(data)
    with pytest.raises(RollcoreError, match=r"a\.parquet: damaged after row 1,"):
        list(batches(path))


def test_rows_are_read_some_at_a_time(tmp_path):
    path = write(tmp_path / "a.parquet", {"music": [MIDI] * 1000})
    assert [len(batch) for batch in batches(path)] == [256, 256, 256, 232]


def test_without_pyarrow(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", {"music": [MIDI]})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(RollcoreError, match=r"pip install 'rollcore\[parquet\]'"):
        parquet.check_parquet(os.fsencode(tmp_path / "a.parquet"), None)


def test_a_dataset_of_a_table_is_that_of_the_files(tmp_path):
    contents = []
    for pitch in range(40, 44):
        midi = rollcore.Midi.from_notes([(0, 480, pitch, 80, 0, 0)])
        rollcore.write_midi(midi, tmp_path / "x.mid")
        contents.append((tmp_path / "x.mid").read_bytes())
    write(tmp_path / "a.parquet", {"music": contents})
    rollcore.build_dataset(tmp_path / "a.parquet", tmp_path / "a.h5", column="music")
    dataset = rollcore.open_dataset(tmp_path / "a.h5")
    assert len(dataset) == 4
    assert dataset.name(2) == "000002"
