"""Commands that look into a dataset: ``info``, ``report`` and ``verify``."""

from __future__ import annotations

import json

import click

from rollcore.cli.options import CONTEXT, json_option
from rollcore.console import printable
from rollcore.errors import RollcoreError


@click.command(context_settings=CONTEXT)
@click.argument("dataset")
@json_option
def info(dataset: str, as_json: bool) -> None:
    """Show what is inside DATASET."""
    from rollcore.dataset import open_dataset
    from rollcore.show.summary import dataset_facts, dataset_lines

    opened = open_dataset(dataset)
    if as_json:
        click.echo(json.dumps(dataset_facts(opened), indent=2))
        return
    for line in dataset_lines(opened):
        click.echo(line)
    click.echo("\nrollcore report lists the files, rollcore plot draws a piece, rollcore verify checks them all")


@click.command(context_settings=CONTEXT)
@click.argument("dataset")
@json_option
def report(dataset: str, as_json: bool) -> None:
    """List the files DATASET was built from by outcome: skipped and why, repaired and how, read as they are."""
    from rollcore.dataset import open_dataset
    from rollcore.show.summary import file_outcomes, outcome_lines

    listed = file_outcomes(open_dataset(dataset))
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    for line in outcome_lines(listed):
        click.echo(line)


@click.command(context_settings=CONTEXT)
@click.argument("dataset")
def verify(dataset: str) -> None:
    """Compare every table and shard of DATASET with its checksum, and name what is damaged."""
    from rollcore.dataset import open_dataset

    opened = open_dataset(dataset)
    damaged = opened.verify()
    for line in damaged:
        click.echo(line)
    if damaged:
        raise RollcoreError(f"{dataset}: {len(damaged)} of {len(opened.shards)} shards are damaged; build it again")
    click.echo(f"{printable(dataset)}: intact, {len(opened):,} pieces in {len(opened.shards):,} shards")
