from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest
import xxhash

import rollcore
from rollcore import DatasetError, Midi, RollcoreError
from rollcore.dataset import FILE_DTYPE, PIECE_DTYPE, REPAIR_DTYPE, split_of
from rollcore.roll import plane_voices
from rollcore.writer import DatasetWriter, Tables


def write_song(path, *rows):
    notes = np.array([(on, off, pitch, 80, 0, 0) for on, off, pitch in rows], rollcore.NOTE_DTYPE)
    path.parent.mkdir(parents=True, exist_ok=True)
    rollcore.write_midi(Midi.from_notes(notes), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    write_song(folder / "a.mid", (0, 480, 60), (480, 960, 64))
    write_song(folder / "b" / "c.mid", (0, 1920, 36), (0, 960, 43), (960, 1920, 127))
    write_song(folder / "d.MIDI", (240, 480, 0))
    (folder / "e.kar").write_bytes(b"<html>not found</html>")
    return folder


@pytest.fixture(scope="module")
def built(folder):
    out = folder.parent / "songs.h5"
    rollcore.build_dataset(folder, out, fps=50)
    return out


def test_the_file_is_what_the_format_says(folder, built):
    """Read with h5py and plain file access alone."""
    raw = built.read_bytes()
    with h5py.File(built) as file:
        assert file.attrs["format"] == b"rollcore"
        assert file.attrs["version"] == 4
        assert (file.attrs["grid_unit"], file.attrs["grid_rate"]) == (b"seconds", b"50")
        shard = file["rows/000000"]
        assert shard.chunks is None
        assert shard.compression is None
        start = shard.id.get_offset()
        rows = shard[...]
        assert raw[start : start + rows.size] == rows.tobytes()
        assert start % 4096 == 0
        pieces = file["pieces"][...]
        ends = file["files"]["name_end"].tolist()
        blob = file["names"][...].tobytes()
        assert file["shards"]["checksum"][0] == xxhash.xxh3_64_intdigest(rows.tobytes())
        for table, checksum in file["checksums"][...].tolist():
            assert xxhash.xxh3_64_intdigest(file[table.decode()][...].tobytes()) == checksum
    names = [blob[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]
    assert names == ["a.mid", "b/c.mid", "d.MIDI", "e.kar"]
    assert [names[i] for i in pieces["file"]] == names[:3]
    for piece in pieces:
        content = (folder / names[piece["file"]]).read_bytes()
        assert piece["digest"].astype(">u8").tobytes() == xxhash.xxh3_128_digest(content)
        expected = rollcore.piano_roll(rollcore.read_midi(content), fps=50)
        assert np.array_equal(rows[piece["start"] : piece["start"] + piece["frames"]], expected)


def test_rows_are_read_only_views_of_the_map(built):
    dataset = rollcore.open_dataset(built)
    rows = dataset.rows(1)
    assert rows.shape == (100, 2, 16)
    assert np.shares_memory(rows, dataset.mapped)
    assert not rows.flags.writeable
    with pytest.raises(ValueError, match=r"WRITEABLE|read-only"):
        rows.setflags(write=True)
    before = rows.copy()
    del dataset
    assert np.array_equal(rows, before)


def test_pieces_are_found_by_number_name_and_base_name(built):
    dataset = rollcore.open_dataset(built)
    assert {dataset.find(piece) for piece in (1, np.int64(1), "b/c.mid", "c.mid", "c")} == {1}
    assert dataset.name(2) == "d.MIDI"
    for missing in (3, -1, "e.kar", "mid"):
        with pytest.raises(RollcoreError, match="no piece"):
            dataset.find(missing)


def test_names_of_digits_come_before_numbers(tmp_path):
    notes = Midi.from_notes([(0, 480, 60, 80, 0, 0)])
    for name in ("a/7", "a/024", "b/904", "b/1", "c/1", "c/x"):
        (tmp_path / "midi" / name).parent.mkdir(parents=True, exist_ok=True)
        rollcore.write_midi(notes, tmp_path / "midi" / f"{name}.mid")
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "out.h5")
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    found = {piece: dataset.name(dataset.find(piece)) for piece in ("024", "904", "b/904", "7", "c/1", "5", "0")}
    assert found == {
        "024": "a/024.mid",
        "904": "b/904.mid",
        "b/904": "b/904.mid",
        "7": "a/7.mid",
        "c/1": "c/1.mid",
        "5": "c/x.mid",
        "0": "a/024.mid",
    }
    with pytest.raises(RollcoreError, match="2 pieces are called '1'"):
        dataset.find("1")
    with pytest.raises(RollcoreError, match="no piece 6; it has 6"):
        dataset.find("6")


def _length(dataset, queue):
    queue.put((len(dataset), int(dataset.rows(0).sum())))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_dataset_crosses_processes(built, method):
    dataset = rollcore.open_dataset(built)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_length, args=(dataset, queue))
    child.start()
    assert queue.get(timeout=60) == (3, int(dataset.rows(0).sum()))
    child.join()


