"""The models that come with the package: listed, described, small, and able to play."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from quality.voices import voice_leading

import rollcore
from seq2seq.models.weights import read_weights
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request
from seq2seq.shipped import weights_path

NAMES = ("chorales", "chords", "folk")


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


def test_a_model_is_under_a_megabyte_and_finite(name):
    assert weights_path(name).stat().st_size < 1_000_000
    _, arrays, _ = read_weights(weights_path(name))
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_a_model_plays_without_data(name):
    generator = Generator.load(name)
    assert generator.name == name
    first, second = generator.compose(Request(frames=64, num_outputs=2, seed=3))
    assert first.rows.any()
    assert not np.array_equal(first.rows, second.rows)


def test_chorales_are_harmonised_as_a_teacher_would_have_it():
    # Ah, vous dirai-je, maman: eighths are two frames of the grid.
    tune = [67, 67, 74, 74, 76, 76, 74, 74, 72, 72, 71, 71, 69, 69, 67, 67]
    notes = [(480 * i, 480 * i + 470, pitch, 80, 0, 0) for i, pitch in enumerate(tune)]
    melody = rollcore.Midi.from_notes(notes, ticks_per_beat=480)
    made = Generator.load("chorales").compose(Request(melody=melody, num_outputs=4, seed=1))
    pieces = [np.unpackbits(one.rows[:, 0], axis=-1, bitorder="little").astype(bool) for one in made]
    for piece in pieces:
        assert (127 - piece[:, ::-1].argmax(axis=1)).tolist() == np.repeat(tune, 2).tolist()
    found = voice_leading(pieces)
    assert found["frames in four voices"] > 0.6
    assert found["parallel fifths"] + found["parallel octaves"] < 2
    assert found["leaps"] < 2
    assert found["out of range"] < 0.02


def test_a_run_of_the_same_name_goes_before(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(Exception, match="not a run folder"):
        Generator.load(name)


def test_generate_takes_the_name_of_a_model_and_loads_no_framework(tmp_path):
    code = (
        "import sys; from seq2seq.cli import main\n"
        f"assert main(['generate', 'chorales', '--frames', '32', '--output-dir', {str(tmp_path)!r}]) == 0\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert list(tmp_path.glob("chorales-*.mid"))
