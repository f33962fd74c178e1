"""The search of docs/how-to/search.md with the real Optuna, over fewer and smaller trials."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install optuna")

from seq2seq import Run  # noqa: E402
from small_dataset import write_dataset  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "search.md"


def test_the_search_of_the_page_runs(tmp_path, monkeypatch):
    block = re.search(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[1]
    for before, after in (("n_trials=30", "n_trials=2"), ("epochs=5", "epochs=1"), ("16, 128", "3, 4")):
        assert block.count(before) == 1
        block = block.replace(before, after)
    shutil.copy(write_dataset(tmp_path), tmp_path / "my.h5")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(block, str(PAGE), "exec"), names)
    study = names["study"]
    runs = [Run.open(tmp_path / "runs" / "search" / str(trial.number)) for trial in study.trials]
    for run, trial in zip(runs, study.trials, strict=True):
        assert trial.state == optuna.trial.TrialState.COMPLETE
        assert run.config.units == trial.params["units"]
        assert run.history()[0]["validation_nats_per_frame"] == pytest.approx(trial.value, abs=1e-6)
