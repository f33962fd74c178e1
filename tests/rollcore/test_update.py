"""Updates of a dataset: byte for byte what a build of all files writes, and only what changed is read."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
import zipfile

import numpy as np
import pytest

import rollcore
from rollcore import DatasetError, Midi, RollcoreError, _roll
from rollcore.cli import main
from rollcore.loading import Loader

LONG_AGO = 1_600_000_000


def song(seed, notes=3):
    """The bytes of a MIDI file; an odd seed has notes that are left out, or beside the grid."""
    rng = random.Random(seed)
    rows = []
    for _ in range(notes):
        on, channel = 120 * rng.randrange(40) + 30 * (seed % 2) * rng.randrange(4), 9 * (rng.random() < 0.2)
        rows.append((on, on + 60 * rng.randrange(1, 9), rng.randrange(30, 90), 80, channel, 0))
    return Midi.from_notes(np.array(sorted(rows), rollcore.NOTE_DTYPE))


class Files:
    """A folder of MIDI files, good, torn, packed and no music at all, that is changed again and again."""

    def __init__(self, folder, seed):
        self.folder, self.rng, self.clock = folder, random.Random(seed), LONG_AGO
        folder.mkdir()
        for _ in range(25):
            self.add()

    def put(self, path, content):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    def all(self):
        return sorted(path for path in self.folder.rglob("*.*") if path.is_file())

    def content(self):
        scratch = self.folder.parent / "scratch.mid"
        rollcore.write_midi(song(self.rng.randrange(14)), scratch)
        whole = scratch.read_bytes()
        return self.rng.choice([whole, whole, whole, whole[:-4], b"<html>", b"", whole + b"\0\0"])

    def add(self):
        name = f"{self.rng.choice('abc')}{self.rng.randrange(100):02}.mid"
        path = self.folder / self.rng.choice(["", "one", "two"]) / name
        content = self.content()
        if self.rng.random() < 0.2:
            path, content = path.with_suffix(".mid.gz"), gzip.compress(content, mtime=0)
        self.put(path, content)

    def edit(self):
        for _ in range(self.rng.randrange(5)):
            path = self.rng.choice(self.all())
            kind = self.rng.randrange(5)
            if kind == 0:
                path.unlink()
            elif kind == 1:
                self.add()
            elif kind == 2 and path.suffix == ".mid":
                self.put(path, self.content())
            elif kind == 3:
                self.put(path, path.read_bytes())
            else:
                path.rename(path.with_name(f"r{self.rng.randrange(100):02}{path.suffix}"))

    def zip(self, path, pattern="*"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for found in self.all():
                if found.match(pattern):
                    archive.write(found, found.relative_to(self.folder).as_posix())
                    if self.rng.random() < 0.1:
                        with pytest.warns(UserWarning, match="Duplicate name"):
                            archive.write(found, found.relative_to(self.folder).as_posix())
        self.put(path, path.read_bytes())

    def tar(self, path):
        with tarfile.open(path, "w:gz") as archive:
            for found in self.all():
                archive.add(found, found.relative_to(self.folder).as_posix())
        content = path.read_bytes()
        self.put(path, content[: -len(content) // 3] if self.rng.random() < 0.2 else content)


def inputs_of(kind, files, first):
    """The inputs of a kind after an edit; an archive is packed anew in half of all rounds."""
    place, again = files.folder.parent, first or files.rng.random() < 0.5
    if kind == "folder":
        return files.folder
    if kind == "list":
        (place / "list.txt").write_text("".join(f"{path}\n" for path in files.all()[::-1]))
        return f"@{place / 'list.txt'}"
    if kind == "tar":
        if again:
            files.tar(place / "in.tar.gz")
        return place / "in.tar.gz"
    if again:
        files.zip(place / "in.zip")
    if kind == "several":
        if files.rng.random() < 0.5 or first:
            files.zip(place / "b.zip", "a*")
        return [place / "b.zip", files.folder, place / "in.zip", files.folder / "one", place / "b.zip"]
    return place / "in.zip"


def facts(report):
    """What a report says, but for what is of one build alone."""
    return report._replace(path=None, seconds=0, changes=None)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr("rollcore.build.BATCH_FILES", 4)


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were read."""
    names = []
    load = Loader.__call__

    def call(self, batch):
        loaded = load(self, batch)
        names.extend(loaded.names)
        return loaded

    monkeypatch.setattr(Loader, "__call__", call)
    return names


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "list", "several"])
@pytest.mark.parametrize("dedupe", [False, "notes", "bytes"])
@pytest.mark.parametrize("seed", range(3))
def test_an_update_writes_what_a_build_writes(kind, dedupe, seed, tmp_path):
    files = Files(tmp_path / "midi", seed)
    out, fresh = tmp_path / "out.h5", tmp_path / "fresh.h5"
    for number in range(6):
        if number:
            files.edit()
        inputs = inputs_of(kind, files, not number)
        options = {"dedupe": dedupe, "threads": 2}
        if seed == 1:
            splits = ("train", "validation", "test")
            options["split"] = {
                path.relative_to(files.folder).as_posix(): files.rng.choice(splits)
                for path in files.all()
                if files.rng.random() < 0.8
            }
        if seed == 2:
            options |= {"align": False, "fps": 20, "planes": "sounding"}
        before = set(found_names(out))
        updated = rollcore.build_dataset(inputs, out, update=True, **options)
        built = rollcore.build_dataset(inputs, fresh, **options)
        assert out.read_bytes() == fresh.read_bytes(), number
        assert facts(updated) == facts(built)
        changes, after = updated.changes, set(found_names(out))
        assert (changes.added, changes.gone) == (len(after - before), len(before - after))
        assert changes.changed + changes.unchanged == len(after & before)


