"""The command ``export``: a dataset for other tools."""

from __future__ import annotations

import click

from rollcore.cli.options import CONTEXT
from rollcore.console import printable
from rollcore.storage import published


@click.command(context_settings=CONTEXT)
@click.argument("dataset")
@click.option("--parquet", metavar="DIR", help="Write Parquet files, one row a piece, to the folder DIR.")
@click.option("--npz", metavar="DIR", help="Write NumPy's .npz files to the folder DIR.")
def export(dataset: str, parquet: str | None, npz: str | None) -> None:
    """Write DATASET as files that other tools read: one for each split, train, validation and test.

    The rows stay packed, 16 bytes for a frame of a plane; docs/format.md says which bit is which pitch.
    """
    if parquet is None and npz is None:
        raise click.UsageError("name a folder: --parquet DIR or --npz DIR", click.get_current_context())
    from rollcore.export import export_npz, export_parquet

    for folder, write in ((parquet, export_parquet), (npz, export_npz)):
        if folder is not None:
            with published(folder) as local:
                sizes = {path.name: path.stat().st_size for path in write(dataset, local)}
            for name, size in sizes.items():
                click.echo(printable(f"{folder.rstrip('/')}/{name}: {size / 1e6:,.1f} MB"))
