"""The table that a training ends with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.cli import train
from seq2seq.training import metrics


@pytest.mark.parametrize("same", [True, False])
def test_a_dataset_that_was_replaced_meanwhile_is_told(monkeypatch, capsys, tmp_path, same):
    score = {"nats_per_frame": 1.0, "f1": 0.5}
    found = {"scores": {"model": score, "markov": score}, "hop": 4, "trained_on_it": same, "endings": None}
    kept = []
    run = SimpleNamespace(config=SimpleNamespace(model="seq2seq"), keep_evaluation=kept.append)
    monkeypatch.setattr(train, "evaluate", lambda *_, **__: found)
    monkeypatch.setattr(train.Run, "open", lambda _: run)
    monkeypatch.setattr("rollcore.open_dataset", lambda _: SimpleNamespace(split=lambda _: [0]))
    monkeypatch.setattr(metrics, "score_table", lambda _: "the table")
    train._report("x.h5", tmp_path, {"best_epoch": 3}, False, "runs/x")
    told = capsys.readouterr().out
    assert "the table" in told
    assert kept == [found]
    assert ("x.h5 was replaced during the training" in told) is not same
