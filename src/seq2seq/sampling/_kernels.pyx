# The inner loops of sampling: features of sparse frames, and the drawing of a frame.
#
# A pitch-autoregressive head asks for 88 decisions a frame, one after the other. Calls into a framework cost more than
# the arithmetic by two orders of magnitude, so the heads are stepped here, on plain arrays.
#
# Private: stepping.py and sampler.py check, allocate and explain. Nothing here looks at a bound or raises, and no loop
# holds the GIL. Arrays are C-contiguous.
#
# Shapes: *n* outputs, *c* planes (sounding, then perhaps onset), *p* pitches, *u* units. A frame is drawn voice by
# voice, so what is drawn has the planes of one. Frames are 0/1 uint8, everything else float32. Convolutions over pitch
# are scattered from the few pitches that sound.
#
# The order of the sums is part of what a seed stands for: another last bit may draw another piece.
from libc.math cimport exp, expf, fabsf, log, log1pf
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

cdef enum:
    _FREE = 0
    _SILENT = 1
    _HELD = 2
    _STRUCK = 3

# What may become of a pitch in the frame to draw.
FREE = _FREE
SILENT = _SILENT
HELD = _HELD
STRUCK = _STRUCK


cdef struct Output:
    # What is known of an output, and where its frame is drawn: a row of each of the arrays that draws share.
    float *logits                # (c, p)
    const uint8_t *may_hold      # (p,)
    const uint8_t *rules         # (p,)
    const double *bias           # (p,)
    double temperature
    double top_p
    uint64_t *state
    uint8_t *frame               # (c, p)
    Py_ssize_t planes
    Py_ssize_t pitches


def uniform(uint64_t[::1] states, Py_ssize_t n):
    """Return the next number in [0, 1) of stream *n*, by splitmix64 (Steele et al. 2014)."""
    return _uniform(&states[n])


cdef double _uniform(uint64_t *state) noexcept nogil:
    cdef uint64_t z
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    z = state[0]
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    z = z ^ (z >> 31)
    return <double>(z >> 11) * 2.0**-53


def chance(double logit, double temperature, double top_p):
    """Return the probability of *yes* once temperature and nucleus have had their say.

    The nucleus of a yes-or-no question is the likelier answer alone where that reaches *top_p*, else both.
    """
    return _chance(logit, temperature, top_p)


cdef double _chance(double logit, double temperature, double top_p) noexcept nogil:
    cdef double p
    if temperature == 0:
        return 1.0 if logit > 0 else 0.0
    p = 1 / (1 + exp(-min(max(logit / temperature, -700.0), 700.0)))
    if max(p, 1 - p) >= top_p:
        return 1.0 if p > 0.5 else 0.0
    return p


cdef double _log_sigmoid(float x) noexcept nogil:
    return <double>min(x, <float>0) - <double>log1pf(expf(-fabsf(x)))


cdef double _settle(Output output, Py_ssize_t p) noexcept nogil:
    """Decide pitch *p* of an output; return the log-probability of what was imposed.

    A note that was not there before is struck; one that was is struck or held as its logit says.
    """
    cdef double log_weight = 0
    cdef float logit = output.logits[p]
    cdef uint8_t rule = output.rules[p]
    cdef bint sounds, struck = False
    if rule == _FREE:
        sounds = _uniform(output.state) < _chance(logit + output.bias[p], output.temperature, output.top_p)
    else:
        sounds = rule != _SILENT
        log_weight += _log_sigmoid(logit if sounds else -logit)
    output.frame[p] = sounds
    if output.planes == 2:
        logit = output.logits[output.pitches + p]
        if sounds and rule == _FREE:
            struck = not output.may_hold[p] or (
                _uniform(output.state) < _chance(logit, output.temperature, output.top_p))
        elif sounds:
            struck = rule == _STRUCK
            log_weight += _log_sigmoid(logit if struck else -logit)
        output.frame[output.pitches + p] = struck
    return log_weight


