"""The two grids of time: rates that are fractions, and the longest piece."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import rollcore
from rollcore import Grid, RollcoreError
from rollcore.grid import choose_grid


def test_a_grid_is_made_of_fractions():
    for unit, rate in ("beats", 12.5), ("seconds", "50"):
        with pytest.raises(RollcoreError, match=f"expected a fraction; Grid.{unit} takes"):
            rollcore.Grid(unit, rate)


@pytest.mark.parametrize(
    ("rate", "fraction"),
    [
        (16_000 / 384, "125/3"),
        (44_100 / 512, "11025/128"),
        (1 / 0.023, "1000/23"),
        (30 / 1.001, "30000/1001"),
        (1 / 3, "1/3"),
        (29.97, "2997/100"),
        (23.976, "2997/125"),
        (0.1, "1/10"),
        (np.float32(12.5), "25/2"),
        (np.float64(31.25), "125/4"),
        (np.int64(50), "50"),
    ],
)
def test_a_float_is_the_fraction_that_was_meant(rate, fraction):
    assert Grid.seconds(rate).rate == Fraction(fraction)


def test_one_of_three_options_names_the_grid():
    assert choose_grid() == Grid("beats", Fraction(4))
    assert choose_grid(steps_per_beat="12") == Grid.beats(12)
    assert choose_grid(fps=12.5) == Grid("seconds", Fraction(25, 2))
    assert choose_grid(grid=Grid.seconds(7)) == Grid.seconds(7)
    with pytest.raises(RollcoreError, match="fps and steps_per_beat are both given: choose one grid"):
        choose_grid(fps=50, steps_per_beat=4)


def test_the_longest_piece_in_seconds_and_beats():
    # Half a minute and a bit: seconds are rounded up, and 31 of them have 516.67 beats at 1,000 a minute.
    assert Grid.beats(4).limits(30.1 / 60) == (31, 516)
    assert Grid.seconds(50).limits(480) == (28_800, 480_000)
    # 2^31 - 2 frames are the most: 1,431,655 minutes at 25 fps are 2,147,482,500, one more is 2,147,484,000.
    assert Grid.seconds(25).limits(1_431_655)[0] == 85_899_300
    with pytest.raises(RollcoreError, match=r"1\.43166e\+06 minutes at 25 fps: more than 2\^31 frames"):
        Grid.seconds(25).limits(1_431_656)


@pytest.mark.parametrize("unit", ["bars", "", None])
def test_a_unit_is_seconds_or_beats(unit):
    with pytest.raises(RollcoreError, match="expected 'seconds' or 'beats'"):
        Grid(unit, Fraction(4))
