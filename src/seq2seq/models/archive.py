"""A Keras model file is looked at before Keras loads it: what it names, what it would build, where its weights lie.

A ``.keras`` file is a zip archive of a configuration, from which Keras builds the model, and an HDF5 file of weights.
Safe mode refuses lambdas; but releases of Keras that we allow have called whatever function a configuration named
(CVE-2025-1550), built a model of any size, and read weights that lie in another file of the machine. Nothing here
imports Keras.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import h5py

from rollcore import hdf5
from seq2seq.errors import RunError
from seq2seq.models.config import ModelConfig
from seq2seq.models.weights import weight_shapes

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {"metadata.json", _CONFIG, _WEIGHTS}
_MAX_CONFIG_BYTES = 1 << 20
# A model has some hundred layers, groups and weights, and its optimizer as many.
_MAX_OBJECTS = 10_000
# The weights, the two moments of Adam and the moving average; and what HDF5 takes for each object.
_COPIES, _OVERHEAD_BYTES = 5, 8 << 20

# What a saved model is made of, by package and class; which module of Keras has Adam depends on the backend.
_PARTS = {
    *(("seq2seq", kind) for kind in ("Blog", "Seq2Seq", "Tied", "RollLoss", "Schedule")),
    ("keras", "Adam"),
}


def check_archive(path: Path, config: ModelConfig | None) -> None:
    """Raise unless a file is a Keras model of this package, and that of *config* where one is given.

    Raises
    ------
    RunError
        If there is no such file; if its configuration names what no model here is made of, or is not *config*; or if
        its weights are not as many as the configuration asks for, compressed, or not all in the file itself.
    """
    if not path.is_file():
        raise RunError(f"{path}: no model here: train one with seq2seq train")
    try:
        with ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if set(members) != _MEMBERS or len(archive.infolist()) != len(members):
                raise ValueError(f"it does not consist of {', '.join(sorted(_MEMBERS))}")
            if members[_CONFIG].file_size > _MAX_CONFIG_BYTES:
                raise ValueError(f"its {_CONFIG} has {members[_CONFIG].file_size:,} bytes")
            described = json.loads(archive.read(_CONFIG))
            _check_parts(described)
            found = ModelConfig.from_dict(described["config"]["config"])
            weights = members[_WEIGHTS]
            if config is None or found == config:
                _check_size(found, weights.file_size)
                if weights.compress_type != ZIP_STORED:
                    raise ValueError("its weights are compressed")
                with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as file:
                    hdf5.check_all(file, _MAX_OBJECTS)
    except Exception as error:  # a damaged archive leads zipfile, json and HDF5 to whatever they raise
        raise unloadable(path, error) from error
    if config is not None and found != config:
        raise RunError(f"{path}: not the model that config.json describes: put its own back, or train it again")


def unloadable(path: Path, error: Exception) -> RunError:
    """Return what is said of a file that cannot be loaded, in one line."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return RunError(f"{path}: not a model that can be loaded ({reason}): train it again")


def _check_size(config: ModelConfig, size: int) -> None:
    """Raise ValueError unless so many bytes can hold the weights of *config*, and little more."""
    least = 0
    for _, shape in weight_shapes(config):
        least += 4 * math.prod(shape)
        if least > size:
            raise ValueError(f"its weights have {size:,} bytes, fewer than its configuration asks for")
    if size > _COPIES * least + _OVERHEAD_BYTES:
        raise ValueError(f"its weights have {size:,} bytes, more than its configuration asks for")


def _check_parts(config: Any) -> None:
    """Raise ValueError unless a saved configuration names nothing but what a model of this package is made of."""
    if isinstance(config, dict):
        if "class_name" in config:
            module, name = str(config.get("module")), config["class_name"]
            if (module.partition(".")[0], name) not in _PARTS:
                raise ValueError(f"it names {module}.{name}, which no model here has")
        for value in config.values():
            _check_parts(value)
    elif isinstance(config, list):
        for value in config:
            _check_parts(value)
