"""Folders, files, lists and archives become the same members, in an order that names alone decide."""

import gzip
import io
import itertools
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
import zipfile

import pytest

from rollcore.errors import RollcoreError
from rollcore.sources import archives
from rollcore.sources.archives import MAX_MEMBER_BYTES
from rollcore.sources.inputs import batches

MIDI = b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0"
TREE = {
    "b.mid": MIDI,
    "a/z.KAR": MIDI + b"1",
    "a/y.Midi": MIDI + b"2",
    "notes.txt": b"no",
    "a.mid/in.mid": MIDI + b"3",
}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for name, content in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def members(inputs, **options):
    """Flat list of (name, contents or None, reason)."""
    found = []
    for batch in batches(inputs, **options):
        assert (batch.paths is None) != (batch.blobs is None)
        assert len(batch) == len(batch.names) == len(batch.reasons) == len(batch.paths or batch.blobs)
        for name, where, reason in zip(batch.names, batch.paths or batch.blobs, batch.reasons, strict=True):
            if batch.paths is not None:
                where = pathlib.Path(os.fsdecode(where)).read_bytes() if reason is None else None
            found.append((name, where, reason))
    names = [name for name, _, _ in found]
    assert len(set(names)) == len(names)
    return found


def names(inputs, **options):
    return [name for name, _, _ in members(inputs, **options)]


EXPECTED = [b"a.mid/in.mid", b"a/y.Midi", b"a/z.KAR", b"b.mid"]
CONTENTS = [(name, TREE[name.decode()], None) for name in EXPECTED]


def test_a_folder_is_walked_in_byte_order_and_a_folder_named_like_a_file_too(tree):
    # b"a" < b"a.mid": within one directory entries sort by name, whatever they are
    assert members(tree) == [CONTENTS[1], CONTENTS[2], CONTENTS[0], CONTENTS[3]]


@pytest.mark.parametrize("size", [1, 2, 3, 256])
def test_batches_hold_at_most_size_members(tree, size):
    sizes = [len(batch) for batch in batches(tree, size=size)]
    assert sum(sizes) == 4
    assert all(length == size for length in sizes[:-1])


def test_size_must_be_positive(tree):
    with pytest.raises(ValueError, match="at least 1"):
        batches(tree, size=0)


def test_order_does_not_depend_on_the_order_of_the_directory(tree, monkeypatch):
    before = members(tree)
    real = os.scandir

    class Reversed:
        def __init__(self, folder):
            self.real = real(folder)

        def __enter__(self):
            return reversed(list(self.real))

        def __exit__(self, *_):
            self.real.close()

    monkeypatch.setattr(os, "scandir", Reversed)
    assert members(tree) == before


