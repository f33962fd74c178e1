"""Requests and compositions as JSON has them, within bounds that somebody can wait for. No path is ever read."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import rollcore
from seq2seq.errors import ConfigError
from seq2seq.output.composition import Composition
from seq2seq.sampling.request import Request

#: What one request may ask for at most.
BOUNDS = {"frames": 4096, "bars": 256, "seconds": 600, "num_outputs": 8, "candidates": 8, "primer_frames": 4096}
#: The largest MIDI file that is read.
MAX_MIDI_BYTES = 1_000_000

_MIDI = {"primer_midi": "primer", "melody_midi": "melody"}
_FIELDS = {field.name for field in dataclasses.fields(Request)} - set(_MIDI.values())


def parse_request(fields: Mapping[str, Any]) -> Request:
    """Return the request that JSON describes.

    Parameters
    ----------
    fields
        Fields of `seq2seq.Request`; but ``primer_midi`` and ``melody_midi``, MIDI files in base64, stand for the
        primer and the melody, and ``time_signature`` is text such as ``"6/8"``. None stands for the default.

    Raises
    ------
    ConfigError
        If a field is unknown, its value wrong, or more than is answered.
    RollcoreError
        If a MIDI file cannot be read.
    """
    chosen: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in _FIELDS and name not in _MIDI:
            raise ConfigError(f"{name[:40]!r} is not a field of a request: choose among {', '.join(_names())}")
        if value is None:
            continue
        if name in _MIDI:
            chosen[_MIDI[name]] = _midi(name, value)
        elif name == "time_signature":
            chosen[name] = _time_signature(value)
        else:
            chosen[name] = value
    request = Request(**chosen)
    for name, most in BOUNDS.items():
        value = getattr(request, name)
        if value is not None and value > most:
            raise ConfigError(f"{name} must be at most {most:,} in one request, not {value:,}")
    return request


def answer(composition: Composition) -> dict[str, Any]:
    """Return a composition as JSON holds it.

    Returns
    -------
    dict
        ``name``; ``notes``, a list of onset and offset in seconds, pitch and velocity for each; ``midi``, the file in
        base64; ``seconds``; ``tempo_bpm``; ``primer``; ``primer_frames``; ``figures``; ``remarks``, a list of lines.
    """
    score = composition.score
    notes = score.midi.notes
    onsets, offsets = score.midi.seconds(notes["onset_tick"]), score.midi.seconds(notes["offset_tick"])
    columns = (onsets.round(6).tolist(), offsets.round(6).tolist(), notes["pitch"].tolist(), notes["velocity"].tolist())
    return {
        "name": composition.name,
        "notes": [list(note) for note in zip(*columns, strict=True)],
        "midi": base64.b64encode(midi_bytes(composition)).decode(),
        "seconds": score.seconds,
        "tempo_bpm": composition.tempo_bpm,
        "primer": composition.primer,
        "primer_frames": composition.primer_frames,
        "figures": dataclasses.asdict(composition.figures),
        "remarks": composition.remarks(),
    }


def midi_bytes(composition: Composition) -> bytes:
    """Return the MIDI file of a composition."""
    file = io.BytesIO()
    composition.score.write(file)
    return file.getvalue()


def _names() -> list[str]:
    return sorted(_FIELDS | set(_MIDI))


def _midi(name: str, text: object) -> rollcore.Midi:
    if not isinstance(text, str):
        raise ConfigError(f"{name} must be a MIDI file in base64")
    if len(text) > MAX_MIDI_BYTES * 4 / 3 + 4:
        raise ConfigError(f"{name} is longer than {MAX_MIDI_BYTES:,} bytes")
    try:
        return rollcore.read_midi(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{name} is not base64: {error}") from None


def _time_signature(text: object) -> tuple[int, int]:
    beats, _, value = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not (beats.isdecimal() and value.isdecimal() and len(beats) + len(value) < 8):
        raise ConfigError(f"time_signature {str(text)[:20]!r} is not one such as 4/4 or 6/8")
    return int(beats), int(value)
