"""How music comes back to what it has played: the temperature follows the echo, and phrases return.

No constant temperature fits a model that hears an echo: cool, it goes round in circles; warm, it forgets its tune. So
it is cooler while a phrase returns that was played some bars ago, and warmer where nothing moves. And no echo tells
that a phrase is about to begin again, since what went before it the first time was something else: so at the beginning
of a phrase it is drawn whether it returns, as often as phrases of the training data do, and the echo is told. A phrase
that does not may have the rhythm of one before, as often as in the training data: a frame that strikes a note where
that one did not, or none where it did, is drawn again.

What stands still for longer than it does in the training data is not echoed, and no note is held for longer than those
of the training data.

How cool is fitted to each model beside its validation pieces, see `seq2seq.sampling.fitting`; `Phrasing.cool` is what
it begins with, and what stays where there are too few of them. The other constants were chosen beside the tunes that
the models were trained on, 96 and 120 of Nottingham: no other piece had a part in it. `warm` is not fitted: beside the
validation pieces of Nottingham and POP909, 1.3 is right for both. The share of frames that change is 0.35 and 0.76, in
samples as in the pieces; with 1.0 it is 0.29 and 0.64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.errors import ConfigError
from seq2seq.sampling.endings import Metre
from seq2seq.sampling.tonality import Keys

#: Frames that tell whether the music moves.
RECENT = 8
#: Bars after which a phrase may come again, in the order in which they are asked.
RETURNS = (8, 16, 4)
#: Bars after which a rhythm may come again with other notes, in the order in which they are asked.
RHYTHMS = (4, 8, 2, 1)
#: Bars of a phrase at most.
PHRASE = 8


@dataclass(frozen=True)
class Phrasing:
    """How what was played comes again, for models that have an echo.

    `rhythms`, `held`, `leaps` and `keys` are for music around no melody: particles do not pass on what they go by.

    Attributes
    ----------
    cold
        What the temperature is multiplied by in a phrase of which it was drawn that it returns.
    cool
        What the temperature is multiplied by while another phrase returns: the echo has a run of at least `run` frames,
        and at least `moving` of the last `RECENT` frames were unlike the one before.
    warm
        The same while the music stands still: at most `still` of them were.
    run, moving, still
        See above.
    bar
        Frames of a bar; None where there are none.
    near
        An echo of so many bars ago, or less, is not a phrase that returns.
    longest
        What stands unchanged for so many frames is not echoed any more: the echo of a chord that is held is that it
        goes on.
    returns
        Pairs of bars, out of `RETURNS`, and the probability that a phrase of so many bars, `PHRASE` at most, is the one
        of so many bars ago. The echo is told so at every bar line of the phrase.
    rhythms
        Pairs of bars, out of `RHYTHMS`, and the probability that a phrase of so many bars that does not return has the
        rhythm of the one so many bars ago.
    held
        A note that was held for so many frames is struck again or ends; None for no limit.
    reach
        The lowest and the highest pitch that music from nothing, or from a primer within them, plays; None for any.
    leaps
        How often the top line leaps, see `seq2seq.sampling.line`; nothing where it may as the model likes.
    pull
        What is added in the last bar to the logits of the tonic, where keys are kept to.
    keys
        The keys that a piece may be in, which it keeps to, see `seq2seq.sampling.tonality`; None where it may leave its
        key as the model likes.
    """

    cool: float = 0.8
    warm: float = 1.3
    cold: float = 0.5
    run: int = 3
    moving: int = 2
    still: int = 1
    bar: int | None = None
    near: float = 2.0
    longest: int = 32
    returns: tuple[tuple[int, float], ...] = ()
    rhythms: tuple[tuple[int, float], ...] = ()
    held: int | None = None
    reach: tuple[int, int] | None = None
    leaps: tuple[float, ...] = ()
    pull: float = 0.0
    keys: Keys | None = None

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        factors = self.cold, self.cool, self.warm
        if not (min(factors) > 0 and max(factors) <= 4 and self.run >= 1 and self.still < self.moving):
            raise ConfigError(f"phrasing {self}: expected factors above 0 and up to 4, and still below moving")

    def factors(
        self,
        match: npt.NDArray[np.int64],
        lags: npt.NDArray[np.int64],
        changes: npt.NDArray[np.int64],
        told: npt.NDArray[np.bool_],
        unchanged: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Return the factor of each output, from run and lag of its echo and how many recent frames changed.

        *told* are the outputs whose echo is of a phrase that is to return; *unchanged* is for how many frames nothing
        has changed: beyond `longest`, the music grows as much warmer.
        """
        far = lags > self.near * (self.bar or 0)
        factor = np.where((match >= self.run) & (changes >= self.moving) & far, self.cool, 1.0)
        factor = np.where(told, self.cold, np.where(changes <= self.still, self.warm, factor))
        return np.where(unchanged > self.longest, self.warm * unchanged / self.longest, factor)

    def told(
        self, frame: int, lags: npt.NDArray[np.int64], chances: Callable[[], npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.int64]:
        """Return, at a bar line, the lag at which each output is to repeat what it played, or 0.

        Parameters
        ----------
        frame
            The frame that begins with the bar line.
        lags
            What was returned at the bar line before; it holds until the phrase is over.
        chances
            Returns a random number for each output.
        """
        return self._drawn(self.returns, frame, lags, chances)

    def rhythm_told(
        self, frame: int, lags: npt.NDArray[np.int64], chances: Callable[[], npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.int64]:
        """Return, at a bar line, the lag at which each output is to repeat its rhythm, or 0; as `told` does."""
        return self._drawn(self.rhythms, frame, lags, chances)

    def _drawn(
        self,
        table: tuple[tuple[int, float], ...],
        frame: int,
        lags: npt.NDArray[np.int64],
        chances: Callable[[], npt.NDArray[np.float64]],
    ) -> npt.NDArray[np.int64]:
        assert self.bar is not None
        number, lags = frame // self.bar, lags.copy()
        for bars, probability in table:
            length = min(bars, PHRASE)
            if number % length:
                continue
            lags[lags == bars * self.bar] = 0
            if number >= bars:
                lags = np.where((chances() < probability) & (lags == 0), bars * self.bar, lags)
        return lags


def find_returns(pieces: Sequence[tuple[npt.NDArray[np.uint8], Metre]]) -> tuple[tuple[int, float], ...]:
    """Return for each of `RETURNS` how often phrases of *pieces* return, as `Phrasing` takes it.

    A phrase returns where at least half of its bars are those of so many bars ago, note for note. Those that return
    after the bars asked before are not counted with the later ones.
    """
    found = dict.fromkeys(RETURNS, 0)
    asked = dict.fromkeys(RETURNS, 0)
    for rows, metre in pieces:
        if metre.bar is None:
            continue
        bars = _bars(rows[metre.upbeat :], metre.bar)
        returned = np.zeros(len(bars), bool)
        for lag in RETURNS:
            length = min(lag, PHRASE)
            for first in range(-(-lag // length) * length, len(bars) - length + 1, length):
                if returned[first]:
                    continue
                asked[lag] += 1
                same = sum(bars[number] == bars[number - lag] for number in range(first, first + length))
                if 2 * same >= length:
                    found[lag] += 1
                    returned[first : first + length] = True
    # Of few phrases little is known.
    return tuple((lag, round(found[lag] / (asked[lag] + 1), 4)) for lag in RETURNS)


def find_rhythms(pieces: Sequence[tuple[npt.NDArray[np.uint8], Metre]]) -> tuple[tuple[int, float], ...]:
    """Return for each of `RHYTHMS` how often bars of *pieces* have the rhythm of so many bars ago, but not its notes.

    Bars that have the notes of one of `RETURNS` bars ago, or the rhythm of the bars asked before, are not counted.
    """
    found = dict.fromkeys(RHYTHMS, 0)
    asked = dict.fromkeys(RHYTHMS, 0)
    for rows, metre in pieces:
        if metre.bar is None:
            continue
        body = rows[metre.upbeat :]
        bars, rhythms = _bars(body, metre.bar), _bars(struck_frames(body), metre.bar)
        for number, rhythm in enumerate(rhythms):
            if any(number >= lag and bars[number] == bars[number - lag] for lag in RETURNS):
                continue
            for lag in RHYTHMS:
                if number >= lag:
                    asked[lag] += 1
                    if rhythm == rhythms[number - lag]:
                        found[lag] += 1
                        break
    return tuple((lag, round(found[lag] / (asked[lag] + 1), 4)) for lag in RHYTHMS)


def _bars(frames: npt.NDArray[Any], bar: int) -> list[bytes]:
    """Return the whole bars of *bar* frames, each as bytes: equal where the bars are."""
    return [frames[first : first + bar].tobytes() for first in range(0, len(frames) - bar + 1, bar)]


def struck_frames(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return in which frames of rows ``(frames, planes, 16)`` a note begins."""
    if rows.shape[1] > 1:
        return np.asarray(rows[:, 1::2].any(axis=(1, 2)))
    before = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    return np.asarray((rows & ~before).any(axis=(1, 2)))
