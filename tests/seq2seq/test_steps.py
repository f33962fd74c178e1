"""The losses of updates: which are noted, that they stay few, and how they are kept."""

import itertools

import pytest

from seq2seq import steps
from seq2seq.errors import RunError
from seq2seq.steps import Step, Steps, read_steps


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr(steps.time, "time", lambda: now[0])
    return now


def test_a_step_is_the_mean_of_the_updates_since_the_one_before(clock, tmp_path):
    found = Steps()
    total = 0.0
    for update, loss in enumerate([8.0, 6.0, 4.0, 2.0], start=1):  # an update takes 0.6 s
        total += loss
        found.note(update, update, total / update)
        clock[0] += 0.6
    found.begin(0, 0.0)  # another epoch
    clock[0] += 1
    found.note(5, 1, 1.5)
    assert found.found == [Step(1, 8.0, 1000.0), Step(3, 5.0, 1001.2), Step(5, 1.5, 1003.4)]
    found.write(tmp_path / "updates.csv")
    assert read_steps(tmp_path / "updates.csv") == found.found
    assert (tmp_path / "updates.csv").read_text().splitlines()[:2] == ["update,loss,time_s", "1,8.000000,1000.000"]


def test_an_epoch_goes_on_where_it_was_left(clock):
    found = Steps([Step(2, 7.0, 900.0)])
    found.begin(2, 7.0)
    found.note(4, 4, 5.0)  # (7 + 7 + 3 + 3) / 4
    assert found.found == [Step(2, 7.0, 900.0), Step(4, 3.0, 1000.0)]


def test_there_are_never_too_many(clock, monkeypatch):
    monkeypatch.setattr(steps, "MOST", 8)
    found = Steps()
    for update in range(1, 101):
        found.note(update, update, 1.0)
        clock[0] += 1
        assert len(found.found) <= 8
    numbers = [step.update for step in found.found]
    assert len(numbers) >= 4
    assert numbers == sorted(numbers)
    gaps = [after - before for before, after in itertools.pairwise(numbers)]
    assert max(gaps) <= 2 * min(gaps), "they cover the training evenly"


@pytest.mark.parametrize("text", ["", "a,b\n", "update,loss,time_s\nx,1,2\n", "update,loss,time_s\n1,2\n"])
def test_what_is_unreadable_is_told(tmp_path, text):
    assert read_steps(tmp_path / "none.csv") == []
    (tmp_path / "updates.csv").write_text(text)
    with pytest.raises(RunError, match=r"updates\.csv: unreadable"):
        read_steps(tmp_path / "updates.csv")
