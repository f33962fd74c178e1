"""Requests as JSON has them: every field, every bound, and what is made of a composition."""

import base64
import dataclasses
import json

import pytest

import rollcore
from seq2seq.deploy.answers import BOUNDS, answer, midi_bytes, parse_request
from seq2seq.errors import ConfigError
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request
from untrained import write_untrained


def test_fields_are_those_of_a_request():
    fields = {"frames": 12, "temperature": 0.9, "scale": "Am", "flat": True, "time_signature": "6/8", "bars": None}
    wanted = Request(frames=12, temperature=0.9, scale="Am", flat=True, time_signature=(6, 8))
    found = parse_request(fields)
    assert dataclasses.asdict(found) == dataclasses.asdict(wanted)


def test_every_bound_is_one_of_a_field():
    for name, most in BOUNDS.items():
        with pytest.raises(ConfigError, match=f"{name} must be at most"):
            parse_request({name: most + 1, **({} if name in ("frames", "bars", "seconds") else {"frames": 4})})


def test_a_composition_is_json(tmp_path):
    generator = Generator.load(write_untrained(tmp_path / "tiny.safetensors"))
    [composition] = generator.compose(Request(frames=32, seed=3))
    told = json.loads(json.dumps(answer(composition)))
    assert base64.b64decode(told["midi"]) == midi_bytes(composition)
    notes = rollcore.read_midi(midi_bytes(composition)).notes
    assert [note[2] for note in told["notes"]] == notes["pitch"].tolist()
    assert told["figures"]["notes"] == composition.figures.notes
    assert (told["primer"], told["primer_frames"]) == ("none", 0)
