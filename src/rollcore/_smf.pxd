# The seam between the parser (_smf.pyx) and the painter (_roll.pyx): plain C structs, no Python object.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

cdef enum:
    N_REPAIRS = 32               # room for the repair codes; midi.REPAIR_CODES names them in order
    N_QUEUES = 2048              # one queue of open notes for each of 16 channels x 128 pitches

cdef enum SmfStatus:
    SMF_OK = 0
    SMF_EMPTY = 1                # zero bytes
    SMF_NOT_MIDI = 2             # no MThd chunk, bare or in a RIFF/RMID wrapper
    SMF_NO_MEMORY = 3
    SMF_TOO_LARGE = 4            # 2 GiB or more

cdef struct Note:
    int64_t onset_tick
    int64_t offset_tick          # >= onset_tick; while the note is open, ~(byte offset of its note-on)
    int32_t next                 # link of the open-notes queue; private to the parser
    uint16_t track
    uint8_t pitch
    uint8_t velocity
    uint8_t channel

cdef struct NoteRow:             # midi.NOTE_DTYPE
    int64_t onset_tick
    int64_t offset_tick
    uint8_t pitch
    uint8_t velocity
    uint8_t channel
    uint8_t padding
    uint16_t track
    uint16_t more_padding

cdef struct Tempo:               # midi.TEMPO_ROW_DTYPE
    int64_t tick
    int32_t microseconds_per_beat
    uint16_t track

cdef struct Pedal:               # midi.PEDAL_DTYPE; controller 64, only the changes of state
    int64_t tick
    uint16_t track
    uint8_t channel
    uint8_t down

cdef struct Signature:           # midi.TIME_SIGNATURE_DTYPE
    int64_t tick
    uint16_t beats
    uint16_t value
    uint16_t track
    uint16_t padding

cdef struct Queue:               # first in, first out: indices into Song.notes
    int32_t first                # -1 when empty; true of every queue between two tracks
    int32_t last

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
    Queue queues[N_QUEUES]       # private to the parser

cdef void song_init(Song *song) noexcept nogil
cdef void song_free(Song *song) noexcept nogil
cdef int song_parse(Song *song, const uint8_t *data, Py_ssize_t size) noexcept nogil
