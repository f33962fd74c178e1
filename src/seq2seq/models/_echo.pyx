# The inner loops of echoes: hashes of frames, and the lag at which the latest frames have their longest match.
#
# Private: echo.py checks, allocates and explains. Nothing here holds the GIL, looks at a bound or raises.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    _LONGEST = 32
    _TOLD = 24

LONGEST = _LONGEST
TOLD = _TOLD


cdef struct Found:
    int64_t lag     # 0 where there is none
    uint8_t run


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
