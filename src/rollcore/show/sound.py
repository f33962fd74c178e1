"""Music to listen to: a WAV file of a piece, from a few decaying partials a note.

Enough to hear what a model made or what a dataset holds, without a synthesiser: no instruments, no pedals.
"""

from __future__ import annotations

import functools
import math
import os
import wave
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rollcore.errors import RollcoreError
from rollcore.files import whole_file
from rollcore.midi import Midi, check_midi

__all__ = ["write_wav"]

_Samples: TypeAlias = "NDArray[np.float32]"

SAMPLE_RATE = 32_000
MAX_HOURS = 18  # 4 GiB of samples are a little more
# A tone lasts so long at most, a block is twice that: what a block begins ends in the next.
_TONE = 4 * SAMPLE_RATE
_BLOCK = 2 * _TONE
_RELEASE = SAMPLE_RATE // 16
_ATTACK_SECONDS = 0.004
_PARTIALS = 8
_DRUMS = 9
_BASS_DRUMS = (35, 36)
_LOUDNESS = 0.5  # of one note at full velocity, before the limiter


def write_wav(midi: Midi, target: str | os.PathLike[str] | BinaryIO, *, seconds: float = 0) -> None:
    """Write what a piece sounds like as a WAV file: one channel, 16 bits, 32,000 samples a second.

    Every note is a struck string of eight partials at most, channel 10 a thump or a burst of noise; instruments and
    pedals are not heard. The file begins with tick 0 and ends with the last note, or with the rest behind it.

    Parameters
    ----------
    midi
        The piece. Equal pieces give equal bytes on one machine.
    target
        A path that ends in ``.wav``, replaced when the sound is whole, or a file open for writing in binary mode.
    seconds
        How long the sound is at least: a MIDI file does not say how long the rest at its end is.

    Raises
    ------
    TypeError
        If `midi` is no `Midi`.
    RollcoreError
        If the piece has no notes, values that no file can hold, or more than 18 hours, or a path cannot be written.

    Examples
    --------
    >>> import io, wave
    >>> from rollcore import Midi
    >>> file = io.BytesIO()
    >>> write_wav(Midi.from_notes([(0, 480, 60, 80, 0, 0)]), file)
    >>> wave.open(io.BytesIO(file.getvalue())).getparams()[:4]
    (1, 2, 32000, 18000)
    """
    if not isinstance(midi, Midi):
        raise TypeError(f"a sound is of a rollcore.Midi, as read_midi returns it, not of a {type(midi).__name__}")
    if isinstance(target, str | os.PathLike) and not os.fspath(target).lower().endswith(".wav"):
        raise RollcoreError(f"{os.fspath(target)}: sounds are WAV files; name it so that it ends in .wav")
    check_midi(midi)
    if not len(midi.notes):
        raise RollcoreError("no notes: nothing to hear")
    onsets, offsets = _seconds(midi)
    longest = max(float(offsets.max()), seconds)
    if longest > MAX_HOURS * 3600:
        raise RollcoreError(f"{longest / 3600:,.1f} hours: longer than the {MAX_HOURS} that a WAV file holds")
    least = round(seconds * SAMPLE_RATE)
    if not isinstance(target, str | os.PathLike):
        _render(midi, onsets, offsets, least, target)
        return
    with whole_file(target) as file:
        _render(midi, onsets, offsets, least, file)


def _seconds(midi: Midi) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when each note begins and ends; in format 2 every track goes by its own tempos."""
    notes = midi.notes
    onsets, offsets = midi.seconds(notes["onset_tick"]), midi.seconds(notes["offset_tick"])
    for track in np.unique(notes["track"]) if midi.format == 2 else ():
        own = notes["track"] == track
        onsets[own] = midi.seconds(notes["onset_tick"][own], track)
        offsets[own] = midi.seconds(notes["offset_tick"][own], track)
    return onsets, offsets


def _render(midi: Midi, onsets: NDArray[np.float64], offsets: NDArray[np.float64], least: int, file: BinaryIO) -> None:
    order = np.argsort(onsets, kind="stable")
    begins = np.round(onsets[order] * SAMPLE_RATE).astype(np.int64)
    lengths = np.round((offsets - onsets)[order] * SAMPLE_RATE).astype(np.int64) + _RELEASE
    notes = midi.notes[order]
    total = max(int((begins + lengths).max()), least)
    fade = np.linspace(1, 0, _RELEASE, dtype=np.float32)
    sound = np.zeros(_BLOCK + _TONE, np.float32)
    string, drum = functools.cache(_string), functools.cache(_drum)
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.setnframes(total)  # known beforehand: a target that cannot seek is as good as any
        for first in range(0, total, _BLOCK):
            for i in range(*np.searchsorted(begins, (first, first + _BLOCK)).tolist()):
                pitch, velocity = int(notes["pitch"][i]), int(notes["velocity"][i])
                tone = (drum if notes["channel"][i] == _DRUMS else string)(pitch)[: lengths[i]]
                tone = tone * np.float32(_LOUDNESS * (velocity / 127) ** 1.5)
                tone[-_RELEASE:] *= fade
                at = begins[i] - first
                sound[at : at + len(tone)] += tone
            # Loud chords are limited, not clipped.
            limited = np.tanh(sound[: min(_BLOCK, total - first)])
            out.writeframesraw(np.round(limited * 32_767).astype("<i2").tobytes())
            sound[:_TONE] = sound[_BLOCK:]
            sound[_TONE:] = 0


def _string(pitch: int) -> _Samples:
    """Return the tone of a pitch at full length; higher partials and higher pitches fade sooner."""
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    seconds = np.arange(_TONE) / SAMPLE_RATE
    decay = min(1.3 * 2 ** ((60 - pitch) / 24), 1.5)
    audible = max(1, min(_PARTIALS, math.floor(0.45 * SAMPLE_RATE / frequency)))
    tone = np.zeros(_TONE)
    for partial in range(1, audible + 1):
        fading = np.exp(-seconds * (1 + 0.5 * (partial - 1)) / decay)
        tone += fading * np.sin(2 * np.pi * partial * frequency * seconds) / partial**1.3
    tone *= 1 - np.exp(-seconds / _ATTACK_SECONDS)
    tone /= sum(1 / partial**1.3 for partial in range(1, audible + 1))
    return tone.astype(np.float32)


def _drum(pitch: int) -> _Samples:
    """Return a low thump for a bass drum, a burst of noise for whatever else is struck."""
    seconds = np.arange(_TONE) / SAMPLE_RATE
    tone = np.exp(-seconds / 0.1) * np.sin(2 * np.pi * 55 * seconds)
    if pitch not in _BASS_DRUMS:
        tone = np.exp(-seconds / 0.05) * np.random.default_rng(pitch).uniform(-0.5, 0.5, _TONE)
    return tone.astype(np.float32)