def test_several_inputs_keep_their_own_names(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert names(["a/", "b.mid", "a.mid"]) == [b"a/y.Midi", b"a/z.KAR", b"b.mid", b"a.mid/in.mid"]
    assert names(["a", "a/y.Midi", "a"]) == [b"a/y.Midi", b"a/z.KAR"]  # met again, counted once


def test_the_extensions_of_midi_files(tmp_path):
    """The same five in a folder and in archives, in any case; what only looks like one of them is left alone."""
    folder = tmp_path / "in"
    folder.mkdir()
    midi = ["a.mid", "b.midi", "c.kar", "d.rmi", "e.smf", "f.RMI", "g.Smf", "h.x.rMi"]
    other = ["a.rmid", "b.smfx", "c.rm", "rmi", "d.mid.txt", "e.mp3", "smf", "f.mid~"]
    for name in midi + other:
        (folder / name).write_bytes(MIDI)
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as archive:
        for name in midi + other:
            archive.write(folder / name, name)
    with tarfile.open(tmp_path / "box.tar", "w") as archive:
        for name in midi + other:
            archive.add(folder / name, name)
    for source in (folder, tmp_path / "box.zip", tmp_path / "box.tar"):
        assert [name.decode() for name in names(source)] == midi


def test_a_file_named_outright_needs_no_extension(tree):
    assert members(tree / "notes.txt") == [(b"notes.txt", b"no", None)]
    assert members(os.fsencode(tree / "b.mid")) == [(b"b.mid", MIDI, None)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_names_files_folders_and_archives(tree, tmp_path, monkeypatch, end):
    monkeypatch.chdir(tree)
    with zipfile.ZipFile("box.zip", "w") as archive:
        archive.writestr("in.mid", MIDI)
    os.symlink("circle.mid", "circle.mid")
    lines = [b"notes.txt", b"a", b"", b"gone.mid", b"/gone.mid", b"circle.mid", b"box.zip", b"b.mid", b"b.mid"]
    (tmp_path / "files.txt").write_bytes(end.join(lines))
    expected = [b"notes.txt", b"a/y.Midi", b"a/z.KAR", *lines[3:6], b"box.zip/in.mid", b"b.mid"]
    found = members(f"@{tmp_path / 'files.txt'}")
    assert [name for name, _, _ in found] == expected
    assert [reason for _, _, reason in found if reason] == [
        "listed: no such file or directory (relative paths count from the current directory)",
        "listed: no such file or directory",
        "listed: too many levels of symbolic links",
    ]


def test_a_list_may_begin_with_a_byte_order_mark(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tree)
    (tmp_path / "files.txt").write_bytes(b"\xef\xbb\xbfb.mid\r\n")
    assert members(f"@{tmp_path / 'files.txt'}") == [(b"b.mid", MIDI, None)]


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16(tree, tmp_path, monkeypatch, code):
    monkeypatch.chdir(tree)
    listed = tmp_path / "list.txt"
    (tree / "ñ.mid").write_bytes(MIDI)
    listed.write_bytes("\ufeffb.mid\r\nñ.mid\r\n".encode(code))
    assert names(f"@{listed}") == [b"b.mid", "ñ.mid".encode()]
    listed.write_bytes("\ufeffb.mid".encode(code)[:-1])
    with pytest.raises(RollcoreError, match="damaged UTF-16"):
        names(f"@{listed}")


def test_a_list_on_standard_input(tree, monkeypatch):
    monkeypatch.chdir(tree)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"b.mid\na/z.KAR\n")))
    assert names("-") == [b"b.mid", b"a/z.KAR"]


def test_what_is_not_there_is_an_error_at_the_call(tree, tmp_path):
    with pytest.raises(RollcoreError, match=r"nowhere: no such file or directory; name a folder"):
        batches([tree, tmp_path / "nowhere"])
    with pytest.raises(RollcoreError, match="cannot read the list"):
        list(batches("@nowhere.txt"))


def test_nothing_to_find(tmp_path):
    assert list(batches(tmp_path)) == []
    assert list(batches([])) == []