def draw_independent(
    float[:, :, ::1] logits, const uint8_t[:, ::1] may_hold, const uint8_t[:, ::1] rules, const double[:, ::1] bias,
    const double[::1] temperature, double top_p, uint64_t[::1] states, const uint8_t[::1] todo,
    uint8_t[:, :, ::1] frame, double[::1] log_weight,
):
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
    cdef Py_ssize_t n, p, planes = frame.shape[1], pitches = frame.shape[2]
    cdef Output output
    with nogil:
        for n in range(frame.shape[0]):
            if not todo[n]:
                continue
            output = Output(&logits[n, 0, 0], &may_hold[n, 0], &rules[n, 0], &bias[n, 0], temperature[n], top_p,
                            &states[n], &frame[n, 0, 0], planes, pitches)
            log_weight[n] = 0
            for p in range(pitches):
                log_weight[n] += _settle(output, p)


def draw_framewise(
    const float[:, :, ::1] base, const float[:, ::1] entry, const float[:, :, ::1] inward,
    const float[:, :, ::1] outward,
    float[:, :, ::1] logits, const uint8_t[:, ::1] may_hold, const uint8_t[:, ::1] rules, const double[:, ::1] bias,
    const double[::1] temperature, double top_p, uint64_t[::1] states, const uint8_t[::1] todo,
    uint8_t[:, :, ::1] frame, double[::1] log_weight,
):
    """Draw by the masked-dense head, from the lowest pitch up; *logits* ``(n, c, p)`` is written.

    *base* ``(n, c, p)`` and *entry* ``(n, hidden)`` are what the features say; *inward* ``(c, p, hidden)``
    and *outward* ``(hidden, c, p)`` the masked weights. Hidden units belong to pitches in equal shares.
    """
    cdef Py_ssize_t n, p, plane, unit, planes = frame.shape[1], pitches = frame.shape[2]
    cdef Py_ssize_t units = entry.shape[1], share = units // pitches, later
    cdef float[::1] hidden = np.empty(units, np.float32)
    cdef Output output
    with nogil:
        for n in range(frame.shape[0]):
            if not todo[n]:
                continue
            output = Output(&logits[n, 0, 0], &may_hold[n, 0], &rules[n, 0], &bias[n, 0], temperature[n], top_p,
                            &states[n], &frame[n, 0, 0], planes, pitches)
            log_weight[n] = 0
            memcpy(&hidden[0], &entry[n, 0], <size_t>units * sizeof(float))
            memcpy(output.logits, &base[n, 0, 0], <size_t>(planes * pitches) * sizeof(float))
            for p in range(pitches):
                for unit in range(p * share, (p + 1) * share):
                    if hidden[unit] > 0:
                        for plane in range(planes):
                            _add(output.logits + plane * pitches + p, &outward[unit, plane, p], hidden[unit],
                                pitches - p)
                log_weight[n] += _settle(output, p)
                later = (p + 1) * share
                for plane in range(planes):
                    if frame[n, plane, p]:
                        _add(&hidden[later], &inward[plane, p, later], 1, units - later)


