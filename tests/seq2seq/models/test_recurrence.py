"""The fused LSTM computes what Keras's own layer does: outputs, states, and the gradient of everything."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
tf = pytest.importorskip("tensorflow", reason="the fused kernel is TensorFlow's")

from seq2seq.models import recurrence  # noqa: E402
from seq2seq.models.architectures import assert_cudnn_eligible  # noqa: E402
from seq2seq.models.recurrence import LSTM  # noqa: E402


@pytest.fixture(autouse=True)
def backend():
    if keras.config.backend() != "tensorflow":
        pytest.skip("the fused kernel is TensorFlow's")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Let the layer believe that TensorFlow runs an operation on one thread."""
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)


def test_where_an_operation_has_several_threads_the_loop_is_left_to_keras(monkeypatch):
    sizes = []
    fused = recurrence._run_fused
    monkeypatch.setattr(
        recurrence, "_run_fused", lambda x, *rest, **way: (sizes.append(len(x)), fused(x, *rest, **way))[1]
    )
    LSTM(3)(np.zeros((2, 4, 5), "float32"))
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 2)
    LSTM(3)(np.zeros((7, 4, 5), "float32"))
    assert sizes == [2]


def twins(units, width, **options):
    """Build the two layers with the same weights, none of them zero."""
    layers = LSTM(units, **options), keras.layers.LSTM(units, **options)
    rng = np.random.default_rng(3)
    for layer in layers:
        layer.build((None, None, width))
    for ours, theirs in zip(layers[0].weights, layers[1].weights, strict=True):
        value = rng.normal(0, 0.4, ours.shape).astype("float32")
        ours.assign(value)
        theirs.assign(value)
    return layers


def run(layer, arrays, graph):
    """Return outputs and states, and the gradient of a mixture of them to the inputs and the weights."""
    given = [tf.constant(array) for array in arrays]
    rng = np.random.default_rng(5)

    def step(x, h, c):
        with tf.GradientTape() as tape:
            tape.watch([x, h, c])
            found = layer(x, initial_state=[h, c])
            found = found if isinstance(found, list | tuple) else [found]
            loss = sum(tf.reduce_sum(part * rng.normal(size=part.shape).astype("float32")) for part in found)
        return found, tape.gradient(loss, [x, h, c, *(weight.value for weight in layer.trainable_weights)])

    found, gradients = (tf.function(step) if graph else step)(*given)
    return [part.numpy() for part in found], [part.numpy() for part in gradients]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("options", [{"return_sequences": True, "return_state": True}, {}])
@pytest.mark.parametrize(
    ("n", "s", "width", "units"), [(5, 7, 3, 4), (1, 1, 2, 1), (3, 20, 17, 16), (2, 3, 4, 5), (2, 130, 2, 3)]
)
def test_outputs_and_gradients_are_those_of_the_loop(n, s, width, units, options, graph, wide):
    fused, loop = twins(units, width, **options)
    fused.wide = wide
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=shape).astype("float32") for shape in ((n, s, width), (n, units), (n, units))]
    assert fused._fused
    for ours, theirs in zip(run(fused, arrays, graph), run(loop, arrays, graph), strict=True):
        assert len(ours) == len(theirs)
        for left, right in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5 * max(1, np.abs(right).max()))


@pytest.mark.parametrize(
    "odd", [{"activation": "relu"}, {"go_backwards": True}, {"use_bias": False}, {"dropout": 0.5}, {"unroll": True}]
)
def test_what_the_kernel_cannot_do_is_left_to_keras(odd):
    assert not LSTM(2, **odd)._fused


def test_a_mask_is_left_to_keras():
    fused, loop = twins(3, 2, return_sequences=True)
    x = np.random.default_rng(1).normal(size=(2, 4, 2)).astype("float32")
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool)
    np.testing.assert_array_equal(fused(x, mask=mask), loop(x, mask=mask))


@pytest.mark.parametrize(("frames", "wide", "wanted"), [(128, False, True), (129, False, False), (4, True, False)])
def test_few_frames_of_few_sequences_go_back_one_by_one(monkeypatch, frames, wide, wanted):
    ways, fused = [], recurrence._run_fused
    monkeypatch.setattr(
        recurrence, "_run_fused", lambda *given, by_frame: (ways.append(by_frame), fused(*given, by_frame=by_frame))[1]
    )
    layer = LSTM(2)
    layer.wide = wide
    layer(np.zeros((1, frames, 2), "float32"))
    assert ways == [wanted]


def test_sequences_of_no_fixed_length_are_left_to_keras():
    fused, loop = twins(3, 2)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2])])
    def gradients(x):
        with tf.GradientTape(persistent=True) as tape:
            found = [tf.reduce_sum(layer(x)) for layer in (fused, loop)]
        return [tape.gradient(last, layer.cell.kernel.value) for last, layer in zip(found, (fused, loop), strict=True)]

    ours, theirs = gradients(np.random.default_rng(1).normal(size=(2, 4, 2)).astype("float32"))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_with_a_gpu_the_layer_is_that_of_keras_and_fit_for_cudnn(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"] if kind == "GPU" else [])
    layer = LSTM(2)
    assert not layer._fused
    assert_cudnn_eligible(keras.Sequential([keras.Input((3, 2)), layer]))
