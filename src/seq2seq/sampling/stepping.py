"""The models one frame at a time, on NumPy arrays: the same weights, the same numbers, no framework.

A frame of one output is a few dozen small operations, for which a framework's overhead per call is most of
the time, and one operation per pitch for the heads that are drawn pitch by pitch. So the weights come from
`seq2seq.models.weights`, matrix products go to NumPy's BLAS and the rest to `seq2seq.sampling._kernels`.
Probabilities equal those of the Keras model to 1e-5.

Shapes: *n* outputs that continue the same primer, *s* frames, *c* planes, *p* pitches of the model's range,
*u* units, *k* features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.models.config import ModelConfig
from seq2seq.models.echo import DEGREES, TRUST
from seq2seq.models.weights import Arrays, names_by_voice
from seq2seq.sampling import _kernels as kernels

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint8]

# Up to so many multiplications, OpenBLAS, which NumPy comes with, keeps a product on one thread.
_ONE_THREAD = 4 * 65_536
# What Keras adds to the variance of a batch normalisation.
_EPSILON = np.float32(1e-3)


class Stepper:
    """What sampling asks of a model; one subclass for each architecture.

    A window is read at the start of each block of ``target_frames`` frames, as in training; within the
    block the state is carried from frame to frame.
    """

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        self.config = config
        self._voice = 0

    def read(
        self,
        window: Bits,
        valid: npt.NDArray[np.bool_],
        start: int,
        echo: Bits,
        match: Bits,
        left: int = 0,
    ) -> None:
        """Take in a window, to draw the frames after its first ``input_frames``.

        Parameters
        ----------
        window
            ``(n, input_frames + target_frames, c, p)``; kept, so that frames drawn are heard once written.
        valid
            ``(input_frames + target_frames,)``: which frames are of the piece, and not padding; kept.
        start
            Index in the piece of the window's first frame; negative in the padding.
        echo, match
            The echoes of each frame ``(n, s, k * c, p)``, their runs and degrees ``(n, s, k * voices)``, see
            `seq2seq.models.echo`; kept, and to be written before a frame is advanced to.
        left
            Frames from the window's first to the end of the piece, that one included; 0 where that is not known.
        """
        self._window, self._valid, self._start = window, valid, start
        self._echo, self._match, self._left = echo, match, left
        self._encode()

    def advance(self, place: int) -> None:
        """Make ready to draw the frame at *place* of the window, all before it being there."""
        raise NotImplementedError

    def turn_to(self, voice: int, frame: Bits, given: npt.NDArray[np.bool_]) -> None:
        """Make ready to draw a voice of that frame; where there is one part only, that need not be said.

        Parameters
        ----------
        voice
            Its number.
        frame
            ``(n, c, p)``, in which the voices that are given are already there.
        given
            ``(voices,)``: which those are.
        """
        self._voice = voice

    def draw(self, *rest: Any) -> None:
        """Draw that voice; the arguments are those that all ways of drawing share, *logits* first.

        May be called again for another draw of the same frame. See `kernels.draw_independent`.
        """
        raise NotImplementedError

    def follow(self, chosen: npt.NDArray[np.int64]) -> None:
        """Let each output go on from the state of the one that *chosen* ``(n,)`` names; the window is the caller's."""
        raise NotImplementedError

    def _encode(self) -> None:
        raise NotImplementedError

    def _context(self, first: int, last: int) -> Floats:
        """Return beat, validity, key shift (none) and countdown of frames *first* to *last*: ``(s, k)``."""
        places = np.arange(first, last)
        periods = np.array(self.config.periods, np.int64)
        angle = ((self._start + places)[:, None] % periods * (2 * np.pi / periods)).astype(np.float32)
        unshifted = np.zeros((len(places), 12), np.float32)
        unshifted[:, 0] = 1
        valid = self._valid[places - 1, None].astype(np.float32)
        countdown = np.array(self.config.countdown, np.int64)
        near = ((self._left - places)[:, None] <= countdown) & (self._left > 0)
        return np.concatenate([np.sin(angle), np.cos(angle), valid, unshifted, near], axis=1, dtype=np.float32)


