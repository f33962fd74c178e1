"""`seq2seq evaluate`: its table, JSON, what it says of another dataset, and mistakes in one line."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest

pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from rollcore import open_dataset
from seq2seq import Generator
from seq2seq.cli import run_one
from seq2seq.run import Run
from seq2seq.sampling.corpus import metre_of

main = partial(run_one, "evaluate")


def test_the_table_after_the_training_is_that_of_the_evaluation(data, told, capsys):
    kept = Run.open(told.path).evaluation()
    assert main([str(told.path), str(data)]) == 0
    evaluated = capsys.readouterr().out
    row = next(line for line in evaluated.splitlines() if line.startswith("model "))
    figures = row.removeprefix("model").split()
    assert any(line.split()[-len(figures) :] == figures for line in told.text.splitlines() if "(epoch" in line)
    assert "windows 3 frames apart" in told.text
    assert "windows 3 frames apart" in evaluated
    assert "another dataset" not in evaluated
    [ends] = [line for line in evaluated.splitlines() if line.startswith("where pieces end")]
    assert ends in told.text.splitlines()
    table = told.text[told.text.index("test split") :].splitlines()
    assert [line.split()[0] for line in table[2:6]] == ["seq2seq", "unigram", "markov", "repeat"]
    assert kept == Run.open(told.path).evaluation()


def test_it_is_said_in_json_too(data, run, capsys):
    assert main([str(run), str(data), "--split", "validation", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["scores"]) == ["model", "unigram", "markov", "repeat"]
    assert result["scores"]["model"]["frames"] == 25
    dataset, endings = open_dataset(data), Generator.load(run).corpus.endings
    chance = 1 / np.mean([len(dataset.rows(int(i))) for i in dataset.split("train")])
    of_model, of_length = [], []
    for piece in dataset.split("validation").tolist():
        rows = dataset.rows(piece)
        over = 1 / (1 + np.exp(-endings.logits(rows, metre_of(dataset.grid, dataset.bar(piece)))))
        of_model.append(-np.log(over[-1] * np.prod(1 - over[:-1])))
        of_length.append(-np.log(chance * (1 - chance) ** (len(rows) - 1)))
    assert result["endings"]["model"] == pytest.approx(np.mean(of_model), rel=1e-6)
    assert result["endings"]["mean_length"] == pytest.approx(np.mean(of_length), rel=1e-6)
    assert Run.open(run).evaluation() is None, "that of the run is of its test split"


def test_a_run_that_cannot_be_written_or_has_no_weights_for_sampling_is_evaluated(data, run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "evaluation.json").mkdir()  # nothing can be put into its place
    assert main([str(copy), str(data)]) == 0
    captured = capsys.readouterr()
    assert "where pieces end" in captured.out
    assert "not kept in the run: " in captured.err
    (copy / "model.safetensors").unlink()
    assert main([str(copy), str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["endings"] is None


def test_what_was_trained_on_another_dataset_is_said_to_be(other_data, run, capsys):
    assert main([str(run), str(other_data)]) == 0
    assert "may have been trained on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["{data}"], 1, "not a run folder"),
        (["{tmp}"], 1, "not a run folder"),
        (["{run}", "{data}", "--split", "nonesuch"], 2, "nonesuch"),
        (["{run}", "--hop", "7"], 2, "hop 7"),
        (["{run}", "--hop", "0"], 2, "--hop"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, status, said, data, run, tmp_path, capsys):
    assert main([argument.format(data=data, run=run, tmp=tmp_path) for argument in arguments]) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
