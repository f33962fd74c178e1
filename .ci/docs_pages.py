"""Pages of the site that lie elsewhere in the repository: the benchmarks' results."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

RESULTS = Path(__file__).parents[1] / "benchmarks" / "RESULTS.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the results as a page."""
    files.append(File.generated(config, "benchmarks.md", content=RESULTS.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Point links to the results to that page."""
    return markdown.replace("../benchmarks/RESULTS.md", "benchmarks.md")
