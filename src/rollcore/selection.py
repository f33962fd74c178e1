"""Whose notes: which tracks, programs, channels and pitches are kept, and which voice each of them belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rollcore.errors import RollcoreError

if TYPE_CHECKING:
    from rollcore.midi import Midi

__all__ = ["LEFT_OUT", "MAX_VOICES", "NO_SELECTION", "OPTIONS", "Selection"]

LEFT_OUT = (
    "drums",
    "not of drums",
    "of other tracks",
    "of no voice",
    "of other channels",
    "of other programs",
    "of other pitches",
)
"""Why a note is left out, in the order in which it is asked; the kernel counts by these numbers."""

OPTIONS = ("--drums", "--only-drums", "--tracks", "--voice", "--channels", "--programs", "--pitch-range")
"""The option by which notes are left out, for each reason of `LEFT_OUT`."""

MAX_VOICES = 16


@dataclass(frozen=True)
class Selection:
    """Which notes of a piece are kept, and whether the piece is.

    Numbers may be given as text, such as ``"0-7,24"``, or as a sequence. Everything that is given has to hold.

    Parameters
    ----------
    tracks
        Names or numbers of tracks, as text with commas or as a sequence. A name matches without regard to case, and
        ``*`` stands for anything; digits are the number of a track, counted from 0.
    programs
        General MIDI programs, 0 to 127, that a note's channel has when it is struck.
    channels
        Channels, 1 to 16.
    only_drums
        Keep drums alone.
    pitch_range
        The lowest and the highest pitch, such as ``"21-108"``.
    min_notes, min_pitches
        A piece with fewer notes, or fewer different pitches, is none.
    voices
        Name of a voice → its tracks, as for `tracks`; or texts such as ``"melody=MELODY,BRIDGE"``. Each voice has
        planes of its own, in this order; a note belongs to the first that its track matches, and is left out if none
        does.

    Raises
    ------
    RollcoreError
        If a value is out of range.

    Examples
    --------
    >>> selection = Selection(tracks="melody,bass*", programs="0-2,24")
    >>> selection.tracks, selection.programs
    (('melody', 'bass*'), (0, 1, 2, 24))
    >>> Selection(voices={"melody": "MELODY"}).planes
    ('sounding:melody', 'onset:melody')
    """

    tracks: Any = ()
    programs: Any = ()
    channels: Any = ()
    only_drums: bool = False
    pitch_range: Any = None
    min_notes: int = 0
    min_pitches: int = 0
    voices: Any = ()

    def __post_init__(self) -> None:
        def settle(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        settle("tracks", _names("tracks", self.tracks))
        settle("programs", _numbers("programs", self.programs, 0, 127))
        settle("channels", _numbers("channels", self.channels, 1, 16))
        settle("only_drums", bool(self.only_drums))
        settle("pitch_range", _pitch_range(self.pitch_range))
        settle("voices", _voices(self.voices))
        for name, most in (("min_notes", 2**31 - 1), ("min_pitches", 128)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or not 0 <= value <= most:
                raise RollcoreError(f"{name} {value}: expected a whole number from 0 to {most:,}")
            settle(name, int(value))

    @property
    def planes(self) -> tuple[str, ...]:
        """Planes of the voices in their order; none where all notes share the planes."""
        return tuple(f"{plane}:{name}" for name, _ in self.voices for plane in ("sounding", "onset"))

    @property
    def of_notes(self) -> bool:
        """Whether it leaves out notes, beside drums, or gives them voices."""
        return bool(self.tracks or self.programs or self.channels or self.only_drums or self.pitch_range or self.voices)

    @cached_property
    def parts(self) -> dict[str, Selection]:
        """What can match nothing in a file, each alone: every track and voice, the programs, the channels.

        By the option that asks for it, such as ``"--tracks melody"``.
        """
        found = {f"--tracks {name}": Selection(tracks=(name,)) for name in self.tracks}
        found |= {f"--voice {name}={','.join(of)}": Selection(tracks=of) for name, of in self.voices}
        if self.channels:
            found[f"--channels {_listed(self.channels)}"] = Selection(channels=self.channels)
        if self.programs:
            found[f"--programs {_listed(self.programs)}"] = Selection(programs=self.programs)
        return found

    def stored(self) -> dict[str, Any]:
        """Return what is given, as JSON holds it: ``Selection(**stored)`` is the same again."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        voices = [f"{name}={','.join(tracks)}" for name, tracks in given.pop("voices")]
        kept = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items() if value}
        return {**kept, **({"voices": voices} if voices else {})}

    def choose(self, midi: Midi, drums: NDArray[np.bool_], *, keep_drums: bool) -> NDArray[np.int8]:
        """Say for each note of a piece which voice it has, or why it is left out.

        Parameters
        ----------
        midi
            The piece.
        drums
            Whether each note is one of drums.
        keep_drums
            Whether drums are kept.

        Returns
        -------
        int8 array
            The number of the voice, 0 where there are none; or ``-1 - i`` for reason `i` of `LEFT_OUT`.
        """
        notes = midi.notes
        voices = np.zeros(len(notes), np.int8)

        def leave_out(which: NDArray[np.bool_], reason: str) -> None:
            voices[which & (voices >= 0)] = -1 - LEFT_OUT.index(reason)

        if self.only_drums:
            leave_out(~drums, "not of drums")
        elif not keep_drums:
            leave_out(drums, "drums")
        if self.tracks or self.voices:
            n_tracks = max(int(notes["track"].max(initial=0)) + 1, len(midi.track_names))
            names = (*midi.track_names, *[""] * (n_tracks - len(midi.track_names)))
            if self.tracks:
                leave_out(_matches(self.tracks, names)[notes["track"]] == 0, "of other tracks")
            if self.voices:
                voice = np.full(n_tracks, -1, np.int8)
                for number, (_, tracks) in reversed(list(enumerate(self.voices))):
                    voice[_matches(tracks, names) == 1] = number
                leave_out(voice[notes["track"]] < 0, "of no voice")
                voices[voices >= 0] = voice[notes["track"]][voices >= 0]
        if self.channels:
            leave_out(~np.isin((notes["channel"] & 15) + 1, self.channels), "of other channels")
        if self.programs:
            leave_out(~np.isin(midi.note_programs, self.programs), "of other programs")
        if self.pitch_range:
            low, high = self.pitch_range
            leave_out((notes["pitch"] < low) | (notes["pitch"] > high), "of other pitches")
        return voices

    def kept(self, midi: Midi, *, drums: bool = True) -> Midi:
        """Return a piece with the notes that are kept, everything else as it is."""
        return replace(midi, notes=midi.notes[self.choose(midi, midi.drums, keep_drums=drums) >= 0])


