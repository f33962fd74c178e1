"""The page of figures is what the results say."""

from pathlib import Path

from quality.report import write_report

ROOT = Path(__file__).parents[1]


def test_the_page_is_that_of_the_results(tmp_path):
    write_report(ROOT / "quality" / "results", tmp_path / "quality.md")
    assert (tmp_path / "quality.md").read_text() == (ROOT / "docs" / "quality.md").read_text()
