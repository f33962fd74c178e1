"""The page of figures is what the results say."""

from pathlib import Path

from quality.examples import EXAMPLES, command
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
