# The inner loops of echoes: hashes of frames, the lag at which the latest frames have their longest match, and lag and
# transposition at which they have the most similar one.
#
# Private: echo.py checks, allocates and explains. Nothing here holds the GIL, looks at a bound or raises.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef enum:
    _LONGEST = 32
    _TOLD = 24
    # How alike two frames are, from 0 to _ALIKE; sums of that, of which 3/16 are forgotten a frame, are _MOST at most.
    _ALIKE = 4096
    _MOST = 16 * _ALIKE / 3
    # What a transposed past must be more alike by.
    _STEADY = _ALIKE / 2
    # Transpositions: none, one up, one down, two up and so on. One lane more fills the vectors and is never looked at.
    _SHIFTS = 15
    _LANES = 16
    # Words of a frame of one voice, at most.
    _WIDEST = 4

LONGEST = _LONGEST
TOLD = _TOLD
LANES = _LANES
WIDEST = _WIDEST


cdef struct Found:
    int64_t lag     # 0 where there is none
    uint8_t run


cdef struct Likest:
    int64_t lag     # 0 where there is none
    int64_t shift   # semitones up
    int32_t alike


def mix(const uint64_t[:, ::1] words, uint64_t[::1] keys):
    """Write to *keys* the hash of each row of *words*."""
    cdef Py_ssize_t t
    with nogil:
        for t in range(words.shape[0]):
            keys[t] = _mix(&words[t, 0], words.shape[1])


def find(const uint64_t[::1] keys, uint8_t[::1] runs, uint32_t[::1] lags, uint8_t[::1] match):
    """Write the lag and the run of each frame of a piece; *runs* has a zero for each lag."""
    cdef Py_ssize_t t
    cdef Found found
    with nogil:
        for t in range(1, keys.shape[0]):
            found = _listen(&keys[0], t, &runs[0], runs.shape[0])
            lags[t], match[t] = <uint32_t>found.lag, found.run


def step(const uint64_t[:, :, ::1] words, uint64_t[:, ::1] keys, Py_ssize_t t, uint8_t[:, ::1] runs,
         const int64_t[::1] told, uint64_t[:, ::1] echo, uint8_t[::1] match, int64_t[::1] lags):
    """Write echo, run and lag of frame *t* of each output; *keys* and *runs* move on to it."""
    cdef Py_ssize_t n, width = words.shape[2], reach = runs.shape[1]
    cdef Found found
    cdef uint8_t *run
    with nogil:
        for n in range(words.shape[0]):
            keys[n, t - 1] = _mix(&words[n, t - 1, 0], width)
            found = _listen(&keys[n, 0], t, &runs[n, 0], reach)
            if 0 < told[n] <= min(t, reach):
                run = &runs[n, reach - told[n]]
                run[0] = max(run[0], <uint8_t>_TOLD)
                if found.run < run[0]:
                    found.lag, found.run = told[n], run[0]
            lags[n], match[n] = found.lag, found.run
            if found.lag:
                memcpy(&echo[n, 0], &words[n, t - found.lag, 0], <size_t>width * 8)


def find_varied(const uint64_t[:, ::1] words, int32_t[:, ::1] alike, uint64_t[:, ::1] echoes, uint32_t[:, ::1] lags,
                int8_t[:, ::1] shifts, uint8_t[:, ::1] degrees):
    """Write lags, transpositions and degrees of each frame of a piece.

    *alike* has `LANES` zeros for each lag; *echoes* receives those of a frame after another.
    """
    cdef Py_ssize_t t, k, width = words.shape[1], reach = alike.shape[0]
    cdef Likest found
    with nogil:
        for t in range(1, words.shape[0]):
            _resemble(&words[0, 0], width, t, &alike[0, 0], reach)
            for k in range(lags.shape[1]):
                found = _likest(&words[0, 0], width, t, &alike[0, 0], reach, &echoes[0, 0], k)
                lags[t, k], shifts[t, k], degrees[t, k] = <uint32_t>found.lag, <int8_t>found.shift, _degree(found.alike)
                if not found.lag:
                    break


