# Notes -> frames -> packed rows, a batch of files at a time and without the GIL.
#
# Private: roll.py and build.py check, allocate and explain. Two passes over a batch. `load` reads, parses and
# quantises every member into spans (start frame, end frame, pitch), so that the exact size of the output is known
# before a row exists; `paint` then makes rows of the spans, buffer by buffer.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EFBIG, EINTR, EINVAL, ENOMEM, errno
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcpy, memmove, memset

from rollcore._smf cimport (
    ALL_SOUND_OFF, N_REPAIRS, RESET_CONTROLLERS, SMF_OK, SOSTENUTO_PEDAL, Control, Note, NoteRow, Pedal,
    SETUP_PROGRAM, Signature, Song, Tempo, song_free, song_init, song_parse,
)

cdef extern from *:
    """
    #ifdef _WIN32
    #include <io.h>
    #define O_CLOEXEC _O_NOINHERIT
    #define O_NONBLOCK _O_BINARY
    #define S_ISREG(mode) (((mode) & _S_IFMT) == _S_IFREG)
    #else
    #include <unistd.h>
    #endif
    """

cdef extern from "<fcntl.h>" nogil:
    int open(const char *path, int flags)
    int O_RDONLY
    int O_CLOEXEC
    int O_NONBLOCK

cdef extern from "<sys/stat.h>" nogil:
    cdef struct stat_t "stat":
        int st_mode
        int64_t st_size
    int fstat(int fd, stat_t *status)
    bint S_ISREG(int mode)

cdef extern from * nogil:
    Py_ssize_t read(int fd, void *buffer, size_t size)
    int close(int fd)

cdef enum:
    ROW_BYTES = 16               # one frame of one plane: 128 pitches

# What became of a member, beyond the parser's own statuses (0 to 3).
STATUS_IO = 10           # `errno` says why it could not be read
STATUS_NO_NOTES = 11
STATUS_ONLY_DRUMS = 12
STATUS_TOO_LONG = 13
STATUS_NO_BEATS = 14     # SMPTE division on the beat grid
STATUS_NO_MEMORY = 15
STATUS_BAD_NOTES = 16    # of rows that are given, not read
STATUS_BAD_TEMPOS = 17
STATUS_NOT_CHOSEN = 18   # no note but those that the selection leaves out
STATUS_FEW_NOTES = 19
STATUS_FEW_PITCHES = 20
MAX_VOICES = 16
NOTE_BYTES = sizeof(Note)
cdef enum:
    OK = 0
    IO = 10
    NO_NOTES = 11
    ONLY_DRUMS = 12
    TOO_LONG = 13
    NO_BEATS = 14
    NO_MEMORY = 15
    BAD_NOTES = 16
    BAD_TEMPOS = 17
    NOT_CHOSEN = 18
    FEW_NOTES = 19
    FEW_PITCHES = 20
    MOST_VOICES = 16
    N_LEFT_OUT = 8               # why a note is left out, see selection.py; drums are number 0
    DRUMS = 0
    DIGEST_BYTES = 16

MAX_FILE_BYTES = 64 << 20
cdef int64_t FILE_LIMIT = MAX_FILE_BYTES
# How much is read before it is parsed: enough to amortise the call, little enough to stay in the cache.
cdef Py_ssize_t READ_AHEAD = 512 << 10
cdef size_t KEPT_BYTES = 8 << 20
# A batch of dense files ends early: 256 of the largest would hold gigabytes of spans.
cdef size_t SPAN_BYTES = 32 << 20
cdef int64_t SATURATED = <int64_t> 1 << 62
cdef double EXACT = 1125899906842624.0   # 2^50, see clock_frame

cdef struct Spec:
    bint beats                   # steps per beat, or frames per second
    int64_t numerator            # of the rate
    int64_t denominator
    bint onsets
    bint drums
    bint sustain
    bint align
    int64_t max_seconds
    int64_t max_beats
    int n_voices                 # pairs of planes; 1 where all notes share them
    int64_t min_notes
    int min_pitches

cdef struct Record:              # one row of roll.RECORD_DTYPE
    int64_t size                 # bytes of the file
    int64_t notes                # notes painted
    int64_t frames
    int64_t microseconds         # musical time up to the last note-off
    int64_t left_out[N_LEFT_OUT]  # notes, by reason
    int64_t moved                # on the grid of beats, onsets that lie more than an eighth of a step beside theirs
    uint8_t digests[3 * DIGEST_BYTES]    # of the content, of the pitches and of the notes
    int32_t status
    int32_t error                # errno under STATUS_IO
    int32_t tempo                # microseconds per beat at the first note
    int32_t beats                # the time signature of its bars: beats in a bar, and the note value of a beat
    int32_t value
    int32_t upbeat               # frames before the first bar line, on the grid of beats
    int32_t shift                # ticks by which the notes were moved, on the grid of beats
    int32_t free                 # its onsets keep to no grid of sixteenths
    int32_t repairs[N_REPAIRS]
    uint8_t head[264]            # the first bytes of a file that is not MIDI, to say what it is

RECORD_BYTES = sizeof(Record)

cdef struct Span:                # a note on the grid, start <= frame < end
    int32_t start
    int32_t end
    int32_t lane                 # 128 for each voice before its own, and its pitch

# How far a batch is loaded: groups of files of LOAD_BYTES together, until there are LOAD_SPANS notes.
LOAD_BYTES = READ_AHEAD
LOAD_SPANS = (SPAN_BYTES + sizeof(Span) - 1) // sizeof(Span)

cdef struct Segment:             # constant tempo from `tick` on
    int64_t tick
    int64_t elapsed              # tick deltas times rate, summed up to `tick`
    int64_t rate

cdef struct Clock:
    # frame(tick) = floor((elapsed(tick) * numerator + bias * unit) / (unit * denominator)), in integers throughout.
    # On the grid of seconds the bias is 0; on that of beats it is half of the denominator, so that the nearest step is
    # found: both terms of the rate are doubled there, so that the half is a whole number.
    Segment *segments
    Py_ssize_t n
    Py_ssize_t capacity
    int64_t numerator
    int64_t denominator
    int64_t bias
    int64_t unit                 # elapsed units in one second (or one beat)
    int64_t multiplier           # numerator, bias and denominator times unit in lowest terms, where narrow
    int64_t offset
    int64_t divisor
    double scale                 # the multiplier
    double half                  # the offset and a half
    double inverse               # one over that divisor
    bint narrow                  # the products are small enough for doubles to be exact


cdef inline bint grow(void **array, Py_ssize_t *capacity, Py_ssize_t needed, size_t item) noexcept nogil:
    """Make room for `needed` items by doubling; false when memory is out."""
    cdef Py_ssize_t wanted = capacity[0]
    cdef void *moved
    if needed <= wanted:
        return True
    if wanted < 256:
        wanted = 256
    while wanted < needed:
        wanted *= 2
    moved = realloc(array[0], <size_t> wanted * item)
    if moved == NULL:
        return False
    array[0] = moved
    capacity[0] = wanted
    return True


cdef void slim(void **array, Py_ssize_t *capacity, size_t item) noexcept nogil:
    """Let go of an array that an unusual file has blown up."""
    if <size_t> capacity[0] * item > KEPT_BYTES:
        free(array[0])
        array[0] = NULL
        capacity[0] = 0


# ---- time ---------------------------------------------------------------------------------------------------------

cdef bint clock_add(Clock *clock, int64_t tick, int64_t rate) noexcept nogil:
    cdef Segment *last
    cdef int64_t elapsed = 0
    if clock.n:
        last = &clock.segments[clock.n - 1]
        if last.tick == tick:            # of several tempos at one tick the last one holds
            last.rate = rate
            return True
        elapsed = elapsed_from(last, tick)
    if not grow(<void **> &clock.segments, &clock.capacity, clock.n + 1, sizeof(Segment)):
        return False
    clock.segments[clock.n].tick = tick
    clock.segments[clock.n].elapsed = elapsed
    clock.segments[clock.n].rate = rate
    clock.n += 1
    return True


cdef int64_t elapsed_from(Segment *segment, int64_t tick) noexcept nogil:
    """Elapsed units at `tick`, saturating: a broken delta may stand for centuries."""
    cdef int64_t delta = tick - segment.tick
    if segment.elapsed >= SATURATED or delta > (SATURATED - segment.elapsed) // segment.rate:
        return SATURATED
    return segment.elapsed + delta * segment.rate


