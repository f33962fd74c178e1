"""The run folder: what a training writes, and comparison, generation, trackers and storage read.

One class knows the names of its files::

    config.json         settings, dataset, versions, host, device: all that it takes to train the run again
    metrics.csv         a line an epoch
    updates.csv         losses of updates, at most 10,000
    best.keras          the model of the epoch with the lowest validation loss
    model.safetensors   its weights as the generator reads them
    last.keras          the model and the state of its optimizer that --resume continues from
    progress.json       how far within an epoch last.keras is
    level.keras         the same from before the learning rate came down, which a run that gets more epochs goes on from
    level.json          how far within an epoch level.keras is
    evaluation.json     the latest evaluation of the best model
    samples/            music of the best epochs
    loss.png            the loss curves
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime
import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollcore import Grid, RollcoreError
from rollcore.files import whole_file
from rollcore.storage import origin
from seq2seq.errors import RunError
from seq2seq.models.config import ModelConfig, TrainConfig

if TYPE_CHECKING:
    from rollcore import Dataset

History = list[dict[str, float]]

# The columns of metrics.csv.
TRAIN, VALIDATION = "train_nats_per_frame", "validation_nats_per_frame"
COLUMNS = (
    "epoch",
    TRAIN,
    VALIDATION,
    "seconds",
    "learning_rate",
    "validation_f1",
    "windows_per_second",
    "waiting_share",
)

_CONFIG, _METRICS, _PROGRESS, _EVALUATION = "config.json", "metrics.csv", "progress.json", "evaluation.json"
_BEST, _LAST, _WEIGHTS, _PICTURE, _SAMPLES = "best.keras", "last.keras", "model.safetensors", "loss.png", "samples"
_UPDATES = "updates.csv"
_LEVEL, _LEVEL_PROGRESS = "level.keras", "level.json"
_LOCK = ".lock"

# What a file that is not as it was written can raise.
_UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Run:
    """A run folder.

    :meth:`open` reads one, :meth:`new` describes one that is to be trained; nothing is written before :meth:`keep`.

    Attributes
    ----------
    path : Path
        The folder.
    facts : dict
        The contents of config.json: ``"model"`` and ``"train"`` (the fields of the two configurations), ``"dataset"``,
        ``"versions"``, ``"began"`` (ISO 8601, with the time zone), ``"host"``, ``"backend"``, ``"device"``,
        ``"command"`` and ``"commit"`` (of the git repository that the command ran in, or None).
    config : ModelConfig
        The architecture.
    settings : TrainConfig
        How it is trained.
    """

    path: Path
    facts: dict[str, Any]
    config: ModelConfig
    settings: TrainConfig

    def __init__(self, path: str | Path, facts: dict[str, Any]) -> None:
        """Take *facts* as they are; :meth:`open` and :meth:`new` are the ways to a run."""
        self.path, self.facts = Path(path), facts
        self.config = ModelConfig.from_dict(facts["model"])
        self.settings = TrainConfig(**facts["train"])
        self.grid = Grid(facts["dataset"]["grid"]["unit"], Fraction(facts["dataset"]["grid"]["rate"]))

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Return the run in a folder.

        Raises
        ------
        RunError
            If the folder is not a run, or its configuration cannot be read.
        """
        file = Path(path) / _CONFIG
        try:
            facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            dataset = facts["dataset"]
            if wrong := [name for name in ("path", "fingerprint") if not isinstance(dataset[name], str)]:
                raise ValueError(f"dataset without {', '.join(wrong)}")
            if not isinstance(dataset["options"], dict):
                raise ValueError("dataset without options")
            return cls(path, facts)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{path}: not a run folder (no {_CONFIG}): train one with seq2seq train") from None
        except (*_UNREADABLE, RollcoreError) as error:
            raise RunError(f"{file}: unreadable configuration ({error}): train the run again") from None

    @classmethod
    def new(cls, path: str | Path, config: ModelConfig, settings: TrainConfig, dataset: Dataset, device: str) -> Run:
        """Return a run that is to be trained on *dataset*, with Keras's backend on *device*."""
        import keras
        import numpy as np

        import rollcore

        backend = keras.config.backend()
        facts = {
            "model": config.to_dict(),
            "train": dataclasses.asdict(settings),
            "dataset": _dataset_facts(dataset),
            "versions": {
                "python": platform.python_version(),
                **{module.__name__: module.__version__ for module in (rollcore, keras, np)},
                backend: import_module(backend).__version__,
            },
            "began": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "host": platform.node(),
            "backend": backend,
            "device": device,
            "command": _command_line(),
            "commit": _git_commit(),
        }
        return cls(path, facts)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name

    @property
    def dataset(self) -> dict[str, Any]:
        """What it learns from: ``path``, ``fingerprint``, ``grid``, ``planes``, ``options``, ``pieces``."""
        found: dict[str, Any] = self.facts["dataset"]
        return found

    @property
    def best_model(self) -> Path:
        """The Keras model of the best epoch."""
        return self.path / _BEST

    @property
    def last_model(self) -> Path:
        """The Keras model that a resumed training continues from."""
        return self.path / _LAST

    @property
    def level_model(self) -> Path:
        """The Keras model from before the learning rate came down, which a run that gets more epochs goes on from."""
        return self.path / _LEVEL

    @property
    def weights(self) -> Path:
        """The weights of the best model as a generator reads them."""
        return self.path / _WEIGHTS

    @property
    def updates(self) -> Path:
        """The losses of updates, as :mod:`seq2seq.steps` reads and writes them; it need not be there."""
        return self.path / _UPDATES

    @property
    def samples(self) -> Path:
        """The folder of music that the best epochs made; it need not be there."""
        return self.path / _SAMPLES

    @property
    def loss_picture(self) -> Path:
        """The picture of the loss curves; it need not be there."""
        return self.path / _PICTURE

    @staticmethod
    def is_at(path: str | Path) -> bool:
        """Whether a folder looks like a run; :meth:`open` says whether it can be read."""
        return (Path(path) / _CONFIG).is_file()

    def finished(self) -> bool:
        """Whether all epochs are done, or as many as the patience of the training allows."""
        history = self.history(empty=True)
        if history and history[-1]["epoch"] >= self.settings.epochs:
            return True
        return out_of_patience(history, self.settings.patience)

    def has_model(self) -> bool:
        """Whether the folder holds a model, of this run or of a former one."""
        return any((self.path / name).exists() for name in (_BEST, _LAST, _WEIGHTS))

    def history(self, *, empty: bool = False) -> History:
        """Return metrics.csv: a dict of the `COLUMNS` for every epoch, for none only where *empty* allows it.

        Raises
        ------
        RunError
            If it cannot be read, or has no epoch and must have one.
        """
        path = self.path / _METRICS
        try:
            with open(path, newline="", encoding="utf-8") as file:
                lines = csv.DictReader(file)
                if lines.fieldnames is not None and tuple(lines.fieldnames) != COLUMNS:
                    raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
                history = [{key: float(value) for key, value in row.items()} for row in lines]
        except FileNotFoundError:
            history = []
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{path}: unreadable ({error}): train the run again") from None
        if not history and not empty:
            raise RunError(f"{self.path}: no epoch was completed (none in {_METRICS}): train the run again")
        return history

    def progress(self, *, level: bool = False) -> dict[str, float]:
        """Return how far within an epoch last.keras is, as :meth:`keep` was told it; empty where nothing was.

        With *level*, the same of level.keras.
        """
        return self._read(_LEVEL_PROGRESS if level else _PROGRESS) or {}

    def evaluation(self) -> dict[str, Any] | None:
        """Return the latest evaluation of the best model, as `seq2seq.evaluate` made it, or None."""
        return self._read(_EVALUATION)

    def keep_evaluation(self, found: dict[str, Any]) -> None:
        """Write an evaluation of the best model in the place of an earlier one."""
        _write_json(self.path / _EVALUATION, found)

    def change(self, settings: TrainConfig, dataset: Dataset) -> None:
        """Write other settings, and where the dataset is now, to config.json."""
        self.settings = settings
        self.facts["train"] = dataclasses.asdict(settings)
        self.facts["dataset"] = _dataset_facts(dataset)
        _write_json(self.path / _CONFIG, self.facts)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder unless it is there, and keep other trainings out of it until the block ends.

        A folder that was made and stayed empty is removed.

        Raises
        ------
        RunError
            If another training writes to it, or a file stands in its place.
        """
        from filelock import FileLock, Timeout

        with contextlib.ExitStack() as after:
            for folder in make_folder(self.path):
                after.callback(_remove_if_empty, folder)
            lock = FileLock(self.path / _LOCK)
            try:
                lock.acquire(timeout=0)
                after.callback(lock.release)
                after.callback(_remove, self.path / _LOCK)  # while it is held, lest another training has it by then
            except Timeout:
                raise RunError(f"{self.path}: another training is writing it: wait for it, or name another") from None
            except (OSError, NotImplementedError):
                pass  # not every file system has locks
            yield

    def keep(
        self,
        save: Callable[[Path], object],
        history: History,
        *,
        weights: Callable[[Path], object] | None = None,
        progress: Mapping[str, float] | None = None,
        first: bool = False,
        level: bool = False,
    ) -> None:
        """Put a state of the training in the place of the one before, once all of it is on the disk.

        Parameters
        ----------
        save : callable
            Writes the Keras model to the path it is given, which ends in ``.keras``.
        history : list of dict
            The epochs so far.
        weights : callable, optional
            Writes the weights for sampling. Given where the model is the best so far.
        progress : dict, optional
            What a resumed training must know of the epoch that has begun.
        first : bool
            Whether this is the first state of a run: what a former run left makes way for it.
        level : bool
            Whether this is the latest state before the learning rate comes down, which is kept once more.

        Raises
        ------
        RunError
            If it cannot be written; the state before stands then.
        """
        names = (".last.part.keras", ".best.part.keras", ".level.part.keras", ".part.safetensors")
        last, best, plateau, light = (self.path / name for name in names)
        try:
            save(last)
            if weights is not None:
                shutil.copyfile(last, best)
                weights(light)
            if first:
                self._clear()
                _write_json(self.path / _CONFIG, self.facts)
            if weights is not None:
                (self.path / _EVALUATION).unlink(missing_ok=True)
                os.replace(light, self.weights)
                os.replace(best, self.best_model)
            if level:
                shutil.copyfile(last, plateau)
                self._write_progress(_LEVEL_PROGRESS, progress)
                os.replace(plateau, self.level_model)
            # In this order: a history that is an epoch ahead of last.keras is cut by --resume.
            self._write_history(history)
            self._write_progress(_PROGRESS, progress)
            os.replace(last, self.last_model)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}") from error
        finally:
            for part in (last, best, plateau, light):
                part.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Remove what a former run left."""
        metrics = (_METRICS, _UPDATES, _PROGRESS, _LEVEL_PROGRESS, _EVALUATION, _PICTURE)
        for name in (_BEST, _LAST, _LEVEL, _WEIGHTS, *metrics):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.samples, ignore_errors=True)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{self.path / name}: unreadable ({error}): remove it") from None
        if not isinstance(found, dict):
            raise RunError(f"{self.path / name}: unreadable (not an object): remove it")
        return found

    def _write_progress(self, name: str, progress: Mapping[str, float] | None) -> None:
        if progress:
            _write_json(self.path / name, progress)
        else:
            (self.path / name).unlink(missing_ok=True)

    def _write_history(self, history: History) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        for row in history:
            cells = {name: f"{value:.6g}" if name == "learning_rate" else f"{value:.6f}" for name, value in row.items()}
            writer.writerow({**cells, "epoch": f"{row['epoch']:g}"})
        with whole_file(self.path / _METRICS) as file:
            file.write(text.getvalue().encode())


