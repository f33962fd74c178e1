"""Archives and folders that somebody made to take all memory, all day or all of the disk."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zlib

import numpy as np
import pytest

import rollcore
from rollcore.sources.archives import ArchiveError, read_archive

BUILD = """
import sys, rollcore
try:
    report = rollcore.build_dataset(sys.argv[1], sys.argv[2], threads=2)
    print(report.found, report.pieces, "; ".join(report.reasons))
except rollcore.RollcoreError as error:
    print("refused", error)
try:
    # Not what getrusage says, which counts the process that this one was forked from.
    with open("/proc/self/status") as file:
        print(next(int(line.split()[1]) >> 10 for line in file if line.startswith("VmHWM")))
except FileNotFoundError:
    print(0)
"""


def told(source, out, timeout=120):
    """What a build says in a process of its own, and its peak memory in MiB, 0 where the system does not tell it."""
    code = [sys.executable, "-c", BUILD, str(source), str(out)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    line, peak = done.stdout.splitlines()
    return line, int(peak)


@pytest.fixture(scope="module")
def song():
    notes = np.array([(0, 480, 60, 80, 0, 0)], rollcore.NOTE_DTYPE)
    buffer = io.BytesIO()
    rollcore.write_midi(rollcore.Midi.from_notes(notes), buffer)
    return buffer.getvalue()


def zip_of_one_content(path, content, names):
    """Write a zip whose members all share the bytes of one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    size, crc = len(content), zlib.crc32(content)
    with open(path, "wb") as file:
        file.write(struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(packed), size, 0, 0) + packed)
        start = file.tell()
        for name in names:
            fields = (20, 20, 0, 8, 0, 33, crc, len(packed), size, len(name), 0, 0, 0, 0, 0, 0)
            file.write(struct.pack("<4s6H3I5H2I", b"PK\1\2", *fields) + name)
        end = file.tell()
        count = min(len(names), 0xFFFF)
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, end - start, start, 0))


def test_members_of_a_zip_that_lie_over_each_other_are_a_bomb(tmp_path):
    zip_of_one_content(tmp_path / "x.zip", bytes(60 << 20), [b"%d.mid" % i for i in range(2000)])
    line, peak = told(tmp_path / "x.zip", tmp_path / "x.h5")
    assert "none of 3 files gave a piece" in line, "two that were zeros, and the archive"
    assert peak < 600
    with pytest.raises(ArchiveError, match="archive: unpacks to more than 1,000 times its size"):
        list(read_archive(os.fsencode(tmp_path / "x.zip")))


def test_a_zip_of_a_hundred_thousand_members_is_read_in_bounded_memory(tmp_path, song):
    zip_of_one_content(tmp_path / "x.zip", song, [b"%d.txt" % i for i in range(100_000)] + [b"a.mid"])
    line, peak = told(tmp_path / "x.zip", tmp_path / "x.h5")
    assert line == "1 1 "
    assert peak < 250


def test_a_tar_of_zeros_is_passed_over_in_little_memory(tmp_path, song):
    with gzip.open(tmp_path / "x.tar.gz", "wb", 1) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for name, content in (("zeros.bin", bytes(300 << 20)), ("large.mid", bytes(70 << 20)), ("a.mid", song)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    line, peak = told(tmp_path / "x.tar.gz", tmp_path / "x.h5")
    assert line == "2 1 in archive: larger than 64 MiB"
    assert peak < 250


def test_sparse_members_of_a_tar_are_not_filled_up(tmp_path, song):
    header = tarfile.TarInfo("holes.mid")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"%011o\0%011o\0" % (0, 512)  # one piece of data, at the beginning
    block[483:495] = b"%011o\0" % (1 << 32)  # of what is said to be 4 GiB
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    plain = tarfile.TarInfo("a.mid")
    plain.size = len(song)
    content = bytes(block) + bytes(512) + plain.tobuf() + song + bytes(-len(song) % 512) + bytes(1024)
    (tmp_path / "x.tar").write_bytes(content)
    line, peak = told(tmp_path / "x.tar", tmp_path / "x.h5")
    assert line == "2 1 in archive: a sparse file"
    assert peak < 250


def test_gzip_files_that_unpack_to_gigabytes_are_left_alone(tmp_path, song):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "bomb.mid.gz").write_bytes(gzip.compress(bytes(200 << 20), 1))
    (folder / "a.mid.gz").write_bytes(gzip.compress(song))
    line, peak = told(folder, tmp_path / "x.h5")
    assert line == "2 1 gzip: larger than 64 MiB"
    assert peak < 400


def test_a_folder_of_dense_files_is_read_in_bounded_memory(tmp_path):
    """24 files of 8 MB, of 1.4 million notes each: their notes alone are 400 MB."""
    folder = tmp_path / "in"
    folder.mkdir()
    events = b"\x00\x90\x3c\x00" + bytes(b for i in range(60) for b in (1, 30 + i, 64, 1, 30 + i, 0)) * 23_000
    events += b"\x00\xff\x2f\x00"
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 3, 192])
    (folder / "00.mid").write_bytes(header + b"MTrk" + len(events).to_bytes(4, "big") + events)
    for i in range(1, 24):
        os.link(folder / "00.mid", folder / f"{i:02}.mid")
    line, peak = told(folder, tmp_path / "x.h5")
    assert line == "24 24 "
    assert peak < 400
