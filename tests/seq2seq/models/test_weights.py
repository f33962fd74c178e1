"""model.safetensors: written from a Keras model, read without Keras, and refused where it does not fit itself."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seq2seq.errors import RunError
from seq2seq.models.config import ModelConfig
from seq2seq.models.weights import arrays_of, read_weights, save_weights, weight_shapes, write_weights

BOTH = ("sounding", "onset")
VOICES = ("sounding:melody", "onset:melody", "sounding:piano", "onset:piano")
SMALL = {"low": 50, "high": 60, "input_frames": 6, "target_frames": 3, "units": 8}
KINDS = {
    "tied": {"model": "tied", "periods": (2, 3), "lags": (2, 4), "echo": 9, "varied": 2, "planes": BOTH, "conv": 40},
    "tied bernoulli": {"model": "tied", "head": "bernoulli", "conv": 5, "layers": 1},
    "seq2seq": {"model": "seq2seq", "periods": (4,), "planes": BOTH},
    "seq2seq bernoulli": {"model": "seq2seq", "head": "bernoulli", "attention": True},
    "blog": {"model": "blog", "head": "bernoulli", "planes": BOTH},
    "voices": {"model": "tied", "planes": VOICES, "lags": (2, 4), "echo": 9, "varied": 1},
    "voices of seq2seq": {"model": "seq2seq", "planes": VOICES, "attention": True},
}


def config_of(kind):
    return ModelConfig(**(SMALL | KINDS[kind]))


def random_arrays(config, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in weight_shapes(config)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_of_a_keras_model_is_what_is_read(kind, tmp_path):
    pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
    from seq2seq.models.architectures import build_model

    build_model(config_of(kind))  # inner layers of a second model are numbered
    net = build_model(config_of(kind))
    write_weights(net, tmp_path / "model.safetensors", {"grid": {"unit": "beats", "rate": "4"}})
    config, arrays, facts = read_weights(tmp_path / "model.safetensors")
    assert config == net.config
    assert facts == {"grid": {"unit": "beats", "rate": "4"}}
    # Every weight is there, in Keras's order, by its shape and values.
    assert sum(array.size for array in arrays.values()) == net.count_params()
    for array, variable in zip(arrays_of(net).values(), net.weights, strict=True):
        assert np.array_equal(array, np.array(variable))
    assert all(np.array_equal(array, arrays[name]) for name, array in arrays_of(net).items())


def test_a_model_of_one_voice_has_the_weights_that_runs_already_have():
    """As files of the models that were trained before voices had parts of their own."""
    config = ModelConfig(model="tied", planes=BOTH, low=50, high=60, units=8, layers=1, reach=3, lags=(2, 4), echo=9)
    assert dict(weight_shapes(config)) == {
        "encoder_0/kernel": (8, 32),
        "encoder_0/recurrent_kernel": (8, 32),
        "encoder_0/bias": (32,),
        "decoder_0/kernel": (8, 32),
        "decoder_0/recurrent_kernel": (8, 32),
        "decoder_0/bias": (32,),
        "features/place": (11, 8),
        "features/neighbours/kernel": (7, 8, 8),
        "features/harmony/kernel": (12, 8),
        "features/context/kernel": (25, 8),
        "features/context/bias": (8,),
        "head/narrow/kernel": (22, 8),
        "head/narrow/bias": (8,),
        "head/spread/kernel": (25, 8, 8),
        "head/own/kernel": (22, 8),
        "head/own/bias": (8,),
        "head/around/kernel": (7, 2, 8),
        "head/hidden/kernel": (8, 8),
        "head/hidden/bias": (8,),
        "head/chosen/kernel": (22, 4),
        "head/chosen/bias": (4,),
        "head/below/kernel": (48, 9, 8),
        "head/counts/kernel": (13, 8),
        "head/logit/kernel": (8, 2),
        "head/logit/bias": (2,),
    }


def test_a_model_of_several_voices_of_before_is_to_be_trained_again(tmp_path):
    """Then all voices were read by the same layers."""
    config, path = config_of("voices"), tmp_path / "m.safetensors"
    before = {name.replace("encoder_0_", "encoder_"): array for name, array in random_arrays(config).items()}
    save_weights(config, before, path, {})
    with pytest.raises(RunError, match=r"^[^\n]*encoder_0[^\n]*: train the run again$"):
        read_weights(path)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    config = config_of("tied")
    for name in "ab":
        save_weights(config, random_arrays(config), tmp_path / name, {"grid": {"rate": "4"}, "options": {}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_reading_needs_no_framework(tmp_path):
    config = config_of("tied")
    save_weights(config, random_arrays(config), tmp_path / "m.safetensors", {})
    code = (
        "import sys; from seq2seq.models.weights import read_weights; read_weights(sys.argv[1]);"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.safetensors"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_weights_that_are_not_numbers_are_not_written(tmp_path):
    class Variable:
        path = "tied/features/place"

        def numpy(self):
            return np.array([1.0, np.nan])

    class Net:
        weights = [Variable()]  # noqa: RUF012

    with pytest.raises(RunError, match="features/place are not numbers"):
        write_weights(Net(), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def rewrite(path, change, metadata=None):
    """Write the file anew with arrays or metadata that differ, as safetensors itself writes them."""
    arrays = load_file(path)
    change(arrays)
    config = config_of("seq2seq")
    entry = {"version": 1, "model": config.to_dict(), "facts": {}}
    save_file(arrays, path, {"seq2seq": json.dumps(entry)} if metadata is None else metadata)


def entry(**changes):
    whole = {"version": 1, "model": config_of("seq2seq").to_dict(), "facts": {}}
    return {"seq2seq": json.dumps(whole | changes)}


@pytest.mark.parametrize(
    ("change", "metadata", "said"),
    [
        (lambda arrays: arrays.pop("head/logit/bias"), None, "head/logit/bias is not in both"),
        (lambda arrays: arrays.update(more=np.zeros(1, np.float32)), None, "more is not in both"),
        (lambda arrays: arrays.update({"head/logit/bias": np.zeros(3, np.float32)}), None, r"F32 \[3\], expected F32"),
        (lambda arrays: arrays.update({"head/logit/bias": np.zeros(22)}), None, r"F64 \[22\]"),
        (lambda arrays: arrays["head/logit/bias"].fill(np.inf), None, "not a number"),
        (lambda arrays: None, {}, "not of this package"),
        (lambda arrays: None, {"seq2seq": "{"}, "Expecting"),
        (lambda arrays: None, {"seq2seq": "[" * 10_000}, "recursion"),
        (lambda arrays: None, entry(version=2), "version"),
        (lambda arrays: None, entry(model=[]), "lacks"),
        (lambda arrays: None, entry(model={"colour": "red"}), "colour"),
        # 16 TB, were it believed.
        (lambda arrays: None, entry(model=config_of("seq2seq").to_dict() | {"units": 10**6}), "expected F32"),
        (lambda arrays: None, entry(model=config_of("seq2seq").to_dict() | {"units": -1}), "units"),
        (lambda arrays: None, entry(model=config_of("seq2seq").to_dict() | {"layers": 3}), r"coder_\d"),
        (lambda arrays: None, entry(model=config_of("seq2seq").to_dict() | {"layers": 10**6}), r"coder_\d"),
    ],
)
def test_a_file_that_does_not_fit_itself_is_refused(change, metadata, said, tmp_path):
    path = tmp_path / "m.safetensors"
    config = config_of("seq2seq")
    save_weights(config, random_arrays(config), path, {})
    rewrite(path, change, metadata)
    with pytest.raises(RunError, match=said) as caught:
        read_weights(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("length", [0, 7, 8, 200, -1])
def test_a_file_cut_short_is_refused(length, tmp_path):
    path = tmp_path / "m.safetensors"
    config = config_of("seq2seq")
    save_weights(config, random_arrays(config), path, {})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RunError, match="not weights of a model"):
        read_weights(path)


def test_a_header_is_not_believed(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(RunError, match=r"claims 1,099,511,627,776 bytes"):
        read_weights(path)
    with pytest.raises(RunError, match="no weights for sampling"):
        read_weights(tmp_path / "missing")
    with pytest.raises(RunError, match="no weights for sampling"):
        read_weights(tmp_path)