def best_epoch(history: History) -> float:
    """Return the epoch with the lowest validation loss; a whole number but for one that was not complete."""
    epoch = min(history, key=lambda row: row[VALIDATION])["epoch"]
    return int(epoch) if epoch == int(epoch) else epoch


def trunk(history: History) -> History:
    """Return the epochs that led to the latest one.

    A run that gets more epochs goes back to before its learning rate came down. The epochs it had after that stay in
    the history, followed by those that take their place.
    """
    found: History = []
    for row in history:
        while found and found[-1]["epoch"] >= row["epoch"]:
            found.pop()
        found.append(row)
    return found


def out_of_patience(history: History, patience: int) -> bool:
    """Whether the latest *patience* whole epochs are all no better than one before them; never where it is 0."""
    losses = [row[VALIDATION] for row in trunk(history) if row["epoch"] == int(row["epoch"])]
    return 0 < patience < len(losses) and min(losses[-patience:]) >= min(losses[:-patience])


def make_folder(path: str | Path) -> list[Path]:
    """Make a folder, and those it lies in, unless it is there; return those that were made, the innermost last.

    Raises
    ------
    RunError
        If a file stands in its place, or in that of one it lies in, or it cannot be made.
    """
    path = Path(path)
    try:
        made = [folder for folder in (*reversed(path.parents), path) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise RunError(f"{path}: is a file or lies in one: name another folder") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be made: {error.strerror or error}") from None
    return made


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # an open file cannot be removed on Windows
        path.unlink()


def _dataset_facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "path": origin(dataset.path),
        "fingerprint": dataset.fingerprint,
        "grid": {"unit": dataset.grid.unit, "rate": str(dataset.grid.rate)},
        "planes": list(dataset.planes),
        "options": dataset.options,
        "pieces": len(dataset),
    }


def _command_line() -> str:
    """Return the command line of the process, without the user and the password of an address."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", shlex.join(sys.argv))


def _git_commit() -> str | None:
    """Return the commit of the git repository that is the current folder's, or None."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with whole_file(path) as file:
        file.write(json.dumps(dict(values), indent=2).encode() + b"\n")
