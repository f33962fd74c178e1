"""Train a run for each combination of some settings, and compare them.

Runs that are finished are left as they are, those that were stopped are resumed, and one that fails does not keep the
others from being trained. Ctrl-C ends the sweep in order; the same command goes on with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from rollcore import RollcoreError
from rollcore.console import INTERRUPTED, printable
from rollcore.storage import fetch, is_remote, is_there
from seq2seq.cli.compare import print_comparison
from seq2seq.cli.options import CONTEXT, bad_usage
from seq2seq.cli.train import check_unchanged, given_settings
from seq2seq.cli.train import cli as train_command
from seq2seq.errors import RunError
from seq2seq.run import Run
from seq2seq.training.progress import Interruption
from seq2seq.training.sweep import Job, failed, plan_jobs, run_commands


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("data")
@click.option(
    "--set",
    "sets",
    multiple=True,
    required=True,
    metavar="NAME=VALUE,...",
    help="An option of seq2seq train without its dashes, and its values, such as epochs=10,50. Can be repeated.",
)
@click.option(
    "-o", "--run-dir", "--output", metavar="DIR", help="Where the run folders are.  [default: runs/sweep-NAME]"
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs to train side by side.")
@click.option("--mlflow", metavar="URI", help="Also log to an MLflow server, nested in a run named as the folder.")
@click.option("-q", "--quiet", is_flag=True, help="Do not show the progress of each training.")
def cli(data: str, sets: tuple[str, ...], run_dir: str | None, jobs: int, mlflow: str | None, quiet: bool) -> int:
    """Train what is not trained yet, then compare."""
    import rollcore

    place = run_dir.rstrip("/") if run_dir else os.path.join("runs", f"sweep-{Path(data).stem}")
    folder = Path(place.rpartition("/")[2] if is_remote(place) else place)
    with bad_usage():
        planned = plan_jobs(sets, folder)
    targets = [f"{place}/{job.folder.name}" if is_remote(place) else str(job.folder) for job in planned]
    parsed = [_parse(data, job) for job in planned]
    fingerprint = rollcore.open_dataset(data).fingerprint
    commands, numbers, failures = [], [], {}
    for number, (job, target, params) in enumerate(zip(planned, targets, parsed, strict=True)):
        try:
            more = _what_is_left(target, params, fingerprint)
        except (RollcoreError, click.UsageError) as error:
            failures[number] = error.format_message() if isinstance(error, click.UsageError) else str(error)
            continue
        if more is None:
            click.echo(printable(f"{job.folder.name}: finished"))
            continue
        shown = () if jobs == 1 and not quiet else ("--quiet",)
        logged = (*(() if mlflow is None else ("--mlflow", mlflow)), "--mlflow-parent", folder.name)
        commands.append(["train", data, "--run-dir", target, *job.options, *more, *logged, *shown])
        numbers.append(number)

    def ended(which: int, status: int, said: str) -> None:
        number = numbers[which]
        if failed(status):
            failures[number] = said.removeprefix("error: ") or f"it ended with status {status}"
        done = "failed" if number in failures else "interrupted" if status == INTERRUPTED else "trained"
        click.echo(printable(f"{planned[number].folder.name}: {done}"))

    with Interruption() as interruption:
        run_commands(commands, jobs, interruption, ended, shown=jobs == 1 and not quiet)
    click.echo()
    if trained := [target for target in targets if _copy(target) is not None]:
        print_comparison(trained)
    if interruption.received:
        click.echo(f"interrupted: the same command goes on with {place}")
        return INTERRUPTED
    for number, why in failures.items():
        click.echo(printable(f"failed: {planned[number].folder.name}: {why}"))
    if failures:
        raise RunError(f"{place}: {len(failures)} of {len(planned)} runs failed, for the reasons above")
    return 0


def _parse(data: str, job: Job) -> dict[str, Any]:
    """Return the options of a job as the training reads them, or raise `click.UsageError`."""
    reserved = ("--run-dir", "--output", "--resume", "--overwrite", "--quiet")
    if wrong := [name for name in job.options[::2] if name in reserved]:
        raise click.UsageError(f"{wrong[0]} is not a setting of a run", click.get_current_context())
    try:
        params = train_command.make_context("train", [data, *job.options]).params
    except click.UsageError as error:
        raise click.UsageError(f"--set: {error.format_message()}", click.get_current_context()) from error
    return given_settings(params)


def _copy(target: str) -> Path | None:
    """Return the folder of a run, a copy of it where it is in storage, or None where there is none."""
    if not is_there(target):
        return None
    folder = Path(fetch(target, quiet=True))
    return folder if Run.is_at(folder) else None


def _what_is_left(target: str, given: dict[str, Any], fingerprint: str) -> tuple[str, ...] | None:
    """Return more options of the command that trains a run, or None where it is finished."""
    folder = _copy(target)
    if folder is None:
        return ()
    run = Run.open(folder)
    if run.dataset["fingerprint"] != fingerprint:
        raise RunError("the folder has a run of another dataset: name another --run-dir")
    check_unchanged(folder, given)
    return None if run.finished() else ("--resume",)
