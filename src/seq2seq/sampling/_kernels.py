"""The inner loops of sampling, compiled by Numba: features of sparse frames, and the drawing of a frame.

A pitch-autoregressive head asks for 88 decisions a frame, one after the other. Calls into a framework
cost more than the arithmetic by two orders of magnitude, so the heads are stepped here, on plain arrays.

Shapes: *n* outputs, *c* planes (sounding, then perhaps onset), *p* pitches, *u* units. A frame is drawn voice by
voice, so what is drawn has the planes of one. Frames are 0/1 uint8, everything else float32. Convolutions over pitch
are scattered from the few pitches that sound.
"""
# mypy: disable-error-code="no-untyped-def"
# Numba infers the types from the arguments; the docstrings state them.

from __future__ import annotations

import math

import numpy as np

from rollcore.compiled import compiled

# What may become of a pitch in the frame to draw.
FREE, SILENT, HELD, STRUCK = 0, 1, 2, 3

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@compiled
def uniform(states, n):
    """Return the next number in [0, 1) of stream *n*, by splitmix64 (Steele et al. 2014)."""
    states[n] += _GOLDEN
    z = states[n]
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * 2.0**-53


@compiled
def _chance(logit, temperature, top_p):
    """Return the probability of *yes* once temperature and nucleus have had their say.

    The nucleus of a yes-or-no question is the likelier answer alone where that reaches *top_p*, else both.
    """
    if temperature == 0:
        return 1.0 if logit > 0 else 0.0
    p = 1 / (1 + math.exp(-min(max(logit / temperature, -700.0), 700.0)))
    if max(p, 1 - p) >= top_p:
        return 1.0 if p > 0.5 else 0.0
    return p


@compiled
def _log_sigmoid(x):
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


@compiled
def _settle(logits, n, p, rule, bias, may_hold, temperature, top_p, states, frame):
    """Decide pitch *p* of output *n* in *frame*; return the log-probability of what was imposed.

    A note that was not there before is struck; one that was is struck or held as its logit says.
    """
    log_weight = 0.0
    logit = logits[n, 0, p]
    if rule == FREE:
        sounds = uniform(states, n) < _chance(logit + bias, temperature[n], top_p)
    else:
        sounds = rule != SILENT
        log_weight += _log_sigmoid(logit if sounds else -logit)
    frame[n, 0, p] = sounds
    if frame.shape[1] == 2:
        struck = False
        if sounds and rule == FREE:
            struck = not may_hold[n, p] or uniform(states, n) < _chance(logits[n, 1, p], temperature[n], top_p)
        elif sounds:
            struck = rule == STRUCK
            log_weight += _log_sigmoid(logits[n, 1, p] if struck else -logits[n, 1, p])
        frame[n, 1, p] = struck
    return log_weight


@compiled
def draw_independent(logits, may_hold, rules, bias, temperature, top_p, states, todo, frame, log_weight):
    """Draw one frame for every output of *todo*, each pitch by itself, from *logits* ``(n, c, p)``.

    Parameters common to the three ways of drawing
    -----------------------------------------------
    may_hold, rules : (n, p) uint8
        Whether a sounding pitch may be a held one; what is imposed on it (FREE, SILENT, HELD, STRUCK).
    bias : (n, p) float64
        What is added to the logit of a pitch that is free to sound or not.
    temperature : (n,) float64
        What the logits of each output are divided by.
    states : (n,) uint64
        The random streams, advanced in place.
    todo : (n,) bool
        The outputs to draw for; the others are left as they are.
    frame : (n, c, p) uint8, out
    log_weight : (n,) float64, out
        Log-probability, under the model and given the notes below, of all that *rules* imposed.
    """
    for n in range(len(frame)):
        if todo[n]:
            log_weight[n] = 0.0
            for p in range(frame.shape[2]):
                log_weight[n] += _settle(
                    logits, n, p, rules[n, p], bias[n, p], may_hold, temperature, top_p, states, frame
                )


@compiled
def draw_framewise(
    base, entry, inward, outward, logits, may_hold, rules, bias, temperature, top_p, states, todo, frame, log_weight
):
    """Draw by the masked-dense head, from the lowest pitch up; *logits* ``(n, c, p)`` is written.

    *base* ``(n, c, p)`` and *entry* ``(n, hidden)`` are what the features say; *inward* ``(c, p, hidden)``
    and *outward* ``(hidden, c, p)`` the masked weights. Hidden units belong to pitches in equal shares.
    """
    planes, pitches = frame.shape[1:]
    share = entry.shape[1] // pitches
    hidden = np.empty_like(entry[0])
    for n in range(len(frame)):
        if not todo[n]:
            continue
        log_weight[n] = 0.0
        hidden[:] = entry[n]
        logits[n] = base[n]
        for p in range(pitches):
            for unit in range(p * share, (p + 1) * share):
                if hidden[unit] > 0:
                    for plane in range(planes):
                        for above in range(p, pitches):
                            logits[n, plane, above] += hidden[unit] * outward[unit, plane, above]
            log_weight[n] += _settle(logits, n, p, rules[n, p], bias[n, p], may_hold, temperature, top_p, states, frame)
            for plane in range(planes):
                if frame[n, plane, p]:
                    for unit in range((p + 1) * share, len(hidden)):
                        hidden[unit] += inward[plane, p, unit]


