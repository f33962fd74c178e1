"""Train a run for each combination of some settings, and compare them.

Runs that are finished are left as they are, those that were stopped are resumed, and one that fails does not keep the
others from being trained. Ctrl-C ends the sweep in order; the same command goes on with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollcore import RollcoreError
from rollcore.console import INTERRUPTED, printable
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

    folder = Path(run_dir) if run_dir else Path("runs") / f"sweep-{Path(data).stem}"
    with bad_usage():
        planned = plan_jobs(sets, folder)
    parsed = [_parse(data, job) for job in planned]
    fingerprint = rollcore.open_dataset(data).fingerprint
    commands, numbers, failures = [], [], {}
    for number, (job, params) in enumerate(zip(planned, parsed, strict=True)):
        try:
            more = _what_is_left(job, params, fingerprint)
        except (RollcoreError, click.UsageError) as error:
            failures[number] = error.format_message() if isinstance(error, click.UsageError) else str(error)
            continue
        if more is None:
            click.echo(printable(f"{job.folder.name}: finished"))
            continue
        shown = () if jobs == 1 and not quiet else ("--quiet",)
        logged = (*(() if mlflow is None else ("--mlflow", mlflow)), "--mlflow-parent", folder.name)
        commands.append(["train", data, "--run-dir", str(job.folder), *job.options, *more, *logged, *shown])
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
    if any(Run.is_at(job.folder) for job in planned):
        print_comparison([job.folder for job in planned if Run.is_at(job.folder)])
    if interruption.received:
        click.echo(f"interrupted: the same command goes on with {folder}")
        return INTERRUPTED
    for number, why in failures.items():
        click.echo(printable(f"failed: {planned[number].folder.name}: {why}"))
    if failures:
        raise RunError(f"{folder}: {len(failures)} of {len(planned)} runs failed, for the reasons above")
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


def _what_is_left(job: Job, given: dict[str, Any], fingerprint: str) -> tuple[str, ...] | None:
    """Return more options of the command that trains a run, or None where it is finished."""
    if not Run.is_at(job.folder):
        return ()
    run = Run.open(job.folder)
    if run.dataset["fingerprint"] != fingerprint:
        raise RunError("the folder has a run of another dataset: name another --run-dir")
    check_unchanged(job.folder, given)
    return None if run.finished() else ("--resume",)
