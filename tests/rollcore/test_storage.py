"""Object storage, with fsspec's own in memory: what is fetched once, what is published whole, what is said."""

import gzip
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

import rollcore
from rollcore import storage
from rollcore.cli import main
from rollcore.errors import RollcoreError, StorageError
from rollcore.sources.pack import make_chords

fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'rollcore[azure]'")


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty storage, and an empty cache."""
    monkeypatch.setenv("ROLLCORE_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    return system


def test_what_is_fetched_has_its_name_and_is_fetched_again_when_it_changed(memory):
    memory.pipe("/box/song.mid", b"one")
    first = storage.fetch("memory://box/song.mid")
    assert (os.path.basename(first), Path(first).read_bytes()) == ("song.mid", b"one")
    os.utime(first, (1, 1))
    assert storage.fetch("memory://box/song.mid") == first
    assert os.stat(first).st_mtime == 1  # not fetched again
    memory.pipe("/box/song.mid", b"other")
    assert Path(storage.fetch("memory://box/song.mid")).read_bytes() == b"other"


def test_a_folder_is_fetched_with_the_files_that_are_wanted(memory):
    for name in ("a.mid", "sub/b.mid", "c.wav"):
        memory.pipe(f"/box/{name}", name.encode())
    folder = Path(storage.fetch("memory://box/", wanted=lambda name: name.endswith(".mid")))
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == {"a.mid", "sub/b.mid"}
    assert storage.origin(folder) == "memory://box"
    assert storage.origin("box/a.mid") == "box/a.mid"


def test_a_local_path_is_itself(tmp_path):
    assert storage.fetch(tmp_path) == str(tmp_path)
    with storage.published(tmp_path / "x") as path:
        assert path == str(tmp_path / "x")
    with storage.mirrored(tmp_path / "x") as path:
        assert path == str(tmp_path / "x")


def test_nothing_is_published_of_a_block_that_fails(memory, tmp_path):
    def build():
        with storage.published("memory://box/x.h5") as path:
            Path(path).write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build()
    assert memory.find("") == []
    assert list((tmp_path / "cache" / "outgoing").iterdir()) == []


def test_what_cannot_be_published_is_kept(memory, monkeypatch):
    monkeypatch.setattr(type(memory), "put_file", lambda *_: (_ for _ in ()).throw(ConnectionError("cut off")))
    with (
        pytest.raises(StorageError, match=r"memory://box/x\.h5: storage cannot be reached .*is kept in (.*)") as caught,
        storage.published("memory://box/x.h5") as path,
    ):
        Path(path).write_bytes(b"whole")
    kept = str(caught.value).rpartition("kept in ")[2]
    assert Path(kept).read_bytes() == b"whole"


def test_a_mirror_pushes_what_changed_and_config_last(memory, tmp_path, monkeypatch):
    pushed = []
    put_file = type(memory).put_file
    monkeypatch.setattr(type(memory), "put_file", lambda *a, **o: pushed.append(a[2]) or put_file(*a, **o))
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    for name in ("config.json", "metrics.csv", "samples/1.mid", ".lock", ".best.keras.7.part"):
        (run / name).write_text(name)
    mirror = storage.Mirror(run, "memory://models/run")
    assert mirror.push(quiet=True) == 3
    assert [path.rpartition("models/run/")[2] for path in pushed] == ["metrics.csv", "samples/1.mid", "config.json"]
    (run / "metrics.csv").write_text("another epoch")
    assert mirror.push(quiet=True) == 1
    assert memory.cat("/models/run/metrics.csv") == b"another epoch"


def test_a_folder_that_is_mirrored_is_there_at_the_end_and_can_go_on(memory):
    with storage.mirrored("memory://models/run") as folder:
        Path(folder).mkdir()
        Path(folder, "config.json").write_text("1")
    with pytest.raises(StorageError, match="is there already: choose --resume"):
        storage.mirrored("memory://models/run").__enter__()
    with storage.mirrored("memory://models/run", resume=True) as folder:
        assert Path(folder, "config.json").read_text() == "1"
        Path(folder, "config.json").write_text("2!")
    assert memory.cat("/models/run/config.json") == b"2!"


def test_storage_that_fails_meanwhile_does_not_stop_the_work(memory, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    mirror = storage.Mirror(tmp_path / "run", "memory://models/run")
    seen = []

    def push(self, *, quiet=False):
        seen.append(quiet)
        if quiet:
            raise StorageError("down")
        return 0

    monkeypatch.setattr(storage.Mirror, "push", push)
    with mirror.following(seconds=0.001):
        while len(seen) < 3:
            pass
    assert seen[-1] is False
    assert all(seen[:-1])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("memory://box/none.h5", r"memory://box/none\.h5: not there; check the container"),
        ("memory://", "^memory://: names no container"),
        ("az://user:secret@box/x.h5", r"az://…: an address with a key"),
        ("az://box/x.h5?sv=1&sig=secret", r"az://…: an address with a key"),
    ],
)
def test_addresses_that_cannot_be_read(memory, address, words):
    with pytest.raises(StorageError, match=words) as caught:
        storage.fetch(address)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_address_without_a_name_is_shown_as_it_was_given():
    with pytest.raises(StorageError, match=r"^az://: names no container"):
        storage.is_there("az://")


def test_without_the_extra(memory, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(StorageError, match=r"s3://box/x: needs fsspec: pip install 'rollcore\[s3\]'"):
        storage.fetch("s3://box/x")


def test_what_is_secret_is_not_said(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=me;AccountKey=c2VjcmV0a2V5;End=x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    with pytest.raises(StorageError) as caught, storage._one_line("az://box/x"):
        raise RuntimeError("signed with c2VjcmV0a2V5\nand wJalrXUtnFEMI")
    assert str(caught.value) == "az://box/x: storage answers RuntimeError: signed with *** and ***"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("Must provide either a connection_string or account_name"), "no credentials that can be used"),
        (ValueError("Incorrect padding"), "not base64"),
        (PermissionError("Forbidden"), "no permission"),
        (TimeoutError("timed out"), "cannot be reached"),
        (ImportError("no", name="adlfs"), r"needs adlfs: pip install 'rollcore\[azure\]'"),
        (NotADirectoryError(20, "Not a directory", "/cache"), "/cache: Not a directory"),
    ],
)
def test_errors_of_other_libraries(error, words):
    with pytest.raises(StorageError, match=words), storage._one_line("az://box/x"):
        raise error


def test_names_that_would_leave_the_cache_are_refused(memory):
    memory.store["/box/../x.mid"] = memory.open("/box/a", "wb")
    with pytest.raises(StorageError):
        storage.fetch("memory://box/..")


def test_commands_read_and_write_addresses(memory, tmp_path, capsys):
    make_chords(tmp_path / "midi")
    assert main(["make-chords", "memory://box/midi"]) == 0
    assert main(["build-dataset", "memory://box/midi", "memory://box/out.h5", "--fps", "50"]) == 0
    assert "MB in memory://box/out.h5" in capsys.readouterr().out
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "out.h5", fps=50)
    assert memory.cat("/box/out.h5") == (tmp_path / "out.h5").read_bytes()
    found = rollcore.open_dataset("memory://box/out.h5")
    np.testing.assert_array_equal(found.rows(3), rollcore.open_dataset(tmp_path / "out.h5").rows(3))
    assert main(["verify", "memory://box/out.h5"]) == 0
    assert main(["plot", "memory://box/midi/C_major.mid", "memory://box/x.png"]) == 0
    assert memory.cat("/box/x.png").startswith(b"\x89PNG")
    assert main(["render", "memory://box/out.h5", "0", "memory://box/x.wav"]) == 0
    assert memory.cat("/box/x.wav").startswith(b"RIFF")


def test_names_of_several_inputs_are_their_addresses(memory, tmp_path):
    make_chords(tmp_path / "midi")
    storage.publish(tmp_path / "midi", "memory://box/midi", quiet=True)
    rollcore.build_dataset(["memory://box/midi/C*.mid", "memory://box/midi/A_major.mid"], tmp_path / "x.h5")
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    assert dataset.name(0).startswith("memory://box/midi/C")
    assert dataset.name(len(dataset) - 1) == "memory://box/midi/A_major.mid"
    (tmp_path / "list.txt").write_text("memory://box/midi/C_major.mid\nmemory://box/midi/none.mid\n")
    report = rollcore.build_dataset(f"@{tmp_path}/list.txt", tmp_path / "x.h5")
    assert (report.pieces, report.skipped) == (1, 1)
    assert next(iter(report.reasons)).startswith("listed: not there")


def test_a_build_that_fails_leaves_what_was_there(memory, tmp_path):
    memory.pipe("/box/out.h5", b"old")
    memory.pipe("/box/in/page.mid", b"<html>")
    assert main(["build-dataset", "memory://box/in", "memory://box/out.h5"]) == 1
    assert memory.cat("/box/out.h5") == b"old"


def test_an_input_that_is_absent_is_an_error_at_the_call(memory, tmp_path):
    with pytest.raises(RollcoreError, match=r"memory://box/none\.zip: not there"):
        rollcore.build_dataset("memory://box/none.zip", tmp_path / "x.h5")


def test_parts_are_merged_and_exported_from_address_to_address(memory, tmp_path, capsys):
    make_chords(tmp_path / "midi")
    storage.publish(tmp_path / "midi", "memory://box/midi", quiet=True)
    for part in ("1", "2"):
        assert main(["build-dataset", "memory://box/midi", f"memory://box/{part}.h5", "--part", f"{part}/2"]) == 0
    assert main(["merge", "memory://box/1.h5", "memory://box/2.h5", "-o", "memory://box/out.h5"]) == 0
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "out.h5")
    assert memory.cat("/box/out.h5") == (tmp_path / "out.h5").read_bytes()
    capsys.readouterr()
    assert main(["export", "memory://box/out.h5", "--npz", "memory://box/npz/"]) == 0
    assert capsys.readouterr().out.startswith("memory://box/npz/train.npz: ")
    assert memory.cat("/box/npz/train.npz").startswith(b"PK")


def test_what_is_shown_are_addresses_not_copies(memory, tmp_path, capsys):
    make_chords(tmp_path / "midi")
    storage.publish(tmp_path / "midi", "memory://box/midi", quiet=True)
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "out.h5")
    storage.publish(tmp_path / "out.h5", "memory://box/out.h5", quiet=True)
    memory.pipe("/box/bad.h5", (tmp_path / "out.h5").read_bytes()[:5000])
    for command in (
        ["info", "memory://box/out.h5"],
        ["info", "memory://box/out.h5", "--json"],
        ["info", "memory://box/midi/C_major.mid"],
        ["report", "memory://box/out.h5"],
        ["verify", "memory://box/out.h5"],
        ["verify", "memory://box/bad.h5"],
        ["plot", "memory://box/out.h5", "nobody", "memory://box/x.png"],
        ["plot", "memory://box/midi/C_major.mid", "memory://box/x.tiff"],
        ["render", "memory://box/bad.h5", "0", "memory://box/x.wav"],
        ["merge", "memory://box/out.h5", "-o", "memory://box/x.h5"],
        ["export", "memory://box/bad.h5", "--npz", "memory://box/npz"],
    ):
        status = main(command)
        out, err = capsys.readouterr()
        assert "cache" not in out + err, command
        assert (status == 0) == (err == ""), command
        assert err.count("\n") == bool(status)
        if status:
            assert "memory://box/" in err
    assert not [name for name in memory.find("/box") if "/x." in name or "/npz" in name]


def test_a_run_that_fails_leaves_no_copy_and_names_the_address(memory, tmp_path):
    def work():
        with storage.mirrored("memory://models/run") as folder:
            Path(folder).mkdir()
            raise RollcoreError(f"{folder}: no good")

    with pytest.raises(RollcoreError, match=r"^memory://models/run: no good$"):
        work()
    assert list((tmp_path / "cache" / "outgoing").iterdir()) == []


def test_origin_of_what_lies_in_a_copy(memory, tmp_path):
    memory.pipe("/box/runs/a/config.json", b"{}")
    copy = storage.fetch("memory://box/runs")
    assert storage.origin(os.path.join(copy, "a")) == "memory://box/runs/a"
    assert storage.origin(tmp_path / "cache") == str(tmp_path / "cache")
    assert storage.is_there("memory://box/runs")
    assert storage.is_there(copy)
    assert not storage.is_there("memory://box/rum")
    assert not storage.is_there(tmp_path / "none")


def test_info_of_a_midi_file_in_storage_goes_by_its_content(memory, tmp_path, capsys):
    make_chords(tmp_path / "midi")
    song = (tmp_path / "midi" / "C_major.mid").read_bytes()
    rollcore.build_dataset(tmp_path / "midi" / "C_major.mid", tmp_path / "x.h5")
    memory.pipe({"/box/C_major.mid": song, "/box/song": song, "/box/set.mid": (tmp_path / "x.h5").read_bytes()})
    for name in ("C_major.mid", "song"):
        assert main(["info", f"memory://box/{name}"]) == 0
        assert "pitches" in capsys.readouterr().out
    assert main(["info", "memory://box/set.mid"]) == 0
    assert "pieces" in capsys.readouterr().out


class Watched:
    """Storage that notes what it is asked, and answers once `together` requests are under way at the same time."""

    def __init__(self, memory, monkeypatch, together=1):
        self.asked, self.now, self.most, self.together = [], 0, 0, together
        self.changed = threading.Condition()
        for name in ("get_file", "put_file"):
            monkeypatch.setattr(type(memory), name, self.watched(getattr(type(memory), name)))

    def watched(self, function):
        def call(system, source, target, *more, **options):
            with self.changed:
                self.asked.append(str(source))
                self.now += 1
                self.most = max(self.most, self.now)
                self.changed.notify_all()
                assert self.changed.wait_for(lambda: self.most >= self.together, timeout=60)
            try:
                return function(system, source, target, *more, **options)
            finally:
                with self.changed:
                    self.now -= 1

        return call


def test_files_are_fetched_and_sent_several_at_once(memory, tmp_path, monkeypatch):
    make_chords(tmp_path / "midi")
    watched = Watched(memory, monkeypatch, together=storage.AT_ONCE)
    storage.publish(tmp_path / "midi", "memory://box/midi", quiet=True)
    assert (len(watched.asked), watched.most) == (156, storage.AT_ONCE)
    watched.asked.clear()
    watched.most = 0
    copy = storage.fetch("memory://box/midi", quiet=True)
    assert (len(watched.asked), watched.most) == (156, storage.AT_ONCE)
    assert len(os.listdir(copy)) == 156
    for path in (tmp_path / "midi").iterdir():
        assert Path(copy, path.name).read_bytes() == path.read_bytes()


def test_a_build_fetches_the_files_of_its_part_and_once(memory, tmp_path, monkeypatch):
    make_chords(tmp_path / "midi")
    (tmp_path / "midi" / "sub").mkdir()
    os.rename(tmp_path / "midi" / "C_major.mid", tmp_path / "midi" / "sub" / "C.mid")
    (tmp_path / "midi" / "sub.mid").write_bytes(b"none")
    (tmp_path / "midi" / "z.mid.gz").write_bytes(gzip.compress((tmp_path / "midi" / "A_major.mid").read_bytes()))
    storage.publish(tmp_path / "midi", "memory://box/midi", quiet=True)
    monkeypatch.setattr("rollcore.build.BATCH_FILES", 10)
    watched = Watched(memory, monkeypatch)
    parts = []
    for part in (1, 2, 3):
        rollcore.build_dataset("memory://box/midi", tmp_path / f"{part}.h5", part=(part, 3))
        parts.append(set(watched.asked))
        watched.asked.clear()
    assert [len(part) for part in parts] == [50, 50, 58]
    assert len(set.union(*parts)) == 158
    rollcore.merge_parts([tmp_path / f"{part}.h5" for part in (1, 2, 3)], tmp_path / "joined.h5")
    rollcore.build_dataset("memory://box/midi", tmp_path / "again.h5")
    assert watched.asked == []
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "local.h5")
    for name in ("joined.h5", "again.h5"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "local.h5").read_bytes()


def test_an_update_from_address_to_address(memory, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rollcore.update.SETTLED_NS", -(10**9))
    make_chords(tmp_path / "midi")
    storage.publish(tmp_path / "midi", "memory://box/midi", quiet=True)
    command = ["build-dataset", "memory://box/midi", "memory://box/out.h5", "--update"]
    assert main(command) == 0
    assert sorted(os.path.basename(name) for name in memory.find("/box") if "out" in name) == ["out.h5", "out.h5.times"]
    memory.pipe("/box/midi/new.mid", memory.cat("/box/midi/C_major.mid"))
    memory.rm("/box/midi/A_major.mid")
    for path in (tmp_path / "cache").iterdir():  # as on another machine
        shutil.rmtree(path)
    watched = Watched(memory, monkeypatch)
    capsys.readouterr()
    assert main(command) == 0
    assert "1 added, 0 changed, 1 gone, 155 unchanged" in capsys.readouterr().out
    midi = [name for name in watched.asked if name.endswith(".mid")]
    assert midi == ["/box/midi/new.mid"]
    rollcore.build_dataset("memory://box/midi", tmp_path / "fresh.h5")
    assert memory.cat("/box/out.h5") == (tmp_path / "fresh.h5").read_bytes()


def test_a_file_that_cannot_be_fetched_ends_a_build_in_one_line(memory, tmp_path, monkeypatch, capsys):
    memory.pipe("/box/midi/a.mid", b"one")
    monkeypatch.setattr(type(memory), "get_file", lambda *_: (_ for _ in ()).throw(ConnectionError("cut off")))
    assert main(["build-dataset", "memory://box/midi", str(tmp_path / "x.h5")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: memory://box/midi: storage cannot be reached (cut off)")
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("*.h5"))
