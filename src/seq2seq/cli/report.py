"""Write a page about one run: its data, loss curves, evaluation beside baselines, and music to hear.

The page is one file that opens in any browser, without a connection. Its music continues the opening of a piece
that the model was not trained on, where the dataset is at hand; samples of the training follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollcore import RollcoreError
from rollcore.console import printable
from rollcore.storage import fetch, published
from seq2seq.cli.options import CONTEXT
from seq2seq.run import Run

if TYPE_CHECKING:
    from rollcore import Dataset
    from seq2seq.output.composition import Composition


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("run_dir", metavar="RUN")
@click.option("-o", "--output", metavar="FILE", help="Where to write the page.  [default: report.html in RUN]")
@click.option("--pieces", type=click.IntRange(0), default=2, show_default=True, help="Pieces to compose for it.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same music.")
def cli(run_dir: str, output: str | None, pieces: int, seed: int) -> None:
    """Write a page."""
    run = Run.open(fetch(run_dir))
    target = output or f"{run_dir.rstrip('/')}/report.html"
    from seq2seq.output.comparison_page import samples
    from seq2seq.output.export import composition_piece
    from seq2seq.output.page import write_document
    from seq2seq.output.report_page import dataset_of, report_page

    dataset, music, remark = dataset_of(run), [], ""
    if pieces and run.weights.exists():
        try:
            music = [composition_piece(composition) for composition in _compose(run, dataset, pieces, seed)]
        except RollcoreError as error:  # the page says why there is no music
            remark = str(error)
    music += samples(run, 20_000)
    with published(target) as local:
        write_document(Path(local), report_page(run, dataset, music, remark=remark))
    click.echo(printable(f"report: {target}"))


def _compose(run: Run, dataset: Dataset | None, pieces: int, seed: int) -> Iterator[Composition]:
    """Compose pieces that go on from openings of the validation split, where there is one."""
    from seq2seq.sampling.generator import Generator
    from seq2seq.sampling.request import Request

    generator = Generator.load(run.path)
    heldout = [] if dataset is None else [int(piece) for piece in dataset.split("validation")]
    for number in range(pieces):
        primer = heldout[(seed + number) % len(heldout)] if heldout else None
        yield generator.compose(Request(primer=primer, include_primer=bool(heldout), seed=seed + number))[0]