def test_a_pickle_refuses_a_file_that_was_replaced(folder, built, tmp_path):
    path = tmp_path / "x.h5"
    shutil.copy(built, path)
    dataset = rollcore.open_dataset(path)
    assert pickle.loads(pickle.dumps(dataset)).fingerprint == dataset.fingerprint
    frozen = pickle.dumps(dataset)
    rollcore.build_dataset(folder, path, fps=25)
    with pytest.raises(DatasetError, match="was replaced"):
        pickle.loads(frozen)


def test_tables_and_rows_are_of_one_file(folder, built, tmp_path, monkeypatch):
    path, other = tmp_path / "x.h5", tmp_path / "other.h5"
    shutil.copy(built, path)
    rollcore.build_dataset(folder, other, fps=25)

    def replace(*_):
        shutil.copy(other, tmp_path / "part")
        os.replace(tmp_path / "part", path)
        return True

    with monkeypatch.context() as patch:
        patch.setattr("rollcore.dataset._consistent", replace)
        opened = rollcore.open_dataset(path)
    assert opened.fingerprint == rollcore.open_dataset(built).fingerprint
    assert opened.verify() == []
    dataset = rollcore.open_dataset(path)
    assert dataset.fingerprint == rollcore.open_dataset(other).fingerprint
    monkeypatch.setattr("rollcore.dataset.memory_bytes", lambda: 0)  # windows of a large file have a map of their own
    if hasattr(mmap, "MADV_RANDOM"):
        assert np.array_equal(dataset.map_for_windows(), dataset.mapped)
        replace()
        with pytest.raises(DatasetError, match="was replaced"):
            dataset.map_for_windows()


def test_the_fingerprint_is_of_tables_and_settings(folder, tmp_path):
    """Without drums in the files the rows and tables are the same, but not how they were asked for."""
    for name, options in (("a", {}), ("b", {}), ("c", {"drums": True})):
        rollcore.build_dataset(folder, tmp_path / f"{name}.h5", **options)
    a, b, c = (rollcore.open_dataset(tmp_path / f"{name}.h5") for name in "abc")
    assert np.array_equal(a.pieces, c.pieces)
    assert a.fingerprint == b.fingerprint != c.fingerprint


# ---- damage -----------------------------------------------------------------------------------------------------


def test_every_truncation_is_one_line(built, tmp_path):
    raw = built.read_bytes()
    path = tmp_path / "cut.h5"
    for size in [*range(0, 64), *range(64, len(raw), 331), len(raw) - 1]:
        path.write_bytes(raw[:size])
        with pytest.raises(DatasetError, match=r"cut\.h5: .*(truncated|damaged|not an HDF5 file)") as error:
            rollcore.open_dataset(path)
        assert "\n" not in str(error.value)