def step_varied(const uint64_t[:, :, ::1] words, Py_ssize_t t, int32_t[:, :, ::1] alike, uint64_t[:, :, ::1] echoes,
                uint8_t[:, ::1] degrees):
    """Write echoes and degrees of frame *t* of each output; *alike* moves on to it."""
    cdef Py_ssize_t n, k, width = words.shape[2], reach = alike.shape[1]
    cdef Likest found
    with nogil:
        for n in range(words.shape[0]):
            _resemble(&words[n, 0, 0], width, t, &alike[n, 0, 0], reach)
            for k in range(echoes.shape[1]):
                found = _likest(&words[n, 0, 0], width, t, &alike[n, 0, 0], reach, &echoes[n, 0, 0], k)
                degrees[n, k] = _degree(found.alike)
                if not found.lag:
                    break


cdef uint64_t _mix(const uint64_t *words, Py_ssize_t width) noexcept nogil:
    """Return the hash of a row, a round of splitmix64 for each word."""
    cdef uint64_t key = 0
    cdef Py_ssize_t k
    for k in range(width):
        key = (key ^ words[k]) * <uint64_t>0xBF58476D1CE4E5B9
        key = (key ^ (key >> 27)) * <uint64_t>0x94D049BB133111EB
        key ^= key >> 31
    return key


cdef Found _listen(const uint64_t *keys, Py_ssize_t t, uint8_t *runs, Py_ssize_t reach) noexcept nogil:
    """Move *runs* on to the time before frame *t*; return the echo's lag and its run.

    ``runs[reach - lag]`` is how many of the latest frames equal those a lag before them, up to the longest: from the
    longest lag to the shortest, as the frames stand in memory. They are zeros before frame 1.
    """
    cdef Py_ssize_t lags = min(t - 1, reach), lag
    cdef uint8_t longest = _move_on(runs + reach - lags, keys + t - 1 - lags, lags)
    if longest:
        for lag in range(1, lags + 1):
            if runs[reach - lag] == longest:
                return Found(lag, longest)
    return Found(0, 0)


cdef uint8_t _move_on(uint8_t *runs, const uint64_t *past, Py_ssize_t lags) noexcept nogil:
    """Lengthen the runs of lags whose frame equals the latest, ``past[lags]``, end the others; return the longest."""
    cdef uint64_t last = past[lags], other
    cdef uint8_t longest = 0, differs
    cdef Py_ssize_t k
    for k in range(lags):
        # Not a comparison, for which the vectors that every x86-64 has know no instruction: three times as fast.
        other = past[k] ^ last
        differs = (other | (0 - other)) >> 63
        runs[k] = <uint8_t>(runs[k] + (runs[k] < _LONGEST)) & <uint8_t>(differs - 1)
        longest = max(longest, runs[k])
    return longest


