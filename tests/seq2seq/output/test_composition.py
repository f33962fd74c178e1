"""A composition: its name, its lengths, and what is said of it where it is not music."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import rollcore
from seq2seq.cli import run_one
from seq2seq.output.composition import Composition, figure_columns
from seq2seq.output.figures import figures
from seq2seq.output.notation import make_score


def test_noise_is_called_so(untrained_run, tmp_path, monkeypatch, capsys):
    music, dense = np.zeros((2, 32, 2, 16), np.uint8)
    music[::4, :, 7] = 1
    dense[::2, :, 5:13] = 255
    monkeypatch.setattr("seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: [music, dense])
    assert run_one("generate", [str(untrained_run), "--output-dir", str(tmp_path), "--frames", "32"]) == 0
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    usual = figures([dataset.rows(int(piece)) for piece in dataset.split("train")], 4).density
    said = capsys.readouterr().out
    assert f"2: noise, most likely: {16 * 64 / 8 / usual:.0f} times as dense" in said
    assert "1: noise" not in said


def test_a_loop_is_called_so(untrained_run, tmp_path, monkeypatch, capsys):
    loop, music = np.zeros((2, 256, 2, 16), np.uint8)
    loop[::4, :, 7] = 1
    music[:, 0] = np.random.default_rng(1).integers(0, 2, (256, 16), np.uint8)
    monkeypatch.setattr("seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: [loop, music])
    assert run_one("generate", [str(untrained_run), "--output-dir", str(tmp_path), "--frames", "256"]) == 0
    said = capsys.readouterr().out
    assert "1: a loop, most likely: " in said
    assert "2: a loop" not in said


def composition(bits, grid, **changes):
    """A composition of bits ``(frames, pitches)``, whose figures are also those of the training data."""
    rows = np.packbits(bits[:, None], axis=-1, bitorder="little")
    found = figures([rows], float(grid.rate))
    fields = {
        "series": "tiny-seed3",
        "number": 2,
        "rows": rows,
        "primer_frames": 0,
        "grid": grid,
        "score": make_score([("Piano", rows)], grid=grid),
        "tempo_bpm": 90.0,
        "primer": "none",
        "figures": found,
        "training": found,
        "degenerate": None,
        "facts": {},
    }
    return Composition(**(fields | changes))


def noise(density):
    return np.random.default_rng(2).random((200, 128)) < density


def test_a_frame_of_beats_lasts_as_long_as_the_tempo_says():
    bits = noise(0.02)
    # At 90 beats a minute a beat lasts 2/3 of a second.
    assert composition(bits, rollcore.Grid.beats(4)).seconds_per_frame == pytest.approx(1 / 6)
    assert composition(bits, rollcore.Grid.seconds(50)).seconds_per_frame == pytest.approx(0.02)
    assert [composition(bits, grid).unit for grid in (rollcore.Grid.beats(4), rollcore.Grid.seconds(50))] == [
        "beat",
        "second",
    ]


def test_what_is_not_music_is_told_by_its_name_and_first():
    bits = noise(0.02)
    good = composition(bits, rollcore.Grid.beats(4))
    assert (good.name, good.remarks()) == ("tiny-seed3-2", [])
    bad = composition(bits, rollcore.Grid.beats(4), degenerate="a drone", warning="learnt nothing")
    assert (bad.name, bad.remarks()) == ("tiny-seed3-2-degenerate", ["NOT MUSIC, a drone", "learnt nothing"])


def test_more_than_five_times_the_notes_of_the_training_data_are_noise():
    usual = composition(noise(0.02), rollcore.Grid.beats(4)).figures
    for times, told in ((4.9, False), (5.1, True)):
        dense = dataclasses.replace(usual, density=times * usual.density)
        remarks = composition(noise(0.02), rollcore.Grid.beats(4), figures=dense).remarks()
        assert any(remark.startswith("noise, most likely: 5 times") for remark in remarks) == told


@pytest.mark.parametrize(
    ("repetition", "of_training", "told"), [(0.7, 0.0, False), (0.8, 0.0, True), (0.8, 0.45, False)]
)
def test_a_loop_repeats_more_than_the_training_data_do(repetition, of_training, told):
    found = composition(noise(0.02), rollcore.Grid.beats(4)).figures
    looped, training = (dataclasses.replace(found, repetition=share) for share in (repetition, of_training))
    remarks = composition(noise(0.02), rollcore.Grid.beats(4), figures=looped, training=training).remarks()
    assert any(remark.startswith("a loop, most likely: 80%") for remark in remarks) == told


def test_figures_stand_beside_those_of_the_training_data():
    first, second = (composition(noise(share), rollcore.Grid.beats(4), number=n) for n, share in ((1, 0.02), (2, 0.03)))
    training = dataclasses.replace(first.figures, pieces=7)
    columns = figure_columns([dataclasses.replace(one, training=training) for one in (first, second)])
    assert columns == {"1": first.figures, "2": second.figures, "training (7 pieces)": training}
