"""A model that has learnt nothing and plays now and then, for tests of what is done with a model."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest

import rollcore
from seq2seq.models.config import ModelConfig
from seq2seq.models.weights import save_weights, weight_shapes
from seq2seq.output.figures import figures
from seq2seq.sampling.corpus import COMPARED, Corpus
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request

PLANES = ("sounding", "onset")


def untrained(config: ModelConfig, seed: int = 1) -> dict[str, np.ndarray]:
    """Weights as Keras begins with them, by and large: it plays now and then."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in weight_shapes(config):
        values = rng.normal(size=shape) * np.sqrt(2 / max(1, sum(shape)))
        if len(shape) < 2:
            values = np.full(shape, 1.0 if name.endswith(("gamma", "variance")) else 0.0)
        if name == "logits/bias" or name.endswith("logit/bias"):
            values = np.full(shape, -2.5)
        arrays[name] = values.astype(np.float32)
    return arrays


def write_untrained(path: Path) -> Path:
    """Write a model.safetensors of random weights on the grid of sixteenths, and return its path."""
    fields = {"model": "seq2seq", "planes": ("sounding", "onset"), "low": 40, "high": 88, "units": 8}
    config = ModelConfig(**fields, input_frames=16, target_frames=8)
    grid = rollcore.Grid("beats", Fraction(4))
    corpus = Corpus(grid, {}, figures([], 4), 100.0, (4, 4), dict.fromkeys(COMPARED, (0.0, 1.0)), (), None)
    save_weights(config, untrained(config), path, corpus.to_dict())
    return path


def write_untrained_run(folder, dataset, **changes):
    """A run folder as training leaves it, with a model that has learnt nothing but to play now and then."""
    fields = {"model": "seq2seq", "planes": PLANES, "low": 40, "high": 88, "input_frames": 20, "target_frames": 7}
    config = ModelConfig(**(fields | {"units": 8} | changes))
    save_weights(config, untrained(config), folder / "model.safetensors", Corpus.of(dataset).to_dict())
    run = {
        "model": config.to_dict(),
        "train": {},
        "dataset": {
            "path": str(dataset.path),
            "fingerprint": dataset.fingerprint,
            "grid": {"unit": dataset.grid.unit, "rate": str(dataset.grid.rate)},
            "planes": list(dataset.planes),
            "options": dataset.options,
            "pieces": len(dataset),
        },
        "versions": {},
    }
    (folder / "config.json").write_text(json.dumps(run))
    return folder


VOICES = ("sounding:melody", "onset:melody", "sounding:bass", "onset:bass")


def write_voices(folder, pieces=3):
    """MIDI files of two voices that play the same pitches on tracks of their own; the dataset of both."""
    folder.mkdir()
    for number in range(pieces):
        notes = [(480 * i, 480 * i + 480, 60 + (number + i) % 5, 80, 0, 0) for i in range(16)]
        notes += [(960 * i, 960 * i + 960, 60 + 2 * (i % 3), 80, 1, 1) for i in range(8)]
        midi = rollcore.Midi.from_notes(notes)
        rollcore.write_midi(midi, folder / f"{number}.mid", track_names=["LEAD", "BASS"])
    select = rollcore.Selection(voices=("melody=LEAD", "bass=BASS"))
    rollcore.build_dataset(folder, folder / "voices.h5", select=select, split=(80, 10, 10))
    return folder / "voices.h5"


def generate(untrained_run, folder, data=None, *, pictures=False, **request):
    """Load, compose and export; what was made in one place. Pictures take their time."""
    generator = Generator.load(untrained_run, data)
    compositions = generator.compose(Request(**request))
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr("seq2seq.output.export.find_spec", lambda name: None)
        exported = generator.export(compositions, folder)
    outputs = [
        SimpleNamespace(midi=files.midi, picture=files.picture, sound=files.sound, rows=one.rows, figures=one.figures)
        for one, files in zip(compositions, exported.files, strict=True)
    ]
    first = compositions[0]
    return SimpleNamespace(outputs=outputs, page=exported.page, primer=first.primer, unit=first.unit)


def roll_of(path, planes=PLANES):
    return rollcore.piano_roll(rollcore.read_midi(path), steps_per_beat=4, planes=planes)


def padded(rows, frames):
    assert len(rows) <= frames
    return np.concatenate([rows, np.zeros((frames - len(rows), *rows.shape[1:]), np.uint8)])


def signature_of(path):
    signatures = [m for m in mido.MidiFile(path).tracks[0] if m.type == "time_signature"]
    return [(m.time, m.numerator, m.denominator) for m in signatures]