@compiled
def draw_pitchwise(
    base,
    told,
    past,
    below,
    counts,
    hidden_kernel,
    hidden_bias,
    logit_kernel,
    logit_bias,
    logits,
    may_hold,
    rules,
    bias,
    temperature,
    top_p,
    states,
    todo,
    frame,
    log_weight,
):
    """Draw by the head shared by all pitches, from the lowest pitch up; *logits* ``(n, c, p)`` is written.

    *base* ``(n, p, u)`` holds all that does not depend on the frame itself, *told* ``(n, p, channels)`` what a
    pitch tells those above it if it sounds, *past* ``(n, k, p)`` what sounded in the frames the head compares
    with, the previous one first. *below* ``(reach, channels, j)`` and *counts* ``(1 + 3 * k, j)`` are the
    weights of what a pitch sees of those below; they speak to the first j units.
    """
    planes, pitches = frame.shape[1:]
    reach, channels, some = below.shape
    units, kinds = base.shape[2], past.shape[1]
    around = np.empty_like(base[0])
    counted = np.empty(some, np.float32)
    relu = np.empty(units, np.float32)
    hidden = np.empty(units, np.float32)
    note = np.empty(channels, np.float32)
    for n in range(len(frame)):
        if not todo[n]:
            continue
        log_weight[n] = 0.0
        around[:] = base[n]
        counted[:] = 0
        for p in range(pitches):
            for i in range(some):
                around[p, i] += counted[i]
            for i in range(units):
                relu[i] = max(np.float32(0), around[p, i])
                hidden[i] = hidden_bias[i]
            for i in range(units):
                if relu[i] > 0:
                    for j in range(units):
                        hidden[j] += relu[i] * hidden_kernel[i, j]
            for plane in range(planes):
                logits[n, plane, p] = logit_bias[plane]
            for i in range(units):
                if hidden[i] > 0:
                    for plane in range(planes):
                        logits[n, plane, p] += hidden[i] * logit_kernel[i, plane]
            log_weight[n] += _settle(logits, n, p, rules[n, p], bias[n, p], may_hold, temperature, top_p, states, frame)
            if not frame[n, 0, p]:
                continue
            # The head counts in quarters: this note, and for each frame of the past whether it sounded there.
            for i in range(some):
                counted[i] += np.float32(0.25) * counts[0, i]
            for kind in range(kinds):
                if past[n, kind, p]:
                    for i in range(some):
                        counted[i] += np.float32(0.25) * counts[1 + kinds + kind, i]
            note[:] = 0
            for plane in range(planes):
                note[plane] = frame[n, plane, p]
            note[2 * planes] = past[n, 0, p]
            note[2 * planes + 1 :] = told[n, p]
            for above in range(p + 1, min(pitches, p + reach + 1)):
                for channel in range(channels):
                    if note[channel] != 0:
                        for i in range(some):
                            around[above, i] += note[channel] * below[p - above + reach, channel, i]


@compiled
def hear_past_below(previous, past, below, counts, out):
    """Add to *out* ``(n, p, u)`` what the causal head knows of the pitches below without the frame itself.

    *previous* is ``(n, c, p)``; *past*, *below* and *counts* are those of `draw_pitchwise`.
    """
    planes, pitches = previous.shape[1:]
    reach, _, some = below.shape
    kinds = past.shape[1]
    for n in range(len(previous)):
        for plane in range(planes):
            for q in range(pitches):
                if previous[n, plane, q]:
                    for p in range(q + 1, min(pitches, q + reach + 1)):
                        for i in range(some):
                            out[n, p, i] += below[q - p + reach, planes + plane, i]
        for kind in range(kinds):
            above = np.float32(0)
            for p in range(pitches):
                above += np.float32(0.25) * past[n, kind, p]
            under = np.float32(0)
            for p in range(pitches):
                if under + above == 0:
                    break
                for i in range(some):
                    out[n, p, i] += under * counts[1 + kind, i] + above * counts[1 + 2 * kinds + kind, i]
                under += np.float32(0.25) * past[n, kind, p]
                above -= np.float32(0.25) * past[n, kind, p]