cdef uint8_t _degree(int32_t alike) noexcept nogil:
    """Return how alike the past is, from 0 to 255."""
    return <uint8_t>(alike * 255 // _MOST)


cdef int64_t _shift(Py_ssize_t lane) noexcept nogil:
    """Return the semitones of a lane."""
    return (lane + 1) // 2 if lane % 2 else -(lane // 2)


cdef void _resemble(const uint64_t *words, Py_ssize_t width, Py_ssize_t t, int32_t *alike, Py_ssize_t reach
                    ) noexcept nogil:
    """Move *alike* on to the time before frame *t*.

    Row ``reach - lag`` says how alike the latest frames and those a lag before them are, in each transposition: from
    the longest lag to the shortest, as the frames stand in memory. They are zeros before frame 1.
    """
    cdef Py_ssize_t lags = min(t - 1, reach), lane, k
    cdef const uint64_t *latest = words + (t - 1) * width
    cdef uint64_t wanted[_WIDEST * _LANES]
    for lane in range(_LANES):
        # What was so much lower in the past was as the latest frame is, so much down.
        for k in range(0, width, 2):
            _transpose(latest + k, -_shift(lane), wanted + k * _LANES + lane, _LANES)
    for k in range(-lags, 0):
        _compare(wanted, latest + k * width, width, _notes(latest, width), alike + (reach + k) * _LANES)


cdef Likest _likest(const uint64_t *words, Py_ssize_t width, Py_ssize_t t, const int32_t *alike, Py_ssize_t reach,
                    uint64_t *echoes, Py_ssize_t number) noexcept nogil:
    """Find the past most like the latest frames of those that go on otherwise than *number* others; write how it does.

    Of equals, the shorter lag wins, then the smaller transposition.
    """
    cdef Py_ssize_t lag, lane, k
    cdef uint64_t next[_WIDEST]
    cdef int32_t value
    cdef Likest best = Likest(0, 0, 0)
    for lag in range(1, min(t - 1, reach) + 1):
        for lane in range(_SHIFTS):
            value = alike[(reach - lag) * _LANES + lane] - (_STEADY if lane else 0)
            if value > best.alike:
                for k in range(0, width, 2):
                    _transpose(words + (t - lag) * width + k, _shift(lane), next + k, 1)
                if _is_new(next, echoes, width, number):
                    best = Likest(lag, _shift(lane), value)
                    memcpy(echoes + number * width, next, <size_t>width * 8)
    return best


cdef bint _is_new(const uint64_t *frame, const uint64_t *frames, Py_ssize_t width, Py_ssize_t number) noexcept nogil:
    """Return whether *frame* is none of so many *frames*."""
    cdef Py_ssize_t i
    for i in range(number):
        if not memcmp(frame, frames + i * width, <size_t>width * 8):
            return False
    return True


cdef void _compare(const uint64_t *wanted, const uint64_t *past, Py_ssize_t width, int32_t notes, int32_t *alike
                   ) noexcept nogil:
    """Add to *alike* how alike a frame of the *past* is to what is *wanted* in each lane.

    That is of the notes of either the share that both have (Jaccard's index); 1 of two silent frames.
    """
    cdef uint64_t both[_LANES]
    cdef int32_t common, either, share, every = notes + _notes(past, width)
    cdef Py_ssize_t lane, k
    for lane in range(_LANES):
        both[lane] = 0
    for k in range(width):
        for lane in range(_LANES):
            both[lane] += _in_bytes(wanted[k * _LANES + lane] & past[k])
    for lane in range(_LANES):
        common = _add_bytes(both[lane])
        # Whole numbers below 2^24, and quotients of which none is so near to a whole one that it is rounded to it.
        either = every - common
        share = <int32_t>(<float>(common * _ALIKE) / <float>max(either, 1)) if every else _ALIKE
        alike[lane] = (13 * alike[lane] >> 4) + share


cdef int32_t _notes(const uint64_t *words, Py_ssize_t width) noexcept nogil:
    """Return how many bits a row has."""
    cdef uint64_t found = 0
    cdef Py_ssize_t k
    for k in range(width):
        found += _in_bytes(words[k])
    return _add_bytes(found)


cdef uint64_t _in_bytes(uint64_t bits) noexcept nogil:
    """Return how many bits each byte has, in its place: what every processor can do, on several words at once."""
    bits -= (bits >> 1) & <uint64_t>0x5555555555555555
    bits = (bits & <uint64_t>0x3333333333333333) + ((bits >> 2) & <uint64_t>0x3333333333333333)
    return (bits + (bits >> 4)) & <uint64_t>0x0F0F0F0F0F0F0F0F


cdef int32_t _add_bytes(uint64_t counts) noexcept nogil:
    """Return the sum of the bytes."""
    counts = (counts & <uint64_t>0x00FF00FF00FF00FF) + ((counts >> 8) & <uint64_t>0x00FF00FF00FF00FF)
    counts += counts >> 16
    return <int32_t>((counts + (counts >> 32)) & 0xFFFF)


cdef void _transpose(const uint64_t *plane, int64_t shift, uint64_t *to, Py_ssize_t stride) noexcept nogil:
    """Write the two words of a *plane* up by *shift*, at most 63 either way, *stride* apart; what leaves it is lost."""
    cdef uint64_t low = plane[0], high = plane[1]
    if shift > 0:
        to[0], to[stride] = low << shift, high << shift | low >> (64 - shift)
    elif shift < 0:
        to[0], to[stride] = low >> -shift | high << (64 + shift), high >> -shift
    else:
        to[0], to[stride] = low, high
