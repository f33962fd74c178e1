"""The models: causal, normalised, eligible for cuDNN, one file each."""

from __future__ import annotations

import io
import itertools
from zipfile import ZipFile

import h5py
import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.errors import ConfigError  # noqa: E402
from seq2seq.models.architectures import assert_cudnn_eligible, build_model, load_model  # noqa: E402
from seq2seq.models.config import ModelConfig  # noqa: E402
from seq2seq.models.layers import RollLoss, frame_nats  # noqa: E402

BOTH = ("sounding", "onset")
KINDS = {
    "blog": {"model": "blog", "head": "bernoulli"},
    "seq2seq": {"model": "seq2seq", "planes": BOTH},
    "seq2seq bernoulli attention": {"model": "seq2seq", "head": "bernoulli", "attention": True},
    "tied": {"model": "tied", "planes": BOTH, "lags": (2, 3, 7)},
    "tied bernoulli": {"model": "tied", "head": "bernoulli"},
    "tied echo": {"model": "tied", "planes": BOTH, "lags": (2,), "echo": 64, "varied": 2},
    "tied countdown": {"model": "tied", "closing": 6},
    "tied bernoulli echo": {"model": "tied", "head": "bernoulli", "echo": 64},
}
CONDITIONAL = [kind for kind in KINDS if kind != "blog"]
VOICES = ("sounding:melody", "onset:melody", "sounding:piano", "onset:piano")
FEATURES = ["context", "harmony", "neighbours", "vars"]
VOICED = {
    "seq2seq": {"model": "seq2seq", "planes": VOICES},
    "tied": {"model": "tied", "planes": VOICES, "lags": (2,), "echo": 64, "varied": 1},
}


def tiny(kind, **changes):
    """Build a small model with every weight disturbed, so that no zero hides a path."""
    fields = {"low": 40, "high": 75, "input_frames": 5, "target_frames": 4, "units": 8, "reach": 4, "periods": (4, 3)}
    keras.utils.set_random_seed(1)
    model = build_model(ModelConfig(**(fields | KINDS.get(kind, {}) | changes)))
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.dtype == "float32" and "variance" not in weight.path:
            value = keras.ops.convert_to_numpy(weight)
            weight.assign(value + 0.3 * rng.standard_normal(value.shape).astype("float32"))
    return model


