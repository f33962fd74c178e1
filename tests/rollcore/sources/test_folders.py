"""A folder gives the same members in an order that names alone decide."""

import itertools
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import tracemalloc

import pytest

from found_members import CONTENTS, MIDI, members, names
from rollcore.errors import RollcoreError
from rollcore.sources.inputs import batches


def test_a_folder_is_walked_in_byte_order_and_a_folder_named_like_a_file_too(tree):
    # b"a" < b"a.mid": within one directory entries sort by name, whatever they are
    assert members(tree) == [CONTENTS[1], CONTENTS[2], CONTENTS[0], CONTENTS[3]]


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
