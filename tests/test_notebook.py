"""The notebook runs from top to bottom, in a kernel of its own."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_steps.ipynb"

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install 'rollcore[dev]'")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install 'rollcore[dev]'")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install 'rollcore[dev]'")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "is kept without outputs"
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    page = notebook.cells[-1].outputs[-1]["data"]["text/html"]
    assert page.startswith("<iframe srcdoc=")
    assert "first_steps" not in page
    assert "pieces" in notebook.cells[3].outputs[0]["text"]