def window(config, n=3, seed=2):
    """Draw random bits ``(n, s, c, 128)`` and the inputs that hold them."""
    rng = np.random.default_rng(seed)
    s = config.input_frames + config.target_frames
    bits = (rng.random((n, s, len(config.planes), 128)) < 0.15).astype(np.uint8)
    bits[:, :, 1::2] &= bits[:, :, : 2 * (bits.shape[2] // 2) : 2]
    valid = np.ones((n, s), np.uint8)
    valid[0, :2] = bits[0, :2] = 0
    start, shift = np.arange(n, dtype=np.int32) - 2, np.array([0, 3, -4][:n], np.int32)
    inputs = {"rows": pack(bits), "valid": valid, "start": start, "shift": shift}
    if config.closing:
        inputs["left"] = np.array([0, 6, 12][:n], np.int32)
    if config.echo:
        inputs["echo"] = pack(rng.integers(0, 2, (n, s, config.echoes * bits.shape[2], 128)).astype(np.uint8))
        inputs["match"] = rng.integers(0, 33, (n, s, config.echoes * config.voice_count)).astype(np.uint8)
        inputs["match"][..., config.voice_count :] *= 7  # degrees go up to 255
    if config.voice_count > 1:
        inputs["order"] = np.tile(np.arange(config.voice_count, dtype=np.int32), (n, 1))
    return bits, inputs


def pack(bits):
    return np.packbits(bits, axis=-1, bitorder="little")


def logits_of(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_no_frame_hears_itself_or_what_follows(kind):
    model = tiny(kind)
    config = model.config
    bits, inputs = window(config)
    before = logits_of(model, inputs)
    for t in range(config.target_frames):
        changed = bits.copy()
        changed[:, config.input_frames + t :] ^= 1
        changed[:, :, 1:] &= changed[:, :, :1]
        after = logits_of(model, inputs | {"rows": pack(changed)})
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        if config.head == "bernoulli":
            np.testing.assert_array_equal(after[:, t], before[:, t])
        if t + 1 < config.target_frames and config.model != "blog":
            assert (after[:, t + 1] != before[:, t + 1]).any()


@pytest.mark.parametrize("model", ["tied", "seq2seq"])
def test_a_countdown_is_heard_from_the_frame_on_that_it_begins_with(model):
    model = tiny("tied" if model == "tied" else "seq2seq", closing=6)
    config = model.config
    _, inputs = window(config)
    unknown = logits_of(model, inputs | {"left": np.zeros(3, np.int32)})
    # Of 7 frames the first still has more than 6 before it; of 9 and 4 heard before, the last has 2 left.
    for left in (15, 20):
        np.testing.assert_array_equal(logits_of(model, inputs | {"left": np.full(3, left, np.int32)}), unknown)
    for left in range(5, 15):
        first = max(0, left - 6 - config.input_frames)
        told = logits_of(model, inputs | {"left": np.full(3, left, np.int32)})
        np.testing.assert_array_equal(told[:, :first], unknown[:, :first])
        assert (told[:, first:] != unknown[:, first:]).any(axis=(2, 3)).all()


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_no_pitch_hears_itself_or_a_higher_one(kind):
    model = tiny(kind)
    config = model.config
    bits, inputs = window(config)
    before = logits_of(model, inputs)
    last = config.input_frames + config.target_frames - 1
    for pitch in (40, 41, 60, 75):
        changed = bits.copy()
        changed[:, last, :, pitch:] ^= 1
        after = logits_of(model, inputs | {"rows": pack(changed)})
        np.testing.assert_array_equal(after[:, -1, :, : pitch - 39], before[:, -1, :, : pitch - 39])
    changed = bits.copy()
    changed[:, last, 0, 40] ^= 1
    moved = (logits_of(model, inputs | {"rows": pack(changed)}) != before)[:, -1].any()
    assert moved == (config.head == "autoregressive")


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_the_probabilities_of_all_frames_sum_to_one(kind):
    """Four pitches: 2 ** 4 frames, or 3 ** 4 with onsets, each as the first target of its own window."""
    model = tiny(kind, low=60, high=63, units=8)
    config = model.config
    states = [(0, 0), (1, 0), (1, 1)] if len(config.planes) == 2 else [(0,), (1,)]
    frames = np.array(list(itertools.product(states, repeat=4)), np.uint8).swapaxes(1, 2)
    bits, inputs = window(config, n=1)
    bits = np.repeat(bits, len(frames), axis=0)
    bits[:, config.input_frames, :, 60:64] = frames
    inputs = {key: np.repeat(value, len(frames), axis=0) for key, value in inputs.items()} | {"rows": pack(bits)}
    logits = logits_of(model, inputs)[:, 0]
    nats = keras.ops.convert_to_numpy(frame_nats(keras.ops.convert_to_tensor(frames.astype("float32")), logits))
    np.testing.assert_allclose(np.exp(-nats.astype(np.float64)).sum(), 1, atol=1e-5)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", VOICED)
def test_a_voice_hears_those_before_it_in_the_order_and_no_other(kind, first):
    model = tiny(None, **VOICED[kind])
    bits, inputs = window(model.config)
    inputs["order"] = np.array([[first, 1 - first]] * 3, np.int32)
    before = logits_of(model, inputs)[:, -1]
    for voice in (0, 1):
        planes, others = slice(2 * voice, 2 * voice + 2), slice(2 - 2 * voice, 4 - 2 * voice)
        # Every pitch of the other voice changes, those above too.
        changed = bits.copy()
        changed[:, -1, others, 70:] ^= 1
        after = logits_of(model, inputs | {"rows": pack(changed)})[:, -1]
        heard = (after[:, planes] != before[:, planes]).any()
        assert heard == (inputs["order"][0, voice] == 1)
        # Of its own voice a pitch hears those below it, as ever.
        changed = bits.copy()
        changed[:, -1, planes, 60:] ^= 1
        after = logits_of(model, inputs | {"rows": pack(changed)})[:, -1]
        np.testing.assert_array_equal(after[:, planes, : 60 - 39], before[:, planes, : 60 - 39])
        assert (after[:, planes, 60 - 39 :] != before[:, planes, 60 - 39 :]).any()


def test_a_voice_of_seq2seq_begins_as_if_it_were_alone():
    fields = {"low": 40, "high": 75, "input_frames": 5, "target_frames": 4, "units": 8}
    model = build_model(ModelConfig(**fields, **VOICED["seq2seq"]))
    bits, inputs = window(model.config)
    before = logits_of(model, inputs)
    for voice in (0, 1):
        changed = bits.copy()
        changed[:, :, 2 - 2 * voice : 4 - 2 * voice, 40:76] ^= 1
        after = logits_of(model, inputs | {"rows": pack(changed)})
        own = slice(2 * voice, 2 * voice + 2)
        np.testing.assert_array_equal(after[:, :, own], before[:, :, own])
        assert (after != before).any()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
@pytest.mark.parametrize("kind", VOICED)
def test_the_probabilities_of_all_frames_of_two_voices_sum_to_one(kind, order):
    """Two pitches, each silent, held or struck in either voice, both voices on one pitch too: 3 ** 4 frames."""
    model = tiny(None, **VOICED[kind], low=60, high=61)
    states = [(0, 0), (1, 0), (1, 1)]
    # By voice, then pitch, then plane.
    frames = np.array(list(itertools.product(states, repeat=4)), np.uint8).reshape(-1, 2, 2, 2).swapaxes(2, 3)
    frames = frames.reshape(-1, 4, 2)
    bits, inputs = window(model.config, n=1)
    bits = np.repeat(bits, len(frames), axis=0)
    bits[:, model.config.input_frames, :, 60:62] = frames
    inputs = {key: np.repeat(value, len(frames), axis=0) for key, value in inputs.items()} | {"rows": pack(bits)}
    inputs["order"] = np.tile(np.array(order, np.int32), (len(frames), 1))
    logits = logits_of(model, inputs)[:, 0]
    nats = keras.ops.convert_to_numpy(frame_nats(keras.ops.convert_to_tensor(frames.astype("float32")), logits))
    np.testing.assert_allclose(np.exp(-nats.astype(np.float64)).sum(), 1, atol=1e-5)


@pytest.mark.parametrize("kind", ["tied bernoulli", "voices"])
def test_the_tied_model_is_told_the_key_and_transposes_but_for_its_bias_per_pitch(kind):
    voiced = {"model": "tied", "planes": VOICES, "lags": (2,)} if kind == "voices" else {}
    model = tiny(kind, low=0, high=127, periods=(), **voiced)
    for features in [model.features_0, model.features_1] if kind == "voices" else [model.features]:
        features.place.assign(np.zeros(features.place.shape, np.float32))
    bits = np.zeros((1, 9, len(model.config.planes), 128), np.uint8)
    bits[:, :, 0, [60, 64, 67]] = 1
    bits[:, :, 1:, [60, 67]] = 1
    _, inputs = window(model.config, n=1)
    inputs["valid"][:] = 1
    low = logits_of(model, inputs | {"rows": pack(bits)})
    high = logits_of(model, inputs | {"rows": pack(np.roll(bits, 5, axis=-1))})
    np.testing.assert_allclose(high[..., 45:95], low[..., 40:90], atol=1e-4)
    told = logits_of(model, inputs | {"rows": pack(bits), "shift": np.array([5], np.int32)})
    octave = logits_of(model, inputs | {"rows": pack(bits), "shift": np.array([-7], np.int32)})
    assert np.abs(told - low).max() > 1e-3
    np.testing.assert_array_equal(told, octave)


@pytest.mark.parametrize("kind", [*KINDS, "voices of seq2seq", "voices of tied"])
def test_a_model_is_one_file_that_loads_in_safe_mode(kind, tmp_path):
    model = tiny(kind, **VOICED.get(kind.removeprefix("voices of "), {}) if kind.startswith("voices") else {})
    _, inputs = window(model.config)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.config == model.config
    np.testing.assert_array_equal(logits_of(loaded, inputs), logits_of(model, inputs))
    assert_cudnn_eligible(loaded)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("tied echo", {"encoder": ["lstm", "lstm_1"], "decoder": ["lstm", "lstm_1"], "features": FEATURES}),
        (
            "seq2seq bernoulli attention",
            {"encoder": ["lstm", "lstm_1"], "decoder": ["lstm", "lstm_1"], "attention": ["vars"]},
        ),
    ],
)
def test_weights_of_one_voice_lie_where_keras_looked_for_them_before(kind, parts, tmp_path):
    tiny(kind).save(tmp_path / "model.keras")
    with ZipFile(tmp_path / "model.keras") as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        assert {name: sorted(file[name]) for name in parts} == parts


def test_every_lstm_is_looked_at():
    for kind in KINDS:
        layers = tiny(kind)._flatten_layers(include_self=False, recursive=True)
        assert sum(isinstance(layer, keras.layers.LSTM) for layer in layers) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"recurrent_dropout": 0.1},
        {"unroll": True},
        {"use_bias": False},
        {"use_cudnn": False},
    ],
)
def test_an_lstm_that_cudnn_refuses_is_refused(wrong):
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(2, name="culprit", **wrong)])
    with pytest.raises(ValueError, match=f"culprit .*{next(iter(wrong))}"):
        assert_cudnn_eligible(model)


