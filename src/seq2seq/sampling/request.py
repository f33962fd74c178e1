"""What is asked of a generator: the length, what the music continues, chance, and what may sound."""

from __future__ import annotations

import numbers
import os
from dataclasses import dataclass
from typing import Any

import rollcore
from seq2seq.errors import ConfigError
from seq2seq.output.theory import parse_pitches, range_mask, scale_mask
from seq2seq.sampling.corpus import FASTEST, SLOWEST

_LONGEST_SECONDS = 1e6
#: Frames that may be asked for.
MOST_FRAMES = 2**31 - 1

Source = str | int | os.PathLike[str] | rollcore.Midi


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """A request for music; a wrong value raises `seq2seq.errors.ConfigError`.

    Attributes
    ----------
    bars, frames, seconds
        The length of the new music: one of the three. By default it is the melody's where there is one, and otherwise
        the music goes on until it ends. With *bars* it comes to an end there; *frames* and *seconds* cut it. On the
        musical grid seconds are frames at the tempo, rounded.
    primer
        What to go on from: a MIDI file, a piece of the dataset by name or number, or a `rollcore.Midi`. Without one the
        model begins by itself.
    primer_pitches
        A chord to go on from instead, such as ``"C4 E4 G4"``: a bar of it, or a second.
    primer_frames
        How much of the primer is used, from its beginning. By default all of a MIDI file, and of a piece of the dataset
        as much as the model reads at once.
    include_primer
        Whether the music begins with the primer; the length asked for is that of the new music.
    melody
        A MIDI file or a `rollcore.Midi` whose notes are held while the model plays around them. It begins where the new
        music does. Of a model with voices, the notes of those that *hold* names are held, rests included.
    hold
        The voice that the melody is of, or several with commas between; the other voices are played around it. A file
        without a track of any voice is that voice as a whole.
    num_outputs
        How many compositions, each with random numbers of its own.
    candidates
        Each is the best of so many: the one whose figures and measures are nearest to those of the training data. By
        default 4 where the music ends by itself, 8 with `bars`, if the model knows the measures, else 1.
    temperature
        Divides the logits: below 1 is more careful, 0 takes what is likeliest.
    phrasing
        Whether phrases return as those of the training data do, and the temperature follows the echo: see
        `seq2seq.sampling.phrasing`. For models that have an echo.
    part_writing
        Whether music in parts avoids parallel fifths and octaves, wide leaps and notes out of range as the training
        data do, and nothing sounds above a melody: see `seq2seq.sampling.parts`.
    top_p
        The nucleus of each yes-or-no question; see `seq2seq.sampling.sampler`.
    seed
        The same seed gives the same music.
    tempo_bpm
        Quarter notes per minute; that of the melody, the primer or the training data by default, else 120.
    time_signature
        Beats in a bar and the note value of a beat; that of the melody, the primer or the training data by default.
    scale, pitch_range, max_polyphony
        What may sound, such as ``"A minor"``, ``"C2:C6"`` and 4.
    flat
        Whether all notes have one velocity, instead of accents by metre and voice.
    """

    bars: int | None = None
    frames: int | None = None
    seconds: float | None = None
    primer: Source | None = None
    primer_pitches: str | None = None
    primer_frames: int | None = None
    include_primer: bool = False
    melody: str | os.PathLike[str] | rollcore.Midi | None = None
    hold: str | None = None
    num_outputs: int = 1
    candidates: int | None = None
    temperature: float = 1.0
    phrasing: bool = True
    part_writing: bool = True
    top_p: float = 1.0
    seed: int = 0
    tempo_bpm: float | None = None
    time_signature: tuple[int, int] | None = None
    scale: str | None = None
    pitch_range: str | None = None
    max_polyphony: int | None = None
    flat: bool = False

    def __post_init__(self) -> None:
        """Refuse what no model could answer."""
        if sum(length is not None for length in (self.bars, self.frames, self.seconds)) > 1:
            raise ConfigError("give the length in bars, in frames or in seconds, not in two of them")
        if self.bars is not None and self.melody is not None:
            raise ConfigError(
                "music around a melody is as long as the melody, or cut after frames or seconds, not bars"
            )
        if self.primer is not None and self.primer_pitches is not None:
            raise ConfigError("give a primer or the pitches of one, not both")
        if self.hold is not None and self.melody is None:
            raise ConfigError("hold names the voice of a melody: give a melody, too")
        for name in ("bars", "frames", "primer_frames", "max_polyphony"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1, MOST_FRAMES)
        _whole("num_outputs", self.num_outputs, 1, MOST_FRAMES)
        if self.candidates is not None:
            _whole("candidates", self.candidates, 1, 1000)
        _whole("seed", self.seed, 0, None)
        for name, value in (("seconds", self.seconds), ("tempo_bpm", self.tempo_bpm)):
            if value is not None and not _is_number(value):
                raise ConfigError(f"{_words(name)} must be a number, not {value!r}")
        if self.seconds is not None and not 0 < self.seconds < _LONGEST_SECONDS:
            raise ConfigError(f"seconds must be above 0 and below {_LONGEST_SECONDS:,.0f}, not {self.seconds:g}")
        if not _is_number(self.temperature) or not self.temperature >= 0:
            raise ConfigError(f"temperature must be a number that is not negative, not {self.temperature}")
        if not _is_number(self.top_p) or not 0 < self.top_p <= 1:
            raise ConfigError(f"top-p must be above 0 and at most 1, not {self.top_p}")
        if self.tempo_bpm is not None and not SLOWEST <= self.tempo_bpm <= FASTEST:
            raise ConfigError(f"tempo must be {SLOWEST} to {FASTEST} beats per minute, not {self.tempo_bpm:g}")
        self._check_music()

    def _check_music(self) -> None:
        """Refuse what is not spelled as music is."""
        for name in ("primer_pitches", "scale", "pitch_range", "hold"):
            if not isinstance(getattr(self, name), str | None):
                raise ConfigError(f"{_words(name)} must be text, not {getattr(self, name)!r}")
        if not isinstance(self.primer, str | numbers.Integral | os.PathLike | rollcore.Midi | None):
            raise ConfigError(f"primer must be a file, a piece or a rollcore.Midi, not {type(self.primer).__name__}")
        if not isinstance(self.melody, str | os.PathLike | rollcore.Midi | None):
            raise ConfigError(f"melody must be a file or a rollcore.Midi, not {type(self.melody).__name__}")
        if self.time_signature is not None:
            try:
                beats, value = self.time_signature
                known = rollcore.is_time_signature(beats, value)
            except (TypeError, ValueError):
                known = False
            if not known:
                shown = "/".join(map(str, self.time_signature)) if isinstance(self.time_signature, tuple) else "that"
                raise ConfigError(f"time signature must be beats and a power of two up to 256, not {shown}")
        if self.primer_pitches is not None:
            parse_pitches(self.primer_pitches)
        if not self.allowed().any():
            raise ConfigError("scale and pitch range leave no pitch to play")

    def allowed(self) -> Any:
        """Return which of the 128 pitches scale and range leave, ``(128,) bool``."""
        import numpy as np

        allowed = np.ones(128, bool)
        if self.scale is not None:
            allowed &= scale_mask(self.scale)
        if self.pitch_range is not None:
            allowed &= range_mask(self.pitch_range)
        return allowed


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value


def _whole(name: str, value: object, least: int, most: int | None) -> None:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < least or (most is not None and int(value) > most):  # type: ignore[call-overload]
        raise ConfigError(f"{_words(name)} must be a whole number of at least {least}, not {value}")


def _words(name: str) -> str:
    return name.removesuffix("_bpm").replace("_", " ")
