"""Mirrors of the run folder: trackers that a thread feeds while a training goes on.

The run folder is the truth. A mirror reads what is in it and sends what it has not sent yet; where that fails, the
training neither waits nor stops nor fails, and what was missed can be pushed later.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from seq2seq.errors import ConfigError, RunError, one_line
from seq2seq.run import Run

# Seconds between two looks at the run folder within an epoch, and how long the end of a training waits for a mirror.
_LOOK_EVERY_S = 60.0
_PATIENCE_S = 10.0


class Mirror(Protocol):
    """A tracker. Its methods are called from one thread, may take long, and may fail."""

    name: str
    remedy: str
    """What to do, in words, where something was not sent."""

    def send(self, run: Run) -> None:
        """Send settings, epochs and losses of updates that were not sent yet."""

    def finish(self, run: Run, status: str) -> None:
        """Send what comes with the end: pictures, samples, evaluation.

        *status* is FINISHED, FAILED or KILLED; a run that was ended before its last epoch is not FINISHED either.
        """


class Feed:
    """A thread that feeds one mirror; none of its methods blocks, but :meth:`close` for a few seconds.

    Parameters
    ----------
    mirror
        The tracker.
    run_dir
        The run folder.
    say
        Told in one line when something could not be sent, once, and what was missed at the end.
    """

    def __init__(self, mirror: Mirror, run_dir: Path, say: Callable[[str], None]) -> None:
        self._mirror, self._run_dir, self._say = mirror, run_dir, say
        self._wake, self._status, self._begun = threading.Event(), "", False
        self._since_s = time.time()
        self._failed: str | None = None
        self._thread = threading.Thread(target=self._work, name=f"mirror-{mirror.name}", daemon=True)
        self._thread.start()

    def epoch(self) -> None:
        """Send what the run folder has got."""
        self._begun = True
        self._wake.set()

    def look(self) -> None:
        """Send what the run folder has got, if a state was kept within the first epoch."""
        self._wake.set()

    def close(self, status: str) -> None:
        """Send the rest, and say what is missing after a few seconds.

        Before the first state there is nothing to send: the folder may still hold a former run.
        """
        self._status = status
        self._wake.set()
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            self._failed = f"no answer within {_PATIENCE_S:.0f} s"
        if self._failed is not None:
            self._say(f"{self._mirror.name}: not all was sent ({self._failed}): {self._mirror.remedy}")

    def _kept(self) -> bool:
        """Whether the folder holds a state that was written since the training began."""
        try:
            return Run.open(self._run_dir).last_model.stat().st_mtime >= self._since_s
        except (RunError, OSError):
            return False

    def _work(self) -> None:
        told = False
        while not self._status:
            self._wake.wait()
            self._wake.clear()
            status = self._status
            if not self._begun and not self._kept():
                continue
            try:
                run = Run.open(self._run_dir)
                self._mirror.send(run)
                if status:
                    self._mirror.finish(run, status)
                self._failed = None
            except Exception as error:  # whatever a tracker raises: the training goes on
                self._failed = one_line(error)
                if not told and not status:
                    told = True
                    self._say(f"{self._mirror.name}: {self._failed}; the training goes on without it")


@contextlib.contextmanager
def tracked(
    run_dir: str | Path,
    *,
    mlflow_uri: str | None = None,
    tensorboard: bool = False,
    parent: str | None = None,
    say: Callable[[str], None] = print,
) -> Iterator[list[Any]]:
    """Mirror a training that happens within the block; give the Keras callbacks that it needs.

    Parameters
    ----------
    run_dir : path
        The run folder.
    mlflow_uri : str, optional
        The tracking server; ``MLFLOW_TRACKING_URI`` of the environment by default, and none where that is not set.
    tensorboard : bool
        Whether to write events for TensorBoard to the folder ``tensorboard`` of the run.
    parent : str, optional
        In MLflow, the run is nested in one of this name, such as that of a sweep.
    say : callable
        Shows a line.

    Raises
    ------
    ConfigError
        If what a tracker needs is not installed.
    """
    mirrors: list[Mirror] = []
    uri = mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        if find_spec("mlflow") is None and mlflow_uri is None:
            say("MLFLOW_TRACKING_URI is set, but MLflow is not installed (pip install 'rollcore[mlflow]')")
        else:
            _need("mlflow", "--mlflow")
            from seq2seq.training.mlflow_mirror import MlflowMirror

            mirrors.append(MlflowMirror(uri, parent=parent))
    if tensorboard:
        _need("tensorboard", "--tensorboard")
        from seq2seq.training.tensorboard_mirror import TensorboardMirror

        mirrors.append(TensorboardMirror())
    if not mirrors:
        yield []
        return
    feeds = [Feed(mirror, Path(run_dir), say) for mirror in mirrors]
    status = "FAILED"
    try:
        yield [_callback(feeds)]
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        for feed in feeds:
            feed.close(status)


def _callback(feeds: Sequence[Feed]) -> Any:
    import keras

    class Tracking(keras.callbacks.Callback):
        """Tells the feeds when to look; takes microseconds."""

        looked = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (now := time.monotonic()) - self.looked >= _LOOK_EVERY_S:
                self.looked = now
                for feed in feeds:
                    feed.look()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            for feed in feeds:
                feed.epoch()

    return Tracking()


def _need(module: str, option: str) -> None:
    if find_spec(module) is None:
        raise ConfigError(f"{option} needs {module}: pip install 'rollcore[{module}]'")
