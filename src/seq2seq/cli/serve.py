"""Serve a model: a page with a form to ask for music, and JSON for programs.

MODEL is a run folder, a file such as model.safetensors, or a model that comes with the package. Programs POST
JSON to /compose. Ctrl-C ends it.
"""

from __future__ import annotations

import click

from rollcore import RollcoreError
from rollcore.console import printable
from rollcore.storage import fetch
from seq2seq.cli.options import CONTEXT


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("model", metavar="MODEL")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    metavar="N",
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on. 0.0.0.0 lets other machines in; there is no password.",
)
def cli(model: str, port: int, host: str) -> None:
    """Serve a model."""
    from seq2seq.deploy.server import MusicServer
    from seq2seq.sampling.generator import Generator

    generator = Generator.load(fetch(model))
    try:
        server = MusicServer(generator, host, port)
    except OSError as error:
        raise RollcoreError(f"{host}:{port}: cannot listen there: {error.strerror or error}: try --port 0") from error
    with server:
        click.echo(printable(f"{generator.name}: {server.address} (Ctrl-C ends)"))
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended")
