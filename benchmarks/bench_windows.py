"""Windows of a mapped dataset: opening, gathering, transposing, unpacking, against memcpy and NumPy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from benchmarks import corpus

LENGTH = 100
LOW, HIGH = 21, 108
N_PIECES = 200_000
# The caches of the machines we know end at 32 MB: what is copied, and what it is copied to, lies beyond.
LARGE = 60_000
BATCH = 64

rollcore = pytest.importorskip("rollcore")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, quick: bool) -> Any:
    """Give a dataset at 50 frames per second, larger than the caches."""
    out = tmp_path_factory.mktemp("windows") / "out.h5"
    # The sample pack's pieces, which stand in where there are no real files, are a quarter as long.
    longer = 1 if corpus.sources()[0] == "real files" else 4
    rollcore.build_dataset(corpus.corpus(longer * (1000 if quick else 6000)), out, fps=50, planes="sounding")
    opened = rollcore.open_dataset(out)
    # Read once: every contender finds it in the page cache.
    opened.mapped.sum()
    return opened


@pytest.fixture(scope="module")
def windows(dataset: Any) -> Any:
    return rollcore.windows(dataset, LENGTH, hop=10)


def _shuffled(windows: Any, count: int) -> np.ndarray:
    return np.random.default_rng(corpus.SEED).integers(0, len(windows), count)


def _file_as_rows(dataset: Any) -> np.ndarray:
    """Give the whole file as rows: shards begin at multiples of 4096 bytes."""
    return dataset.mapped[: dataset.mapped.size // 16 * 16].reshape(-1, 16)


def _equal(results: dict[str, Any]) -> None:
    answers = [answer for name, answer in results.items() if not name.startswith("floor")]
    for answer in answers[1:]:
        assert np.array_equal(answer, answers[0])


def _best(call: Callable[[], object]) -> float:
    """Nanoseconds a window of the quickest of five calls."""
    times = []
    for _ in range(5):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return min(times) / LARGE


def _memcpy(target: np.ndarray, source: np.ndarray, threads: int, pool: ThreadPoolExecutor) -> Callable[[], None]:
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))

    def copy() -> None:
        others = [pool.submit(np.copyto, *part) for part in parts[1:]]
        np.copyto(*parts[0])
        for other in others:
            other.result()

    return copy


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("transposed", [False, True], ids=["as it is", "transposed"])
def test_gather(race: Any, dataset: Any, windows: Any, threads: int, transposed: bool) -> None:
    """Large arrays, so that a call costs nothing and memory everything."""
    numbers = _shuffled(windows, LARGE)
    shifts = np.random.default_rng(1).integers(-6, 7, LARGE).astype(np.int8) if transposed else None
    out, flat = (np.zeros((LARGE, LENGTH, 1, 16), np.uint8) for _ in range(2))
    source = dataset.mapped[: out.nbytes]
    assert source.size == out.nbytes, "the dataset holds as much as is gathered"
    pool = ThreadPoolExecutor(threads)
    name = "rollcore" + (", random transposition" if transposed else "")
    contenders: dict[str, Callable[[], object]] = {
        name: lambda: windows.gather(numbers, out=out, semitones=shifts, threads=threads),
        "floor: memcpy of as many bytes": _memcpy(flat.reshape(-1), source, threads, pool),
    }
    if not transposed and threads == 1:
        piece, start = windows.locate(numbers)
        first = dataset.pieces["offset"][piece].astype(np.int64) // 16 + start
        view = np.lib.stride_tricks.sliding_window_view(_file_as_rows(dataset), LENGTH, axis=0)
        contenders["NumPy: fancy index of a sliding-window view"] = lambda: view[first]

    def check(results: dict[str, Any]) -> None:
        expected = rollcore.transpose(windows.gather(numbers), shifts) if transposed else windows.gather(numbers)
        assert np.array_equal(results[name], expected)
        for peer, answer in results.items():
            if peer.startswith("NumPy"):
                assert np.array_equal(answer.transpose(0, 2, 1), expected[:, :, 0])

    race(
        contenders,
        question=f"Gather {LARGE:,} shuffled windows of {LENGTH} frames, {threads} thread{'s' * (threads > 1)}"
        + (", each transposed by up to 6 semitones" if transposed else ""),
        unit="window",
        units=LARGE,
        check=check,
        rounds=15,
    )
    if threads == 1:
        # Where the time goes: the same calls on windows so few that they stay in the cache, and on no frames at all.
        few = np.resize(numbers[:BATCH], LARGE)
        race.fact(
            "the same, from few windows that stay in the cache",
            _best(lambda: windows.gather(few, out=out, semitones=shifts)),
            "ns a window",
        )
        single = rollcore.windows(dataset, 1)
        race.fact(
            "finding the window and its piece, one frame copied", _best(lambda: single.gather(numbers)), "ns a window"
        )
        race.note("The rest waits for memory: a window begins anywhere, memcpy reads and writes on in a straight line.")


def test_batch(race: Any, dataset: Any, windows: Any) -> None:
    """What a training step asks for: one small batch after the other, calls and all."""
    n_batches = 64
    numbers = _shuffled(windows, n_batches * BATCH).reshape(n_batches, BATCH)
    piece, start = (place.reshape(numbers.shape) for place in windows.locate(numbers.reshape(-1)))
    out = np.empty((BATCH, LENGTH, 1, 16), np.uint8)
    rows = [dataset.rows(index) for index in range(len(dataset))]
    file = h5py.File(dataset.path, "r")
    shards = [file[f"rows/{shard:06d}"] for shard in range(len(dataset.shards))]
    starts = dataset.pieces["start"].astype(np.int64)
    shard = dataset.pieces["shard"]

    def numpy_slices(k: int) -> np.ndarray:
        pairs = zip(piece[k].tolist(), start[k].tolist(), strict=True)
        return np.stack([rows[index][first : first + LENGTH] for index, first in pairs])

    def h5py_slices(k: int) -> np.ndarray:
        first = (starts[piece[k]] + start[k]).tolist()
        return np.stack([shards[s][a : a + LENGTH] for s, a in zip(shard[piece[k]].tolist(), first, strict=True)])

    def h5py_fancy(k: int) -> np.ndarray:
        first = (starts[piece[k]] + start[k]).tolist()
        pairs = zip(shard[piece[k]].tolist(), first, strict=True)
        return np.stack([shards[s][np.arange(a, a + LENGTH)] for s, a in pairs])

    def epoch(batch: Callable[[int], np.ndarray]) -> Callable[[], int]:
        def run() -> int:
            return sum(int(batch(k)[0, 0, 0, 7]) for k in range(n_batches))

        return run

    contenders = {
        "rollcore": lambda k: windows.gather(numbers[k]),
        "rollcore, out= kept": lambda k: windows.gather(numbers[k], out=out),
        "mapped rows: slices and np.stack": numpy_slices,
        "h5py: slices and np.stack": h5py_slices,
        "h5py: fancy index and np.stack": h5py_fancy,
    }
    for k in (0, n_batches - 1):
        _equal({name: batch(k) for name, batch in contenders.items()})
    race(
        {name: epoch(batch) for name, batch in contenders.items()},
        question=f"One batch of {BATCH} shuffled windows of {LENGTH} frames",
        unit="batch",
        units=n_batches,
        check=lambda results: _equal({name: np.array(answer) for name, answer in results.items()}),
        rounds=15,
    )
    file.close()


@pytest.mark.parametrize("count", [BATCH, 20 * BATCH], ids=["batch", "large"])
def test_unpack(race: Any, windows: Any, count: int) -> None:
    rows = windows.gather(_shuffled(windows, count))
    out = np.zeros((*rows.shape[:-1], HIGH - LOW + 1), np.float32)
    floor = np.zeros_like(out)

    def unpackbits() -> np.ndarray:
        return np.unpackbits(rows, axis=-1, bitorder="little")[..., LOW : HIGH + 1].astype(np.float32)

    peer = "NumPy: unpackbits, slice, astype"
    calls = max(1, 20 * BATCH // count)

    def often(call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            for _ in range(calls - 1):
                call()
            return call()

        return run

    race(
        {
            "rollcore, out= kept": often(lambda: rollcore.unpack(rows, LOW, HIGH, np.float32, out=out)),
            "rollcore, a fresh array": often(lambda: rollcore.unpack(rows, LOW, HIGH, np.float32)),
            peer: often(unpackbits),
            "floor: fill an array that is there": often(lambda: floor.fill(0)),
        },
        question=f"Unpack {count:,} windows of {LENGTH} frames to float32, pitches {LOW} to {HIGH}",
        unit="window",
        units=count * calls,
        check=_equal,
        rounds=15,
        targets={peer: 5},
    )


def test_call(race: Any, windows: Any) -> None:
    """What a call costs apart from the copying: the smallest batches there are."""
    numbers = _shuffled(windows, 8)
    shifts = np.zeros(8, np.int8)
    out = np.empty((8, LENGTH, 1, 16), np.uint8)
    calls = 2000

    def repeat() -> None:
        for _ in range(calls):
            windows.gather(numbers, out=out, semitones=shifts)

    def copy() -> None:
        for _ in range(calls):
            np.copyto(out, out)

    spreads = race(
        {"rollcore, 8 windows": repeat, "floor: np.copyto of as many bytes": copy},
        question="The overhead of a call",
        unit="call",
        units=calls,
    )
    race.fact("one call, 8 windows", spreads["rollcore, 8 windows"]["median"] * 1e6, "µs", "< 1000")


OPEN = """
import json, sys, time
import numpy, h5py, rollcore
rollcore.open_dataset, rollcore.windows  # both loaded
def memory():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return [int(lines[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM", "RssAnon")]
before = memory()
start = time.perf_counter()
opened = rollcore.open_dataset(sys.argv[1])
windows = rollcore.windows(opened, 50, hop=1, lead=25, partial=True)
seconds = time.perf_counter() - start
after = memory()
view = windows[len(windows) // 2]
print(json.dumps({"seconds": seconds, "peak": after[1] - before[0], "anonymous": after[2] - before[2],
                  "windows": len(windows), "pieces": len(opened)}))
"""


@pytest.fixture(scope="module")
def many_pieces() -> Path:
    """Give a dataset of 200,000 pieces of 60 frames."""
    from rollcore.dataset import FILE_DTYPE, PIECE_DTYPE, REPAIR_DTYPE
    from rollcore.writer import DatasetWriter, Tables

    path = corpus.cache_folder() / f"pieces-{N_PIECES}-{rollcore.__version__}.h5"
    frames = 60
    pieces, files = np.zeros(N_PIECES, PIECE_DTYPE), np.zeros(N_PIECES, FILE_DTYPE)
    pieces["file"] = np.arange(N_PIECES)
    pieces["frames"] = frames
    pieces["split"] = np.arange(N_PIECES) % 10 // 8
    names = [f"{index // 1000:03d}/{index:06d}.mid".encode() for index in range(N_PIECES)]
    files["name_end"] = np.cumsum([len(name) for name in names])
    rng = np.random.default_rng(corpus.SEED)
    pieces["digest"] = rng.integers(0, 2**63, (N_PIECES, 2), dtype=np.uint64)
    with DatasetWriter(path, grid=rollcore.Grid.seconds(50), planes=("sounding",)) as writer:
        for part in np.array_split(np.arange(N_PIECES), 4):
            rows = rng.integers(0, 256, (len(part) * frames, 1, 16), dtype=np.uint8)
            pieces["shard"][part] = writer.append(rows)
            pieces["start"][part] = np.arange(len(part)) * frames
        writer.commit(Tables(pieces, files, np.zeros(0, REPAIR_DTYPE), b"".join(names), []), {})
    return path


def test_open(race: Any, many_pieces: Path) -> None:
    def opened() -> int:
        return len(rollcore.windows(rollcore.open_dataset(many_pieces), 50, hop=1, lead=25, partial=True))

    def listed() -> int:
        """Keep (piece, start) of every window, as data loaders commonly do, in arrays at that."""
        frames = rollcore.open_dataset(many_pieces).pieces["frames"].astype(np.int64)
        piece = np.repeat(np.arange(len(frames)), frames)
        start = np.arange(len(piece)) - np.repeat(np.cumsum(frames) - frames, frames) - 25
        race_bytes.append(piece.nbytes + start.nbytes)
        return len(start)

    race_bytes: list[int] = []
    race(
        {"rollcore": opened, "an array of (piece, start) of every window": listed},
        question=f"Open a dataset of {N_PIECES:,} pieces and make its windows",
        unit="dataset",
        check=_equal_numbers,
        rounds=9,
        seconds_target=0.3,
    )
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(many_pieces)], capture_output=True, text=True, check=True, env=os.environ
    )
    told = json.loads(done.stdout)
    race.fact(
        f"{told['pieces']:,} pieces, {told['windows']:,} windows, in a fresh process", told["seconds"], "s", "< 0.3"
    )
    race.fact("peak resident set above that of the imports", told["peak"], "MB", "< 100")
    race.fact("anonymous memory kept", told["anonymous"], "MB", "< 100")
    race.fact("the arrays of (piece, start) alone", race_bytes[-1] / 1e6, "MB")


def _equal_numbers(results: dict[str, Any]) -> None:
    assert len(set(results.values())) == 1