def draw_pitchwise(
    const float[:, :, ::1] base, const float[:, :, ::1] told, const uint8_t[:, :, ::1] past,
    const float[:, :, ::1] below, const float[:, ::1] counts, const float[:, ::1] hidden_kernel,
    const float[::1] hidden_bias, const float[:, ::1] logit_kernel, const float[::1] logit_bias,
    float[:, :, ::1] logits, const uint8_t[:, ::1] may_hold, const uint8_t[:, ::1] rules, const double[:, ::1] bias,
    const double[::1] temperature, double top_p, uint64_t[::1] states, const uint8_t[::1] todo,
    uint8_t[:, :, ::1] frame, double[::1] log_weight,
):
    """Draw by the head shared by all pitches, from the lowest pitch up; *logits* ``(n, c, p)`` is written.

    *base* ``(n, p, u)`` holds all that does not depend on the frame itself, *told* ``(n, p, channels)`` what a
    pitch tells those above it if it sounds, *past* ``(n, k, p)`` what sounded in the frames the head compares
    with, the previous one first. *below* ``(reach, channels, j)`` and *counts* ``(1 + 3 * k, j)`` are the
    weights of what a pitch sees of those below; they speak to the first j units.
    """
    cdef Py_ssize_t n, p, i, plane, kind, above, channel, planes = frame.shape[1], pitches = frame.shape[2]
    cdef Py_ssize_t reach = below.shape[0], channels = below.shape[1], some = below.shape[2]
    cdef Py_ssize_t units = base.shape[2], kinds = past.shape[1]
    cdef float[:, ::1] around = np.empty((pitches, units), np.float32)
    cdef float[::1] counted = np.empty(some, np.float32), note = np.empty(channels, np.float32)
    cdef float[::1] hidden = np.empty(units, np.float32)
    cdef Py_ssize_t[::1] active = np.empty(units, np.intp)
    cdef float logit
    cdef Output output
    with nogil:
        for n in range(frame.shape[0]):
            if not todo[n]:
                continue
            output = Output(&logits[n, 0, 0], &may_hold[n, 0], &rules[n, 0], &bias[n, 0], temperature[n], top_p,
                            &states[n], &frame[n, 0, 0], planes, pitches)
            log_weight[n] = 0
            memcpy(&around[0, 0], &base[n, 0, 0], <size_t>(pitches * units) * sizeof(float))
            memset(&counted[0], 0, <size_t>some * sizeof(float))
            for p in range(pitches):
                _add(&around[p, 0], &counted[0], 1, some)
                _dense(&around[p, 0], &hidden_kernel[0, 0], &hidden_bias[0], units, &active[0], &hidden[0])
                for plane in range(planes):
                    logit = logit_bias[plane]
                    for i in range(units):
                        if hidden[i] > 0:
                            logit += hidden[i] * logit_kernel[i, plane]
                    logits[n, plane, p] = logit
                log_weight[n] += _settle(output, p)
                if not frame[n, 0, p]:
                    continue
                # The head counts in quarters: this note, and for each frame of the past whether it sounded there.
                _add(&counted[0], &counts[0, 0], 0.25, some)
                for kind in range(kinds):
                    if past[n, kind, p]:
                        _add(&counted[0], &counts[1 + kinds + kind, 0], 0.25, some)
                for plane in range(planes):
                    note[plane] = frame[n, plane, p]
                    note[planes + plane] = 0
                note[2 * planes] = past[n, 0, p]
                for channel in range(2 * planes + 1, channels):
                    note[channel] = told[n, p, channel - 2 * planes - 1]
                for above in range(p + 1, min(pitches, p + reach + 1)):
                    for channel in range(channels):
                        if note[channel] != 0:
                            _add(&around[above, 0], &below[p - above + reach, channel, 0], note[channel], some)


def hear_past_below(const uint8_t[:, :, ::1] previous, const uint8_t[:, :, ::1] past, const float[:, :, ::1] below,
                    const float[:, ::1] counts, float[:, :, ::1] out):
    """Add to *out* ``(n, p, u)`` what the causal head knows of the pitches below without the frame itself.

    *previous* is ``(n, c, p)``; *past*, *below* and *counts* are those of `draw_pitchwise`.
    """
    cdef Py_ssize_t n, p, q, i, plane, kind, planes = previous.shape[1], pitches = previous.shape[2]
    cdef Py_ssize_t reach = below.shape[0], some = below.shape[2], kinds = past.shape[1]
    cdef float above, under
    with nogil:
        for n in range(previous.shape[0]):
            for plane in range(planes):
                for q in range(pitches):
                    if previous[n, plane, q]:
                        for p in range(q + 1, min(pitches, q + reach + 1)):
                            _add(&out[n, p, 0], &below[q - p + reach, planes + plane, 0], 1, some)
            for kind in range(kinds):
                above, under = 0, 0
                for p in range(pitches):
                    above += <float>0.25 * past[n, kind, p]
                for p in range(pitches):
                    if under + above == 0:
                        break
                    for i in range(some):
                        out[n, p, i] += under * counts[1 + kind, i] + above * counts[1 + 2 * kinds + kind, i]
                    under += <float>0.25 * past[n, kind, p]
                    above -= <float>0.25 * past[n, kind, p]


