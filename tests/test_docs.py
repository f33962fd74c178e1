"""The Python of the documents, run as a reader would: block after block, in a folder with a few files."""

import re
import shutil
from pathlib import Path

import pytest

import rollcore

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
    paths = rollcore.make_chords(tmp_path / "midi")
    shutil.copy(paths[0], tmp_path / "x.mid")
    for path in paths[20:]:
        path.unlink()
    monkeypatch.chdir(tmp_path)
    rollcore.build_dataset("midi", "my.h5", steps_per_beat=4, planes=("sounding", "onset"), split=(8, 1, 1))
    blocks = BLOCK.findall((ROOT / page).read_text("utf-8"))
    assert blocks
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        if "import torch" in block:
            try:
                import torch  # noqa: F401
            except ModuleNotFoundError:
                continue
        exec(compile(block, page, "exec"), names)
    keras.backend.clear_session()
