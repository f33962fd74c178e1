"""Batches for a training loop: packed rows of a mapped file against float32 feeds, and against a cold disk."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import corpus, peers

LENGTH = 100
LOW, HIGH = 21, 108
BATCH = 64
N_BATCHES = 200
# As float32 these take half a gigabyte, which is what such feeds keep in memory; packed, 23 MB.
N_FILES = 200
N_COLD = 4000
N_ECHOED = 40

rollcore = pytest.importorskip("rollcore")


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("feed") / "out.h5"
    rollcore.build_dataset(corpus.corpus(N_FILES), out, fps=50, planes="sounding")
    return rollcore.windows(rollcore.open_dataset(out), LENGTH)


def _float_rows(windows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Give all pieces as one float32 array (frames, pitches), and the first frame of each."""
    dataset = windows.dataset
    rows = np.concatenate([dataset.rows(piece)[:, 0] for piece in range(len(dataset))])
    frames = dataset.pieces["frames"].astype(np.int64)
    return rollcore.unpack(rows, LOW, HIGH, np.float32), np.cumsum(frames) - frames


def _tf_data(rows: np.ndarray, starts: np.ndarray) -> Callable[[], Iterator[np.ndarray]]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    with tf.device("CPU"):
        tensor = tf.convert_to_tensor(rows)

    def feed() -> Iterator[np.ndarray]:
        data = tf.data.Dataset.from_tensor_slices(starts)
        data = data.map(lambda start: tensor[start : start + LENGTH], num_parallel_calls=tf.data.AUTOTUNE)
        data = data.batch(BATCH).prefetch(tf.data.AUTOTUNE)
        return iter(data.as_numpy_iterator())

    return feed


