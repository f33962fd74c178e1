"""Commands that look into a dataset, or a MIDI file: ``info``, ``report`` and ``verify``."""

from __future__ import annotations

import json

import click

from rollcore.cli.options import CONTEXT, json_option
from rollcore.console import printable
from rollcore.errors import RollcoreError
from rollcore.storage import fetch


@click.command(context_settings=CONTEXT)
@click.argument("source")
@json_option
def info(source: str, as_json: bool) -> None:
    """Show what is inside SOURCE, a dataset or a MIDI file.

    Of a MIDI file the tracks are listed: what --tracks, --channels and --programs choose from.
    """
    local = fetch(source)
    if _is_midi(local):
        from rollcore.midi import read_midi
        from rollcore.show.tracks import midi_facts, midi_lines

        facts = midi_facts(read_midi(local))
        for line in [json.dumps(facts, indent=2)] if as_json else midi_lines(facts):
            click.echo(line)
        return
    from rollcore.dataset import open_dataset
    from rollcore.show.summary import dataset_facts, dataset_lines

    opened = open_dataset(local)
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
    s = "" if len(opened.shards) == 1 else "s"
    click.echo(f"{printable(dataset)}: intact, {len(opened):,} pieces in {len(opened.shards):,} shard{s}")


def _is_midi(path: str) -> bool:
    """Whether a file begins as MIDI files do, or is called as they are and does not begin as datasets do."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError:
        return False
    called = path.lower().endswith((".mid", ".midi", ".kar", ".rmi", ".smf"))
    return head[:4] == b"MThd" or head[8:] == b"RMID" or (called and head[:8] != b"\x89HDF\r\n\x1a\n")
