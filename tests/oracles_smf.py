"""The slow, obvious twin of the MIDI parser: plain Python over a bytes object, rule by rule.

Written from the Standard MIDI Files 1.0 specification and docs/reading.md, to be read, not to be fast. A position
is a plain integer, a track that ends early raises, a note is a dictionary. No code is shared with the parser.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction


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
    programs: list[tuple[int, int, int, int]] = field(default_factory=list)  # as midi.PROGRAM_DTYPE
    controllers: list[tuple[int, int, int, int, int]] = field(default_factory=list)  # as midi.CONTROLLER_DTYPE
    parts: list[tuple[int, int, int, bool]] = field(default_factory=list)  # as midi.PART_DTYPE
    drums: list[bool] = field(default_factory=list)  # of each note
    track_names: dict[int, bytes] = field(default_factory=dict)
    repairs: Counter[str] = field(default_factory=Counter)
    first: tuple[int, str] | None = None  # offset and code of the repair nearest the start of the file
    n_tracks: int = 0


@dataclass
class Setup:
    tick: int  # from which it holds
    track: int
    kind: str  # system, part, bank or program
    value: object
    channel: int = 0
    port: int | None = None  # None: that of a track that names none


SHORTEST_META = {0x20: 1, 0x21: 1, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = len(data)
        self.song = Song()
        self.ports: dict[int, tuple[int, bytes]] = {}  # by their place: number and device name
        self.tracks: list[Track] = []
        self.setups: list[Setup] = []

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
        broken = ("header_length", "track_too_short", "track_too_long", "unknown_bytes", "trailing_bytes")
        if any(self.song.repairs[code] for code in broken) and line_ends_translated(self.data[header : self.end]):
            raise NotMidi
        Pairing(self).read()
        drum_parts(self)
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
        self.song.controllers.sort(key=lambda control: control[0])
        self.song.programs.sort(key=lambda program: program[0])
        for onset, _, _, _, channel, track in self.song.notes:
            changes = [
                drums
                for tick, whose, part, drums in self.song.parts
                if tick <= onset and part == channel and (self.song.format != 2 or whose == track)
            ]
            self.song.drums.append(changes[-1] if changes else channel % 16 == 9)
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
        self.tracks.append(track)
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
        self.port: tuple[int, bytes] = (0, b"")
        self.names_port = False
        self.named = False
        self.place: int | None = None  # of the port among the ports, from the first event on that needs it
        self.events: list[dict[str, int]] = []  # what notes are made of
        self.end_tick: int | None = None  # of an end-of-track event

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
        self.end_tick = self.tick if why == "end" else None
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
            _, payload = self.payload()
            if byte == 0xF0:
                self.sysex(payload)
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
            kind, channel = self.status >> 4, 16 * self.claim() + (self.status & 15)
            where = self.at
            data = [self.byte() for _ in range(1 if kind in (0xC, 0xD) else 2)]
            self.channel_event(kind, channel, data, start, where)

    def claim(self) -> int:
        """The place of the track's port: that of its number, or the next that is free, or a shared one."""
        if self.place is None:
            ports = self.reader.ports
            places = [(self.port[0] + i) % 16 for i in range(16)]
            self.place = next((place for place in places if ports.setdefault(place, self.port) == self.port), places[0])
        return self.place

    def setup(self, kind: str, value: object, channel: int, port: int | None) -> None:
        whole = channel + 16 * (self.place or 0 if port is None else port)
        late = kind != "system" and any(
            event["on"] and event["tick"] == self.tick and event["channel"] == whole for event in self.events
        )
        self.reader.setups.append(Setup(self.tick + late, self.index, kind, value, channel, port))

    def sysex(self, payload: bytes) -> None:
        found = None
        match list(payload):
            case [0x7E, _, 9, 1 | 2 | 3 as which, *_]:
                found = ("system", {1: "GM", 2: "none", 3: "GM2"}[which], 0)
            case [0x41, _, 0x42, 0x12, 0x40, 0, 0x7F, 0, *_]:
                found = ("system", "GS", 0)
            case [0x41, _, 0x42, 0x12, 0x40, block, 0x15, on, *_] if block // 16 == 1:
                # Part blocks 0x10 to 0x1F stand for channels 10, 1 to 9, 11 to 16.
                found = ("part", on > 0, [10, *range(1, 10), *range(11, 17)][block - 16] - 1)
            case [0x43, device, 0x4C, 0, 0, 0x7E, 0, *_] if device // 16 == 1:
                found = ("system", "XG", 0)
            case [0x43, device, 0x4C, 8, part, 7, mode, *_] if device // 16 == 1 and part < 16:
                found = ("part", mode > 0, part)
        if found is not None:
            kind, value, channel = found
            self.setup(kind, value, channel, self.claim() if self.names_port else None)

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
        elif kind == 0x03 and not self.named:
            self.song.track_names[self.index] = payload
            self.named = True
        elif kind in (0x09, 0x21):
            number, device = self.port
            self.port = (payload[0], device) if kind == 0x21 else (number, payload)
            self.names_port = True
            self.place = None

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
            on = kind == 9 and velocity > 0
            self.note_event(on=on, channel=channel, pitch=pitch, velocity=velocity, at=start)
        elif bad:
            self.reader.mend("data_above_127", bad[0])
        elif kind == 0xB:
            number, value = data
            if number == 64:
                self.song.pedals.append((self.tick, self.index, channel, value >= 64))
                return
            self.song.controllers.append((self.tick, self.index, channel, number, value))
            if number == 121:  # lifts the pedal
                self.song.pedals.append((self.tick, self.index, channel, False))
            if number == 0:
                self.setup("bank", value, channel % 16, channel // 16)
            if number in (120, 123):
                self.note_event(on=False, channel=channel, silence=True)
        elif kind == 0xC:
            self.setup("program", data[0], channel % 16, channel // 16)

    def note_event(self, **event: int) -> None:
        self.events.append({"tick": self.tick, "silence": False, **event})


class Pairing:
    """Note-ons and what ends them: note-offs, controllers 120 and 123 of any track, the end of the track."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.song = reader, reader.song

    def read(self) -> None:
        tracks = self.reader.tracks
        for track in tracks:
            self.track(track, [other for other in tracks if other.index != track.index and self.song.format != 2])

    def track(self, track: Track, others: list[Track]) -> None:
        # Silence of another track comes before whatever this track has at its tick, and not after the track's end.
        events = [(event["tick"], 1, event) for event in track.events]
        for other in others:
            events += [(e["tick"], 0, e) for e in other.events if e["silence"] and e["tick"] <= track.tick]
        events.sort(key=lambda event: event[:2])
        keys = {(event["channel"], event["pitch"]) for event in track.events if not event["silence"]}
        for channel, pitch in sorted(keys):
            self.key(
                track,
                [e for _, _, e in events if e["channel"] == channel and (e["silence"] or e["pitch"] == pitch)],
            )

    def key(self, track: Track, events: list[dict[str, int]]) -> None:
        open_notes: list[dict[str, int]] = []
        cut: list[dict[str, int]] = []  # silenced, and their note-offs may still come
        for i, event in enumerate(events):
            if event["silence"]:
                for note in open_notes:
                    self.note(track, note, event["tick"])
                cut += open_notes
                open_notes = []
            elif event["on"]:
                open_notes.append(event)
            else:
                another = i + 1 < len(events) and not events[i + 1]["on"] and not events[i + 1]["silence"]
                if cut and (another or not open_notes):
                    cut.pop(0)
                elif open_notes:
                    self.note(track, open_notes.pop(0), event["tick"])
                else:
                    self.reader.mend("stray_note_off", event["at"])
        for note in cut:
            self.reader.mend("all_notes_off", note["at"])
        for note in open_notes:
            if self.held(track, note):
                self.reader.mend("held_to_end", note["at"])
                self.note(track, note, track.end_tick)
            else:
                self.reader.mend("unended_note", note["at"])

    def held(self, track: Track, note: dict[str, int]) -> bool:
        """The end of its track ends the note, which is not struck again."""
        if track.end_tick is None or track.end_tick == note["tick"]:
            return False
        length = Fraction(track.end_tick - note["tick"])
        if self.song.smpte is None:
            if length > 16 * self.song.ticks_per_beat:
                return False
        else:
            fps, ticks = self.song.smpte
            if length / ticks / (Fraction(30000, 1001) if fps == 29 else fps) > 8:
                return False
        return not any(
            event["on"] and (event["channel"], event["pitch"]) == (note["channel"], note["pitch"])
            for other in self.reader.tracks
            if self.song.format != 2 or other.index == track.index
            for event in other.events
            if event["tick"] > note["tick"]
        )

    def note(self, track: Track, note: dict[str, int], end: int) -> None:
        self.song.notes.append((note["tick"], end, note["pitch"], note["velocity"], note["channel"], track.index))


def drum_parts(reader: Reader) -> None:
    """Follow the setups in order of time, in format 2 those of each track, and note where parts become drums or not."""
    song = reader.song
    whole = song.format != 2
    for track in [None] if whole else sorted({setup.track for setup in reader.setups}):
        system: dict[int, object] = {}
        bank: dict[tuple[int, int], object] = {}
        drums: dict[tuple[int, int], bool] = {}

        def become(setup: Setup, port: int, channel: int, value: bool, drums: dict = drums) -> None:
            if drums.get((port, channel), channel == 9) != value:
                song.parts.append((setup.tick, setup.track, 16 * port + channel, value))
            drums[port, channel] = value

        mine = [setup for setup in reader.setups if whole or setup.track == track]
        for setup in sorted(mine, key=lambda setup: setup.tick):
            if setup.kind == "program":
                song.programs.append((setup.tick, setup.track, 16 * setup.port + setup.channel, setup.value))
            for port in sorted(reader.ports):
                if setup.port is None and setup.kind == "part":
                    heard = reader.ports[port][0] == 0  # a track that names no port speaks to port 0
                else:
                    heard = setup.port in (None, port)
                if not heard:
                    continue
                part = port, setup.channel
                if setup.kind == "system":
                    system[port] = setup.value
                    for channel in range(16):
                        is_drums = channel == 9
                        banks = {"GM2": 120 if is_drums else 121, "XG": 127 if is_drums else 0}
                        bank[port, channel] = banks.get(setup.value, 0)
                        become(setup, port, channel, is_drums)
                elif setup.kind == "part":
                    become(setup, port, setup.channel, setup.value)
                elif setup.kind == "bank":
                    bank[part] = setup.value
                else:
                    says = {
                        "GM2": {120: True, 121: False},
                        "XG": {127: True, 126: True, 0: False, 64: False},
                    }.get(system.get(port), {})
                    if bank.get(part, 0) in says:
                        become(setup, port, setup.channel, says[bank.get(part, 0)])
    song.parts.sort(key=lambda part: part[0])


def line_ends_translated(data: bytes) -> bool:
    """Every line feed follows a carriage return, and without those the chunks fill the file."""
    if b"\n" not in data or data.count(b"\n") != data.count(b"\r\n"):
        return False
    data = data.replace(b"\r\n", b"\n")
    names, at = [], 0
    while at < len(data):
        names.append(data[at : at + 4])
        if at + 8 > len(data) or not all(0x20 <= byte <= 0x7E for byte in names[-1]):
            return False
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    return at == len(data) and b"MTrk" in names


def parse(data: bytes) -> Song:
    """Read a whole file. Raises NotMidi when there is no MThd."""
    return Reader(data).read()


def pair(events: list[tuple[int, bool, int, int, int]]) -> tuple[list[tuple[int, ...]], int, list[tuple[int, ...]]]:
    """Pair note-ons and note-offs of one track, first in, first out.

    `events` are (tick, is a note-on, channel, pitch, velocity) in file order. Returns notes as (onset, offset,
    pitch, velocity, channel) in order of onset, how many were stray, and the notes that none ended (offset -1).
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
    return ended, stray, [tuple(note) for note in notes if note[1] == -1]
