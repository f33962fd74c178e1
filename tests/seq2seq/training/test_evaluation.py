"""The evaluation of a run: where its threshold is fitted, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import DatasetError, open_dataset
from seq2seq import evaluate
from seq2seq.training import metrics


def test_the_threshold_is_fitted_where_nothing_is_scored(data, run, monkeypatch):
    fitted = []
    fit = metrics.fit_threshold
    monkeypatch.setattr(metrics, "fit_threshold", lambda net, batches: fitted.append(batches) or fit(net, batches))
    evaluate(run, data, split="test")
    assert [batches.pieces.tolist() for batches in fitted] == [open_dataset(data).split("validation").tolist()]


def test_a_run_without_its_dataset_or_its_model_is_refused(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    facts = json.loads((copy / "config.json").read_text())
    facts["dataset"]["path"] = str(tmp_path / "gone.h5")
    (copy / "config.json").write_text(json.dumps(facts))
    with pytest.raises(DatasetError, match="the dataset of the run is gone: name it as DATA"):
        evaluate(copy)
    shutil.copy(run / "config.json", copy)
    (copy / "best.keras").unlink()
    with pytest.raises(Exception, match="no model here"):
        evaluate(copy)
