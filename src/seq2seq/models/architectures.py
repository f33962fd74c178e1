"""The architectures: ``blog``, ``seq2seq`` and ``tied``, built by :func:`build_model`.

Every model takes the same dict of inputs, packed as the host has it, and returns the logits of the
target frames. With *n* windows, *s* = input + target frames, *c* planes and *p* pitches::

    rows   (n, s, c, 16) uint8   the frames of the window
    valid  (n, s)        uint8   1 where the frame is of the piece, 0 where it is padding (zeros)
    start  (n,)          int32   index of the window's first frame, from the first bar line (negative before it)
    shift  (n,)          int32   semitones by which the window was transposed; 0 at evaluation
    left   (n,)          int32   with ``closing`` only: frames from the window's first to the end of the piece, that
                                 one included; 0 where that is not known, as always at evaluation
    echo   (n, s, k·c, 16) uint8  with ``echo`` only: the echo of each frame, then the varied ones, k in all; see
                                 :mod:`seq2seq.models.echo`
    match  (n, s, k·voices) uint8  with ``echo`` only: the length of its run for each voice, then their degrees
    order  (n, voices)   int32   with several voices only: the place of each in the order in which a frame is predicted
    →      (n, target frames, c, p) float32

``blog`` reads the input frames and predicts all target frames at once. The other two are
conditional: target frame *t* is predicted from the true frames before it, and with the
autoregressive head from the pitches below within it. Where voices have planes of their own, each voice has an encoder,
a decoder and a head of its own, as wide as those of a model of that voice alone. All of them hear the past of all
voices, and a head is told what the voices before it play in the frame; training draws the order of every window, so
that each voice can be predicted from any others. `seq2seq.sampling.stepping` steps them frame by frame with the
same weights; a decoder may be stepped beyond the length it was trained on: it carries its states on. Where onsets
are modelled, their logit is conditional on the pitch sounding.

Every recurrent layer is a ``keras.layers.LSTM`` that cuDNN can run (:mod:`seq2seq.models.recurrence`): default
activations, no mask, no recurrent dropout; :func:`assert_cudnn_eligible` holds whenever a model is built or loaded.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from seq2seq.errors import ConfigError, RunError
from seq2seq.models.archive import check_archive, unloadable
from seq2seq.models.config import ModelConfig
from seq2seq.models.echo import DEGREES, TRUST
from seq2seq.models.layers import (
    BatchNormalization,
    Clock,
    FrameHead,
    PitchFeatures,
    PitchHead,
    TimeDistributed,
    UnpackRoll,
    register,
)
from seq2seq.models.recurrence import LSTM
from seq2seq.models.schedule import Schedule  # noqa: F401  # Keras finds it by name in a saved optimizer
from seq2seq.models.weights import names_by_voice

Inputs = dict[str, Any]


class RollModel(keras.Model):
    """What the architectures share: the inputs, and saving by configuration.

    Attributes
    ----------
    parts : int
        In how many parts a batch is worked out, which do not wait for one another: see :mod:`seq2seq.training.cores`.
        A batch to learn from has to have as many windows.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.parts = 1
        self.unpack = UnpackRoll(config.low, config.high, name="unpack")
        self.clock = Clock(config.periods, name="clock") if config.periods else None

    def call(self, inputs: Inputs, training: bool = False) -> Any:
        """Return the logits of the target frames, worked out in `parts`; in float32 with mixed precision, too."""
        if self.parts == 1:
            return ops.cast(self._predict([inputs], training)[0], "float32")
        n = ops.shape(inputs["valid"])[0]
        # No part may be empty, which TensorFlow's LSTM cannot be: where windows are few, some are there twice.
        filled = ops.mod(ops.arange(ops.maximum(n, self.parts), dtype="int32"), n)
        cut = {name: self._cut(ops.take(array, filled, axis=0)) for name, array in inputs.items()}
        parts = [{name: arrays[k] for name, arrays in cut.items()} for k in range(self.parts)]
        return ops.cast(ops.concatenate(self._predict(parts, training), axis=0)[:n], "float32")

    def _cut(self, array: Any) -> list[Any]:
        """Return an array ``(n, …)`` in parts."""
        n = ops.shape(array)[0]
        return [array[n * k // self.parts : n * (k + 1) // self.parts] for k in range(self.parts)]

    def _predict(self, parts: list[Inputs], training: bool) -> list[Any]:
        """Return the logits of each part."""
        raise NotImplementedError

    def context(self, inputs: Inputs) -> Any:
        """Return what is known beside the frames before, ``(n, s - 1, k)``: beat, validity, key shift, countdown.

        That is of each frame of the window but the first.
        """
        place = ops.arange(1, inputs["valid"].shape[1], dtype="int32")
        # Whether the frame before it is of the piece.
        valid, shift = inputs["valid"][:, :-1], inputs["shift"][:, None]
        parts = [] if self.clock is None else [self.clock(inputs["start"][:, None] + place)]
        parts.append(ops.cast(valid, "float32")[..., None])
        # The class of the shift, not its size: up a fifth and down a fourth lead to the same key.
        parts.append(ops.one_hot(ops.mod(ops.broadcast_to(shift, ops.shape(valid)), 12), 12))
        if self.config.closing:
            left = inputs["left"][:, None]
            near = ops.less_equal((left - place)[..., None], np.array(self.config.countdown, np.int32))
            parts.append(ops.cast(ops.logical_and(near, (left > 0)[..., None]), "float32"))
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration as JSON holds it."""
        return {"config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RollModel:
        """Return the model that :meth:`get_config` described."""
        return cls(ModelConfig.from_dict(config["config"]))

    def build(self, input_shape: Any = None) -> None:
        """Create all weights by reading a little silence; the configuration alone decides their shapes."""
        if self.built:
            return
        # No weight depends on how long a window is, and every frame of one takes its time.
        whole, frames = self.config, 4
        silence = {
            "rows": np.zeros((1, frames, len(whole.planes), 16), np.uint8),
            "valid": np.zeros((1, frames), np.uint8),
            "start": np.zeros(1, np.int32),
            "shift": np.zeros(1, np.int32),
        }
        if whole.closing:
            silence.update(left=silence["start"])
        if whole.echo:
            echo = np.zeros((1, frames, whole.echoes * len(whole.planes), 16), np.uint8)
            silence.update(echo=echo, match=np.zeros((1, frames, whole.echoes * whole.voice_count), np.uint8))
        if whole.voice_count > 1:
            silence.update(order=np.arange(whole.voice_count, dtype=np.int32)[None])
        self.config = dataclasses.replace(whole, input_frames=frames - 1, target_frames=1)
        self.call({name: ops.convert_to_tensor(array) for name, array in silence.items()})
        self.config = whole
        assert_cudnn_eligible(self)


class _Conditional(RollModel):
    """A model that predicts frame after frame: an encoder, and a decoder started from its states."""

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        if config.input_frames < 2:
            raise ConfigError(f"model {config.model} needs at least 2 input frames")
        self.heads: list[Any] = []
        for part in ("encoder", "decoder"):
            for name in names_by_voice(config, part):
                setattr(self, name, _lstm_stack(name, config))
        self.between = keras.layers.SpatialDropout1D(config.dropout, name="between")
        self.before_head = keras.layers.SpatialDropout1D(config.head_dropout, name="before_head")

    def _predict(self, parts: list[Inputs], training: bool) -> list[Any]:
        return [self._predict_part(part, training) for part in parts]

    def _predict_part(self, inputs: Inputs, training: bool) -> Any:
        """Return the logits of the target frames, each from the true frames before it."""
        raise NotImplementedError

    def _score(self, features: list[Any], previous: Any, frame: Any, order: Any) -> Any:
        """Return the logits ``(n, c, p)`` of frames, each voice given those before it in *order* ``(n, voices)``.

        *features* are those of each voice.
        """
        if order is None:
            return self.heads[0](features[0], previous, frame)
        given = [ops.cast(ops.less(order, order[:, voice : voice + 1]), "float32") for voice in range(len(self.heads))]
        each = zip(self.heads, features, given, strict=True)
        return ops.concatenate([head(heard, previous, frame, known) for head, heard, known in each], axis=1)

    def _by_voice(self, part: str) -> list[Any]:
        """Return the *part* of each voice: attributes, by whose names Keras saves and finds weights."""
        return [getattr(self, name) for name in names_by_voice(self.config, part)]

    def _order(self, inputs: Inputs) -> Any:
        """Return the order of the voices in every target frame, ``(n·s, voices)``, or None where there is one part."""
        return ops.repeat(inputs["order"], self.config.target_frames, axis=0) if self.config.voice_count > 1 else None

    def _encode(self, encoder: list[Any], features: Any, training: bool) -> tuple[Any, list[Any]]:
        """Return the outputs of an encoder and the states it leaves: h and c of each layer."""
        states: list[Any] = []
        for layer in encoder:
            features, *state = layer(self.between(features, training=training), training=training)
            states += state
        return features, states

    def _decode(self, decoder: list[Any], features: Any, states: list[Any], training: bool) -> Any:
        """Return the outputs of a decoder over a sequence, started from *states*."""
        for i, layer in enumerate(decoder):
            features = layer(
                self.between(features, training=training),
                initial_state=states[2 * i : 2 * i + 2],
                training=training,
            )[0]
        return features


@register
class Tied(_Conditional):
    """One small LSTM shared by all pitches (after Johnson's tied parallel networks, 2017), for each voice.

    Pitches are folded into the batch. Each pitch reads the previous frame as seen from itself, so the
    model transposes what it learnt, but for a learned bias per pitch.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        sizes = config.units, config.reach, min(config.conv, config.units)
        for name in names_by_voice(config, "features"):
            setattr(self, name, PitchFeatures(*sizes, config.voice_count, name=name))
        recalled = (len(config.lags) + config.echoes) * len(config.planes)
        causal = config.head == "autoregressive"
        self.heads = [
            PitchHead(*sizes, causal, recalled, voices=config.voice_count, voice=voice, name=name)
            for voice, name in enumerate(names_by_voice(config, "head"))
        ]
        self.build()

    def _predict_part(self, inputs: Inputs, training: bool) -> Any:
        config = self.config
        bits = self.unpack(inputs["rows"])
        c, p = bits.shape[2:]
        context = self.context(inputs)
        echo = self._echo(inputs["echo"][:, 1:], inputs["match"][:, 1:]) if config.echo else None
        recalled, likeness = self._recall(bits[:, :-1], echo)
        context, first, features = ops.concatenate([context, likeness], axis=-1), config.input_frames - 1, []
        for voice, (encoder, decoder) in enumerate(
            zip(self._by_voice("encoder"), self._by_voice("decoder"), strict=True)
        ):
            read = self._read(voice, bits[:, :-1], recalled, context)
            _, states = self._encode(encoder, read[:, :first], training)
            decoded = self.before_head(self._decode(decoder, read[:, first:], states, training), training=training)
            decoded = ops.concatenate([_unfold(decoded, p), _unfold(read[:, first:], p)], axis=-1)
            features.append(self._join(decoded, _by_frame(recalled[:, first:])))
        previous, frame = _by_frame(bits[:, first:-1]), _by_frame(bits[:, first + 1 :])
        logits = self._score(features, previous, frame, self._order(inputs))
        return ops.reshape(logits, (-1, config.target_frames, c, p))

    def _echo(self, echo: Any, match: Any) -> tuple[Any, Any]:
        """Return echoes ``(n, s, c, 16)`` as bits, and which lengths and degrees their matches reach, ``(n, s, k)``."""
        s, voices = match.shape[1], self.config.voice_count
        match = ops.cast(match, "int32")[..., None]
        told, reached = [(match[:, :, :voices], TRUST)], []
        if self.config.varied:
            told.append((match[:, :, voices:], DEGREES))
        for of, steps in told:
            reach = ops.cast(ops.greater_equal(of, np.array(steps, np.int32)), "float32")
            reached.append(ops.reshape(reach, (-1, s, of.shape[2] * len(steps))))
        return self.unpack(echo), ops.concatenate(reached, axis=-1)

    def _recall(self, bits: Any, echo: tuple[Any, Any] | None) -> tuple[Any, Any]:
        """Return what was played at each lag before the frame after each of *bits* ``(n, s, c, p)``, then its echo.

        The second of the pair, ``(n, s, k)``, says for each lag and voice how like the last frame and its own lag are:
        whether the music has been repeating itself; then how long the echo's run is.
        """
        s = bits.shape[1]
        recalled, likeness = [bits[:, :, :0]], [bits[:, :, 0, :0]]
        for lag in self.config.lags:
            past = ops.pad(bits, ((0, 0), (lag, 0), (0, 0), (0, 0)))
            recalled.append(past[:, 1 : s + 1])
            likeness.append(_likeness(bits, past[:, :s], self.config.voice_count))
        if echo is not None:
            recalled.append(echo[0])
            likeness.append(echo[1])
        return ops.concatenate(recalled, axis=2), ops.concatenate(likeness, axis=-1)

    def _read(self, voice: int, bits: Any, recalled: Any, context: Any) -> Any:
        """Return a voice's features ``(n·p, s, units)`` of frames ``(n, s, c, p)`` in contexts ``(n, s, k)``.

        A voice hears the last frame of all, and what is recalled of itself.
        """
        _, s, _, p = bits.shape
        if (voices := self.config.voice_count) > 1:
            own = np.arange(recalled.shape[2], dtype="int32").reshape(-1, voices, 2)[:, voice]
            recalled = ops.take(recalled, own.ravel(), axis=2)
        heard = _by_frame(ops.concatenate([bits, recalled], axis=2))
        read = self._by_voice("features")[voice](heard, ops.reshape(context, (-1, context.shape[-1])))
        read = ops.transpose(ops.reshape(read, (-1, s, p, read.shape[-1])), (0, 2, 1, 3))
        return ops.reshape(read, (-1, s, read.shape[-1]))

    def _join(self, decoded: Any, recalled: Any) -> Any:
        """Return the head's features ``(n, p, k)``: the decoder's, then the recalled bits."""
        return ops.concatenate([decoded, ops.transpose(recalled, (0, 2, 1))], axis=-1)


def _by_frame(bits: Any) -> Any:
    """Return frames ``(n, s, c, p)`` as ``(n·s, c, p)``."""
    return ops.reshape(bits, (-1, *bits.shape[2:]))


def _unfold(folded: Any, pitches: int) -> Any:
    """Return sequences ``(n·p, s, k)`` as frames ``(n·s, p, k)``."""
    _, s, k = folded.shape
    frames = ops.transpose(ops.reshape(folded, (-1, pitches, s, k)), (0, 2, 1, 3))
    return ops.reshape(frames, (-1, pitches, k))


def _likeness(frame: Any, other: Any, voices: int) -> Any:
    """Return ``(…, voices)``: of a voice's notes sounding in either frame ``(…, c, p)``, the share sounding in both."""
    frame, other = frame[..., : 2 * voices : 2, :], other[..., : 2 * voices : 2, :]
    both = ops.sum(frame * other, axis=-1)
    either = ops.sum(ops.maximum(frame, other), axis=-1)
    return both / ops.maximum(either, 1.0)


@register
class Seq2Seq(_Conditional):
    """Stacked LSTM encoder, stacked LSTM decoder started from its states, one vector per frame.

    With attention, the decoder's output also asks the encoder's outputs (Luong et al. 2015, scaled dot product).
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        causal = config.head == "autoregressive"
        self.heads = [
            FrameHead(causal, voices=config.voice_count, voice=voice, name=name)
            for voice, name in enumerate(names_by_voice(config, "head"))
        ]
        for name in names_by_voice(config, "attention"):
            setattr(self, name, keras.layers.Attention(use_scale=True, name=name) if config.attention else None)
        self.build()
        if config.voice_count > 1:
            self._begin_alone()

    def _begin_alone(self) -> None:
        """Let no voice hear the planes of another at first: what it hears at random would have to be unlearnt."""
        every, own = len(self.config.planes) * self.config.pitches, 2 * self.config.pitches
        for part in ("encoder", "decoder"):
            for voice, (first, *_) in enumerate(self._by_voice(part)):
                kernel = np.array(ops.convert_to_numpy(first.cell.kernel))
                of_voice = np.arange(every) // own == voice
                kernel[:every][~of_voice] = 0
                first.cell.kernel.assign(kernel)

    def _predict_part(self, inputs: Inputs, training: bool) -> Any:
        config = self.config
        bits = self.unpack(inputs["rows"])
        c, p = bits.shape[2:]
        context = self.context(inputs)
        read, first, features = self._read(bits[:, :-1], context), config.input_frames - 1, []
        parts = (self._by_voice(part) for part in ("encoder", "decoder", "attention"))
        for encoder, decoder, attention in zip(*parts, strict=True):
            encoded, states = self._encode(encoder, read[:, :first], training)
            decoded = self._decode(decoder, read[:, first:], states, training)
            decoded = self.before_head(decoded, training=training)
            if attention is not None:
                decoded = self._attend(attention, decoded, encoded, inputs["valid"][:, :first])
            features.append(ops.reshape(decoded, (-1, decoded.shape[-1])))
        previous, frame = _by_frame(bits[:, first:-1]), _by_frame(bits[:, first + 1 :])
        logits = self._score(features, previous, frame, self._order(inputs))
        return ops.reshape(logits, (-1, config.target_frames, c, p))

    def _read(self, bits: Any, context: Any) -> Any:
        _, s, c, p = bits.shape
        return ops.concatenate([ops.reshape(bits, (-1, s, c * p)), context], axis=-1)

    def _attend(self, attention: Any, decoded: Any, encoded: Any, valid: Any) -> Any:
        # The mask hides padding from the attention alone: no LSTM ever sees it.
        found = attention([decoded, encoded], mask=[None, ops.cast(valid, "bool")])
        return ops.concatenate([decoded, found], axis=-1)


@register
class Blog(RollModel):
    """The post's model: the next window at once, pitches and frames independent given the input.

    Two LSTMs read the input frames; their last output, repeated for every target frame, feeds two more;
    batch normalisation and dropout stand between the two of each pair.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        lstm, units = LSTM, config.units
        self.stack = [
            lstm(units, return_sequences=True, name="encoder_0"),
            BatchNormalization(name="encoder_norm"),
            keras.layers.Dropout(config.dropout, name="encoder_dropout"),
            lstm(units, name="encoder_1"),
            keras.layers.RepeatVector(config.target_frames, name="repeat"),
            lstm(units, return_sequences=True, name="decoder_0"),
            BatchNormalization(name="decoder_norm"),
            keras.layers.Dropout(config.dropout, name="decoder_dropout"),
            lstm(units, return_sequences=True, name="decoder_1"),
            TimeDistributed(keras.layers.Dense(len(config.planes) * config.pitches), name="logits"),
        ]
        self.build()

    def _predict(self, parts: list[Inputs], training: bool) -> list[Any]:
        config = self.config
        planes, pitches = len(config.planes), config.pitches
        bits = [self.unpack(part["rows"][:, : config.input_frames]) for part in parts]
        outs = [ops.reshape(part, (-1, config.input_frames, planes * pitches)) for part in bits]
        for layer in self.stack:
            if isinstance(layer, BatchNormalization):
                outs = layer.over(outs, training)
            elif isinstance(layer, keras.layers.Dropout):
                outs = [layer(out, training=training) for out in outs]
            else:
                outs = [layer(out) for out in outs]
        return [ops.reshape(out, (-1, config.target_frames, planes, pitches)) for out in outs]


def build_model(config: ModelConfig) -> RollModel:
    """Return a new model of the architecture that *config* names, with weights drawn from Keras's seed."""
    return {"blog": Blog, "seq2seq": Seq2Seq, "tied": Tied}[config.model](config, name=config.model)


def most_steps_per_execution() -> int:
    """Return how many updates may be one call of the backend: a chunk saves overhead, but PyTorch's has one."""
    return 1 if keras.config.backend() == "torch" else 8


def wants_jit() -> bool:
    """Whether a model is compiled as a whole: JAX crawls otherwise, and TensorFlow's XLA shuts out cuDNN."""
    return bool(keras.config.backend() == "jax")


def load_model(path: str | Path, config: ModelConfig | None = None) -> RollModel:
    """Return the model saved at *path*, safe mode on, its LSTMs checked once more; *config* is what it is to be.

    Raises
    ------
    RunError
        If there is no such file, or it is not a model of this package, or another one than *config* describes.
    """
    path = Path(path)
    check_archive(path, config)
    try:
        model = keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # Keras and its backends raise whatever a damaged file leads them to
        raise unloadable(path, error) from error
    if not isinstance(model, RollModel):
        raise RunError(f"{path}: a Keras model, but not one of this package")
    # A model says how it was trained, which may have been on another backend.
    model.steps_per_execution = min(model.steps_per_execution, most_steps_per_execution())
    model.jit_compile = wants_jit()
    assert_cudnn_eligible(model)
    return model


def assert_cudnn_eligible(model: keras.Model) -> None:
    """Raise ValueError unless every LSTM of *model* can be run by cuDNN, and none is given a mask.

    The conditions are those of ``keras.layers.LSTM``. Whether cuDNN may be used is not saved with a model,
    hence the second look after loading.
    """
    layers = model._flatten_layers(include_self=False, recursive=True)
    for layer in layers:
        if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
            raise ValueError(f"{layer.name} makes a mask, which takes LSTMs away from cuDNN")
        if not isinstance(layer, keras.layers.LSTM):
            continue
        wrong = {
            "activation": layer.activation is not keras.activations.tanh,
            "recurrent_activation": layer.recurrent_activation is not keras.activations.sigmoid,
            "recurrent_dropout": bool(layer.recurrent_dropout),
            "unroll": layer.unroll,
            "use_bias": not layer.use_bias,
            "use_cudnn": layer.use_cudnn not in ("auto", True),
        }
        if any(wrong.values()):
            raise ValueError(f"{layer.name} is not eligible for cuDNN: {', '.join(k for k in wrong if wrong[k])}")


def _lstm_stack(name: str, config: ModelConfig) -> list[Any]:
    layers = [
        LSTM(config.units, return_sequences=True, return_state=True, name=f"{name}_{i}") for i in range(config.layers)
    ]
    for layer in layers:
        layer.wide = config.model == "tied"  # a sequence for each pitch of a window
    return layers