cdef bint clock_time(Clock *clock, Song *song, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Lay out the tempo map: the song's tempos from `first` to `last`."""
    cdef Py_ssize_t i
    clock.n = 0
    if song.ticks_per_beat == 0:         # SMPTE: ticks are fractions of a second, tempo has no say
        if song.smpte_fps == 29:
            clock.unit = <int64_t> 30000 * song.smpte_ticks_per_frame
            return clock_add(clock, 0, 1001)
        clock.unit = <int64_t> song.smpte_fps * song.smpte_ticks_per_frame
        return clock_add(clock, 0, 1)
    clock.unit = <int64_t> song.ticks_per_beat * 1000000
    if not clock_add(clock, 0, 500000):
        return False
    for i in range(first, last):
        if not clock_add(clock, song.tempos[i].tick, song.tempos[i].microseconds_per_beat):
            return False
    return True


cdef void clock_rate(Clock *clock, const Spec *spec, int64_t elapsed_end) noexcept nogil:
    cdef int64_t rest, common = spec.numerator
    cdef int64_t doubled = 2 if spec.beats else 1
    clock.numerator = spec.numerator * doubled
    clock.denominator = spec.denominator * doubled
    clock.bias = spec.denominator if spec.beats else 0
    clock.narrow = <double> clock.unit * <double> clock.denominator < 4e18
    if clock.narrow:
        clock.divisor = rest = clock.unit * spec.denominator
        while rest:
            common, rest = rest, common % rest
        clock.offset = clock.divisor // common if spec.beats else 0
        clock.multiplier = clock.numerator // common
        clock.divisor = clock.divisor // common * doubled
        clock.scale = <double> clock.multiplier
        clock.half = <double> clock.offset + 0.5
        clock.inverse = 1.0 / <double> clock.divisor
        clock.narrow = (<double> elapsed_end * <double> clock.multiplier + <double> clock.offset < EXACT
                        and clock.divisor < EXACT)


cdef struct Stretch:             # a segment with its end, as one note after the other uses it
    int64_t tick
    int64_t next_tick
    int64_t elapsed
    int64_t rate


cdef void seek(Clock *clock, Stretch *stretch, int64_t tick) noexcept nogil:
    """Move to the segment that holds `tick`."""
    cdef Py_ssize_t low = 0, high = clock.n, middle
    while high - low > 1:
        middle = (low + high) // 2
        if clock.segments[middle].tick <= tick:
            low = middle
        else:
            high = middle
    stretch.tick = clock.segments[low].tick
    stretch.next_tick = clock.segments[high].tick if high < clock.n else SATURATED
    stretch.elapsed = clock.segments[low].elapsed
    stretch.rate = clock.segments[low].rate


cdef inline int64_t clock_frame(const Clock *clock, int64_t elapsed) noexcept nogil:
    if clock.narrow:
        # For whole x, (x + 1/2) / d is at least 1 / 2d away from any whole number. Two roundings move it by less than
        # x / d / 2^52, which is a quarter of 1 / d while x < 2^50: so the floor is that of x / d, without a division.
        return <int64_t> ((<double> elapsed * clock.scale + clock.half) * clock.inverse)
    # floor(((q*u + r) * n + b*u) / (u * d)) in steps that cannot overflow, by floor(floor(x) / d) = floor(x / d).
    return (
        elapsed // clock.unit * clock.numerator + elapsed % clock.unit * clock.numerator // clock.unit + clock.bias
    ) // clock.denominator


cdef inline bint off_grid(const Clock *clock, int64_t elapsed, int64_t step) noexcept nogil:
    """Whether an onset lies more than an eighth of a step beside its step, on the grid of beats."""
    cdef int64_t rest, whole
    if clock.narrow:
        whole = clock.divisor
        rest = elapsed * clock.multiplier - step * whole
        return <uint64_t> (8 * rest + whole) > <uint64_t> (2 * whole)    # both sides in one comparison
    else:
        # As above, modulo a step: unit and rate are small enough on this grid, a tick is not.
        whole = clock.unit * clock.denominator
        rest = (elapsed // clock.unit % clock.denominator * clock.numerator % clock.denominator * clock.unit
                + elapsed % clock.unit * clock.numerator) % whole
        if 2 * rest > whole:
            rest -= whole
    return 8 * rest > whole or 8 * rest < -whole


# ---- tracks (format 2) --------------------------------------------------------------------------------------------

cdef bint group_by_track(char *rows, Py_ssize_t n, size_t item, Py_ssize_t track_at) noexcept nogil:
    """Order rows by their track, a uint16 at `track_at`, and keep the order within a track: a counting sort."""
    cdef Py_ssize_t *places = <Py_ssize_t *> calloc(0x10001, sizeof(Py_ssize_t))
    cdef char *grouped = <char *> malloc(n * item + 1)
    cdef bint ok = places != NULL and grouped != NULL
    cdef Py_ssize_t i
    cdef uint16_t track
    if ok and n:
        for i in range(n):
            memcpy(&track, rows + i * item + track_at, sizeof(track))
            places[track + 1] += 1
        for i in range(0x10000):
            places[i + 1] += places[i]
        for i in range(n):
            memcpy(&track, rows + i * item + track_at, sizeof(track))
            memcpy(grouped + places[track] * item, rows + i * item, item)
            places[track] += 1
        memcpy(rows, grouped, n * item)
    free(places)
    free(grouped)
    return ok


cdef bint group_events(Song *song) noexcept nogil:
    """Group tempos, pedals and controllers by track, as the notes are; false when memory is out."""
    cdef Tempo *tempos = song.tempos
    cdef Pedal *pedals = song.pedals
    cdef Control *controls = song.controls
    if song.n_tempos and not group_by_track(
            <char *> tempos, song.n_tempos, sizeof(Tempo), <char *> &tempos.track - <char *> tempos):
        return False
    if song.n_pedals and not group_by_track(
            <char *> pedals, song.n_pedals, sizeof(Pedal), <char *> &pedals.track - <char *> pedals):
        return False
    return song.n_controls == 0 or group_by_track(
        <char *> controls, song.n_controls, sizeof(Control), <char *> &controls.track - <char *> controls)


# ---- sustain ------------------------------------------------------------------------------------------------------

cdef struct Key:                 # a note's place in the order (channel, pitch, onset)
    int64_t onset_tick
    int32_t note
    int32_t lane                 # channel * 128 + pitch


cdef int key_order(const void *a, const void *b) noexcept nogil:
    cdef const Key *x = <const Key *> a
    cdef const Key *y = <const Key *> b
    if x.lane != y.lane:
        return -1 if x.lane < y.lane else 1
    if x.onset_tick != y.onset_tick:
        return -1 if x.onset_tick < y.onset_tick else 1
    return -1 if x.note < y.note else (1 if x.note > y.note else 0)


cdef struct Lane:                # a pedal's changes of state on one channel
    int64_t tick
    int64_t until                # when it next comes up
    bint down


cdef void find_ups(Lane *lane, Py_ssize_t n, int64_t until) noexcept nogil:
    """Note when a pedal next comes up; one that never does holds to `until`."""
    cdef Py_ssize_t i
    for i in range(n - 1, -1, -1):
        if not lane[i].down:
            until = lane[i].tick
        lane[i].until = until


cdef const Lane *held_at(const Lane *lane, Py_ssize_t n, int64_t tick) noexcept nogil:
    """The change, at or before a tick, by which a pedal is down then; NULL where it is up."""
    cdef Py_ssize_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) // 2
        if lane[middle].tick <= tick:
            low = middle + 1
        else:
            high = middle
    return &lane[low - 1] if low and lane[low - 1].down else NULL


cdef struct Holds:               # what holds and silences the notes of a channel
    Lane *sustain
    Lane *sostenuto
    int64_t *stops               # ticks of CC 120
    Py_ssize_t n_sustain
    Py_ssize_t n_sostenuto
    Py_ssize_t n_stops


cdef void find_holds(Holds *holds, const Pedal *pedals, Py_ssize_t n_pedals, const Control *controls,
                     Py_ssize_t n_controls, int channel, int64_t last_tick) noexcept nogil:
    """List what a channel's pedals do; one that never comes up holds to the last note-off that is kept."""
    cdef Py_ssize_t i
    cdef bint down, held = False
    holds.n_sustain = holds.n_sostenuto = holds.n_stops = 0
    for i in range(n_pedals):
        if pedals[i].channel == channel:
            holds.sustain[holds.n_sustain].tick = pedals[i].tick
            holds.sustain[holds.n_sustain].down = pedals[i].down
            holds.n_sustain += 1
    for i in range(n_controls):
        if controls[i].channel != channel:
            continue
        if controls[i].number == ALL_SOUND_OFF:
            holds.stops[holds.n_stops] = controls[i].tick
            holds.n_stops += 1
        elif controls[i].number == SOSTENUTO_PEDAL or controls[i].number == RESET_CONTROLLERS:
            down = controls[i].number == SOSTENUTO_PEDAL and controls[i].value >= 64
            if down != held:
                holds.sostenuto[holds.n_sostenuto].tick = controls[i].tick
                holds.sostenuto[holds.n_sostenuto].down = down
                holds.n_sostenuto += 1
                held = down
    find_ups(holds.sustain, holds.n_sustain, last_tick)
    find_ups(holds.sostenuto, holds.n_sostenuto, last_tick)