def found_names(path):
    dataset = rollcore.open_dataset(path) if path.exists() else None
    return [] if dataset is None else [dataset.file_name(file) for file in range(len(dataset.files))]


@pytest.fixture
def folder(tmp_path):
    """Twenty songs, each of another minute."""
    folder = tmp_path / "midi"
    folder.mkdir()
    for i in range(20):
        rollcore.write_midi(song(100 + i), folder / f"{i:02}.mid")
        os.utime(folder / f"{i:02}.mid", (LONG_AGO + 60 * i,) * 2)
    return folder


def test_only_what_is_new_or_changed_is_read(folder, tmp_path, read):
    out = tmp_path / "out.h5"
    first = rollcore.build_dataset(folder, out, update=True).changes
    assert (first.added, first.remark, len(read)) == (20, "a new dataset", 20)
    read.clear()
    again = rollcore.build_dataset(folder, out, update=True)
    assert read == []
    assert str(again.changes) == "0 added, 0 changed, 0 gone, 20 unchanged"
    (folder / "03.mid").unlink()
    rollcore.write_midi(song(7), folder / "03b.mid")
    rollcore.write_midi(song(8, notes=9), folder / "05.mid")
    os.utime(folder / "07.mid", (LONG_AGO, LONG_AGO))
    changes = rollcore.build_dataset(folder, out, update=True).changes
    assert read == [b"03b.mid", b"05.mid", b"07.mid"]
    assert str(changes) == "1 added, 2 changed, 1 gone, 17 unchanged"


def test_what_changed_a_moment_ago_is_read_once_more(folder, tmp_path, read):
    out = tmp_path / "out.h5"
    os.utime(folder / "09.mid")
    rollcore.build_dataset(folder, out, update=True)
    status = os.stat(folder / "09.mid")
    read.clear()
    rollcore.write_midi(song(109), folder / "09.mid")  # within one step of the clock, as it may happen
    os.utime(folder / "09.mid", ns=(status.st_atime_ns, status.st_mtime_ns))
    rollcore.build_dataset(folder, out, update=True)
    assert read == [b"09.mid"]


