"""The page of one run: it says what its folder and its dataset say, and what is missing."""

import json
import re

import numpy as np
import pytest

from fake_runs import losses, write_run
from rollcore import open_dataset
from seq2seq.output.player import Piece
from seq2seq.output.report_page import dataset_of, report_page
from seq2seq.run import Run
from small_dataset import write_dataset

EVALUATION = {
    "split": "test",
    "data": "songs.h5",
    "scores": {
        name: {"nats_per_frame": nats, "nats_per_frame_by_piece": None, "precision": 0.5, "recall": 0.25, "f1": f1}
        for name, nats, f1 in (("model", 1.2345, 0.7), ("unigram", 9.8765, 0.1))
    },
    "endings": {"model": 2.514, "mean_length": 5.3},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_dataset(tmp_path_factory.mktemp("data")))


def relocated(run, dataset):
    """Make a run one of a dataset that is there."""
    facts = json.loads((run.path / "config.json").read_text())
    facts["dataset"] |= {"path": str(dataset.path), "fingerprint": dataset.fingerprint, "pieces": len(dataset)}
    (run.path / "config.json").write_text(json.dumps(facts))
    return Run.open(run.path)


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text())[1])


def text(page):
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def test_a_report_says_what_the_run_says(tmp_path, dataset):
    run = relocated(write_run(tmp_path / "a", losses(7, 1.8), train={"epochs": 9}, evaluation=EVALUATION), dataset)
    page = report_page(run, dataset_of(run), [])
    said = text(page)
    for words in (
        "epochs 7 of 9, 3.5 minutes",
        f"best validation {losses(7, 1.8)[-1][1]:.4f} nats per frame, epoch 7",
        "model 1.234 - 0.500 0.250 0.700 unigram 9.877 - 0.500 0.250 0.100",
        "Where pieces end, beside their frames: 2.51 nats a piece; from the mean length of training pieces",
        "There is no sample.",
        "units 64",
    ):
        assert words in said
    for name in ("train", "validation", "test"):
        split = dataset.pieces[dataset.split(name)]
        assert f"{name} {len(split)} {split['microseconds'].sum() / 3.6e9:.2f} {split['notes'].sum():,}" in said
    assert json.loads(re.search(r'id="data">(.*?)</script>', page)[1])["curve"]["epochs"] == list(range(1, 8))


def test_pitches_are_counted_one_by_one(tmp_path, dataset):
    run = relocated(write_run(tmp_path / "a"), dataset)
    counts = dict.fromkeys(range(128), 0)
    for piece in dataset.split("train"):
        for row in dataset.rows(int(piece))[:, 0]:
            for pitch in range(128):
                counts[pitch] += int(row[pitch // 8]) >> (pitch % 8) & 1
    page = report_page(run, dataset_of(run), [])
    found = re.findall(r'title="([A-G][#b]?-?\d): ([\d,]+)"', page)
    low = min(pitch for pitch in counts if counts[pitch])
    assert [int(count.replace(",", "")) for _, count in found] == [counts[low + k] for k in range(len(found))]
    assert sum(counts.values()) == sum(counts[low + k] for k in range(len(found)))
    lengths = re.findall(r'title="[\d.]+ to [\d.]+ minutes: (\d+)"', page)
    assert sum(map(int, lengths)) == len(dataset.split("train"))


def test_what_is_missing_is_said(tmp_path, dataset):
    run = write_run(tmp_path / "a")
    assert dataset_of(run) is None
    said = text(report_page(run, None, [], remark="the primer is empty"))
    for words in ("No epoch is complete yet", "was not evaluated yet", "not at hand", "the primer is empty"):
        assert words in said
    # Another dataset at the place of the run's is not its data.
    other = relocated(run, dataset)
    (other.path / "config.json").write_text(
        (other.path / "config.json").read_text().replace(dataset.fingerprint, "0" * 32)
    )
    assert dataset_of(Run.open(other.path)) is None


def test_names_do_not_become_markup(tmp_path):
    run = write_run(tmp_path / "<b>a", dataset="<i>")
    page = report_page(run, None, [Piece("<img src=x>", np.empty((0, 5)), 1.0)], remark="<u>")
    assert not re.search(r"<(b|i|u|img)[ >]", page)
