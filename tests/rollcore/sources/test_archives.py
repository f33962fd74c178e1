"""Archives: what holds for all of them."""

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile

import pytest

from found_members import MIDI, TAR_MODES, add, members, names
from rollcore.errors import RollcoreError
from rollcore.sources import archives
from rollcore.sources.inputs import batches


@pytest.mark.parametrize("frames", [1, 3])
def test_a_tar_with_zstandard(tree, tmp_path, frames):
    zstandard = pytest.importorskip("zstandard", reason="needs the zstandard package")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        archive.add(tree / "b.mid", "b.mid")
        archive.add(tree / "a/y.Midi", "y.Midi")
    parts = [plain.getvalue()[i * 1000 : (i + 1) * 1000] for i in range(frames - 1)]
    parts.append(plain.getvalue()[sum(map(len, parts)) :])
    whole = b"".join(zstandard.compress(part) for part in parts)
    (tmp_path / "box.tar.zst").write_bytes(whole)
    assert members(tmp_path / "box.tar.zst") == [(b"b.mid", MIDI, None), (b"y.Midi", MIDI + b"2", None)]


def test_zstandard_missing(tmp_path, monkeypatch):
    (tmp_path / "box.tar.zst").touch()

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(archives, "import_module", absent)
    with pytest.raises(RollcoreError, match=r"pip install 'rollcore\[zstd\]'"):
        batches(tmp_path / "box.tar.zst")


def test_names_in_archives_keep_their_bytes(tmp_path):
    with tarfile.open(tmp_path / "box.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        add(archive, "caf\xe9.mid", MIDI)
    assert names(tmp_path / "box.tar") == [b"caf\xe9.mid"]
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as archive:
        archive.writestr("ño.mid", MIDI)  # flagged as UTF-8
        archive.writestr("cafX.mid", MIDI)
    raw = (tmp_path / "box.zip").read_bytes().replace(b"cafX", b"caf\xe9")  # in no known encoding
    (tmp_path / "box.zip").write_bytes(raw)
    assert names(tmp_path / "box.zip") == [b"caf\xe9.mid", "ño.mid".encode()]


def test_a_decompression_bomb_costs_no_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "box.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.mid", bytes(40 << 20))
    data = bytearray((tmp_path / "box.zip").read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 1000)  # declares 1,000 bytes, holds 40 MiB
    (tmp_path / "box.zip").write_bytes(data)
    tracemalloc.start()
    assert members(tmp_path / "box.zip") == [(b"x.mid", b"", "in archive: damaged")]
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_an_archive_that_is_none(tmp_path, suffix):
    path = tmp_path / f"box{suffix}"
    for content in (b"", b"<html>not found</html>", os.urandom(3000)):
        path.write_bytes(content)
        assert members(path) == [(os.fsencode(path.name), b"", "archive: damaged or cut short")]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_an_archive_cut_anywhere_gives_what_is_whole_and_says_so(tmp_path, suffix):
    path = tmp_path / f"box{suffix}"
    contents = {f"{i}.mid": MIDI + os.urandom(700) for i in range(4)}
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, TAR_MODES[suffix]) as archive:
            for name, content in contents.items():
                add(archive, name, content)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 97) | 1):
        path.write_bytes(whole[:length])
        found = members(path)
        good = [(name, blob) for name, blob, reason in found if reason is None]
        assert all(contents[name.decode()] == blob for name, blob in good)
        if len(good) < 4:
            assert found[-1] == (os.fsencode(path.name), b"", "archive: damaged or cut short")


@pytest.mark.parametrize("kind", ["zip of overlapping entries", "tar.xz of zeros"])
def test_an_archive_that_unpacks_to_more_than_a_thousand_times_its_size(tmp_path, kind):
    """The zip has one member of a megabyte and a directory that names it 200 times."""
    if kind.startswith("zip"):
        path = tmp_path / "box.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.mid", bytes(1 << 20))
        data = path.read_bytes()
        start, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
        entries = data[start:end] * 200
        finish = bytearray(data[end:])
        finish[8:12] = struct.pack("<HH", 200, 200)
        finish[12:16] = struct.pack("<I", len(entries))
        path.write_bytes(data[:start] + entries + finish)
    else:
        path = tmp_path / "box.tar.xz"
        with tarfile.open(path, "w:xz") as archive:
            for i in range(100):
                add(archive, f"{i}.mid", bytes(1 << 20))
    found = members(path)
    assert found[-1] == (os.fsencode(path.name), b"", "archive: unpacks to more than 1,000 times its size")
    assert 60 <= len(found) <= 70


@pytest.mark.parametrize("size", [1, 257, 1 << 16])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_gzip_is_decompressed_as_gzip_does(monkeypatch, size, chunk):
    monkeypatch.setattr(archives, "_READ_BYTES", chunk)
    plain = os.urandom(50) + bytes(3000) + MIDI * 20
    for packed in (gzip.compress(plain), gzip.compress(plain) + gzip.compress(b"") + gzip.compress(b"x") + bytes(9)):
        stream, found = archives._Gunzip(io.BytesIO(packed)), b""
        while block := stream.read(size):
            assert len(block) <= size
            found += block
        assert found == gzip.decompress(packed)
    stream = archives._Gunzip(io.BytesIO(gzip.compress(plain)[:-9]))
    with pytest.raises(EOFError):
        list(iter(lambda: stream.read(size), b""))
