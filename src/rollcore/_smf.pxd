# The seam between the parser (_smf.pyx) and the painter (_roll.pyx): plain C structs, no Python object.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

cdef enum:
    N_REPAIRS = 32               # room for the repair codes; midi.REPAIR_CODES names them in order
    N_PORTS = 16                 # more of them share the last ones
    PORT_QUEUES = 2048           # one queue of open notes for each of 16 channels x 128 pitches of a port

cdef enum:                       # controllers
    BANK_SELECT = 0
    SUSTAIN_PEDAL = 64
    SOSTENUTO_PEDAL = 66
    ALL_SOUND_OFF = 120
    RESET_CONTROLLERS = 121
    RELEASE_ALL = 123            # "all notes off"

cdef enum SmfStatus:
    SMF_OK = 0
    SMF_EMPTY = 1                # zero bytes
    SMF_NOT_MIDI = 2             # no MThd chunk, bare or in a RIFF/RMID wrapper
    SMF_NO_MEMORY = 3
    SMF_TOO_LARGE = 4            # 2 GiB or more
    SMF_LINE_ENDS = 5            # line ends were translated: 0D 0A stands where 0A stood

cdef struct Note:
    int64_t onset_tick
    int64_t offset_tick          # >= onset_tick; negative while the note is open, see leave_notes
    int32_t next                 # link of the open-notes queue; private to the parser
    int32_t start                # byte offset of its note-on
    uint16_t track
    uint8_t pitch
    uint8_t velocity
    uint8_t channel              # 16 times its port, and its channel
    uint8_t drums                # whether its part is a drum part when it is struck

cdef struct NoteRow:             # midi.NOTE_DTYPE
    int64_t onset_tick
    int64_t offset_tick
    uint8_t pitch
    uint8_t velocity
    uint8_t channel
    uint8_t drums                # between the fields of NOTE_DTYPE, which does not name it
    uint16_t track
    uint16_t padding

cdef struct Tempo:               # midi.TEMPO_ROW_DTYPE
    int64_t tick
    int32_t microseconds_per_beat
    uint16_t track

cdef struct Pedal:               # midi.PEDAL_DTYPE; controller 64, only the changes of state
    int64_t tick
    uint16_t track
    uint8_t channel
    uint8_t down

cdef struct Control:             # midi.CONTROLLER_DTYPE; of read_midi every control change but 64, see wanted_control
    int64_t tick
    uint16_t track
    uint8_t channel
    uint8_t number
    uint8_t value

cdef enum SetupKind:
    SETUP_PROGRAM                # `value` is the program
    SETUP_BANK                   # the bank's most significant byte
    SETUP_PART                   # whether the part becomes one of drums, by a system exclusive message
    SETUP_SYSTEM                 # a System On; `value` is one of System

cdef enum System:
    NO_SYSTEM
    GM
    GM2
    GS
    XG

cdef struct Setup:               # what makes parts play drums or melodies, and programs; of these midi.PROGRAM_DTYPE
    int64_t tick                 # from which it holds
    uint16_t track
    uint8_t channel
    uint8_t value
    uint8_t kind
    uint8_t loose                # its track names no port: it speaks to every port of that number

cdef struct Part:                # midi.PART_DTYPE; only where a part changes between melody and drums
    int64_t tick
    uint16_t track
    uint8_t channel
    uint8_t drums

cdef struct Name:                # a track's name: `length` bytes of the file from byte `start` on
    int64_t start
    int64_t length
    uint16_t track

cdef struct Port:                # two are the same where number and device name are
    const uint8_t *name          # not terminated, and NULL where there is none
    int64_t length
    uint8_t number

cdef struct Signature:           # midi.TIME_SIGNATURE_DTYPE
    int64_t tick
    uint16_t beats
    uint16_t value
    uint16_t track
    uint16_t padding

cdef struct Queue:               # first in, first out: indices into Song.notes
    int32_t first                # -1 when empty; true of every queue between two tracks
    int32_t last

cdef struct Cut:                 # notes of a queue that a controller has ended and whose note-offs may still come
    int32_t first                # -1 when empty; true of every one between two tracks
    int32_t last
    int32_t closed               # the note struck since then that the note-off just before this event has ended, or -1

cdef struct Silence:             # CC 123 or CC 120
    int64_t tick
    uint16_t track

cdef struct Song:
    # Arrays are owned, grown on demand and reused from file to file.
    Note *notes                  # by track, within a track by onset; every note has its note-off
    Py_ssize_t n_notes
    Py_ssize_t notes_capacity
    Tempo *tempos                # sorted by tick, at one tick in file order; tempo 0 left out
    Py_ssize_t n_tempos
    Py_ssize_t tempos_capacity
    Pedal *pedals                # sorted by tick, at one tick in file order; only the changes of state
    Py_ssize_t n_pedals
    Py_ssize_t pedals_capacity
    Signature *signatures        # sorted by tick, at one tick in file order; absurd ones left out
    Py_ssize_t n_signatures
    Py_ssize_t signatures_capacity
    Control *controls            # sorted by tick, at one tick in file order
    Py_ssize_t n_controls
    Py_ssize_t controls_capacity
    Setup *setups                # as the controls
    Py_ssize_t n_setups
    Py_ssize_t setups_capacity
    Part *parts                  # as the controls
    Py_ssize_t n_parts
    Py_ssize_t parts_capacity
    Name *names                  # by track, one a track at most
    Py_ssize_t n_names
    Py_ssize_t names_capacity
    Py_ssize_t n_declared        # setups that may make drum parts
    bint all_controls            # set before parsing: keep every control change, not only what the pedals need
    int32_t format               # 0, 1 or 2
    int32_t n_tracks             # tracks read
    int32_t ticks_per_beat       # 0 under SMPTE division
    int32_t smpte_fps            # 24, 25, 29 (meaning 30000/1001) or 30; 0 under metrical division
    int32_t smpte_ticks_per_frame
    int64_t repairs[N_REPAIRS]   # how often each repair was made
    int32_t first_repair         # code of the repair nearest the start of the file, -1 when none
    int64_t first_repair_offset  # its byte offset
    int64_t first_repair_found   # the value that stood there
    int64_t first_repair_expected  # the value that should have stood there, for the codes that have one
    # Private to the parser:
    Queue *queues                # PORT_QUEUES for each port
    Cut *cuts                    # as many, once they are needed
    int32_t cuts_capacity
    int32_t n_ports
    int32_t ports_capacity
    int32_t ports_taken          # one bit a port
    Port ports[N_PORTS]
    Silence *silences            # by channel, then by tick; NULL unless tracks silence each other's notes
    Py_ssize_t silences_at[257]  # where those of a channel begin

cdef void song_init(Song *song) noexcept nogil
cdef void song_free(Song *song) noexcept nogil
cdef int song_parse(Song *song, const uint8_t *data, Py_ssize_t size) noexcept nogil
