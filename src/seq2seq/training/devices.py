"""The devices that one training uses: one, those of this process, or those of several processes.

Several devices are JAX's alone, by Keras's own data parallelism: each holds the whole model, and learns from its share
of every batch. Processes are told of each other by the environment: ``JAX_COORDINATOR_ADDRESS`` (host and port of the
first), ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID`` (0 to one less). Whatever ends a training or changes the weights
is decided by all of them together, and done by all after the same update; the first process alone writes the run
folder and prints.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seq2seq.errors import ConfigError, RunError, one_line
from seq2seq.training.startup import import_keras

CHOICES = ("one", "all")

_ADDRESS, _PROCESSES, _PROCESS = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
# How long processes wait for the last of them to begin, and for each other at the end.
_BEGIN_S, _END_S = 300, 30


@dataclass(frozen=True)
class Devices:
    """The devices of a training, and the place of this process among those that take part.

    Attributes
    ----------
    count : int
        Devices of all processes.
    process, processes : int
        Number of this process, from 0, and how many there are.
    """

    count: int = 1
    process: int = 0
    processes: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the run folder and prints."""
        return self.process == 0

    def check(self, batch_size: int) -> None:
        """Raise ConfigError unless a batch can be shared out."""
        if batch_size % self.count:
            raise ConfigError(
                f"batch_size {batch_size} cannot be shared by {self.count} devices: choose a multiple of {self.count}"
            )

    def compare(self, *given: object) -> None:
        """Raise RunError unless all processes were given the same."""
        if self.processes > 1:
            number = zlib.crc32(repr(given).encode()) >> 1
            if self.most(number) != -self.most(-number):
                raise RunError("the processes were given different data or settings: give all of them the same")

    def describe(self, name: str) -> str:
        """Return the *name* of a device as it is shown, with how many of it there are."""
        return name if self.count == 1 else f"{self.count} x {name}"

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Let models that are built or loaded within the block have their weights on all devices."""
        if self.count == 1:
            yield
            return
        import keras

        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        try:
            yield
        finally:
            keras.distribution.set_distribution(None)

    @contextlib.contextmanager
    def folder(self, run_dir: str | Path, *, resume: bool) -> Iterator[Path]:
        """Give the folder that this process writes: the run's for the first, for others one that is thrown away.

        So all of them do the same, which they must: to save a model they all have to take part. To *resume*, that of
        the others begins as a copy.
        """
        path = Path(run_dir)
        if self.first:
            yield path
            return
        if resume and not path.is_dir():
            raise RunError(f"{path}: not there for process {self.process}: all processes must see the run folder")
        with tempfile.TemporaryDirectory(prefix="seq2seq-") as temporary:
            copy = Path(temporary) / (path.name or "run")
            if resume:
                shutil.copytree(path, copy, ignore=shutil.ignore_patterns(".*", "samples", "tensorboard"))
            yield copy

    def most(self, value: int) -> int:
        """Return the highest value of all processes, which call this at the same point of their work."""
        if self.processes == 1:
            return value
        import numpy as np
        from jax.experimental import multihost_utils

        return int(np.max(multihost_utils.process_allgather(np.int32(value))))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Go on after the block only if it raised nothing in any process.

        Raises
        ------
        RunError
            If it raised something in another process.
        """
        if self.processes == 1:
            yield
            return
        try:
            yield
        except BaseException:
            self.most(1)
            raise
        if self.most(0):
            raise RunError("another process could not begin: its own message says why")

    def leave(self) -> None:
        """End the connection between the processes; each works alone from here on."""
        if self.processes > 1:
            import jax

            jax.distributed.shutdown()


def join(choice: str | None = None, environ: Mapping[str, str] = os.environ) -> Devices:
    """Return the devices to use, and connect this process with the others where the environment tells of any.

    It is called before anything is computed.

    Parameters
    ----------
    choice : str, optional
        ``"one"`` or ``"all"``; by default one, or all where there are other processes.

    Raises
    ------
    ConfigError
        If the choice cannot be had with the backend, or the environment tells only half of it.
    RunError
        If the other processes did not come.
    """
    if choice not in (None, *CHOICES):
        raise ConfigError(f"devices must be one of {', '.join(CHOICES)}, not {choice!r}")
    others = _others(environ)
    if choice is None:
        choice = "all" if others else "one"
    if others and choice == "one":
        raise ConfigError(f"{_ADDRESS} is set, so all devices of all processes are used: leave out devices=one")
    if choice == "one":
        return Devices()
    import_keras()
    import keras

    if keras.config.backend() != "jax":
        reason = f"{_ADDRESS} is set" if others else "devices=all"
        raise ConfigError(
            f"{reason}, but one process uses one device on {keras.config.backend()}: set KERAS_BACKEND=jax"
        )
    if others:
        _connect(*others)
    import jax

    return Devices(jax.device_count(), jax.process_index(), jax.process_count())


def _others(environ: Mapping[str, str]) -> tuple[str, int, int] | None:
    """Return address, processes and the number of this one, as the environment has them, or None."""
    names = (_ADDRESS, _PROCESSES, _PROCESS)
    given = [environ.get(name, "") for name in names]
    if not any(given):
        return None
    if missing := [name for name, value in zip(names, given, strict=True) if not value]:
        raise ConfigError(f"several processes: {', '.join(missing)} not set; needed are {', '.join(names)}")
    address, processes, process = given
    if not (processes.isdecimal() and process.isdecimal() and int(process) < int(processes)):
        raise ConfigError(f"{_PROCESS}={process}, {_PROCESSES}={processes}: expected numbers from 0 to one less")
    if not address.rpartition(":")[2].isdecimal():
        raise ConfigError(f"{_ADDRESS}={address}: expected HOST:PORT of process 0")
    return (address, int(processes), int(process)) if int(processes) > 1 else None


def _connect(address: str, processes: int, process: int) -> None:
    import jax

    if jax.distributed.is_initialized():
        return
    # Its own handler of SIGTERM would keep ours from ending the training in order.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            address,
            processes,
            process,
            cluster_detection_method="deactivate",
            initialization_timeout=_BEGIN_S,
            shutdown_timeout_seconds=_END_S,
        )
    except (RuntimeError, ValueError) as error:
        raise RunError(f"{address}: process {process} of {processes} cannot join: {one_line(error)}") from error
