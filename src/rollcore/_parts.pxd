# Which parts play drums: what system exclusive messages and banks of General MIDI, GS and XG say of it, in order of time.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from rollcore._smf cimport (
    GM, GM2, GS, NO_SYSTEM, SETUP_BANK, SETUP_PART, SETUP_PROGRAM, SETUP_SYSTEM, XG, Note, Part, Setup, SetupKind, Song,
)

cdef enum:
    DRUM_CHANNEL = 9
    N_CHANNELS = 256             # 16 of each of 16 ports
    MANY_CHANNELS = 257


cdef inline bint setup_of_sysex(const uint8_t *data, int64_t n, Setup *setup) noexcept nogil:
    """Whether a system exclusive message, from the byte behind F0 on, sets up parts, and how.

    The device number is not looked at, nor is Roland's checksum: files with a wrong one are common.
    """
    cdef int block
    if n >= 4 and data[0] == 0x7E and data[2] == 0x09 and 1 <= data[3] <= 3:
        setup.kind = SETUP_SYSTEM
        setup.value = GM if data[3] == 1 else GM2 if data[3] == 3 else NO_SYSTEM
        return True
    if n >= 8 and data[0] == 0x41 and data[2] == 0x42 and data[3] == 0x12 and data[4] == 0x40:
        if data[5] == 0x00 and data[6] == 0x7F and data[7] == 0x00:
            setup.kind = SETUP_SYSTEM
            setup.value = GS
            return True
        if data[5] & 0xF0 == 0x10 and data[6] == 0x15:       # use for rhythm part
            block = data[5] & 0x0F
            setup.kind = SETUP_PART
            setup.channel = DRUM_CHANNEL if block == 0 else block - 1 if block <= DRUM_CHANNEL else block
            setup.value = data[7] != 0
            return True
    if n >= 7 and data[0] == 0x43 and data[1] & 0xF0 == 0x10 and data[2] == 0x4C:
        if data[3] == 0x00 and data[4] == 0x00 and data[5] == 0x7E and data[6] == 0x00:
            setup.kind = SETUP_SYSTEM
            setup.value = XG
            return True
        if data[3] == 0x08 and data[4] < 16 and data[5] == 0x07:     # part mode
            setup.kind = SETUP_PART
            setup.channel = data[4]
            setup.value = data[6] != 0
            return True
    return False


cdef struct State:
    uint8_t system[16]
    uint8_t bank[N_CHANNELS]
    uint8_t drums[N_CHANNELS]


cdef inline bint set_part(Song *song, State *state, int channel, bint drums, const Setup *setup) noexcept nogil:
    """Make a part one of drums or of melody, and note the change; false when memory is out."""
    cdef Part *larger
    cdef Py_ssize_t wanted
    if state.drums[channel] == drums:
        return True
    if song.n_parts == song.parts_capacity:
        wanted = 2 * song.parts_capacity if song.parts_capacity else 64
        larger = <Part *>realloc(song.parts, <size_t>wanted * sizeof(Part))
        if larger == NULL:
            return False
        song.parts = larger
        song.parts_capacity = wanted
    state.drums[channel] = drums
    song.parts[song.n_parts].tick = setup.tick
    song.parts[song.n_parts].track = setup.track
    song.parts[song.n_parts].channel = channel
    song.parts[song.n_parts].drums = drums
    song.n_parts += 1
    return True


cdef inline bint set_system(Song *song, State *state, int port, const Setup *setup) noexcept nogil:
    """Reset the parts of a port: channel 10 plays drums, in the bank that says so; false when memory is out."""
    cdef int channel, in_port
    cdef bint drums
    state.system[port] = setup.value
    for in_port in range(16):
        channel = 16 * port + in_port
        drums = in_port == DRUM_CHANNEL
        state.bank[channel] = (120 if drums else 121) if setup.value == GM2 else 127 if drums and setup.value == XG else 0
        if not set_part(song, state, channel, drums, setup):
            return False
    return True


cdef inline bint set_program(Song *song, State *state, const Setup *setup) noexcept nogil:
    """Let the bank say what its part plays, where the system has banks for it; false when memory is out."""
    cdef int channel = setup.channel
    cdef int system = state.system[channel >> 4], bank = state.bank[channel]
    if (system == GM2 and bank == 120) or (system == XG and bank >= 126):
        return set_part(song, state, channel, True, setup)
    if (system == GM2 and bank == 121) or (system == XG and (bank == 0 or bank == 64)):
        return set_part(song, state, channel, False, setup)
    return True


cdef inline bint find_parts(Song *song, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Note the changes of parts that the setups from `first` to `last` make, in their order; false when memory is out."""
    cdef State state
    cdef const Setup *setup
    cdef Py_ssize_t i
    cdef int channel, port
    memset(&state, 0, sizeof(state))
    for channel in range(N_CHANNELS):
        state.drums[channel] = channel & 0x0F == DRUM_CHANNEL
    for i in range(first, last):
        setup = &song.setups[i]
        if setup.kind == SETUP_BANK:
            state.bank[setup.channel] = setup.value
        elif setup.kind == SETUP_PROGRAM:
            if not set_program(song, &state, setup):
                return False
        else:
            for port in range(song.n_ports):
                if not song.ports_taken >> port & 1:
                    continue
                if setup.kind == SETUP_SYSTEM:
                    if (setup.loose or port == setup.channel >> 4) and not set_system(song, &state, port, setup):
                        return False
                elif song.ports[port].number == 0 if setup.loose else port == setup.channel >> 4:
                    if not set_part(song, &state, 16 * port + (setup.channel & 0x0F), setup.value, setup):
                        return False
    return True


cdef inline bint mark_drums(
    Song *song, Py_ssize_t first_part, Py_ssize_t first, Py_ssize_t last
) noexcept nogil:
    """Tell the notes from `first` to `last` what the parts from `first_part` on play; false when memory is out."""
    cdef Py_ssize_t n = song.n_parts - first_part, i, low, high, middle
    cdef Py_ssize_t places[MANY_CHANNELS]
    cdef const Part **by_channel
    cdef const Part *part
    cdef Note *note
    cdef int channel
    if n == 0:
        return True
    by_channel = <const Part **>malloc(<size_t>n * sizeof(Part *))
    if by_channel == NULL:
        return False
    memset(places, 0, sizeof(places))
    for i in range(first_part, song.n_parts):
        places[song.parts[i].channel + 1] += 1
    for channel in range(N_CHANNELS):
        places[channel + 1] += places[channel]
    for i in range(first_part, song.n_parts):
        part = &song.parts[i]
        by_channel[places[part.channel]] = part
        places[part.channel] += 1            # afterwards the end of its channel
    for i in range(first, last):
        note = &song.notes[i]
        low = places[note.channel - 1] if note.channel else 0
        high = places[note.channel]
        channel = -1
        while low < high:                    # the last change at or before the onset
            middle = (low + high) // 2
            if by_channel[middle].tick <= note.onset_tick:
                channel = by_channel[middle].drums
                low = middle + 1
            else:
                high = middle
        if channel >= 0:
            note.drums = channel
    free(<void *>by_channel)
    return True
