"""The slow, obvious twin of the MIDI parser: plain Python over a bytes object, rule by rule.

Written from the Standard MIDI Files 1.0 specification and docs/reading.md, to be read, not to be fast. A position
is a plain integer, a track that ends early raises, a note is a dictionary. No code is shared with the parser.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field


class NotMidi(Exception):
    """No MThd anywhere."""


class TrackEnds(Exception):
    """Reading of a track stops: `why` is end, limit, cut, long or past; `at` is where."""

    def __init__(self, why: str, at: int) -> None:
        self.why, self.at = why, at


@dataclass
class Song:
    format: int = 1
    ticks_per_beat: int = 480
    smpte: tuple[int, int] | None = None
    notes: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)  # as midi.NOTE_DTYPE
    tempos: list[tuple[int, int, int]] = field(default_factory=list)  # tick, microseconds per beat, track
    pedals: list[tuple[int, int, int, bool]] = field(default_factory=list)  # as midi.PEDAL_DTYPE
    time_signatures: list[tuple[int, int, int, int]] = field(default_factory=list)  # as midi.TIME_SIGNATURE_DTYPE
    repairs: Counter[str] = field(default_factory=Counter)
    first: tuple[int, str] | None = None  # offset and code of the repair nearest the start of the file
    n_tracks: int = 0


SHORTEST_META = {0x20: 1, 0x21: 1, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = len(data)
        self.song = Song()

    def mend(self, code: str, offset: int) -> None:
        self.song.repairs[code] += 1
        if self.song.first is None or offset < self.song.first[0]:
            self.song.first = (offset, code)

    def number(self, at: int, n: int) -> int:
        return int.from_bytes(self.data[at : at + n], "big")

    def find_track(self, start: int, end: int) -> int | None:
        at = self.data.find(b"MTrk", start, end)
        return None if at < 0 else at

    # ------------------------------------------------------------ chunks

    def chunk_at(self, at: int) -> bool:
        """A chunk, or the end of the file, stands here."""
        if at == self.end:
            return True
        name = self.data[at : min(at + 4, self.end)]
        if at + 8 > self.end:
            return False
        if name == b"MTrk":
            return True
        return all(0x20 <= byte <= 0x7E for byte in name) and at + 8 + self.number(at + 4, 4) <= self.end

    def confirmed(self, at: int) -> bool:
        """The MTrk here has a length that leads to another chunk or to the end of the file."""
        if at + 8 > self.end:
            return False
        after = at + 8 + self.number(at + 4, 4)
        return after <= self.end and self.chunk_at(after)

    def read(self) -> Song:
        header = self.unwrap()
        at, count = self.read_header(header)
        while at < self.end:
            at = self.read_chunk(at)
        if count is not None and count != self.song.n_tracks:
            self.mend("track_count", header + 10)
        if self.song.format == 0 and self.song.n_tracks > 1:
            self.mend("format_0_tracks", header + 8)
        self.song.notes.sort(key=lambda note: (note[0], note[5], note[4], note[2], note[1]))
        self.song.tempos.sort(key=lambda tempo: tempo[0])
        self.song.pedals.sort(key=lambda pedal: pedal[0])
        latest: dict[tuple[int, int], bool] = {}
        changes = []
        for tick, index, channel, down in self.song.pedals:
            whose = (index if self.song.format == 2 else 0, channel)
            if down != latest.get(whose, False):
                changes.append((tick, index, channel, down))
            latest[whose] = down
        self.song.pedals = changes
        self.song.time_signatures.sort(key=lambda signature: signature[0])
        return self.song

    def unwrap(self) -> int:
        start = 0
        if self.data[:4] == b"PK\x03\x04":
            raise NotMidi
        if self.data[:4] == b"RIFF" and self.data[8:12] == b"RMID":
            at = 12
            while at + 8 <= self.end:
                length = int.from_bytes(self.data[at + 4 : at + 8], "little")
                if self.data[at : at + 4] == b"data":
                    start = at + 8
                    after = start + length + length % 2
                    follows = self.data[after:]
                    named = all(0x20 <= byte <= 0x7E for byte in follows[:4])
                    fits = int.from_bytes(follows[4:8], "little") <= len(follows) - 8
                    if start + length > self.end or (len(follows) >= 8 and not (named and fits)):
                        self.mend("wrapper_length", at + 4)
                    else:
                        self.end = start + length
                    break
                at += 8 + length + length % 2
        if self.data[start : self.end].startswith(b"MThd"):
            return start
        header = self.data.find(b"MThd\0\0\0", start, self.end)
        if header < 0:
            raise NotMidi
        self.mend("bytes_before_header", start)
        return header

    def read_header(self, at: int) -> tuple[int, int | None]:
        song = self.song
        left = max(self.end - at - 8, 0)
        fields = self.data[at + 8 : min(at + 14, self.end)]
        after = at + 14
        length = self.number(at + 4, 4)
        track_at_14 = self.data[at + 14 : self.end].startswith(b"MTrk")
        track_at_length = self.data[at + 8 + length : self.end].startswith(b"MTrk")
        if left < 6:
            self.mend("header_length", self.end)
            after = self.end
        elif length < 6:
            self.mend("header_length", at + 4)
            if track_at_length:
                fields = fields[:length]
                after = at + 8 + length
        elif length > left or (length > 6 and track_at_14 and not track_at_length):
            self.mend("header_length", at + 4)
        else:
            after = at + 8 + length
        if len(fields) >= 2:
            song.format = int.from_bytes(fields[:2], "big")
            if song.format > 2:
                self.mend("unknown_format", at + 8)
                song.format = 1
        count = int.from_bytes(fields[2:4], "big") if len(fields) >= 4 else None
        if len(fields) == 6:
            high, low = fields[4], fields[5]
            if high == low == 0:
                self.mend("zero_division", at + 12)
            elif high < 0x80:
                song.ticks_per_beat = high * 256 + low
            else:
                rate = 256 - high
                nearest = min((24, 25, 29, 30), key=lambda known: (abs(known - rate), known))
                song.ticks_per_beat = 0
                song.smpte = (nearest, low or 40)
                if nearest != rate or low == 0:
                    self.mend("smpte_division", at + 12)
        return after, count

    def read_chunk(self, at: int) -> int:
        """Read or skip the chunk at `at`; return where to go on."""
        name = self.data[at : min(at + 4, self.end)]
        if at + 8 > self.end:
            self.mend("trailing_bytes", at)
            return self.end
        if name == b"MThd":
            self.mend("second_header", at)
            return self.end
        if name != b"MTrk":
            return self.skip_alien(at)

        body = at + 8
        declared = body + self.number(at + 4, 4)
        trusted = declared <= self.end and self.chunk_at(declared)
        limit = declared if trusted else (self.find_track(body, self.end) or self.end)
        track = Track(self, body, limit, trusted)
        why, stop = track.read()
        limit = track.limit
        self.song.n_tracks += 1

        if why == "end" and trusted and stop < limit:
            inner = self.find_track(stop, limit)
            if inner != stop:
                self.mend("data_after_end_of_track", stop)
            if inner is None:
                return limit
            self.mend("track_too_long", at + 4)
            return inner
        if why in ("end", "limit"):
            after = stop
        else:
            after = limit
            if why in ("long", "past") and trusted:
                inner = self.find_track(stop, limit)
                while inner is not None and not self.confirmed(inner):
                    inner = self.find_track(inner + 1, limit)
                after = limit if inner is None else inner
        if declared > after:
            self.mend("track_too_long", at + 4)
        if declared < after:
            self.mend("track_too_short", at + 4)
        return after

    def skip_alien(self, at: int) -> int:
        after = None
        if self.chunk_at(at):
            after = at + 8 + self.number(at + 4, 4)
            if self.chunk_at(after):
                return after
        track = self.find_track(at, self.end)
        if after is not None and (track is None or track >= after):
            return after
        self.mend("trailing_bytes" if track is None else "unknown_bytes", at)
        return self.end if track is None else track


class Track:
    def __init__(self, reader: Reader, at: int, limit: int, trusted: bool) -> None:
        self.reader, self.at, self.limit, self.trusted = reader, at, limit, trusted
        self.data, self.song = reader.data, reader.song
        self.index = min(self.song.n_tracks, 65535)
        self.tick = 0
        self.status: int | None = None
        self.cancelled = False  # by a meta or sysex event, as the specification says
        self.open: dict[tuple[int, int], deque[dict[str, int]]] = defaultdict(deque)

    def byte(self) -> int:
        if self.at >= self.limit:
            raise TrackEnds("cut", self.limit)
        self.at += 1
        return self.data[self.at - 1]

    def quantity(self, start: int) -> int:
        value = 0
        for _ in range(4):
            byte = self.byte()
            value = value * 128 + byte % 128
            if byte < 128:
                return value
        raise TrackEnds("long", start)

    def payload(self) -> tuple[int, bytes]:
        """Offset of the payload and the payload itself."""
        start = self.at
        length = self.quantity(start)
        end = self.at + length
        if end > self.limit and not self.trusted and end <= self.reader.end and not self.reader.confirmed(self.limit):
            # What looked like the next track is text inside this payload.
            self.limit = self.reader.find_track(end, self.reader.end) or self.reader.end
        if end > self.limit:
            raise TrackEnds("past", start)
        self.at = end
        return end - length, self.data[end - length : end]

    def read(self) -> tuple[str, int]:
        try:
            while True:
                self.event()
        except TrackEnds as ends:
            why, at = ends.why, ends.at
        for queue in self.open.values():
            for note in queue:
                self.reader.mend("unended_note", note["offset"])
        code = {
            "limit": "missing_end_of_track",
            "cut": "truncated_event",
            "long": "long_quantity",
            "past": "payload_past_end",
        }
        if why in code:
            self.reader.mend(code[why], at)
        return why, at

    def event(self) -> None:
        if self.at == self.limit or self.data[self.at : self.limit].startswith(b"MTrk\0"):
            raise TrackEnds("limit", self.at)
        self.tick += self.quantity(self.at)
        start = self.at
        byte = self.byte()
        if byte < 0x80 and self.status is None:
            self.reader.mend("data_without_status", start)
            while byte < 0x80:
                start = self.at
                byte = self.byte()
        if byte == 0xFF:
            self.meta()
            self.cancelled = self.status is not None
        elif byte in (0xF0, 0xF7):
            self.payload()
            self.cancelled = self.status is not None
        elif byte > 0xF0:
            self.reader.mend("system_message", start)
            self.system(byte)
        else:
            if byte >= 0x80:
                self.status = byte
            else:
                self.at -= 1
                if self.cancelled:
                    self.reader.mend("running_status_kept", start)
            self.cancelled = False
            assert self.status is not None
            kind, channel = self.status >> 4, self.status & 15
            where = self.at
            data = [self.byte() for _ in range(1 if kind in (0xC, 0xD) else 2)]
            self.channel_event(kind, channel, data, start, where)

    def system(self, status: int) -> None:
        """Data bytes as MIDI gives them, unless the bytes only make sense without."""
        n = {0xF1: 1, 0xF2: 2, 0xF3: 1}.get(status, 0)
        data = self.data[self.at : min(self.at + n, self.limit)]
        if len(data) < n or any(byte >= 0x80 for byte in data):
            return
        if self.event_follows(self.at + n) or not self.event_follows(self.at):
            self.at += n

    def event_follows(self, at: int) -> bool:
        """A delta below 14336 ticks, then a status byte with data that fit it."""
        rest = list(self.data[at : self.limit])
        for _ in range(4):
            if not rest:
                return False
            byte = rest.pop(0)
            if byte < 0x80:
                break
        else:
            return False
        if self.data[at] >= 0xF0 or not rest or rest[0] < 0x80:
            return False
        status = rest.pop(0)
        if status >= 0xF0:
            return True
        n = 1 if status >> 4 in (0xC, 0xD) else 2
        return len(rest) >= n and all(byte < 0x80 for byte in rest[:n])

    def meta(self) -> None:
        type_at = self.at
        kind = self.byte()
        length_at = self.at
        at, payload = self.payload()
        if kind == 0x2F:
            raise TrackEnds("end", self.at)
        if kind >= 0x80:
            self.reader.mend("meta_type_above_127", type_at)
        elif len(payload) < SHORTEST_META.get(kind, 0):
            self.reader.mend("short_meta", length_at)
        elif kind == 0x51:
            tempo = int.from_bytes(payload[:3], "big")
            if tempo == 0:
                self.reader.mend("zero_tempo", at)
            else:
                self.song.tempos.append((self.tick, tempo, self.index))
        elif kind == 0x58:
            if payload[0] == 0 or payload[1] > 8:
                self.reader.mend("absurd_signature", at)
            else:
                self.song.time_signatures.append((self.tick, payload[0], 2 ** payload[1], self.index))
        elif kind == 0x59:
            sharps = int.from_bytes(payload[:1], "big", signed=True)
            if not -7 <= sharps <= 7 or payload[1] not in (0, 1):
                self.reader.mend("absurd_signature", at)

    def channel_event(self, kind: int, channel: int, data: list[int], start: int, where: int) -> None:
        bad = [where + i for i, byte in enumerate(data) if byte > 127]
        if kind in (8, 9):
            pitch, velocity = data
            if pitch > 127:
                self.reader.mend("pitch_above_127", where)
                return
            if velocity > 127:
                self.reader.mend("data_above_127", where + 1)
                velocity = 127
            queue = self.open[channel, pitch]
            if kind == 9 and velocity > 0:
                queue.append({"onset": self.tick, "velocity": velocity, "offset": start})
            elif queue:
                note = queue.popleft()
                self.song.notes.append((note["onset"], self.tick, pitch, note["velocity"], channel, self.index))
            else:
                self.reader.mend("stray_note_off", start)
        elif bad:
            self.reader.mend("data_above_127", bad[0])
        elif kind == 0xB and data[0] == 64:
            down = data[1] >= 64
            self.song.pedals.append((self.tick, self.index, channel, down))


def parse(data: bytes) -> Song:
    """Read a whole file. Raises NotMidi when there is no MThd."""
    return Reader(data).read()


def pair(events: list[tuple[int, bool, int, int, int]]) -> tuple[list[tuple[int, ...]], int, int]:
    """Pair note-ons and note-offs of one track, first in, first out.

    `events` are (tick, is a note-on, channel, pitch, velocity) in file order. Returns notes as (onset, offset,
    pitch, velocity, channel) in order of onset, then how many note-offs were stray and how many notes never ended.
    """
    notes: list[list[int]] = []
    stray = 0
    for tick, is_on, channel, pitch, velocity in events:
        if is_on:
            notes.append([tick, -1, pitch, velocity, channel])
            continue
        for note in notes:  # the first note that is still open
            if note[1] == -1 and note[2] == pitch and note[4] == channel:
                note[1] = tick
                break
        else:
            stray += 1
    ended = [tuple(note) for note in notes if note[1] != -1]
    return ended, stray, len(notes) - len(ended)
