"""Standard MIDI File bytes to notes, tempos, controllers and time signatures: a tolerant pass, no object per event.

The rules are those of the Standard MIDI Files 1.0 specification where a file follows it, and of
``docs/reading.md`` where it does not. Every mending is counted in ``Song.repairs``; nothing raises.
All bytes of a track are reached through `take`, which never passes the cursor's limit, or lie before it as
`read_notes` has seen.
"""

from libc.stdint cimport INT32_MAX, INT64_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from rollcore._parts cimport DRUM_CHANNEL, N_CHANNELS, find_parts, mark_drums, setup_of_sysex

cdef extern from *:
    """
    #ifdef __linux__
    #include <stdint.h>
    #include <sys/mman.h>
    /* Memory that is filled from one end to the other: in large pages there are few faults. NumPy asks so too. */
    static void ask_large_pages(void *start, size_t size) {
        uintptr_t page = ((uintptr_t) start + 4095) & ~(uintptr_t) 4095;
        if (size >= (size_t) 4 << 20) madvise((void *) page, size - (page - (uintptr_t) start), MADV_HUGEPAGE);
    }
    #else
    #define ask_large_pages(start, size) ((void) 0)
    #endif
    """
    void ask_large_pages(void *start, size_t size) nogil

cdef enum Repair:                # in the order of repairs.REPAIRS
    BYTES_BEFORE_HEADER
    WRAPPER_LENGTH
    HEADER_LENGTH
    UNKNOWN_FORMAT
    FORMAT_0_TRACKS
    TRACK_COUNT
    ZERO_DIVISION
    SMPTE_DIVISION
    TRACK_TOO_LONG
    TRACK_TOO_SHORT
    MISSING_END_OF_TRACK
    DATA_AFTER_END_OF_TRACK
    UNKNOWN_BYTES
    TRAILING_BYTES
    SECOND_HEADER
    TRUNCATED_EVENT
    LONG_QUANTITY
    PAYLOAD_PAST_END
    DATA_WITHOUT_STATUS
    RUNNING_STATUS_KEPT
    SYSTEM_MESSAGE
    PITCH_ABOVE_127
    DATA_ABOVE_127
    META_TYPE_ABOVE_127
    SHORT_META
    ZERO_TEMPO
    ABSURD_SIGNATURE
    STRAY_NOTE_OFF
    UNENDED_NOTE
    ALL_NOTES_OFF
    HELD_TO_END

cdef enum Stop:                  # why reading of a track ended
    GO_ON
    AT_END_OF_TRACK              # its end-of-track event
    AT_LIMIT                     # between two events, at the limit or at an MTrk
    CUT                          # within an event, at the limit
    TOO_LONG                     # a variable-length quantity of more than four bytes
    PAST_END                     # a meta or sysex length that passes the limit
    OUT_OF_MEMORY

cdef enum:
    LENGTH_CUT = -1
    LENGTH_TOO_LONG = -2
    LONGEST_HELD_BEATS = 16      # how long the end of a track may let a note sound that nothing else ends
    LONGEST_HELD_SECONDS = 8     # the same with SMPTE time
    DEFAULT_TICKS_PER_BEAT = 480
    DEFAULT_SMPTE_TICKS = 40     # with 25 frames per second, the standard's own example: milliseconds
    MAX_DENOMINATOR_POWER = 8    # a time signature in 256ths
    LARGEST_INSERTION = 32
    FEWEST_MERGED = 256
    STRETCH_NOTES = 8192         # of a stretch of time, in the mean
    MOST_RUNS = 1024
    LARGE_FILE = 1 << 20         # bytes
    BYTES_PER_NOTE = 6           # its two events, each of a delta, a pitch and a velocity
    CANCELLED = 0x100            # a running status that a meta or sysex event has cancelled
    PLAIN_NOTE_BYTES = 5         # of a note event, at most, whose delta has no more than two

cdef struct Cursor:
    const uint8_t *at
    const uint8_t *limit

cdef struct Place:               # where a track is read
    Cursor cursor
    int64_t tick
    Py_ssize_t n_notes
    Py_ssize_t n_open
    int status

cdef struct Reader:
    Song *song
    const uint8_t *data          # byte 0 of the file
    const uint8_t *end           # end of the file, or of the wrapper's payload
    Cursor cursor
    bint limit_guessed           # the limit is the next MTrk, because the declared length cannot be right
    Py_ssize_t n_open            # notes that no note-off ended, of the tracks read
    # Of the track:
    Port port
    bint names_port
    bint named
    int channel_base             # 16 times the number of its port's place; -1 until an event needs it
    Py_ssize_t scanned           # up to where its notes are in `struck`
    int64_t struck[N_CHANNELS]   # the last onset of each channel, as far as scanned
    int64_t due[N_CHANNELS]      # when another track silences the open notes of a channel
    Py_ssize_t next_silence[N_CHANNELS]


# ---------------------------------------------------------------- bytes

cdef inline const uint8_t *take(Cursor *cursor, Py_ssize_t n) noexcept nogil:
    """Advance by `n` bytes and return where they start, or NULL and stay when fewer are left."""
    cdef const uint8_t *start = cursor.at
    if cursor.limit - start < n:
        return NULL
    cursor.at = start + n
    return start


cdef inline int64_t quantity(Cursor *cursor) noexcept nogil:
    """Take a variable-length quantity: its value, LENGTH_CUT or LENGTH_TOO_LONG."""
    cdef const uint8_t *byte
    cdef int64_t value = 0
    cdef int i
    for i in range(4):
        byte = take(cursor, 1)
        if byte == NULL:
            return LENGTH_CUT
        value = value << 7 | (byte[0] & 0x7F)
        if byte[0] < 0x80:
            return value
    return LENGTH_TOO_LONG


