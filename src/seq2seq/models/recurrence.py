"""The LSTM of the models: Keras's own, and TensorFlow's fused kernel where that is faster.

Without a GPU, Keras runs an LSTM as a loop of some twenty operations a frame. TensorFlow has a kernel for the whole
sequence, ``BlockLSTMV2``. On one thread an update of ``blog`` at batch 64 takes 0.77 of the CPU time of the loop with
it, one of ``seq2seq`` at batch 8 takes 0.7. Where TensorFlow runs an operation on several threads, the kernel splits
products that are too small to be split, and takes 1.2 times that of the loop, which is then left to it. A training
uses several cores in another way (:mod:`seq2seq.training.cores`).

The gradient that TensorFlow registers for the kernel calls that of the first version, whose gates are in another order,
so it is wrong; ``BlockLSTMGradV2`` is right, and is called here.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="seq2seq")
class LSTM(keras.layers.LSTM):
    """``keras.layers.LSTM``, fused where TensorFlow has no GPU; else Keras's layer, cuDNN included."""

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Return the last output, all outputs ``(n, s, units)`` and the last states of *sequences* ``(n, s, k)``."""
        if mask is not None or not self._fused or _threads() > 1:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        # What holds this kernel cannot be compiled by XLA either.
        self.supports_jit = False
        (h, c), cell = initial_state, self.cell
        outputs, last, memory = _run_fused(sequences, h, c, cell.kernel, cell.recurrent_kernel, cell.bias)
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
