"""The layers every model here is made of, and the loss that reads packed targets.

Shapes: *n* windows, *s* frames, *c* planes, *p* pitches of the model's range. A frame travels from
the host as packed bytes ``(c, 16) uint8`` and becomes ``(c, p)`` zeros and ones on the device.

All are registered with Keras, so that a model loads with safe mode on.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

Shape = tuple[Any, ...]

register = keras.saving.register_keras_serializable(package="seq2seq")


@register
class UnpackRoll(keras.layers.Layer):
    """Unpack piano-roll bytes to zeros and ones, and keep the pitches *low* to *high* inclusive.

    ``(…, 16) uint8`` becomes ``(…, high - low + 1) float32``: the identity is
    ``np.unpackbits(rows, axis=-1, bitorder="little")[..., low:high + 1]``.
    """

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.low, self.high = low, high

    def call(self, rows: Any) -> Any:
        """Return the bits of *rows*."""
        return unpack_bits(rows, self.low, self.high, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the bits."""
        return (*input_shape[:-1], self.high - self.low + 1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "low": self.low, "high": self.high}


def unpack_bits(rows: Any, low: int, high: int, dtype: str = "float32") -> Any:
    """Return bits *low* to *high* of little-endian bit rows ``(…, 16) uint8`` as ``(…, high - low + 1)``."""
    first, last = low >> 3, high >> 3
    of_bytes = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    rows = rows[..., first : last + 1]
    bits = ops.take(ops.cast(of_bytes, dtype), ops.cast(rows, "int32"), axis=0)
    bits = ops.reshape(bits, (*ops.shape(rows)[:-1], 8 * (last - first + 1)))
    return bits[..., low - 8 * first : high - 8 * first + 1]