def recall(const uint8_t[:, :, :, ::1] window, Py_ssize_t voices, Py_ssize_t first, const int64_t[::1] lags,
           uint8_t[:, :, :, ::1] heard, float[:, :, ::1] likeness):
    """Gather what is heard before each of the m frames of *window* ``(n, s, c, p)`` that begin with *first*.

    *heard* ``(m, n, c * (1 + lags), p)`` receives the previous frame and, for each lag, the frame so many
    before the one to come, silent before the window; *likeness* ``(m, n, lags * voices)`` the share of the pitches
    of a voice in the previous frame, or in the one a lag before it, that sound in both.
    """
    cdef Py_ssize_t m, n, i, p, voice, now, lag, planes = window.shape[2], pitches = window.shape[3]
    cdef Py_ssize_t both, either, size = planes * pitches
    cdef const uint8_t *before
    cdef const uint8_t *other
    cdef uint8_t *to
    with nogil:
        for m in range(heard.shape[0]):
            now = first + m
            for n in range(window.shape[0]):
                before = &window[n, now - 1, 0, 0]
                memcpy(&heard[m, n, 0, 0], before, <size_t>size)
                for i in range(lags.shape[0]):
                    lag = lags[i]
                    to = &heard[m, n, planes * (1 + i), 0]
                    if now < lag:
                        memset(to, 0, <size_t>size)
                    else:
                        memcpy(to, &window[n, now - lag, 0, 0], <size_t>size)
                    for voice in range(voices):
                        both, either = 0, 0
                        for p in range(2 * voice * pitches, (2 * voice + 1) * pitches):
                            if now > lag:
                                other = &window[n, now - 1 - lag, 0, 0]
                                both += before[p] & other[p]
                                either += before[p] | other[p]
                            else:
                                either += before[p]
                        likeness[m, n, i * voices + voice] = <float>(<double>both / <double>max(either, 1))


def pitch_features(const uint8_t[:, :, ::1] frames, Py_ssize_t voices, const float[:, ::1] context,
                   const float[:, :, ::1] neighbours, const float[:, ::1] harmony, const float[:, ::1] place,
                   float[:, :, ::1] out):
    """Write the ReLU features ``(m, p, u)`` of *m* frames ``(m, c, p)``, as `PitchFeatures` has them.

    The planes of the *voices* come first. *context* ``(m, u)`` is already projected; *neighbours* ``(width, c, j)``
    speaks to the first j units; *harmony* ``(12 * voices, u)`` goes by voice, then by interval above the pitch; *place*
    is ``(p, u)``.
    """
    cdef Py_ssize_t m, p, q, i, voice, pitches = place.shape[0], units = place.shape[1]
    with nogil:
        for m in range(frames.shape[0]):
            for p in range(pitches):
                for i in range(units):
                    out[m, p, i] = place[p, i] + context[m, i]
            _scatter(frames[m], neighbours, out[m])
            for voice in range(voices):
                for q in range(pitches):
                    if frames[m, 2 * voice, q]:
                        for p in range(pitches):
                            _add(&out[m, p, 0], &harmony[12 * voice + (q - p + 12 * pitches) % 12, 0], 1, units)
            for p in range(pitches):
                for i in range(units):
                    out[m, p, i] = max(<float>0, out[m, p, i])


cdef void _scatter(const uint8_t[:, ::1] frame, const float[:, :, ::1] kernel, float[:, ::1] out) noexcept nogil:
    """Add to *out* ``(p, u)`` the centred convolution of *frame* ``(c, p)``; *kernel* is ``(width, c, j)``."""
    cdef Py_ssize_t plane, p, q, reach = kernel.shape[0] // 2
    for plane in range(frame.shape[0]):
        for q in range(frame.shape[1]):
            if frame[plane, q]:
                for p in range(max(0, q - reach), min(out.shape[0], q + reach + 1)):
                    _add(&out[p, 0], &kernel[q - p + reach, plane, 0], 1, kernel.shape[2])


