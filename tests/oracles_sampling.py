"""Slow, obvious twins of the kernels of sampling: sums over all pitches, as their docstrings define them."""

from __future__ import annotations

import math

import numpy as np


class Stream:
    """Splitmix64 as numbers in [0, 1)."""

    def __init__(self, state):
        self.state = int(state)

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return ((z ^ z >> 31) >> 11) / 2**53


def log_sigmoid(x):
    return -math.log1p(math.exp(-float(x)))


def yes(logit, temperature, top_p, stream):
    """Draw the answer to a question."""
    drawn = stream.next()
    if temperature == 0:
        return logit > 0
    chance = 1 / (1 + math.exp(-float(logit) / temperature))
    if max(chance, 1 - chance) >= top_p:
        return chance > 0.5
    return drawn < chance


def draw(logits_at, planes, rules, may_hold, bias, temperature, top_p, stream):
    """Draw a frame ``(planes, p)``; *logits_at* gives the logits of a pitch from what is drawn below it.

    Return the frame, the logits it was drawn from, and the log-probability of what *rules* imposed.
    """
    frame, logits, weight = np.zeros((planes, len(rules)), np.uint8), np.zeros((planes, len(rules))), 0.0
    for p, rule in enumerate(rules):
        logit = logits[:, p] = logits_at(p, frame)
        free, silent, _, struck = range(4)
        if rule == free:
            frame[0, p] = yes(logit[0] + bias[p], temperature, top_p, stream)
        else:
            frame[0, p] = rule != silent
            weight += log_sigmoid(logit[0] if frame[0, p] else -logit[0])
        if planes == 1 or not frame[0, p]:
            continue
        if rule == free:
            frame[1, p] = not may_hold[p] or yes(logit[1], temperature, top_p, stream)
        else:
            frame[1, p] = rule == struck
            weight += log_sigmoid(logit[1] if frame[1, p] else -logit[1])
    return frame, logits, weight


def framewise_logits(base, entry, inward, outward):
    """Logits of the masked-dense head: units of a pitch hear the pitches below, a pitch hears its own units too."""
    share = len(entry) // base.shape[1]

    def logits_at(p, frame):
        found = base[:, p].astype(float)
        for unit in range((p + 1) * share):
            heard = entry[unit] + sum(
                float(inward[plane, q, unit])
                for plane in range(len(frame))
                for q in range(unit // share)
                if frame[plane, q]
            )
            found = found + max(0.0, heard) * outward[unit, :, p]
        return found

    return logits_at


def pitchwise_logits(base, told, past, below, counts, hidden_kernel, hidden_bias, logit_kernel, logit_bias):
    """Logits of the head that all pitches share, from what each pitch that sounds tells those above it."""
    reach, channels, some = below.shape
    kinds = len(past)

    def logits_at(p, frame):
        seen = base[p].astype(float)
        for q in range(p):
            if not frame[0, q]:
                continue
            seen[:some] += 0.25 * (counts[0] + sum(past[kind, q] * counts[1 + kinds + kind] for kind in range(kinds)))
            if p - q <= reach:
                note = np.concatenate([frame[:, q], np.zeros(len(frame)), past[:1, q], told[q]])
                assert len(note) == channels
                seen[:some] += note @ below[reach - (p - q)]
        hidden = np.maximum(seen, 0) @ hidden_kernel + hidden_bias
        return np.maximum(hidden, 0) @ logit_kernel + logit_bias

    return logits_at


def past_below(previous, past, below, counts, units):
    """What the causal head knows of the pitches below without the frame itself: ``(p, units)``."""
    planes, pitches = previous.shape
    reach, _, some = below.shape
    kinds = len(past)
    found = np.zeros((pitches, units))
    for p in range(pitches):
        for q in range(max(0, p - reach), p):
            for plane in range(planes):
                found[p, :some] += previous[plane, q] * below[reach - (p - q), planes + plane]
        for kind in range(kinds):
            under, above = past[kind, :p].sum() / 4, past[kind, p:].sum() / 4
            found[p, :some] += under * counts[1 + kind] + above * counts[1 + 2 * kinds + kind]
    return found


def scattered(frame, kernel, units):
    """Centred convolution over pitch of a frame ``(c, p)`` with a kernel ``(width, c, j)``: ``(p, units)``."""
    pitches = frame.shape[1]
    width, _, some = kernel.shape
    found = np.zeros((pitches, units))
    for p in range(pitches):
        for k in range(width):
            q = p + k - width // 2
            if 0 <= q < pitches:
                found[p, :some] += frame[:, q] @ kernel[k]
    return found


def pitch_features(frame, voices, context, neighbours, harmony, place):
    """ReLU features ``(p, u)`` of a frame ``(c, p)``."""
    pitches, units = place.shape
    found = place + context + scattered(frame, neighbours, units)
    for p in range(pitches):
        for voice in range(voices):
            for q in np.flatnonzero(frame[2 * voice]):
                found[p] = found[p] + harmony[12 * voice + (int(q) - p) % 12]
    return np.maximum(found, 0)


def recalled(window, voices, now, lags):
    """What is heard before frame *now* of a window ``(s, c, p)``, and how alike it was a lag before, by voice."""
    silence = np.zeros_like(window[0])
    heard, likeness = [window[now - 1]], []
    for lag in lags:
        heard.append(window[now - lag] if now >= lag else silence)
        for voice in range(voices):
            before = window[now - 1, 2 * voice]
            other = window[now - 1 - lag, 2 * voice] if now > lag else silence[0]
            likeness.append((before & other).sum() / max((before | other).sum(), 1))
    return np.concatenate(heard), likeness
