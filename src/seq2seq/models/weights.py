"""The weights that sampling needs, as a safetensors file: `model.safetensors` of a run, or a model on its own.

The file holds float32 arrays by name and one entry of metadata, ``seq2seq``, which is JSON::

    {"version": 1, "model": {the fields of ModelConfig}, "facts": {what generation needs of the training data}}

Whether the arrays fit the configuration is decided from the header, before any of them is read: a crafted file costs
no more memory than its own size. Nothing here imports Keras.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollcore import RollcoreError
from rollcore.files import whole_file
from seq2seq.errors import RunError
from seq2seq.models.config import ModelConfig
from seq2seq.models.echo import DEGREES, TRUST

Arrays = dict[str, NDArray[np.float32]]

VERSION = 1
#: The header of a real file has a few kilobytes.
MAX_HEADER_BYTES = 1 << 20
_ENTRY = "seq2seq"
# What Keras names between a layer and its weights; inner layers of a wrapper are numbered.
_INNER = re.compile(r"(lstm_cell|dense)(_\d+)?")


def write_weights(net: Any, path: str | Path, facts: Mapping[str, Any] | None = None) -> None:
    """Write the weights of a Keras model for sampling; the file takes its place when it is whole.

    Parameters
    ----------
    net
        A model of `seq2seq.models.architectures`, with the weights that are to be kept.
    path
        The file.
    facts
        What generation needs of the training data, as JSON can hold it.

    Raises
    ------
    RunError
        If a weight is not a number.
    RollcoreError
        If the file cannot be written.
    """
    arrays = arrays_of(net)
    if broken := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise RunError(f"{path}: the weights {broken[0]} are not numbers: train with a lower learning rate")
    save_weights(net.config, arrays, path, facts)


def save_weights(
    config: ModelConfig, arrays: Mapping[str, NDArray[np.float32]], path: str | Path, facts: Mapping[str, Any] | None
) -> None:
    """Write what `read_weights` reads."""
    from safetensors.numpy import save

    # One entry: the order of several would not be the same from file to file.
    entry = {"version": VERSION, "model": config.to_dict(), "facts": dict(facts or {})}
    data = save(dict(arrays), {_ENTRY: json.dumps(entry)})
    with whole_file(path) as file:
        file.write(data)


def read_weights(path: str | Path) -> tuple[ModelConfig, Arrays, dict[str, Any]]:
    """Return configuration, arrays and facts of a file that `write_weights` wrote.

    Raises
    ------
    RunError
        If there is no such file, or it is damaged, of another version, or its arrays are not those of its
        configuration.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise RunError(f"{path}: no weights for sampling: train the run again")
    try:
        with open(path, "rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > MAX_HEADER_BYTES:
            raise ValueError(f"its header claims {header:,} bytes, more than {MAX_HEADER_BYTES:,}")
        with safe_open(path, framework="numpy") as tensors:
            config, facts = _entry(tensors.metadata() or {})
            names = set(tensors.keys())
            wanted = dict(islice(weight_shapes(config), len(names) + 1))  # a crafted one could claim any number
            if differing := sorted(names ^ set(wanted)):
                raise ValueError(f"{differing[0]} is not in both its arrays and its configuration")
            for name, shape in wanted.items():
                found = tensors.get_slice(name)
                if (found.get_dtype(), tuple(found.get_shape())) != ("F32", shape):
                    raise ValueError(f"{name} is {found.get_dtype()} {found.get_shape()}, expected F32 {list(shape)}")
            arrays: Arrays = {name: np.array(tensors.get_tensor(name)) for name in wanted}
        if broken := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
            raise ValueError(f"{broken[0]} holds what is not a number")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError, OverflowError, RollcoreError) as error:
        raise RunError(f"{path}: not weights of a model ({error}): train the run again") from error
    return config, arrays, facts


def _entry(metadata: Mapping[str, str]) -> tuple[ModelConfig, dict[str, Any]]:
    """Return configuration and facts from the metadata, or raise ValueError, TypeError, KeyError or RollcoreError."""
    if _ENTRY not in metadata:
        raise ValueError("its metadata is not of this package")
    entry = json.loads(metadata[_ENTRY])
    if not isinstance(entry, dict) or entry.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    if not isinstance(entry["model"], dict) or not isinstance(entry["facts"], dict):
        raise ValueError("its metadata lacks model or facts")
    return ModelConfig.from_dict(entry["model"]), entry["facts"]


def arrays_of(net: Any) -> Arrays:
    """Return the weights of a Keras model by the names of `weight_shapes`, as float32 arrays of their own."""
    return {_name(variable.path): np.array(variable.numpy(), np.float32, order="C") for variable in net.weights}


