"""How far the axis of loss curves reaches, and which runs share one."""

import math

import pytest

from fake_runs import losses, write_run
from seq2seq.output.losses import axis_top, losses_of, panel_title, with_gaps
from seq2seq.run import TRAIN, VALIDATION


def curve(*history):
    return losses_of([{"train_nats_per_frame": train, "validation_nats_per_frame": valid} for train, valid in history])


def test_a_diverged_run_does_not_flatten_the_others():
    good, diverged = curve(*losses(12)), curve(*losses(3), *[(300 * 2**k, 400 * 2**k) for k in range(9)])
    assert axis_top([good, diverged]) == pytest.approx(max(good))
    assert axis_top([good, diverged, diverged]) < 5
    assert axis_top([good, curve((math.nan, math.inf))]) == max(good)


def test_all_of_what_is_alike_is_shown():
    assert axis_top([[2.0, 1.6, 1.5], [2.9, 2.6, 2.5]]) == 2.9
    # Most runs are far above the best one: they are not left out.
    assert axis_top([[0.5, 0.4], *[[2.1, 2.0]] * 3]) == 2.1


@pytest.mark.parametrize("curves", [[], [[]], [[math.nan]]])
def test_no_losses_have_an_axis_too(curves):
    assert axis_top(curves) == 1.0


def test_losses_of_other_data_or_another_task_have_another_panel(tmp_path):
    blog = {"model": "blog", "head": "bernoulli"}
    runs = [
        write_run(tmp_path / "a"),
        write_run(tmp_path / "b", model={"units": 32}),
        write_run(tmp_path / "c", model=blog),
        write_run(tmp_path / "d", dataset="other"),
    ]
    titles = [panel_title(run) for run in runs]
    assert titles[0] == titles[1]
    assert len(set(titles)) == 3
    assert titles[2].endswith("a window at once")
    assert titles[3].startswith("other (")


def test_a_line_breaks_where_a_run_went_back():
    rows = [{"epoch": epoch, TRAIN: 2.0, VALIDATION: 3.0} for epoch in (1, 2, 3, 2, 3, 4)]
    found = with_gaps(rows)
    assert [row["epoch"] for row in found] == [1, 2, 3, 3, 2, 3, 4]
    assert [math.isnan(row[VALIDATION]) for row in found] == [False] * 3 + [True] + [False] * 3
    assert with_gaps([]) == []