def test_no_flipped_byte_goes_unnoticed(built, tmp_path):
    """Either opening or verifying names the damage, or nothing that is read has changed."""
    raw = built.read_bytes()
    whole = rollcore.open_dataset(built)
    path = tmp_path / "flipped.h5"
    rng = np.random.default_rng(5)
    caught = 0
    for at in rng.choice(len(raw), 500, replace=False).tolist():
        damaged = bytearray(raw)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            dataset = rollcore.open_dataset(path)
        except DatasetError:
            caught += 1
            continue
        if dataset.verify():
            caught += 1
            continue
        assert dataset.fingerprint == whole.fingerprint
        assert all(np.array_equal(dataset.rows(i), whole.rows(i)) for i in range(3))
    assert caught > 50


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        ("pieces", "shard", 9),
        ("pieces", "start", 2**63),
        ("pieces", "frames", 101),
        ("pieces", "file", 4),
        ("pieces", "split", 3),
        ("files", "outcome", 3),
        ("files", "name_end", 2**40),
        ("shards", "frames", 2**60),
    ],
)
def test_tables_that_point_outside_are_refused(built, tmp_path, table, field, value):
    """With a checksum that fits: not damage, but a file made by another hand."""
    path = tmp_path / "made.h5"
    shutil.copy(built, path)
    with h5py.File(path, "r+") as file:
        records = file[table][...]
        records[field][-1] = value
        file[table][...] = records
        sums = file["checksums"][...]
        sums["checksum"][sums["table"] == table.encode()] = xxhash.xxh3_64_intdigest(records.tobytes())
        file["checksums"][...] = sums
    with pytest.raises(DatasetError, match="point outside"):
        rollcore.open_dataset(path)


@pytest.mark.parametrize(
    ("planes", "voices"),
    [
        ("sounding,onset", ()),
        ("sounding:melody,onset:melody", ("melody",)),
        ("onset,sounding", None),
        ("onset:melody,sounding:melody", None),
        ("sounding:melody,sounding:bass", None),
        ("sounding:,onset:", None),
        ("sounding:a\x1bb,onset:a\x1bb", None),
        ("sounding:a:b,onset:a:b", None),
        ("sounding:melody", None),
        ("", None),
    ],
)
def test_planes_are_one_pair_or_a_pair_for_each_voice(built, tmp_path, planes, voices):
    path = tmp_path / "made.h5"
    shutil.copy(built, path)
    with h5py.File(path, "r+") as file:
        file.attrs["planes"] = np.bytes_(planes.encode())
    if voices is None:
        with pytest.raises(DatasetError, match=r"planes .* are unknown|point outside"):
            rollcore.open_dataset(path)
    else:
        assert rollcore.open_dataset(path).voices == voices


def test_two_voices_are_four_planes_and_no_name_stands_for_both(folder, tmp_path):
    planes = tuple(f"{plane}:{voice}" for voice in ("melody", "bass") for plane in ("sounding", "onset"))
    pieces, files = np.zeros(1, PIECE_DTYPE), np.zeros(1, FILE_DTYPE)
    pieces["frames"], files["name_end"] = 3, 1
    rows = np.arange(3 * 4 * 16, dtype=np.uint8).reshape(3, 4, 16)
    with DatasetWriter(tmp_path / "x.h5", grid=rollcore.Grid.beats(4), planes=planes) as writer:
        pieces["shard"] = writer.append(rows)
        writer.commit(Tables(pieces, files, np.zeros(0, REPAIR_DTYPE), b"a", []), {})
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    assert (dataset.planes, dataset.voices) == (planes, ("melody", "bass"))
    assert np.array_equal(dataset.rows(0), rows)
    with pytest.raises(RollcoreError, match="such a pair for each voice"):
        plane_voices(planes[:2] * 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("options", "{"),
        ("options", "3"),
        ("reasons", "null"),
        ("options", "[" * 100_000),
        ("grid_rate", "1e999999999"),
        ("grid_rate", "fast"),
        ("grid_rate", "1/0"),
        ("grid_rate", "-1"),
        ("version", "one"),
        ("version", [1, 3]),
    ],
)
def test_attributes_by_another_hand_are_refused(built, tmp_path, name, value):
    path = tmp_path / "made.h5"
    shutil.copy(built, path)
    with h5py.File(path, "r+") as file:
        file.attrs[name] = np.bytes_(value) if isinstance(value, str) else value
    with pytest.raises(DatasetError, match="damaged"):
        rollcore.open_dataset(path)


