"""Evaluate a run: nats per frame, precision, recall and F1, beside three baselines.

Every frame of every piece of the split is predicted once, from its past alone; docs/evaluation.md is the protocol.
DATA is the dataset that the run was trained on, if not given.

With --samples, music is compared with music instead: pieces drawn from RUN, or the MIDI files of a folder, with the
pieces that the run was not trained on, or with --reference. No RUN is needed for a folder with a reference.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import click

from rollcore import RollcoreError
from rollcore.storage import fetch, published
from seq2seq.cli.options import CONTEXT, bad_usage, json_option
from seq2seq.errors import ConfigError
from seq2seq.run import Run
from seq2seq.training.evaluation import SPLITS, evaluate
from seq2seq.training.startup import import_keras


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("run_dir", metavar="[RUN]", required=False)
@click.argument("data", required=False)
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True, help="Pieces to score.")
@click.option(
    "--hop",
    type=click.IntRange(1),
    help="Frames from window to window.  [default: half the target; all of it for blog]",
)
@click.option("--samples", metavar="N|FOLDER", help="Compare N pieces drawn from RUN, or MIDI files, with real music.")
@click.option("--reference", metavar="DATASET|FOLDER", help="The real music.  [default: held-out pieces of the run's]")
@click.option("--picture", metavar="FILE", help="Draw the comparison of --samples as a PNG file.")
@json_option
def cli(
    run_dir: str | None,
    data: str | None,
    split: str,
    hop: int | None,
    samples: str | None,
    reference: str | None,
    picture: str | None,
    as_json: bool,
) -> None:
    """Print an evaluation."""
    if samples is not None:
        _compare(run_dir, samples, reference or data, picture, as_json)
        return
    if run_dir is None:
        raise click.UsageError("name a RUN, or music with --samples")
    if reference is not None or picture is not None:
        raise click.UsageError("--reference and --picture go with --samples")
    local = fetch(run_dir)
    run = Run.open(local)  # a wrong folder shows at once
    import_keras()
    with bad_usage():
        result = evaluate(local, data, split=split, hop=hop)
    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        _print(run_dir, result)
    if result["trained_on_it"] and split == "test":
        try:
            run.keep_evaluation(result)
        except RollcoreError as error:  # such as a run that is mounted to be read
            click.echo(f"not kept in the run: {error}", err=True)


def _print(run_dir: str, result: dict[str, Any]) -> None:
    """Print an evaluation as tables."""
    from seq2seq.output.tables import endings_line
    from seq2seq.training.metrics import score_table, voice_table

    model = result["scores"]["model"]
    click.echo(
        f"{run_dir}, {result['split']} split of {result['data']}: "
        f"{model['frames']:,} frames of {model['pieces']} pieces, windows {result['hop']} frames apart"
    )
    click.echo(score_table(result["scores"]))
    if "voices" in model:
        click.echo(f"\n{voice_table(model['voices'], result['given_others'])}")
    if result["endings"] is not None:
        click.echo(f"\n{endings_line(result['endings'])}")
    if not result["trained_on_it"]:
        click.echo("another dataset than that of the training: the model may have been trained on some of these pieces")


def _compare(run_dir: str | None, samples: str, reference: str | None, picture: str | None, as_json: bool) -> None:
    """Print a comparison of music with music."""
    from seq2seq.training.samples import evaluate_samples, samples_table

    try:
        with contextlib.nullcontext() if picture is None else published(picture) as local:
            found = evaluate_samples(
                int(samples) if samples.isdecimal() else samples,
                None if run_dir is None else fetch(run_dir),
                reference,
                picture=local,
            )
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    click.echo(json.dumps(found, indent=1) if as_json else samples_table(found))
