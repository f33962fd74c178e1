"""Copy a run folder to ADDRESS in storage: az://container/path, s3://, gs:// or hf://.

Credentials come from the environment, as the tools of each service read them. `seq2seq generate ADDRESS` makes music
with the copy.
"""

from __future__ import annotations

import click

from rollcore import RollcoreError
from rollcore.storage import is_remote, publish
from seq2seq.cli.options import CONTEXT
from seq2seq.run import Run


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("run_dir", metavar="RUN")
@click.argument("address")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def cli(run_dir: str, address: str, quiet: bool) -> None:
    """Copy a run."""
    if not is_remote(address):
        raise click.UsageError(f"{address}: expected an address such as az://models/run", click.get_current_context())
    run = Run.open(run_dir)
    if not run.has_model():
        raise RollcoreError(f"{run_dir}: holds no model yet: let an epoch end")
    publish(run_dir, address, quiet=quiet)
    if not quiet:
        click.echo(f"{address}: a copy of {run_dir}")
