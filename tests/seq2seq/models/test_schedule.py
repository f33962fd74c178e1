"""The learning rate, beside the formula worked out in plain Python."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.models.schedule import Schedule


def rate(step, peak, updates, restart=0):
    warm = max(1, updates // 20)
    if step < warm:
        found = peak / 20 + (peak - peak / 20) * step / warm
    else:
        found = peak * 0.5 * (1 + math.cos(math.pi * min(1, (step - warm) / max(1, updates - warm))))
    if restart:
        found *= min(1, max(0, (step - restart + 1) / max(1, (updates - restart) // 20)))
    return found


@pytest.mark.parametrize("restart", [0, 40])
def test_it_is_the_formula(restart):
    schedule = Schedule(0.004, 200, restart)
    for step in (0, 5, 9, 10, 11, 39, 40, 41, 45, 48, 60, 199, 200, 300):
        assert float(schedule(step)) == pytest.approx(rate(step, 0.004, 200, restart), abs=1e-9)
    assert Schedule.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_an_extended_run_does_not_jump():
    """A run of 2 epochs of 20 updates that becomes one of 9 went from 0 to 0.0037 with one update."""
    schedule = Schedule(0.004, 180, 40)
    rates = [float(schedule(step)) for step in range(40, 180)]
    assert rates[0] < 0.15 * 0.004
    assert max(rates) > 0.0034
    assert rates.index(max(rates)) == 6  # a twentieth of the 140 updates that are left, and it is climbed
