"""Requests of the MLflow model: fields become those of a request, and what is out of bounds is told in one line."""

import base64
import dataclasses
import io
import json
from types import SimpleNamespace

import pytest

import rollcore
from rollcore import RollcoreError
from seq2seq.deploy.answers import answer
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request
from untrained import write_untrained

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
    known = {field.name for field in dataclasses.fields(Request)}
    assert set(music.MusicRequest.model_fields) == known - {"primer", "melody"} | {"primer_midi", "melody_midi"}


def test_fields_become_those_of_a_request(music, midi):
    found = music.MusicRequest(
        bars=8, seed=3, temperature=0.5, time_signature="6/8", primer_midi=midi, num_outputs=2, include_primer=True
    ).to_request()
    assert (found.bars, found.seed, found.temperature, found.num_outputs) == (8, 3, 0.5, 2)
    assert (found.time_signature, found.include_primer) == ((6, 8), True)
    assert found.primer.notes["pitch"].tolist() == [60, 64]
    assert music.MusicRequest().to_request().frames is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"frames": 4097}, "frames must be at most 4,096 in one request, not 4,097"),
        ({"seconds": 601.0}, "seconds must be at most 600"),
        ({"bars": 257}, "bars must be at most 256"),
        ({"num_outputs": 9}, "num_outputs must be at most 8"),
        ({"candidates": 9}, "candidates must be at most 8"),
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


def test_a_prediction_is_what_the_generator_composes(music, tmp_path):
    from mlflow.exceptions import MlflowException

    weights = write_untrained(tmp_path / "tiny.safetensors")
    model = music.Music()
    model.load_context(SimpleNamespace(artifacts={"weights": str(weights)}))
    fields = {"bars": 2, "candidates": 2, "seed": 3}
    found = model.predict(None, [music.MusicRequest(**fields), music.MusicRequest(frames=8, num_outputs=2)])
    assert [len(answers) for answers in found] == [1, 2]
    (composition,) = Generator.load(weights).compose(Request(**fields))
    assert json.loads(json.dumps(found[0][0])) == json.loads(json.dumps(answer(composition)))
    assert found[0][0]["seconds"] == pytest.approx(4.8)  # two bars of four beats, at the model's 100 beats per minute
    with pytest.raises(MlflowException, match="request 2: bars must be at most 256"):
        model.predict(None, [music.MusicRequest(frames=8), music.MusicRequest(bars=257)])