def test_an_archive_is_read_whole_when_it_changed_and_not_at_all_otherwise(folder, tmp_path, read):
    for name, members in (("a.zip", range(8)), ("b.zip", range(8, 12))):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for i in members:
                archive.write(folder / f"{i:02}.mid", f"{i:02}.mid")
        os.utime(tmp_path / name, (LONG_AGO, LONG_AGO))
    inputs, out = [tmp_path / "a.zip", tmp_path / "b.zip"], tmp_path / "out.h5"
    rollcore.build_dataset(inputs, out, update=True)
    read.clear()
    assert rollcore.build_dataset(inputs, out, update=True).changes.unchanged == 12
    assert read == []
    os.utime(tmp_path / "b.zip", (LONG_AGO + 1, LONG_AGO + 1))
    changes = rollcore.build_dataset(inputs, out, update=True).changes
    assert (changes.unchanged, changes.changed) == (8, 4)
    assert [os.path.basename(name) for name in read] == [b"08.mid", b"09.mid", b"10.mid", b"11.mid"]


def test_rows_of_a_table_are_members_of_an_archive(folder, tmp_path, read):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"midi": [path.read_bytes() for path in sorted(folder.iterdir())]})
    parquet.write_table(table, tmp_path / "in.parquet")
    os.utime(tmp_path / "in.parquet", (LONG_AGO, LONG_AGO))
    rollcore.build_dataset(tmp_path / "in.parquet", tmp_path / "out.h5", update=True)
    before = (tmp_path / "out.h5").read_bytes()
    read.clear()
    assert rollcore.build_dataset(tmp_path / "in.parquet", tmp_path / "out.h5", update=True).changes.unchanged == 20
    assert (read, (tmp_path / "out.h5").read_bytes()) == ([], before)


