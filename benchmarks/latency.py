"""A build from storage that takes 20 ms to answer: one process, and Dask with one to eight workers.

    python -m benchmarks.latency MIDI [--copies 10]

Storage is a local folder behind fsspec, and every request sleeps first: nothing is measured but waiting. Each figure is
one build from an empty cache; the wall time of a cluster that is up already, and of one that is started for the build.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

SECONDS = 0.02


def slow_storage(root: str) -> None:
    """Let ``memory://`` be a local folder that takes its time; run in each process."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    class Slow(LocalFileSystem):
        protocol = "memory"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            below = str(path).removeprefix("memory://")
            return below if below.startswith(root) else f"{root}/{below.strip('/')}"

    def info(self: Any, path: str, **_: Any) -> Any:
        time.sleep(SECONDS)
        return LocalFileSystem().info(self._strip_protocol(path))

    def copy(self: Any, source: str, target: str, **_: Any) -> None:
        time.sleep(SECONDS)
        shutil.copyfile(source, target)

    Slow.info, Slow.get_file = info, copy
    # A listing is one request, not one for each file in it.
    Slow.find = lambda self, path, detail=False, **_: {
        found: LocalFileSystem().info(found) for found in LocalFileSystem().find(path)
    }
    fsspec.register_implementation("memory", Slow, clobber=True)


def build(work: Path, number: int, scheduler: str | None) -> float:
    """Build once and return the seconds that it took."""
    import rollcore
    from rollcore.distributed import build_distributed

    began = time.perf_counter()
    if scheduler is None:
        rollcore.build_dataset("memory://midi", work / f"{number}.h5")
    else:
        build_distributed("memory://midi", work / f"{number}.h5", scheduler)
    took = time.perf_counter() - began
    assert (work / f"{number}.h5").read_bytes() == (work / "local.h5").read_bytes()
    shutil.rmtree(work / "cache")
    return took


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("midi", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    given = parser.parse_args()
    import distributed

    import rollcore
    from rollcore import storage

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["ROLLCORE_CACHE"] = str(work / "cache")
        for copy in range(given.copies):
            shutil.copytree(given.midi, work / "store" / "midi" / str(copy))
        found = rollcore.build_dataset(work / "store" / "midi", work / "local.h5").found
        slow_storage(str(work / "store"))
        print(f"{found:,} files, {1000 * SECONDS:.0f} ms a request")
        for at_once in (1, 8, storage.AT_ONCE):
            storage.AT_ONCE, before = at_once, storage.AT_ONCE
            print(f"one process, {at_once:2} files at once: {build(work, at_once, None):6.1f} s", flush=True)
            storage.AT_ONCE = before
        for workers in (1, 2, 4, 8):
            began = time.perf_counter()
            with (
                distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
                distributed.Client(cluster) as client,
            ):
                client.run(slow_storage, str(work / "store"))
                up = time.perf_counter() - began
                took = build(work, 100 + workers, cluster.scheduler_address)
            print(f"Dask, {workers} workers: {took:6.1f} s, and {up:.1f} s until they are up", flush=True)


if __name__ == "__main__":
    main()
