"""Music of a run as it learns: its files, and a table of their figures."""

from __future__ import annotations

import csv
import shutil

import pytest

from rollcore import RollcoreError, read_midi
from seq2seq.run import Run
from seq2seq.training.listening import write_samples


def test_each_best_epoch_makes_music(told):
    run = Run.open(told.path)
    best, lowest = [], float("inf")
    for row in run.history():
        if row["validation_nats_per_frame"] < lowest:
            lowest = row["validation_nats_per_frame"]
            best += [f"epoch-{int(row['epoch']):03d}-{number}" for number in (1, 2)]
    assert sorted(path.stem for path in run.samples.glob("*.mid")) == best
    lines = (run.samples / "figures.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["sample", *best]
    notes = lines[0].split(",").index("notes")
    assert [int(line.split(",")[notes]) for line in lines[1:]] == [
        len(read_midi(run.samples / f"{name}.mid").notes) for name in best
    ]
    assert told.text.count("sample: ") == len(best) // 2


@pytest.fixture
def untrained(untrained_run, tmp_path):
    """A run folder with a model and without samples."""
    folder = tmp_path / "run"
    shutil.copytree(untrained_run, folder)
    return Run.open(folder)


def table(run):
    with open(run.samples / "figures.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_epochs_add_to_the_table_and_an_epoch_that_comes_again_takes_its_place(untrained):
    line = write_samples(untrained, 1, 2)
    first = table(untrained)
    assert [row["sample"] for row in first] == ["epoch-001-1", "epoch-001-2"]
    assert line.startswith(f"sample: {first[0]['notes']} notes, ")
    write_samples(untrained, 12, 1)
    write_samples(untrained, 1, 2)
    rows = table(untrained)
    assert [row["sample"] for row in rows] == ["epoch-012-1", "epoch-001-1", "epoch-001-2"]
    assert rows[1:] == first, "the seed is that of the run"
    assert rows[0] == {**first[0], "sample": "epoch-012-1"}
    for row in rows:
        midi = read_midi(untrained.samples / f"{row['sample']}.mid")
        assert len(midi.notes) == int(row["notes"])


def test_a_table_of_other_columns_is_begun_anew(untrained):
    untrained.samples.mkdir()
    (untrained.samples / "figures.csv").write_text("sample,notes\nepoch-001-1,9\n")
    write_samples(untrained, 2, 1)
    assert [row["sample"] for row in table(untrained)] == ["epoch-002-1"]


def test_what_cannot_be_written_is_told(untrained):
    (untrained.samples / "figures.csv").mkdir(parents=True)
    with pytest.raises(RollcoreError, match=r"samples: cannot be written: Is a directory"):
        write_samples(untrained, 1, 1)
