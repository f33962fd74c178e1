"""A generator as an MLflow model: requests in, music out, as JSON holds it.

MLflow keeps the code of this file with the weights; where the model is loaded, rollcore has to be installed.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel
from pydantic import BaseModel, ConfigDict

import rollcore
from seq2seq import Composition, Generator, Request
from seq2seq.errors import ConfigError

# One request is to be answered while somebody waits.
MAX_FRAMES, MAX_SECONDS, MAX_OUTPUTS, MAX_MIDI_BYTES = 4096, 600.0, 16, 1_000_000


class MusicRequest(BaseModel):
    """What is asked for: the fields of `seq2seq.Request`, with MIDI files in base64 and never a path."""

    model_config = ConfigDict(extra="forbid")

    frames: int | None = None
    seconds: float | None = None
    primer_midi: str | None = None
    primer_pitches: str | None = None
    primer_frames: int | None = None
    include_primer: bool | None = None
    melody_midi: str | None = None
    num_outputs: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    tempo_bpm: float | None = None
    time_signature: str | None = None
    scale: str | None = None
    pitch_range: str | None = None
    max_polyphony: int | None = None

    def to_request(self) -> Request:
        """Return the request that a generator takes.

        Raises
        ------
        RollcoreError
            If a value is out of range, or a file is not MIDI.
        """
        fields = {name: value for name, value in self if value is not None}
        for name in ("primer", "melody"):
            text = fields.pop(f"{name}_midi", None)
            if text is not None:
                fields[name] = _midi(name, text)
        if "time_signature" in fields:
            beats, _, value = fields["time_signature"].partition("/")
            if not (beats.isdecimal() and value.isdecimal()):
                raise ConfigError(f"time_signature {fields['time_signature']!r} is not one such as 4/4 or 6/8")
            fields["time_signature"] = (int(beats), int(value))
        for name, most in (("frames", MAX_FRAMES), ("seconds", MAX_SECONDS), ("num_outputs", MAX_OUTPUTS)):
            if name in fields and fields[name] > most:
                raise ConfigError(f"{name} must be at most {most:g} in one request, not {fields[name]:g}")
        return Request(**fields)


def _midi(name: str, text: str) -> rollcore.Midi:
    if len(text) > MAX_MIDI_BYTES * 4 / 3 + 4:
        raise ConfigError(f"{name}_midi is longer than {MAX_MIDI_BYTES:,} bytes")
    try:
        return rollcore.read_midi(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ConfigError(f"{name}_midi is not base64: {error}") from None


def answer(composition: Composition) -> dict[str, Any]:
    """Return a composition as JSON holds it.

    Returns
    -------
    dict
        ``name``; ``notes``, a list of onset and offset in seconds, pitch and velocity for each; ``midi``, the file in
        base64; ``seconds``; ``tempo_bpm``; ``primer``; ``primer_frames``; ``figures``; ``remarks``, a list of lines.
    """
    score, file = composition.score, io.BytesIO()
    score.write(file)
    notes = score.midi.notes
    onsets, offsets = score.midi.seconds(notes["onset_tick"]), score.midi.seconds(notes["offset_tick"])
    columns = (onsets.round(6).tolist(), offsets.round(6).tolist(), notes["pitch"].tolist(), notes["velocity"].tolist())
    return {
        "name": composition.name,
        "notes": [list(note) for note in zip(*columns, strict=True)],
        "midi": base64.b64encode(file.getvalue()).decode(),
        "seconds": score.seconds,
        "tempo_bpm": composition.tempo_bpm,
        "primer": composition.primer,
        "primer_frames": composition.primer_frames,
        "figures": dataclasses.asdict(composition.figures),
        "remarks": composition.remarks(),
    }


class Music(PythonModel):
    """Composes for each request; ready for the first one when it is loaded."""

    def load_context(self, context: Any) -> None:
        """Load the weights, and compile what requests need by answering two."""
        self.generator = Generator.load(context.artifacts["weights"])
        for request in (Request(frames=8), Request(frames=8, primer_pitches="C4 E4 G4", num_outputs=2)):
            self.generator.compose(request)

    def predict(self, context: Any, model_input: list[MusicRequest], params: Any = None) -> list[list[dict[str, Any]]]:
        """Return a list of compositions for each request; see `answer`.

        Raises
        ------
        MlflowException
            In one line what is wrong with a request.
        """
        answers = []
        for number, request in enumerate(model_input, start=1):
            try:
                answers.append([answer(composition) for composition in self.generator.compose(request.to_request())])
            except rollcore.RollcoreError as error:
                raise MlflowException(f"request {number}: {error}", error_code=INVALID_PARAMETER_VALUE) from None
        return answers


set_model(Music())
