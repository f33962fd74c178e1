"""Folders, files, lists and archives become batches of the same members."""

import os
import tarfile
import zipfile

import pytest

from found_members import MIDI, add, members, names
from rollcore.errors import RollcoreError
from rollcore.sources.inputs import batches


@pytest.mark.parametrize("size", [1, 2, 3, 256])
def test_batches_hold_at_most_size_members(tree, size):
    sizes = [len(batch) for batch in batches(tree, size=size)]
    assert sum(sizes) == 4
    assert all(length == size for length in sizes[:-1])


def test_size_must_be_positive(tree):
    with pytest.raises(ValueError, match="at least 1"):
        batches(tree, size=0)


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


def test_what_is_not_there_is_an_error_at_the_call(tree, tmp_path):
    with pytest.raises(RollcoreError, match=r"nowhere: no such file or directory; name a folder"):
        batches([tree, tmp_path / "nowhere"])
    with pytest.raises(RollcoreError, match="cannot read the list"):
        list(batches("@nowhere.txt"))


def test_nothing_to_find(tmp_path):
    assert list(batches(tmp_path)) == []
    assert list(batches([])) == []


def test_names_met_twice_in_an_archive_get_a_number(tmp_path):
    with tarfile.open(tmp_path / "box.tar", "w") as archive:
        for content in (MIDI, MIDI + b"1", MIDI + b"2"):
            add(archive, "x.mid", content)
    assert members(tmp_path / "box.tar") == [
        (b"x.mid", MIDI, None),
        (b"x.mid (2)", MIDI + b"1", None),
        (b"x.mid (3)", MIDI + b"2", None),
    ]


def test_large_members_do_not_pile_up_in_a_batch(tmp_path):
    with tarfile.open(tmp_path / "box.tar", "w") as archive:
        for i in range(5):
            add(archive, f"{i}.mid", bytes(20 << 20))
    assert [len(batch) for batch in batches(tmp_path / "box.tar")] == [2, 2, 1]