class TiedStepper(Stepper):
    """`seq2seq.models.architectures.Tied`: for each voice one LSTM for all pitches, pitches in the batch."""

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        super().__init__(config, arrays)
        self._lags = np.array(config.lags, np.int64)
        self._encoders, self._decoders = _stacks("encoder", config, arrays), _stacks("decoder", config, arrays)
        readers = enumerate(names_by_voice(config, "features"))
        self._readers = [_PitchFeatures(name, voice, config, arrays) for voice, name in readers]
        heads = enumerate(names_by_voice(config, "head"))
        self._heads = [_PitchHead(name, voice, config, arrays) for voice, name in heads]

    def _encode(self) -> None:
        heard, context = self._listen(1, self.config.input_frames)
        for reader, encoder, decoder in zip(self._readers, self._encoders, self._decoders, strict=True):
            encoder.run(reader.read(heard, context))
            decoder.states = encoder.states

    def advance(self, place: int) -> None:
        """Step the decoders, and work out all of the heads that does not depend on the frame to draw."""
        heard, context = self._listen(place, place + 1)
        n, planes, pitches = heard[0].shape[0], len(self.config.planes), self.config.pitches
        recalled = heard[0, :, planes:].swapaxes(1, 2).reshape(n * pitches, -1)
        for reader, decoder, head in zip(self._readers, self._decoders, self._heads, strict=True):
            ahead = reader.read(heard, context)[0]
            features = np.concatenate([decoder.step(ahead), ahead, recalled], axis=1, dtype=np.float32)
            head.hear(features, heard[0])
        self._voice = 0

    def turn_to(self, voice: int, frame: Bits, given: npt.NDArray[np.bool_]) -> None:
        """Let the head of a voice hear those that are given."""
        self._voice = voice
        self._heads[voice].hear_given(frame, given)

    def follow(self, chosen: npt.NDArray[np.int64]) -> None:
        """Take over the decoders' states, which are those of each pitch."""
        pitches = self.config.pitches
        for decoder in self._decoders:
            decoder.follow((chosen[:, None] * pitches + np.arange(pitches)).ravel())

    def draw(self, logits: Floats, *rest: Any) -> None:
        """Draw a voice from the lowest pitch up, or all its pitches independently."""
        self._heads[self._voice].draw(logits, *rest)

    def _listen(self, first: int, last: int) -> tuple[Bits, Floats]:
        """Return what is heard before frames *first* to *last*: bits ``(s, n, j, p)``, and context ``(s, n, k)``."""
        n, _, planes, pitches = self._window.shape
        voices, echoes, lags = self.config.voice_count, self.config.echoes, len(self._lags)
        heard = np.empty((last - first, n, planes * (1 + lags + echoes), pitches), np.uint8)
        likeness = np.empty((last - first, n, lags * voices), np.float32)
        kernels.recall(self._window, voices, first, self._lags, heard, likeness)
        shared = np.repeat(self._context(first, last)[:, None], n, axis=1)
        told = [shared, likeness]
        if echoes:
            heard[:, :, planes * (1 + lags) :] = self._echo[:, first:last].swapaxes(0, 1)
            match = self._match[:, first:last, :, None].swapaxes(0, 1)
            for of, steps in ((match[:, :, :voices], TRUST), (match[:, :, voices:], DEGREES)):
                told.append((of >= np.array(steps)).reshape(last - first, n, -1).astype(np.float32))
        return heard, np.concatenate(told, axis=2)


class _PitchFeatures:
    """`seq2seq.models.layers.PitchFeatures`: what the LSTM of a voice reads."""

    def __init__(self, name: str, voice: int, config: ModelConfig, arrays: Arrays) -> None:
        self._voices, self._projection = config.voice_count, _dense(arrays, f"{name}/context")
        # The last frame of all voices, and what is recalled of this one.
        planes, frames = len(config.planes), 1 + len(config.lags) + config.echoes
        own = np.arange(planes * frames).reshape(frames, self._voices, -1)[1:, voice]
        self._planes = np.concatenate([np.arange(planes), own.ravel()])
        self._neighbours = arrays[f"{name}/neighbours/kernel"]
        self._harmony, self._place = arrays[f"{name}/harmony/kernel"], arrays[f"{name}/place"]

    def read(self, heard: Bits, context: Floats) -> Floats:
        """Return the features ``(s, n * p, u)`` of frames *heard* ``(s, n, j, p)`` in their *context* ``(s, n, k)``."""
        s, n, _, pitches = heard.shape
        if self._voices > 1:
            heard = np.ascontiguousarray(heard[:, :, self._planes])
        context = _apply(self._projection, context)
        out = np.empty((s, n * pitches, self._place.shape[1]), np.float32)
        kernels.pitch_features(
            heard.reshape(-1, *heard.shape[2:]),
            self._voices,
            context.reshape(-1, context.shape[2]),
            self._neighbours,
            self._harmony,
            self._place,
            out.reshape(-1, *self._place.shape),
        )
        return out


