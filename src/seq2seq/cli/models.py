"""List the models that come with the package, or show the card of one: its data, licence, figures and limits.

Any of them is a MODEL for `seq2seq generate`.
"""

from __future__ import annotations

import click

from seq2seq.cli.options import CONTEXT
from seq2seq.errors import ConfigError
from seq2seq.shipped import read_card, shipped_models


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("name", metavar="[NAME]", required=False)
def cli(name: str | None) -> None:
    """Print the list, or a card."""
    if name is None:
        found = shipped_models()
        width = max(map(len, found), default=0)
        for model, summary in found.items():
            click.echo(f"{model:<{width}}  {summary}")
        return
    try:
        click.echo(read_card(name), nl=False)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