cdef inline uint32_t big_endian(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[0] << 24 | <uint32_t>p[1] << 16 | <uint32_t>p[2] << 8 | p[3]


cdef inline uint32_t little_endian(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[3] << 24 | <uint32_t>p[2] << 16 | <uint32_t>p[1] << 8 | p[0]


cdef inline bint says(const uint8_t *p, const uint8_t *end, const char *text, Py_ssize_t n) noexcept nogil:
    return end - p >= n and memcmp(p, text, n) == 0


cdef const uint8_t *find(const uint8_t *p, const uint8_t *end, const char *text, Py_ssize_t n) noexcept nogil:
    """First place at or after `p` where `text` stands, or NULL."""
    while p != NULL and end - p >= n:
        p = <const uint8_t *>memchr(p, text[0], end - p - n + 1)
        if p != NULL:
            if memcmp(p, text, n) == 0:
                return p
            p += 1
    return NULL


cdef void mend(
    Reader *reader, Repair code, const uint8_t *where, int64_t found, int64_t expected=0
) noexcept nogil:
    """Count a repair, and keep the one nearest the start of the file."""
    cdef Song *song = reader.song
    cdef int64_t offset = where - reader.data
    song.repairs[<int>code] += 1
    if song.first_repair < 0 or offset < song.first_repair_offset:
        song.first_repair = code
        song.first_repair_offset = offset
        song.first_repair_found = found
        song.first_repair_expected = expected


cdef void *grown(void *array, Py_ssize_t *capacity, Py_ssize_t itemsize) noexcept nogil:
    """The array at twice its capacity, or NULL with the array as it was."""
    cdef Py_ssize_t wanted = capacity[0] * 2 if capacity[0] else 16
    cdef void *larger = realloc(array, <size_t>wanted * itemsize)
    if larger != NULL:
        capacity[0] = wanted
    return larger


cdef void reserve_notes(Song *song, Py_ssize_t size) noexcept nogil:
    """Have room for as many notes as a large file is likely to hold: growing step by step would copy them."""
    cdef Py_ssize_t likely = size // BYTES_PER_NOTE
    cdef void *larger
    if size >= LARGE_FILE and song.notes_capacity < likely:
        larger = realloc(song.notes, <size_t>likely * sizeof(Note))
        if larger != NULL:
            song.notes = <Note *>larger
            song.notes_capacity = likely
            ask_large_pages(larger, <size_t>likely * sizeof(Note))


cdef bint room(void **array, Py_ssize_t n, Py_ssize_t *capacity, Py_ssize_t itemsize) noexcept nogil:
    """Make room for one item after `n`; false when memory is out."""
    cdef void *larger
    if n == capacity[0]:
        larger = grown(array[0], capacity, itemsize)
        if larger == NULL:
            return False
        array[0] = larger
    return True


# ---------------------------------------------------------------- chunks

cdef bint names_chunk(const uint8_t *p) noexcept nogil:
    cdef int i
    for i in range(4):
        if p[i] < 0x20 or p[i] > 0x7E:
            return False
    return True


cdef bint chunk_starts(Reader *reader, const uint8_t *p) noexcept nogil:
    """Whether a chunk, or the end of the file, stands at `p`: where a chunk before it may well end."""
    if p == reader.end:
        return True
    if reader.end - p < 8:
        return False
    return memcmp(p, b"MTrk", 4) == 0 or (names_chunk(p) and big_endian(p + 4) <= reader.end - p - 8)


cdef bint track_confirmed(Reader *reader, const uint8_t *p) noexcept nogil:
    """Whether the MTrk at `p` is a track: its length leads to another chunk or to the end of the file."""
    if reader.end - p < 8:
        return False
    cdef uint32_t length = big_endian(p + 4)
    return length <= reader.end - p - 8 and chunk_starts(reader, p + 8 + length)


cdef const uint8_t *unwrap(Reader *reader, Py_ssize_t size) noexcept nogil:
    """Where MThd stands: at byte 0, in a RIFF/RMID wrapper or behind foreign bytes; NULL when nowhere."""
    cdef const uint8_t *start = reader.data
    cdef const uint8_t *chunk
    cdef const uint8_t *header
    cdef const uint8_t *after
    cdef int64_t length, left
    if says(start, reader.end, b"PK\x03\x04", 4):      # a zip archive: what it holds is not one file
        return NULL
    if says(start, reader.end, b"RIFF", 4) and size >= 12 and memcmp(start + 8, b"RMID", 4) == 0:
        chunk = start + 12
        while reader.end - chunk >= 8:
            length = little_endian(chunk + 4)
            if memcmp(chunk, b"data", 4) == 0:
                start = chunk + 8
                # RIFF chunks are padded to an even length; what follows this one must be another, or the end.
                left = reader.end - start - length - (length & 1)
                after = reader.end - left if left >= 8 else NULL
                if length > reader.end - start or (
                    after != NULL and not (names_chunk(after) and little_endian(after + 4) <= left - 8)
                ):
                    mend(reader, WRAPPER_LENGTH, chunk + 4, length, reader.end - start)
                else:
                    reader.end = start + length
                break
            length += length & 1
            if length > reader.end - chunk - 8:
                break
            chunk += 8 + length
    if says(start, reader.end, b"MThd", 4):
        return start
    header = find(start, reader.end, b"MThd\0\0\0", 7)
    if header != NULL:
        mend(reader, BYTES_BEFORE_HEADER, start, header - start)
    return header


cdef const uint8_t *read_header(Reader *reader, const uint8_t *p, int *n_tracks) noexcept nogil:
    """Read the MThd at `p` and return where the next chunk should stand; `n_tracks` is -1 when it is cut."""
    cdef Song *song = reader.song
    cdef Py_ssize_t left = reader.end - p - 8
    cdef Py_ssize_t fields = 6
    cdef int64_t length
    cdef int division, rate
    cdef const uint8_t *after
    song.format = 1
    song.ticks_per_beat = DEFAULT_TICKS_PER_BEAT
    if left < 6:
        mend(reader, HEADER_LENGTH, reader.end, left if left > 0 else 0, 6)
        fields = left
        after = reader.end
    else:
        length = big_endian(p + 4)
        after = p + 14
        if length < 6:
            mend(reader, HEADER_LENGTH, p + 4, length, 6)
            if says(p + 8 + length, reader.end, b"MTrk", 4):
                fields = length
                after = p + 8 + length
        elif length > left:
            mend(reader, HEADER_LENGTH, p + 4, length, 6)
        elif length > 6:
            if says(p + 14, reader.end, b"MTrk", 4) and not says(p + 8 + length, reader.end, b"MTrk", 4):
                mend(reader, HEADER_LENGTH, p + 4, length, 6)
            else:
                after = p + 8 + length
    if fields >= 2:
        song.format = p[8] << 8 | p[9]
        if song.format > 2:
            mend(reader, UNKNOWN_FORMAT, p + 8, song.format)
            song.format = 1
    n_tracks[0] = p[10] << 8 | p[11] if fields >= 4 else -1
    if fields < 6:
        return after
    division = p[12] << 8 | p[13]
    if division == 0:
        mend(reader, ZERO_DIVISION, p + 12, 0)
    elif division < 0x8000:
        song.ticks_per_beat = division
    else:
        rate = 256 - (division >> 8)         # the high byte is a negative frame rate
        song.ticks_per_beat = 0
        song.smpte_fps = 24 if rate < 25 else 25 if rate < 28 else 29 if rate < 30 else 30
        song.smpte_ticks_per_frame = division & 0xFF
        if song.smpte_fps != rate or song.smpte_ticks_per_frame == 0:
            mend(reader, SMPTE_DIVISION, p + 12, division)
            if song.smpte_ticks_per_frame == 0:
                song.smpte_ticks_per_frame = DEFAULT_SMPTE_TICKS
    return after


cdef const uint8_t *skip_alien(Reader *reader, const uint8_t *p) noexcept nogil:
    """Where to go on after bytes that are neither MTrk nor MThd."""
    cdef const uint8_t *after = NULL
    cdef const uint8_t *track
    if reader.end - p >= 8 and chunk_starts(reader, p):
        after = p + 8 + big_endian(p + 4)
        if chunk_starts(reader, after):
            return after
    track = find(p, reader.end, b"MTrk", 4)
    if after != NULL and (track == NULL or track >= after):
        return after                         # an alien chunk; what follows it is the next call's affair
    mend(reader, TRAILING_BYTES if track == NULL else UNKNOWN_BYTES, p, p[0])
    return reader.end if track == NULL else track


cdef const uint8_t *read_chunk(Reader *reader, const uint8_t *p) noexcept nogil:
    """Read or skip the chunk at `p` and return where to go on; NULL when out of memory.

    A declared track length is believed when a chunk or the end of the file stands behind it.
    Otherwise the track runs to its end-of-track or to the next MTrk. Either way the end-of-track wins.
    """
    cdef const uint8_t *declared_end
    cdef const uint8_t *after
    cdef const uint8_t *track
    cdef int64_t length
    cdef Stop stop
    if reader.end - p < 8:
        mend(reader, TRAILING_BYTES, p, p[0])
        return reader.end
    if memcmp(p, b"MThd", 4) == 0:
        mend(reader, SECOND_HEADER, p, reader.song.n_tracks)
        return reader.end
    if memcmp(p, b"MTrk", 4) != 0:
        return skip_alien(reader, p)

    length = big_endian(p + 4)
    reader.limit_guessed = length > reader.end - p - 8 or not chunk_starts(reader, p + 8 + length)
    reader.cursor.at = p + 8
    if reader.limit_guessed:
        track = find(p + 8, reader.end, b"MTrk", 4)
        reader.cursor.limit = reader.end if track == NULL else track
    else:
        reader.cursor.limit = p + 8 + length
    stop = read_track(reader)
    if stop == OUT_OF_MEMORY:
        return NULL
    reader.song.n_tracks += 1

    after = reader.cursor.at
    if stop == AT_END_OF_TRACK:
        if not reader.limit_guessed and after < reader.cursor.limit:
            track = find(after, reader.cursor.limit, b"MTrk", 4)
            if track != after:
                mend(reader, DATA_AFTER_END_OF_TRACK, after, reader.cursor.limit - after)
            if track == NULL:
                return reader.cursor.limit
            mend(reader, TRACK_TOO_LONG, p + 4, length, after - p - 8)
            return track
    elif stop != AT_LIMIT:
        after = reader.cursor.limit
        if stop != CUT and not reader.limit_guessed:
            # The track broke down; a length that swallows whole later tracks is no longer believed.
            track = find(reader.cursor.at, reader.cursor.limit, b"MTrk", 4)
            while track != NULL and not track_confirmed(reader, track):
                track = find(track + 1, reader.cursor.limit, b"MTrk", 4)
            if track != NULL:
                after = track
    if length > after - p - 8:
        mend(reader, TRACK_TOO_LONG, p + 4, length, after - p - 8)
    elif length < after - p - 8:
        mend(reader, TRACK_TOO_SHORT, p + 4, length, after - p - 8)
    return after


# ---------------------------------------------------------------- events

cdef Stop take_payload(
    Reader *reader, Cursor *cursor, const uint8_t **payload, int64_t *length
) noexcept nogil:
    """Take a meta or sysex length and its payload; on TOO_LONG and PAST_END stay at the length.

    Under a guessed limit an MTrk inside the payload is text unless it is confirmed as a track.
    """
    cdef const uint8_t *start = cursor.at
    cdef const uint8_t *track
    length[0] = quantity(cursor)
    if length[0] == LENGTH_CUT:
        return CUT
    if length[0] == LENGTH_TOO_LONG:
        cursor.at = start
        return TOO_LONG
    payload[0] = take(cursor, length[0])
    if payload[0] == NULL and reader.limit_guessed and reader.end - cursor.at >= length[0]:
        if not track_confirmed(reader, cursor.limit):
            track = find(cursor.at + length[0], reader.end, b"MTrk", 4)
            cursor.limit = reader.end if track == NULL else track
            payload[0] = take(cursor, length[0])
    if payload[0] == NULL:
        cursor.at = start
        return PAST_END
    return GO_ON


cdef bint room_for_cuts(Song *song) noexcept nogil:
    """Have as many cuts as queues; false when memory is out. Few files need any."""
    cdef Py_ssize_t n = <Py_ssize_t>song.ports_capacity * PORT_QUEUES, i = song.cuts_capacity
    cdef void *larger
    if i < n:
        larger = realloc(song.cuts, <size_t>n * sizeof(Cut))
        if larger == NULL:
            return False
        song.cuts = <Cut *>larger
        memset(&song.cuts[i], 0xFF, <size_t>(n - i) * sizeof(Cut))           # every index -1
        song.cuts_capacity = n
    return True


cdef Stop claim_port(Reader *reader) noexcept nogil:
    """Give the track's port its place among the ports: that of its number, or the next that is free."""
    cdef Song *song = reader.song
    cdef int first = reader.port.number & (N_PORTS - 1), place = first, i
    cdef Port *port
    cdef Py_ssize_t n
    cdef void *larger
    for i in range(N_PORTS):
        place = (first + i) & (N_PORTS - 1)
        port = &song.ports[place]
        if not song.ports_taken >> place & 1:
            port[0] = reader.port
            song.ports_taken |= 1 << place
            break
        if port.number == reader.port.number and port.length == reader.port.length and (
                port.length == 0 or memcmp(port.name, reader.port.name, port.length) == 0):
            break
    else:
        place = first                        # none is free: it shares one
    reader.channel_base = 16 * place
    if place >= song.n_ports:
        song.n_ports = place + 1
    if song.n_ports > song.ports_capacity:
        n = <Py_ssize_t>song.n_ports * PORT_QUEUES
        larger = realloc(song.queues, <size_t>n * sizeof(Queue))
        if larger == NULL:
            return OUT_OF_MEMORY
        song.queues = <Queue *>larger
        i = song.ports_capacity * PORT_QUEUES
        memset(&song.queues[i], 0xFF, <size_t>(n - i) * sizeof(Queue))       # every index -1
        song.ports_capacity = song.n_ports
        if song.cuts != NULL and not room_for_cuts(song):
            return OUT_OF_MEMORY
    return GO_ON


cdef Stop add_setup(Reader *reader, const Setup *setup, int64_t tick, uint16_t track) noexcept nogil:
    """Keep a setup. It holds from its tick on; behind a note-on of its track and channel, from the next tick on."""
    cdef Song *song = reader.song
    cdef Setup *added
    cdef Py_ssize_t i = song.n_notes
    cdef int channel
    while i > reader.scanned and song.notes[i - 1].onset_tick == tick:
        i -= 1
        reader.struck[song.notes[i].channel] = tick
    reader.scanned = song.n_notes
    if not room(<void **>&song.setups, song.n_setups, &song.setups_capacity, sizeof(Setup)):
        return OUT_OF_MEMORY
    added = &song.setups[song.n_setups]
    added[0] = setup[0]
    channel = setup.channel
    if setup.loose and reader.channel_base > 0:
        channel |= reader.channel_base
    added.tick = tick + (setup.kind != SETUP_SYSTEM and reader.struck[channel] == tick)
    added.track = track
    song.n_setups += 1
    song.n_declared += setup.kind == SETUP_PART or setup.kind == SETUP_SYSTEM
    return GO_ON


cdef Stop read_sysex(Reader *reader, Cursor *cursor, bint first, int64_t tick, uint16_t track) noexcept nogil:
    """Read a sysex packet, first or continued, from its length on; whether F7 ends it does not matter."""
    cdef const uint8_t *payload
    cdef int64_t length
    cdef Setup setup
    cdef Stop stop = take_payload(reader, cursor, &payload, &length)
    if stop != GO_ON or not first:
        return stop
    setup.channel = 0
    if not setup_of_sysex(payload, length, &setup):
        return GO_ON
    setup.loose = not reader.names_port
    if reader.names_port:
        if reader.channel_base < 0 and claim_port(reader) != GO_ON:
            return OUT_OF_MEMORY
        setup.channel |= reader.channel_base
    return add_setup(reader, &setup, tick, track)


cdef bint event_follows(Cursor cursor) noexcept nogil:
    """Whether a delta time and an event with its status stand next. A copied cursor: nothing is taken."""
    cdef const uint8_t *first = cursor.at
    cdef const uint8_t *data
    if quantity(&cursor) < 0 or first[0] >= 0xF0:    # rather a status than a delta of 14336 ticks or more
        return False
    data = take(&cursor, 1)
    if data == NULL or data[0] < 0x80 or data[0] >= 0xF0:
        return data != NULL and data[0] >= 0x80
    data = take(&cursor, 1 + ((data[0] & 0xE0) != 0xC0))
    return data != NULL and data[0] < 0x80 and (cursor.at - 1)[0] < 0x80


cdef void skip_system_message(Cursor *cursor, int status) noexcept nogil:
    """Pass the data of an F1-F6 or F8-FE message: what MIDI gives it, unless only its absence makes sense."""
    cdef int n = 2 if status == 0xF2 else 1 if status == 0xF1 or status == 0xF3 else 0
    cdef Cursor after = cursor[0]
    cdef const uint8_t *data = take(&after, n)
    if n == 0 or data == NULL or data[0] >= 0x80 or data[n - 1] >= 0x80:
        return
    if event_follows(after) or not event_follows(cursor[0]):
        cursor[0] = after


cdef Stop read_meta(Reader *reader, Cursor *cursor, int64_t tick, uint16_t track) noexcept nogil:
    """Read a meta event from its type byte on."""
    cdef Song *song = reader.song
    cdef const uint8_t *type_byte = take(cursor, 1)
    cdef const uint8_t *length_byte
    cdef const uint8_t *payload
    cdef int64_t length
    cdef int kind, shortest
    cdef Stop stop
    if type_byte == NULL:
        return CUT
    length_byte = cursor.at
    stop = take_payload(reader, cursor, &payload, &length)
    if stop != GO_ON:
        return stop
    kind = type_byte[0]
    if kind == 0x2F:
        return AT_END_OF_TRACK
    if kind >= 0x80:
        mend(reader, META_TYPE_ABOVE_127, type_byte, kind)
        return GO_ON
    shortest = (3 if kind == 0x51 else 4 if kind == 0x58 else 2 if kind == 0x59 else 5 if kind == 0x54
                else 1 if kind == 0x20 or kind == 0x21 else 0)
    if length < shortest:
        mend(reader, SHORT_META, length_byte, length, shortest)
    elif kind == 0x51:
        if payload[0] == 0 and payload[1] == 0 and payload[2] == 0:
            mend(reader, ZERO_TEMPO, payload, 0)
            return GO_ON
        if not room(<void **>&song.tempos, song.n_tempos, &song.tempos_capacity, sizeof(Tempo)):
            return OUT_OF_MEMORY
        song.tempos[song.n_tempos].tick = tick
        song.tempos[song.n_tempos].microseconds_per_beat = payload[0] << 16 | payload[1] << 8 | payload[2]
        song.tempos[song.n_tempos].track = track
        song.n_tempos += 1
    elif kind == 0x58:
        if payload[0] == 0 or payload[1] > MAX_DENOMINATOR_POWER:
            mend(reader, ABSURD_SIGNATURE, payload, payload[0] << 8 | payload[1])
            return GO_ON
        if not room(<void **>&song.signatures, song.n_signatures, &song.signatures_capacity, sizeof(Signature)):
            return OUT_OF_MEMORY
        song.signatures[song.n_signatures].tick = tick
        song.signatures[song.n_signatures].beats = payload[0]
        song.signatures[song.n_signatures].value = 1 << payload[1]
        song.signatures[song.n_signatures].track = track
        song.signatures[song.n_signatures].padding = 0
        song.n_signatures += 1
    elif kind == 0x59:
        # Sharps from -7 (flats) to 7 as a signed byte, then 0 major or 1 minor.
        if ((payload[0] + 7) & 0xFF) > 14 or payload[1] > 1:
            mend(reader, ABSURD_SIGNATURE, payload, payload[0] << 8 | payload[1])
    elif kind == 0x03 and not reader.named:
        if not room(<void **>&song.names, song.n_names, &song.names_capacity, sizeof(Name)):
            return OUT_OF_MEMORY
        song.names[song.n_names].start = payload - reader.data
        song.names[song.n_names].length = length
        song.names[song.n_names].track = track
        song.n_names += 1
        reader.named = True
    elif kind == 0x09 or kind == 0x21:
        if kind == 0x21:
            reader.port.number = payload[0]
        else:
            reader.port.name = payload
            reader.port.length = length
        reader.names_port = True
        reader.channel_base = -1
    return GO_ON


cdef Stop read_pedal(Song *song, int channel, bint down, int64_t tick, uint16_t track) noexcept nogil:
    if not room(<void **>&song.pedals, song.n_pedals, &song.pedals_capacity, sizeof(Pedal)):
        return OUT_OF_MEMORY
    song.pedals[song.n_pedals].tick = tick
    song.pedals[song.n_pedals].track = track
    song.pedals[song.n_pedals].channel = channel
    song.pedals[song.n_pedals].down = down
    song.n_pedals += 1
    return GO_ON


cdef Stop read_control(
    Reader *reader, int channel, int number, int value, int64_t tick, uint16_t track
) noexcept nogil:
    """Read a control change; what it does to open notes is the caller's affair."""
    cdef Song *song = reader.song
    cdef Setup setup
    cdef Control *control
    if number == SUSTAIN_PEDAL:
        return read_pedal(song, channel, value >= 64, tick, track)
    if number == RESET_CONTROLLERS and read_pedal(song, channel, False, tick, track) != GO_ON:
        return OUT_OF_MEMORY
    if number == BANK_SELECT:
        setup.kind = SETUP_BANK
        setup.channel = channel
        setup.value = value
        setup.loose = False
        if add_setup(reader, &setup, tick, track) != GO_ON:
            return OUT_OF_MEMORY
    if not (song.all_controls or number == SOSTENUTO_PEDAL or (ALL_SOUND_OFF <= number <= RELEASE_ALL)):
        return GO_ON
    if not room(<void **>&song.controls, song.n_controls, &song.controls_capacity, sizeof(Control)):
        return OUT_OF_MEMORY
    control = &song.controls[song.n_controls]
    control.tick = tick
    control.track = track
    control.channel = channel
    control.number = number
    control.value = value
    song.n_controls += 1
    return GO_ON


cdef Stop read_program(Reader *reader, int channel, int program, int64_t tick, uint16_t track) noexcept nogil:
    cdef Setup setup
    setup.kind = SETUP_PROGRAM
    setup.channel = channel
    setup.value = program
    setup.loose = False
    return add_setup(reader, &setup, tick, track)


# ---------------------------------------------------------------- notes that no note-off ends

cdef Py_ssize_t end_notes(Song *song, int channel, int64_t tick) noexcept nogil:
    """End the open notes of a channel; their note-offs may still come. Return how many there were."""
    cdef Queue *queue
    cdef Cut *cut
    cdef Py_ssize_t n = 0
    cdef int32_t i
    cdef int key
    for key in range(channel << 7, (channel + 1) << 7):
        queue = &song.queues[key]
        cut = &song.cuts[key]
        cut.closed = -1
        i = queue.first
        if i < 0:
            continue
        if cut.first < 0:
            cut.first = i
        else:
            song.notes[cut.last].next = i
        cut.last = queue.last
        queue.first = -1
        while i >= 0:
            song.notes[i].offset_tick = tick
            n += 1
            i = song.notes[i].next
    return n


cdef bint late_note_off(Song *song, int key, int64_t tick) noexcept nogil:
    """Whether a note-off is one that a cut note still had to come.

    Of two note-offs in a row for a cut note and one struck since, the first is that of the cut note.
    """
    cdef Cut *cut = &song.cuts[key]
    if cut.first < 0:
        return False
    if cut.closed >= 0:
        song.notes[cut.closed].offset_tick = tick
    elif song.queues[key].first >= 0:
        cut.closed = song.queues[key].first
        return False
    cut.first = song.notes[cut.first].next
    if cut.first < 0:
        cut.closed = -1
    return True


cdef int64_t next_silence(Reader *reader, int channel, int64_t tick, uint16_t track) noexcept nogil:
    """When another track next silences a channel after a tick; the ticks asked for must not descend."""
    cdef Song *song = reader.song
    cdef Py_ssize_t low = reader.next_silence[channel], high = song.silences_at[channel + 1], middle
    while low < high:
        middle = (low + high) // 2
        if song.silences[middle].tick <= tick:
            low = middle + 1
        else:
            high = middle
    high = song.silences_at[channel + 1]
    while low < high and song.silences[low].track == track:
        low += 1
    reader.next_silence[channel] = low
    return song.silences[low].tick if low < high else INT64_MAX


cdef int64_t silence(Reader *reader, int64_t tick, Py_ssize_t *n_cut) noexcept nogil:
    """End the open notes of the channels that are due at a tick; return when the next one is due."""
    cdef int64_t next_due = INT64_MAX
    cdef int channel
    for channel in range(16 * reader.song.n_ports):
        if reader.due[channel] <= tick:
            n_cut[0] += end_notes(reader.song, channel, reader.due[channel])
            reader.due[channel] = INT64_MAX
        elif reader.due[channel] < next_due:
            next_due = reader.due[channel]
    return next_due


cdef int64_t longest_held(const Song *song) noexcept nogil:
    """Ticks that the end of its track may let a note sound, at most."""
    if song.ticks_per_beat:
        return <int64_t>LONGEST_HELD_BEATS * song.ticks_per_beat
    if song.smpte_fps == 29:
        return <int64_t>LONGEST_HELD_SECONDS * 30000 * song.smpte_ticks_per_frame // 1001
    return <int64_t>LONGEST_HELD_SECONDS * song.smpte_fps * song.smpte_ticks_per_frame


cdef void leave_notes(Reader *reader, Py_ssize_t start, int64_t end_tick, bint any_cut) noexcept nogil:
    """At the end of a track empty the queues, and tell open notes where that end might end them (-1: nowhere).

    Their `offset_tick` is that tick's complement, or -1 where they can only be dropped.
    """
    cdef Song *song = reader.song
    cdef int64_t longest = longest_held(song), length
    cdef Note *note
    cdef Cut *cut
    cdef Py_ssize_t i
    cdef int key
    for i in range(start, song.n_notes):
        note = &song.notes[i]
        key = note.channel << 7 | note.pitch
        if note.offset_tick < 0:
            song.queues[key].first = -1
            length = end_tick - note.onset_tick
            if 0 < length <= longest:
                note.offset_tick = ~end_tick
            reader.n_open += 1
        if not any_cut:
            continue
        cut = &song.cuts[key]
        cut.closed = -1
        while cut.first >= 0:
            mend(reader, ALL_NOTES_OFF, reader.data + song.notes[cut.first].start, song.notes[cut.first].pitch)
            cut.first = song.notes[cut.first].next


cdef bint end_or_drop_notes(Reader *reader) noexcept nogil:
    """End open notes with their track where their key is struck no more, and drop the others; false: no memory."""
    cdef Song *song = reader.song
    cdef Py_ssize_t n_keys = <Py_ssize_t>song.n_ports * PORT_QUEUES, first = 0, last, i, kept = 0
    cdef int64_t *struck
    cdef Note *note
    cdef int key
    if reader.n_open == 0:
        return True
    struck = <int64_t *>malloc(<size_t>n_keys * sizeof(int64_t))
    if struck == NULL:
        return False
    memset(struck, 0xFF, <size_t>n_keys * sizeof(int64_t))
    while first < song.n_notes:
        last = first
        while last < song.n_notes and (song.format != 2 or song.notes[last].track == song.notes[first].track):
            note = &song.notes[last]
            key = note.channel << 7 | note.pitch
            struck[key] = max(struck[key], note.onset_tick)
            last += 1
        for i in range(first, last):
            note = &song.notes[i]
            if note.offset_tick < 0:
                if note.offset_tick == -1 or struck[note.channel << 7 | note.pitch] > note.onset_tick:
                    mend(reader, UNENDED_NOTE, reader.data + note.start, note.pitch)
                    note.offset_tick = -1
                else:
                    mend(reader, HELD_TO_END, reader.data + note.start, note.pitch)
                    note.offset_tick = ~note.offset_tick
        if last < song.n_notes:
            for i in range(first, last):
                struck[song.notes[i].channel << 7 | song.notes[i].pitch] = -1
        first = last
    for i in range(song.n_notes):
        if song.notes[i].offset_tick >= 0:
            song.notes[kept] = song.notes[i]
            kept += 1
    song.n_notes = kept
    free(struck)
    return True


cdef void begin_track(Reader *reader) noexcept nogil:
    cdef int channel
    reader.port.name = NULL
    reader.port.length = 0
    reader.port.number = 0
    reader.names_port = False
    reader.named = False
    reader.channel_base = -1
    reader.scanned = reader.song.n_notes
    for channel in range(N_CHANNELS):
        reader.struck[channel] = -1
    if reader.song.silences != NULL:
        for channel in range(N_CHANNELS):
            reader.due[channel] = INT64_MAX
            reader.next_silence[channel] = reader.song.silences_at[channel]


cdef inline void start_note(Note *notes, Py_ssize_t n, Queue *queue, int64_t tick, int64_t start, uint16_t track,
                            int status, int channel, int pitch, int velocity) noexcept nogil:
    """Make note `n`, and put it at the end of its queue; `start` is the byte of its note-on."""
    cdef Note *note = &notes[n]
    note.onset_tick = tick
    note.offset_tick = -1
    note.next = -1
    note.start = <int32_t>start
    note.track = track
    note.pitch = pitch
    note.velocity = velocity
    note.channel = channel
    note.drums = (status & 0x0F) == DRUM_CHANNEL
    if queue.first < 0:
        queue.first = <int32_t>n
    else:
        notes[queue.last].next = <int32_t>n
    queue.last = <int32_t>n


cdef inline bint end_note(Note *notes, Queue *queue, int64_t tick) noexcept nogil:
    """End the first note of a queue; false where there is none."""
    cdef int32_t i = queue.first
    if i < 0:
        return False
    notes[i].offset_tick = tick
    queue.first = notes[i].next
    return True


cdef void read_notes(Song *song, const uint8_t *data, Place *place, int base, uint16_t track) noexcept nogil:
    """Read the notes that follow a note as long as they are plain, and stay before any other event.

    Nine events in ten are plain notes: short, within the limit, and with nothing to mend. They mean what they mean in
    read_track, which reads all others; without this, parsing takes a quarter longer.
    """
    cdef Cursor cursor = place.cursor
    cdef Note *notes = song.notes
    cdef Queue *queue
    cdef const uint8_t *byte
    cdef const uint8_t *start
    cdef int64_t tick = place.tick
    cdef Py_ssize_t n_notes = place.n_notes, n_open = place.n_open
    cdef int status = place.status, channel, delta
    while cursor.limit - cursor.at >= PLAIN_NOTE_BYTES:
        byte = cursor.at
        delta = byte[0]
        if delta == 0x4D:                    # perhaps an MTrk
            break
        if delta >= 0x80:
            byte += 1
            if byte[0] >= 0x80:
                break
            delta = (delta & 0x7F) << 7 | byte[0]
        byte += 1
        start = byte
        if byte[0] >= 0x80:
            if byte[0] >= 0xA0:
                break
            status = byte[0]
            byte += 1
        if (byte[0] | byte[1]) >= 0x80:
            break
        channel = base | (status & 0x0F)
        queue = &song.queues[channel << 7 | byte[0]]
        if (status >= 0x90) & (byte[1] != 0):
            if n_notes == song.notes_capacity:
                break
            start_note(notes, n_notes, queue, tick + delta, start - data, track, status, channel, byte[0], byte[1])
            n_notes += 1
            n_open += 1
        else:
            if not end_note(notes, queue, tick + delta):
                break
            n_open -= 1
        tick += delta
        take(&cursor, byte + 2 - cursor.at)
    place.cursor = cursor
    place.tick = tick
    place.n_notes = n_notes
    place.n_open = n_open
    place.status = status


cdef Stop read_track(Reader *reader) noexcept nogil:
    """Read events from the reader's cursor to the end of the track, and pair the notes.

    Ticks cannot overflow: a delta below 2**28 takes at least two bytes of a file below 2**31.
    """
    cdef Song *song = reader.song
    cdef Cursor cursor = reader.cursor       # a local whose address never escapes: it stays in registers
    cdef Cursor lent
    cdef Place place
    cdef Note *notes = song.notes
    cdef Queue *queue
    cdef const uint8_t *start
    cdef const uint8_t *byte
    cdef const uint8_t *data
    cdef void *larger
    cdef Py_ssize_t n_notes = song.n_notes, first_note = song.n_notes, n_open = 0, n_cut = 0, n_ended
    cdef int64_t tick = 0, length, due = INT64_MAX
    cdef uint16_t track = song.n_tracks if song.n_tracks < 0xFFFF else 0xFFFF
    cdef int status = 0, base = -1, channel, pitch, velocity
    cdef bint two_bytes, silenced = song.silences != NULL
    cdef Stop stop = GO_ON
    begin_track(reader)
    while stop == GO_ON:
        start = cursor.at
        if start == cursor.limit or (start[0] == 0x4D and says(start, cursor.limit, b"MTrk\0", 5)):
            stop = AT_LIMIT
            break
        length = quantity(&cursor)
        if length < 0:
            stop = CUT if length == LENGTH_CUT else TOO_LONG
            if stop == TOO_LONG:
                cursor.at = start
            break
        tick += length
        if tick >= due:
            if not room_for_cuts(song):
                stop = OUT_OF_MEMORY
                break
            n_ended = 0
            due = silence(reader, tick, &n_ended)
            n_open -= n_ended
            n_cut += n_ended
        byte = take(&cursor, 1)
        if byte != NULL and (byte[0] | status) < 0x80:
            mend(reader, DATA_WITHOUT_STATUS, byte, byte[0])
            while byte != NULL and byte[0] < 0x80:
                byte = take(&cursor, 1)
        if byte == NULL:
            stop = CUT
            break

        if byte[0] >= 0xF0:
            lent = cursor
            song.n_notes = n_notes
            if byte[0] == 0xFF:
                stop = read_meta(reader, &lent, tick, track)
                base = reader.channel_base
            elif byte[0] == 0xF0 or byte[0] == 0xF7:
                stop = read_sysex(reader, &lent, byte[0] == 0xF0, tick, track)
                base = reader.channel_base
            else:
                mend(reader, SYSTEM_MESSAGE, byte, byte[0])
                skip_system_message(&lent, byte[0])
            cursor = lent
            if status and (byte[0] == 0xFF or byte[0] == 0xF0 or byte[0] == 0xF7):
                status |= CANCELLED
            continue

        if byte[0] >= 0x80:
            status = byte[0]
            if base < 0:
                if claim_port(reader) != GO_ON:
                    stop = OUT_OF_MEMORY
                    break
                base = reader.channel_base
            two_bytes = (status & 0xE0) != 0xC0
            data = take(&cursor, 1 + two_bytes)
        else:
            if status & CANCELLED:
                mend(reader, RUNNING_STATUS_KEPT, byte, byte[0])
                status ^= CANCELLED
                if base < 0:                 # the meta event named another port
                    if claim_port(reader) != GO_ON:
                        stop = OUT_OF_MEMORY
                        break
                    base = reader.channel_base
            two_bytes = (status & 0xE0) != 0xC0
            data = byte if take(&cursor, two_bytes) != NULL else NULL
        if data == NULL:
            stop = CUT
            break

        channel = base | (status & 0x0F)
        if status < 0xA0:
            pitch = data[0]
            velocity = data[1]
            if (pitch | velocity) >= 0x80:
                if pitch >= 0x80:
                    mend(reader, PITCH_ABOVE_127, data, pitch)
                    continue
                mend(reader, DATA_ABOVE_127, data + 1, velocity)
                velocity = 127
            queue = &song.queues[channel << 7 | pitch]
            if status >= 0x90 and velocity:
                if n_notes == song.notes_capacity:
                    larger = grown(notes, &song.notes_capacity, sizeof(Note))
                    if larger == NULL:
                        stop = OUT_OF_MEMORY
                        break
                    song.notes = notes = <Note *>larger
                start_note(notes, n_notes, queue, tick, byte - reader.data, track, status, channel, pitch, velocity)
                n_notes += 1
                n_open += 1
                if n_cut:
                    song.cuts[channel << 7 | pitch].closed = -1
                if silenced and reader.due[channel] == INT64_MAX:
                    reader.due[channel] = next_silence(reader, channel, tick, track)
                    due = min(due, reader.due[channel])
            else:
                if n_cut and late_note_off(song, channel << 7 | pitch, tick):
                    continue
                if end_note(notes, queue, tick):
                    n_open -= 1
                else:
                    mend(reader, STRAY_NOTE_OFF, byte, pitch)
            if not (silenced or n_cut):
                place.cursor = cursor
                place.tick = tick
                place.n_notes = n_notes
                place.n_open = n_open
                place.status = status
                read_notes(song, reader.data, &place, base, track)
                cursor = place.cursor
                tick = place.tick
                n_notes = place.n_notes
                n_open = place.n_open
                status = place.status
        elif data[0] >= 0x80 or (two_bytes and data[1] >= 0x80):
            if data[0] < 0x80:
                data += 1
            mend(reader, DATA_ABOVE_127, data, data[0])
        elif status >= 0xB0 and status < 0xD0:
            song.n_notes = n_notes
            if status >= 0xC0:
                stop = read_program(reader, channel, data[0], tick, track)
                continue
            stop = read_control(reader, channel, data[0], data[1], tick, track)
            if (n_open or n_cut) and (data[0] == RELEASE_ALL or data[0] == ALL_SOUND_OFF):
                if not room_for_cuts(song):
                    stop = OUT_OF_MEMORY
                    break
                n_ended = end_notes(song, channel, tick)
                n_open -= n_ended
                n_cut += n_ended

    reader.cursor = cursor
    song.n_notes = n_notes
    if n_open or n_cut:
        leave_notes(reader, first_note, tick if stop == AT_END_OF_TRACK else -1, n_cut > 0)
    if stop == AT_LIMIT:
        mend(reader, MISSING_END_OF_TRACK, cursor.at, 0)
    elif stop == CUT:
        mend(reader, TRUNCATED_EVENT, cursor.limit, 0)
    elif stop == TOO_LONG:
        mend(reader, LONG_QUANTITY, cursor.at, cursor.at[0])
    elif stop == PAST_END:
        length = quantity(&cursor)
        mend(reader, PAYLOAD_PAST_END, reader.cursor.at, length, cursor.limit - cursor.at)
    return stop


# ---------------------------------------------------------------- order

ctypedef fused Row:
    NoteRow
    Tempo
    Pedal
    Control
    Setup
    Part
    Signature


cdef inline bint precedes(Row *a, Row *b) noexcept nogil:
    if Row is NoteRow:
        if a.onset_tick != b.onset_tick:
            return a.onset_tick < b.onset_tick
        if a.track != b.track:
            return a.track < b.track
        if a.channel != b.channel:
            return a.channel < b.channel
        if a.pitch != b.pitch:
            return a.pitch < b.pitch
        return a.offset_tick < b.offset_tick
    else:
        return a.tick < b.tick


cdef bint sort(Row *rows, Py_ssize_t n) noexcept nogil:
    """Stable natural merge sort: as many passes as log2 of the sorted runs (tracks). False: no memory."""
    cdef Row *source = rows
    cdef Row *target
    cdef Row *scratch
    cdef Row *swap
    cdef Py_ssize_t i = 1, left, middle, right, a, b
    while i < n and not precedes(&rows[i], &rows[i - 1]):
        i += 1
    if i >= n:
        return True
    scratch = <Row *>malloc(<size_t>n * sizeof(Row))
    if scratch == NULL:
        return False
    target = scratch
    while True:
        left = 0
        while left < n:
            middle = left + 1
            while middle < n and not precedes(&source[middle], &source[middle - 1]):
                middle += 1
            right = middle + 1 if middle < n else n
            while right < n and not precedes(&source[right], &source[right - 1]):
                right += 1
            if left == 0 and middle == n:    # one run: sorted
                if source != rows:
                    memcpy(rows, source, <size_t>n * sizeof(Row))
                free(scratch)
                return True
            a = left
            b = middle
            for i in range(left, right):
                if b == right or (a < middle and not precedes(&source[b], &source[a])):
                    target[i] = source[a]
                    a += 1
                else:
                    target[i] = source[b]
                    b += 1
            left = right
        swap = source
        source = target
        target = swap


cdef void fill_row(NoteRow *row, const Note *note) noexcept nogil:
    row.onset_tick = note.onset_tick
    row.offset_tick = note.offset_tick
    row.pitch = note.pitch
    row.velocity = note.velocity
    row.channel = note.channel
    row.drums = note.drums
    row.track = note.track
    row.padding = 0


cdef inline bint insert_row(NoteRow *rows, Py_ssize_t first, Py_ssize_t i) noexcept nogil:
    """Move a row back to its place among those from `first` on; false where that is too far."""
    cdef NoteRow row
    cdef Py_ssize_t j = i, least = max(first, i - LARGEST_INSERTION)
    if i == first or not precedes(&rows[i], &rows[i - 1]):
        return True
    row = rows[i]
    while j > least and precedes(&row, &rows[j - 1]):
        rows[j] = rows[j - 1]
        j -= 1
    rows[j] = row
    return j == first or not precedes(&row, &rows[j - 1])


cdef bint merge_runs(const Song *song, Py_ssize_t *at, const Py_ssize_t *ends, int n_runs, int64_t last_tick,
                     NoteRow *rows) noexcept nogil:
    """Fill the rows with the notes of several tracks; whether they are in order then, as they are as a rule.

    A counting sort by onset, of one stretch of time after the other, which fits into the cache: a merge would compare
    and copy once for each doubling of the number of tracks.
    """
    cdef Py_ssize_t n = song.n_notes, i, done = 0, start
    cdef int32_t places[STRETCH_NOTES]
    cdef int32_t count, total
    cdef int stretch_shift = 0, shift = 0, place, run
    cdef int64_t begin = 0, end
    cdef bint in_order = True
    while last_tick >> stretch_shift > n // STRETCH_NOTES:
        stretch_shift += 1
    while (<int64_t>1 << stretch_shift) >> shift > min(n, STRETCH_NOTES):
        shift += 1
    while done < n:
        end = begin + (<int64_t>1 << stretch_shift)
        memset(places, 0, (<size_t>1 << (stretch_shift - shift)) * sizeof(int32_t))
        for run in range(n_runs):
            i = at[run]
            while i < ends[run] and song.notes[i].onset_tick < end:
                places[(song.notes[i].onset_tick - begin) >> shift] += 1
                i += 1
        total = 0
        for place in range(1 << (stretch_shift - shift)):
            count = places[place]
            places[place] = total
            total += count
        start = done
        for run in range(n_runs):
            i = at[run]
            while i < ends[run] and song.notes[i].onset_tick < end:
                place = <int>((song.notes[i].onset_tick - begin) >> shift)
                fill_row(&rows[start + places[place]], &song.notes[i])
                places[place] += 1
                i += 1
            done += i - at[run]
            at[run] = i
        for i in range(start, done):
            in_order &= insert_row(rows, start, i)
        begin = end
    return in_order


cdef bint order_notes(const Song *song, NoteRow *rows) noexcept nogil:
    """Fill the rows with the notes, sorted; false when memory is out. The notes of a track are in order of onset."""
    cdef Py_ssize_t at[MOST_RUNS]            # where the notes of each track begin and end
    cdef Py_ssize_t ends[MOST_RUNS]
    cdef Py_ssize_t i, low = 0, high, middle
    cdef int n_runs = 0, track = 0
    cdef int64_t last_tick = 0
    cdef bint in_order = True
    while low < song.n_notes and n_runs < MOST_RUNS:
        at[n_runs] = low
        track = song.notes[low].track
        high = song.n_notes
        while low < high:
            middle = (low + high) // 2
            if song.notes[middle].track <= track:
                low = middle + 1
            else:
                high = middle
        ends[n_runs] = low
        last_tick = max(last_tick, song.notes[low - 1].onset_tick)
        n_runs += 1
    if n_runs > 1 and low == song.n_notes and track < 0xFFFF and song.n_notes >= FEWEST_MERGED:
        in_order = merge_runs(song, at, ends, n_runs, last_tick, rows)
    else:
        for i in range(song.n_notes):
            fill_row(&rows[i], &song.notes[i])
            in_order &= insert_row(rows, 0, i)
    return in_order or sort(rows, song.n_notes)


cdef bint keep_changes(Song *song) noexcept nogil:
    """Keep of the pedals, in order of time, the changes of state: of a channel, in format 2 of one in a track.

    False when memory is out.
    """
    cdef uint8_t some[32]
    cdef uint8_t *down = some                # one bit a channel; in format 2 for each of the tracks
    cdef uint8_t *held
    cdef Pedal *pedal
    cdef Py_ssize_t i, kept = 0
    cdef bint by_track = song.format == 2
    if by_track:
        down = <uint8_t *>calloc(0x10000, sizeof(some))
        if down == NULL:
            return False
    else:
        memset(some, 0, sizeof(some))
    for i in range(song.n_pedals):
        pedal = &song.pedals[i]
        held = down + (<Py_ssize_t>pedal.track * sizeof(some) if by_track else 0) + (pedal.channel >> 3)
        if pedal.down != (held[0] >> (pedal.channel & 7) & 1):
            held[0] ^= 1 << (pedal.channel & 7)
            song.pedals[kept] = pedal[0]
            kept += 1
    song.n_pedals = kept
    if by_track:
        free(down)
    return True


# ---------------------------------------------------------------- the seam

cdef void song_init(Song *song) noexcept nogil:
    """Make a song that owns nothing yet."""
    memset(song, 0, sizeof(Song))


cdef void song_free(Song *song) noexcept nogil:
    """Free the arrays."""
    free(song.notes)
    free(song.tempos)
    free(song.pedals)
    free(song.signatures)
    free(song.controls)
    free(song.setups)
    free(song.parts)
    free(song.names)
    free(song.queues)
    free(song.cuts)
    free(song.silences)
    song_init(song)


cdef void clear(Song *song) noexcept nogil:
    """Forget what was read, and keep the arrays."""
    song.n_notes = song.n_tempos = song.n_pedals = song.n_signatures = 0
    song.n_controls = song.n_setups = song.n_parts = song.n_names = song.n_declared = 0
    song.format = song.n_tracks = song.ticks_per_beat = song.smpte_fps = song.smpte_ticks_per_frame = 0
    song.n_ports = 1
    song.ports_taken = 0
    memset(song.ports, 0, sizeof(song.ports))
    memset(song.repairs, 0, sizeof(song.repairs))
    song.first_repair = -1
    song.first_repair_offset = song.first_repair_found = song.first_repair_expected = 0


cdef bint list_silences(Song *song, Py_ssize_t *n) noexcept nogil:
    """List where notes are switched off, by channel and tick; of controls in order of tick. False: no memory."""
    cdef Control *control
    cdef Py_ssize_t i
    cdef int channel
    n[0] = 0
    memset(song.silences_at, 0, sizeof(song.silences_at))
    for i in range(song.n_controls):
        control = &song.controls[i]
        if control.number == RELEASE_ALL or control.number == ALL_SOUND_OFF:
            song.silences_at[control.channel] += 1
            n[0] += 1
    if n[0] == 0:
        return True
    song.silences = <Silence *>malloc(<size_t>n[0] * sizeof(Silence))
    if song.silences == NULL:
        return False
    song.silences_at[N_CHANNELS] = n[0]
    for channel in range(N_CHANNELS - 1, -1, -1):    # where the next channel begins, less their number
        song.silences_at[channel] = song.silences_at[channel + 1] - song.silences_at[channel]
    for i in range(song.n_controls):
        control = &song.controls[i]
        if control.number == RELEASE_ALL or control.number == ALL_SOUND_OFF:
            song.silences[song.silences_at[control.channel]].tick = control.tick
            song.silences[song.silences_at[control.channel]].track = control.track
            song.silences_at[control.channel] += 1
    for channel in range(N_CHANNELS, 0, -1):
        song.silences_at[channel] = song.silences_at[channel - 1]
    song.silences_at[0] = 0
    return True


cdef bint silences_others(Reader *reader) noexcept nogil:
    """Whether a track switches off a note of another one."""
    cdef Song *song = reader.song
    cdef Note *note
    cdef int64_t tick
    cdef Py_ssize_t i
    for i in range(song.n_notes):
        note = &song.notes[i]
        if i == 0 or note.track != song.notes[i - 1].track:
            memcpy(reader.next_silence, song.silences_at, sizeof(reader.next_silence))
        if song.silences_at[note.channel] < song.silences_at[note.channel + 1]:
            tick = next_silence(reader, note.channel, note.onset_tick, note.track)
            if tick != INT64_MAX and (note.offset_tick < 0 or tick <= note.offset_tick):
                return True
    return False


cdef bint line_ends_translated(const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Whether every 0A from the header at `p` on stands behind a 0D, and chunks fill the file once those are gone."""
    cdef const uint8_t *found = p
    cdef uint8_t head[8]
    cdef int64_t left
    cdef int n_tracks = 0, i
    cdef bint any_line_end = False
    while True:
        found = <const uint8_t *>memchr(found, 0x0A, end - found) if found < end else NULL
        if found == NULL:
            break
        if found == p or (found - 1)[0] != 0x0D:
            return False
        any_line_end = True
        found += 1
    while any_line_end and p < end:
        for i in range(8):
            if p >= end:
                return False
            p += p[0] == 0x0D and end - p > 1 and p[1] == 0x0A
            head[i] = p[0]
            p += 1
        if not names_chunk(head):
            return False
        n_tracks += memcmp(head, b"MTrk", 4) == 0
        left = big_endian(&head[4])
        while left:
            if p >= end:
                return False
            p += p[0] == 0x0D and end - p > 1 and p[1] == 0x0A
            p += 1
            left -= 1
    return n_tracks > 0


cdef int read_chunks(Reader *reader, const uint8_t *header) noexcept nogil:
    """Read everything from the header on; an SmfStatus."""
    cdef Song *song = reader.song
    cdef int count
    cdef const uint8_t *p = read_header(reader, header, &count)
    reader.n_open = 0
    while p != reader.end:
        p = read_chunk(reader, p)
        if p == NULL:
            return SMF_NO_MEMORY
    if count >= 0 and count != song.n_tracks:
        mend(reader, TRACK_COUNT, header + 10, count, song.n_tracks)
    if song.format == 0 and song.n_tracks > 1:
        mend(reader, FORMAT_0_TRACKS, header + 8, song.n_tracks, 1)
    if song.repairs[<int>HEADER_LENGTH] or song.repairs[<int>TRACK_TOO_SHORT] or song.repairs[<int>TRACK_TOO_LONG] or (
            song.repairs[<int>UNKNOWN_BYTES] or song.repairs[<int>TRAILING_BYTES]):
        if line_ends_translated(header, reader.end):
            return SMF_LINE_ENDS
    return SMF_OK


cdef bint assign_parts(Song *song) noexcept nogil:
    """Find out which notes are drums, in format 2 track by track; sort the setups. False: no memory."""
    cdef Py_ssize_t first = 0, last, first_note = 0, last_note, first_part
    if song.n_declared == 0:
        return sort(song.setups, song.n_setups)
    while first < song.n_setups:
        last = first
        while last < song.n_setups and (song.format != 2 or song.setups[last].track == song.setups[first].track):
            last += 1
        last_note = song.n_notes
        if song.format == 2:
            while first_note < song.n_notes and song.notes[first_note].track < song.setups[first].track:
                first_note += 1
            last_note = first_note
            while last_note < song.n_notes and song.notes[last_note].track == song.setups[first].track:
                last_note += 1
        first_part = song.n_parts
        if not (sort(&song.setups[first], last - first) and find_parts(song, first, last)
                and mark_drums(song, first_part, first_note, last_note)):
            return False
        first = last
        first_note = last_note
    return sort(song.setups, song.n_setups) and sort(song.parts, song.n_parts)


cdef int song_parse(Song *song, const uint8_t *data, Py_ssize_t size) noexcept nogil:
    """Read a whole file into `song`, whose arrays are reused; an SmfStatus."""
    cdef Reader reader
    cdef const uint8_t *header
    cdef Py_ssize_t n_silences = 0
    cdef int status
    clear(song)
    if size == 0:
        return SMF_EMPTY
    if size >= INT32_MAX:                    # the queues link notes by 32-bit indices
        return SMF_TOO_LARGE
    reader.song = song
    reader.data = data
    reader.end = data + size
    reader.limit_guessed = False
    header = unwrap(&reader, size)
    if header == NULL:
        return SMF_NOT_MIDI
    reserve_notes(song, size)
    status = read_chunks(&reader, header)
    if status == SMF_OK and song.n_controls and not sort(song.controls, song.n_controls):
        status = SMF_NO_MEMORY
    if status == SMF_OK and song.n_controls and song.n_tracks > 1 and song.format != 2:
        if not list_silences(song, &n_silences):
            status = SMF_NO_MEMORY
        elif n_silences and silences_others(&reader):
            # Rare: another pass, which knows where the tracks silence each other.
            clear(song)
            reader.end = data + size
            header = unwrap(&reader, size)
            status = read_chunks(&reader, header)
            if status == SMF_OK and not sort(song.controls, song.n_controls):
                status = SMF_NO_MEMORY
        free(song.silences)
        song.silences = NULL
    if status != SMF_OK:
        return status
    if not (end_or_drop_notes(&reader) and assign_parts(song)
            and sort(song.tempos, song.n_tempos) and sort(song.pedals, song.n_pedals)
            and sort(song.signatures, song.n_signatures) and (song.n_pedals == 0 or keep_changes(song))):
        return SMF_NO_MEMORY
    return SMF_OK


cdef Py_ssize_t programs_first(Song *song) noexcept nogil:
    """Leave of the setups the programs alone, with the program where midi.PROGRAM_DTYPE has it; return how many."""
    cdef Py_ssize_t i, n = 0
    for i in range(song.n_setups):
        if song.setups[i].kind == SETUP_PROGRAM:
            song.setups[n] = song.setups[i]
            n += 1
    return n


def parse(const uint8_t[::1] data not None):
    """Read a file's bytes into packed columns; see ``_smf.pyi``."""
    cdef Song song
    cdef Py_ssize_t size = data.shape[0], i
    cdef const uint8_t *first = &data[0] if size else NULL
    cdef int status
    cdef NoteRow *rows
    cdef bint sorted_ = True
    song_init(&song)
    song.all_controls = True
    try:
        with nogil:
            status = song_parse(&song, first, size)
        if status == SMF_NO_MEMORY:
            raise MemoryError
        notes = PyBytes_FromStringAndSize(NULL, song.n_notes * <Py_ssize_t>sizeof(NoteRow))
        rows = <NoteRow *>PyBytes_AS_STRING(notes)
        ask_large_pages(rows, <size_t>song.n_notes * sizeof(NoteRow))
        with nogil:
            sorted_ = order_notes(&song, rows)
        if not sorted_:
            raise MemoryError
        return (
            status,
            (song.format, song.ticks_per_beat, song.smpte_fps, song.smpte_ticks_per_frame),
            notes,
            PyBytes_FromStringAndSize(<char *>song.tempos, song.n_tempos * <Py_ssize_t>sizeof(Tempo)),
            PyBytes_FromStringAndSize(<char *>song.pedals, song.n_pedals * <Py_ssize_t>sizeof(Pedal)),
            PyBytes_FromStringAndSize(<char *>song.signatures, song.n_signatures * <Py_ssize_t>sizeof(Signature)),
            PyBytes_FromStringAndSize(<char *>song.controls, song.n_controls * <Py_ssize_t>sizeof(Control)),
            PyBytes_FromStringAndSize(<char *>song.setups, programs_first(&song) * <Py_ssize_t>sizeof(Setup)),
            PyBytes_FromStringAndSize(<char *>song.parts, song.n_parts * <Py_ssize_t>sizeof(Part)),
            [(song.names[i].track, song.names[i].start, song.names[i].length) for i in range(song.n_names)],
            song.n_tracks,
            [song.repairs[i] for i in range(N_REPAIRS)],
            (
                song.first_repair,
                song.first_repair_offset,
                song.first_repair_found,
                song.first_repair_expected,
            ),
        )
    finally:
        song_free(&song)
