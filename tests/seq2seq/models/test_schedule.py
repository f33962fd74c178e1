"""The learning rate, beside the formula worked out in plain Python."""

from __future__ import annotations

import pytest

pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.models.schedule import Schedule


def rate(step, peak, updates, level):
    warm = max(1, updates // 20)
    if step < warm:
        return peak / 20 + (peak - peak / 20) * step / warm
    return peak if step < level else peak * max(0, updates - step) / (updates - level)


def test_it_is_the_formula():
    schedule = Schedule(0.004, 200)
    for step in (0, 5, 9, 10, 11, 60, 99, 100, 101, 160, 199, 200, 300):
        assert float(schedule(step)) == pytest.approx(rate(step, 0.004, 200, 100), abs=1e-9)
    late = Schedule(0.004, 200, 180)
    for step in (0, 100, 179, 180, 190, 199, 200):
        assert float(late(step)) == pytest.approx(rate(step, 0.004, 200, 180), abs=1e-9)
    assert Schedule.from_config(late.get_config()).get_config() == late.get_config()


def test_the_length_of_a_training_matters_on_its_last_half_only():
    """So a state from before that can go on as part of a longer training."""
    short, long = Schedule(0.004, 40), Schedule(0.004, 180)
    assert [float(short(step)) for step in range(9, 20)] == [float(long(step)) for step in range(9, 20)]
    assert float(short(21)) < float(long(21)) == float(long(89))


def test_a_training_of_a_few_updates_has_a_state_before_the_rate_comes_down():
    assert [Schedule(0.004, updates).level for updates in (1, 2, 3, 8)] == [1, 1, 2, 4]
    assert float(Schedule(0.004, 1)(0)) > 0
