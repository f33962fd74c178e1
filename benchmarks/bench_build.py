"""A folder of MIDI files → a dataset: the whole command, interpreter start to closed file."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import corpus, peers, process

WITHIN_OF_FLOOR = 1.5
WITHIN_OF_DECOMPRESSING = 2


def floor_program() -> Path:
    """Compile floor.c once; skip where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the floor program")
    source = Path(__file__).with_name("floor.c")
    program = corpus.cache_folder() / "floor"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([compiler, "-O2", "-pthread", str(source), "-o", str(program)], check=True)
    return program


def _assert_same_rows(dataset: Path, parts: list[Path]) -> None:
    """Check that every piece has the rows that the peer painted, in the same order."""
    import h5py

    import rollcore

    with rollcore.open_dataset(dataset) as ours:
        i = 0
        for part in parts:
            with h5py.File(part) as file:
                shards = [file[name] for name in sorted(file) if name.startswith("shard")]
                for shard, start, frames in file["pieces"][:]:
                    assert np.array_equal(ours.rows(i)[:, 0], shards[shard][start : start + frames]), ours.name(i)
                    i += 1
        assert i == len(ours)


@pytest.mark.parametrize(
    "n_files",
    [
        pytest.param(1000, marks=pytest.mark.only_quick),
        pytest.param(6000, marks=pytest.mark.only_full),
        pytest.param(20000, marks=pytest.mark.only_full),
    ],
)
def test_build(race: Any, quick: bool, scratch: Path, n_files: int) -> None:
    pytest.importorskip("rollcore")
    folder, out = corpus.corpus(n_files), scratch / "ours.h5"
    rollcore = process.command("rollcore")
    blobs = corpus.blobs()
    few = blobs[:: 100 if quick else 20]

    def build() -> str:
        return process.run([*rollcore, "build-dataset", folder, out, "--fps", "50", "--planes", "sounding"])

    build()
    out_bytes = out.stat().st_size
    floor = floor_program()
    contenders: dict[str, Any] = {"rollcore": (build, n_files)}
    targets = {"floor": 1 / WITHIN_OF_FLOOR}
    contenders["floor"] = (
        lambda: process.run([floor, folder, scratch / "floor.out", out_bytes, process.CORES]),
        n_files,
    )
    pipeline = f"symusic + NumPy + h5py, {process.CORES} processes"
    if peers.available("symusic"):
        command = [sys.executable, "-m", "benchmarks.peers", "symusic", folder, scratch / "symusic.h5"]
        contenders[pipeline] = (lambda: process.run([*command, process.CORES]), n_files)
        targets[pipeline] = 5
    for name, target in {"mido": None, "pretty_midi": 500}.items():
        if peers.available(name):
            reader = f"{name} + NumPy, in process, no output"
            contenders[reader] = (lambda name=name: [peers.rows(name, blob) for blob in few], len(few))
            if target:
                targets[reader] = target

    def check(results: dict[str, Any]) -> None:
        if pipeline in results:
            _assert_same_rows(out, sorted(scratch.glob("symusic.h5.*")))
        ours = [peers.rows("mido", blob) for blob in few] if peers.available("mido") else []
        for name, answers in results.items():
            if name.endswith("no output"):
                for mine, theirs in zip(ours, answers, strict=True):
                    assert np.array_equal(mine, theirs), name

    def clear() -> None:
        for path in scratch.iterdir():
            path.unlink()

    race(
        contenders,
        question=f"Folder of {n_files:,} files → dataset at 50 fps, whole command",
        check=check,
        before=clear,
        rounds=7,
        targets={} if quick else targets,
        rate_target=None if quick else 20000,
    )
    race.fact("output", out_bytes / 1e6, "MB")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archive(race: Any, quick: bool, scratch: Path, kind: str) -> None:
    """Finding and unpacking the files of an archive, beside decompressing it alone and the whole command."""
    rollcore_sources = pytest.importorskip("rollcore.sources.inputs")
    n_files = 1000 if quick else 6000
    folder, archive = corpus.corpus(n_files), scratch / f"files.{kind}"
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in paths:
                packed.write(path, path.relative_to(folder))
    else:
        with tarfile.open(archive, "w:gz") as packed_tar:
            for path in paths:
                packed_tar.add(path, path.relative_to(folder))
    data = archive.read_bytes()
    parts = _deflated(archive) if kind == "zip" else []

    def ours() -> int:
        return sum(len(content) for batch in rollcore_sources.batches(archive) for content in batch.contents())

    def alone() -> int:
        if kind == "zip":
            return sum(len(zlib.decompress(part, -15)) for part in parts)
        inflater, total = zlib.decompressobj(31), 0
        for start in range(0, len(data), 1 << 16):
            total += len(inflater.decompress(data[start : start + (1 << 16)]))
        return total

    def check(results: dict[str, Any]) -> None:
        expected = sum(path.stat().st_size for path in paths)
        assert results["rollcore"] == expected
        assert results["zlib"] >= expected  # a tar has headers too

    race(
        {"rollcore": (ours, n_files), "zlib": (alone, n_files)},
        question=f".{kind} of {n_files:,} files: members read, beside decompressing alone",
        check=check,
        rounds=7,
        targets={} if quick else {"zlib": 1 / WITHIN_OF_DECOMPRESSING},
    )


def _deflated(archive: Path) -> list[bytes]:
    """Return the compressed bytes of each member of a zip."""
    data, parts = archive.read_bytes(), []
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            name_and_extra = sum(struct.unpack_from("<HH", data, info.header_offset + 26))
            start = info.header_offset + 30 + name_and_extra
            parts.append(data[start : start + info.compress_size])
    return parts
