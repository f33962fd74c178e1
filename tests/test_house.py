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
        "selection",
        "console",
        "storage",
        "_smf",
        "_roll",
        "midi",
        "midi_writer",
        "grid",
        "roll",
        "sources.members",
        "sources.zips",
        "sources.tars",
        "sources.archives",
        "sources.folders",
        "sources.lists",
        "sources.parquet",
        "sources.inputs",
        "sources.splits",
        "hdf5",
        "dataset",
        "writer",
        "layout",
        "_batches",
        "batches",
        "windowing",
        "loading",
        "ledger",
        "update",
        "build",
        "merge",
        "distributed",
        "export",
        "sources.chords",
        "sources.pack",
        "sources.matfile",
        "show.plot",
        "show.sound",
        "show.summary",
        "show.instruments",
        "show.tracks",
        "cli.options",
        "cli.make",
        "cli.build",
        "cli.merge",
        "cli.export",
        "cli.inspect",
        "cli.show",
        "cli",
        "entry",
    ],
    "seq2seq": [
        "errors",
        "models.config",
        "output.tables",
        "models._echo",
        "models.echo",
        "models.schedule",
        "models.weights",
        "models.archive",
        "shipped",
        "steps",
        "run",
        "output.losses",
        "output.curves",
        "training.presets",
        "training.startup",
        "training.devices",
        "training.cores",
        "training.feed",
        "models.layers",
        "models.recurrence",
        "models.architectures",
        "training.metrics",
        "training.progress",
        "training.epochs",
        "sampling._kernels",
        "sampling.stepping",
        "output.theory",
        "output.figures",
        "output.notation",
        "output.player",
        "output.composition",
        "output.measures",
        "output.resemblance",
        "output.page",
        "output.export",
        "sampling.endings",
        "sampling.line",
        "sampling.tonality",
        "sampling.phrasing",
        "sampling.parts",
        "sampling.sampler",
        "sampling.corpus",
        "sampling.request",
        "output.comparison_page",
        "output.report_page",
        "sampling.primer",
        "sampling.generator",
        "sampling.fitting",
        "training.samples",
        "training.listening",
        "training.evaluation",
        "training.tensorboard_mirror",
        "training.mlflow_mirror",
        "training.tracking",
        "training.fit",
        "training.comparison",
        "training.sweep",
        "deploy.answers",
        "deploy.server",
        "deploy.mlflow_music",
        "deploy.registry",
        "cli.options",
        "cli.train",
        "cli.generate",
        "cli.evaluate",
        "cli.compare",
        "cli.report",
        "cli.models",
        "cli.serve",
        "cli.push",
        "cli.sweep",
        "cli",
        "entry",
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


def modules(package):
    """Source files of a package by the dotted name within it; a wing without code of its own is left out."""
    found = {}
    for path in (SRC / package).rglob("*.py*"):
        name = ".".join(path.relative_to(SRC / package).with_suffix("").parts).removesuffix(".__init__")
        if path.suffix in (".py", ".pyx") and name not in ("__init__", "__main__"):
            found[name] = path
    return {name: path for name, path in found.items() if path.stem != "__init__" or "import" in path.read_text()}


def module_of(imported, package):
    """Which module of a package an imported name is, or lies in; None for anything else."""
    parts = imported.split(".")
    for end in range(len(parts), 1, -1):
        if parts[0] == package and ".".join(parts[1:end]) in ORDER[package]:
            return ".".join(parts[1:end])
    return None


@pytest.mark.parametrize("package", ORDER)
def test_modules_import_only_what_stands_above_them(package):
    files = modules(package)
    assert sorted(files) == sorted(ORDER[package]), "every module has its place in the order"
    for position, name in enumerate(ORDER[package]):
        for imported in imports(files[name]):
            owner = module_of(imported, package)
            assert owner is None or ORDER[package].index(owner) < position or owner == name, (
                f"{package}.{name} imports {owner}, which stands below it"
            )


def test_rollcore_knows_nothing_of_the_models():
    for path in modules("rollcore").values():
        owners = {module.partition(".")[0] for module in imports(path)}
        assert not owners & {"keras", "tensorflow", "seq2seq"}, path


def test_seq2seq_uses_the_public_names_of_rollcore():
    # How both packages meet a command line, write files, check HDF5, and reach storage.
    shared = {"console", "entry", "files", "hdf5", "storage", None}
    for name, path in modules("seq2seq").items():
        for imported in imports(path):
            assert module_of(imported, "rollcore") in shared, f"{name} imports {imported}"


@pytest.mark.parametrize(
    ("statement", "unloaded"),
    [
        ("import rollcore, seq2seq, rollcore.cli", "numpy h5py keras tensorflow matplotlib mido scipy"),
        (
            "import seq2seq.cli.train, seq2seq.cli.generate, seq2seq.cli.evaluate, seq2seq.cli.compare",
            "keras tensorflow matplotlib scipy",
        ),
        ("import rollcore.build", "keras tensorflow matplotlib scipy"),
    ],
)
def test_heavy_imports_wait_for_the_command_that_needs_them(statement, unloaded):
    code = f"import sys; {statement}; print(sorted(set('{unloaded}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tests_mirror_the_modules():
    missing = set()
    for package in ORDER:
        for name in modules(package):
            folder, _, last = name.rpartition(".")
            path = SRC.parent / "tests" / package / folder.replace(".", "/") / f"test_{last}.py"
            service = SRC.parent / "tests" / "services" / path.name  # with a real program
            if not last.startswith("_") and not path.exists() and not service.exists():
                missing.add(f"{package}.{name}")
    assert not missing, "modules without a test file of their own"
