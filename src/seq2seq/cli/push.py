"""Send runs to object storage or to an MLflow server.

ADDRESS is where a run is copied to: az://container/path, s3://, gs:// or hf://. `seq2seq generate ADDRESS` makes music
with the copy. Credentials come from the environment, as the tools of each service read them.

An MLflow server receives parameters, metrics, losses of updates, evaluation, pictures and samples, and with --register
the model, which `mlflow models serve` can then serve. A run can be sent again at any time: only what is missing is
added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from rollcore import RollcoreError
from rollcore.storage import is_remote, publish
from seq2seq.cli.options import CONTEXT
from seq2seq.errors import RunError, one_line
from seq2seq.run import Run


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="RUN... [ADDRESS]")
@click.option("--mlflow", "uri", metavar="URI", help="The MLflow server.  [default: MLFLOW_TRACKING_URI]")
@click.option("--register", "model", metavar="NAME", help="MLflow: register the model as a version of NAME.")
@click.option("--alias", metavar="NAME", help="MLflow: give this version an alias, such as champion.")
@click.option("--parent", metavar="NAME", help="MLflow: nest the runs in one of this name.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def cli(
    names: tuple[str, ...], uri: str | None, model: str | None, alias: str | None, parent: str | None, quiet: bool
) -> None:
    """Send runs."""
    context = click.get_current_context()
    address = names[-1] if is_remote(names[-1]) else None
    folders = names if address is None else names[:-1]
    uri = uri or (os.environ.get("MLFLOW_TRACKING_URI") if address is None else None)
    if address is not None and len(folders) != 1:
        raise click.UsageError(f"{address}: an address in storage is that of one run, not of {len(folders)}", context)
    if address is None and uri is None:
        raise click.UsageError("name an address such as az://models/run, or a server with --mlflow URI", context)
    if alias is not None and model is None:
        raise click.UsageError("--alias is for a model that --register names", context)
    if model is not None and len(folders) != 1:
        raise click.UsageError(f"--register is for one run, not for {len(folders)}", context)
    if uri is None and (model is not None or parent is not None):
        raise click.UsageError("--register and --parent are for an MLflow server: name it with --mlflow URI", context)
    runs = [Run.open(folder) for folder in folders]  # a wrong folder shows before anything is sent
    if address is not None:
        if not runs[0].has_model():
            raise RollcoreError(f"{folders[0]}: holds no model yet: let an epoch end")
        publish(folders[0], address, quiet=quiet)
        if not quiet:
            click.echo(f"{address}: a copy of {folders[0]}")
    if uri is not None:
        for run in runs:
            for line in _log(run, uri, parent, model, alias):
                if not quiet:
                    click.echo(line)


def _log(run: Run, uri: str, parent: str | None, model: str | None, alias: str | None) -> Iterator[str]:
    """Send a run to an MLflow server; say what has been done."""
    from mlflow.exceptions import MlflowException

    from seq2seq.training.mlflow_mirror import MlflowMirror

    mirror = MlflowMirror(uri, parent=parent, timeout_s=60)
    try:
        identity = mirror.push(run)
        yield f"{run.path}: {len(run.history(empty=True))} epochs are in MLflow's run {identity}"
        if model is not None:
            from seq2seq.deploy.registry import register

            number = register(run, identity, uri, model, alias)
            yield f"models:/{model}/{number}: the model of {run.path}" + (f", @{alias}" if alias else "")
    except (MlflowException, OSError) as error:
        raise RunError(f"{run.path}: not sent: {one_line(error)}") from error
