"""Requests of the MLflow model: fields become those of a request, and what is out of bounds is told in one line."""

import base64
import io
import json

import pytest

import rollcore
from rollcore import RollcoreError

pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'rollcore[mlflow]'")
pytest.importorskip("pandas", reason="pandas is not installed: pip install 'rollcore[mlflow]'")


@pytest.fixture(scope="module")
def music():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints
        from seq2seq.deploy import mlflow_music
    return mlflow_music


@pytest.fixture(scope="module")
def midi():
    file = io.BytesIO()
    rollcore.write_midi(rollcore.Midi.from_notes([(0, 480, 60, 80, 0, 0), (480, 960, 64, 80, 0, 0)]), file)
    return base64.b64encode(file.getvalue()).decode()


def test_every_field_of_a_request_can_be_asked_for_but_no_path(music):
    import dataclasses

    from seq2seq import Request

    known = {field.name for field in dataclasses.fields(Request)}
    offered = set(music.MusicRequest.model_fields)
    assert offered - known == {"primer_midi", "melody_midi"}
    assert known & offered <= known - {"primer", "melody"}


def test_fields_become_those_of_a_request(music, midi):
    found = music.MusicRequest(
        frames=8, seed=3, temperature=0.5, time_signature="6/8", primer_midi=midi, num_outputs=2, include_primer=True
    ).to_request()
    assert (found.frames, found.seed, found.temperature, found.num_outputs) == (8, 3, 0.5, 2)
    assert (found.time_signature, found.include_primer) == ((6, 8), True)
    assert found.primer.notes["pitch"].tolist() == [60, 64]
    assert music.MusicRequest().to_request().frames is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"frames": 4097}, "frames must be at most 4096 in one request, not 4097"),
        ({"seconds": 601.0}, "seconds must be at most 600"),
        ({"num_outputs": 17}, "num_outputs must be at most 16"),
        ({"time_signature": "4"}, "time_signature '4' is not one such as 4/4"),
        ({"melody_midi": "!"}, "melody_midi is not base64"),
        ({"primer_midi": "A" * 1_400_000}, "primer_midi is longer than 1,000,000 bytes"),
        ({"primer_midi": base64.b64encode(b"no MIDI").decode()}, "MIDI"),
        ({"top_p": 2.0}, "top-p must be"),
    ],
)
def test_what_is_out_of_bounds_is_told(music, fields, told):
    with pytest.raises(RollcoreError, match=told):
        music.MusicRequest(**fields).to_request()


def test_unknown_fields_are_refused(music):
    with pytest.raises(ValueError, match="primer"):
        music.MusicRequest(primer="/etc/passwd")


def test_an_answer_is_plain_json(music):
    from seq2seq import Generator, Request

    (composition,) = Generator.load("chorales").compose(Request(frames=16, seed=1, temperature=0.8))
    found = json.loads(json.dumps(music.answer(composition)))
    again = rollcore.read_midi(base64.b64decode(found["midi"]))
    assert [note[2] for note in found["notes"]] == again.notes["pitch"].tolist()
    assert found["seconds"] == composition.score.seconds
