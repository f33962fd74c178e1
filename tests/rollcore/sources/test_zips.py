"""A zip is read in the order of the same folder, and damage is told."""

import struct
import zipfile

import pytest

from found_members import MIDI, TREE, members
from rollcore.sources.members import MAX_MEMBER_BYTES


def test_a_zip_is_read_in_the_order_of_the_same_folder(tree, tmp_path):
    path = tmp_path / "box.ZIP"
    for mode in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", mode) as archive:
            for name in ["b.mid", "notes.txt", "a/z.KAR", "a.mid/in.mid", "a/y.Midi"]:
                archive.writestr(name, TREE[name])
            archive.mkdir("folder.mid") if hasattr(archive, "mkdir") else None
        assert members(path) == members(tree)


def test_a_zip_behind_other_bytes(tmp_path):
    path = tmp_path / "self_extracting.zip"
    path.write_bytes(b"#!/bin/sh\n" * 50)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.mid", MIDI)
    assert members(path) == [(b"x.mid", MIDI, None)]


def patched_zip(path, offset, new):
    """Write a zip of one member with some bytes of its directory entry replaced (offsets: APPNOTE 4.3.12)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.mid", MIDI * 10)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + offset : entry + offset + len(new)] = new
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (8, b"\x01", "in archive: encrypted"),
        (24, struct.pack("<I", MAX_MEMBER_BYTES + 1), "in archive: larger than 64 MiB"),
        (24, struct.pack("<I", 9), "in archive: damaged"),  # declares less than it holds
        (24, struct.pack("<I", 1 << 20), "in archive: damaged"),  # declares more
        (16, b"\0\0\0\0", "in archive: damaged"),  # checksum
        (10, b"\x09", "in archive: packed by a method other than deflate"),
        (42, struct.pack("<I", 7), "in archive: damaged"),  # points beside its header
    ],
)
def test_members_of_a_zip_that_cannot_be_read(tmp_path, offset, new, reason):
    patched_zip(tmp_path / "box.zip", offset, new)
    assert members(tmp_path / "box.zip") == [(b"x.mid", b"", reason)]


@pytest.mark.parametrize("offset", [1 << 62, 1 << 63, (1 << 64) - 1])
def test_a_zip64_entry_that_points_nowhere(tmp_path, offset):
    path = tmp_path / "box.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.mid", MIDI)
        archive.writestr("y.mid", MIDI)
    data = bytearray(path.read_bytes())
    entry, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    extra = struct.pack("<HHQ", 1, 8, offset)  # APPNOTE 4.5.3: the 64-bit offset of the local header
    data[entry + 30 : entry + 32] = struct.pack("<H", len(extra))
    data[entry + 42 : entry + 46] = b"\xff" * 4
    data[entry + 51 : entry + 51] = extra
    size = struct.unpack_from("<I", data, end + len(extra) + 12)[0]
    data[end + len(extra) + 12 : end + len(extra) + 16] = struct.pack("<I", size + len(extra))
    path.write_bytes(data)
    assert members(path) == [(b"x.mid", b"", "in archive: damaged"), (b"y.mid", MIDI, None)]


def test_a_zip_whose_name_is_not_the_utf8_it_says(tmp_path):
    path = tmp_path / "box.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ñ.mid", MIDI)
        archive.writestr("z.mid", MIDI)
    path.write_bytes(path.read_bytes().replace("ñ".encode(), b"\xff\xfe"))
    assert members(path) == [(b"z.mid", MIDI, None), (b"\xff\xfe.mid", MIDI, None)]
