"""The rollcore command: MIDI files to piano-roll datasets, and looking into them.

A command is imported when it is called: `rollcore --help` loads none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

from rollcore import __version__
from rollcore.cli.options import CONTEXT
from rollcore.console import run_command

# Name, module of `rollcore.cli` and summary of each command, in the order of their use. A command's function has its
# name, with underscores.
COMMANDS = {
    "make-chords": ("make", "Write the sample pack of 156 MIDI files."),
    "build-dataset": ("build", "Read MIDI files into a dataset."),
    "export": ("export", "Write a dataset as Parquet or .npz files."),
    "merge": ("merge", "Join the parts of a build into one dataset."),
    "import-mat": ("make", "Make a dataset of a standard .mat file."),
    "info": ("inspect", "Show what is inside a dataset, or the tracks of a MIDI file."),
    "report": ("inspect", "List the files a dataset was built from, by outcome."),
    "verify": ("inspect", "Check a dataset against its checksums."),
    "plot": ("show", "Draw the piano roll of a MIDI file or a piece."),
    "render": ("show", "Let a MIDI file or a piece be heard: a WAV file."),
}


# Packages that the core does not bring, and how to install each.
EXTRAS = {"matplotlib": "'rollcore[plot]'", "scipy": "'rollcore[mat]'"}


class _Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"rollcore.cli.{COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=_Commands, help=__doc__.partition("\n\n")[0], context_settings=CONTEXT)
@click.version_option(__version__, message="rollcore %(version)s")
def cli() -> None:
    """Hold the commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 (bad data), 2 (bad usage) or 130 (interrupted)."""
    return run_command(cli, argv, "rollcore", EXTRAS)
