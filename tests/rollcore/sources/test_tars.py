"""A tar is read in its own order, whatever its form, and damage is told."""

import gzip
import tarfile
import tracemalloc

import pytest

from found_members import EXPECTED, MIDI, TAR_MODES, TREE, add, members


@pytest.mark.parametrize("suffix", TAR_MODES)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_read_in_its_own_order(tree, tmp_path, suffix, form):
    path = tmp_path / f"box{suffix}"
    order = [EXPECTED[i].decode() for i in (3, 0, 2, 1)]
    with tarfile.open(path, TAR_MODES[suffix], format=form) as archive:
        for name in order:
            archive.add(tree / name, f"./{name}")
        archive.add(tree / "notes.txt", "notes.txt")
    assert members(path) == [(name.encode(), TREE[name], None) for name in order]


def test_what_a_tar_holds_beside_files(tmp_path):
    with tarfile.open(tmp_path / "box.tar", "w") as archive:
        add(archive, "a.mid", MIDI)
        add(archive, "link.mid", b"", type=tarfile.SYMTYPE, linkname="a.mid")
        add(archive, "hard.mid", b"", type=tarfile.LNKTYPE, linkname="a.mid")
        add(archive, "pipe.mid", b"", type=tarfile.FIFOTYPE)
        add(archive, "folder.mid", b"", type=tarfile.DIRTYPE)
        add(archive, "inner.zip", b"PK")
        add(archive, "z.mid", MIDI)
    assert members(tmp_path / "box.tar") == [
        (b"a.mid", MIDI, None),
        (b"link.mid", b"", "in archive: a link"),
        (b"hard.mid", b"", "in archive: a link"),
        (b"pipe.mid", b"", "in archive: not a regular file"),
        (b"z.mid", MIDI, None),
    ]


def test_a_giant_member_of_a_tar_is_left_alone(tmp_path):
    header = tarfile.TarInfo("bomb.mid")
    header.size = 1 << 40
    (tmp_path / "box.tar").write_bytes(header.tobuf() + bytes(2048))
    assert members(tmp_path / "box.tar") == [
        (b"bomb.mid", b"", "in archive: larger than 64 MiB"),
        (b"box.tar", b"", "archive: damaged or cut short"),
    ]


def test_the_end_of_a_tar_is_where_it_says_so(tmp_path):
    path = tmp_path / "box.tar"
    for name in ("one.tar", "two.tar"):
        with tarfile.open(tmp_path / name, "w") as archive:
            add(archive, f"{name}.a.mid", MIDI)
            add(archive, f"{name}.b.mid", MIDI)
    one, two = (tmp_path / "one.tar").read_bytes(), (tmp_path / "two.tar").read_bytes()
    first, second = (b"one.tar.a.mid", MIDI, None), (b"one.tar.b.mid", MIDI, None)
    header = one.index(b"one.tar.b.mid")
    for place, damage in [
        (0, b"?"),
        (107, b"z"),
        (124, b"x"),
        (148, b"9"),
        (257, b"?"),
        (0, bytes(10)),
        (0, one[-512:]),
    ]:
        at = header + place
        path.write_bytes(one[:at] + damage + one[at + len(damage) :])
        if damage != one[-512:]:
            assert members(path) == [first, (b"box.tar", b"", "archive: damaged or cut short")], place
        else:  # zeros in the place of a header are the end, behind which nothing should stand
            assert members(path) == [first, (b"box.tar", b"", "archive: more stands behind its end, which is not read")]
    path.write_bytes(one[: header + 1024])  # whole but for the blocks of zeros at its end
    assert members(path) == [first, second, (b"box.tar", b"", "archive: damaged or cut short")]
    path.write_bytes(one + two)
    behind = (b"box.tar", b"", "archive: more stands behind its end, which is not read")
    assert members(path) == [first, second, behind]
    path.write_bytes(one + bytes(1 << 20))
    assert members(path) == [first, second]


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_name_of_a_gigabyte_is_not_taken_into_memory(tmp_path, kind):
    path = tmp_path / "box.tar.gz"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 1 << 30
    with gzip.open(path, "wb", compresslevel=1) as file:
        with tarfile.open(fileobj=file, mode="w|") as archive:
            add(archive, "a.mid", MIDI)
            add(archive, "b.wav", bytes(6 << 20))  # content may be as large as it likes
            add(archive, "c.mid", MIDI)
            archive.addfile(tarfile.TarInfo("d.txt"))
        file.write(info.tobuf())
    whole = gzip.decompress(path.read_bytes())
    end = whole.index(bytes(1024), whole.index(b"d.txt") + 512)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(whole[:end] + info.tobuf())
        for _ in range(1 << 6):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    found = members(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(name, reason) for name, _, reason in found] == [
        (b"a.mid", None),
        (b"c.mid", None),
        (b"box.tar.gz", "archive: damaged or cut short"),
    ]
    assert peak < 40 << 20


