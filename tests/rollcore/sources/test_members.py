"""What counts as a MIDI file by its name, and what is compressed."""

import gzip
import os
import tarfile
import zipfile
import zlib

import pytest

from found_members import MIDI, add, members
from rollcore.sources.members import MAX_MEMBER_BYTES, Deflated, Gzipped, gunzip, is_midi_name

HOLDS = {"a.mid.gz": gzip.compress(MIDI), "b.MID.GZ": gzip.compress(MIDI + b"2"), "c.mid": MIDI + b"3"}


def test_gzipped_files_are_read_in_folders_zips_and_tars_and_outright(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as stored, tarfile.open(tmp_path / "in.tar", "w") as tar:
        for i, (name, content) in enumerate(HOLDS.items()):
            (folder / name).write_bytes(content)
            stored.writestr(name, content, zipfile.ZIP_DEFLATED if i else zipfile.ZIP_STORED)
            add(tar, name, content)
    expected = [(b"a.mid.gz", MIDI, None), (b"b.MID.GZ", MIDI + b"2", None), (b"c.mid", MIDI + b"3", None)]
    for source in ("in", "in.zip", "in.tar"):
        assert members(tmp_path / source) == expected
    assert members(folder / "a.mid.gz") == expected[:1]


def test_files_of_a_folder_stay_together_whether_compressed_or_not(tmp_path):
    for i in range(6):
        name = f"{i}.mid" + ".gz" * (i % 2)
        (tmp_path / name).write_bytes(gzip.compress(MIDI) if i % 2 else MIDI)
    (tmp_path / "6.mid").symlink_to("nowhere")
    from rollcore.sources.inputs import batches

    [batch] = batches(tmp_path)
    assert batch.contents() == [MIDI] * 6 + [b""]
    assert batch.reasons == [None] * 6 + ["broken link"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (gzip.compress(b"a") + gzip.compress(b"b") + bytes(700), (b"ab", None)),  # parts, and a tape's padding
        (b"", (b"", None)),
        (gzip.compress(b"a")[:-1], (b"", "gzip: damaged or cut short")),
        (gzip.compress(b"a") + b"more", (b"", "gzip: damaged or cut short")),
        (b"MThd", (b"", "gzip: damaged or cut short")),
        (gzip.compress(bytes(MAX_MEMBER_BYTES + 1), 1), (b"", "gzip: larger than 64 MiB")),
    ],
)
def test_gunzip(data, expected):
    assert gunzip(data) == expected


def test_a_compressed_file_that_is_gone(tmp_path):
    gone = Gzipped(None, os.fsencode(tmp_path / "gone.mid.gz"), 10)
    assert gone.unpack() == (b"", "unreadable (No such file or directory)")


def test_a_member_of_a_zip_has_the_size_and_checksum_that_it_says():
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(MIDI) + packer.flush()
    assert Deflated(data, len(MIDI), zlib.crc32(MIDI), False).unpack() == (MIDI, None)
    for size, crc in ((len(MIDI) + 1, zlib.crc32(MIDI)), (len(MIDI) - 1, zlib.crc32(MIDI)), (len(MIDI), 0)):
        assert Deflated(data, size, crc, False).unpack() == (b"", "in archive: damaged")


def test_what_macos_puts_beside_files_is_not_counted(tmp_path):
    names = ["songs/a.mid", "songs/._a.mid", "__MACOSX/songs/._a.mid", "__MACOSX/b.mid", "songs/x._y.mid"]
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as zipped, tarfile.open(tmp_path / "box.tar", "w") as tar:
        for name in names:
            path = tmp_path / "box" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(MIDI)
            zipped.writestr(name, MIDI)
            add(tar, name, MIDI)
    for source in ("box", "box.zip", "box.tar"):
        assert [name for name, _, _ in members(tmp_path / source)] == [b"songs/a.mid", b"songs/x._y.mid"]


@pytest.mark.parametrize(
    ("name", "counts"),
    [(b"a.midi2", True), (b"a.XMF", True), (b"a.mxmf.gz", True), (b"a.gz", False), (b"._a.mid", False), (b"._", False)],
)
def test_names_that_count(name, counts):
    assert is_midi_name(name) is counts
