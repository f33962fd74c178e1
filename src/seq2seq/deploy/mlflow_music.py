"""A generator as an MLflow model: requests in, music out, as JSON holds it.

MLflow keeps the code of this file with the weights; where the model is loaded, rollcore has to be installed.
"""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel
from pydantic import BaseModel, ConfigDict

import rollcore
from seq2seq import Generator, Request
from seq2seq.deploy.answers import answer, parse_request


class MusicRequest(BaseModel):
    """What is asked for: the fields that `seq2seq.deploy.answers.parse_request` takes; None stands for the default."""

    model_config = ConfigDict(extra="forbid")

    bars: int | None = None
    frames: int | None = None
    seconds: float | None = None
    primer_midi: str | None = None
    primer_pitches: str | None = None
    primer_frames: int | None = None
    include_primer: bool | None = None
    melody_midi: str | None = None
    hold: str | None = None
    num_outputs: int | None = None
    candidates: int | None = None
    temperature: float | None = None
    phrasing: bool | None = None
    part_writing: bool | None = None
    top_p: float | None = None
    seed: int | None = None
    tempo_bpm: float | None = None
    time_signature: str | None = None
    scale: str | None = None
    pitch_range: str | None = None
    max_polyphony: int | None = None
    flat: bool | None = None

    def to_request(self) -> Request:
        """Return the request that a generator takes.

        Raises
        ------
        RollcoreError
            If a value is out of range, more is asked for than is answered, or a file is not MIDI.
        """
        return parse_request(self.model_dump())


class Music(PythonModel):
    """Composes for each request; ready for the first one when it is loaded."""

    def load_context(self, context: Any) -> None:
        """Load the weights."""
        self.generator = Generator.load(context.artifacts["weights"])

    def predict(self, context: Any, model_input: list[MusicRequest], params: Any = None) -> list[list[dict[str, Any]]]:
        """Return a list of compositions for each request; see `seq2seq.deploy.answers.answer`.

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
