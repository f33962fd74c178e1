"""The page of figures is what the results say."""

from pathlib import Path

import pytest
from quality.cards import read_scores
from quality.examples import EXAMPLES, command
from quality.heldout import split_files
from quality.report import write_report

ROOT = Path(__file__).parents[1]


def test_the_page_is_that_of_the_results(tmp_path):
    write_report(ROOT / "quality" / "results", tmp_path / "quality.md")
    assert (tmp_path / "quality.md").read_text() == (ROOT / "docs" / "quality.md").read_text()


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
