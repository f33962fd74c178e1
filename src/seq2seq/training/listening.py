"""Music of a run as it learns: a few short pieces at each epoch that is the best so far."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

from rollcore import RollcoreError
from rollcore.files import whole_file
from seq2seq.output.composition import Composition
from seq2seq.run import Run, make_folder
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request

SECONDS = 20.0
_TABLE = "figures.csv"


def write_samples(run: Run, epoch: int, count: int) -> str:
    """Write music of the best model so far to the samples of its run, and return its figures as a line.

    The files are ``epoch-003-1.mid`` and so on; a line of figures.csv has the figures of each.

    Raises
    ------
    RollcoreError
        If the model cannot be read, or the files cannot be written.
    """
    compositions = Generator.load(run.path).compose(Request(seconds=SECONDS, num_outputs=count, seed=run.settings.seed))
    make_folder(run.samples)
    rows = []
    for composition in compositions:
        name = f"epoch-{epoch:03d}-{composition.number}"
        composition.score.write(run.samples / f"{name}.mid")
        figures = dataclasses.asdict(composition.figures)
        rows.append({"sample": name, **figures, "remarks": "; ".join(composition.remarks())})
    try:
        _append(run.samples / _TABLE, rows)
    except OSError as error:
        raise RollcoreError(f"{run.samples}: cannot be written: {error.strerror or error}") from error
    return _line(compositions[0])


def _append(path: Path, rows: list[dict[str, object]]) -> None:
    """Add rows to a table; rows of the same names there make way."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            names = {row["sample"] for row in rows}
            kept = csv.DictReader(file)
            if kept.fieldnames == list(rows[0]):
                writer.writerows(row for row in kept if row["sample"] not in names)
    writer.writerows(rows)
    with whole_file(path) as new:
        new.write(text.getvalue().encode())


def _line(composition: Composition) -> str:
    found, training = composition.figures, composition.training
    text = (
        f"sample: {found.notes} notes, {found.density:.2f} a {composition.unit} ({training.density:.2f} in training), "
        f"{found.polyphony:.1f} at once ({training.polyphony:.1f})"
    )
    return "; ".join([text, *composition.remarks()])