def test_a_batch_ends_where_a_build_ends_it(tmp_path, monkeypatch, read):
    """More notes than a batch takes, some files of which are read and others known."""
    folder = tmp_path / "midi"
    folder.mkdir()
    count = 40
    each = _roll.LOAD_SPANS // 30
    notes = np.zeros(each, rollcore.NOTE_DTYPE)
    notes["onset_tick"] = np.repeat(np.arange(-(-each // 64)) * 480, 64)[:each]
    notes["offset_tick"], notes["pitch"], notes["velocity"] = notes["onset_tick"] + 480, 20 + np.arange(each) % 64, 80
    rollcore.write_midi(Midi.from_notes(notes), folder / "00.mid")
    for i in range(count):
        if i:
            os.link(folder / "00.mid", folder / f"{i:02}.mid")
    os.utime(folder / "00.mid", (LONG_AGO, LONG_AGO))
    out, fresh = tmp_path / "out.h5", tmp_path / "fresh.h5"
    rollcore.build_dataset(folder, out, update=True, planes="sounding")
    for changed in ({3, 20, 33}, set(range(0, count, 2)), set(range(28, 36))):
        for i in changed:
            path = folder / f"{i:02}.mid"
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
            os.utime(path, (LONG_AGO + 1 + len(changed),) * 2)
        read.clear()
        rollcore.build_dataset(folder, out, update=True, planes="sounding")
        assert {int(name[:2]) for name in read} == changed
        rollcore.build_dataset(folder, fresh, planes="sounding")
        assert out.read_bytes() == fresh.read_bytes()
    assert len(rollcore.open_dataset(out).shards) == 2


def test_where_the_loader_holds_the_files_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("rollcore.loading.READS_PATHS", False)
    monkeypatch.setattr("rollcore.update.READS_PATHS", False)
    monkeypatch.setattr("rollcore.loading.ROOM_BYTES", 300)
    monkeypatch.setattr("rollcore.update.ROOM_BYTES", 300)
    files = Files(tmp_path / "midi", 4)
    for _ in range(4):
        for path in files.folder.rglob("*.gz"):  # beside which all files are read elsewhere
            path.unlink()
        rollcore.build_dataset(tmp_path / "midi", tmp_path / "out.h5", update=True)
        rollcore.build_dataset(tmp_path / "midi", tmp_path / "fresh.h5")
        assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "fresh.h5").read_bytes()
        files.edit()
    assert len(rollcore.open_dataset(tmp_path / "out.h5").shards) > 3


def test_other_settings_are_refused_and_the_dataset_stays(folder, tmp_path):
    out = tmp_path / "out.h5"
    rollcore.build_dataset(folder, out, update=True)
    before = out.read_bytes()
    for options, what in (
        ({"fps": 50}, "grid 4 steps per beat, now 50 fps"),
        ({"sustain": True}, "sustain False, now True"),
        ({"planes": "sounding"}, "planes sounding,onset, now sounding"),
        ({"dedupe": True}, "dedupe False, now notes"),
        ({"split": (1, 1, 1)}, r"split \[80, 10, 10\], now \[1, 1, 1\]"),
    ):
        with pytest.raises(DatasetError, match=rf"out\.h5: was built with other settings \({what}\)"):
            rollcore.build_dataset(folder, out, update=True, **options)
    with pytest.raises(RollcoreError, match="part and update"):
        rollcore.build_dataset(folder, out, update=True, part=(1, 2))
    assert out.read_bytes() == before


def test_without_times_that_fit_all_files_are_read_and_it_is_said(folder, tmp_path, read):
    out, times = tmp_path / "out.h5", tmp_path / "out.h5.times"

    def remark(inputs=folder, **options):
        read.clear()
        found = rollcore.build_dataset(inputs, out, update=True, **options).changes.remark
        assert len(read) >= 20
        return found

    rollcore.build_dataset(folder, out)
    assert not times.exists()
    assert remark() == "all files were read: there is no out.h5.times"
    for damaged in (b"", b"junk", times.read_bytes()[:-30]):
        times.write_bytes(damaged)
        assert remark() == "all files were read: out.h5.times is damaged"
    rollcore.write_midi(song(50), folder / "more.mid")
    rollcore.build_dataset(folder, out)
    assert remark() == "all files were read: out.h5.times is of another dataset"
    assert (
        remark([folder, tmp_path / "midi" / "01.mid"]) == "all files were read: the dataset was built of other inputs"
    )
    assert remark() == "all files were read: the dataset was built of other inputs"
    assert remark(column="x") == "all files were read: the dataset was built of other inputs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollcore, "__version__", "99")
        assert remark(column="x") == "all files were read: out.h5.times is of another version of rollcore"
    out.write_bytes(out.read_bytes()[:3000])
    assert remark().startswith("all files were read: ")
    assert len(rollcore.open_dataset(out)) == 21


def test_rows_that_are_damaged_are_not_taken_over(folder, tmp_path):
    out = tmp_path / "out.h5"
    rollcore.build_dataset(folder, out, update=True)
    damaged = bytearray(out.read_bytes())
    damaged[int(rollcore.open_dataset(out).pieces["offset"][4])] ^= 1
    out.write_bytes(damaged)
    with pytest.raises(DatasetError, match=r"out\.h5: damaged: rows of shard 000000; build it again without --update"):
        rollcore.build_dataset(folder, out, update=True)
    assert out.read_bytes() == damaged


def test_an_update_that_is_interrupted_leaves_dataset_and_times(folder, tmp_path):
    out = tmp_path / "out.h5"
    rollcore.build_dataset(folder, out, update=True)
    before = out.read_bytes(), (tmp_path / "out.h5.times").read_bytes()
    rollcore.write_midi(song(50), folder / "more.mid")

    def interrupt(files, frames):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollcore.build_dataset(folder, out, update=True, progress=interrupt)
    assert (out.read_bytes(), (tmp_path / "out.h5.times").read_bytes()) == before
    assert rollcore.build_dataset(folder, out, update=True).changes.added == 1


def test_the_command(folder, tmp_path, capsys):
    out = str(tmp_path / "out.h5")
    assert main(["build-dataset", str(folder), out, "--update"]) == 0
    assert "  update                       a new dataset\n" in capsys.readouterr().out
    assert main(["build-dataset", str(folder), out, "--update"]) == 0
    assert "  update                       0 added, 0 changed, 0 gone, 20 unchanged\n" in capsys.readouterr().out
    for more in (["--part", "1/2"], ["--dask", "local"]):
        assert main(["build-dataset", str(folder), out, "--update", *more]) == 2
        assert "--update is for a whole dataset" in capsys.readouterr().err
    assert main(["build-dataset", str(folder), out, "--update", "--drums"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
