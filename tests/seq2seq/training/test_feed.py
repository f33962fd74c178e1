"""Batches: each frame counted as promised, rows and shifts as a slow twin has them."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil

import numpy as np
import pytest

from small_dataset import LENGTHS, write_dataset
from windows_of_echoes import write_echoes

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import (  # noqa: E402
    DatasetError,
    Midi,
    RollcoreError,
    build_dataset,
    open_dataset,
    piano_roll,
    write_midi,
)
from seq2seq.errors import ConfigError  # noqa: E402
from seq2seq.models.config import ModelConfig, TrainConfig  # noqa: E402
from seq2seq.training.feed import RollBatches, cover  # noqa: E402
from untrained import write_voices  # noqa: E402


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_dataset(tmp_path_factory.mktemp("data")))


CONFIG = ModelConfig(low=21, high=108, input_frames=4, target_frames=6, periods=())


def test_frames_are_counted_from_the_first_bar_line(tmp_path):
    """What tells the model where in the bar it is: a pick-up of three frames comes before frame 0."""
    notes = [(120 * i, 120 * (i + 1), 60 + i % 5, 80, 0, 0) for i in range(40)]
    bars = [(0, 3, 16, 0), (360, 4, 4, 0)]
    (tmp_path / "midi").mkdir()
    write_midi(Midi.from_notes(notes, time_signatures=bars), tmp_path / "midi" / "x.mid")
    build_dataset(tmp_path / "midi", tmp_path / "x.h5", steps_per_beat=4, planes="sounding", split=(1, 0, 0))
    batches = RollBatches(open_dataset(tmp_path / "x.h5"), CONFIG)
    inputs, _, _ = batches[0]
    assert inputs["start"].tolist() == [-7, -1, 5, 11, 17, 23, 29]
    np.testing.assert_array_equal(inputs["rows"][1, 0, 0], piano_roll(Midi.from_notes(notes), steps_per_beat=4)[2, 0])


@pytest.mark.parametrize("hop", [1, 2, 5, 6])
def test_evaluation_counts_every_frame_once_with_the_longest_past(hop):
    frames = np.array([0, 1, 5, 6, 7, 40])
    windows = cover(frames, 6, hop)
    seen = [np.zeros(n, int) for n in frames]
    for piece, start, first, last in zip(*windows, strict=True):
        for t in range(first, last):
            if start + t < frames[piece]:
                seen[piece][start + t] += 1
                assert t >= 6 - hop or start == 0
    assert all((counts == 1).all() for counts in seen)


@pytest.mark.parametrize(("hop", "times"), [(6, 1), (3, 2), (2, 3)])
def test_training_counts_every_frame_alike_away_from_the_start(hop, times):
    frames = np.array([1, 5, 6, 7, 40, 41])
    for k in range(1, hop + 1):
        seen = [np.zeros(n, int) for n in frames]
        for piece, start, first, last in zip(*cover(frames, 6, hop, np.full(len(frames), k)), strict=True):
            assert start < frames[piece]
            for t in range(first, last):
                if start + t < frames[piece]:
                    seen[piece][start + t] += 1
        for counts in seen:
            assert (counts[6:] == times).all() if hop < 6 else (counts == 1).all()
            assert (counts >= 1).all()


@pytest.mark.parametrize("hop", [1, 2, 6])
def test_an_epoch_is_as_long_as_there_are_windows(dataset, hop):
    frames = [1, 7, 30, 12]
    fixed = RollBatches(dataset, CONFIG, TrainConfig(batch_size=1, hop=hop, random_phase=False))
    seen = [(int(part.piece[0]), int(part.frame[0])) for part in map(fixed.counted, range(len(fixed)))]
    assert len(set(seen)) == len(seen), "a window comes twice"
    assert len(seen) == len(cover(np.array(frames), 6, hop).piece)
    phased = RollBatches(dataset, CONFIG, TrainConfig(batch_size=1, hop=hop))
    mean = sum(1 + (n - 1) / hop for n in frames)
    assert abs(len(phased) - mean) <= len(frames) / 2 + 1


def slow_batch(dataset, batches, index):
    """What batch *index* should hold, frame by frame."""
    part = batches.counted(index)
    length = CONFIG.input_frames + CONFIG.target_frames
    rows = np.zeros((len(part.piece), length, 1, 16), np.uint8)
    valid = np.zeros((len(part.piece), length), np.uint8)
    for i, (piece, frame) in enumerate(zip(part.piece, part.frame, strict=True)):
        roll = dataset.rows(int(batches.pieces[piece]))
        for t in range(length):
            at = frame - CONFIG.input_frames + t
            if 0 <= at < len(roll):
                rows[i, t], valid[i, t] = roll[at], 1
    return rows, valid


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_batches_equal_the_slow_twin(dataset, split):
    batches = RollBatches(dataset, CONFIG, split=split, batch_size=5, hop=3)
    counted = 0
    for i in range(len(batches)):
        inputs, targets, weights = batches[i]
        rows, valid = slow_batch(dataset, batches, i)
        np.testing.assert_array_equal(inputs["rows"], rows)
        np.testing.assert_array_equal(inputs["valid"], valid)
        np.testing.assert_array_equal(targets, rows[:, 4:])
        np.testing.assert_array_equal(inputs["start"], batches.counted(i).frame - 4)
        assert not inputs["shift"].any()
        assert (weights <= valid[:, 4:]).all()
        counted += weights.sum()
    assert (
        counted
        == batches.frames.sum()
        == sum(LENGTHS[{"train": "traindata", "test": "testdata"}.get(split, "validdata")])
    )


def test_training_batches_are_transposed_and_say_by_how_much(dataset):
    train = TrainConfig(batch_size=4, transpose=5, keep_key=0.25, hop=2)
    batches = RollBatches(dataset, CONFIG, train)
    shifts = []
    for epoch in range(20):
        batches.draw(epoch)
        for i in range(len(batches)):
            inputs, targets, _ = batches[i]
            rows, _ = slow_batch(dataset, batches, i)
            bits = np.unpackbits(rows, axis=-1, bitorder="little")
            for n, shift in enumerate(inputs["shift"]):
                moved = np.packbits(np.roll(bits[n], shift, axis=-1), axis=-1, bitorder="little")
                np.testing.assert_array_equal(inputs["rows"][n], moved)
            np.testing.assert_array_equal(targets, inputs["rows"][:, 4:])
            shifts += inputs["shift"].tolist()
    found, counts = np.unique(shifts, return_counts=True)
    assert found.tolist() == list(range(-5, 6))
    share = counts / len(shifts)
    assert abs(share[5] - 0.25) < 0.06
    assert np.abs(share[np.arange(11) != 5] - 0.075).max() < 0.04


def test_the_order_of_voices_is_drawn_for_every_window_of_a_training(tmp_path):
    duets = open_dataset(write_voices(tmp_path / "midi"))
    config = dataclasses.replace(CONFIG, planes=duets.planes)
    batches = RollBatches(duets, config, TrainConfig(batch_size=4))
    orders = []
    for epoch in range(10):
        batches.draw(epoch)
        orders += [order for i in range(len(batches)) for order in batches[i][0]["order"].tolist()]
    assert set(map(tuple, orders)) == {(0, 1), (1, 0)}
    assert abs(np.mean([order == [0, 1] for order in orders]) - 0.5) < 0.1
    for order, wanted in ((None, [0, 1]), ([1, 0], [1, 0])):
        inputs, _, _ = RollBatches(duets, config, split="train", order=order)[0]
        assert (inputs["order"] == wanted).all()
        assert inputs["order"].dtype == np.int32


@pytest.mark.parametrize("varied", [0, 2])
def test_each_voice_has_echoes_of_its_own(varied, tmp_path):
    duets = open_dataset(write_voices(tmp_path / "midi"))
    config, kinds = dataclasses.replace(CONFIG, planes=duets.planes, echo=100, varied=varied), 1 + varied
    batches = RollBatches(duets, config, split="train")
    runs = []
    for i in range(len(batches)):
        inputs, part = batches[i][0], batches.counted(i)
        for n in range(len(part.piece)):
            echo, match = np.empty((10, 4 * kinds, 16), np.uint8), np.empty((10, 2 * kinds), np.uint8)
            roll = duets.rows(int(batches.pieces[part.piece[n]]))
            write_echoes(roll, int(part.frame[n]) - 4, 100, echo, match, voices=2)
            np.testing.assert_array_equal(inputs["echo"][n], echo)
            np.testing.assert_array_equal(inputs["match"][n], match)
            runs += match.reshape(-1, kinds, 2).tolist()
    assert all(any(first != second for first, second in (run[kind] for run in runs)) for kind in range(kinds))


def test_half_of_the_training_windows_know_when_their_piece_ends(dataset):
    config = dataclasses.replace(CONFIG, closing=8)
    batches = RollBatches(dataset, config, TrainConfig(batch_size=4))
    told = []
    for epoch in range(20):
        batches.draw(epoch)
        for i in range(len(batches)):
            part, (inputs, _, _) = batches.counted(i), batches[i]
            for piece, frame, left in zip(part.piece, part.frame, inputs["left"], strict=True):
                remaining = len(dataset.rows(int(batches.pieces[piece]))) - (frame - CONFIG.input_frames)
                assert left in (0, remaining)
                told.append(left > 0)
    assert abs(np.mean(told) - 0.5) < 0.05
    evaluated = RollBatches(dataset, config, split="test")
    assert not any(evaluated[i][0]["left"].any() for i in range(len(evaluated)))
    assert "left" not in RollBatches(dataset, CONFIG)[0][0]


def test_echoes_are_those_of_the_piece_transposed_with_the_window(dataset):
    for reach, varied, split, train in (
        (100, 0, "train", TrainConfig(batch_size=4, keep_key=0.25)),
        (100, 3, "train", TrainConfig(batch_size=4, keep_key=0.25)),
        (100, 2, "test", None),
        (7, 0, "test", None),
    ):
        config = dataclasses.replace(CONFIG, echo=reach, varied=varied)
        batches = RollBatches(dataset, config, train, split=split)
        found = []
        for i in range(len(batches)):
            inputs, _, _ = batches[i]
            part = batches.counted(i)
            for n, shift in enumerate(inputs["shift"]):
                roll = dataset.rows(int(batches.pieces[part.piece[n]]))
                echo, match = np.empty((10, 1 + varied, 16), np.uint8), np.empty((10, 1 + varied), np.uint8)
                write_echoes(roll, int(part.frame[n]) - 4, reach, echo, match)
                moved = np.roll(np.unpackbits(echo, axis=-1, bitorder="little"), shift, axis=-1)
                np.testing.assert_array_equal(inputs["echo"][n], np.packbits(moved, axis=-1, bitorder="little"))
                np.testing.assert_array_equal(inputs["match"][n], match)
                found += match[:, 0].tolist()
        # Frames come in pairs; runs of more than those are found at lag 8.
        assert (max(found) > 2) == (reach > 7)


def test_the_same_seed_draws_the_same_epochs(dataset):
    def epochs(seed):
        batches = RollBatches(dataset, CONFIG, TrainConfig(batch_size=3, seed=seed))
        for _ in range(3):
            yield [batches[i] for i in range(len(batches))]
            batches.on_epoch_end()

    first, again, other = ([b for epoch in epochs(seed) for b in epoch] for seed in (1, 1, 2))
    assert all(np.array_equal(a[0]["rows"], b[0]["rows"]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[0]["rows"], b[0]["rows"]) for a, b in zip(first, other, strict=True))
    half = len(first) // 3
    assert not all(np.array_equal(a[0]["rows"], b[0]["rows"]) for a, b in zip(first[:half], first[half:], strict=False))


def test_batches_travel_to_other_processes_by_path(dataset):
    batches = RollBatches(dataset, CONFIG, TrainConfig(batch_size=3))
    copy = pickle.loads(pickle.dumps(batches))
    np.testing.assert_array_equal(copy[0][0]["rows"], batches[0][0]["rows"])
    assert len(pickle.dumps(batches)) < 20_000


@pytest.mark.parametrize("train", [None, TrainConfig(batch_size=3)])
def test_batches_end_and_count_from_the_end(dataset, train):
    batches = RollBatches(dataset, CONFIG, train, batch_size=3)
    np.testing.assert_array_equal(batches[-1][0]["rows"], batches[len(batches) - 1][0]["rows"])
    assert len(batches[-1][0]["rows"]) > 0
    for index in (len(batches), -len(batches) - 1, 10**6):
        with pytest.raises(IndexError, match="out of range"):
            batches[index]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number from 1"),
        ({"hop": -3}, "hop must be within 0..6"),
        ({"hop": 7}, "hop must be within 0..6"),
        ({"model": ModelConfig(planes=("sounding", "onset"), input_frames=4, target_frames=6)}, "has planes sounding"),
    ],
)
def test_options_that_no_epoch_can_be_drawn_by(dataset, options, message):
    with pytest.raises(RollcoreError, match=message):
        RollBatches(dataset, **{"model": CONFIG, "split": "test"} | options)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"hop": 2.5}, "hop"),
        ({"transpose": 1.5}, "transpose"),
        ({"transpose": 7}, "transpose"),
        ({"keep_key": 3}, "keep_key"),
        ({"keep_key": -1}, "keep_key"),
        ({"seed": 0.5}, "seed"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_trainings_that_are_none(options, name):
    with pytest.raises(ConfigError, match=name):
        TrainConfig(**options)


def test_a_configuration_of_lists_is_one_of_tuples():
    config = ModelConfig(planes=["sounding"], lags=[4, 8], periods=[16])
    assert config == ModelConfig(planes=("sounding",), lags=(4, 8), periods=(16,))
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert len({config}) == 1


def test_an_empty_split_is_refused(tmp_path):
    path = write_dataset(tmp_path, {"traindata": (8,), "validdata": (8,), "testdata": (8,)})
    dataset = open_dataset(path)
    pieces = dataset.pieces.copy()
    pieces["split"] = 0
    dataset.pieces = pieces
    with pytest.raises(DatasetError, match="validation split is empty"):
        RollBatches(dataset, CONFIG, split="validation")


def test_a_dataset_cut_short_is_told_before_the_next_epoch(dataset, tmp_path):
    shutil.copy(dataset.path, tmp_path / "x.h5")
    batches = RollBatches(open_dataset(tmp_path / "x.h5"), CONFIG, TrainConfig())
    os.truncate(tmp_path / "x.h5", 4096)
    with pytest.raises(DatasetError, match=r"x\.h5: was cut short since it was opened"):
        batches.on_epoch_end()


@pytest.mark.parametrize("parts", [2, 3])
def test_the_shares_of_a_batch_are_the_batch(data, small, parts):
    settings = dataclasses.replace(small.settings, batch_size=6)
    dataset = open_dataset(data)
    whole = RollBatches(dataset, small.model, settings)
    shares = [RollBatches(dataset, small.model, settings, share=(part, parts)) for part in range(parts)]
    assert {len(share) for share in shares} == {len(whole)}
    for index in (0, 1, -1):
        inputs, targets, weights = whole[index]
        read = [share[index] for share in shares]
        for name, values in inputs.items():
            assert np.array_equal(np.concatenate([batch[0][name] for batch in read]), values), name
        assert np.array_equal(np.concatenate([batch[1] for batch in read]), targets)
        assert np.array_equal(np.concatenate([batch[2] for batch in read]), weights)
