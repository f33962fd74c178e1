"""The slow, obvious twin of quantising and painting: mido, fractions and plain loops."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction

import mido


def song(path):
    """Ticks per beat; notes (onset, offset, pitch, channel, track); tempos (tick, µs); pedals (tick, channel, down)."""
    midi = mido.MidiFile(path)
    notes, tempos, pedals = [], [], []
    for track_number, track in enumerate(midi.tracks):
        tick = 0
        waiting = defaultdict(list)
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                tempos.append((tick, message.tempo))
            elif message.type == "control_change" and message.control == 64:
                pedals.append((tick, message.channel, message.value >= 64))
            elif message.type == "note_on" and message.velocity > 0:
                waiting[message.channel, message.note].append(tick)
            elif message.type in ("note_on", "note_off") and waiting[message.channel, message.note]:
                onset = waiting[message.channel, message.note].pop(0)
                notes.append((onset, tick, message.note, message.channel, track_number))
    return midi.ticks_per_beat, notes, sorted(tempos, key=lambda tempo: tempo[0]), pedals


def seconds_of(tick, tempos, ticks_per_beat):
    """Time of a tick in seconds, as a Fraction."""
    seconds, at, tempo = Fraction(0), 0, 500_000
    for start, following in tempos:
        if start > tick:
            break
        seconds += Fraction((start - at) * tempo, ticks_per_beat * 1_000_000)
        at, tempo = start, following
    return seconds + Fraction((tick - at) * tempo, ticks_per_beat * 1_000_000)


def hold(changes, tick):
    """When a pedal went down that is down at `tick`, and when it comes up (None: never); None where it is up."""
    pressed = None
    for at, down in changes:
        if at > tick:
            break
        pressed = (at if pressed is None else pressed) if down else None
    if pressed is None:
        return None
    return pressed, next((at for at, down in changes if at > tick and not down), None)


def sustained(notes, pedals, drums=True, controls=()):
    """Move note-offs under a pedal to its release or to the next onset of the pitch, whichever is first.

    A pedal that is never released holds to the last note-off of a note that is kept. `controls` are (tick, channel,
    number, value): 66 holds what was struck before it went down and not yet ended, 121 lifts it, 120 silences.
    """
    end = max((note[1] for note in notes if drums or note[3] != 9), default=0)
    controls = sorted(controls, key=lambda control: control[0])
    longer = []
    for onset, offset, pitch, channel, track in notes:
        sustain = [pedal[::2] for pedal in sorted(pedals, key=lambda pedal: pedal[0]) if pedal[1] == channel]
        sostenuto = [(c[0], c[2] == 66 and c[3] >= 64) for c in controls if c[1] == channel and c[2] in (66, 121)]
        until = offset
        if found := hold(sustain, until):
            until = end if found[1] is None else found[1]
        if (found := hold(sostenuto, offset)) and onset < found[0] < offset:
            caught = end if found[1] is None else found[1]
            if caught > until:
                until = caught
                if found := hold(sustain, until):
                    until = end if found[1] is None else found[1]
        if until > offset:
            following = [n[0] for n in notes if n[2:4] == (pitch, channel) and n[0] >= offset and n[0] > onset]
            silences = [c[0] for c in controls if c[1:3] == (channel, 120) and c[0] >= offset and c[0] > onset]
            until = min([until, *following, *silences])
        longer.append((onset, max(offset, until), pitch, channel, track))
    return longer


def phase(ticks_per_beat, notes):
    """Shift in ticks that brings a piece to the sixteenths, and whether it keeps to none: every shift is tried."""
    onsets = [note[0] for note in notes]
    if len(set(onsets)) < 64:
        return 0, False
    sixteenth = Fraction(ticks_per_beat, 4)
    places = Counter(4 * tick % ticks_per_beat for tick in onsets)  # within a sixteenth, in quarters of a tick

    def near(shift):
        """How many onsets a shift brings to within 1/48 beat of a sixteenth, and how far these are in all."""
        count = distance = 0
        for place, onsets_there in places.items():
            after = (place + 4 * shift) % ticks_per_beat
            beside = min(after, ticks_per_beat - after)
            if 12 * beside <= ticks_per_beat:
                count += onsets_there
                distance += onsets_there * beside
        return count, distance

    if near(0)[0] > Fraction(3, 10) * len(onsets):
        return 0, False
    half = ticks_per_beat // 8
    tried = {shift: near(shift) for shift in range(-half, half + 1)}
    shift = min(tried, key=lambda shift: (-tried[shift][0], tried[shift][1], abs(shift), -shift))
    share = Fraction(tried[shift][0], len(onsets))
    if share < Fraction(7, 10):
        return 0, share < Fraction(35, 100)
    counts = [0] * 4
    for tick in onsets:
        counts[math.floor((tick + shift) / sixteenth + Fraction(1, 2)) % 4] += 1
    strongest = counts.index(max(counts))
    if max(counts) >= Fraction(5, 4) * sorted(counts)[-2]:
        ways = [shift + math.floor(sixteenth * k + Fraction(1, 2)) for k in (-strongest, 4 - strongest)]
        shift = min(ways, key=lambda way: (abs(way), -way))
    if min(onsets) + shift < -Fraction(ticks_per_beat, 48):
        shift += ticks_per_beat
    return shift, False


def roll(ticks_per_beat, notes, tempos, *, fps=None, steps_per_beat=None, drums=False, shift=0):
    """Sets of sounding and struck (frame, pitch), and the number of frames; notes shifted by so many ticks."""
    times = {}

    def frame(tick):
        if tick not in times:
            if steps_per_beat is not None:
                beats = Fraction(max(0, tick + shift), ticks_per_beat)
                times[tick] = math.floor(beats * Fraction(steps_per_beat) + Fraction(1, 2))
            else:
                times[tick] = math.floor(seconds_of(tick, tempos, ticks_per_beat) * Fraction(fps))
        return times[tick]

    sounding, struck, frames = set(), set(), 0
    for onset, offset, pitch, channel, _ in notes:
        if channel == 9 and not drums:
            continue
        start = frame(onset)
        end = max(frame(offset), start + 1)
        struck.add((start, pitch))
        for f in range(start, end):
            sounding.add((f, pitch))
        frames = max(frames, end)
    return sounding, struck, frames


def cells(plane):
    """Set of (frame, pitch) of the bits of a plane, uint8 of shape (frames, 16), bit by bit."""
    found = set()
    for f, row in enumerate(plane.tolist()):
        for byte_number, byte in enumerate(row):
            for bit in range(8):
                if byte >> bit & 1:
                    found.add((f, 8 * byte_number + bit))
    return found
