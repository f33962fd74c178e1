"""The run folder: what is read, refused, locked and put in place, without any framework."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing

import pytest

from rollcore import Grid
from seq2seq.errors import RunError
from seq2seq.models.config import ModelConfig, TrainConfig
from seq2seq.run import COLUMNS, VALIDATION, Run, best_epoch, out_of_patience, trunk

FACTS = {
    "model": ModelConfig(model="seq2seq").to_dict(),
    "train": dataclasses.asdict(TrainConfig(epochs=3)),
    "dataset": {
        "path": "a.h5",
        "fingerprint": "f" * 16,
        "grid": {"unit": "seconds", "rate": "30000/1001"},
        "planes": ["sounding"],
        "options": {},
        "pieces": 2,
    },
}


def row(epoch, loss=1.0):
    return {**dict.fromkeys(COLUMNS, 0.5), "epoch": float(epoch), "validation_nats_per_frame": loss}


def write(path):
    path.write_bytes(b"model")


@pytest.fixture
def kept(tmp_path):
    """A run with one epoch."""
    run = Run(tmp_path / "run", json.loads(json.dumps(FACTS)))
    with run.alone():
        run.keep(write, [row(1)], weights=write, first=True)
    return run


def test_what_is_kept_is_read(kept):
    again = Run.open(kept.path)
    assert (again.config, again.settings) == (ModelConfig(model="seq2seq"), TrainConfig(epochs=3))
    assert again.grid == Grid.seconds("30000/1001")
    assert (again.name, again.facts) == ("run", FACTS)
    assert again.history() == [row(1)]
    assert {path.read_bytes() for path in (again.best_model, again.last_model, again.weights)} == {b"model"}
    assert (again.progress(), again.evaluation(), again.finished()) == ({}, None, False)
    assert not list(again.path.glob(".*"))


def test_a_state_that_is_not_the_best_leaves_the_best_alone(kept):
    kept.keep_evaluation({"scores": {}})
    kept.keep(lambda path: path.write_bytes(b"later"), [row(1), row(2, 3.0)], progress={"batches": 4})
    assert kept.best_model.read_bytes() == kept.weights.read_bytes() == b"model"
    assert kept.last_model.read_bytes() == b"later"
    assert kept.progress() == {"batches": 4}
    assert kept.evaluation() == {"scores": {}}
    kept.keep(write, [row(1), row(2), row(3, 0.1)], weights=write)
    assert (kept.progress(), kept.evaluation(), kept.finished()) == ({}, None, True)


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "user"])
@pytest.mark.parametrize("failing", ["save", "weights"])
def test_a_state_that_cannot_be_written_leaves_the_one_before(kept, fault, failing):
    def fail(path):
        path.write_bytes(b"half")
        raise fault

    before = {path.name: path.read_bytes() for path in kept.path.iterdir()}
    callables = {"save": write, "weights": write, failing: fail}
    with pytest.raises((RunError, KeyboardInterrupt)):
        kept.keep(callables["save"], [row(1)], weights=callables["weights"], first=True)
    assert {path.name: path.read_bytes() for path in kept.path.iterdir()} == before


def test_the_first_state_of_a_run_takes_the_place_of_a_former_run(kept):
    kept.samples.mkdir()
    kept.loss_picture.write_bytes(b"old")
    kept.keep_evaluation({})
    facts = {**FACTS, "train": dataclasses.asdict(TrainConfig(epochs=9))}
    Run(kept.path, facts).keep(write, [], weights=write, first=True)
    assert Run.open(kept.path).settings.epochs == 9
    assert Run.open(kept.path).history(empty=True) == []
    assert sorted(path.name for path in kept.path.iterdir()) == [
        "best.keras",
        "config.json",
        "last.keras",
        "metrics.csv",
        "model.safetensors",
    ]


def _try(path, answers):
    try:
        with Run(path, FACTS).alone():
            answers.put("alone")
    except RunError as error:
        answers.put(str(error))


def test_a_folder_is_for_one_training_at_a_time(tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with Run(tmp_path / "runs" / "run", FACTS).alone():
        process = context.Process(target=_try, args=(tmp_path / "runs" / "run", answers))
        process.start()
        assert "another training is writing it" in answers.get(timeout=60)
        process.join()
    _try(tmp_path / "run", answers)
    assert answers.get(timeout=60) == "alone"
    assert list(tmp_path.iterdir()) == [], "folders that stayed empty are removed"


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("")
    for place in (tmp_path / "run", tmp_path / "run" / "inner"):
        with pytest.raises(RunError, match="is a file or lies in one"), Run(place, FACTS).alone():
            pass


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        "[]",
        "{}",
        *(
            json.dumps({**FACTS, "dataset": {**FACTS["dataset"], name: 5}})
            for name in ("path", "fingerprint", "grid", "options")
        ),
        json.dumps({**FACTS, "dataset": {**FACTS["dataset"], "grid": {"unit": "beats", "rate": "1/0"}}}),
        json.dumps({**FACTS, "model": []}),
        json.dumps({**FACTS, "model": {**FACTS["model"], "low": 40.5}}),
        json.dumps({**FACTS, "train": {"epochs": 0}}),
        json.dumps({**FACTS, "train": {"nonesuch": 0}}),
    ],
)
def test_a_damaged_configuration_is_told_in_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match="unreadable configuration") as caught:
        Run.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_run(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file", tmp_path / "none"):
        assert not Run.is_at(place)
        with pytest.raises(RunError, match="not a run folder"):
            Run.open(place)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no epoch was completed"),
        (",".join(COLUMNS) + "\n", "no epoch was completed"),
        ("epoch,loss\n1,2\n", "its columns are not epoch, train_nats"),
        (",".join(COLUMNS) + "\n1,x,1,1,1,1,1,1\n", "unreadable"),
        (",".join(COLUMNS) + "\n1,1\n", "unreadable"),
    ],
)
def test_a_damaged_history_is_told(kept, text, said):
    metrics = kept.path / "metrics.csv"
    metrics.unlink() if text is None else metrics.write_text(text)
    with pytest.raises(RunError, match=said):
        kept.history()
    if said.startswith("no epoch"):
        assert kept.history(empty=True) == []


@pytest.mark.parametrize("name", ["progress", "evaluation"])
@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_file_beside_it_is_told(kept, name, text):
    (kept.path / f"{name}.json").write_text(text)
    with pytest.raises(RunError, match="unreadable"):
        getattr(kept, name)()


def test_the_best_epoch_may_be_part_of_one():
    assert best_epoch([row(1, 2.0), row(1.25, 1.5), row(2, 3.0)]) == 1.25
    assert repr(best_epoch([row(1, 2.0)])) == "1"


@pytest.mark.parametrize(
    ("epochs", "led"),
    [
        ((), []),
        ((1, 2, 3), [1, 2, 3]),
        ((1, 2, 3, 4, 3, 4, 5), [1, 2, 3, 4, 5]),
        ((1, 2, 3, 4, 2, 3, 2), [1, 2]),
        ((0.4, 1, 1.5, 1.2, 2), [0.4, 1, 1.2, 2]),
    ],
)
def test_the_epochs_that_led_to_the_latest(epochs, led):
    rows = [{"epoch": epoch, "place": place} for place, epoch in enumerate(epochs)]
    found = trunk(rows)
    assert [row["epoch"] for row in found] == led
    assert [row["place"] for row in found[-1:]] == [len(epochs) - 1] * bool(epochs), "of those that came last"


@pytest.mark.parametrize(
    ("losses", "patience", "over"),
    [
        ([3, 2, 1], 1, False),
        ([3, 2, 2], 1, True),  # as good is no better
        ([3, 2, 2.5], 2, False),
        ([3, 2, 2.5, 2.1], 2, True),
        ([3, 2, 2.5, 1.9], 2, False),
        ([3, 2, 2.5, 2.1], 0, False),
        ([3], 1, False),
        ([], 3, False),
    ],
)
def test_patience_ends(losses, patience, over):
    rows = [{"epoch": float(i + 1), VALIDATION: loss} for i, loss in enumerate(losses)]
    assert out_of_patience(rows, patience) is over


def test_patience_counts_whole_epochs_of_the_latest_course():
    rows = [{"epoch": epoch, VALIDATION: loss} for epoch, loss in [(1, 3), (1.5, 9), (2, 2), (2.5, 9), (3, 1)]]
    assert not out_of_patience(rows, 1)
    # Epochs 2 and 3 were done again, towards another end.
    rows += [{"epoch": 2, VALIDATION: 2.5}, {"epoch": 3, VALIDATION: 2.4}]
    assert not out_of_patience(rows, 1)
    assert out_of_patience([*rows, {"epoch": 4, VALIDATION: 2.4}], 1)
