"""Train, evaluate, compare and sample models of music over piano-roll datasets.

The commands, each in a module of its own, are imported when they are called: `seq2seq --help` loads none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

import rollcore
from rollcore.console import run_command
from seq2seq.cli.options import CONTEXT

# Name and summary of each command, in the order of their use; `seq2seq.cli.NAME` holds the function `cli`.
COMMANDS = {
    "train": "Train a model on a dataset.",
    "generate": "Make music with a trained model.",
    "evaluate": "Score a run beside baselines.",
    "compare": "Lay runs side by side.",
    "report": "Write a page about one run.",
    "sweep": "Train a run for each combination of settings.",
    "serve": "Serve a model: a page with a form, and JSON.",
    "models": "List the models that come with the package.",
    "push": "Send runs to object storage or to an MLflow server.",
}


# Packages that the core does not bring, and how to install each.
EXTRAS = {
    "keras": "'rollcore[cpu]'",
    "tensorflow": "'rollcore[cpu]'",
    "torch": "'rollcore[torch]'",
    "jax": "jax",
    "matplotlib": "'rollcore[plot]'",
    "mlflow": "'rollcore[mlflow]'",
    "tensorboard": "'rollcore[tensorboard]'",
}


class _Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"seq2seq.cli.{cmd_name}").cli
        found.name = cmd_name  # what documents made from the commands call it
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, help=__doc__.partition("\n\n")[0], context_settings=CONTEXT)
@click.version_option(rollcore.__version__, message="seq2seq %(version)s")
def cli() -> None:
    """Hold the commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `seq2seq`; return 0, 1 on bad data or where no output is music, 2 on bad usage, 130 when interrupted."""
    return run_command(cli, argv, "seq2seq", EXTRAS)


def run_one(name: str, argv: Sequence[str] | None = None) -> int:
    """Run one command under its own name, as `seq2seq-train` does."""
    command: click.Command = import_module(f"seq2seq.cli.{name}").cli
    return run_command(command, argv, f"seq2seq-{name}", EXTRAS)