@register
class Clock(keras.layers.Layer):
    """The beat position: a sine and a cosine of the frame index for each period.

    ``(…) int32`` frame indices become ``(…, 2 * len(periods)) float32``. Exact for any index, because
    the index is reduced by the period before it is scaled.
    """

    def __init__(self, periods: tuple[int, ...] | list[int], **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.periods = tuple(periods)

    def call(self, index: Any) -> Any:
        """Return the phases of *index*."""
        periods = ops.convert_to_tensor(np.array(self.periods, np.int32))
        phase = ops.cast(ops.mod(ops.cast(index, "int32")[..., None], periods), self.compute_dtype)
        angle = phase * ops.cast(2 * np.pi / np.array(self.periods), self.compute_dtype)
        return ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the phases."""
        return (*input_shape, 2 * len(self.periods))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "periods": list(self.periods)}


@register
class PitchFeatures(keras.layers.Layer):
    """What each pitch hears of one frame: the frame as seen from that pitch, and the frame's context.

    Translation-equivariant but for a learned bias per pitch: a convolution over the neighbouring
    pitches and, for each of the *voices*, whose planes come first in the frame, a pitch-class histogram that starts at
    the pitch itself. The convolution, most of the arithmetic, speaks to the first *conv* of the units.

    Inputs are *frame* ``(n, c, p)`` and *context* ``(n, k)`` (beat position, shift, validity); the output
    is ``(n, p, units)``.
    """

    def __init__(self, units: int, reach: int, conv: int, voices: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.reach, self.conv, self.voices = units, reach, conv, voices
        self.neighbours = keras.layers.Conv1D(conv, 2 * reach + 1, padding="same", use_bias=False, name="neighbours")
        self.harmony = keras.layers.Dense(units, use_bias=False, name="harmony")
        self.context = keras.layers.Dense(units, name="context")

    def build(self, frame_shape: Shape, context_shape: Shape) -> None:
        """Create the weights from the shapes of *frame* and *context*."""
        _, planes, pitches = frame_shape
        self.neighbours.build((None, pitches, planes))
        self.harmony.build((None, pitches, 12 * self.voices))
        self.context.build(context_shape)
        self.place = self.add_weight(name="place", shape=(pitches, self.units), initializer="zeros")

    def call(self, frame: Any, context: Any) -> Any:
        """Return the features of every pitch."""
        pitches = frame.shape[-1]
        harmony = _by_class(frame[:, : 2 * self.voices : 2], self.harmony.kernel) + self.context(context)[:, None]
        rest = _spread_classes(harmony, pitches) + self.place
        near = self.neighbours(ops.transpose(frame, (0, 2, 1)))
        return ops.relu(_add_to_first(rest, near))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        sizes = {"units": self.units, "reach": self.reach, "conv": self.conv}
        return {**super().get_config(), **sizes, "voices": self.voices}


@register
class PitchHead(keras.layers.Layer):
    """Logits of one voice of one frame, with weights shared by all pitches.

    A pitch sees its own features, a convolution over its neighbours' features, and the previous frame
    around it. If *causal*, it sees the pitches below it in the frame itself, too: which sound, how that
    differs from the previous frame, and what the features of those below say; never itself or one above.
    That is of its own voice. Of other *voices* it sees those that come before its own, all their pitches: around it,
    by pitch class as seen from it, how many sound and are struck, and how many of those sounded or were struck in the
    frames of the past. These weights begin at zero, so that a voice is first learnt as if it were alone.

    Inputs are *features* ``(n, p, k)``, *previous* and *frame* ``(n, c, p)``, and with several voices *given*
    ``(n, voices)``: 1 for those that come before this one. The output is logits ``(n, c, p)`` of the planes of *voice*.
    With an onset plane, its logit is that of a struck note given that the pitch sounds.
    The last *recalled* features are bits of earlier frames, counted like those of the previous frame.
    """

    def __init__(
        self,
        units: int,
        reach: int,
        conv: int,
        causal: bool,
        recalled: int = 0,
        *,
        voices: int = 1,
        voice: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.reach, self.conv = units, reach, conv
        self.causal, self.recalled = causal, recalled
        self.voices, self.voice = voices, voice
        conv1d = functools.partial(keras.layers.Conv1D, conv, use_bias=False)
        self.narrow = keras.layers.Dense(max(8, conv // 4), name="narrow")
        self.spread = conv1d(25, padding="same", name="spread")
        self.own = keras.layers.Dense(units, name="own")
        self.around = conv1d(2 * reach + 1, padding="same", name="around")
        self.hidden = keras.layers.Dense(units, activation="relu", name="hidden")
        if causal:
            self.chosen = keras.layers.Dense(max(4, conv // 8), name="chosen")
            self.below = conv1d(48, name="below")
            self.counts = keras.layers.Dense(conv, use_bias=False, name="counts")
            if voices > 1:
                unheard: dict[str, Any] = {"use_bias": False, "kernel_initializer": "zeros"}
                self.given = keras.layers.Conv1D(conv, 2 * reach + 1, padding="same", **unheard, name="given")
                self.chord = keras.layers.Dense(units, **unheard, name="chord")
                self.known = keras.layers.Dense(units, **unheard, name="known")

    def build(
        self, features_shape: Shape, previous_shape: Shape, frame_shape: Shape, given_shape: Shape | None = None
    ) -> None:
        """Create the weights from the shapes of the inputs."""
        _, every, pitches = previous_shape
        planes = every // self.voices
        self.narrow.build(features_shape)
        self.spread.build((None, pitches, self.narrow.units))
        self.own.build(features_shape)
        self.around.build((None, pitches, every))
        self.hidden.build((None, pitches, self.units))
        if self.causal:
            self.chosen.build(features_shape)
            # The height that it is called with, so that a range narrower than its reach is not an error.
            self.below.build((None, pitches + 47, 2 * planes + 1 + self.chosen.units))
            self.counts.build((None, pitches, 4 + 3 * self.recalled // every))
            if self.voices > 1:
                self.given.build((None, pitches, every))
                self.chord.build((None, 12 * every))
                self.known.build((None, self.voices + 3 * every + 2 * self.recalled))
        self.logit = keras.layers.Dense(planes, bias_initializer=keras.initializers.Constant(-2.5), name="logit")
        self.logit.build((None, pitches, self.units))

    def call(self, features: Any, previous: Any, frame: Any, given: Any = None) -> Any:
        """Return the logits of the frame."""
        before, own = ops.transpose(previous, (0, 2, 1)), self.own(features)
        near = self.around(before) + self.spread(ops.relu(self.narrow(features)))
        if self.causal:
            every = frame.shape[1]
            planes = every // self.voices
            first = self.voice * planes
            now = ops.transpose(frame, (0, 2, 1))
            if given is not None:
                other = frame * ops.repeat(given, planes, axis=-1)[..., None]
                near = near + self.given(ops.transpose(other, (0, 2, 1)))
                past = ops.concatenate([before, features[..., features.shape[-1] - self.recalled :]], axis=-1)
                known = self.known(ops.concatenate([given, _agreement(other, past, given)], axis=-1))
                own = own + _spread_classes(_by_class(other, self.chord.kernel) + known[:, None], frame.shape[-1])
            now, before = now[..., first : first + planes], before[..., first : first + planes]
            sounding, width = now[..., :1], features.shape[-1]
            held = sounding * before[..., :1]
            seen = ops.concatenate([now, before, held, sounding * self.chosen(features)], axis=-1)
            # Shifted up by one pitch and padded below: position p sees 0..p-1 only.
            near = near + self.below(ops.pad(seen[:, :-1], ((0, 0), (48, 0), (0, 0))))
            # How many notes sound below, in this frame, in those of the past, and in both; how many
            # are left in those of the past.
            past = [before[..., :1], features[..., width - self.recalled + first :: every]]
            past = ops.concatenate(past if self.recalled else past[:1], axis=-1)
            counted = ops.concatenate([sounding, past, sounding * past], axis=-1)
            under = ops.cumsum(counted, axis=1) - counted
            above = ops.sum(past, axis=1, keepdims=True) - under[..., 1 : 1 + past.shape[-1]]
            near = near + self.counts(0.25 * ops.concatenate([under, above], axis=-1))
        hidden = ops.relu(_add_to_first(own, near))
        return ops.transpose(self.logit(self.hidden(hidden)), (0, 2, 1))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        sizes = {"units": self.units, "reach": self.reach, "conv": self.conv, "recalled": self.recalled}
        return {**super().get_config(), **sizes, "causal": self.causal, "voices": self.voices, "voice": self.voice}


def _by_class(planes: Any, kernel: Any) -> Any:
    """Return ``(n, 12, units)``: what a pitch of each class hears of the pitch classes of *planes* ``(n, c, p)``.

    The first class is that of the lowest pitch. *kernel* ``(12 * c, units)`` goes by plane, then by interval above the
    pitch.
    """
    _, count, pitches = planes.shape
    one_hot = (np.arange(pitches)[:, None] % 12 == np.arange(12)).astype("float32")
    # Entry (c, q) says how many semitones pitch class c lies above pitch class q.
    above = ((np.arange(12)[:, None] - np.arange(12)) % 12).astype("int32")
    classes = ops.reshape(ops.matmul(planes, ops.cast(one_hot, planes.dtype)), (-1, 12 * count))
    every = (12 * np.arange(count, dtype="int32")[:, None, None] + above).reshape(12 * count, 12)
    kernel = ops.reshape(ops.take(kernel, every, axis=0), (12 * count, -1))
    return ops.reshape(ops.matmul(classes, kernel), (-1, 12, kernel.shape[-1] // 12))


def _spread_classes(classes: Any, pitches: int) -> Any:
    """Return ``(n, p, units)`` of what a pitch of each class hears, ``(n, 12, units)``."""
    return ops.tile(classes, (1, -(-pitches // 12), 1))[:, :pitches]


def _add_to_first(units: Any, some: Any) -> Any:
    """Return *units* ``(…, k)`` with *some* ``(…, j)`` added to the first j of them."""
    fill = units.shape[-1] - some.shape[-1]
    return units + ops.pad(some, [(0, 0)] * (len(some.shape) - 1) + [(0, fill)])


def _agreement(frame: Any, past: Any, given: Any) -> Any:
    """Return ``(n, c + 2 * k * c)``: how *frame* ``(n, c, p)`` agrees with the k frames of *past* ``(n, p, k * c)``.

    That is, for each plane, how many pitches it has; how many it has in common with each frame of the past; and how
    many only one of the two has. All are counted in quarters, and are 0 for the voices that are not *given*.
    """
    planes, pitches = frame.shape[1:]
    k = past.shape[-1] // planes
    past = ops.reshape(ops.transpose(past, (0, 2, 1)), (-1, k, planes, pitches))
    now, then = ops.sum(frame, axis=-1), ops.sum(past, axis=-1)
    both = ops.sum(past * frame[:, None], axis=-1)
    differ = (now[:, None] + then - 2 * both) * ops.repeat(given, planes // given.shape[-1], axis=-1)[:, None]
    both, differ = (ops.reshape(count, (-1, k * planes)) for count in (both, differ))
    return 0.25 * ops.concatenate([now, both, differ], axis=-1)


@register
class FrameHead(keras.layers.Layer):
    """Logits of one voice of one frame from one vector of features, with weights of its own for every pitch.

    If *causal*, a masked hidden layer (MADE: Germain et al. 2015, with the pitches in rising order)
    conditions each pitch on those below it, and on the voices that come before this one; otherwise the pitches are
    independent.

    Inputs are *features* ``(n, k)``, *previous* and *frame* ``(n, c, p)`` (*previous* is not used), and with several
    *voices* *given* ``(n, voices)``: 1 for those that come before this one. The output is logits ``(n, c, p)`` of the
    planes of *voice*. The weights of what is given begin at zero, so that a voice is first learnt as if it were alone.
    """

    PER_PITCH = 8  # hidden units that belong to each pitch of the masked layer

    def __init__(self, causal: bool, *, voices: int = 1, voice: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.causal, self.voices, self.voice = causal, voices, voice

    def build(
        self, features_shape: Shape, previous_shape: Shape, frame_shape: Shape, given_shape: Shape | None = None
    ) -> None:
        """Create the weights from the shapes of the inputs."""
        _, every, pitches = previous_shape
        planes = every // self.voices
        self.logit = keras.layers.Dense(
            planes * pitches, bias_initializer=keras.initializers.Constant(-2.5), name="logit"
        )
        self.logit.build(features_shape)
        if self.causal:
            hidden = self.PER_PITCH * pitches
            self.entry = keras.layers.Dense(hidden, name="entry")
            self.entry.build(features_shape)
            self.inward = self.add_weight(name="inward", shape=(planes * pitches, hidden))
            self.outward = self.add_weight(name="outward", shape=(hidden, planes * pitches))
            pitch, owner = np.arange(pitches), np.repeat(np.arange(pitches), self.PER_PITCH)
            # Hidden units of pitch q see the pitches below q, and speak to q and those above it.
            self._inward = np.tile(pitch[:, None] < owner, (planes, 1)).astype("float32")
            self._outward = np.tile(owner[:, None] <= pitch, (1, planes)).astype("float32")
            if self.voices > 1:
                unheard: dict[str, Any] = {"use_bias": False, "kernel_initializer": "zeros"}
                self.given = keras.layers.Dense(hidden, **unheard, name="given")
                self.given.build((None, every * pitches))
                self.known = keras.layers.Dense(hidden, **unheard, name="known")
                self.known.build((None, self.voices))
        self._shape = (-1, planes, pitches)

    def call(self, features: Any, previous: Any, frame: Any, given: Any = None) -> Any:
        """Return the logits of the frame."""
        logits = self.logit(features)
        if self.causal:
            planes, pitches = self._shape[1:]
            own = frame[:, self.voice * planes : (self.voice + 1) * planes]
            entry = self.entry(features)
            if given is not None:
                other = frame * ops.repeat(given, planes, axis=-1)[..., None]
                entry = entry + self.given(ops.reshape(other, (-1, frame.shape[1] * pitches))) + self.known(given)
            flat = ops.reshape(own, (-1, planes * pitches))
            inward, outward = (ops.cast(mask, self.compute_dtype) for mask in (self._inward, self._outward))
            hidden = ops.relu(entry + ops.matmul(flat, self.inward * inward))
            logits = logits + ops.matmul(hidden, self.outward * outward)
        return ops.reshape(logits, self._shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "causal": self.causal, "voices": self.voices, "voice": self.voice}


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """``keras.layers.BatchNormalization``, also over a batch in parts."""

    def over(self, parts: list[Any], training: bool) -> list[Any]:
        """Return *parts* ``(…, k)`` of a batch, normalised by the mean and the variance of the whole batch."""
        if len(parts) == 1 or not training:
            return [self(part, training=training) for part in parts]
        parts, axes = [ops.cast(part, "float32") for part in parts], tuple(range(len(parts[0].shape) - 1))

        def mean(values: list[Any]) -> Any:
            return sum(ops.sum(part, axis=axes) for part in values) / count

        count = ops.cast(sum(ops.prod(ops.shape(part)[:-1]) for part in parts), "float32")
        middle = mean(parts)
        variance = mean([ops.square(part - middle) for part in parts])
        for moving, now in ((self.moving_mean, middle), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        offset, scale = (ops.cast(weight, "float32") for weight in (self.beta, self.gamma))
        done = [ops.batch_normalization(part, middle, variance, -1, offset, scale, self.epsilon) for part in parts]
        return [ops.cast(part, self.compute_dtype) for part in done]


@register
class TimeDistributed(keras.layers.TimeDistributed):
    """A dense layer over every frame, in one product: Keras's own cuts the frames apart, and joins them again."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Return the layer's outputs ``(n, s, k)`` of *inputs* ``(n, s, j)``."""
        return self.layer(inputs)


@register
class RollLoss(keras.losses.Loss):
    """Negative log-likelihood of a frame, in nats, from packed targets.

    ``y_true`` is ``(n, s, c, 16) uint8``, ``y_pred`` the logits ``(n, s, c, p)``; the loss is ``(n, s)``, the
    sum over pitches, and its reduction is the mean weighted by the sample weights: nats per frame.
    A struck note is only asked for where the pitch sounds.
    """

    def __init__(self, low: int, high: int, name: str = "nats_per_frame", **kwargs: Any) -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight", **kwargs)
        self.low, self.high = low, high

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the nats of every frame."""
        return frame_nats(unpack_bits(y_true, self.low, self.high), y_pred)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        config.pop("reduction")
        return {**config, "low": self.low, "high": self.high}


def frame_nats(bits: Any, logits: Any) -> Any:
    """Return the nats ``(…)`` of frames *bits* under *logits*, both ``(…, c, p)``."""
    # softplus(x) - x·b is -log of the Bernoulli probability of b.
    nats = ops.softplus(logits) - logits * bits
    planes, pitches = logits.shape[-2:]
    if planes > 1:
        # By pairs of planes: TensorFlow takes its time for every other plane, and for the gradient of that.
        pairs = (*ops.shape(logits)[:-2], planes // 2, 2, pitches)
        nats, bits = ops.reshape(nats, pairs), ops.reshape(bits, pairs)
        nats = nats[..., 0, :] + nats[..., 1, :] * bits[..., 0, :]
    return ops.sum(nats, axis=(-2, -1))