@compiled
def recall(window, first, lags, heard, likeness):
    """Gather what is heard before each of the m frames of *window* ``(n, s, c, p)`` that begin with *first*.

    *heard* ``(m, n, c * (1 + lags), p)`` receives the previous frame and, for each lag, the frame so many
    before the one to come, silent before the window; *likeness* ``(m, n, lags)`` the share of the pitches of
    the previous frame, or of the one a lag before it, that sound in both.
    """
    planes, pitches = window.shape[2:]
    for m in range(len(heard)):
        now = first + m
        for n in range(len(window)):
            heard[m, n, :planes] = window[n, now - 1]
            for i in range(len(lags)):
                begin = planes * (1 + i)
                if now < lags[i]:
                    heard[m, n, begin : begin + planes] = 0
                else:
                    heard[m, n, begin : begin + planes] = window[n, now - lags[i]]
                both = either = 0
                for plane in range(0, planes, 2):
                    for p in range(pitches):
                        before = window[n, now - 1, plane, p]
                        other = window[n, now - 1 - lags[i], plane, p] if now > lags[i] else np.uint8(0)
                        both += before & other
                        either += before | other
                likeness[m, n, i] = both / max(either, 1)


@compiled
def pitch_features(frames, voices, context, neighbours, harmony, place, out):
    """Write the ReLU features ``(m, p, u)`` of *m* frames ``(m, c, p)``, as `PitchFeatures` has them.

    The planes of the *voices* come first. *context* ``(m, u)`` is already projected; *neighbours* ``(width, c, j)``
    speaks to the first j units; *harmony* ``(12, u)`` goes by interval above the pitch; *place* is ``(p, u)``.
    """
    pitches, units = place.shape
    for m in range(len(frames)):
        for p in range(pitches):
            for i in range(units):
                out[m, p, i] = place[p, i] + context[m, i]
        _scatter(frames[m], neighbours, out[m])
        for voice in range(voices):
            for q in range(pitches):
                if frames[m, 2 * voice, q]:
                    for p in range(pitches):
                        for i in range(units):
                            out[m, p, i] += harmony[(q - p) % 12, i]
        for p in range(pitches):
            for i in range(units):
                out[m, p, i] = max(np.float32(0), out[m, p, i])


@compiled
def _scatter(frame, kernel, out):
    """Add to *out* ``(p, u)`` the centred convolution of *frame* ``(c, p)``; *kernel* is ``(width, c, j)``."""
    reach = len(kernel) // 2
    for plane in range(frame.shape[0]):
        for q in range(frame.shape[1]):
            if frame[plane, q]:
                for p in range(max(0, q - reach), min(len(out), q + reach + 1)):
                    for i in range(kernel.shape[2]):
                        out[p, i] += kernel[q - p + reach, plane, i]


@compiled
def hear_around(previous, around, out):
    """Add to *out* ``(n, p, u)`` what the pitches hear around them in *previous* ``(n, c, p)``."""
    for n in range(len(previous)):
        _scatter(previous[n], around, out[n])


@compiled
def cell(gates, c):
    """Move the cells *c* ``(rows, u)`` on, by the tanh of the gates i, f, g, o ``(rows, 4 * u)``."""
    units = c.shape[1]
    for row in range(len(c)):
        for i in range(units):
            keep = np.float32(0.5) * gates[row, units + i] + np.float32(0.5)
            take = np.float32(0.5) * gates[row, i] + np.float32(0.5)
            c[row, i] = keep * c[row, i] + take * gates[row, 2 * units + i]


@compiled
def open_output(gates, h):
    """Multiply *h* ``(rows, u)``, the tanh of the cells, by the output gate."""
    units = h.shape[1]
    for row in range(len(h)):
        for i in range(units):
            h[row, i] *= np.float32(0.5) * gates[row, 3 * units + i] + np.float32(0.5)


@compiled
def gumbel(states, out):
    """Write one Gumbel number of each stream: the largest log-weight plus such a number is a fair draw."""
    for n in range(len(out)):
        out[n] = -math.log(-math.log(uniform(states, n) + 2.0**-54))


@compiled
def thin(logits, rules, limit, frame):
    """Silence the least probable free notes of a *frame* ``(c, p)`` until *limit* sound, or none is free."""
    count = 0
    for p in range(frame.shape[1]):
        count += frame[0, p]
    while count > limit:
        worst = -1
        for p in range(frame.shape[1]):
            if frame[0, p] and rules[p] == FREE and (worst < 0 or logits[0, p] < logits[0, worst]):
                worst = p
        if worst < 0:
            return
        frame[:, worst] = 0
        count -= 1
