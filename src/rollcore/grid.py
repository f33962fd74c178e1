"""The two time grids: absolute time (frames per second) and musical time (steps per beat)."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from rollcore.errors import RollcoreError

MAX_MINUTES = 480
"""Longest piece that is read by default: longer than any opera or evening-filling string quartet."""

MAX_TEMPO_BPM = 1000
"""On the beat grid a piece may hold `MAX_MINUTES` at this tempo: a broken tempo map cannot ask for more."""

# The kernels count time in 62 bits, in units of which a second has up to 32767 x 10^6.
_MAX_SECONDS = 10**8
_MAX_FRAMES = 2**31 - 2
_MAX_TERM = 10**6


@dataclass(frozen=True)
class Grid:
    """How time is cut into frames.

    Parameters
    ----------
    unit
        ``"seconds"`` (absolute time) or ``"beats"`` (quarter notes).
    rate
        Frames per second, or steps per beat: a positive fraction whose terms are at most 1,000,000.

    Raises
    ------
    RollcoreError
        If the unit is unknown or the rate is not such a fraction.

    Examples
    --------
    >>> str(Grid.seconds(50)), str(Grid.beats(4))
    ('50 fps', '4 steps per beat')
    >>> Grid.seconds("30000/1001").rate
    Fraction(30000, 1001)
    """

    unit: Literal["seconds", "beats"]
    rate: Fraction

    def __post_init__(self) -> None:
        if self.unit not in ("seconds", "beats"):
            raise RollcoreError(f"grid unit {self.unit!r}: expected 'seconds' or 'beats'")
        if not isinstance(self.rate, numbers.Rational):
            raise RollcoreError(f"grid rate {self.rate!r}: expected a fraction; Grid.{self.unit} takes other numbers")
        if not 0 < self.rate.numerator <= _MAX_TERM or self.rate.denominator > _MAX_TERM:
            shown = str(self.rate) if len(str(self.rate)) < 40 else "out of range"
            raise RollcoreError(
                f"grid rate {shown}: expected a positive number, as a fraction with terms up to {_MAX_TERM:,}"
            )

    @classmethod
    def seconds(cls, fps: int | float | str | Fraction = 50) -> Grid:
        """Absolute time: `fps` frames per second."""
        return cls("seconds", _fraction(fps, "frames per second"))

    @classmethod
    def beats(cls, steps_per_beat: int | float | str | Fraction = 4) -> Grid:
        """Musical time: `steps_per_beat` frames per quarter note."""
        return cls("beats", _fraction(steps_per_beat, "steps per beat"))

    def __str__(self) -> str:
        return f"{self.rate} fps" if self.unit == "seconds" else f"{self.rate} steps per beat"

    def limits(self, max_minutes: float) -> tuple[int, int]:
        """Return the longest piece in (whole seconds, rounded up, and whole beats).

        Raises
        ------
        RollcoreError
            If `max_minutes` is not positive, more than three years, or so long that frames could not be counted in
            31 bits.
        """
        if not isinstance(max_minutes, numbers.Real):
            raise RollcoreError(f"longest piece of {max_minutes!r} minutes: expected a number")
        if not max_minutes > 0:
            raise RollcoreError(f"longest piece of {max_minutes} minutes: expected more than 0")
        if max_minutes * 60 > _MAX_SECONDS:
            raise RollcoreError(f"longest piece of {max_minutes:g} minutes: expected at most {_MAX_SECONDS // 60:,}")
        seconds = math.ceil(round(max_minutes * 60, 6))
        beats = max(1, seconds * MAX_TEMPO_BPM // 60)
        longest = (seconds if self.unit == "seconds" else beats + 4) * self.rate  # with the phase, and rounded up
        if longest > _MAX_FRAMES:
            raise RollcoreError(
                f"longest piece of {max_minutes:g} minutes at {self}: more than 2^31 frames; choose a smaller one"
            )
        return seconds, beats


def _fraction(value: int | float | str | Fraction, what: str) -> Fraction:
    try:
        # A power of ten is worked out in full: 1e999999999 would take for ever.
        text = str(value)
        if isinstance(value, bool) or len(text) > 40 or abs(int(text.lower().partition("e")[2] or 0)) > 40:
            raise ValueError
        if not isinstance(value, numbers.Real) or isinstance(value, numbers.Rational):
            return Fraction(value)
        # A float goes through its shortest decimal: 12.5 and 29.97 are meant exactly. Where that is long, as that of
        # 16000 / 384, it is the fraction it was worked out from, if there is a short one but for rounding errors.
        exact, short = Fraction(text), Fraction(float(value)).limit_denominator(_MAX_TERM)
        return short if exact.denominator > _MAX_TERM and math.isclose(short, value, rel_tol=1e-15) else exact
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise RollcoreError(f"{what} {value!r}: expected a number such as 50, 12.5 or 30000/1001") from error


def choose_grid(
    fps: int | float | str | Fraction | None = None,
    steps_per_beat: int | float | str | Fraction | None = None,
    grid: Grid | None = None,
) -> Grid:
    """Return the grid that one of three exclusive options names; 4 steps per beat when none is given."""
    given = [
        name for name, value in (("fps", fps), ("steps_per_beat", steps_per_beat), ("grid", grid)) if value is not None
    ]
    if len(given) > 1:
        raise RollcoreError(f"{' and '.join(given)} are both given: choose one grid")
    if grid is not None:
        if not isinstance(grid, Grid):
            raise RollcoreError(f"grid {grid!r}: expected a Grid, such as Grid.beats(4)")
        return grid
    if fps is not None:
        return Grid.seconds(fps)
    return Grid.beats(4 if steps_per_beat is None else steps_per_beat)
