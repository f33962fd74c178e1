"""The walls of the house: who may import whom, and what stays unloaded."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"

# A module imports only what stands above it. docs/architecture.md has the same list.
ORDER = {
    "rollcore": [
        "errors",
        "files",
        "repairs",
        "console",
        "_smf",
        "_roll",
        "midi",
        "grid",
        "roll",
        "archives",
        "inputs",
        "dataset",
        "writer",
        "compiled",
        "_batches",
        "batches",
        "windows",
        "build",
        "chords",
        "matfile",
        "plot",
        "sound",
        "summary",
        "cli",
    ],
    "seq2seq": [
        "config",
        "echo",
        "data",
        "layers",
        "model",
        "metrics",
        "epochs",
        "kernels",
        "stepping",
        "sampling",
        "music",
        "score",
        "page",
        "primer",
        "startup",
        "evaluate",
        "train",
        "generate",
        "compare",
    ],
}


def imports(path):
    """Modules that a source file imports, at its top or within a function; type-checking imports are left out."""
    text = path.read_text()
    if path.suffix == ".pyx":
        return re.findall(r"^from (\S+) cimport", text, re.MULTILINE)
    found = []
    tree = ast.parse(text)
    skipped = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.dump(guard.test)
        for node in ast.walk(guard)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("package", ORDER)
def test_modules_import_only_what_stands_above_them(package):
    files = {path.stem: path for path in (SRC / package).glob("*.py*") if path.suffix in (".py", ".pyx")}
    files.pop("__init__")
    assert sorted(files) == sorted(ORDER[package]), "every module has its place in the order"
    for position, name in enumerate(ORDER[package]):
        for module in imports(files[name]):
            owner, _, rest = module.partition(".")
            first = rest.partition(".")[0]
            if owner == package and first in ORDER[package]:
                assert ORDER[package].index(first) < position, (
                    f"{package}.{name} imports {first}, which stands below it"
                )


def test_rollcore_knows_nothing_of_the_models():
    for path in (SRC / "rollcore").glob("*.py"):
        owners = {module.partition(".")[0] for module in imports(path)}
        assert not owners & {"keras", "tensorflow", "seq2seq"}, path


def test_seq2seq_uses_the_public_names_of_rollcore():
    for path in (SRC / "seq2seq").glob("*.py"):
        for module in imports(path):
            # console.py is how both packages speak on a command line, compiled.py how they use Numba, files.py how
            # they write.
            owner, _, rest = module.partition(".")
            inner = set(ORDER["rollcore"]) - {"console", "compiled", "files"}
            assert owner != "rollcore" or rest.partition(".")[0] not in inner, f"{path.name} imports {module}"


@pytest.mark.parametrize(
    ("statement", "unloaded"),
    [
        ("import rollcore, seq2seq, rollcore.cli", "numpy h5py numba keras tensorflow matplotlib mido scipy"),
        (
            "import seq2seq.train, seq2seq.generate, seq2seq.evaluate, seq2seq.compare",
            "keras tensorflow numba matplotlib scipy",
        ),
        ("import rollcore.build", "numba keras tensorflow matplotlib scipy"),
    ],
)
def test_heavy_imports_wait_for_the_command_that_needs_them(statement, unloaded):
    code = f"import sys; {statement}; print(sorted(set('{unloaded}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