def _listed(numbers: tuple[int, ...]) -> str:
    """Return ascending numbers as they may be given: ``0-7,24``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


@lru_cache(maxsize=4096)
def _matches(wanted: tuple[str, ...], names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Say for each track, by its name and number, whether it is among those that are wanted."""
    found = np.zeros(len(names), np.uint8)
    for pattern in wanted:
        if pattern.isdecimal():
            found[int(pattern) : int(pattern) + 1] = 1
            continue
        expression = re.compile(".*".join(map(re.escape, pattern.casefold().split("*"))), re.DOTALL)
        for track, name in enumerate(names):
            found[track] |= expression.fullmatch(name.strip().casefold()) is not None
    return found


def _names(what: str, given: Any) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else [given] if isinstance(given, int) else given
    names = tuple(str(part).strip() for part in parts or ())
    if any(not name for name in names):
        raise RollcoreError(f"{what} {given!r}: expected names or numbers of tracks, such as 'MELODY,2'")
    return names


def _numbers(what: str, given: str | int | Iterable[int], least: int, most: int) -> tuple[int, ...]:
    wrong = RollcoreError(f"{what} {given!r}: expected numbers from {least} to {most}, such as '1-4,10'")
    if isinstance(given, int):
        given = (given,)
    if not isinstance(given, str):
        found = list(given)
    else:
        found = []
        for part in given.split(",") if given else ():
            match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?", part)
            if match is None or (match[2] and int(match[2]) < int(match[1])):
                raise wrong
            found += range(int(match[1]), int(match[2] or match[1]) + 1)
    if not all(isinstance(number, int | np.integer) and least <= number <= most for number in found):
        raise wrong
    return tuple(sorted({int(number) for number in found}))


def _pitch_range(given: str | Sequence[int] | None) -> tuple[int, int] | None:
    if given is None or given == "":
        return None
    match = re.fullmatch(r"\s*(\d{1,3})\s*-\s*(\d{1,3})\s*", given) if isinstance(given, str) else None
    pair = (int(match[1]), int(match[2])) if match else () if isinstance(given, str) else tuple(given)
    whole = len(pair) == 2 and all(isinstance(pitch, int | np.integer) for pitch in pair)
    if not whole or not 0 <= pair[0] <= pair[1] <= 127:
        raise RollcoreError(f"pitch_range {given!r}: expected the lowest and highest pitch, 0-127, such as '21-108'")
    return int(pair[0]), int(pair[1])


def _voices(given: Mapping[str, Any] | Iterable[Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    pairs: list[tuple[str, Any]] = []
    for item in given.items() if isinstance(given, Mapping) else [given] if isinstance(given, str) else given:
        name, tracks = (item.partition("=")[::2]) if isinstance(item, str) else item
        pairs.append((str(name).strip(), tracks))
    for name, tracks in pairs:
        if not name or not name.isprintable() or {",", ":", "="} & set(name) or not tracks:
            raise RollcoreError(f"voice {name!r}: expected NAME=TRACK,TRACK, the name without commas and colons")
    voices = tuple((name, _names(f"voice {name}", tracks)) for name, tracks in pairs)
    if len({name for name, _ in voices}) < len(voices) or len(voices) > MAX_VOICES:
        raise RollcoreError(f"voices: expected at most {MAX_VOICES}, of different names")
    return voices


NO_SELECTION = Selection()
"""Everything but drums."""