cdef int64_t held_until(const Holds *holds, const Note *note) noexcept nogil:
    """Until when the pedals hold a note, its note-off at least.

    The sostenuto pedal holds the notes that were struck before it went down and whose key was still down then.
    """
    cdef const Lane *pedal = held_at(holds.sustain, holds.n_sustain, note.offset_tick)
    cdef const Lane *sostenuto = held_at(holds.sostenuto, holds.n_sostenuto, note.offset_tick)
    cdef int64_t until = pedal.until if pedal != NULL else note.offset_tick
    cdef Py_ssize_t low = 0, high = holds.n_stops, middle
    if sostenuto != NULL and note.onset_tick < sostenuto.tick < note.offset_tick and sostenuto.until > until:
        until = sostenuto.until
        pedal = held_at(holds.sustain, holds.n_sustain, until)
        if pedal != NULL:
            until = pedal.until
    while low < high:
        middle = (low + high) // 2
        if holds.stops[middle] < note.offset_tick or holds.stops[middle] == note.onset_tick:
            low = middle + 1
        else:
            high = middle
    if low < holds.n_stops and holds.stops[low] < until:
        until = holds.stops[low]
    return max(until, note.offset_tick)


cdef void hold_notes(Note *notes, Py_ssize_t n, const Pedal *pedals, Py_ssize_t n_pedals, const Control *controls,
                     Py_ssize_t n_controls, bint drums, Key *keys, Holds *holds, int64_t *release) noexcept nogil:
    """Move note-offs under a pedal to its release, or to the next onset of that pitch if that comes first."""
    cdef Py_ssize_t i, k, low, high
    cdef int64_t last_tick = 0, until
    cdef Note *note
    cdef int previous = -1
    for i in range(n):
        note = &notes[i]
        keys[i].onset_tick = note.onset_tick
        keys[i].note = <int32_t> i
        keys[i].lane = <int32_t> note.channel * 128 + note.pitch
        if note.offset_tick > last_tick and (drums or not note.drums):
            last_tick = note.offset_tick
    qsort(keys, n, sizeof(Key), key_order)
    for i in range(n):
        note = &notes[keys[i].note]
        if note.channel != previous:
            previous = note.channel
            find_holds(holds, pedals, n_pedals, controls, n_controls, previous, last_tick)
        until = held_until(holds, note)
        release[i] = note.offset_tick
        if until == note.offset_tick:
            continue
        # The next onset of the pitch that is neither within the note nor struck together with it.
        low = i + 1
        high = n
        while low < high:
            k = (low + high) // 2
            if keys[k].lane == keys[i].lane and (
                keys[k].onset_tick < note.offset_tick or keys[k].onset_tick == note.onset_tick
            ):
                low = k + 1
            else:
                high = k
        if low < n and keys[low].lane == keys[i].lane and keys[low].onset_tick < until:
            until = keys[low].onset_tick
        if until > release[i]:
            release[i] = until
    for i in range(n):
        notes[keys[i].note].offset_tick = release[i]


cdef bint sustain(Song *song, bint drums) noexcept nogil:
    """Apply the pedals to every note-off of the song, in format 2 those of its track; false when memory is out."""
    cdef Py_ssize_t first = 0, last, first_pedal = 0, last_pedal = song.n_pedals
    cdef Py_ssize_t first_control = 0, last_control = song.n_controls
    cdef int track
    cdef Holds holds
    cdef Key *keys = <Key *> malloc(song.n_notes * sizeof(Key) + 1)
    cdef int64_t *release = <int64_t *> malloc(song.n_notes * sizeof(int64_t) + 1)
    cdef bint ok
    holds.sustain = <Lane *> malloc(song.n_pedals * sizeof(Lane) + 1)
    holds.sostenuto = <Lane *> malloc(song.n_controls * sizeof(Lane) + 1)
    holds.stops = <int64_t *> malloc(song.n_controls * sizeof(int64_t) + 1)
    ok = (keys != NULL and release != NULL and holds.sustain != NULL and holds.sostenuto != NULL
          and holds.stops != NULL)
    while ok and first < song.n_notes:
        track = song.notes[first].track if song.format == 2 else -1
        last = first
        while last < song.n_notes and (track < 0 or song.notes[last].track == track):
            last += 1
        if track >= 0:
            last_pedal = first_pedal
            while last_pedal < song.n_pedals and song.pedals[last_pedal].track <= track:
                first_pedal += song.pedals[last_pedal].track < track
                last_pedal += 1
            last_control = first_control
            while last_control < song.n_controls and song.controls[last_control].track <= track:
                first_control += song.controls[last_control].track < track
                last_control += 1
        # Without pedals or controllers there is no array to count from.
        hold_notes(song.notes + first, last - first, song.pedals + first_pedal if song.n_pedals else NULL,
                   last_pedal - first_pedal, song.controls + first_control if song.n_controls else NULL,
                   last_control - first_control, drums, keys, &holds, release)
        first = last
    free(keys)
    free(release)
    free(holds.sustain)
    free(holds.sostenuto)
    free(holds.stops)
    return ok


# ---- bars ---------------------------------------------------------------------------------------------------------