class _PitchHead:
    """`seq2seq.models.layers.PitchHead`: draws one voice, with weights shared by all pitches."""

    def __init__(self, name: str, voice: int, config: ModelConfig, arrays: Arrays) -> None:
        self._planes, self._parts = len(config.planes), config.voice_count
        self._first = voice * (self._planes // self._parts)
        self._own, self._narrow = _dense(arrays, f"{name}/own"), _dense(arrays, f"{name}/narrow")
        self._around = arrays[f"{name}/around/kernel"]
        self._spread = arrays[f"{name}/spread/kernel"]
        self._hidden, self._logit = _dense(arrays, f"{name}/hidden"), _dense(arrays, f"{name}/logit")
        self._causal = config.head == "autoregressive"
        if self._causal:
            self._chosen = _dense(arrays, f"{name}/chosen")
            self._below, self._counts = arrays[f"{name}/below/kernel"], arrays[f"{name}/counts/kernel"]
            if self._parts > 1:
                self._given, self._known = arrays[f"{name}/given/kernel"], arrays[f"{name}/known/kernel"]
                # By plane and pitch class that is heard, then by the class of the pitch that hears it.
                interval = (np.arange(12)[:, None] - np.arange(12)) % 12
                chord = arrays[f"{name}/chord/kernel"].reshape(self._planes, 12, -1)
                self._chord = chord[:, interval].reshape(12 * self._planes, -1)

    def hear(self, features: Floats, heard: Bits) -> None:
        """Work out all that does not depend on the frame to draw, of *features* ``(n * p, k)`` and frames before."""
        n, _, pitches = heard.shape
        base = _apply(self._own, features).reshape(n, pitches, -1)
        spread = self._spread_out(features, n)
        base[..., : spread.shape[2]] += spread
        previous = np.ascontiguousarray(heard[:, : self._planes])
        kernels.hear_around(previous, self._around, base)
        self._base, self._heard = base, heard
        if self._causal:
            # Of each frame that is heard, the head compares with the sounding plane of its voice.
            self._past = np.ascontiguousarray(heard[:, self._first :: self._planes])
            self._told = _apply(self._chosen, features).reshape(n, pitches, -1)
            own = previous[:, self._first : self._first + self._planes // self._parts]
            kernels.hear_past_below(np.ascontiguousarray(own), self._past, self._below, self._counts, base)
        else:
            hidden = np.maximum(_apply(self._hidden, np.maximum(base, 0)), 0)
            self._logits = np.ascontiguousarray(_apply(self._logit, hidden).swapaxes(1, 2))

    def hear_given(self, frame: Bits, given: npt.NDArray[np.bool_]) -> None:
        """Hear the voices of *frame* ``(n, c, p)`` that are *given* ``(voices,)``."""
        if self._causal and self._parts > 1:
            n, _, pitches = frame.shape
            mask = np.repeat(given, self._planes // self._parts)
            others = frame * mask[:, None].astype(np.uint8)
            kernels.hear_around(others, self._given, self._base)
            classes = np.stack([others[:, :, k::12].sum(axis=2) for k in range(12)], axis=2, dtype=np.float32)
            chord = _product(classes.reshape(n, -1), self._chord).reshape(n, 12, -1)
            known = _product(self._compare(others, mask, given), self._known)
            self._base += (chord + known[:, None])[:, np.arange(pitches) % 12]

    def draw(self, logits: Floats, *rest: Any) -> None:
        """Draw from the lowest pitch up, or all pitches independently."""
        if self._causal:
            weights = (self._below, self._counts, *self._hidden, *self._logit)
            kernels.draw_pitchwise(self._base, self._told, self._past, *weights, logits, *rest)
        else:
            logits[:] = self._logits
            kernels.draw_independent(logits, *rest)

    def _compare(self, others: Bits, mask: npt.NDArray[np.bool_], given: npt.NDArray[np.bool_]) -> Floats:
        """Return which voices are given, how many notes *others* ``(n, c, p)`` have, and how many as before."""
        n, planes, pitches = others.shape
        past = self._heard.reshape(n, -1, planes, pitches)
        now, then = others.sum(axis=2, dtype=np.int64), past.sum(axis=3, dtype=np.int64)
        both = (past & others[:, None]).sum(axis=3, dtype=np.int64)
        differ = (now[:, None] + then - 2 * both) * mask
        counts = np.concatenate([now, both.reshape(n, -1), differ.reshape(n, -1)], axis=1) * np.float32(0.25)
        return np.concatenate([np.tile(given, (n, 1)), counts], axis=1, dtype=np.float32)

    def _spread_out(self, features: Floats, n: int) -> Floats:
        """Return the convolution over neighbouring pitches' narrowed features, ``(n, p, j)``."""
        width, channels, some = self._spread.shape
        narrow = np.maximum(_apply(self._narrow, features), 0).reshape(n, -1, channels)
        pitches = narrow.shape[1]
        padded = np.zeros((n, pitches + width - 1, channels), np.float32)
        padded[:, width // 2 : width // 2 + pitches] = narrow
        # Each pitch's neighbourhood is contiguous once pitch and channel are one axis: copied out, it is a
        # row of a matrix product.
        flat = np.lib.stride_tricks.sliding_window_view(padded.reshape(n, -1), width * channels, axis=1)
        rows = flat[:, ::channels].reshape(n * pitches, width * channels)
        spread: Floats = _product(rows, self._spread.reshape(-1, some)).reshape(n, pitches, some)
        return spread


class Seq2SeqStepper(Stepper):
    """`seq2seq.models.architectures.Seq2Seq`: one vector a frame, with or without attention."""

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        super().__init__(config, arrays)
        self._encoders, self._decoders = _stacks("encoder", config, arrays), _stacks("decoder", config, arrays)
        attentions = names_by_voice(config, "attention") if config.attention else ()
        self._scales = [arrays[f"{name}/scale"] for name in attentions]
        self._heads = [_FrameHead(name, config, arrays) for name in names_by_voice(config, "head")]

    def _encode(self) -> None:
        heard = self.config.input_frames
        read = self._read(1, heard)
        self._encoded = [encoder.run(read).swapaxes(0, 1) for encoder in self._encoders]
        for encoder, decoder in zip(self._encoders, self._decoders, strict=True):
            decoder.states = encoder.states
        self._padding = 1 - self._valid[: heard - 1].astype(np.float32)

    def advance(self, place: int) -> None:
        """Step the decoders, and work out what their outputs say to every pitch."""
        read = self._read(place, place + 1)[0]
        for voice, (decoder, head) in enumerate(zip(self._decoders, self._heads, strict=True)):
            features = decoder.step(read)
            if self._scales:
                found = self._attend(features, self._encoded[voice], self._scales[voice])
                features = np.concatenate([features, found], axis=1)
            head.hear(features)
        self._voice = 0

    def turn_to(self, voice: int, frame: Bits, given: npt.NDArray[np.bool_]) -> None:
        """Let the head of a voice hear those that are given."""
        self._voice = voice
        self._heads[voice].hear_given(frame, given)

    def follow(self, chosen: npt.NDArray[np.int64]) -> None:
        """Take over the decoders' states, and what attention looks back at."""
        for decoder in self._decoders:
            decoder.follow(chosen)
        self._encoded = [encoded[chosen] for encoded in self._encoded]

    def draw(self, logits: Floats, *rest: Any) -> None:
        """Draw a voice from the lowest pitch up, or all its pitches independently."""
        self._heads[self._voice].draw(logits, *rest)

    def _read(self, first: int, last: int) -> Floats:
        """Return what is read before frames *first* to *last*: ``(s, n, c * p + k)``."""
        flat = self._window[:, first - 1 : last - 1].reshape(len(self._window), last - first, -1).swapaxes(0, 1)
        context = np.repeat(self._context(first, last)[:, None], flat.shape[1], axis=1)
        return np.concatenate([flat, context], axis=2, dtype=np.float32)

    def _attend(self, query: Floats, encoded: Floats, scale: Floats) -> Floats:
        """Return what an encoder's outputs answer to *query* ``(n, u)``: scaled dot-product attention."""
        scores = np.einsum("nu,nsu->ns", query, encoded) * scale
        # As in Keras: padding is pushed down by 1e9, and counts evenly where there is nothing else.
        scores -= np.float32(1e9) * self._padding
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        found: Floats = np.einsum("ns,nsu->nu", weights, encoded)
        return found


class _FrameHead:
    """`seq2seq.models.layers.FrameHead`: draws one voice, with weights of its own for every pitch."""

    def __init__(self, name: str, config: ModelConfig, arrays: Arrays) -> None:
        self._shape = (-1, len(config.planes) // config.voice_count, config.pitches)
        self._logit = _dense(arrays, f"{name}/logit")
        self._causal, self._parts = config.head == "autoregressive", config.voice_count
        if self._causal:
            self._entry = _dense(arrays, f"{name}/entry")
            # No mask: the kernel reads no weight that the masks of the layer silence.
            inward, outward = arrays[f"{name}/inward"], arrays[f"{name}/outward"]
            self._inward = inward.reshape(-1, config.pitches, inward.shape[1])
            self._outward = outward.reshape(outward.shape[0], -1, config.pitches)
            if self._parts > 1:
                self._given, self._known = arrays[f"{name}/given/kernel"], arrays[f"{name}/known/kernel"]

    def hear(self, features: Floats) -> None:
        """Work out what *features* ``(n, k)`` say to every pitch."""
        self._base = _apply(self._logit, features).reshape(self._shape)
        if self._causal:
            self._hidden = _apply(self._entry, features)

    def hear_given(self, frame: Bits, given: npt.NDArray[np.bool_]) -> None:
        """Hear the voices of *frame* ``(n, c, p)`` that are *given* ``(voices,)``."""
        if self._causal and self._parts > 1:
            others = frame * np.repeat(given, self._shape[1])[:, None]
            self._hidden += _product(others.reshape(len(frame), -1).astype(np.float32), self._given)
            self._hidden += self._known[given].sum(axis=0)

    def draw(self, logits: Floats, *rest: Any) -> None:
        """Draw from the lowest pitch up, or all pitches independently."""
        if self._causal:
            kernels.draw_framewise(self._base, self._hidden, self._inward, self._outward, logits, *rest)
        else:
            logits[:] = self._base
            kernels.draw_independent(logits, *rest)


class BlogStepper(Stepper):
    """`seq2seq.models.architectures.Blog`: all frames of a block at once, when its window is read."""

    def __init__(self, config: ModelConfig, arrays: Arrays) -> None:
        super().__init__(config, arrays)
        self._lstms = [_Lstm(arrays, [name]) for name in ("encoder_0", "encoder_1", "decoder_0", "decoder_1")]
        self._norms = [_norm(arrays, name) for name in ("encoder_norm", "decoder_norm")]
        self._logit = _dense(arrays, "logits")

    def _encode(self) -> None:
        n, _, planes, pitches = self._window.shape
        heard, length = self.config.input_frames, self.config.target_frames
        values = self._window[:, :heard].reshape(n, heard, -1).swapaxes(0, 1).astype(np.float32)
        for (first, second), (scale, offset) in zip((self._lstms[:2], self._lstms[2:]), self._norms, strict=True):
            values = second.run(first.run(values) * scale + offset)
            last, values = values, np.repeat(values[-1:], length, axis=0)
        self._block = _apply(self._logit, last).reshape(length, n, planes, pitches)

    def advance(self, place: int) -> None:
        """Go to the frame, which was predicted with all others of the block."""
        self._base = self._block[place - self.config.input_frames]
        self._voice = 0

    def follow(self, chosen: npt.NDArray[np.int64]) -> None:
        """Take over what was predicted for the block."""
        self._block = self._block[:, chosen]

    def draw(self, logits: Floats, *rest: Any) -> None:
        """Draw all pitches independently."""
        planes = len(self.config.planes) // self.config.voice_count
        logits[:] = self._base[:, self._voice * planes : (self._voice + 1) * planes]
        kernels.draw_independent(logits, *rest)


def stepper_of(config: ModelConfig, arrays: Arrays) -> Stepper:
    """Return the stepper of a model, from its arrays by the names of `seq2seq.models.weights`."""
    kinds: dict[str, type[Stepper]] = {"tied": TiedStepper, "seq2seq": Seq2SeqStepper, "blog": BlogStepper}
    return kinds[config.model](config, arrays)


class _Lstm:
    """A stack of Keras LSTM layers; ``states`` holds h and c of each, ``(rows, u)``.

    The three sigmoids are taken as ``(1 + tanh(x / 2)) / 2``, with the half folded into the weights, so that
    one vectorised tanh serves all four gates.
    """

    def __init__(self, arrays: Arrays, names: list[str]) -> None:
        self._layers = []
        for name in names:
            units = len(arrays[f"{name}/recurrent_kernel"])
            scale = np.full(4 * units, 0.5, np.float32)
            scale[2 * units : 3 * units] = 1
            self._layers.append([arrays[f"{name}/{part}"] * scale for part in ("kernel", "recurrent_kernel", "bias")])
        self.states: list[tuple[Floats, Floats]] = []

    def run(self, x: Floats) -> Floats:
        """Read ``(s, rows, k)`` from zero states and return the outputs ``(s, rows, u)``."""
        zeros = [np.zeros((x.shape[1], len(recurrent)), np.float32) for _, recurrent, _ in self._layers]
        self.states = [(h, h.copy()) for h in zeros]
        return np.stack([self.step(frame) for frame in x])

    def step(self, x: Floats) -> Floats:
        """Read ``(rows, k)`` and return the output ``(rows, u)``; the states move on."""
        for i, (kernel, recurrent, bias) in enumerate(self._layers):
            h, c = self.states[i]
            gates = _product(x, kernel)
            gates += _product(h, recurrent)
            gates += bias
            np.tanh(gates, out=gates)
            kernels.cell(gates, c)
            x = np.tanh(c)
            kernels.open_output(gates, x)
            self.states[i] = (x, c)
        return x

    def follow(self, rows: npt.NDArray[np.int64]) -> None:
        """Let each row go on from the state of another."""
        self.states = [(h[rows], c[rows]) for h, c in self.states]


def _stacks(part: str, config: ModelConfig, arrays: Arrays) -> list[_Lstm]:
    """Return the encoder or the decoder of each voice of a conditional model."""
    layers = range(config.layers)
    return [_Lstm(arrays, [f"{name}_{layer}" for layer in layers]) for name in names_by_voice(config, part)]


def _dense(arrays: Arrays, name: str) -> tuple[Floats, Floats]:
    """Return kernel and bias of a dense layer."""
    return arrays[f"{name}/kernel"], arrays[f"{name}/bias"]


def _product(x: Floats, weights: Floats) -> Floats:
    """Return ``x @ weights`` for *x* ``(rows, k)``, in blocks of rows so small that BLAS uses one thread each.

    The products of a frame are too short for two threads to help; and where another process wants a core,
    OpenBLAS's threads wait for each other most of the time (measured: 34 frames a second instead of 850).
    """
    if len(x) * weights.size <= _ONE_THREAD:
        out: Floats = x @ weights
        return out
    rows = max(1, _ONE_THREAD // weights.size)
    whole = len(x) // rows * rows
    out = np.empty((len(x), weights.shape[1]), np.float32)
    blocks = (-1, rows, weights.shape[1])
    np.matmul(x[:whole].reshape(-1, rows, x.shape[1]), weights, out=out[:whole].reshape(blocks))
    out[whole:] = x[whole:] @ weights
    return out


def _apply(dense: tuple[Floats, Floats], x: Floats) -> Floats:
    """Return the dense layer of *x* ``(…, k)``."""
    out = _product(x.reshape(-1, x.shape[-1]), dense[0]).reshape(*x.shape[:-1], -1)
    out += dense[1]
    return out


def _norm(arrays: Arrays, name: str) -> tuple[Floats, Floats]:
    """Return scale and offset of a batch normalisation in use."""
    scale = arrays[f"{name}/gamma"] / np.sqrt(arrays[f"{name}/moving_variance"] + _EPSILON)
    return scale, arrays[f"{name}/beta"] - arrays[f"{name}/moving_mean"] * scale