def _data_loader(rows: np.ndarray, starts: np.ndarray, workers: int) -> Callable[[], Iterator[np.ndarray]]:
    import torch

    tensor = torch.from_numpy(rows)

    class Windows(torch.utils.data.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(starts)

        def __getitem__(self, index: int) -> Any:
            return tensor[starts[index] : starts[index] + LENGTH]

    loader = torch.utils.data.DataLoader(Windows(), batch_size=BATCH, num_workers=workers)
    return lambda: (batch.numpy() for batch in loader)


def test_feed(race: Any, windows: Any) -> None:
    numbers = np.random.default_rng(corpus.SEED).integers(0, len(windows), BATCH * N_BATCHES)
    piece, start = windows.locate(numbers)
    rows, first = _float_rows(windows)
    starts = first[piece] + start
    view = np.lib.stride_tricks.sliding_window_view(rows, LENGTH, axis=0)
    parts = [slice(k, k + BATCH) for k in range(0, len(numbers), BATCH)]

    def unpacked(batch: np.ndarray) -> np.ndarray:
        return rollcore.unpack(batch[:, :, 0], LOW, HIGH, np.float32)

    feeds: dict[str, Callable[[], Iterator[np.ndarray]]] = {
        "rollcore, packed (the model unpacks)": lambda: (windows.gather(numbers[part]) for part in parts),
        "rollcore, unpacked to float32": lambda: (unpacked(windows.gather(numbers[part])) for part in parts),
        "NumPy: float32 in memory, fancy index": lambda: (view[starts[part]].transpose(0, 2, 1) for part in parts),
    }
    if peers.available("tensorflow"):
        feeds["tf.data: float32 in memory, map, batch, prefetch"] = _tf_data(rows, starts)
    if peers.available("torch"):
        feeds["PyTorch DataLoader: float32 in memory"] = _data_loader(rows, starts, 0)
        feeds["PyTorch DataLoader: float32 in memory, 2 workers"] = _data_loader(rows, starts, 2)
    else:
        race.note("PyTorch is not installed here: no DataLoader in this table (extra `torch`).")

    def epoch(feed: Callable[[], Iterator[np.ndarray]]) -> Callable[[], np.ndarray]:
        def run() -> np.ndarray:
            for n_batches, batch in enumerate(feed(), 1):  # noqa: B007
                last = batch
            assert n_batches == N_BATCHES
            return last

        return run

    def check(results: dict[str, np.ndarray]) -> None:
        expected = np.stack([rows[at : at + LENGTH] for at in starts[parts[-1]]])
        for name, last in results.items():
            assert np.array_equal(unpacked(last) if last.dtype == np.uint8 else last, expected), name

    spreads = race(
        {name: epoch(feed) for name, feed in feeds.items()},
        question=f"Shuffled batches of {BATCH} windows of {LENGTH} frames, {HIGH - LOW + 1} pitches",
        unit="batch",
        units=N_BATCHES,
        check=check,
        rounds=9,
        quick_rounds=3,
    )
    packed = spreads["rollcore, packed (the model unpacks)"]["median"]
    race.fact("windows a second, packed", BATCH / packed, "")
    race.fact("memory of the data, float32", rows.nbytes / 1e6, "MB")
    race.fact("memory of the data, packed and mapped", rows.shape[0] * 16 / 1e6, "MB")


@pytest.mark.only_full
def test_echoes(race: Any, scratch: Path) -> None:
    """What a training searches for once a piece, when it first meets it."""
    echo = pytest.importorskip("seq2seq.models.echo")
    path, reach = scratch / "echoed.h5", 4096
    rollcore.build_dataset(corpus.corpus(N_ECHOED), path, steps_per_beat=4)
    dataset = rollcore.open_dataset(path)
    pieces = [np.asarray(dataset.rows(piece)) for piece in range(len(dataset))]

    def varied(number: int) -> Callable[[], list[np.ndarray]]:
        return lambda: [echo.find_varied(rows, reach, number)[0] for rows in pieces]

    def check(results: dict[str, list[np.ndarray]]) -> None:
        _, two, four = results.values()
        assert all(np.array_equal(some, more[:, :2]) for some, more in zip(two, four, strict=True))

    frames = sum(len(rows) for rows in pieces)
    race(
        {
            "the echo": lambda: [echo.find_echoes(rows, reach)[0] for rows in pieces],
            "two varied echoes": varied(2),
            "four varied echoes": varied(4),
        },
        question=f"Finding the echoes of {len(pieces)} pieces of {frames // len(pieces)} frames",
        unit="frame",
        units=frames,
        check=check,
        rounds=9,
    )
    race.note("A training searches once: later epochs read what was found.")


@pytest.mark.only_full
def test_cold_disk(race: Any, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch of a dataset larger than memory: every window comes from the disk."""
    monkeypatch.setattr("rollcore.dataset.memory_bytes", lambda: 0)
    path = scratch / "out.h5"
    rollcore.build_dataset(corpus.corpus(6000), path, fps=50, planes="sounding")
    windows = rollcore.windows(rollcore.open_dataset(path), LENGTH)
    numbers = np.random.default_rng(corpus.SEED).integers(0, len(windows), N_COLD)
    piece, start = windows.locate(numbers)
    offsets = (windows.dataset.pieces["offset"][piece].astype(np.int64) + 16 * start).tolist()
    size = 16 * LENGTH
    # A mapped page cannot be dropped: nothing may hold the map between the rounds.
    del windows, piece, start
    gc.collect()
    os.sync()

    def forget() -> None:
        gc.collect()
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

    def gather(threads: int) -> np.ndarray:
        opened = rollcore.windows(rollcore.open_dataset(path), LENGTH)
        batches = [opened.gather(numbers[k : k + 8 * BATCH], threads=threads) for k in range(0, N_COLD, 8 * BATCH)]
        return np.concatenate(batches)[:, :, 0]

    def pread() -> np.ndarray:
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        read = b"".join(os.pread(fd, size, at) for at in offsets)
        os.close(fd)
        return np.frombuffer(read, np.uint8).reshape(N_COLD, LENGTH, 16)

    def check(results: dict[str, np.ndarray]) -> None:
        answers = list(results.values())
        assert all(np.array_equal(answer, answers[0]) for answer in answers)

    race(
        {
            "rollcore, two threads": lambda: gather(2),
            "rollcore, one thread": lambda: gather(1),
            "pread of the same bytes, one window after the other": pread,
        },
        question=f"{N_COLD:,} shuffled windows of {LENGTH} frames, nothing of the file in memory",
        unit="window",
        units=N_COLD,
        before=forget,
        check=check,
        rounds=5,
    )
    race.note(
        "The file is read as one larger than memory would be, without reading ahead. The disk decides: a window is one "
        "or two pages, each a read of its own. Threads wait side by side."
    )