def test_headers_in_a_chain_without_end(tmp_path):
    """tarfile goes one call deeper for each header that stands before another's."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    (tmp_path / "box.tar").write_bytes((info.tobuf() + b"a\0".ljust(512, b"\0")) * 1200)
    assert members(tmp_path / "box.tar") == [(b"box.tar", b"", "archive: damaged or cut short")]


def test_sparse_files_are_named_and_the_next_member_is_read(tmp_path):
    """Old GNU form with a block of header more; pax form 1.0."""
    sparse = tarfile.TarInfo("s.mid")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 1024
    header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1  # isextended
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    more = bytearray(512)
    more[504] = 1
    with tarfile.open(tmp_path / "rest.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "GNUSparseFile.1/p.mid", MIDI, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "p.mid"})
        add(archive, "z.mid", MIDI)
    rest = (tmp_path / "rest.tar").read_bytes()
    (tmp_path / "box.tar").write_bytes(bytes(header) + bytes(more) + bytes(512) + bytes(1024) + rest)
    assert members(tmp_path / "box.tar") == [
        (b"s.mid", b"", "in archive: a sparse file"),
        (b"p.mid", b"", "in archive: a sparse file"),
        (b"z.mid", MIDI, None),
    ]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_what_tarfile_reads(tmp_path, form):
    long = "/".join(["folder" * 8] * (4 if form == tarfile.USTAR_FORMAT else 20))
    with tarfile.open(tmp_path / "box.tar", "w", format=form) as archive:
        for name in (f"{long}/ñ.mid", "short.mid", f"{long}/z.mid"):
            add(archive, name, MIDI + name[-9:].encode())
    with tarfile.open(tmp_path / "box.tar") as archive:
        expected = [(info.name.encode(), archive.extractfile(info).read(), None) for info in archive]
    assert members(tmp_path / "box.tar") == expected
    assert len(expected) == 3


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_size_of_more_than_eight_gigabytes_is_skipped(tmp_path, form):
    """The numbers in bits of GNU, the attribute of pax; the file has a hole where the content would be."""
    size = 9 << 30
    info = tarfile.TarInfo("x.wav")
    info.size = size
    with open(tmp_path / "box.tar", "wb") as file:
        file.write(info.tobuf(form))
        file.seek(size, 1)
        with tarfile.open(fileobj=file, mode="w") as archive:
            add(archive, "a.mid", MIDI)
    assert members(tmp_path / "box.tar") == [(b"a.mid", MIDI, None)]
    (tmp_path / "box.tar").unlink()


@pytest.mark.parametrize("record", [b"99 path=a\n", b"x path=a\n", b"3 p\n", b"-5 path=a\n", b"9 path=a"])
def test_damaged_attributes(tmp_path, record):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    (tmp_path / "box.tar").write_bytes(info.tobuf() + record.ljust(512, b"\0") + bytes(2048))
    assert members(tmp_path / "box.tar") == [(b"box.tar", b"", "archive: damaged or cut short")]