def _name(path: str) -> str:
    """Return the name of a weight in the file: its path in Keras, less the model and the inner layers."""
    return "/".join(part for part in path.split("/")[1:] if not _INNER.fullmatch(part))


def weight_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every weight of a model of *config*."""
    shapes = {"blog": _blog_shapes, "seq2seq": _seq2seq_shapes, "tied": _tied_shapes}
    yield from shapes[config.model](config)


def _dense(name: str, inputs: int, units: int, bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}/kernel", (inputs, units)
    if bias:
        yield f"{name}/bias", (units,)


def _lstm(name: str, inputs: int, units: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}/kernel", (inputs, 4 * units)
    yield f"{name}/recurrent_kernel", (units, 4 * units)
    yield f"{name}/bias", (4 * units,)


def _stacks(config: ModelConfig, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("encoder", "decoder"):
        for stack in names_by_voice(config, part):
            for layer in range(config.layers):
                yield from _lstm(f"{stack}_{layer}", config.units if layer else inputs, config.units)


def _context(config: ModelConfig) -> int:
    """Width of what a conditional model is told beside the last frame: beat, validity, key shift, countdown."""
    return 2 * len(config.periods) + 1 + 12 + len(config.countdown)


def names_by_voice(config: ModelConfig, part: str) -> tuple[str, ...]:
    """Return what a *part* of a conditional model is called for each voice: of one voice, just so."""
    return tuple(f"{part}_{voice}" for voice in range(config.voice_count)) if config.voice_count > 1 else (part,)


def _tied_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    planes, units, conv = len(config.planes), config.units, min(config.conv, config.units)
    frames = len(config.lags) + config.echoes
    recalled = planes * frames
    width, features = 2 * config.reach + 1, 2 * units + recalled
    yield from _stacks(config, units)
    trust = len(TRUST) + config.varied * len(DEGREES) if config.echo else 0
    likeness = (len(config.lags) + trust) * config.voice_count
    for layer in names_by_voice(config, "features"):
        yield f"{layer}/place", (config.pitches, units)
        yield f"{layer}/neighbours/kernel", (width, planes + recalled // config.voice_count, conv)
        yield from _dense(f"{layer}/harmony", 12 * config.voice_count, units, bias=False)
        yield from _dense(f"{layer}/context", _context(config) + likeness, units)
    narrow, own = max(8, conv // 4), planes // config.voice_count
    for head in names_by_voice(config, "head"):
        yield from _dense(f"{head}/narrow", features, narrow)
        yield f"{head}/spread/kernel", (25, narrow, conv)
        yield from _dense(f"{head}/own", features, units)
        yield f"{head}/around/kernel", (width, planes, conv)
        yield from _dense(f"{head}/hidden", units, units)
        if config.head == "autoregressive":
            chosen = max(4, conv // 8)
            yield from _dense(f"{head}/chosen", features, chosen)
            yield f"{head}/below/kernel", (48, 2 * own + 1 + chosen, conv)
            yield from _dense(f"{head}/counts", 4 + 3 * frames, conv, bias=False)
            if config.voice_count > 1:
                yield f"{head}/given/kernel", (width, planes, conv)
                yield from _dense(f"{head}/chord", 12 * planes, units, bias=False)
                yield from _dense(f"{head}/known", config.voice_count + 3 * planes + 2 * recalled, units, bias=False)
        yield from _dense(f"{head}/logit", units, own)


def _seq2seq_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    every = len(config.planes) * config.pitches
    outputs = every // config.voice_count
    features = config.units * (2 if config.attention else 1)
    yield from _stacks(config, every + _context(config))
    for head in names_by_voice(config, "head"):
        yield from _dense(f"{head}/logit", features, outputs)
        if config.head == "autoregressive":
            hidden = 8 * config.pitches
            yield from _dense(f"{head}/entry", features, hidden)
            yield f"{head}/inward", (outputs, hidden)
            yield f"{head}/outward", (hidden, outputs)
            if config.voice_count > 1:
                yield from _dense(f"{head}/given", every, hidden, bias=False)
                yield from _dense(f"{head}/known", config.voice_count, hidden, bias=False)
    if config.attention:
        for attention in names_by_voice(config, "attention"):
            yield f"{attention}/scale", ()


def _blog_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    outputs, units = len(config.planes) * config.pitches, config.units
    inputs = {"encoder": outputs, "decoder": units}
    for stack in ("encoder", "decoder"):
        yield from _lstm(f"{stack}_0", inputs[stack], units)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            yield f"{stack}_norm/{part}", (units,)
        yield from _lstm(f"{stack}_1", units, units)
    yield from _dense("logits", units, outputs)
