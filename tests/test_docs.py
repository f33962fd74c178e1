"""The Python of the documents, run as a reader would: block after block, in a folder with a few files."""

import importlib
import re
import shutil
from pathlib import Path

import pytest

import rollcore

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("torch", [False, True], ids=["without PyTorch", "with PyTorch"])
@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_the_python_of_a_page_runs(page, torch, tmp_path, monkeypatch):
    keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
    if torch:
        pytest.importorskip("torch", reason="torch is not installed: pip install 'rollcore[torch]'")
    paths = rollcore.make_chords(tmp_path / "midi")
    shutil.copy(paths[0], tmp_path / "x.mid")
    for path in paths[20:]:
        path.unlink()
    monkeypatch.chdir(tmp_path)
    rollcore.build_dataset("midi", "my.h5", steps_per_beat=4, planes=("sounding", "onset"), split=(8, 1, 1))
    blocks = BLOCK.findall((ROOT / page).read_text("utf-8"))
    chosen = [block for block in blocks if torch or "import torch" not in block]
    assert 0 < len(chosen) == len(blocks) - (not torch)  # each page has one block for PyTorch
    names: dict[str, object] = {"__name__": "page"}
    for block in chosen:
        exec(compile(block, page, "exec"), names)
    keras.backend.clear_session()


def test_the_files_that_a_page_takes_from_the_pack_are_in_it(tmp_path):
    pack = {path.name for path in rollcore.make_chords(tmp_path)}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"\bmidi/(\w+_\w+\.mid)\b", page.read_text("utf-8"))}
    assert named
    assert named <= pack


def test_what_the_reference_names_is_there():
    text = (ROOT / "docs" / "api.md").read_text()
    names = re.findall(r"^::: (rollcore[\w.]*)$", text, re.MULTILINE)
    assert len(names) > 10
    for name in names:
        module, _, last = name.rpartition(".")
        found = getattr(importlib.import_module(module), last, None)
        assert found is not None or importlib.import_module(name), name


def test_the_site_has_every_page_in_its_menu():
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    pages = set(re.findall(r" ([\w/-]+\.md)$", menu, re.MULTILINE))
    docs = ROOT / "docs"
    # The benchmarks' results lie elsewhere and become a page when the site is built.
    assert pages == {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} | {"benchmarks.md"}