def hear_around(const uint8_t[:, :, ::1] previous, const float[:, :, ::1] around, float[:, :, ::1] out):
    """Add to *out* ``(n, p, u)`` what the pitches hear around them in *previous* ``(n, c, p)``."""
    cdef Py_ssize_t n
    with nogil:
        for n in range(previous.shape[0]):
            _scatter(previous[n], around, out[n])


def cell(const float[:, ::1] gates, float[:, ::1] c):
    """Move the cells *c* ``(rows, u)`` on, by the tanh of the gates i, f, g, o ``(rows, 4 * u)``."""
    cdef Py_ssize_t row, i, units = c.shape[1]
    cdef const float *gate
    cdef float *state
    cdef float keep, take
    with nogil:
        for row in range(c.shape[0]):
            gate, state = &gates[row, 0], &c[row, 0]
            for i in range(units):
                keep = <float>0.5 * gate[units + i] + <float>0.5
                take = <float>0.5 * gate[i] + <float>0.5
                state[i] = keep * state[i] + take * gate[2 * units + i]


def open_output(const float[:, ::1] gates, float[:, ::1] h):
    """Multiply *h* ``(rows, u)``, the tanh of the cells, by the output gate."""
    cdef Py_ssize_t row, i, units = h.shape[1]
    cdef const float *gate
    cdef float *output
    with nogil:
        for row in range(h.shape[0]):
            gate, output = &gates[row, 3 * units], &h[row, 0]
            for i in range(units):
                output[i] *= <float>0.5 * gate[i] + <float>0.5


def gumbel(uint64_t[::1] states, double[::1] out):
    """Write one Gumbel number of each stream: the largest log-weight plus such a number is a fair draw."""
    cdef Py_ssize_t n
    with nogil:
        for n in range(out.shape[0]):
            out[n] = -log(-log(_uniform(&states[n]) + 2.0**-54))


def thin(const float[:, ::1] logits, const uint8_t[::1] rules, Py_ssize_t limit, uint8_t[:, ::1] frame):
    """Silence the least probable free notes of a *frame* ``(c, p)`` until *limit* sound, or none is free."""
    cdef Py_ssize_t p, plane, worst, count = 0
    with nogil:
        for p in range(frame.shape[1]):
            count += frame[0, p]
        while count > limit:
            worst = -1
            for p in range(frame.shape[1]):
                if frame[0, p] and rules[p] == _FREE and (worst < 0 or logits[0, p] < logits[0, worst]):
                    worst = p
            if worst < 0:
                break
            for plane in range(frame.shape[0]):
                frame[plane, worst] = 0
            count -= 1


cdef void _dense(const float *x, const float *kernel, const float *bias, Py_ssize_t units, Py_ssize_t *active,
                 float *out) noexcept nogil:
    """Write ``bias + relu(x) @ kernel``, summed from the first of *x* to the last; *active* is room for *units*."""
    cdef Py_ssize_t i, j, k, count = 0, unit
    cdef float sums[16]
    # Without a branch that half of the units would take: which they are, nobody can foresee.
    for i in range(units):
        active[count] = i
        count += x[i] > 0
    # Sixteen sums at a time stay in registers.
    for j in range(0, units - 15, 16):
        memcpy(sums, bias + j, sizeof(sums))
        for i in range(count):
            unit = active[i]
            for k in range(16):
                sums[k] += x[unit] * kernel[unit * units + j + k]
        memcpy(out + j, sums, sizeof(sums))
    for j in range(units & ~15, units):
        out[j] = bias[j]
        for i in range(count):
            out[j] += x[active[i]] * kernel[active[i] * units + j]


cdef inline void _add(float *to, const float *row, float by, Py_ssize_t width) noexcept nogil:
    """Add a multiple of a row to another."""
    cdef Py_ssize_t i
    for i in range(width):
        to[i] += by * row[i]
