"""Windows opened here and used there: threads, forked and spawned workers, all against serial reads."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rollcore
from oracles_windows import every_window, random_pieces, write_pieces

# Python 3.12 and later warn of what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

FRAMES = [900, 0, 57, 1300, 411]


def numbers_of(seed, count):
    return np.random.default_rng(seed).integers(0, count, 600)


def batch_of(windows, seed):
    """Three ways to read, in one array: a batch on two threads, single windows, and unpacked rows."""
    numbers = numbers_of(seed, len(windows))
    batch = windows.gather(numbers, semitones=(numbers % 25 - 12).astype(np.int8), threads=2)
    single = np.stack([windows[number] for number in numbers[:20]])
    return batch, single, rollcore.unpack(batch, 21, 108, np.float32)


def send_batch(windows, seed, pipe):
    pipe.send(batch_of(windows, seed))
    pipe.close()


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    pieces = random_pieces(np.random.default_rng(13), FRAMES, 1)
    path = write_pieces(tmp_path_factory.mktemp("processes") / "pieces.h5", pieces, shards=2)
    windows = rollcore.windows(rollcore.open_dataset(path), 60, hop=3, lead=20, partial=True)
    expected = np.stack([rows for *_, rows, _ in every_window(pieces, 60, 3, 20, True)])
    assert np.array_equal(windows.gather(np.arange(len(windows))), expected)
    return windows


def in_processes(method, windows, seeds):
    context = multiprocessing.get_context(method)
    workers = []
    for seed in seeds:
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=send_batch, args=(windows, seed, there))
        worker.start()
        there.close()
        workers.append((worker, here))
    got = []
    for worker, here in workers:
        assert here.poll(120), "the worker hangs"
        got.append(here.recv())
        worker.join(30)
        assert worker.exitcode == 0
    return got


@pytest.mark.parametrize(("method", "workers"), [("fork", 3), ("spawn", 1)])
def test_workers_read_what_the_parent_reads(windows, method, workers):
    expected = [batch_of(windows, seed) for seed in range(workers)]
    for got, want in zip(in_processes(method, windows, range(workers)), expected, strict=True):
        assert equal(got, want)
    assert equal(batch_of(windows, 0), expected[0])


def test_threads_read_what_one_reads(windows):
    expected = [batch_of(windows, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for got, want in zip(pool.map(lambda seed: batch_of(windows, seed), range(8)), expected, strict=True):
                assert equal(got, want)


def test_a_fork_while_other_threads_read(windows):
    expected = batch_of(windows, 1)
    stop = threading.Event()

    def read():
        while not stop.is_set():
            batch_of(windows, 2)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(5):
            assert equal(in_processes("fork", windows, [1])[0], expected)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
