"""What is stored of the training data: a primer is read as the files of the dataset were."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rollcore
from seq2seq.sampling.corpus import Corpus


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