def test_a_table_that_is_a_group_is_refused(built, tmp_path):
    path = tmp_path / "made.h5"
    shutil.copy(built, path)
    with h5py.File(path, "r+") as file:
        del file["files"]
        file.create_group("files")
    with pytest.raises(DatasetError, match="damaged"):
        rollcore.open_dataset(path)


def test_verify_names_the_damaged_shard(built, tmp_path):
    dataset = rollcore.open_dataset(built)
    assert dataset.verify() == []
    raw = bytearray(built.read_bytes())
    raw[int(dataset.pieces["offset"][1]) + 5] ^= 1
    path = tmp_path / "damaged.h5"
    path.write_bytes(raw)
    assert rollcore.open_dataset(path).verify() == [
        "shard 000000 (pieces 0 to 2): its rows do not match their checksum"
    ]


def test_what_is_no_dataset_is_named(tmp_path, built):
    text = tmp_path / "x.h5"
    text.write_text("hello")
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["data"] = np.arange(3)
    newer = tmp_path / "newer.h5"
    shutil.copy(built, newer)
    older = tmp_path / "older.h5"
    shutil.copy(built, older)
    for path, version in (newer, 5), (older, 3):
        with h5py.File(path, "r+") as file:
            file.attrs["version"] = np.uint32(version)
    for path, message in [
        (text, "not an HDF5 file"),
        (foreign, "not a rollcore dataset"),
        (newer, "format version 5, this rollcore reads 4; upgrade"),
        (older, "format version 3, this rollcore reads 4; build it again"),
        (tmp_path / "missing.h5", "No such file or directory; build it"),
        (tmp_path, "Is a directory"),
    ]:
        with pytest.raises(DatasetError, match=message) as error:
            rollcore.open_dataset(path)
        assert str(error.value).startswith(str(path))


def test_compressed_shards_are_refused_with_the_remedy(built, tmp_path):
    path = tmp_path / "packed.h5"
    shutil.copy(built, path)
    with h5py.File(path, "r+") as file:
        rows = file["rows/000000"][...]
        del file["rows/000000"]
        file.create_dataset("rows/000000", data=rows, compression="gzip")
    with pytest.raises(DatasetError, match="h5repack"):
        rollcore.open_dataset(path)


# ---- splits -----------------------------------------------------------------------------------------------------


def test_splits_have_their_shares_and_depend_on_content_alone():
    rng = np.random.default_rng(1)
    digests = rng.integers(0, 2**64, (100_000, 2), np.uint64)
    splits = split_of(digests, (80, 10, 10))
    # Three standard deviations of a binomial count are 380.
    assert np.abs(np.bincount(splits) - [80_000, 10_000, 10_000]).max() < 400
    assert np.array_equal(split_of(digests[:5], (8, 1, 1)), splits[:5])
    assert (split_of(digests, (0, 1, 0)) == 1).all()
    edge = np.array([[0, 0], [2**64 - 1, 0]], np.uint64)
    assert split_of(edge, (80, 10, 10)).tolist() == [0, 2]


def test_tables_are_read_only(tmp_path):
    rollcore.make_chords(tmp_path / "midi")
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "x.h5")
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    for table in (
        dataset.pieces,
        dataset.files,
        dataset.repairs,
        dataset.shards,
        dataset.shard_offsets,
        dataset.rows(0),
    ):
        assert not table.flags.writeable


def test_a_file_that_this_process_holds_with_locks_is_not_called_damaged(tmp_path):
    rollcore.make_chords(tmp_path / "midi")
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r"), pytest.raises(DatasetError, match="is open in this process already"):
        rollcore.open_dataset(tmp_path / "x.h5")
    assert len(rollcore.open_dataset(tmp_path / "x.h5")) == 156