def test_a_mask_is_refused():
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.Masking(), keras.layers.LSTM(2)])
    with pytest.raises(ValueError, match="mask"):
        assert_cudnn_eligible(model)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "transformer"},
        {"model": "blog", "head": "autoregressive"},
        {"low": 60, "high": 59},
        {"high": 128},
        {"planes": ("onset",)},
        {"units": 0},
        {"units": 2.5},
        {"conv": 0},
        {"reach": -1},
        {"lags": (1,)},
        {"periods": (0,)},
        {"periods": (1e30,)},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"head_dropout": float("nan")},
        {"echo": -1},
        {"model": "seq2seq", "echo": 64},
        {"closing": -1},
        {"model": "blog", "head": "bernoulli", "closing": 8},
    ],
)
def test_what_no_model_can_be_built_from_is_refused_in_one_line(wrong):
    with pytest.raises(ConfigError) as caught:
        ModelConfig(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "head"), [("tied", "autoregressive"), ("seq2seq", "bernoulli"), ("blog", "bernoulli")]
)
def test_keras_can_show_a_summary(model, head):
    lines = []
    periods = () if model == "blog" else (2, 4)
    net = build_model(ModelConfig(model=model, head=head, units=4, low=60, high=71, periods=periods))
    net.summary(print_fn=lines.append)
    assert f"{net.count_params():,}" in "\n".join(lines)


