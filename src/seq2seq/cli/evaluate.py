"""Evaluate a run: nats per frame, precision, recall and F1, beside three baselines.

Every frame of every piece of the split is predicted once, from its past alone; docs/evaluation.md is the protocol.
DATA is the dataset that the run was trained on, if not given.
"""

from __future__ import annotations

import json

import click

from seq2seq.cli.options import CONTEXT
from seq2seq.run import Run
from seq2seq.training.evaluation import SPLITS, evaluate
from seq2seq.training.startup import import_keras


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("run_dir", metavar="RUN")
@click.argument("data", required=False)
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True)
@click.option(
    "--hop",
    type=click.IntRange(1),
    help="Frames from window to window.  [default: half the target; all of it for blog]",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def cli(run_dir: str, data: str | None, split: str, hop: int | None, as_json: bool) -> None:
    """Print an evaluation."""
    Run.open(run_dir)  # a wrong folder shows at once
    import_keras()
    result = evaluate(run_dir, data, split=split, hop=hop)
    if as_json:
        click.echo(json.dumps(result, indent=1))
        return
    from seq2seq.training.metrics import score_table

    model = result["scores"]["model"]
    click.echo(
        f"{run_dir}, {split} split of {result['data']}: {model['frames']:,} frames of {model['pieces']} pieces, "
        f"windows {result['hop']} frames apart"
    )
    click.echo(score_table(result["scores"]))
    if not result["trained_on_it"]:
        click.echo("another dataset than that of the training: the model may have been trained on some of these pieces")
