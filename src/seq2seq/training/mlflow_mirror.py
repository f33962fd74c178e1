"""MLflow as a mirror of the run folder: parameters, metrics, pictures, samples, the dataset, the model."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from rollcore.console import printable
from seq2seq.errors import RunError
from seq2seq.output.losses import panel_title
from seq2seq.run import Run
from seq2seq.steps import read_steps

# With MLflow's own defaults, one call to a dead server blocks for four minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# The tag by which a run is found again, and that of the runs others are nested in.
RUN_TAG, PARENT_TAG = "seq2seq.run", "seq2seq.parent"
# What one request may hold.
_METRICS, _PARAMETERS, _LONGEST = 1000, 100, 500


class MlflowMirror:
    """Runs of an MLflow server, found again by a tag: what is sent twice is there once.

    Parameters
    ----------
    uri
        Address of the tracking server, or whatever MLflow takes for one.
    parent
        Name of the run that the runs are nested in.
    timeout_s
        How long a request may take; the environment's ``MLFLOW_HTTP_REQUEST_TIMEOUT`` wins.
    """

    name = "MLflow"

    def __init__(self, uri: str, *, parent: str | None = None, timeout_s: int = 3) -> None:
        self.uri, self.parent, self.timeout_s = uri, parent, timeout_s
        self.remedy = "send it with seq2seq push RUN --mlflow URI"
        self._client: Any = None
        self._runs: dict[Path, str] = {}
        self._sent: dict[Path, int] = {}
        self._sent_until_s: dict[Path, float] = {}

    def send(self, run: Run) -> None:
        """Send parameters, tags and dataset with the first call, and the epochs and updates that were not sent yet."""
        from mlflow.entities import Metric

        identity = self._run(run)
        history = run.history(empty=True)
        began_ms = _milliseconds(run)
        # A point that has value, step and time of one that is there is the same point.
        metrics, seconds = [], 0.0
        for number, row in enumerate(history):
            seconds += row["seconds"]
            if number >= self._sent.get(run.path, 0):
                at = began_ms + round(1000 * seconds)
                step = math.ceil(row["epoch"])  # an epoch that ended early counts as one
                metrics += [Metric(name, value, at, step) for name, value in row.items() if name != "epoch"]
        until_s = self._sent_until_s.get(run.path, 0.0)
        steps = [step for step in read_steps(run.updates) if step.time_s > until_s]
        metrics += [Metric("loss_of_updates", step.loss, round(1000 * step.time_s), step.update) for step in steps]
        for part in _parts(metrics, _METRICS):
            self._client.log_batch(identity, metrics=part, synchronous=True)
        self._sent[run.path] = len(history)
        self._sent_until_s[run.path] = steps[-1].time_s if steps else until_s

    def finish(self, run: Run, status: str) -> None:
        """Send the evaluation, the picture and the samples, and close the run."""
        from mlflow.entities import Metric

        identity = self._run(run)
        evaluation = run.evaluation()
        if evaluation is not None:
            scores = evaluation["scores"]["model"]
            if (endings := evaluation.get("endings")) is not None:
                scores = {**scores, "ending_nats_per_piece": endings["model"]}
            found = {f"{evaluation['split']}_{name}": value for name, value in scores.items() if _is_number(value)}
            at = _milliseconds(run)
            metrics = [Metric(name, float(value), at, 0) for name, value in found.items()]
            self._client.log_batch(identity, metrics=metrics, synchronous=True)
        if run.loss_picture.exists():
            self._client.log_artifact(identity, str(run.loss_picture))
        for file in sorted(run.samples.iterdir()) if run.samples.is_dir() else ():
            if file.is_file() and not file.name.startswith("."):
                self._client.log_artifact(identity, str(file), "samples")
        if status == "FINISHED" and not run.finished():
            status = "KILLED"
        self._client.set_terminated(identity, status)

    def push(self, run: Run) -> str:
        """Send all that the folder of a run holds; return MLflow's name for the run.

        Raises
        ------
        RunError
            If the folder cannot be read.
        """
        self.send(run)
        self.finish(run, "FINISHED")
        return self._run(run)

    def _connect(self) -> Any:
        if self._client is None:
            for name, value in _ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(self.timeout_s))
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self.uri)
        return self._client

    def _run(self, run: Run) -> str:
        """Return MLflow's run of a run folder, made and described unless it is there."""
        if run.path not in self._runs:
            client = self._connect()
            experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or Path(run.dataset["path"]).stem)
            tags = {RUN_TAG: _digest(run), **_tags(run)}
            if self.parent is not None:
                parent = self._found_or_made(client, experiment, self.parent, {PARENT_TAG: self.parent}, None)
                tags["mlflow.parentRunId"] = parent
            identity = self._found_or_made(client, experiment, printable(run.name), tags, _milliseconds(run))
            self._describe(client, identity, run)
            self._runs[run.path] = identity
        return self._runs[run.path]

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # made by another in the meantime, or refused
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            raise RunError(
                f"MLflow's experiment {name!r} is deleted: restore it, or name another in MLFLOW_EXPERIMENT_NAME"
            )
        return str(found.experiment_id)

    @staticmethod
    def _found_or_made(client: Any, experiment: str, name: str, tags: dict[str, str], start_ms: int | None) -> str:
        """Return the run that has the first of the tags."""
        key, value = next(iter(tags.items()))
        quoted = value.replace("'", "")
        found = client.search_runs([experiment], f"tags.`{key}` = '{quoted}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        made = client.create_run(experiment, start_time=start_ms, tags={**tags, key: quoted}, run_name=name)
        return str(made.info.run_id)

    @staticmethod
    def _describe(client: Any, identity: str, run: Run) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

        settings = {**run.facts["model"], **run.facts["train"]}
        there = client.get_run(identity).data.params
        # A parameter cannot change; that of a run that was extended is told by a tag.
        parameters = [Param(name, _short(value)) for name, value in settings.items() if name not in there]
        for part in _parts(parameters, _PARAMETERS):
            client.log_batch(identity, params=part, synchronous=True)
        changed = {n: _short(v) for n, v in settings.items() if n in there and there[n] != _short(v)}
        client.log_batch(identity, tags=[RunTag(f"changed.{n}", v) for n, v in changed.items()], synchronous=True)
        data = run.dataset
        name, digest = Path(data["path"]).stem, data["fingerprint"][:36]
        dataset = Dataset(
            name, digest, "local", printable(data["path"]), profile=f'{{"pieces": {int(data["pieces"])}}}'
        )
        client.log_inputs(identity, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _tags(run: Run) -> dict[str, str]:
    facts = run.facts
    tags = {"task": panel_title(run), "dataset": run.dataset["fingerprint"], "grid": str(run.grid)}
    tags.update({name: facts[name] for name in ("host", "backend", "device", "command") if facts.get(name)})
    tags.update({f"version.{name}": version for name, version in facts.get("versions", {}).items()})
    if facts.get("commit"):
        tags["mlflow.source.git.commit"] = facts["commit"]
    return {name: printable(str(value))[:5000] for name, value in tags.items()}


def _digest(run: Run) -> str:
    """Return what tells a run from all others, wherever its folder lies by now."""
    facts = [run.facts.get("began"), run.facts.get("host"), run.dataset["fingerprint"], run.name]
    return sha256("\0".join(map(str, facts)).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _milliseconds(run: Run) -> int:
    return round(1000 * datetime.datetime.fromisoformat(run.facts["began"]).timestamp())


def _short(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text[:_LONGEST] or "none"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parts(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))
