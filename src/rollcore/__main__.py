"""`python -m rollcore` is the command `rollcore`."""

from rollcore.cli import command

command()
