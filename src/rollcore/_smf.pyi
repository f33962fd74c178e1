def parse(
    data: bytes | bytearray | memoryview,
) -> tuple[
    int,
    tuple[int, int, int, int],
    bytes,
    bytes,
    bytes,
    bytes,
    bytes,
    bytes,
    bytes,
    list[tuple[int, int, int]],
    int,
    list[int],
    tuple[int, int, int, int],
]:
    """Read a Standard MIDI File's bytes into packed columns, without the GIL.

    Parameters
    ----------
    data
        The whole file, contiguous.

    Returns
    -------
    status
        0 read, 1 empty, 2 not a MIDI file, 4 of 2 GiB or more, 5 with line ends translated.
    header
        Format, ticks per beat (0 under SMPTE division), SMPTE frames per second and ticks per frame (0 under
        metrical division).
    notes, tempos, pedals, time signatures
        Rows of ``midi.NOTE_DTYPE`` (sorted by onset, track, channel, pitch, offset), of tick,
        microseconds per beat and track, of ``midi.PEDAL_DTYPE``, and of ``midi.TIME_SIGNATURE_DTYPE`` (these three
        sorted by tick).
    controllers, programs, parts
        Rows of ``midi.CONTROLLER_DTYPE``, ``midi.PROGRAM_DTYPE`` and ``midi.PART_DTYPE``, sorted by tick.
    names, number of tracks
        Of each name of a track its track, and its first byte and length in the file.
    repairs
        How often each repair was made, in the order of ``midi.REPAIR_CODES``, padded with zeros.
    first
        The repair nearest the start of the file: code (-1 when none), byte offset, value found and
        value expected.

    Raises
    ------
    MemoryError
        When the columns do not fit.
    """
