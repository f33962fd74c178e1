"""The models that come with the package: listed, described, small, and able to play."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

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
