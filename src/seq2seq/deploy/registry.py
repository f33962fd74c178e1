"""Models of runs in MLflow's registry, with versions and aliases."""

from __future__ import annotations

import logging
import warnings
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rollcore
from seq2seq.errors import RunError
from seq2seq.run import Run

# The tag by which a version of a model is found again.
_WEIGHTS_TAG = "seq2seq.weights"
CODE = Path(__file__).parent / "mlflow_music.py"


def register(run: Run, identity: str, uri: str, name: str, alias: str | None) -> int:
    """Register the model of a run, unless the registry has it; return its version.

    MLflow's tracking and registry in this process are those of *uri* from then on.

    Parameters
    ----------
    run
        The run; it must have weights.
    identity
        MLflow's name for the run, which the model belongs to.
    uri
        Address of the server.
    name, alias
        Name of the model in the registry, and an alias that moves to this version.

    Raises
    ------
    RunError
        If the run has no model yet.
    """
    import mlflow

    if not run.weights.is_file():
        raise RunError(f"{run.path}: no weights for sampling: let an epoch end")
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    digest = sha256(run.weights.read_bytes()).hexdigest()[:32]
    number = _found(client, name, digest) or _logged(run, identity, uri, name, client, digest)
    if alias is not None:
        client.set_registered_model_alias(name, alias, str(number))
    return number


def _found(client: Any, name: str, digest: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        versions = client.search_model_versions(f"name = '{name}'")
    except MlflowException:  # a name that it would not take is told when it is registered
        return None
    numbers = [int(one.version) for one in versions if one.tags.get(_WEIGHTS_TAG) == digest]
    return max(numbers, default=None)


def _logged(run: Run, identity: str, uri: str, name: str, client: Any, digest: str) -> int:
    """Log the model and register it as a version."""
    import mlflow

    status = client.get_run(identity).info.status
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        # MLflow warns of type hints of its own, and tells the steps of what was asked for.
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        with warnings.catch_warnings(), mlflow.start_run(run_id=identity):
            warnings.simplefilter("ignore")
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(CODE),
                artifacts={"weights": str(run.weights.resolve())},
                pip_requirements=[
                    f"rollcore=={rollcore.__version__}",
                    f"mlflow-skinny=={version('mlflow-skinny')}",
                    "pandas",
                ],
                registered_model_name=name,
            )
    finally:
        client.set_terminated(identity, status)
    number = int(logged.registered_model_version)
    client.set_model_version_tag(name, str(number), _WEIGHTS_TAG, digest)
    client.set_model_version_tag(name, str(number), "seq2seq.run", run.name)
    return number
