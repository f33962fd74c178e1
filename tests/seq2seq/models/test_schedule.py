"""The learning rate, beside the formula worked out in plain Python."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.models.schedule import Schedule


def rate(step, peak, updates):
    warm = max(1, updates // 20)
    if step < warm:
        return peak / 20 + (peak - peak / 20) * step / warm
    return peak * 0.5 * (1 + math.cos(math.pi * min(1, (step - warm) / max(1, updates - warm))))


def test_it_is_the_formula():
    schedule = Schedule(0.004, 200)
    for step in (0, 5, 9, 10, 11, 60, 199, 200, 300):
        assert float(schedule(step)) == pytest.approx(rate(step, 0.004, 200), abs=1e-9)
    assert Schedule.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_an_extended_run_begins_again():
    """A run of 2 epochs of 20 updates that becomes one of 9 went from 0 to 0.0037 with one update."""
    first, second, whole = Schedule(0.004, 40), Schedule(0.004, 180, 40), Schedule(0.004, 180)
    for step in (40, 41, 46, 47, 100, 179):
        assert float(second(step)) == pytest.approx(rate(step - 40, 0.004, 140), abs=1e-9)
    assert float(second(40)) == pytest.approx(0.0002)
    parts = sum(float(first(step)) for step in range(40)) + sum(float(second(step)) for step in range(40, 180))
    assert parts == pytest.approx(sum(float(whole(step)) for step in range(180)), rel=0.01)
