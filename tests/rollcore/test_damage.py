"""Nothing is lost: builds killed at any moment, disks that fill up, inputs that misbehave."""

import contextlib
import ctypes
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

import pytest

import rollcore
import rollcore.build
from rollcore.cli import main
from rollcore.errors import DatasetError
from rollcore.sources.pack import make_chords

KILLS = 54


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Two folders of the sample pack: 300 files of it, twice over, and 156."""
    root = tmp_path_factory.mktemp("pack")
    make_chords(root / "few")
    (root / "many" / "again").mkdir(parents=True)
    for path in (root / "few").iterdir():
        os.link(path, root / "many" / path.name)
        os.link(path, root / "many" / "again" / path.name)
    return root


def build(folder, target, **options):
    return rollcore.build_dataset(folder, target, **{"fps": 50, **options})


# --- killed


def fork(task):
    """Run a task in a child that ends as a process ends; no thread may run here."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.exit(task())
    return child


def finish(task):
    return os.waitstatus_to_exitcode(os.waitpid(fork(task), 0)[1])


def drive_kills(root: str, work: str) -> None:
    """Kill builds of one target again and again, and print what was there after each.

    The builds are forked from here, with everything imported, so that a kill costs milliseconds.
    """
    few, many = os.path.join(root, "few"), os.path.join(root, "many")
    target = os.path.join(work, "out.h5")

    def one(folder, path):
        assert finish(lambda: build(folder, path, fps=10) and None) == 0

    began = time.monotonic()
    one(many, os.path.join(work, "many.h5"))
    duration = time.monotonic() - began
    one(few, os.path.join(work, "few.h5"))
    whole = {name: pathlib.Path(work, f"{name}.h5").read_bytes() for name in ("few", "many")}
    shutil.copy(os.path.join(work, "few.h5"), target)

    def keep_building():
        while True:
            build(many, target, fps=10)
            build(few, target, fps=10)

    seen = []
    rng = random.Random(20)
    for number in range(KILLS):
        child = fork(keep_building)
        time.sleep(rng.uniform(0, min(1.5 * duration, 0.25)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = pathlib.Path(target).read_bytes()
        left = sorted(os.listdir(work))
        seen.append(
            {
                "content": next((name for name, content in whole.items() if content == found), None),
                "litter": [name for name in left if name not in ("out.h5", "few.h5", "many.h5")],
            }
        )
        if number % 6 == 5:
            one(few, target)
            seen[-1]["litter after a build"] = sorted(set(os.listdir(work)) - {"out.h5", "few.h5", "many.h5"})
    print(json.dumps(seen))


def test_builds_killed_at_any_moment(pack, tmp_path):
    done = subprocess.run(
        [sys.executable, __file__, "kills", pack, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) == KILLS
    # the target is the old dataset or the new one, to the last byte
    assert {kill["content"] for kill in seen} <= {"few", "many"}
    # many a kill fell into a build, and what it left is one known file that the next build takes over
    in_a_build = [kill["litter"] for kill in seen if kill["litter"]]
    assert len(in_a_build) >= KILLS // 4
    assert all(litter == [".out.h5.partial"] for litter in in_a_build)
    after = [kill["litter after a build"] for kill in seen if "litter after a build" in kill]
    assert after == [[]] * (KILLS // 6)
    assert rollcore.open_dataset(tmp_path / "out.h5").verify() == []


# --- full disks


def drive_limits(root: str, work: str) -> None:
    """Build where no file may grow beyond a limit, at many limits, and print how each build ended."""
    target = os.path.join(work, "out.h5")
    arguments = ["build-dataset", "--fps", "10", "--planes", "sounding", os.path.join(root, "many"), target]

    def limited(limit):
        reader, writer = os.pipe()

        def task():
            os.dup2(writer, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            return main(arguments)

        status = finish(task)
        os.close(writer)
        with open(reader) as errors:
            return status, errors.read()

    assert finish(lambda: build(os.path.join(root, "many"), target, fps=10) and None) == 0
    full = os.path.getsize(target) // 2  # of one plane instead of two
    assert finish(lambda: build(os.path.join(root, "few"), target, fps=10) and None) == 0
    before = pathlib.Path(target).read_bytes()
    seen = []
    for limit in [0, 1000, *(full * part // 100 for part in range(5, 130, 5))]:
        status, message = limited(limit)
        left = os.listdir(work)
        unchanged = pathlib.Path(target).read_bytes() == before
        seen.append([limit, status, message, left, unchanged])
        if status == 0:
            break
    print(json.dumps(seen))


def test_files_that_cannot_grow(pack, tmp_path):
    done = subprocess.run(
        [sys.executable, __file__, "limits", pack, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *refused, (_, status, message, left, unchanged) = json.loads(done.stdout)
    assert (status, message, left, unchanged) == (0, "", ["out.h5"], False)
    assert len(refused) > 15
    for _, status, message, left, unchanged in refused:
        assert (status, left, unchanged) == (1, ["out.h5"], True)
        assert message.startswith(f"error: {tmp_path / 'out.h5'}: cannot be written (")
        assert message.count("\n") == 1
    assert rollcore.open_dataset(tmp_path / "out.h5").verify() == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 MB of its own."""
    point = tmp_path / "disk"
    point.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(point), b"tmpfs", 0, b"size=20m") != 0:
        pytest.skip(f"cannot mount a small disk: {os.strerror(ctypes.get_errno())}")
    yield point
    libc.umount2(os.fsencode(point), 2)


def test_a_disk_that_is_full(pack, small_disk):
    target = small_disk / "out.h5"
    build(pack / "few", target)
    before = target.read_bytes()
    with pytest.raises(DatasetError, match=r"cannot be written \(.*No space left.*what was there before is unchanged"):
        build(pack / "many", target)
    assert target.read_bytes() == before
    assert os.listdir(small_disk) == ["out.h5"]
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    for _ in range(2):  # nothing is left locked either
        with pytest.raises(DatasetError, match="cannot be written"):
            build(pack / "few", target)
        assert sorted(os.listdir(small_disk)) == ["filler", "out.h5"]
    filler.unlink()
    build(pack / "few", target)
    assert target.read_bytes() == before


# --- the same bytes


def test_nothing_but_the_input_shows(pack, tmp_path):
    """Threads, order and dates of the files, locale, time zone, hash seed and way of packing leave no trace."""
    build(pack / "many", tmp_path / "out.h5", threads=1)
    expected = (tmp_path / "out.h5").read_bytes()
    other = tmp_path / "other"
    (other / "again").mkdir(parents=True)
    for path in sorted((pack / "many").rglob("*.mid"), reverse=True):
        copy = other / path.relative_to(pack / "many")
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (1, 1))
    with zipfile.ZipFile(tmp_path / "box.zip", "w", zipfile.ZIP_DEFLATED) as box:
        for path in sorted(other.rglob("*.mid"), key=lambda path: path.name):
            box.writestr(str(path.relative_to(other)), path.read_bytes())
    environments = [
        {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"},
        {"LC_ALL": "C.UTF-8", "TZ": "America/Anchorage", "PYTHONHASHSEED": "2", "PYTHONUTF8": "0"},
    ]
    for source, threads, environment in [
        (pack / "many", 2, environments[0]),
        (other, 4, environments[1]),
        (tmp_path / "box.zip", 2, {}),
    ]:
        command = [sys.executable, "-m", "rollcore", "build-dataset", "--fps", "50"]
        command += ["--threads", str(threads), source, tmp_path / "out.h5"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
        assert (tmp_path / "out.h5").read_bytes() == expected


# --- inputs that misbehave


def accounts(target):
    """Outcome of every file by name: its reason where it was skipped, else None."""
    dataset = rollcore.open_dataset(target)
    reasons = [dataset.reasons[row["reason"]] if row["outcome"] == 2 else None for row in dataset.files]
    return {dataset.file_name(i): reason for i, reason in enumerate(reasons)}


def test_odd_folders_are_built_and_accounted_for(pack, tmp_path):
    good = (pack / "few" / "C_major.mid").read_bytes()
    root = os.fsencode(tmp_path / "odd")
    os.makedirs(root + b"/folder.mid")
    for name in (b"caf\xe9.mid", "日本.MIDI".encode(), b"folder.mid/x.kar", b"plain.mid"):
        with open(root + b"/" + name, "wb") as file:
            file.write(good)
    os.symlink(b".", root + b"/loop")
    os.symlink(b"plain.mid", root + b"/link.mid")
    os.symlink(b"nowhere", root + b"/broken.mid")
    os.mkfifo(root + b"/pipe.mid")
    report = build(tmp_path / "odd", tmp_path / "out.h5")
    assert (report.found, report.read, report.skipped) == (7, 5, 2)
    assert accounts(tmp_path / "out.h5") == {
        "broken.mid": "broken link",
        "caf\udce9.mid": None,
        "folder.mid/x.kar": None,
        "link.mid": None,
        "pipe.mid": "not a regular file",
        "plain.mid": None,
        "日本.MIDI": None,
    }


def test_files_that_vanish_or_change_while_they_are_read(pack, tmp_path, monkeypatch):
    shutil.copytree(pack / "few", tmp_path / "midi")
    real = rollcore.build.batches

    def batches(*arguments, **options):
        for batch in real(*arguments, **options):
            (tmp_path / "midi" / "C_major.mid").unlink()
            (tmp_path / "midi" / "G_major.mid").unlink()
            os.mkfifo(tmp_path / "midi" / "G_major.mid")
            (tmp_path / "midi" / "F_major.mid").unlink()
            (tmp_path / "midi" / "F_major.mid").mkdir()
            yield batch

    monkeypatch.setattr(rollcore.build, "batches", batches)
    report = build(tmp_path / "midi", tmp_path / "out.h5")
    assert (report.found, report.read, report.skipped) == (156, 153, 3)
    reasons = accounts(tmp_path / "out.h5")
    assert reasons["C_major.mid"] == "unreadable (No such file or directory)"
    assert reasons["G_major.mid"] == "not a regular file"
    assert reasons["F_major.mid"] is not None


@pytest.fixture
def public():
    """A folder that other users can enter: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_files_that_may_not_be_read(pack, public):
    midi = public / "midi"
    midi.mkdir()
    for name in ("C_major.mid", "G_major.mid"):
        shutil.copy(pack / "few" / name, midi)
    (midi / "G_major.mid").chmod(0)
    (midi / "closed").mkdir(mode=0)
    (public / "out").mkdir()
    os.chown(public / "out", 65534, 65534)
    code = (
        "import os, sys, rollcore.build, rollcore.cli; os.setuid(65534)\n"
        "sys.exit(rollcore.cli.main(['build-dataset', *sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", code, midi, public / "out" / "out.h5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert accounts(public / "out" / "out.h5") == {
        "C_major.mid": None,
        "G_major.mid": "unreadable (Permission denied)",
        "closed/": "folder: permission denied",
    }


def test_a_cut_archive_gives_what_is_whole(pack, tmp_path):
    whole = shutil.make_archive(str(tmp_path / "box"), "gztar", pack / "few")
    data = pathlib.Path(whole).read_bytes()
    pathlib.Path(whole).write_bytes(data[: len(data) // 2])
    report = build(whole, tmp_path / "out.h5")
    assert 20 < report.read < 156
    assert report.found == report.read + report.skipped
    reasons = accounts(tmp_path / "out.h5")
    assert reasons["box.tar.gz"] == "archive: damaged or cut short"


if __name__ == "__main__":
    {"kills": drive_kills, "limits": drive_limits}[sys.argv[1]](*sys.argv[2:])
