"""A build on several machines: Dask hands out the parts, and they are merged here.

The inputs and the folder of the target are to be seen by all workers under the same names: on a shared file system, or
as addresses in object storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

from rollcore.build import MOST_PARTS, build_dataset
from rollcore.errors import DatasetError, RollcoreError
from rollcore.merge import merge_parts
from rollcore.storage import fetch_all, is_remote, published, remove

__all__ = ["build_distributed"]

PARTS_A_THREAD = 4
"""Parts for each thread of a worker: enough to even out, few enough that listing the input for each costs little."""
RETRIES = 3
ANSWER_SECONDS = 10


def build_distributed(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    scheduler: str = "local",
    *,
    parts: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> int:
    """Build a dataset on the workers of a Dask scheduler: byte for byte what :func:`rollcore.build_dataset` writes.

    The part of a worker that dies is built again by another. The parts lie in a folder beside the target until they are
    merged.

    Parameters
    ----------
    inputs, out, options
        As for `build_dataset`. A single input may have any name; several, and lists, are given by absolute paths, since
        the pieces are named after them.
    scheduler
        Address of the scheduler, such as ``"tcp://10.0.0.1:8786"``; or ``"local"`` for workers on this machine.
    parts
        Into how many parts to share the input out; as many as suit the workers when not given.
    progress
        Called with the parts that are done, and all.

    Returns
    -------
    int
        Number of pieces.

    Raises
    ------
    RollcoreError
        If there is no scheduler at the address, it is lost, or a part cannot be built. The old dataset is unchanged.
    """
    try:
        import distributed
    except ImportError:
        raise RollcoreError("a build on several machines needs Dask: pip install 'rollcore[dask]'") from None
    sources = _absolute(inputs)
    target = os.fspath(out) if is_remote(out) else os.path.abspath(out)
    above, slash, name = target.rpartition("/" if is_remote(out) else os.sep)
    folder = f"{above}{slash}.{name}.parts"
    with _client(distributed, scheduler) as client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise RollcoreError(f"{scheduler}: the scheduler has no workers; start one with `dask worker {scheduler}`")
        count = parts if parts is not None else min(PARTS_A_THREAD * threads, MOST_PARTS)
        with _parts_folder(folder):
            paths = [f"{folder}/{i:06d}.h5" for i in range(1, count + 1)]
            jobs = {
                client.submit(_build_part, sources, path, (i, count), options, pure=False): i
                for i, path in enumerate(paths, start=1)
            }
            _wait(distributed, client, scheduler, jobs, progress)
            with published(target, quiet=True) as local:
                return merge_parts(fetch_all(paths), local).pieces


def _build_part(sources: Any, path: str, part: tuple[int, int], options: dict[str, Any]) -> None:
    """Build a part, on a worker; a thread of Dask is a thread of the build."""
    with published(path, quiet=True) as local:
        build_dataset(sources, local, part=part, **{"threads": 1, **options})


def _absolute(inputs: Any) -> Any:
    """Return inputs by names that mean the same on every machine, and give the pieces the same names."""
    if isinstance(inputs, (str, os.PathLike)):
        name = os.fspath(inputs)
        if name != "-" and not name.startswith("@"):
            return name if is_remote(name) else os.path.abspath(name)
        inputs = [name]
    sources = [os.fspath(source) for source in inputs]
    for source in sources:
        if source == "-":
            raise RollcoreError("-: workers do not see a list on standard input; write it to a file and give @FILE")
        if not (is_remote(source) or os.path.isabs(source.removeprefix("@"))):
            raise RollcoreError(
                f"{source}: workers run in other folders; give lists and several inputs by absolute paths"
            )
    return sources[0] if len(sources) == 1 and sources[0].startswith("@") else sources


@contextlib.contextmanager
def _parts_folder(folder: str) -> Iterator[None]:
    """Make an empty folder for the parts, which goes when the build ends."""
    remove(folder)
    if not is_remote(folder):
        try:
            os.mkdir(folder)
        except OSError as error:
            raise DatasetError(f"{folder}: cannot be made: {error.strerror}") from error
    try:
        yield
    finally:
        remove(folder)


@contextlib.contextmanager
def _client(distributed: Any, scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler, or start one with a worker for each core of this machine."""
    # What it logs of lost connections and dead workers is told by the errors below.
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        try:
            if scheduler == "local":
                address: Any = stack.enter_context(
                    distributed.LocalCluster(
                        threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
                    )
                )
            else:
                address = scheduler
            client = distributed.Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:  # TimeoutError is one of the first, a strange address of the second
            raise RollcoreError(f"{scheduler}: no Dask scheduler answers; give its address, or local") from error
        stack.callback(client.close, timeout=ANSWER_SECONDS)
        yield client


def _wait(
    distributed: Any, client: Any, scheduler: str, jobs: dict[Any, int], progress: Callable[[int, int], None] | None
) -> None:
    """Wait until all parts are built; what failed is handed out again a few times, unless the input is to blame."""
    left, tries = set(jobs), dict.fromkeys(jobs.values(), 0)
    while left:
        lost = False
        try:
            with client.as_current():
                distributed.wait(left, timeout=1, return_when="FIRST_COMPLETED")
        except (TimeoutError, distributed.TimeoutError):
            pass
        except (futures.CancelledError, asyncio.CancelledError):  # nobody here cancels
            lost = True
        if lost or client.status != "running":
            raise RollcoreError(f"{scheduler}: the scheduler is lost; start it, and build again")
        for job in [job for job in left if job.done()]:
            part = jobs[job]
            if job.status == "error":
                error = job.exception()
                if isinstance(error, RollcoreError):
                    raise error
                tries[part] += 1
                if tries[part] > RETRIES:
                    raise RollcoreError(f"part {part} of {len(tries)} failed {RETRIES} times: {error!r}")
                job.retry()
                continue
            left.discard(job)
            if progress is not None:
                progress(len(jobs) - len(left), len(jobs))
