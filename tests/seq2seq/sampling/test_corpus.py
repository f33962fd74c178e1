"""What is stored of the training data: its figures, and how its files were read; what cannot be is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import rollcore
from seq2seq.errors import RunError
from seq2seq.models.weights import read_weights, save_weights
from seq2seq.output.figures import figures
from seq2seq.output.measures import MEASURES, dataset_pieces, piece_of
from seq2seq.sampling.corpus import MANNERS, Corpus
from seq2seq.sampling.generator import Generator
from untrained import PLANES


def test_whose_notes_were_kept_is_stored_with_the_model(tmp_path):
    rows = [(480 * i, 480 * i + 240, 60 + track, 80, track, track) for i in range(8) for track in (0, 1)]
    midi = rollcore.Midi.from_notes(rows)
    rollcore.write_midi(midi, tmp_path / "x.mid")
    select = rollcore.Selection(channels=2, pitch_range="50-70")
    rollcore.build_dataset(tmp_path / "x.mid", tmp_path / "x.h5", select=select, align=False, split=(1, 0, 0))
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    stored = json.loads(json.dumps(Corpus.of(dataset).to_dict()))
    reading = dict(Corpus.from_dict(stored).reading)
    assert reading == {"drums": False, "sustain": False, "align": False, "select": select.stored()}
    reading["select"] = rollcore.Selection(**reading["select"])
    assert np.array_equal(rollcore.piano_roll(midi, **reading), dataset.rows(0))
    stored["reading"]["select"] = {"channels": [17]}
    with pytest.raises(rollcore.RollcoreError, match="channels"):
        Corpus.from_dict(stored)


def test_what_is_known_of_the_training_data(untrained_run, tmp_path):
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    corpus = Generator.load(untrained_run).corpus
    assert corpus.to_dict() == json.loads(json.dumps(Corpus.of(dataset).to_dict()))
    assert (corpus.grid, corpus.figures.pieces) == (dataset.grid, len(dataset.split("train")))
    assert corpus.figures == figures([dataset.rows(int(piece)) for piece in dataset.split("train")], 4)
    rollcore.build_dataset(
        untrained_run.parent / "midi", tmp_path / "x.h5", steps_per_beat=4, planes=PLANES, split=(0, 1, 0)
    )
    empty = Corpus.of(rollcore.open_dataset(tmp_path / "x.h5"))
    assert (empty.figures.pieces, empty.tempo_bpm, empty.time_signature) == (0, None, (4, 4))


def test_music_unlike_the_training_data_is_strange(untrained_run):
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    corpus = Corpus.of(dataset)
    assert set(corpus.manners) <= set(MANNERS)
    pieces = dataset_pieces(dataset, dataset.split("train"))
    changing = [MEASURES["frames that change"](piece) for piece in pieces]
    mean, std = corpus.manners["frames that change"]
    assert (mean, std) == pytest.approx((np.mean(changing), np.std(changing)), abs=1e-6)
    # The same figures, but a bar of one held note after every bar: by the measures it is stranger.
    rows = dataset.rows(int(dataset.split("train")[0]))
    found = figures([rows], 4)
    piece = piece_of("", rows, dataset.planes, 4)
    held = piece_of("", np.repeat(rows[:16], 8, axis=0), dataset.planes, 4)
    assert corpus.strangeness(found, held) > corpus.strangeness(found, piece)


def test_nothing_is_nearer_to_the_training_data_than_they_are(untrained_run):
    """Strangeness is the distance of the nearest piece; a corpus without examples knows the means alone."""
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    corpus = Corpus.of(dataset)
    pieces = dataset_pieces(dataset, dataset.split("train"))
    found = [figures([dataset.rows(int(number))], 4) for number in dataset.split("train")]
    every = [corpus.strangeness(one, piece) for one, piece in zip(found, pieces, strict=True)]
    assert max(every) < 1e-4
    assert max(corpus.strangeness(one) for one in found) < 1e-4
    plain = dataclasses.replace(corpus, examples=())
    score = [
        min(9.0, ((getattr(found[0], name) - mean) / max(std, 1e-3)) ** 2) for name, (mean, std) in plain.spread.items()
    ]
    assert plain.strangeness(found[0]) == pytest.approx(np.mean(score))


def test_how_long_notes_are_and_where(tmp_path):
    """399 notes of one beat on C4, and one of eight beats on C6, which is too rare to be an example."""
    notes = [(480 * i, 480 * i + 480, 60, 80, 0, 0) for i in range(399)] + [(480 * 399, 480 * 407, 84, 80, 0, 0)]
    rollcore.write_midi(rollcore.Midi.from_notes(notes), tmp_path / "x.mid")
    rollcore.build_dataset(
        tmp_path / "x.mid", tmp_path / "x.h5", steps_per_beat=4, planes=PLANES, split=(1, 0, 0), align=False
    )
    corpus = Corpus.of(rollcore.open_dataset(tmp_path / "x.h5"))
    assert (corpus.held, corpus.reach) == (4, (60, 60))
    assert corpus.leaps == (round(1 / 399, 4), round(1 / 399, 4))
    assert corpus.home == 1.0


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.clear(),
        lambda facts: facts["grid"].update(rate="0"),
        lambda facts: facts["grid"].update(rate="1/0"),
        lambda facts: facts["figures"].update(density="much"),
        lambda facts: facts["figures"].pop("density"),
        lambda facts: facts.update(tempo_bpm=1e9),
        lambda facts: facts.update(tempo_bpm="fast"),
        lambda facts: facts.update(time_signature=[4, 3]),
        lambda facts: facts.update(time_signature=4),
        lambda facts: facts.update(reading=[]),
        lambda facts: facts.update(manners={"a mood": [0, 1]}),
        lambda facts: facts["keys"].update(shares=[]),
        lambda facts: facts.update(rhythms=[[3, 0.5]]),
        lambda facts: facts.update(held=0),
        lambda facts: facts.update(reach=[60, 59]),
        lambda facts: facts.update(leaps=[0.5]),
        lambda facts: facts.update(examples=[[0.0]]),
        lambda facts: facts.update(home=2),
        lambda facts: facts.update(cool=0),
    ],
)
def test_facts_of_the_training_data_that_cannot_be_are_refused(untrained_run, tmp_path, change):
    config, arrays, facts = read_weights(untrained_run / "model.safetensors")
    change(facts)
    save_weights(config, arrays, tmp_path / "m.safetensors", facts)
    with pytest.raises(RunError, match="what it says of its training data is damaged"):
        Generator.load(tmp_path / "m.safetensors")
