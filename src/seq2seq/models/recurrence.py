"""The LSTM of the models: Keras's own, and TensorFlow's fused kernel where that is faster.

Without a GPU, Keras runs an LSTM as a loop of some twenty operations a frame. TensorFlow has a kernel for the whole
sequence, ``BlockLSTMV2``. With one thread an operation, an update of ``blog`` at batch 64 takes 0.67 of the time of the
loop with it, one of ``seq2seq`` 0.62. Where TensorFlow runs an operation on several threads, the kernel splits
products that are too small to be split, and takes 1.2 times that of the loop, which is then left to it. A training
uses several cores in another way (:mod:`seq2seq.training.cores`).

The gradient that TensorFlow registers for the kernel calls that of the first version, whose gates are in another order,
so it is wrong; ``BlockLSTMGradV2`` is right. But it multiplies frame by frame what does not depend on the frames after
it. With few sequences it is better to go back by the gradient of a single cell, and to make one product of all frames
for the inputs and each of the weights: that takes 0.5 of the time with 8 sequences, 0.9 with 32, and as long with 176.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import keras

# Frames that are gone back one by one at most: each of them is operations of its own, which TensorFlow has to prepare.
MOST_FRAMES = 128


@keras.saving.register_keras_serializable(package="seq2seq")
class LSTM(keras.layers.LSTM):
    """``keras.layers.LSTM``, fused where TensorFlow has no GPU; else Keras's layer, cuDNN included.

    Attributes
    ----------
    wide : bool
        Whether it gets hundreds of sequences at once: then the kernel has its own gradient, as with many frames.
    """

    wide = False

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Return the last output, all outputs ``(n, s, units)`` and the last states of *sequences* ``(n, s, k)``."""
        if mask is not None or not self._fused or sequences.shape[1] is None or _threads() > 1:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        # What holds this kernel cannot be compiled by XLA either.
        self.supports_jit = False
        (h, c), cell = initial_state, self.cell
        by_frame = not self.wide and sequences.shape[1] <= MOST_FRAMES
        weights = cell.kernel, cell.recurrent_kernel, cell.bias
        outputs, last, memory = _run_fused(sequences, h, c, *weights, by_frame=by_frame)
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


def _run_fused(
    sequences: Any, h: Any, c: Any, kernel: Any, recurrent: Any, bias: Any, *, by_frame: bool
) -> tuple[Any, Any, Any]:
    """Return the outputs ``(n, s, units)``, the last of them and the last memory cells, with their gradients."""
    import tensorflow as tf

    none = tf.zeros([bias.shape[0] // 4])  # the weights of peepholes, which are not used
    peepholes = {"wci": none, "wcf": none, "wco": none, "use_peephole": False}

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(x: Any, h: Any, c: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        w, length = tf.concat([kernel, recurrent], axis=0), tf.shape(x, out_type=tf.int64)[0]
        given = {"seq_len_max": length, "x": x, "cs_prev": c, "h_prev": h, "w": w, "b": bias, **peepholes}
        gates = tf.raw_ops.BlockLSTMV2(cell_clip=0.0, **given)

        def of_kernel(dhs: Any, dh: Any, dc: Any) -> tuple[Any, ...]:
            more, dcs = (tf.pad(last[None], [[length - 1, 0], [0, 0], [0, 0]]) for last in (dh, dc))
            back = tf.raw_ops.BlockLSTMGradV2(cs_grad=dcs, h_grad=dhs + more, **given, **gates._asdict())
            dkernel, drecurrent = tf.split(back.w_grad, [kernel.shape[0], recurrent.shape[0]])
            return back.x_grad, back.h_prev_grad, back.cs_prev_grad, dkernel, drecurrent, back.b_grad

        def of_frames(dhs: Any, dh: Any, dc: Any) -> tuple[Any, ...]:
            # The operation of one frame has its gates in another order, and of these four takes the shapes alone.
            w = _swapped(recurrent)
            given = {"x": h[:, :0], "h_prev": h, "w": w, "b": bias, **peepholes}
            frames = {name: tf.unstack(getattr(gates, name)) for name in ("i", "cs", "f", "o", "ci", "co")}
            found = []
            for t, later in reversed(list(enumerate(tf.unstack(dhs)))):
                frame = {name: arrays[t] for name, arrays in frames.items()}
                before = frames["cs"][t - 1] if t else c
                back = tf.raw_ops.LSTMBlockCellGrad(cs_prev=before, cs_grad=dc, h_grad=dh + later, **frame, **given)
                dc, dh = back.cs_prev_grad, tf.matmul(back.dicfo, w, transpose_b=True)
                found.append(back.dicfo)
            # What no frame waits for is worked out for all of them at once.
            every = _flat(tf.stack(found[::-1]))
            dx = tf.reshape(tf.matmul(every, _swapped(kernel), transpose_b=True), tf.shape(x))
            dkernel = tf.matmul(_flat(x), every, transpose_a=True)
            drecurrent = tf.matmul(_flat(tf.concat([h[None], gates.h[:-1]], axis=0)), every, transpose_a=True)
            return dx, dh, dc, *map(_swapped, (dkernel, drecurrent, tf.reduce_sum(every, axis=0)))

        return (gates.h, gates.h[-1], gates.cs[-1]), of_frames if by_frame else of_kernel

    weights = map(tf.convert_to_tensor, (kernel, recurrent, bias))
    outputs, last, memory = run(tf.transpose(sequences, (1, 0, 2)), h, c, *weights)
    return tf.transpose(outputs, (1, 0, 2)), last, memory


def _swapped(gates: Any) -> Any:
    """Return gates ``(…, 4·units)`` with the second and the third in each other's place."""
    import tensorflow as tf

    first, second, third, fourth = tf.split(gates, 4, axis=-1)
    return tf.concat([first, third, second, fourth], axis=-1)


def _flat(frames: Any) -> Any:
    """Return frames ``(s, n, k)`` as ``(s·n, k)``."""
    import tensorflow as tf

    return tf.reshape(frames, (-1, frames.shape[-1]))
