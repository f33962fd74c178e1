"""Folders of MIDI files to measure on: copies of real files under new names, the same on every run."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES_PER_FOLDER = 1000
SEED = 20


def cache_folder() -> Path:
    """Give the folder for corpora and scratch files; ``ROLLCORE_BENCH_DIR`` moves it to another disk."""
    default = Path(tempfile.gettempdir()) / f"rollcore-bench-{os.getuid()}"
    folder = Path(os.environ.get("ROLLCORE_BENCH_DIR") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def sources() -> tuple[str, tuple[Path, ...]]:
    """Give the kind of the seed files and their paths: those of ``ROLLCORE_DATA``, or else the chord pack."""
    data = Path(os.environ.get("ROLLCORE_DATA") or ROOT.parent / "shared" / "data") / "midi"
    files = sorted(data.rglob("*.mid")) if data.is_dir() else []
    if files:
        return "real files", tuple(files)
    from rollcore.sources.pack import make_chords

    folder = cache_folder() / "chords"
    make_chords(folder)
    return "chord sample pack", tuple(sorted(folder.rglob("*.mid")))


@functools.cache
def blobs() -> tuple[bytes, ...]:
    """Give the contents of the seed files, in the order of their names."""
    return tuple(path.read_bytes() for path in sources()[1])


def describe() -> str:
    """Say in one line what the corpora are made of."""
    name, files = sources()
    mean = sum(map(len, blobs())) / len(files)
    return f"copies of {len(files)} {name}, {mean / 1000:.1f} kB on average, in folders of {FILES_PER_FOLDER}"


def corpus(n_files: int) -> Path:
    """Give a folder of exactly `n_files` MIDI files, made on first use and kept for the next run.

    Every pass over the seed files is in another order, so that neighbours differ from pass to pass.
    """
    contents = blobs()
    digest = hashlib.sha256(b"".join(hashlib.sha256(blob).digest() for blob in contents)).hexdigest()[:8]
    folder = cache_folder() / f"corpus-{n_files}-{digest}"
    if folder.is_dir():
        return folder
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shuffle = random.Random(SEED).shuffle
    order: list[int] = []
    for i in range(n_files):
        if not order:
            order = list(range(len(contents)))
            shuffle(order)
        if i % FILES_PER_FOLDER == 0:
            subfolder = unfinished / f"{i // FILES_PER_FOLDER:03d}"
            subfolder.mkdir(parents=True)
        (subfolder / f"{i:06d}.mid").write_bytes(contents[order.pop()])
    unfinished.rename(folder)
    return folder
