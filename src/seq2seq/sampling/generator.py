"""Music from a trained model, without the framework it was trained with.

A `Generator` reads the weights of a run once; `Generator.compose` answers one request after the other, from several
threads if need be, and writes nothing; `Generator.export` writes compositions as files. The same request gives the
same music.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

import rollcore
from rollcore import RollcoreError
from seq2seq.errors import ConfigError, RunError
from seq2seq.models.config import ModelConfig
from seq2seq.models.weights import Arrays, read_weights
from seq2seq.output.composition import Composition
from seq2seq.output.export import Exported, export
from seq2seq.output.figures import degeneration, figures
from seq2seq.output.measures import ends_on_tonic, piece_of
from seq2seq.output.notation import bar_frames, detach, make_score, program_of, without
from seq2seq.output.theory import key_signature
from seq2seq.run import Run
from seq2seq.sampling.corpus import Corpus, metre_of
from seq2seq.sampling.phrasing import RECENT, Phrasing
from seq2seq.sampling.primer import Primer, Source
from seq2seq.sampling.request import MOST_FRAMES, Request
from seq2seq.sampling.sampler import Sampler, Steering
from seq2seq.shipped import shipped_models, weights_path

# Where the model knows no endings.
_DEFAULT_SECONDS = 30.0
# Bars before an end that are drawn so many times more, and bars that new music has at least room for. A model that
# counts down has longer to come to the end.
_CADENCE_BARS, _COUNTDOWN_BARS, _CLOSES, _LEAST_BARS = 2, 4, 15, 8
# Where a larger share of the training pieces ends on the tonic, so does what is drawn; while no draw does, the tonic is
# pulled to more and more.
_OFTEN, _PULLS = 0.5, (0.0, 2.0, 5.0, 12.0)
_DEFAULT_TEMPO_BPM = 120.0
# Pieces that are drawn for each output, where music ends by itself, and where it ends after bars that are asked for.
_CANDIDATES, _CANDIDATES_OF_BARS = 4, 8
# Harmonisations that are drawn side by side to find one.
_PARTICLES = 8

Rows = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Plan:
    """A request with nothing left open: what it continues, how long, and what may sound, ``(128,) bool``."""

    request: Request
    primer: Primer
    melody: Rows | None
    hold: tuple[int, ...]
    frames: int
    tempo_bpm: float
    time_signature: tuple[int, int]
    allowed: npt.NDArray[np.bool_]
    ends: bool
    """Whether the music comes to an end, instead of being cut."""
    candidates: int
    """How many are drawn for each output."""
    cadence: int
    """Frames before the end that are drawn several times over."""


class Generator:
    """Composes with one model; :meth:`load` reads it from a run folder or a file.

    Parameters
    ----------
    config, arrays
        The model and its weights, as `seq2seq.models.weights` has them.
    corpus
        What it was trained on.
    name
        What the outputs are called after.
    data
        The dataset whose pieces a request may name as primers; it is opened when one is named.

    Attributes
    ----------
    warning
        What is wrong with the model, in one line, or None.
    """

    def __init__(
        self, config: ModelConfig, arrays: Arrays, corpus: Corpus, name: str, data: str | os.PathLike[str] | None = None
    ) -> None:
        self.config, self.corpus, self.name = config, corpus, name
        self.warning: str | None = None
        self._source = Source(config, corpus, data)
        self._sampler = Sampler(config, arrays)

    @classmethod
    def load(cls, source: str | os.PathLike[str], data: str | os.PathLike[str] | None = None) -> Generator:
        """Return the generator of a run folder, of a file of `seq2seq.models.weights`, or a model of the package.

        Parameters
        ----------
        source
            A run folder, a ``.safetensors`` file, or, where there is neither, the name of a model that comes with the
            package: see `seq2seq.shipped`.
        data
            The dataset whose pieces a request may name; that of the training by default, where *source* is its run.

        Raises
        ------
        RunError
            If there is no such run or file, or it is damaged.
        """
        path, model = Path(source), None
        if not path.exists() and str(source) in shipped_models():
            path = weights_path(str(source))
        if path.is_file():
            weights, name = path, path.stem
        else:
            run = Run.open(path)
            weights, name, model = run.weights, run.name, run.config
            data = data if data is not None else run.dataset["path"]
        config, arrays, facts = read_weights(weights)
        if model is not None and config != model:
            raise RunError(f"{weights}: not the model that config.json describes: put its own back, or train it again")
        try:
            corpus = Corpus.from_dict(facts)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RollcoreError) as error:
            raise RunError(
                f"{weights}: what it says of its training data is damaged ({error}): train it again"
            ) from error
        found = cls(config, arrays, corpus, name, data)
        found.warning = _judge(facts)
        return found

    def compose(
        self, request: Request | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> list[Composition]:
        """Return new music, ``request.num_outputs`` compositions of it.

        Parameters
        ----------
        request
            What is asked for; one piece from nothing by default. The files that it names are read.
        progress
            Called from time to time, by the threads that draw, with the frames drawn so far and in all.

        Raises
        ------
        ConfigError
            If the request and the model do not fit each other.
        RollcoreError
            If a file or the dataset cannot be used, the primer is empty, or the melody begins too late.
        """
        plan = self._plan(request or Request())
        request, primer, held = plan.request, plan.primer, plan.melody
        drawn = self._draw(plan, progress)
        grid = self.corpus.grid
        score = partial(
            make_score,
            grid=grid,
            tempo_us_per_beat=round(60_000_000 / plan.tempo_bpm),
            time_signature=plan.time_signature,
            key_signature=None if request.scale is None else key_signature(request.scale),
            flat=request.flat,
            programs=[program_of(name) for name in self.config.voices],
        )
        facts, series, one_pitch = self._facts(plan), self._series(request, primer), int(plan.allowed.sum()) == 1
        made = []
        for number, new in enumerate(drawn, start=1):
            before = primer.rows if request.include_primer else primer.rows[:0]
            rows = np.concatenate([before, new]) if len(before) else detach(new)
            made.append(
                Composition(
                    series=series,
                    number=number,
                    rows=rows,
                    primer_frames=len(before),
                    grid=grid,
                    score=score(self._voices(rows, len(before), held)),
                    tempo_bpm=plan.tempo_bpm,
                    primer=primer.name,
                    figures=figures([detach(new)], float(grid.rate)),
                    training=self.corpus.figures,
                    degenerate=degeneration(new, one_pitch=one_pitch),
                    facts=facts,
                    warning=self.warning,
                    voices=self.config.voices,
                )
            )
        return made

    def export(self, compositions: Sequence[Composition], folder: str | os.PathLike[str]) -> Exported:
        """Write compositions of one request as files, and a page of all; see `seq2seq.output.export.export`."""
        return export(compositions, Path(folder))

    def _draw(self, plan: _Plan, progress: Callable[[int, int], None] | None) -> list[Rows]:
        """Return the new music of a plan, the best of the candidates for each output."""
        request = plan.request
        draw = partial(
            self._sampler.sample,
            temperature=request.temperature,
            top_p=request.top_p,
            steering=self._steering(plan),
            phrasing=self._phrasing(plan) if request.phrasing else None,
        )
        outputs = request.num_outputs * plan.candidates
        # Where music goes on until it ends, the end is not known yet. Around a melody it is the melody's.
        closes = plan.ends and (request.bars is not None or plan.melody is not None)
        drawn = draw(
            plan.primer.rows, plan.frames, outputs=outputs, seed=request.seed, progress=progress, closes=closes
        )
        pieces = list(drawn)
        if plan.candidates > 1:
            groups = (pieces[first : first + plan.candidates] for first in range(0, outputs, plan.candidates))
            pieces = [min(group, key=lambda new: self._strangeness(new, plan)) for group in groups]
        return [self._ended(new, plan, number, draw) for number, new in enumerate(pieces)] if plan.ends else pieces

    def _strangeness(self, new: Rows, plan: _Plan) -> tuple[bool, float]:
        """Return whether new music is degenerate, and how far it is from the training data."""
        rate, rows = float(self.corpus.grid.rate), detach(new)
        piece = piece_of("", rows, self.config.planes, rate, plan.time_signature)
        degenerate = degeneration(new, one_pitch=int(plan.allowed.sum()) == 1) is not None
        return degenerate, self.corpus.strangeness(figures([rows], rate), piece)

    def _steering(self, plan: _Plan) -> Steering:
        """Return what may sound; around a melody, as many notes as the training data have parts."""
        request, parts = plan.request, self.corpus.parts if plan.request.part_writing else None
        most = request.max_polyphony
        if most is None and parts is not None and plan.melody is not None:
            most = len(parts.ranges)
        allowed = None if plan.allowed.all() else plan.allowed
        return Steering(allowed, most, plan.melody, plan.hold, parts=parts, particles=_PARTICLES)

    def _phrasing(self, plan: _Plan) -> Phrasing:
        """Return how what was played comes again, in bars of the plan, and the keys that may be kept to.

        A scale that was asked for, and a melody, decide the key themselves.
        """
        bar = bar_frames(self.corpus.grid, plan.time_signature)
        longest, request = max(RECENT, math.ceil(self.corpus.figures.longest_run)), plan.request
        keys = self.corpus.keys if request.scale is None and plan.melody is None else None
        free, corpus = plan.melody is None, self.corpus
        return Phrasing(
            cool=Phrasing.cool if corpus.cool is None else corpus.cool,
            bar=bar,
            longest=longest,
            returns=() if bar is None else corpus.returns,
            rhythms=corpus.rhythms if free and bar is not None else (),
            held=corpus.held if free else None,
            reach=corpus.reach if free and request.pitch_range is None else None,
            leaps=corpus.leaps if free else (),
            keys=keys,
        )

    def _ended(self, new: Rows, plan: _Plan, number: int, draw: Callable[..., Rows]) -> Rows:
        """Return new music with an end: where it is likely to be over, or after the bars that were asked for.

        Its last bars are drawn several times over; the draw is kept after which a piece is likeliest to be over. Where
        most training pieces end on the tonic, that is one of those that do; while there is none, more are drawn, the
        tonic more and more likely.
        """
        endings, request = self.corpus.endings, plan.request
        assert endings is not None
        stream = np.random.SeedSequence([request.seed, number, 1])
        rng = np.random.default_rng(stream)
        metre = metre_of(self.corpus.grid, plan.time_signature)
        whole = np.concatenate([plan.primer.rows, new])
        before, end = len(plan.primer.rows), len(whole)
        if request.bars is None and plan.melody is None:
            end = max(before + 1, endings.draw(whole, metre, before + plan.cadence, rng))
        kept = max(before, end - plan.cadence)
        seed = int(stream.generate_state(1)[0])
        steering = self._steering(plan)
        if plan.melody is not None:
            # There are draws enough to choose from.
            steering = replace(steering, melody=plan.melody[kept - before :], particles=1)
        every, homely = [new[: end - before]], np.zeros(1, bool)
        at_home = plan.melody is None and (self.corpus.home or 0.0) > _OFTEN
        phrasing = self._phrasing(plan) if request.phrasing else None
        for attempt, pull in enumerate(_PULLS):
            closes = draw(
                whole[:kept],
                end - kept,
                outputs=_CLOSES,
                seed=seed + attempt,
                closes=True,
                steering=steering,
                phrasing=None if phrasing is None else replace(phrasing, pull=pull),
            )
            every += [np.concatenate([whole[before:kept], close]) for close in closes]
            homely = np.array([at_home and self._is_home(one, plan) for one in every])
            if homely.any() or not at_home:
                break
        logits = np.array([endings.logits(np.concatenate([plan.primer.rows, one]), metre)[-1] for one in every])
        return every[int(np.argmax(np.where(homely | ~homely.any(), logits, -np.inf)))]

    def _is_home(self, new: Rows, plan: _Plan) -> bool:
        """Return whether new music, after what it continues, ends on the tonic of its key."""
        rows = np.concatenate([plan.primer.rows, detach(new)])
        piece = piece_of("", rows, self.config.planes, float(self.corpus.grid.rate), plan.time_signature)
        return ends_on_tonic(piece) == 1

    def _plan(self, request: Request) -> _Plan:
        """Return a request with all that it leaves open settled, its files read."""
        time_signature, melody, hold = request.time_signature, None, self._hold(request)
        if request.melody is not None:
            melody = self._melody(request, hold)
            time_signature = time_signature or melody.time_signature
        primer = self._source.primer(request, time_signature)
        known = (request.tempo_bpm, None if melody is None else melody.tempo_bpm, primer.tempo_bpm)
        tempo_bpm = float(next((tempo for tempo in known if tempo is not None), _DEFAULT_TEMPO_BPM))
        time_signature = time_signature or primer.time_signature or (4, 4)
        ends = request.frames is None and request.seconds is None and self.corpus.endings is not None
        frames = self._length(request, tempo_bpm, time_signature, len(primer.rows), melody)
        if melody is not None and not melody.rows[:frames, [2 * voice for voice in hold or (0,)]].any():
            raise RollcoreError(
                f"{melody.name}: its first note comes after the {frames:,} frames asked for: ask for more"
            )
        allowed = request.allowed()
        if not allowed[self.config.low : self.config.high + 1].any():
            raise ConfigError(f"scale and pitch range leave none of the model's pitches, {self._source.span}")
        return _Plan(
            request=request,
            primer=primer,
            melody=None if melody is None else melody.rows[:frames],
            hold=hold,
            frames=frames,
            tempo_bpm=tempo_bpm,
            time_signature=time_signature,
            allowed=allowed,
            ends=ends,
            candidates=self._candidates(request, ends),
            cadence=(_COUNTDOWN_BARS if self.config.closing else _CADENCE_BARS) * self._bar(time_signature),
        )

    def _candidates(self, request: Request, ends: bool) -> int:
        """Return how many pieces are drawn for each output; where nothing is asked, several of music with an end."""
        if request.candidates is not None:
            return int(request.candidates)
        if not ends or request.melody is not None or not self.corpus.manners or request.temperature == 0:
            return 1
        return _CANDIDATES if request.bars is None else _CANDIDATES_OF_BARS

    def _hold(self, request: Request) -> tuple[int, ...]:
        """Return the numbers of the voices that a request holds."""
        voices = self.config.voices
        if request.hold is None:
            if voices and request.melody is not None:
                known = ", ".join(voices)
                raise ConfigError(f"the model has the voices {known}: say with hold which of them the melody is")
            return ()
        names = [name.strip() for name in request.hold.split(",")]
        if unknown := [name for name in names if name not in voices]:
            known = f"its voices are {', '.join(voices)}" if voices else "it has none: leave hold out"
            raise ConfigError(f"hold {unknown[0]!r}: not a voice of the model; {known}")
        return tuple(sorted({voices.index(name) for name in names}))

    def _melody(self, request: Request, hold: tuple[int, ...]) -> Primer:
        """Return the melody of a request, all of it."""
        assert request.melody is not None
        melody = self._source.melody(request.melody, request.time_signature, hold)
        held = melody.rows[:, [2 * voice for voice in hold or (0,)]]
        sounding = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(held, axis=(0, 1)), bitorder="little"))
        if sounding[0] < self.config.low or sounding[-1] > self.config.high:
            raise RollcoreError(
                f"{melody.name}: the melody leaves the pitches that the model plays, {self._source.span}: transpose it"
            )
        return melody

    def _bar(self, time_signature: tuple[int, int]) -> int:
        """Return the frames of a bar; on the grid of seconds, and where bars are not whole, those of two beats."""
        return bar_frames(self.corpus.grid, time_signature) or max(1, round(2 * self.corpus.grid.rate))

    def _length(
        self,
        request: Request,
        tempo_bpm: float,
        time_signature: tuple[int, int],
        primer: int,
        melody: Primer | None,
    ) -> int:
        """Return the frames to draw; of music that goes on until it ends, as many as it may have."""
        grid, endings = self.corpus.grid, self.corpus.endings
        if request.frames is not None:
            return int(request.frames)
        if request.bars is not None:
            bar = bar_frames(grid, time_signature)
            if bar is None:
                raise ConfigError(
                    f"bars of {'{}/{}'.format(*time_signature)} are not whole frames at {grid}: give frames"
                )
            if request.bars * bar > MOST_FRAMES:
                raise ConfigError(f"{request.bars:,} bars are more than {MOST_FRAMES:,} frames: ask for fewer")
            return int(request.bars) * bar
        if request.seconds is None and melody is not None:
            return len(melody.rows)
        if request.seconds is None and endings is not None:
            bar = self._bar(time_signature)
            least = _LEAST_BARS * bar
            return -(-max(least, endings.lengths[-1] - primer) // bar) * bar
        seconds = _DEFAULT_SECONDS if request.seconds is None else request.seconds
        rate = grid.rate * (Fraction(tempo_bpm) / 60 if grid.unit == "beats" else 1)
        return max(1, round(Fraction(seconds) * rate))

    def _voices(self, rows: Rows, before: int, melody: Rows | None) -> list[tuple[str, Rows]]:
        """Return names and rows of the voices; a melody begins after *before* frames."""
        if self.config.voices:
            return [(name, rows[:, 2 * voice : 2 * voice + 2]) for voice, name in enumerate(self.config.voices)]
        if melody is None:
            return [("Piano", rows)]
        held = np.zeros_like(rows)
        held[before : before + len(melody)] = melody
        return [("Melody", held), ("Accompaniment", without(rows, held))]

    def _series(self, request: Request, primer: Primer) -> str:
        """Name outputs by what they are made from and how, so that they do not replace those of other requests."""
        words = [
            None if request.primer is None else Path(primer.name).stem,
            request.primer_pitches,
            None if request.melody is None else "harmonize",
            None if request.melody is None else Path(_label(request.melody)).stem,
            None if request.hold is None else f"hold-{request.hold}",
            request.scale,
            request.pitch_range,
            None if request.max_polyphony is None else f"max{request.max_polyphony}",
            None if request.candidates in (None, 1) else f"best-of-{request.candidates}",
            None if request.temperature == 1 else f"t{request.temperature:g}",
            None if request.top_p == 1 else f"p{request.top_p:g}",
            f"seed{request.seed}",
        ]
        return "-".join([self.name, *(_word(word) for word in words if word is not None)])

    def _facts(self, plan: _Plan) -> dict[str, object]:
        """Return how compositions were made, in words."""
        request = plan.request
        return {
            "model": f"{self.config.model}, {self.config.head}, of {self.name}",
            "primer": plan.primer.name,
            "melody": None if request.melody is None else _label(request.melody),
            "voice that it is": request.hold,
            "seed": request.seed,
            "temperature": request.temperature,
            "top-p": request.top_p if request.top_p < 1 else None,
            "scale": request.scale,
            "pitch range": request.pitch_range,
            "notes at once": request.max_polyphony,
            "best of": plan.candidates if plan.candidates > 1 else None,
            "length": f"{_length_in_words(plan)}, {self.corpus.grid}",
            "tempo": "{:g} beats per minute, {}/{}".format(plan.tempo_bpm, *plan.time_signature),
        }


def _length_in_words(plan: _Plan) -> str:
    if plan.request.bars is not None:
        return f"{plan.request.bars:,} bars"
    return "until it ends" if plan.ends and plan.melody is None else f"{plan.frames:,} frames"


def _label(source: Any) -> str:
    return "a MIDI file" if isinstance(source, rollcore.Midi) else os.fspath(source)


def _word(text: str) -> str:
    """Make a short part of a file name; what is lost of a text is told by four digits of its checksum."""
    plain = re.sub(r"[\s:]+", "-", text.strip())
    safe = re.sub(r"[^\w#.-]", "_", plain).encode()[:24].decode(errors="ignore")
    return safe if safe == plain else f"{safe}-{crc32(text.encode('utf-8', 'surrogateescape')) & 0xFFFF:04x}"


def _judge(facts: Mapping[str, Any]) -> str | None:
    """Return what the losses at the training mean for the music, where they are known and bad."""
    loss, unigram = facts.get("validation_nats_per_frame"), facts.get("unigram_nats_per_frame")
    if not isinstance(loss, int | float) or not isinstance(unigram, int | float) or loss <= unigram:
        return None
    return (
        f"the model is worse than counting pitches ({loss:.3f} nats a frame, {unigram:.3f}): its training diverged, or "
        "was too short"
    )
