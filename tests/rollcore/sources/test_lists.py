"""Lists of paths, wildcards and braces."""

import io
import os
import sys
import tarfile
import zipfile

import pytest

from found_members import MIDI, add, members, names
from rollcore.errors import RollcoreError
from rollcore.sources.inputs import batches
from rollcore.sources.lists import expand


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a{1..3}", ["a1", "a2", "a3"]),
        ("a{09..11}.tar", ["a09.tar", "a10.tar", "a11.tar"]),
        ("a{3..1}", ["a3", "a2", "a1"]),
        ("{x,y}/{0..1}", ["x/0", "x/1", "y/0", "y/1"]),
        ("a{b}c", ["a{b}c"]),
        ("a{b", ["a{b"]),
    ],
)
def test_braces_are_those_of_a_shell(name, expected):
    assert expand(name) == [os.fsencode(path) for path in expected]


def test_wildcards(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert names("a*/*.?id") == [b"a.mid/in.mid"]
    assert names("**/*.KAR") == [b"a/z.KAR"]
    assert expand("{b,a/*}.[mK]*") == [b"b.mid", b"a/z.KAR"]
    (tree / "odd[1].mid").write_bytes(MIDI)
    assert names("odd[1].mid") == [b"odd[1].mid"]  # what is there as it is written
    for nothing in ("x*.mid", "b.mid/*"):
        with pytest.raises(RollcoreError, match="nothing is called so"):
            batches(nothing)
    with pytest.raises(RollcoreError, match=r"gone-1\.mid: no such file"):
        batches("gone-{1..2}.mid")


def test_a_path_object_is_neither_a_list_nor_a_wildcard(tree):
    with pytest.raises(RollcoreError, match="no such file"):
        batches(tree / "*.mid")


def test_too_many_names():
    with pytest.raises(RollcoreError, match="more than 1,000,000"):
        expand("{1..2000}{1..2000}")


def test_shards_of_a_webdataset(tmp_path):
    for shard in range(2):
        with tarfile.open(tmp_path / f"train-{shard:03}.tar", "w") as archive:
            for name in ("x.json", "x.mid"):
                add(archive, name, MIDI)
    prefix = os.fsencode(tmp_path)
    found = names(f"{tmp_path}/train-{{000..001}}.tar")
    assert found == [prefix + b"/train-000.tar/x.mid", prefix + b"/train-001.tar/x.mid"]
