"""A model file is looked at before Keras loads it: what it names, what it would build, where its weights lie."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.errors import RunError  # noqa: E402
from seq2seq.models.architectures import build_model, load_model  # noqa: E402
from seq2seq.models.archive import unloadable  # noqa: E402
from seq2seq.models.config import ModelConfig  # noqa: E402


def test_a_file_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(RunError, match="no model here"):
        load_model(tmp_path / "none.keras")
    (tmp_path / "junk.keras").write_bytes(b"junk")
    with pytest.raises(RunError, match="not a model that can be loaded"):
        load_model(tmp_path / "junk.keras")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(RunError, match=r"names keras.Sequential, which no model here has"):
        load_model(tmp_path / "other.keras")


def test_a_model_file_is_never_asked_to_call_a_function(tmp_path):
    """What safe mode has let through (CVE-2025-1550): a function of any module, in the place of a layer."""
    build_model(ModelConfig(units=4, low=60, high=71)).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["more"] = [
        {"module": "os", "class_name": "function", "config": "abort", "registered_name": "abort"}
    ]
    odd = json.loads(parts["config.json"])
    odd["compile_config"] = {"steps_per_execution": {}}
    for name, content, reason in [
        ("config.json", json.dumps(config).encode(), "it names os.function"),
        ("config.json", json.dumps(odd).encode(), "not a model that can be loaded"),
        ("config.json", b"[" * 100_000, "not a model that can be loaded"),
        ("model.weights.h5", parts["model.weights.h5"][:5000], "not a model that can be loaded"),
    ]:
        with zipfile.ZipFile(tmp_path / "made.keras", "w") as archive:
            for part, held in {**parts, name: content}.items():
                archive.writestr(part, held)
        with pytest.raises(RunError, match=reason):
            load_model(tmp_path / "made.keras")
    whole = (tmp_path / "good.keras").read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.keras").write_bytes(whole[:length])
        with pytest.raises(RunError, match="not a model that can be loaded"):
            load_model(tmp_path / "cut.keras")


def rewrite_weights(source, target, change, compression=zipfile.ZIP_STORED, **parts):
    """Write a model file anew whose HDF5 file *change* has been at."""
    with zipfile.ZipFile(source) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO(held["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    held["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in {**held, **parts}.items():
            archive.writestr(name, content)


def replaced(make):
    """Replace the first weight of a file by what *make* creates in its place."""

    def change(file):
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.ndim else None)
        shape = file[found[0]].shape
        del file[found[0]]
        make(file, found[0], shape)

    return change


def virtual(file, name, shape):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape)
    file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            replaced(
                lambda file, name, shape: file.create_dataset(name, shape, "f4", external=[("/etc/hostname", 0, 9999)])
            ),
            "data in another file",
        ),
        (replaced(virtual), "virtual dataset"),
        (replaced(lambda file, name, shape: file.create_dataset(name, shape, "f4", compression="gzip")), "compressed"),
        (replaced(lambda file, name, _: file.__setitem__(name, h5py.ExternalLink("/etc/x.h5", "y"))), "a link"),
        (replaced(lambda file, name, _: file.__setitem__(name, h5py.SoftLink("/layers"))), "a link"),
        (
            lambda file: file.__setitem__("more", np.zeros(3_000_000, np.float32)),
            "more than its configuration asks for",
        ),
        (lambda file: [file.create_group(f"g{i}") for i in range(10_001)], "more than 10,000 objects"),
    ],
)
def test_weights_that_lie_elsewhere_are_never_read(tmp_path, monkeypatch, change, said):
    build_model(ModelConfig(units=4, low=60, high=71)).save(tmp_path / "good.keras")
    rewrite_weights(tmp_path / "good.keras", tmp_path / "made.keras", change)
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras was asked to load it"))
    with pytest.raises(RunError, match=said):
        load_model(tmp_path / "made.keras")


def test_a_model_is_that_of_its_run_before_it_is_built(tmp_path, monkeypatch):
    small = ModelConfig(units=4, low=60, high=71)
    build_model(small).save(tmp_path / "good.keras")
    assert load_model(tmp_path / "good.keras", small).config == small
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras was asked to build it"))
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["config"]["units"] = 10**6  # as many as a configuration may have
    huge = {"config.json": json.dumps(config)}
    rewrite_weights(tmp_path / "good.keras", tmp_path / "made.keras", lambda file: None, **huge)
    with pytest.raises(RunError, match=r"not the model that config\.json describes"):
        load_model(tmp_path / "made.keras", small)
    with pytest.raises(RunError, match="fewer than its configuration asks for"):
        load_model(tmp_path / "made.keras")
    rewrite_weights(tmp_path / "good.keras", tmp_path / "made.keras", lambda file: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(RunError, match="compressed"):
        load_model(tmp_path / "made.keras", small)
    rewrite_weights(tmp_path / "good.keras", tmp_path / "made.keras", lambda file: None, more=b"")
    with pytest.raises(RunError, match="does not consist of"):
        load_model(tmp_path / "made.keras", small)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("a cut\nand more lines"), "a cut"), (EOFError(), "EOFError"), (OSError(" "), "OSError")],
)
def test_whatever_a_damaged_file_raises_is_one_line(error, reason):
    assert (
        str(unloadable(Path("x.keras"), error)) == f"x.keras: not a model that can be loaded ({reason}): train it again"
    )
