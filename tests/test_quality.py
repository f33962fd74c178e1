"""The page of figures is what the results say."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from quality.__main__ import Together, recipes
from quality.cards import read_scores
from quality.examples import EXAMPLES, command
from quality.heldout import split_files
from quality.presets import split_of
from quality.report import write_report

ROOT = Path(__file__).parents[1]


def test_the_page_is_that_of_the_results(tmp_path):
    write_report(ROOT / "quality" / "results", tmp_path / "quality.md")
    assert (tmp_path / "quality.md").read_text() == (ROOT / "docs" / "quality.md").read_text()


def test_trainings_of_other_seeds_and_what_they_say_together(tmp_path):
    def keep(name, nats, **more):
        whole = json.loads((ROOT / "quality" / "results" / "jsb-autoregressive.json").read_text())
        whole["scores"]["test"]["nats_per_frame"] = nats
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(whole | more))

    keep("jsb-autoregressive.json", 4.1)
    keep("jsb-autoregressive-seed-1.json", 4.2)
    keep("jsb-autoregressive-seed-2.json", 4.3)
    keep("jsb-autoregressive-no-echo.json", 9.9)
    keep("together/jsb-autoregressive.json", 3.94, seeds=[1, 2])
    write_report(tmp_path, tmp_path / "quality.md")
    page = (tmp_path / "quality.md").read_text()
    assert "| ours, `tied`, mean over seeds | 4.200 ± 0.100 (3) | –" in page  # noqa: RUF001
    assert "| ours, `tied`, together | 3.940 (2) | –" in page  # noqa: RUF001
    assert "- JSB: misses the target by 0.15, after 7 CPU minutes of training; 2 trainings together meet it." in page


def test_the_logits_of_models_together_are_the_mean():
    def model(logit):
        return SimpleNamespace(config="c", predict_on_batch=lambda inputs: np.full(2, logit + inputs["x"]))

    both = Together([model(1.0), model(4.0)])
    assert both.config == "c"
    assert both.predict_on_batch({"x": 0.5}).tolist() == [3.0, 3.0]


def test_recipes_without_a_memory_have_none():
    for name, recipe in recipes().items():
        model = recipe["model"]
        assert not name.endswith(("-no-echo", "-no-memory")) or not model["echo"]
        assert not name.endswith("-no-memory") or not model["lags"]


def test_forty_songs_of_a_folder_and_sixty_others():
    split = split_of([f"{number:03}.mid" for number in range(240)])
    counts = {name: list(split.values()).count(name) for name in ("train", "validation", "test")}
    assert counts == {"train": 36, "validation": 4, "test": 60}
    assert min(split) == "000.mid"
    assert max(split) == "237.mid"


def test_examples_are_told_as_the_commands_that_make_them():
    settings = {"melody": "tune.mid", "num_outputs": 4, "phrasing": False}
    told = command("chorales", settings)
    assert told == "seq2seq generate chorales --harmonize tune.mid --num-outputs 4 --no-phrasing"
    page = (ROOT / "docs" / "examples" / "README.md").read_text()
    for name, model, settings, _ in EXAMPLES:
        assert command(model, settings) in page
        assert (ROOT / "docs" / "examples" / f"{name}.mid").is_file()


def test_every_other_file_is_held_out(tmp_path):
    (tmp_path / "tunes").mkdir()
    for name in ("d.mid", "a.mid", "c.midi", "b.mid", "e.MID", "notes.txt"):
        (tmp_path / "tunes" / name).write_text(name)
    train, reference = split_files(tmp_path / "tunes", tmp_path / "work")
    assert sorted(path.name for path in train.iterdir()) == ["a.mid", "c.midi", "e.MID"]
    assert sorted(path.name for path in reference.iterdir()) == ["b.mid", "d.mid"]


def test_what_a_card_says_of_the_likelihood_is_read_again(tmp_path):
    card = (ROOT / "src" / "seq2seq" / "shipped" / "folk.md").read_text()
    parameters, scores = read_scores(ROOT / "src" / "seq2seq" / "shipped" / "folk.md")
    assert f"{parameters:,} parameters" in card.replace("\n", " ")
    assert f"Test: {scores['model']:.3f} nats" in card
    assert f"{scores['markov']:.3f}" in card
    (tmp_path / "x.md").write_text("# x")
    with pytest.raises(ValueError, match="no card of a model"):
        read_scores(tmp_path / "x.md")