cdef int64_t find_bars(const Song *song, int track, int64_t first_tick, Record *record) noexcept nogil:
    """Note the time signature of the first note and return where it begins, by the rule of Midi.opening."""
    cdef const Signature *change
    cdef const Signature *following = NULL
    cdef int64_t start = 0
    cdef Py_ssize_t i
    for i in range(song.n_signatures):
        change = &song.signatures[i]
        if track >= 0 and change.track != track:
            continue
        if change.tick <= first_tick:
            record.beats = change.beats
            record.value = change.value
            start = change.tick
        elif following == NULL or change.tick == following.tick:
            following = change
        else:
            break
    # A first bar that is shorter than those that follow it is a pick-up, whatever time signature it was given.
    if following != NULL and following.beats > 1 and (
            following.tick - start <= (<int64_t> 4 * song.ticks_per_beat * following.beats - 1) // following.value):
        record.beats = following.beats
        record.value = following.value
        start = following.tick
    return start


cdef int32_t upbeat_frames(const Song *song, const Spec *spec, const Record *record, int64_t start) noexcept nogil:
    """Frames before the first bar line, where bars are counted from tick `start`, backwards too."""
    cdef int64_t beats = record.beats if record.beats > 1 else 4     # a bar of one beat is none: 4/4
    cdef int64_t value = record.value if record.beats > 1 else 4
    cdef int64_t bar = 4 * song.ticks_per_beat * beats               # in ticks times value, which are whole numbers
    cdef int64_t place = start % bar * value % bar
    cdef int64_t whole = song.ticks_per_beat * value * spec.denominator
    return <int32_t> ((2 * place * spec.numerator + whole) // (2 * whole))


# ---- the phase of the beats ---------------------------------------------------------------------------------------

# A file whose onsets all lie beside the sixteenths by one and the same offset is shifted by it (docs/format.md). "At" a
# sixteenth means within 1/48 beat of it. The shares below lie between what was seen of 909 pop songs (0.01 as they are, 0.94 at the
# best phase, in the median), of folk tunes (0.97 as they are), of 200 recordings of pianists (0.25 at best) and of
# scores with triplets (0.45 at best).
cdef enum:
    FEWEST_ONSETS = 64           # at different ticks; fewer are no evidence
    SEEN_SLOTS = 256
    MOST_AS_IT_IS = 30           # in a hundred
    LEAST_AT_BEST = 70
    FREE_AT_BEST = 35            # fewer at any phase: played without a beat
    CLEAR_MARGIN = 125           # onsets on the strongest sixteenth for a hundred on the next
cdef int64_t FARTHEST_PHASE = <int64_t> 1 << 46


cdef bint enough_onsets(const Song *song) noexcept nogil:
    """Whether the notes begin at `FEWEST_ONSETS` different ticks or more."""
    cdef int64_t seen[SEEN_SLOTS]
    cdef int64_t tick, previous = -1
    cdef int n_seen = 0, slot
    cdef Py_ssize_t i
    # Most files say so at once: the onsets of their first track, in their order.
    for i in range(song.n_notes):
        tick = song.notes[i].onset_tick
        if tick < previous:
            break
        n_seen += tick > previous
        previous = tick
        if n_seen == FEWEST_ONSETS:
            return True
    n_seen = 0
    previous = -1
    memset(seen, 0xFF, sizeof(seen))
    for i in range(song.n_notes):
        tick = song.notes[i].onset_tick
        if tick == previous:
            continue
        previous = tick
        slot = <int> (<uint64_t> tick * <uint64_t> 0x9E3779B97F4A7C15 >> 56)
        while seen[slot] >= 0 and seen[slot] != tick:
            slot = (slot + 1) % SEEN_SLOTS
        if seen[slot] < 0:
            seen[slot] = tick
            n_seen += 1
            if n_seen == FEWEST_ONSETS:
                return True
    return False


cdef bint find_phase(const Song *song, bint align, Record *record) noexcept nogil:
    """Set the shift of a piece on the grid of beats, and whether it keeps to no grid; false when memory is out.

    All notes count, drums too, whatever is kept of them: a file has one phase. Everything but the first onset follows
    from how many onsets lie at each tick of a beat.
    """
    cdef int64_t beat = song.ticks_per_beat, reach = beat // 12
    cdef int64_t tick, place, n_at = 0, shift, first = SATURATED
    cdef double inverse = 1.0 / <double> beat
    cdef Py_ssize_t i
    cdef int32_t *struck
    record.shift = 0
    record.free = False
    if song.format == 2 or song.n_notes < FEWEST_ONSETS:
        return True
    # A file that keeps to the grid has said so before half of its onsets are looked at; one that does not, mostly at once.
    for i in range(song.n_notes * 2 // 5):
        tick = song.notes[i].onset_tick
        if tick >= FARTHEST_PHASE:
            return True
        if i == FEWEST_ONSETS and 100 * n_at <= MOST_AS_IT_IS * i:
            break
        # As in clock_frame, the quotient needs no division. Within a sixteenth, in quarters of a tick.
        place = 4 * tick - <int64_t> ((<double> (4 * tick) + 0.5) * inverse) * beat
        n_at += place <= reach or place >= beat - reach
    if 100 * n_at > MOST_AS_IT_IS * song.n_notes:
        return True
    struck = <int32_t *> calloc(beat, sizeof(int32_t))
    if struck == NULL:
        return False
    for i in range(song.n_notes):
        tick = song.notes[i].onset_tick
        if tick >= FARTHEST_PHASE:
            free(struck)
            return True
        struck[tick - <int64_t> ((<double> tick + 0.5) * inverse) * beat] += 1
    if 100 * at_sixteenths(struck, beat) > MOST_AS_IT_IS * song.n_notes:
        free(struck)
        return True
    if not enough_onsets(song):
        free(struck)
        return True
    if not best_phase(struck, beat, &shift, &n_at):
        free(struck)
        return False
    record.free = 100 * n_at < FREE_AT_BEST * song.n_notes
    if align and 100 * n_at >= LEAST_AT_BEST * song.n_notes:
        shift = strongest_beat(struck, beat, shift)
        if shift < 0:
            for i in range(song.n_notes):
                first = min(first, song.notes[i].onset_tick)
            if 48 * (first + shift) < -beat:
                shift += beat            # nothing may fall before the piece begins
        record.shift = <int32_t> shift
    free(struck)
    return True


cdef int64_t at_sixteenths(const int32_t *struck, int64_t beat) noexcept nogil:
    """Return how many onsets lie at a sixteenth, of those at each tick of a beat."""
    cdef int64_t reach = beat // 12, sixteenth, tick, n_at = 0
    for sixteenth in range(5):           # the last one is the next beat
        for tick in range(max(0, (sixteenth * beat - reach + 3) // 4), min(beat, (sixteenth * beat + reach) // 4 + 1)):
            n_at += struck[tick]
    return n_at


cdef bint best_phase(const int32_t *struck, int64_t beat, int64_t *best, int64_t *n_best) noexcept nogil:
    """Find the shift in ticks, half a sixteenth at most, that brings the most onsets to a sixteenth, and how many.

    Of several such shifts it is the one that brings them nearest, then the smallest, then the later. Places within a
    sixteenth are in quarters of a tick, of which it has as many as a beat has ticks. False when memory is out.
    """
    cdef int64_t reach = beat // 12, width = beat + 2 * reach + 1, place = 0, tick
    cdef int64_t farthest = beat // 8, shift, size, center, low, middle, high, n_at, distance, best_distance = 0
    cdef int64_t total = 0, weighted = 0
    cdef int sign
    # How many onsets lie below each place, and the sum of their places. Entry 1 + place + reach, for places from
    # -reach to beat + reach: the sixteenth goes round.
    cdef int64_t *counts = <int64_t *> calloc(2 * (width + 1), sizeof(int64_t))
    cdef int64_t *sums = counts + width + 1
    if counts == NULL:
        return False
    for tick in range(beat):
        counts[1 + place + reach] += struck[tick]
        place += 4
        while place >= beat:
            place -= beat
    for place in range(reach):
        counts[1 + place] = counts[1 + place + beat]
    for place in range(beat, beat + reach + 1):
        counts[1 + place + reach] = counts[1 + place + reach - beat]
    for place in range(width):           # the totals are in registers: each step would wait for the store before it
        weighted += counts[place + 1] * (place - reach)
        total += counts[place + 1]
        counts[place + 1] = total
        sums[place + 1] = weighted
    n_best[0] = -1
    for size in range(farthest + 1):
        for sign in range(1, -2, -2):
            shift = sign * size
            center = -4 * shift if shift <= 0 else beat - 4 * shift
            # The places center - reach to center + reach; entry 1 + center + reach is the middle one.
            low, middle, high = center, center + reach, center + 2 * reach + 1
            n_at = counts[high] - counts[low]
            distance = (sums[high] - sums[middle] - center * (counts[high] - counts[middle])
                        + center * (counts[middle] - counts[low]) - (sums[middle] - sums[low]))
            if n_at > n_best[0] or (n_at == n_best[0] and distance < best_distance):
                n_best[0] = n_at
                best[0] = shift
                best_distance = distance
    free(counts)
    return True


cdef int64_t strongest_beat(const int32_t *struck, int64_t beat, int64_t shift) noexcept nogil:
    """Return the shift that makes the sixteenth with the most onsets the beat, if it is so by a clear margin."""
    cdef int64_t on[4]
    cdef int64_t chosen, candidate, tick, rest
    cdef int strongest = 0, following, k
    memset(on, 0, sizeof(on))
    # The nearest sixteenth of a tick is floor((8 tick + beat) / (2 beat)); two beats up, so that no tick is below 0.
    rest = 8 * (shift + 2 * beat) + beat
    k = <int> (rest // (2 * beat) % 4)
    rest %= 2 * beat
    for tick in range(beat):
        on[k] += struck[tick]
        rest += 8
        while rest >= 2 * beat:
            rest -= 2 * beat
            k = (k + 1) % 4
    for k in range(1, 4):
        if on[k] > on[strongest]:
            strongest = k
    following = 1 if strongest == 0 else 0
    for k in range(4):
        if k != strongest and on[k] > on[following]:
            following = k
    if 100 * on[strongest] < CLEAR_MARGIN * on[following]:
        return shift
    # The smallest shift that brings it there, the later of two: 4 * strongest sixteenths back or on.
    chosen = shift + ((8 - strongest) * beat + 2) // 4 - 2 * beat
    candidate = shift + ((12 - strongest) * beat + 2) // 4 - 2 * beat
    return candidate if -chosen >= candidate else chosen


# ---- which notes --------------------------------------------------------------------------------------------------

cdef void keep_chosen(Song *song, int8_t *voices, Record *record) noexcept nogil:
    """Keep the notes that have a voice, and count the others by the reason that stands in its place, below 0."""
    cdef Py_ssize_t i, n = 0
    for i in range(song.n_notes):
        if voices[i] >= 0:
            song.notes[n] = song.notes[i]
            voices[n] = voices[i]
            n += 1
        else:
            record.left_out[-1 - voices[i]] += 1
    song.n_notes = n


cdef int64_t left_out(const Record *record) noexcept nogil:
    cdef int64_t total = 0
    cdef int i
    for i in range(N_LEFT_OUT):
        total += record.left_out[i]
    return total


cdef bint few_pitches(const Span *spans, Py_ssize_t n, int least) noexcept nogil:
    """Whether the spans have fewer pitches than `least`."""
    cdef bint struck[128]
    cdef Py_ssize_t i
    cdef int found = 0
    memset(struck, 0, sizeof(struck))
    for i in range(n):
        if not struck[spans[i].lane & 127]:
            struck[spans[i].lane & 127] = True
            found += 1
    return found < least


# ---- notes to spans -----------------------------------------------------------------------------------------------

cdef inline Span *cut_notes(
    const Song *song, Py_ssize_t first, Py_ssize_t last, Clock *clock, Record *record, const int8_t *voices, bint drums,
    bint on_beats, Span *span, int64_t *frames,
) noexcept nogil:
    """Write the spans of notes `first` to `last`, and return where the next one goes."""
    cdef Clock fixed = clock[0]  # a copy that no store can change: its fields stay in registers
    cdef Stretch on, off
    cdef int64_t start, end, elapsed, shift = record.shift, most = frames[0], moved = 0, left_out = 0
    cdef const Note *note = song.notes + first
    cdef const Note *end_note = song.notes + last
    seek(clock, &on, 0)
    off = on
    while note < end_note:
        if note.drums and not drums:
            left_out += 1
            note += 1
            continue
        if on_beats:                     # one segment, of rate 1
            elapsed = max(0, note.onset_tick + shift)
            start = clock_frame(&fixed, elapsed)
            moved += off_grid(&fixed, elapsed, start)
            end = clock_frame(&fixed, max(0, note.offset_tick + shift))
        else:
            if note.onset_tick < on.tick or note.onset_tick >= on.next_tick:
                seek(clock, &on, note.onset_tick)
            if note.offset_tick < off.tick or note.offset_tick >= off.next_tick:
                seek(clock, &off, note.offset_tick)
            start = clock_frame(&fixed, on.elapsed + (note.onset_tick - on.tick) * on.rate)
            end = clock_frame(&fixed, off.elapsed + (note.offset_tick - off.tick) * off.rate)
        end = max(end, start + 1)
        most = max(most, end)
        span.start = <int32_t> start
        span.end = <int32_t> end
        span.lane = note.pitch
        if voices != NULL:
            span.lane += 128 * voices[note - song.notes]
        span += 1
        note += 1
    frames[0] = most
    record.moved += moved
    record.left_out[DRUMS] += left_out
    return span


cdef int quantise(
    Song *song, Spec *spec, Clock *time, Clock *beats, Span **spans, Py_ssize_t *n_spans, Py_ssize_t *capacity,
    int8_t *voices, Record *record,
) noexcept nogil:
    """Append the song's notes as spans; the status says why there are none.

    `voices` has for each note its voice or, below 0, why it is left out; NULL where there is no selection.
    """
    cdef Py_ssize_t i, first = 0, last, n = n_spans[0], n_start = n_spans[0]
    cdef Py_ssize_t first_tempo = 0, last_tempo = song.n_tempos
    cdef int64_t end_tick, first_tick, elapsed, start, frames = 0, microseconds
    cdef bint any_note = song.n_notes > 0
    cdef Note *note
    cdef Clock *clock = time
    cdef Span *span
    cdef int track
    cdef bint drums = spec.drums
    if spec.beats and song.ticks_per_beat == 0:
        return NO_BEATS
    record.shift = 0
    if spec.beats and not find_phase(song, spec.align, record):
        return NO_MEMORY
    if voices != NULL:
        keep_chosen(song, voices, record)
    if song.format == 2 and not group_events(song):
        return NO_MEMORY
    if spec.sustain and (song.n_pedals or song.n_controls) and not sustain(song, spec.drums):
        return NO_MEMORY
    if not grow(<void **> spans, capacity, n + song.n_notes, sizeof(Span)):
        return NO_MEMORY
    record.tempo = 500000
    record.beats = record.value = 4
    record.upbeat = 0
    record.microseconds = 0
    record.moved = 0
    while first < song.n_notes:
        # Format 2: every track is a piece of its own with its own tempo map; they are laid over each other.
        track = song.notes[first].track if song.format == 2 else -1
        last = first if track >= 0 else song.n_notes
        while last < song.n_notes and song.notes[last].track == track:
            last += 1
        end_tick = -1
        first_tick = SATURATED
        for i in range(first, last):
            note = &song.notes[i]
            if drums or not note.drums:
                end_tick = max(end_tick, note.offset_tick)
                first_tick = min(first_tick, note.onset_tick)
        if end_tick < 0:
            record.left_out[DRUMS] += last - first
            first = last
            continue
        if track >= 0:
            last_tempo = first_tempo
            while last_tempo < song.n_tempos and song.tempos[last_tempo].track <= track:
                first_tempo += song.tempos[last_tempo].track < track
                last_tempo += 1
        if not clock_time(time, song, first_tempo, last_tempo):
            return NO_MEMORY
        # Nothing is allocated for frames yet: a piece that is too long ends here. One saturated look at the end
        # also makes every earlier tick safe from overflow.
        i = time.n - 1
        while time.segments[i].tick > end_tick:
            i -= 1
        elapsed = elapsed_from(&time.segments[i], end_tick)
        microseconds = <int64_t> (<double> elapsed / <double> time.unit * 1e6)
        if microseconds > record.microseconds:
            record.microseconds = microseconds
        if elapsed > spec.max_seconds * time.unit:
            n_spans[0] = n_start
            return TOO_LONG
        if frames == 0:
            if song.ticks_per_beat:
                i = time.n - 1
                while time.segments[i].tick > first_tick:
                    i -= 1
                record.tempo = <int32_t> time.segments[i].rate
            start = find_bars(song, track, first_tick, record)
            if spec.beats:
                record.upbeat = upbeat_frames(song, spec, record, start)
        if spec.beats:
            if end_tick // song.ticks_per_beat > spec.max_beats:
                n_spans[0] = n_start
                return TOO_LONG
            beats.n = 0
            beats.unit = song.ticks_per_beat
            if not clock_add(beats, 0, 1):
                return NO_MEMORY
            clock = beats
            elapsed = end_tick + <int64_t> 2 * song.ticks_per_beat       # no shift is larger
        clock_rate(clock, spec, elapsed)
        span = spans[0] + n
        # Compiled for each of the grids.
        if spec.beats:
            span = cut_notes(song, first, last, clock, record, voices, drums, True, span, &frames)
        else:
            span = cut_notes(song, first, last, clock, record, voices, drums, False, span, &frames)
        n = span - spans[0]
        first = last
    record.notes = n - n_start
    record.frames = frames
    n_spans[0] = n
    if n == n_start:
        if not any_note:
            return NO_NOTES
        return ONLY_DRUMS if left_out(record) == record.left_out[DRUMS] else NOT_CHOSEN
    if n - n_start < spec.min_notes or (
            spec.min_pitches > 1 and few_pitches(spans[0] + n_start, n - n_start, spec.min_pitches)):
        n_spans[0] = n_start
        return FEW_NOTES if n - n_start < spec.min_notes else FEW_PITCHES
    return OK


# ---- order --------------------------------------------------------------------------------------------------------

ctypedef fused Sorted:
    int64_t
    Span


cdef inline int64_t sorted_by(const Sorted *item) noexcept nogil:
    if Sorted is Span:
        return item.start
    else:
        return item[0]


cdef void radix_sort(Sorted *items, Sorted *scratch, Py_ssize_t n, int64_t most) noexcept nogil:
    """Sort numbers, or spans by start, whose bits are all among those of `most`: equals keep their order.

    In equal digits of 11 bits at most.
    """
    cdef Py_ssize_t i
    cdef int bits = 1, width, shift = 0
    cdef int32_t at, count, digit, mask
    cdef int32_t places[2048]
    cdef Sorted *source = items
    cdef Sorted *target = scratch
    cdef Sorted *swapped
    while most >> bits:
        bits += 1
    width = (bits + (bits + 10) // 11 - 1) // ((bits + 10) // 11)
    mask = (1 << width) - 1
    while shift < bits:
        memset(places, 0, (mask + 1) * sizeof(int32_t))
        for i in range(n):
            places[sorted_by(&source[i]) >> shift & mask] += 1
        at = 0
        for digit in range(mask + 1):
            count = places[digit]
            places[digit] = at
            at += count
        for i in range(n):
            digit = <int32_t> (sorted_by(&source[i]) >> shift & mask)
            target[places[digit]] = source[i]
            places[digit] += 1
        swapped = source
        source = target
        target = swapped
        shift += width
    if source != items:
        memcpy(items, source, n * sizeof(Sorted))


# ---- what the music is --------------------------------------------------------------------------------------------

# A piece is known by its notes but the drums, before any selection: by how often each pitch is struck, and by pitches and
# onsets. Its keys are 128 counts, 32 bits each, and onset * 128 + pitch of every note, sorted, each once; an onset is
# counted from the first one, in 24ths of a beat or, with SMPTE time, in 24 ms, to the nearest.
cdef enum:
    COUNT_KEYS = 64              # 128 counts in places of 64 bits
    ONSETS_PER_BEAT = 24
    MS_PER_ONSET = 24
    MOST_RUNS = 8                # more of them are not merged but sorted
# Farther onsets are taken for this one: so far no product overflows, and no piece that is kept has notes there.
cdef int64_t FARTHEST_KEY = <int64_t> 1 << 46


cdef bint music_keys(const Song *song, int64_t **keys, Py_ssize_t *n_keys, Py_ssize_t *capacity) noexcept nogil:
    """Append the keys of a piece, nothing where it has drums alone; false when memory is out."""
    cdef Py_ssize_t i, n = 0, n_unique = 0, run = 0
    cdef Py_ssize_t runs[MOST_RUNS + 1]      # where each begins; a track's keys are in order but for those of a chord
    cdef int n_runs = 1
    cdef int64_t first, numerator, divisor, ticks, exact, place, key, previous = -1, most = 0
    cdef int64_t *found
    cdef uint32_t *counts
    cdef double half, twice, inverse
    cdef const Note *note
    if not grow(<void **> keys, capacity, n_keys[0] + COUNT_KEYS + 2 * song.n_notes, sizeof(int64_t)):
        return False
    counts = <uint32_t *> (keys[0] + n_keys[0])
    found = keys[0] + n_keys[0] + COUNT_KEYS
    memset(counts, 0, COUNT_KEYS * sizeof(int64_t))
    if song.ticks_per_beat:
        numerator, divisor = ONSETS_PER_BEAT, song.ticks_per_beat
    else:
        numerator, divisor = 1000, <int64_t> MS_PER_ONSET * song.smpte_fps * song.smpte_ticks_per_frame
        if song.smpte_fps == 29:
            numerator, divisor = 1001, <int64_t> MS_PER_ONSET * 30 * song.smpte_ticks_per_frame
    # An onset is floor((2 ticks numerator + divisor) / (2 divisor)). As in clock_frame, below 2^50 it needs no division.
    twice = <double> (2 * numerator)
    half = <double> divisor + 0.5
    inverse = 1.0 / <double> (2 * divisor)
    exact = ((<int64_t> 1 << 50) - divisor) // (2 * numerator)
    first = first_onset(song)
    for i in range(song.n_notes):
        note = &song.notes[i]
        if note.drums:
            continue
        counts[note.pitch] += 1
        ticks = note.onset_tick - first
        if ticks < exact:
            place = <int64_t> ((<double> ticks * twice + half) * inverse)
        else:
            place = (2 * min(ticks, FARTHEST_KEY) * numerator + divisor) // (2 * divisor)
        key = place << 7 | note.pitch
        if key <= previous:
            if key >> 7 == previous >> 7:
                n += insert_key(found + run, n - run, key)
                continue
            if n_runs < MOST_RUNS:
                runs[n_runs] = n
            n_runs += 1
            run = n
        found[n] = previous = key
        most |= key
        n += 1
    if n:
        if n_runs > MOST_RUNS:
            radix_sort(found, found + n, n, most)
            previous = -1
            for i in range(n):
                key = found[i]
                found[n_unique] = key        # overwritten by the next one where it is there already
                n_unique += key != previous
                previous = key
        else:
            runs[0] = 0
            runs[n_runs] = n
            n_unique = unite_runs(found, found + n, runs, n_runs)
        n_keys[0] += COUNT_KEYS + n_unique
    return True


cdef int64_t first_onset(const Song *song) noexcept nogil:
    """Return the tick of the first note but drums: in each track that is its first one."""
    cdef Py_ssize_t i = 0, low, high, middle
    cdef int64_t first = SATURATED
    while i < song.n_notes:
        if song.notes[i].drums:
            i += 1
            continue
        first = min(first, song.notes[i].onset_tick)
        low = i                          # of this track; `high` is not
        high = song.n_notes
        if song.notes[i].track == 0xFFFF:        # which all tracks have that come after so many
            high = i + 1
        while high - low > 1:
            middle = (low + high) // 2
            if song.notes[middle].track == song.notes[i].track:
                low = middle
            else:
                high = middle
        i = high
    return first


cdef bint insert_key(int64_t *keys, Py_ssize_t n, int64_t key) noexcept nogil:
    """Put a key in its place among ascending ones, where there is room for it, unless it is there already.

    It is that of a note struck together with the last one, so that it has a place among the last 128.
    """
    cdef Py_ssize_t at = n, i
    while at and keys[at - 1] > key:
        at -= 1
    if at and keys[at - 1] == key:
        return False
    for i in range(n, at, -1):
        keys[i] = keys[i - 1]
    keys[at] = key
    return True


cdef Py_ssize_t unite_runs(int64_t *keys, int64_t *scratch, Py_ssize_t *runs, int n_runs) noexcept nogil:
    """Sort keys that ascend in each run, each of them once; `runs` has where each begins, and where the last one ends.

    Returns how many there are.
    """
    cdef int64_t *source = keys
    cdef int64_t *target = scratch
    cdef int64_t *swapped
    cdef Py_ssize_t done
    cdef int run
    while n_runs > 1:
        done = 0
        for run in range(0, n_runs - 1, 2):
            swapped = source + runs[run + 1]
            runs[run // 2] = done
            done += unite(source + runs[run], swapped, swapped, source + runs[run + 2], target + done)
        if n_runs & 1:
            memcpy(target + done, source + runs[n_runs - 1], (runs[n_runs] - runs[n_runs - 1]) * sizeof(int64_t))
            runs[n_runs // 2] = done
            done += runs[n_runs] - runs[n_runs - 1]
        n_runs = (n_runs + 1) // 2
        runs[n_runs] = done
        swapped = source
        source = target
        target = swapped
    if source != keys:
        memcpy(keys, source, runs[1] * sizeof(int64_t))
    return runs[1]


cdef Py_ssize_t unite(const int64_t *a, const int64_t *end_a, const int64_t *b, const int64_t *end_b,
                      int64_t *united) noexcept nogil:
    """Merge two ascending runs without what both have twice; returns how many keys there are.

    From both ends at once, in steps that do not wait for each other, and without branches.
    """
    cdef int64_t *first = united
    cdef int64_t *end = united + (end_a - a) + (end_b - b)
    cdef int64_t *last = end - 1
    cdef Py_ssize_t step, steps = min(end_a - a, end_b - b) // 2
    cdef const int64_t *last_a = end_a - 1
    cdef const int64_t *last_b = end_b - 1
    cdef int64_t low_a, low_b, high_a, high_b, next_a, next_b
    cdef bint le, ge
    while steps:                 # so many can be taken from both ends of either run
        low_a, low_b, high_a, high_b = a[0], b[0], last_a[0], last_b[0]
        for step in range(steps):
            # What may come next is read before it is known which: a comparison does not wait for the memory.
            next_a, next_b = a[1], b[1]
            le, ge = low_a <= low_b, low_b <= low_a
            united[0] = low_a if le else low_b
            united += 1
            low_a ^= (low_a ^ next_a) & -<int64_t> le
            low_b ^= (low_b ^ next_b) & -<int64_t> ge
            a += le
            b += ge
            next_a, next_b = (last_a - 1)[0], (last_b - 1)[0]
            ge, le = high_a >= high_b, high_b >= high_a
            last[0] = high_a if ge else high_b
            last -= 1
            high_a ^= (high_a ^ next_a) & -<int64_t> ge
            high_b ^= (high_b ^ next_b) & -<int64_t> le
            last_a -= ge
            last_b -= le
        steps = (min(last_a - a, last_b - b) + 1) // 2
    while a <= last_a and b <= last_b:
        le = a[0] <= b[0]
        ge = b[0] <= a[0]
        united[0] = a[0] if le else b[0]
        united += 1
        a += le
        b += ge
    memcpy(united, a, (last_a + 1 - a) * sizeof(int64_t))
    united += last_a + 1 - a
    memcpy(united, b, (last_b + 1 - b) * sizeof(int64_t))
    united += last_b + 1 - b
    last += 1
    if united != last:           # there is a gap for each key that both have
        memmove(united, last, (end - last) * sizeof(int64_t))
    return united + (end - last) - first


# ---- spans to rows ------------------------------------------------------------------------------------------------

cdef enum:
    SHORT_SPAN = 8               # frames in the mean, up to which flips and what they ask for cost more than the frames
    SPANS_SEEN = 128             # that tell the mean: the roll is the same either way


cdef inline void flip(uint8_t *rows, int64_t offset, int pitch) noexcept nogil:
    rows[offset + (pitch >> 3)] ^= <uint8_t> (1 << (pitch & 7))


cdef bint spans_are_short(const Span *spans, Py_ssize_t n) noexcept nogil:
    """Whether spans are short in the mean, by some of them from all over the piece."""
    cdef Py_ssize_t i = 0, step = n // SPANS_SEEN + 1
    cdef int64_t excess = 0
    while i < n:
        excess += spans[i].end - spans[i].start - SHORT_SPAN
        i += step
    return excess <= 0


cdef void paint_short(const Span *spans, Py_ssize_t n, int64_t stride, int64_t planes, bint onsets,
                      uint8_t *rows) noexcept nogil:
    """Paint spans frame by frame, in any order, into rows that are clear."""
    cdef Py_ssize_t i
    cdef int64_t frame, length
    cdef int32_t lane
    cdef uint8_t bit
    cdef uint8_t *row
    for i in range(n):
        lane = spans[i].lane
        bit = <uint8_t> (1 << (lane & 7))
        row = rows + spans[i].start * stride + (lane >> 7) * planes + ((lane & 127) >> 3)
        if onsets:
            row[ROW_BYTES] |= bit
        length = spans[i].end - spans[i].start
        # Four frames without a branch, which would be mispredicted: some are painted again where there are fewer.
        row[0] |= bit
        row[min(1, length - 1) * stride] |= bit
        row[min(2, length - 1) * stride] |= bit
        row[min(3, length - 1) * stride] |= bit
        for frame in range(4, length):
            row[frame * stride] |= bit


cdef void paint_piece(Span *spans, Span *scratch, Py_ssize_t n, int64_t frames, bint onsets, int n_voices,
                      uint8_t *rows) noexcept nogil:
    """Paint a piece; `rows` has room for one row more than it has frames.

    Spans of few frames are painted frame by frame. Of longer ones a bit is flipped where its pitch begins to sound and
    where it ends; the running exclusive or over the rows then is the roll. That asks for spans of one pitch that do not
    overlap. Each voice has planes of its own.
    """
    cdef Py_ssize_t i, at, planes = 2 * ROW_BYTES if onsets else ROW_BYTES, stride = planes * n_voices
    cdef int32_t ends[128 * MOST_VOICES]     # up to where each pitch of each voice sounds already
    cdef int32_t start, end, lane
    cdef int pitch, voice
    cdef size_t n_ends = 128 * n_voices * sizeof(int32_t)
    cdef int32_t previous = 0
    cdef bint overlap = False, in_order = True
    cdef int64_t frame
    cdef uint64_t sounding[2]
    cdef uint64_t flips[2]
    cdef uint8_t *row
    memset(rows, 0, (frames + 1) * stride)
    if spans_are_short(spans, n):
        paint_short(spans, n, stride, planes, onsets, rows)
        return
    memset(ends, 0, n_ends)
    for i in range(n):
        lane = spans[i].lane
        overlap |= spans[i].start < ends[lane]
        in_order &= spans[i].start >= previous
        if overlap and not in_order:
            radix_sort(spans, scratch, n, frames)
            break
        previous = spans[i].start
        ends[lane] = spans[i].end
    memset(ends, 0, n_ends)
    for i in range(n):
        lane = spans[i].lane
        at = (lane >> 7) * planes
        pitch = lane & 127
        if onsets:
            rows[spans[i].start * stride + at + ROW_BYTES + (pitch >> 3)] |= <uint8_t> (1 << (pitch & 7))
        start = max(spans[i].start, ends[lane])
        end = max(spans[i].end, start)
        ends[lane] = end
        # Where the span adds nothing the two flips undo each other.
        flip(rows, start * stride + at, pitch)
        flip(rows, end * stride + at, pitch)
    for voice in range(n_voices):
        row = rows + voice * planes
        sounding[0] = 0
        sounding[1] = 0
        for frame in range(frames):
            memcpy(flips, row, ROW_BYTES)
            sounding[0] ^= flips[0]
            sounding[1] ^= flips[1]
            memcpy(row, sounding, ROW_BYTES)
            row += stride


# ---- reading ------------------------------------------------------------------------------------------------------

cdef int read_file(const char *path, uint8_t **buffer, Py_ssize_t *capacity, Py_ssize_t used,
                   int64_t *size) noexcept nogil:
    """Append a whole file to the buffer; 0 or the errno."""
    cdef stat_t status
    cdef int error = 0
    cdef Py_ssize_t got
    # Without O_NONBLOCK a named pipe called x.mid would be waited for.
    cdef int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    size[0] = 0
    if fd < 0:
        return errno
    if fstat(fd, &status) != 0:
        error = errno
    elif not S_ISREG(status.st_mode):
        error = EINVAL
    elif status.st_size > FILE_LIMIT:
        error = EFBIG
    elif not grow(<void **> buffer, capacity, used + status.st_size + 1, 1):    # not NULL for an empty file either
        error = ENOMEM
    else:
        while size[0] < status.st_size:
            got = read(fd, buffer[0] + used + size[0], status.st_size - size[0])
            if got < 0:
                if errno == EINTR:
                    continue
                error = errno
                break
            if got == 0:                 # it shrank under our hands: what is left is what there is
                break
            size[0] += got
    close(fd)
    return error


cdef int put_digest(digest, char *data, Py_ssize_t size, uint8_t *place) except -1:
    """Put what `digest` makes of some bytes, `DIGEST_BYTES`, into its place."""
    cdef bytes made = digest(PyMemoryView_FromMemory(data, size, PyBUF_READ))
    if PyBytes_GET_SIZE(made) != DIGEST_BYTES:
        raise ValueError(f"digest: expected {DIGEST_BYTES} bytes, got {len(made)}")
    memcpy(place, PyBytes_AS_STRING(made), DIGEST_BYTES)
    return 0


cdef class Batch:
    """A batch of files on its way to rows. One thread at a time; rows come out in the order of the members."""

    cdef Spec spec
    cdef Song song
    cdef Clock time
    cdef Clock beats
    cdef Span *spans
    cdef Py_ssize_t n_spans
    cdef Py_ssize_t spans_capacity
    cdef Span *scratch
    cdef Py_ssize_t scratch_capacity
    cdef uint8_t *rows
    cdef Py_ssize_t rows_capacity
    cdef uint8_t *content        # files as they are read
    cdef Py_ssize_t content_capacity
    cdef int64_t *keys           # of the members whose digests are still to be taken
    cdef Py_ssize_t n_keys
    cdef Py_ssize_t keys_capacity
    cdef object chooser          # names the voice of each note, or None
    cdef int8_t *voices
    cdef Py_ssize_t voices_capacity
    cdef Py_ssize_t member       # the painter's place: member, its first span
    cdef Py_ssize_t span

    def __cinit__(self, bint beats, int64_t numerator, int64_t denominator, bint onsets, bint drums, bint sustain,
                  bint align, int64_t max_seconds, int64_t max_beats, int n_voices, int64_t min_notes, int min_pitches,
                  chooser):
        self.spec = Spec(beats, numerator, denominator, onsets, drums, sustain, align, max_seconds, max_beats, n_voices,
                         min_notes, min_pitches)
        self.chooser = chooser
        song_init(&self.song)

    def __dealloc__(self):
        song_free(&self.song)
        free(self.time.segments)
        free(self.beats.segments)
        free(self.spans)
        free(self.scratch)
        free(self.rows)
        free(self.content)
        free(self.keys)
        free(self.voices)

    def reset(self):
        """Forget the batch and keep its memory for the next: fresh pages cost more than what is done in them."""
        self.n_spans = 0
        self.member = 0
        self.span = 0
        slim(<void **> &self.spans, &self.spans_capacity, sizeof(Span))
        slim(<void **> &self.scratch, &self.scratch_capacity, sizeof(Span))
        slim(<void **> &self.rows, &self.rows_capacity, 1)

    cdef bint read(self, const uint8_t *data, Record *record) noexcept nogil:
        cdef int i
        record.status = song_parse(&self.song, data, record.size)
        if record.status == SMF_OK:
            for i in range(N_REPAIRS):
                record.repairs[i] = <int32_t> min(self.song.repairs[i], 0x7FFFFFFF)
            return True
        memcpy(record.head, data, min(record.size, <int64_t> sizeof(record.head)))
        return False

    cdef void cut(self, int8_t *voices, Record *record) noexcept nogil:
        cdef Py_ssize_t n_keys = self.n_keys
        if not music_keys(&self.song, &self.keys, &self.n_keys, &self.keys_capacity):
            record.status = NO_MEMORY
            return
        record.status = quantise(&self.song, &self.spec, &self.time, &self.beats, &self.spans, &self.n_spans,
                                 &self.spans_capacity, voices, record)
        if record.status != OK:
            self.n_keys = n_keys

    cdef take(self, const uint8_t *data, Record *record):
        """Read, choose and quantise a member: what the chooser says is asked with the GIL."""
        cdef bint found
        cdef int8_t *voices
        with nogil:
            found = self.read(data, record)
        if found:
            voices = self.choose(data)
            with nogil:
                self.cut(voices, record)

    cdef int8_t *choose(self, const uint8_t *data) except? NULL:
        """Return the voice of each note of the song, or why it is left out, as the chooser says."""
        cdef Song *song = &self.song
        cdef Py_ssize_t i
        cdef const int8_t[::1] chosen
        cdef list names = [
            (song.names[i].track, PyBytes_FromStringAndSize(<char *> data + song.names[i].start, song.names[i].length))
            for i in range(song.n_names)
        ]
        cdef list programs = [
            (song.setups[i].tick, song.setups[i].track, song.setups[i].channel, song.setups[i].value)
            for i in range(song.n_setups) if song.setups[i].kind == SETUP_PROGRAM
        ]
        if not grow(<void **> &self.voices, &self.voices_capacity, song.n_notes + 1, 1):
            raise MemoryError
        if song.n_notes:
            chosen = self.chooser(
                PyMemoryView_FromMemory(<char *> song.notes, song.n_notes * sizeof(Note), PyBUF_READ),
                programs, names, song.n_tracks, song.format)
            memcpy(self.voices, &chosen[0], song.n_notes)
        return self.voices

    def load(self, list members, bint from_disk, uint8_t[::1] records, digest):
        """Read, parse and quantise members: paths to open, or contents.

        `records` holds a zeroed Record for each; those whose status is set already are left alone. Each that is read
        gets its digests, which `digest` makes: where there are drums alone, and in what cannot be painted, those of the
        music are the content's once more. Returns how many were loaded: it ends where the spans take `SPAN_BYTES`,
        however many members follow, so that depends on the files alone.
        """
        cdef Py_ssize_t n = len(members), first = 0, stop, i
        cdef Record *record = <Record *> &records[0] if n else NULL
        cdef const char **places = <const char **> malloc(n * sizeof(char *) + 1)       # paths, then contents
        cdef Py_ssize_t *starts = <Py_ssize_t *> malloc(n * sizeof(Py_ssize_t) + 1)     # in the contents, then in keys
        cdef Py_ssize_t used
        try:
            if places == NULL or starts == NULL:
                raise MemoryError
            for i in range(n):
                places[i] = PyBytes_AS_STRING(members[i]) if members[i] is not None else NULL
                if not from_disk and members[i] is not None:
                    record[i].size = PyBytes_GET_SIZE(members[i])
            while first < n and self.n_spans * sizeof(Span) < SPAN_BYTES:
                with nogil:
                    stop = first
                    used = 0
                    while stop < n and used < READ_AHEAD:
                        starts[stop] = used
                        if from_disk and record[stop].status == OK:
                            record[stop].error = read_file(
                                places[stop], &self.content, &self.content_capacity, used, &record[stop].size)
                            if record[stop].error:
                                record[stop].status = IO
                        if record[stop].status == OK:
                            used += record[stop].size
                        stop += 1
                    for i in range(first, stop):
                        if record[i].status != OK:
                            starts[i] = -1
                            continue
                        if from_disk:
                            places[i] = <const char *> self.content + starts[i]
                        starts[i] = 0
                    if self.chooser is None:
                        for i in range(first, stop):
                            if starts[i] == 0:
                                starts[i] = self.n_keys
                                if self.read(<const uint8_t *> places[i], &record[i]):
                                    self.cut(NULL, &record[i])
                if self.chooser is not None:
                    for i in range(first, stop):
                        if starts[i] == 0:
                            starts[i] = self.n_keys
                            self.take(<const uint8_t *> places[i], &record[i])
                # All digests of a group in one go: each time the interpreter has to be waited for.
                for i in range(stop - 1, first - 1, -1):
                    if starts[i] >= 0:
                        self.put_digests(digest, places[i], starts[i], &record[i])
                        self.n_keys = starts[i]
                self.n_keys = 0
                first = stop
        finally:
            free(places)
            free(starts)
            slim(<void **> &self.content, &self.content_capacity, 1)
            slim(<void **> &self.song.notes, &self.song.notes_capacity, sizeof(Note))
            slim(<void **> &self.keys, &self.keys_capacity, sizeof(int64_t))
        return first

    cdef put_digests(self, digest, const char *content, Py_ssize_t start, Record *record):
        """Put the digests of a member into its record; its keys go from `start` to the end of them all."""
        cdef Py_ssize_t n_keys = self.n_keys - start
        put_digest(digest, <char *> content, record.size, record.digests)
        if n_keys:
            put_digest(digest, <char *> (self.keys + start), COUNT_KEYS * sizeof(int64_t), record.digests + DIGEST_BYTES)
            put_digest(digest, <char *> (self.keys + start + COUNT_KEYS), (n_keys - COUNT_KEYS) * sizeof(int64_t),
                       record.digests + 2 * DIGEST_BYTES)
        else:
            memcpy(record.digests + DIGEST_BYTES, record.digests, DIGEST_BYTES)
            memcpy(record.digests + 2 * DIGEST_BYTES, record.digests, DIGEST_BYTES)

    def load_notes(self, int format, int ticks_per_beat, int smpte_fps, int smpte_ticks_per_frame,
                   const uint8_t[::1] notes, const uint8_t[::1] tempos, const uint8_t[::1] pedals,
                   const uint8_t[::1] controls, const int8_t[::1] voices, uint8_t[::1] records):
        """Quantise one song given as rows of NoteRow, grouped by track in format 2, of Tempo, Pedal and Control.

        `voices` has the voice of each note or, below 0, why it is left out; empty where there is no selection.
        """
        cdef Song *song = &self.song
        cdef Record *record = <Record *> &records[0]
        cdef const NoteRow *row = <const NoteRow *> &notes[0] if notes.shape[0] else NULL
        cdef Py_ssize_t i
        song.format = format
        song.ticks_per_beat = ticks_per_beat
        song.smpte_fps = smpte_fps
        song.smpte_ticks_per_frame = smpte_ticks_per_frame
        song.n_notes = notes.shape[0] // sizeof(NoteRow)
        song.n_tempos = tempos.shape[0] // sizeof(Tempo)
        song.n_pedals = pedals.shape[0] // sizeof(Pedal)
        song.n_controls = controls.shape[0] // sizeof(Control)
        if not (grow(<void **> &song.notes, &song.notes_capacity, song.n_notes, sizeof(song.notes[0]))
                and grow(<void **> &song.tempos, &song.tempos_capacity, song.n_tempos, sizeof(song.tempos[0]))
                and grow(<void **> &song.pedals, &song.pedals_capacity, song.n_pedals, sizeof(song.pedals[0]))
                and grow(<void **> &song.controls, &song.controls_capacity, song.n_controls,
                         sizeof(song.controls[0]))
                and grow(<void **> &self.voices, &self.voices_capacity, song.n_notes + 1, 1)):
            song.n_notes = 0
            raise MemoryError
        with nogil:
            # The copy is checked: another thread may write to the caller's array meanwhile.
            for i in range(song.n_notes):
                song.notes[i].onset_tick = row[i].onset_tick
                song.notes[i].offset_tick = row[i].offset_tick
                song.notes[i].pitch = row[i].pitch
                song.notes[i].channel = row[i].channel
                song.notes[i].drums = row[i].drums
                song.notes[i].track = row[i].track
            for i in range(song.n_notes):
                if song.notes[i].onset_tick < 0 or song.notes[i].offset_tick < song.notes[i].onset_tick or (
                        song.notes[i].pitch > 127):
                    record.status = BAD_NOTES
            if song.n_tempos:
                memcpy(song.tempos, &tempos[0], song.n_tempos * sizeof(Tempo))
            for i in range(song.n_tempos):
                if song.tempos[i].microseconds_per_beat < 1 or (
                        song.tempos[i].tick < (song.tempos[i - 1].tick if i else 0)):
                    record.status = BAD_TEMPOS
            if song.n_pedals:
                memcpy(song.pedals, &pedals[0], song.n_pedals * sizeof(Pedal))
            if song.n_controls:
                memcpy(song.controls, &controls[0], song.n_controls * sizeof(Control))
            if voices.shape[0]:
                memcpy(self.voices, &voices[0], song.n_notes)
            if record.status == OK:
                record.status = quantise(song, &self.spec, &self.time, &self.beats, &self.spans, &self.n_spans,
                                         &self.spans_capacity, self.voices if voices.shape[0] else NULL, record)

    def roll(self, uint8_t[::1] records, uint8_t[::1] rows):
        """Paint the only member into `rows`, which has room for one row more than it has frames."""
        cdef Record *record = <Record *> &records[0]
        if record.status != OK:
            return
        if not grow(<void **> &self.scratch, &self.scratch_capacity, record.notes, sizeof(Span)):
            raise MemoryError
        with nogil:
            paint_piece(self.spans, self.scratch, record.notes, record.frames, self.spec.onsets, self.spec.n_voices,
                        &rows[0])

    def paint(self, uint8_t[::1] records, const uint8_t[::1] keep, Py_ssize_t room):
        """Return the rows of the next kept members as a buffer, valid until the next call; empty at the end.

        As many whole pieces as fit into `room` bytes, at least one.
        """
        cdef Record *record = <Record *> &records[0]
        cdef Py_ssize_t n = keep.shape[0]
        cdef Py_ssize_t stride = self.spec.n_voices * (2 * ROW_BYTES if self.spec.onsets else ROW_BYTES)
        cdef Py_ssize_t done = 0, size
        cdef bint ok = True
        with nogil:
            while self.member < n:
                if record[self.member].status == OK:
                    if keep[self.member]:
                        size = record[self.member].frames * stride
                        if done and done + size > room:
                            break
                        ok = (grow(<void **> &self.rows, &self.rows_capacity, done + size + stride, 1)
                              and grow(<void **> &self.scratch, &self.scratch_capacity, record[self.member].notes,
                                       sizeof(Span)))
                        if not ok:
                            break
                        paint_piece(self.spans + self.span, self.scratch, record[self.member].notes,
                                    record[self.member].frames, self.spec.onsets, self.spec.n_voices, self.rows + done)
                        done += size
                    self.span += record[self.member].notes
                self.member += 1
        if not ok:
            raise MemoryError
        if self.rows == NULL:
            return memoryview(b"")
        return PyMemoryView_FromMemory(<char *> self.rows, done, PyBUF_READ)
