"""Drawing music from a model, frame after frame, under the rules of what may sound.

How a frame is drawn
    Pitch by pitch from the lowest up (or, with the Bernoulli head, each by itself): does it sound, and if it
    did before, is it struck anew? Each is a yes-or-no question. *Temperature* divides its logit; 0 takes the
    likelier answer. *Top-p* keeps its nucleus: where the likelier answer has probability *top_p* or more,
    that is the answer, else both stay as they are. So 0.9 never plays a note of probability under 0.1.

    Where the echo says that the music repeats itself, one temperature does not fit all: what a piece says again it says
    exactly, and where nothing moves it moves on. So the temperature follows the echo, see `seq2seq.sampling.phrasing`.

    More keeps music to its training data. The key, see `seq2seq.sampling.tonality`, and the pitches in reach are added
    to the logits. A frame with a leap too many, see `seq2seq.sampling.line`, or not in the rhythm that returns, is
    drawn again. A note held as long as the longest is struck again or ends.

How it is steered
    Some pitches are imposed: silent ones (outside a scale or a range), sounding ones (a melody). A head
    that goes up from the lowest pitch could not know, below the melody, that the melody will come. So several
    frames are drawn, and one is taken at random with the probability that the model gives to what was imposed
    on it: as the number grows, that is a draw from the model given all that is imposed. *Max polyphony* works
    by drawing again, which favours no register; when every draw has too many notes, the least probable of the
    last draw are dropped. Melody notes are never dropped.

    Music in *parts* keeps to what its training data keep to, see `seq2seq.sampling.parts`: a frame that breaks a rule
    is drawn again, and if all do, one that breaks the fewest is taken. No note is then drawn above a melody.

    One who harmonises a melody reads ahead. So with *particles*, each output is drawn several times side by side; from
    time to time those whose harmony made the melody unlikely give way to copies of those that expected it. As the
    number grows, what is left is a draw from the model given the whole melody (a particle filter: Gordon et al. 1993).

    Where voices have planes of their own, a frame is drawn voice by voice, each given those before it. A voice that is
    held comes first, so the others are drawn given it, and the particles are weighed by how likely it was. Max
    polyphony leaves later voices the room that is left.

How time goes on
    In blocks of the model's ``target_frames``: the encoder reads the last ``input_frames`` frames, the
    decoder carries its state through the block. These are the windows of training, so every probability is
    the one that the model gives in evaluation; the time per block is constant and no memory grows.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.errors import ConfigError
from seq2seq.models.config import ModelConfig
from seq2seq.models.echo import Echoes
from seq2seq.models.weights import Arrays
from seq2seq.sampling import _kernels as kernels
from seq2seq.sampling.line import Line
from seq2seq.sampling.parts import Parts
from seq2seq.sampling.phrasing import RECENT, Phrasing, struck_frames
from seq2seq.sampling.stepping import stepper_of
from seq2seq.sampling.tonality import Tonality

#: Frames drawn to choose one from under a melody, and at most where polyphony is exceeded.
CANDIDATES = 16
#: Frames drawn to choose one from where pitches are masked only, or several particles share the search.
MASKED_CANDIDATES = 4
#: Frames drawn at most until one keeps the rules of the parts.
PARTS_CANDIDATES = 64
# What a broken rule takes from the log-weight of a frame, and of its particle.
_FAULT, _COST = 1e6, 2.0
# What is taken from the logit of a pitch that the training data do not reach.
_BEYOND = 16.0
#: Outputs are drawn in groups of up to so many, each group on a thread: in a larger one, a call of NumPy serves more
#: outputs; in more groups, more cores. Never by the number of cores, on which the last bit of a probability could come
#: to depend.
GROUP = 4


@dataclass(frozen=True, eq=False)
class Steering:
    """What may sound.

    Attributes
    ----------
    allowed
        ``(128,)`` bool, the pitches that may be drawn; None for all. A melody is exempt.
    max_polyphony
        How many pitches may sound at once, the melody's among them; None for any number.
    melody
        Packed rows ``(frames, planes, 16)``, held from the first frame drawn; beyond its end all is free.
    hold
        Of a model with voices, the numbers of those that the melody holds, rests included; the others are drawn around
        them.
    parts
        The rules of music in parts; None for none.
    particles
        How many draws of an output are made around a melody, side by side.
    """

    allowed: npt.NDArray[np.bool_] | None = None
    max_polyphony: int | None = None
    melody: npt.NDArray[np.uint8] | None = None
    hold: tuple[int, ...] = ()
    parts: Parts | None = None
    particles: int = 1

    def __post_init__(self) -> None:
        """Refuse what nothing could obey."""
        if self.max_polyphony is not None and self.max_polyphony < 1:
            raise ConfigError(f"max polyphony must be at least 1, not {self.max_polyphony}")
        if self.allowed is not None and not self.allowed.any():
            raise ConfigError("scale and pitch range leave no pitch to play")


class Sampler:
    """Draws continuations from a model. Several threads may draw from one sampler at once.

    Parameters
    ----------
    config
        The model.
    arrays
        Its weights by name, as `seq2seq.models.weights` has them.
    """

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        self.config = config
        self._stepper = stepper_of(config, arrays)

    def sample(
        self,
        primer: npt.NDArray[np.uint8],
        steps: int,
        *,
        outputs: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
        steering: Steering | None = None,
        phrasing: Phrasing | None = None,
        closes: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Continue a primer.

        Parameters
        ----------
        primer
            Packed rows ``(frames, planes, 16)`` from the beginning of a piece; none at all begins one. The
            model hears the planes and pitches it was trained on.
        steps
            Frames to draw: exactly so many come back.
        outputs
            Continuations, each with random numbers of its own, drawn from *seed* and its place.
        temperature, top_p, seed, steering
            See the module.
        phrasing
            How the temperature follows the echo; by default it is the same throughout.
        closes
            Whether the music is over after *steps*: a model with a countdown is told so.
        progress
            Called from time to time, by the threads that draw, with the frames so far and in all.

        Returns
        -------
        uint8 array of shape (outputs, steps, planes, 16)

        Raises
        ------
        ConfigError
            If an argument is out of range, or the melody leaves the model's pitches.
        """
        if steps < 1 or outputs < 1:
            raise ConfigError(f"steps and outputs must be at least 1, not {steps} and {outputs}")
        if not temperature >= 0:
            raise ConfigError(f"temperature must not be negative, but is {temperature}")
        if not 0 < top_p <= 1:
            raise ConfigError(f"top-p must be above 0 and at most 1, not {top_p}")
        if seed < 0:
            raise ConfigError(f"seed must not be negative, but is {seed}")
        steering = steering or Steering()
        streams = [np.random.SeedSequence(seed, spawn_key=(i,)) for i in range(outputs)]
        particles = steering.particles if steering.melody is not None and temperature > 0 else 1
        states = np.array([stream.generate_state(particles, np.uint64) for stream in streams], np.uint64)
        # Particles of one output are a group of their own.
        groups = list(states) if particles > 1 else np.array_split(states[:, 0], -(-outputs // GROUP))
        size = [1] * len(groups) if particles > 1 else [len(group) for group in groups]
        done = [0] * len(groups)
        stop = threading.Event()

        def draw(number: int) -> npt.NDArray[np.uint8]:
            def go_on(step: int) -> bool:
                done[number] = step * size[number]
                if progress is not None:
                    progress(sum(done), steps * outputs)
                return not stop.is_set()

            # A stepper holds the state of its outputs, so each group has its own while it is drawn.
            stepper = copy.deepcopy(self._stepper)
            drawer = _Drawer(stepper, self.config, steering, groups[number], (float(temperature), float(top_p)))
            drawer.one = particles > 1
            if phrasing is not None and self.config.echo:
                drawer.phrasing = phrasing
            return drawer.continuation(primer, steps, go_on, closes)

        if len(groups) == 1:
            return draw(0)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                return np.concatenate(list(pool.map(draw, range(len(groups)))))
            finally:
                stop.set()  # when interrupted, the pool waits only for the blocks that are being drawn


class _Drawer:
    """Draws the frames of some outputs, one choice among several where something is imposed."""

    def __init__(
        self,
        stepper: Any,
        config: Any,
        steering: Steering,
        states: npt.NDArray[np.uint64],
        how: tuple[float, float],
    ) -> None:
        self._stepper, self._config = stepper, config
        self._limit = steering.max_polyphony
        self._hot, self._top_p = how
        self.phrasing: Phrasing | None = None
        #: Whether the outputs are particles, of which one comes back.
        self.one = False
        self._parts = steering.parts
        self._states = states.copy()
        shape = (len(states), len(config.planes), config.pitches)
        self._hold = steering.hold
        self._voices = (*self._hold, *(voice for voice in range(config.voice_count) if voice not in self._hold))
        self._free = np.full(config.pitches, kernels.FREE, np.uint8)
        if steering.allowed is not None:
            allowed = steering.allowed[config.low : config.high + 1]
            if not allowed.any():
                raise ConfigError("scale and pitch range leave none of the pitches that the model plays")
            self._free[~allowed] = kernels.SILENT
        self._melody = np.zeros((0, *shape[1:]), np.uint8)
        if steering.melody is not None:
            self._melody = unpack(steering.melody, config)
            sounding = [2 * voice for voice in self._hold or (0,)]
            if np.unpackbits(steering.melody[:, sounding]).sum() != self._melody[:, sounding].sum():
                raise ConfigError("the melody leaves the model's pitches: transpose it")
        drawn = (shape[0], shape[1] // config.voice_count, shape[2])
        self._frame = np.zeros(drawn, np.uint8)
        self._logits = np.zeros(drawn, np.float32)
        self._weights = np.zeros(shape[0], np.float64)
        self._noise = np.zeros(shape[0], np.float64)
        self._bias = np.zeros((len(states), config.pitches))
        self._line: Line | None = None
        # Whether something is to be struck in the next frame; -1 where that is open.
        self._rhythm = np.full(len(states), -1, np.int64)
        # For how many frames each note has been held, and which may be held no longer.
        self._age = np.zeros((len(states), config.voice_count, config.pitches), np.int64)
        self._spent = self._age > 0
        # Log-weights: of the frame drawn last, and of all since the particles were last chosen anew.
        self._evidence, self._standing = np.zeros((2, shape[0]))

    def continuation(
        self, primer: npt.NDArray[np.uint8], steps: int, go_on: Callable[[int], bool], closes: bool = False
    ) -> npt.NDArray[np.uint8]:
        """Return the *steps* frames after *primer*, ``(n, steps, planes, 16)``; *go_on* is asked before each block.

        Of particles one comes back, ``n = 1``.
        """
        config, stepper = self._config, self._stepper
        heard, ahead = config.input_frames, config.target_frames
        n, planes, pitches = len(self._states), len(config.planes), config.pitches
        # The frames of one window: those that were read, then the block that is being drawn.
        bits = np.zeros((n, heard + ahead, planes, pitches), np.uint8)
        valid = np.zeros(heard + ahead, bool)
        tail = unpack(primer[-heard:], config)
        if len(tail):
            bits[:, heard - len(tail) : heard] = tail
            valid[heard - len(tail) : heard] = True
        rows = np.zeros((n, len(primer) + steps, planes, 16), np.uint8)
        rows[:, : len(primer)] = primer[:, :planes]
        echoes, kinds = Echoes(rows, config.echo, config.voice_count, config.varied), 1 + config.varied
        echo = np.zeros((n, heard + ahead, kinds * planes, pitches), np.uint8)
        match = np.zeros((n, heard + ahead, kinds * config.voice_count), np.uint8)
        run, lags, returning, unchanged = np.zeros((4, n), np.int64)
        tonality = None
        register = self._register(primer)
        self._bias[:] = register
        if self.phrasing is not None and self.phrasing.keys is not None:
            tonality = Tonality(self.phrasing.keys, primer, self._chances(), config.low, pitches)
        if self.phrasing is not None and self.phrasing.leaps and config.voice_count == 1:
            self._line = Line(self.phrasing.leaps, n)
        struck = np.zeros((n, len(primer) + steps), bool)
        struck[:, : len(primer)] = struck_frames(primer)
        measured = np.zeros(n, np.int64)

        def listen(place: int, told: npt.NDArray[np.int64] | None = None) -> None:
            packed, match[:, place], every = echoes.next(told)
            echo[:, place] = unpack_pitches(packed, config)
            # The music repeats itself as long as the voice does that repeats itself least.
            weakest = match[:, place, : config.voice_count].argmin(axis=1)
            run[:], lags[:] = match[np.arange(n), place, weakest], every[np.arange(n), weakest]

        # The echoes of a long primer's first frames are all written to the same place, which the window soon needs.
        for place in [*[0] * (len(primer) - heard), *range(heard - len(tail), heard)]:
            listen(place)
        for step in range(steps):
            place = heard + step % ahead
            if place == heard:
                if not go_on(step):
                    break
                if step:
                    bits[:, :heard] = bits[:, ahead:].copy()
                    valid[:heard] = valid[ahead:].copy()
                    echo[:, :heard], match[:, :heard] = echo[:, ahead:].copy(), match[:, ahead:].copy()
                left = heard + steps - step if closes else 0
                stepper.read(bits, valid, len(primer) + step - heard, echo, match, left)
            phrasing, temperature = self.phrasing, np.full(n, self._hot)
            frame = len(primer) + step
            told = None
            if phrasing is not None and phrasing.bar is not None and frame % phrasing.bar == 0:
                told = returning = phrasing.told(frame, returning, self._chances)
                measured = phrasing.rhythm_told(frame, measured, self._chances)
            listen(place, told)
            if phrasing is not None:
                over = unchanged >= phrasing.longest
                echo[over, place], match[over, place], run[over] = 0, 0, 0
            stepper.advance(place)
            if phrasing is not None:
                recent = bits[:, max(0, place - RECENT - 1) : place]
                changes = (recent[:, 1:] != recent[:, :-1]).any(axis=(2, 3)).sum(axis=1)
                told_now = (returning > 0) & (lags == returning)
                temperature *= phrasing.factors(run, lags, changes, told_now, unchanged)
            if phrasing is not None and phrasing.rhythms and config.voice_count == 1:
                # A phrase that returns comes in its rhythm.
                like = np.where(returning > 0, returning, measured)
                self._rhythm = np.where(like > 0, struck[np.arange(n), np.maximum(frame - like, 0)], -1)
            if phrasing is not None and tonality is not None:
                pull = phrasing.pull if step >= steps - (phrasing.bar or 0) else 0.0
                self._bias[:] = register + tonality.bias + pull * tonality.tonic
            bits[:, place] = self.draw(bits[:, place - 1, ::2], step, temperature)
            before, now = (np.asarray(bits[:, at, ::2].any(axis=1)) for at in (place - 1, place))
            if tonality is not None:
                tonality.hear(now & (bits[:, place, 1::2].any(axis=1) | ~before), now)
            began = bits[:, place, 1::2] if planes > 1 else bits[:, place] & (1 - bits[:, place - 1])
            struck[:, frame] = began.any(axis=(1, 2))
            if self._line is not None:
                self._line.hear(bits[:, place, 0], began[:, 0])
            if phrasing is not None and phrasing.held is not None and planes > 1:
                self._age = np.where(bits[:, place, ::2] > 0, np.where(began > 0, 1, self._age + 1), 0)
                self._spent = self._age >= phrasing.held
            same = (bits[:, place, ::2] == bits[:, place - 1, ::2]).all(axis=(1, 2))
            unchanged = np.where(same & ~bits[:, place, 1::2].any(axis=(1, 2)), unchanged + 1, 0)
            valid[place] = True
            rows[:, len(primer) + step] = pack(bits[:, place], config)
            if self.one and (chosen := self._survivors()) is not None:
                for array in (bits, rows, echo, match, lags, returning, unchanged):
                    array[:] = array[chosen]
                stepper.follow(chosen)
                echoes.follow(chosen)
        if self.one:
            rows = rows[self._pick(1)]
        return rows[:, len(primer) :]

    def _survivors(self) -> npt.NDArray[np.int64] | None:
        """Return which particles go on in place of which, once their weights have become uneven; else None."""
        self._standing += self._evidence
        shares = np.exp(self._standing - self._standing.max())
        if shares.sum() ** 2 > len(shares) / 2 * (shares**2).sum():
            return None
        chosen = self._pick(len(shares))
        self._standing[:] = 0
        return chosen

    def _pick(self, number: int) -> npt.NDArray[np.int64]:
        """Return *number* particles by their weights: each about as often as its share says."""
        shares = np.exp(self._standing - self._standing.max())
        places = (kernels.uniform(self._states, 0) + np.arange(number)) / number
        found = np.searchsorted(np.cumsum(shares) / shares.sum(), places, side="right")
        return np.asarray(np.minimum(found, len(shares) - 1), np.int64)

    def _chances(self) -> npt.NDArray[np.float64]:
        """Return a random number in [0, 1) for each output."""
        return np.array([kernels.uniform(self._states, n) for n in range(len(self._states))])

    def draw(
        self, before: npt.NDArray[np.uint8], step: int, temperature: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.uint8]:
        """Return the frames ``(n, c, p)`` number *step*; in those before sounded *before* ``(n, voices, p)``."""
        n, _, pitches = before.shape
        frame = np.zeros((n, len(self._config.planes), pitches), np.uint8)
        given = np.zeros(len(self._voices), bool)
        self._evidence[:] = 0
        for voice in self._voices:
            planes = slice(voice * self._frame.shape[1], (voice + 1) * self._frame.shape[1])
            if len(self._voices) > 1:
                self._stepper.turn_to(voice, frame, given)
            if voice in self._hold and step < len(self._melody):
                frame[:, planes] = self._impose(self._melody[step, planes])
            else:
                limit = None if self._limit is None else self._limit - frame[:, ::2].sum(axis=(1, 2), dtype=np.int64)
                frame[:, planes] = self._draw_voice(voice, before[:, voice], step, temperature, limit)
            given[voice] = True
        return frame

    def _impose(self, held: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return *held* ``(c, p)``, the voice that the stepper has turned to; the particles are weighed by it."""
        if self.one:
            n = len(self._states)
            sounding = np.where(held[-1] > 0, kernels.STRUCK, kernels.HELD)
            rules = np.tile(np.where(held[0] > 0, sounding, kernels.SILENT).astype(np.uint8), (n, 1))
            how = np.zeros(self._bias.shape), np.ones(n), 1.0, self._states, np.ones(n, bool)
            self._stepper.draw(self._logits, np.ones_like(rules), rules, *how, self._frame, self._weights)
            self._evidence += self._weights
        return held

    def _register(self, primer: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Return what is added to the logits of the pitches, ``(p,)``, so that those out of reach are not played."""
        config = self._config
        if self.phrasing is None or self.phrasing.reach is None:
            return np.zeros(config.pitches)
        low, high = self.phrasing.reach
        heard = np.flatnonzero(np.unpackbits(primer[:, ::2], axis=-1, bitorder="little").any(axis=(0, 1)))
        if len(heard):
            low, high = min(low, heard[0]), max(high, heard[-1])
        places = np.arange(config.low, config.low + config.pitches)
        return np.where((places < low) | (places > high), -_BEYOND, 0.0)

    def _draw_voice(
        self,
        voice: int,
        before: npt.NDArray[np.uint8],
        step: int,
        temperature: npt.NDArray[np.float64],
        limit: npt.NDArray[np.int64] | None,
    ) -> npt.NDArray[np.uint8]:
        """Return the voice that the stepper has turned to, of which at most *limit* ``(n,)`` pitches may sound."""
        n = len(before)
        rules, may_hold = self._free.copy(), before * ~self._spent[:, voice]
        melody = self._melody[:0] if self._hold else self._melody
        if step and step <= len(melody):
            # A note of the melody is not held on by another voice: that would join two notes into one.
            may_hold &= 1 - melody[step - 1, 0]
        if step < len(melody):
            sounding = melody[step, 0] > 0
            rules[sounding] = kernels.HELD
            rules[melody[step, -1] > 0] = kernels.STRUCK
            limit = None if limit is None else np.maximum(limit, int(sounding.sum()))
            if self._parts is not None and sounding.any():
                above = np.flatnonzero(sounding)[-1] + 1
                rules[above:] = kernels.SILENT
        everywhere = np.broadcast_to(rules, may_hold.shape).copy()
        todo = np.ones(n, bool)
        best, chosen = np.full(n, -np.inf), np.zeros_like(self._frame)
        # How many draws there are to choose from; without chance all are the same.
        enough = 1
        if self._hot > 0 and rules.any():
            enough = CANDIDATES if (rules > kernels.SILENT).any() and not self.one else MASKED_CANDIDATES
        most = 1 if self._hot == 0 else CANDIDATES if self._parts is None else PARTS_CANDIDATES
        imposed = np.full(n, -np.inf)
        for count in range(1, most + 1):
            how = self._bias, temperature, self._top_p, self._states
            self._stepper.draw(self._logits, may_hold, everywhere, *how, todo, self._frame, self._weights)
            score = np.zeros(n)
            if enough > 1:
                kernels.gumbel(self._states, self._noise)
                score = self._weights + self._noise
            if count <= enough:
                imposed = np.logaddexp(imposed, self._weights)
            if limit is not None:
                score[self._frame[:, 0].sum(axis=1) > limit] = -np.inf
            if self._parts is not None:
                score -= _FAULT * self._faults(self._parts, before, todo)
            score -= _FAULT * self._unlike(before)
            better = todo & (score > best)
            chosen[better], best[better] = self._frame[better], score[better]
            if count >= enough:
                todo = best < -_FAULT / 2
                if not todo.any():
                    break
        faults = np.where(np.isfinite(best), np.round(-best / _FAULT), 0)
        self._evidence += imposed - np.log(enough) - _COST * faults
        for i in np.flatnonzero(best == -np.inf):
            assert limit is not None
            kernels.thin(self._logits[i], rules, max(0, int(limit[i])), self._frame[i])
            chosen[i] = self._frame[i]
        return chosen

    def _unlike(self, before: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return what the frame just drawn is refused for, ``(n,)``: a leap too many, another rhythm than that told."""
        began = self._frame[:, -1] if self._frame.shape[1] > 1 else self._frame[:, 0] & (1 - before)
        found = ((self._rhythm >= 0) & (began.any(axis=1) != self._rhythm)).astype(np.int64)
        if self._line is not None:
            found += self._chances() < self._line.reluctance(self._frame[:, 0], began)
        return np.asarray(found, np.int64)

    def _faults(
        self, parts: Parts, before: npt.NDArray[np.uint8], todo: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """Return how many rules of the parts the frame just drawn breaks in each output of *todo*, ``(n,)``."""
        found = np.zeros(len(before), np.int64)
        for i in np.flatnonzero(todo):
            notes = (np.flatnonzero(sounding) + self._config.low for sounding in (before[i], self._frame[i, 0]))
            found[i] = parts.faults(*notes)
        return found


def unpack(rows: npt.NDArray[np.uint8], config: Any) -> npt.NDArray[np.uint8]:
    """Return packed rows ``(…, planes, 16)`` as the 0/1 frames ``(…, c, p)`` that a model knows."""
    return unpack_pitches(rows[..., : len(config.planes), :], config)


def unpack_pitches(rows: npt.NDArray[np.uint8], config: Any) -> npt.NDArray[np.uint8]:
    """Return packed rows ``(…, 16)`` as bits ``(…, p)``, those of the pitches that a model knows."""
    bits = np.unpackbits(rows, axis=-1, bitorder="little")
    return np.ascontiguousarray(bits[..., config.low : config.high + 1])


def pack(frames: npt.NDArray[np.uint8], config: Any) -> npt.NDArray[np.uint8]:
    """Return frames ``(…, c, p)`` of a model as packed rows ``(…, c, 16)``."""
    bits = np.zeros((*frames.shape[:-1], 128), np.uint8)
    bits[..., config.low : config.high + 1] = frames
    return np.packbits(bits, axis=-1, bitorder="little")
