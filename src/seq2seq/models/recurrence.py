"""The LSTM of the models: Keras's own, and TensorFlow's fused kernel where that is faster.

Without a GPU, Keras runs an LSTM as a loop of some twenty operations a frame. TensorFlow has a kernel for the whole
sequence, ``BlockLSTMV2``. On one thread an update of ``blog`` at batch 64 takes 0.77 of the CPU time of the loop with
it, one of ``seq2seq`` at batch 8 takes 0.7. On several threads the kernel splits products that are too small to be
split, and takes 1.2 times that of the loop. So a larger batch is run as two halves side by side, whose products stay
whole: on two threads that takes the CPU time of the loop, and less of the clock. Four quarters are slower than that.

The gradient that TensorFlow registers for the kernel calls that of the first version, whose gates are in another order,
so it is wrong; ``BlockLSTMGradV2`` is right, and is called here.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import keras

# Sequences of a batch whose products TensorFlow does not split between threads at the widths that are usual here.
UNSPLIT_ROWS = 32


@keras.saving.register_keras_serializable(package="seq2seq")
class LSTM(keras.layers.LSTM):
    """``keras.layers.LSTM``, fused where TensorFlow has no GPU; else Keras's layer, cuDNN included."""

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Return the last output, all outputs ``(n, s, units)`` and the last states of *sequences* ``(n, s, k)``."""
        if mask is not None or not self._fused:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        # What holds this kernel cannot be compiled by XLA either.
        self.supports_jit = False
        (h, c), cell = initial_state, self.cell
        run = _run_fused if _threads() == 1 else _run_halves
        outputs, last, memory = run(sequences, h, c, cell.kernel, cell.recurrent_kernel, cell.bias)
        return last, outputs, [last, memory]

    @functools.cached_property
    def _fused(self) -> bool:
        """Whether the fused kernel computes what this layer is."""
        if keras.config.backend() != "tensorflow" or self.compute_dtype != "float32":
            return False
        import tensorflow as tf

        cell = self.cell
        usual = cell.activation is keras.activations.tanh and cell.recurrent_activation is keras.activations.sigmoid
        rates = self.dropout or self.recurrent_dropout
        odd = rates or self.unroll or self.go_backwards or not self.use_bias
        return bool(usual and not odd and not tf.config.list_logical_devices("GPU"))


def _threads() -> int:
    """Return on how many threads TensorFlow runs one operation: what it was told, or all there are."""
    import tensorflow as tf

    told = tf.config.threading.get_intra_op_parallelism_threads()
    return int(told or os.environ.get("TF_NUM_INTRAOP_THREADS") or os.cpu_count() or 1)


def _run_halves(sequences: Any, h: Any, c: Any, *weights: Any) -> tuple[Any, Any, Any]:
    """Return what `_run_fused` does, worked out for two halves of a batch side by side, unless it is small."""
    import tensorflow as tf

    def whole() -> tuple[Any, Any, Any]:
        return _run_fused(sequences, h, c, *weights)

    def halves() -> tuple[Any, Any, Any]:
        cut = n // 2
        first = _run_fused(sequences[:cut], h[:cut], c[:cut], *weights)
        second = _run_fused(sequences[cut:], h[cut:], c[cut:], *weights)
        outputs, last, memory = (tf.concat(parts, axis=0) for parts in zip(first, second, strict=True))
        return outputs, last, memory

    n = tf.shape(sequences)[0]
    # An empty half is not an option: the kernel leaves the gradients of its weights undefined.
    outputs, last, memory = tf.cond(n > UNSPLIT_ROWS, halves, whole)
    batch, frames, _ = sequences.shape
    units = c.shape[-1]
    return (
        tf.ensure_shape(outputs, (batch, frames, units)),
        tf.ensure_shape(last, (batch, units)),
        tf.ensure_shape(memory, (batch, units)),
    )


def _run_fused(sequences: Any, h: Any, c: Any, kernel: Any, recurrent: Any, bias: Any) -> tuple[Any, Any, Any]:
    """Return the outputs ``(n, s, units)``, the last of them and the last memory cells, with their gradients."""
    import tensorflow as tf

    none = tf.zeros([bias.shape[0] // 4])  # the weights of peepholes, which are not used
    peepholes = {"wci": none, "wcf": none, "wco": none, "use_peephole": False}

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(x: Any, h: Any, c: Any, w: Any, b: Any) -> Any:
        length = tf.shape(x, out_type=tf.int64)[0]
        given = {"seq_len_max": length, "x": x, "cs_prev": c, "h_prev": h, "w": w, "b": b, **peepholes}
        gates = tf.raw_ops.BlockLSTMV2(cell_clip=0.0, **given)

        def gradient(dh: Any, dc: Any) -> tuple[Any, ...]:
            every_dc = tf.pad(dc[None], [[length - 1, 0], [0, 0], [0, 0]])
            back = tf.raw_ops.BlockLSTMGradV2(cs_grad=every_dc, h_grad=dh, **given, **gates._asdict())
            return back.x_grad, back.h_prev_grad, back.cs_prev_grad, back.w_grad, back.b_grad

        return (gates.h, gates.cs[-1]), gradient

    weights = tf.concat([tf.convert_to_tensor(kernel), tf.convert_to_tensor(recurrent)], axis=0)
    outputs, memory = run(tf.transpose(sequences, (1, 0, 2)), h, c, weights, tf.convert_to_tensor(bias))
    return tf.transpose(outputs, (1, 0, 2)), outputs[-1], memory
