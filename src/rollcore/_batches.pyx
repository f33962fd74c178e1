# The inner loops of batches: gather windows, transpose, unpack.
#
# Private: batches.py checks, allocates and explains. Nothing here holds the GIL, looks at a bound or raises.
from libc.stdint cimport int8_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #ifdef __GNUC__
    #define PREFETCH(address) __builtin_prefetch(address)
    #else
    #define PREFETCH(address) ((void)(address))
    #endif
    """
    void prefetch "PREFETCH" (const void *address) noexcept nogil

cdef enum:
    AHEAD = 2       # windows

def gather(const uint8_t[::1] source, const int64_t[::1] at, const int64_t[::1] before, const int64_t[::1] within,
           Py_ssize_t size, Py_ssize_t begin, Py_ssize_t end, const int8_t[::1] semitones, uint8_t[::1] out):
    """Copy windows `begin` to `end` of `size` bytes: `before` of zeros, `within` from ``source[at:]``, then zeros.

    Each is shifted, if `semitones` are given, as :func:`shift` does it, before the cache has lost it.
    """
    cdef Py_ssize_t i, k
    cdef bint shifted = semitones is not None
    cdef uint8_t *to
    with nogil:
        for i in range(begin, end):
            # Windows lie anywhere, and a copy ends before the next begins: ask in time for what comes after it.
            if i + AHEAD < end:
                for k in range(0, within[i + AHEAD], 64):
                    prefetch(&source[at[i + AHEAD] + k])
            to = &out[i * size]
            memset(to, 0, <size_t>before[i])
            memcpy(to + before[i], &source[at[i]], <size_t>within[i])
            memset(to + before[i] + within[i], 0, <size_t>(size - before[i] - within[i]))
            if shifted:
                _shift(<uint64_t *>to, semitones[i], size // 8)


def shift(uint64_t[::1] words, const int8_t[::1] semitones, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t size):
    """Shift the rows of windows of `size` words in place, each row two words; what passes either end is lost."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(begin, end):
            _shift(&words[i * size], semitones[i], size)


cdef void _shift(uint64_t *words, int by, Py_ssize_t size) noexcept nogil:
    """Shift rows by -127 to 127, four loops that a compiler makes vectors of."""
    cdef Py_ssize_t k
    cdef uint64_t low, high
    cdef int left
    if by <= -64:
        for k in range(0, size, 2):
            words[k], words[k + 1] = words[k + 1] >> (-by - 64), 0
    elif by < 0:
        # The carry goes in two steps: one by 64 would be undefined.
        left = 63 + by
        for k in range(0, size, 2):
            low, high = words[k], words[k + 1]
            words[k], words[k + 1] = (low >> -by) | (high << left << 1), high >> -by
    elif by >= 64:
        for k in range(0, size, 2):
            words[k], words[k + 1] = 0, words[k] << (by - 64)
    elif by > 0:
        left = 63 - by
        for k in range(0, size, 2):
            low, high = words[k], words[k + 1]
            words[k], words[k + 1] = low << by, (high << by) | (low >> left >> 1)


def unpack(const uint64_t[::1] words, Py_ssize_t low, Py_ssize_t pitches, const uint8_t[:, ::1] table,
           uint8_t[::1] out):
    """Write pitches `low` onwards of each row of two words, as many as `pitches`, one number each.

    Row b of `table` holds the bytes of the eight numbers that the bits of b stand for, which may be of 1, 2 or 4 bytes.
    """
    cdef Py_ssize_t rows = words.shape[0] // 2
    with nogil:
        # Three copies of the loop, each of which knows how much it copies.
        if table.shape[1] == 8:
            _unpack(&words[0], rows, low, pitches, &table[0, 0], 8, &out[0])
        elif table.shape[1] == 16:
            _unpack(&words[0], rows, low, pitches, &table[0, 0], 16, &out[0])
        else:
            _unpack(&words[0], rows, low, pitches, &table[0, 0], 32, &out[0])


cdef inline void _unpack(const uint64_t *words, Py_ssize_t rows, Py_ssize_t low, Py_ssize_t pitches,
                         const uint8_t *table, Py_ssize_t eight, uint8_t *out) noexcept nogil:
    cdef Py_ssize_t row, k, whole = pitches // 8, one = eight // 8
    cdef uint64_t first, second, last
    for row in range(rows):
        first, second = words[2 * row], words[2 * row + 1]
        if pitches < 8:
            memcpy(out, table + (_from_bit(first, second, low) & 255) * eight, pitches * one)
        else:
            last = _from_bit(first, second, low + pitches - 8) & 255
            first, second = _from_bit(first, second, low), _from_bit(second, 0, low)
            for k in range(whole if whole < 8 else 8):
                memcpy(out + k * eight, table + (first & 255) * eight, eight)
                first >>= 8
            for k in range(8, whole):
                memcpy(out + k * eight, table + (second & 255) * eight, eight)
                second >>= 8
            # The last eight numbers write some of those before them again.
            if pitches & 7:
                memcpy(out + (pitches - 8) * one, table + last * eight, eight)
        out += pitches * one


cdef inline uint64_t _from_bit(uint64_t low, uint64_t high, Py_ssize_t bit) noexcept nogil:
    """Return the 64 bits of a row from `bit` (below 128) upwards, zeros beyond its end."""
    if bit >= 64:
        return high >> (bit - 64)
    return (low >> bit) | (high << 1 << (63 - bit))