def test_names_that_are_not_unicode(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    for name in (b"\xff\xfe.mid", "ño.mid".encode(), b"new\nline.mid"):
        with open(folder + b"/" + name, "wb") as file:
            file.write(MIDI)
    assert members(tmp_path) == [
        (b"caf\xe9/new\nline.mid", MIDI, None),
        (b"caf\xe9/\xc3\xb1o.mid", MIDI, None),
        (b"caf\xe9/\xff\xfe.mid", MIDI, None),
    ]


def test_links(tree):
    (tree / "link.mid").symlink_to(tree / "b.mid")
    (tree / "broken.mid").symlink_to("nowhere")
    (tree / "self.mid").symlink_to("self.mid")
    (tree / "self").symlink_to("self")
    (tree / "a" / "up").symlink_to(tree)
    (tree / "a" / "across").symlink_to(tree / "a.mid")
    found = {name: reason for name, _, reason in members(tree)}
    assert found == {
        b"a/across/in.mid": None,  # the first way there, in sorted order, is the only one
        b"a/y.Midi": None,
        b"a/z.KAR": None,
        b"b.mid": None,
        b"link.mid": None,
        b"broken.mid": "broken link",
        b"self.mid": "broken link",
    }


def test_a_web_of_links_is_finite(tmp_path):
    for i, j in itertools.product(range(12), repeat=2):
        (tmp_path / str(i)).mkdir(exist_ok=True)
        (tmp_path / str(i) / f"to{j}").symlink_to(tmp_path / str(j))
        (tmp_path / str(i) / "x.mid").write_bytes(MIDI)
    assert len(names(tmp_path)) == 12


def test_special_files_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mid")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "socket.mid"))
        assert members(tmp_path) == [
            (b"pipe.mid", None, "not a regular file"),
            (b"socket.mid", None, "not a regular file"),
        ]
    assert members([tmp_path / "pipe.mid"]) == [(b"pipe.mid", None, "not a regular file")]


def test_a_folder_that_cannot_be_listed_is_accounted_for(tree, monkeypatch):
    real = os.scandir

    def scandir(folder):
        if folder.endswith(b"/a"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found = {name: reason for name, _, reason in members(tree)}
    assert found == {b"a/": "folder: permission denied", b"a.mid/in.mid": None, b"b.mid": None}
    with pytest.raises(RollcoreError, match="a: cannot list the folder: permission denied"):
        list(batches(tree / "a"))


def test_memory_is_one_directory_at_a_time(tmp_path):
    for folder in range(20):
        (tmp_path / f"{folder}").mkdir()
        for file in range(200):
            os.close(os.open(tmp_path / f"{folder}" / f"{file}.mid", os.O_CREAT))

    def peak(root):
        tracemalloc.start()
        count = sum(len(batch) for batch in batches(root))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, top

    peak(tmp_path)
    (few, small), (many, large) = peak(tmp_path / "0"), peak(tmp_path)
    assert (few, many) == (200, 4000)
    assert large < 3 * small


# --- archives

TAR_MODES = {".tar": "w", ".tar.gz": "w:gz", ".TGZ": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def add(archive, name, content, **header):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in header.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


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


def test_names_met_twice_in_an_archive_get_a_number(tmp_path):
    with tarfile.open(tmp_path / "box.tar", "w") as archive:
        for content in (MIDI, MIDI + b"1", MIDI + b"2"):
            add(archive, "x.mid", content)
    assert members(tmp_path / "box.tar") == [
        (b"x.mid", MIDI, None),
        (b"x.mid (2)", MIDI + b"1", None),
        (b"x.mid (3)", MIDI + b"2", None),
    ]


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


def test_a_zip_whose_name_is_not_the_utf8_it_says(tmp_path):
    path = tmp_path / "box.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ñ.mid", MIDI)
    path.write_bytes(path.read_bytes().replace("ñ".encode(), b"\xff\xfe"))
    [(name, _, reason)] = members(path)
    assert (name, reason) == (b"box.zip", "archive: a member's name is not the UTF-8 that it says it is")


def test_large_members_do_not_pile_up_in_a_batch(tmp_path):
    with tarfile.open(tmp_path / "box.tar", "w") as archive:
        for i in range(5):
            add(archive, f"{i}.mid", bytes(20 << 20))
    assert [len(batch) for batch in batches(tmp_path / "box.tar")] == [2, 2, 1]


@pytest.fixture
def public():
    """A folder that other users can enter: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_an_unreadable_file_is_found_all_the_same(public):
    (public / "b.mid").write_bytes(MIDI)
    (public / "b.mid").chmod(0)
    (public / "a").mkdir(mode=0)
    code = (
        "import os, sys\nfrom rollcore.sources.inputs import batches\n"
        "os.setuid(65534)\n"
        "print([(n, r) for b in batches(sys.argv[1]) for n, r in zip(b.names, b.reasons)])"
    )
    done = subprocess.run([sys.executable, "-c", code, public], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[(b'a/', 'folder: permission denied'), (b'b.mid', None)]\n"
