"""Folders of MIDI files to measure on: copies of real files under new names, the same on every run."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import shutil
import tempfile
from pathlib import Path

import numpy as np

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


@functools.cache
def large_file(n_tracks: int, n_notes: int) -> bytes:
    """Give a file of many notes, made of seeded random numbers: about 6.2 bytes a note, at running status."""
    rng = np.random.default_rng(SEED)
    tracks = []
    for track in range(n_tracks):
        n = n_notes // n_tracks
        deltas = np.stack([rng.choice([0, 0, 60, 120], n), rng.choice([10, 50, 100, 240], n)], axis=1).ravel()
        # Delta of two bytes, pitch, velocity; the first byte of a delta below 128 is not written.
        events = np.zeros((2 * n, 4), np.uint8)
        events[:, 0], events[:, 1] = deltas >> 7 | 0x80, deltas & 0x7F
        events[:, 2] = np.repeat(rng.integers(30, 90, n), 2)
        events[::2, 3] = 64
        written = np.ones(events.shape, bool)
        written[:, 0] = deltas > 127
        body = bytes([0, 0xC0 | track % 16, 0, 0, 0x90 | track % 16, 0, 0]) + events[written].tobytes()
        body += bytes([0, 0xFF, 0x2F, 0])
        tracks.append(b"MTrk" + len(body).to_bytes(4, "big") + body)
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 1]) + n_tracks.to_bytes(2, "big") + (480).to_bytes(2, "big")
    return header + b"".join(tracks)


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
