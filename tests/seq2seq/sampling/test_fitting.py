"""How cool returning phrases are drawn: the value nearest to real pieces is found, and lands in the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rollcore
from seq2seq.models.weights import read_weights, save_weights
from seq2seq.output.measures import Piece
from seq2seq.sampling import fitting
from seq2seq.sampling.corpus import Corpus
from seq2seq.sampling.fitting import COOLS, DRAWN, LEAST_PIECES, Fit, fit_cool, fit_run, run_statistics
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.phrasing import Phrasing
from seq2seq.sampling.request import Request
from seq2seq.sampling.sampler import Sampler
from seq2seq.training.presets import model_config
from small_dataset import write_dataset
from untrained import untrained, write_untrained_run

LENGTHS = {"traindata": (40, 50), "validdata": (32, 40, 36, 33), "testdata": (9,)}


def piece_of(pitches, bar=4):
    """A piece of one note a frame, each of them struck; -1 is a rest."""
    sounding = np.asarray(pitches)[:, None] == np.arange(128)
    return Piece("", sounding, sounding.copy(), bar / 4, bar)


def statistics_by_hand(piece):
    """The share of frames whose echo is in a run, moving and far, and of those the share that are what it is."""
    frames = [(tuple(a), tuple(b)) for a, b in zip(piece.sounding.tolist(), piece.onset.tolist(), strict=True)]
    run = right = 0
    for t in range(len(frames)):
        found = [0] * (t + 1)
        for lag in range(1, t + 1):
            while found[lag] < min(32, t - lag) and frames[t - 1 - found[lag]] == frames[t - 1 - found[lag] - lag]:
                found[lag] += 1
        longest = max(found)
        lag = found.index(longest)
        moving = sum(frames[i] != frames[i - 1] for i in range(max(1, t - 8), t))
        if longest >= 3 and moving >= 2 and lag > 2 * piece.bar_frames:
            run += 1
            right += frames[t] == frames[t - lag]
    return run / len(frames), right / run if run else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_the_statistics_are_those_found_by_hand(seed):
    rng = np.random.default_rng(seed)
    tune = rng.integers(60, 64, 24)
    later = np.where(rng.random(72) < 0.1, 70, np.tile(tune, 3))
    later[30:45] = 65  # stands still
    piece = piece_of([*tune, *later], bar=3)
    wanted = statistics_by_hand(piece)
    assert 0.05 < wanted[0] < 0.95
    assert 0 < wanted[1] < 1
    assert run_statistics(piece)[:2] == pytest.approx(wanted)


def test_what_never_returns_has_no_run():
    assert run_statistics(piece_of(range(64))) == (0.0, 0.0, 1.0)


def returning(wrong):
    """Twelve frames of a tune six times, of which *wrong* in six of the later frames are other notes."""
    rng = np.random.default_rng(0)
    pitches = np.tile(np.arange(50, 62), 6)
    for first in range(12, 72, 6):
        pitches[first + rng.permutation(6)[:wrong]] = rng.integers(80, 120, wrong)
    return piece_of(pitches)


@pytest.mark.parametrize("cool", COOLS)
def test_the_value_whose_runs_are_those_of_real_pieces_is_found(cool):
    """The warmer, the more notes are wrong: as many as in the real pieces at one value only."""
    found = fit_cool(lambda tried: [returning(COOLS.index(tried))] * DRAWN, [returning(COOLS.index(cool))] * 4)
    assert found.cool == cool
    assert found.real == found.drawn[COOLS.index(cool)]
    assert found.drawn[0]["runs that go on"] == 1
    # The further from it, the more distant.
    order = np.argsort(np.abs(np.arange(len(COOLS)) - COOLS.index(cool)), kind="stable")
    assert np.array(found.distances)[order[0]] == min(found.distances)
    assert f"cool {cool:g}; " in str(found)


def test_where_no_value_matters_the_default_stays():
    found = fit_cool(lambda tried: [returning(3), returning(4)], [returning(0)] * 4)
    assert found.cool == Phrasing.cool
    assert min(found.distances) > 1


@pytest.mark.parametrize(("pieces", "cool"), [(40, Phrasing.cool), (2, COOLS[0])])
def test_a_value_that_is_nearer_by_little_leaves_the_default(pieces, cool):
    """Of so many pieces, one is better the cooler it is."""
    rest = [returning(1), returning(4)] * (pieces // 2)
    found = fit_cool(lambda tried: [returning(COOLS.index(tried)), *rest[1:]], [returning(0), returning(1)] * 2)
    assert found.distances[0] == min(found.distances) < found.distances[COOLS.index(Phrasing.cool)]
    assert found.cool == cool


def test_how_much_moves_counts_too():
    """Nothing ever returns, so there is nothing but the share of frames that change."""

    def moving(held):
        struck = np.arange(100) % 5 >= held
        piece = piece_of(np.cumsum(struck))
        return replace(piece, onset=piece.onset & struck[:, None])

    pieces = [moving(held) for held in range(5)]
    assert fit_cool(lambda tried: [pieces[COOLS.index(tried)]], [pieces[4]] * 4).cool == COOLS[4]


def weights_of(folder, lengths=LENGTHS, **model):
    """Weights of a small model that has learnt nothing, as a run has them, and its dataset."""
    dataset = rollcore.open_dataset(write_dataset(folder, lengths))
    settings = {"model": "tied", "units": 6, "layers": 1, "input_frames": 8, "target_frames": 8} | model
    config = model_config(dataset, **settings)
    facts = {**Corpus.of(dataset).to_dict(), "updates": 7}
    save_weights(config, untrained(config), folder / "model.safetensors", facts)
    return folder / "model.safetensors", dataset


def test_the_number_lands_in_the_weights_and_music_is_drawn_with_it(tmp_path, monkeypatch):
    path, dataset = weights_of(tmp_path)
    before, arrays, facts = read_weights(path)
    pieces, drawn, asked, sample = [], {}, [], Sampler.sample

    def spy(*given, **how):
        asked.append(how["phrasing"].cool)
        return sample(*given, **how)

    def choose(draw, real):
        pieces.extend(real)
        drawn.update((cool, draw(cool)) for cool in COOLS)
        return Fit(0.65, {"a": 1.0}, ({"a": 2.0},) * len(COOLS), (0.0,) * len(COOLS))

    monkeypatch.setattr(Sampler, "sample", spy)
    monkeypatch.setattr(fitting, "fit_cool", choose)
    told = []
    found = fit_run(path, dataset, 3, lambda done, of: told.append((done, of)))
    assert found.cool == 0.65
    after, others, written = read_weights(path)
    assert after == before
    for name, array in arrays.items():
        np.testing.assert_array_equal(others[name], array)
    fit = written.pop("fit")
    assert written == {**facts, "cool": 0.65}
    assert (fit["cool"], fit["cools"], fit["real"]) == (0.65, list(COOLS), {"a": 1.0})
    # Real pieces are as long as those drawn, which are as long as the real one in the middle, or shorter.
    assert [len(piece.sounding) for piece in pieces] == [32, 34, 34, 33]
    assert all(len(piece.sounding) == 34 for made in drawn.values() for piece in made)
    assert told == sorted(told)
    assert {of for _, of in told} == {len(COOLS) * DRAWN * 34}
    assert asked == list(COOLS)
    # What was drawn with a value is what the generator that has it plays.
    made = Generator.load(path).compose(Request(frames=34, num_outputs=DRAWN, candidates=1, seed=3))
    assert asked[len(COOLS) :] == [0.65]
    for one, piece in zip(made, drawn[0.65], strict=True):
        bits = np.unpackbits(one.rows[:, 0], axis=-1, bitorder="little")
        np.testing.assert_array_equal(bits, piece.sounding)


def test_the_same_is_found_again_and_a_model_is_fitted_once(tmp_path):
    path, dataset = weights_of(tmp_path)
    as_trained = path.read_bytes()
    first = fit_run(path, dataset, 3)
    fitted = path.read_bytes()
    assert fitted != as_trained
    assert fit_run(path, dataset, 3) is None
    assert path.read_bytes() == fitted
    path.write_bytes(as_trained)
    assert fit_run(path, dataset, 3) == first
    assert path.read_bytes() == fitted


def test_what_ends_a_fit_leaves_the_weights(tmp_path):
    path, dataset = weights_of(tmp_path)
    before = path.read_bytes()

    def enough(done, of):
        if done > of // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_run(path, dataset, 3, enough)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.glob("*.safetensors*")] == [path.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "seq2seq"},
        {"echo": 0},
        {"lengths": LENGTHS | {"validdata": (32, 40, 36)}},
        {"lengths": LENGTHS | {"validdata": (32, 40, 36, 28)}},
        {"lengths": LENGTHS | {"validdata": ()}},
    ],
    ids=["another model", "no echo", "few pieces", "short pieces", "no pieces"],
)
def test_where_nothing_can_be_said_the_default_stays(tmp_path, changes):
    path, dataset = weights_of(tmp_path, **changes)
    before = path.read_bytes()
    assert fit_run(path, dataset, 3) is None
    assert path.read_bytes() == before


def test_the_grid_of_seconds_has_no_bars(seconds_run, tmp_path):
    dataset = rollcore.open_dataset(seconds_run.parent / "chords.h5")
    assert len(dataset.split("validation")) > LEAST_PIECES
    run = write_untrained_run(tmp_path, dataset, model="tied", planes=("sounding",), echo=64)
    assert fit_run(run / "model.safetensors", dataset, 0) is None
