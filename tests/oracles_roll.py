"""The slow, obvious twin of quantising and painting: mido, fractions and plain loops."""

from __future__ import annotations

from collections import defaultdict
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


def sustained(notes, pedals, drums=True):
    """Move note-offs under the pedal to its release or to the next onset of the pitch, whichever is first.

    A pedal that is never released holds to the last note-off of a note that is kept.
    """
    end = max((note[1] for note in notes if drums or note[3] != 9), default=0)
    longer = []
    for onset, offset, pitch, channel, track in notes:
        down = False
        until = None
        for tick, pedal_channel, pedal_down in sorted(pedals, key=lambda pedal: pedal[0]):
            if pedal_channel != channel:
                continue
            if tick <= offset:
                down = pedal_down
            elif not pedal_down:
                until = tick
                break
        if down:
            following = [n[0] for n in notes if n[2:4] == (pitch, channel) and n[0] >= offset and n[0] > onset]
            longer.append(
                (
                    onset,
                    max(offset, min([end if until is None else until, *following])),
                    pitch,
                    channel,
                    track,
                )
            )
        else:
            longer.append((onset, offset, pitch, channel, track))
    return longer


def roll(ticks_per_beat, notes, tempos, *, fps=None, steps_per_beat=None, drums=False):
    """Sets of sounding and struck (frame, pitch), and the number of frames."""
    times = {}

    def frame(tick):
        if tick not in times:
            if steps_per_beat is not None:
                times[tick] = Fraction(tick, ticks_per_beat) * Fraction(steps_per_beat)
            else:
                times[tick] = seconds_of(tick, tempos, ticks_per_beat) * Fraction(fps)
        return times[tick].numerator // times[tick].denominator

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