def updated(model, inputs, targets, weights):
    """Return the weights after one update, and the loss of it."""
    model.compile(keras.optimizers.SGD(0.5), RollLoss(model.config.low, model.config.high), run_eagerly=True)
    loss = float(model.train_on_batch(inputs, targets, weights))
    return loss, [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]


@pytest.mark.parametrize("kind", [*KINDS, "voices of seq2seq", "voices of tied"])
def test_an_update_in_parts_is_that_of_the_whole(kind):
    voiced = VOICED.get(kind.removeprefix("voices of ")) if kind.startswith("voices") else None
    changes = {"dropout": 0.0, "head_dropout": 0.0, **(voiced or {})}
    results = []
    for parts in (1, 2):
        model = tiny(kind, **changes)
        bits, inputs = window(model.config)
        model.parts = parts
        weights = np.ones((3, model.config.target_frames), np.float32)
        weights[1, 2:] = 0  # parts do not count alike
        targets = pack(bits[:, model.config.input_frames :])
        results.append(updated(model, inputs, targets, weights))
    (loss, after), (loss_in_parts, after_parts) = results
    assert loss_in_parts == pytest.approx(loss, rel=1e-5)
    untouched = tiny(kind, **changes).trainable_weights
    assert any((a != keras.ops.convert_to_numpy(b)).any() for a, b in zip(after, untouched, strict=True))
    for ours, whole in zip(after_parts, after, strict=True):
        np.testing.assert_allclose(ours, whole, atol=1e-5 * max(1, np.abs(whole).max()))


@pytest.mark.parametrize("kind", ["blog", "seq2seq", "tied echo", "voices of seq2seq", "voices of tied"])
def test_mixed_precision_learns_as_float32_does(kind):
    voiced = VOICED.get(kind.removeprefix("voices of ")) if kind.startswith("voices") else None
    losses = []
    try:
        for policy in ("float32", "mixed_bfloat16"):
            keras.config.set_dtype_policy(policy)
            model = tiny(kind, dropout=0.0, **(voiced or {}))
            bits, inputs = window(model.config)
            assert keras.backend.standardize_dtype(model(inputs).dtype) == "float32"
            model.compile(keras.optimizers.Adam(0.01), RollLoss(40, 75), run_eagerly=True)
            targets = pack(bits[:, model.config.input_frames :])
            losses.append([float(model.train_on_batch(inputs, targets, np.ones((3, 4)))) for _ in range(3)])
    finally:
        keras.config.set_dtype_policy("float32")
    whole, mixed = losses
    assert mixed != whole, "nothing was mixed"
    assert mixed[2] < mixed[0]
    np.testing.assert_allclose(mixed, whole, rtol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_each_part_has_its_share_of_the_windows(kind, monkeypatch):
    model, seen = tiny(kind), []
    predict = type(model)._predict
    monkeypatch.setattr(
        type(model),
        "_predict",
        lambda self, parts, training: (
            seen.append([len(part["rows"]) for part in parts]) or predict(self, parts, training)
        ),
    )
    _, inputs = window(model.config)
    for model.parts in (1, 2, 3):
        model(inputs)
    assert seen == [[3], [1, 2], [1, 1, 1]]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_scored_may_have_fewer_windows_than_parts(kind):
    model = tiny(kind)
    _, inputs = window(model.config, n=1)
    whole = logits_of(model, inputs)
    model.parts = 3
    np.testing.assert_allclose(logits_of(model, inputs), whole, atol=1e-5)
