"""What the MIDI reader mends: the codes, what they mean, and how strict reading words them."""

from __future__ import annotations

from rollcore.errors import MidiError

#: Every repair the reader makes: its code and what was done.
REPAIRS: dict[str, str] = {
    "bytes_before_header": "bytes before MThd were skipped",
    "wrapper_length": "the RMID wrapper declares a wrong length; read to the end of the file",
    "header_length": "MThd does not have the length it declares; read as the standard's six bytes",
    "unknown_format": "a format other than 0, 1 or 2 was read as 1",
    "format_0_tracks": "a format 0 file with several tracks; all were read",
    "track_count": "MThd declares another number of tracks than there are; all were read",
    "zero_division": "a division of 0 was read as 480 ticks per beat",
    "smpte_division": "an SMPTE division with an impossible rate was read as the nearest one",
    "track_too_long": "a track is shorter than its declared length",
    "track_too_short": "a track is longer than its declared length; read to its real end",
    "missing_end_of_track": "a track without an end-of-track event ends with its last event",
    "data_after_end_of_track": "bytes after an end-of-track event were skipped",
    "unknown_bytes": "bytes between two chunks that belong to no chunk were skipped",
    "trailing_bytes": "bytes after the last chunk were skipped",
    "second_header": "a second MThd starts another piece; reading ended there",
    "truncated_event": "an event is cut off by the end of its track and was dropped",
    "long_quantity": "a variable-length quantity of more than four bytes; the track ends there",
    "payload_past_end": "a meta or sysex event longer than the rest of its track; the track ends there",
    "data_without_status": "data bytes before any status byte were skipped",
    "running_status_kept": "running status after a meta or sysex event, which cancels it, was kept",
    "system_message": "a system message that has no place in a file was skipped",
    "pitch_above_127": "a note with a pitch above 127 was dropped",
    "data_above_127": "a data byte above 127: a note's velocity was read as 127, other events were ignored",
    "meta_type_above_127": "a meta event with a type above 127 was skipped",
    "short_meta": "a meta event with too short a payload was ignored",
    "zero_tempo": "a tempo of 0 was ignored",
    "absurd_signature": "an impossible key or time signature was ignored",
    "stray_note_off": "a note-off with no note to end was ignored",
    "unended_note": "a note that nothing ends was dropped",
    "all_notes_off": "a note with no note-off was ended by a controller that switches off all notes of its channel",
    "held_to_end": "a note with no note-off was ended by the end of its track",
}
REPAIR_CODES: tuple[str, ...] = tuple(REPAIRS)

# What strict reading expects where the tolerant reading mends, and how it words what it found there.
_STRICT_WORDING: dict[str, tuple[str, str]] = {
    "bytes_before_header": ("MThd", "{found} other bytes first"),
    "wrapper_length": ("a RIFF data chunk of {expected} bytes", "a length of {found}"),
    "header_length": ("a header of 6 bytes or more that is all there", "{found}"),
    "unknown_format": ("format 0, 1 or 2", "{found}"),
    "format_0_tracks": ("one track in format 0", "{found}"),
    "track_count": ("a track count of {expected}", "{found}"),
    "zero_division": ("at least 1 tick per beat", "0"),
    "smpte_division": ("an SMPTE division of 24, 25, 29 or 30 frames and at least 1 tick", "0x{found:04X}"),
    "track_too_long": ("a track length of {expected}", "{found}"),
    "track_too_short": ("a track length of {expected}", "{found}"),
    "missing_end_of_track": ("an end-of-track event", "the end of the track"),
    "data_after_end_of_track": ("the end of the track after its end-of-track event", "{found} more bytes"),
    "unknown_bytes": ("a chunk", "0x{found:02X}"),
    "trailing_bytes": ("a chunk or the end of the file", "0x{found:02X}"),
    "second_header": ("one MThd", "a second one after {found} tracks"),
    "truncated_event": ("the rest of an event", "the end of the track"),
    "long_quantity": ("a variable-length quantity of at most 4 bytes", "a longer one"),
    "payload_past_end": ("a payload of at most {expected} bytes", "a length of {found}"),
    "data_without_status": ("a status byte", "0x{found:02X}"),
    "running_status_kept": ("a status byte after a meta or sysex event", "0x{found:02X}"),
    "system_message": ("a channel, meta or sysex event", "0x{found:02X}"),
    "pitch_above_127": ("a pitch from 0 to 127", "{found}"),
    "data_above_127": ("a data byte from 0 to 127", "{found}"),
    "meta_type_above_127": ("a meta event type from 0 to 127", "{found}"),
    "short_meta": ("a meta payload of at least {expected} bytes", "{found}"),
    "zero_tempo": ("a tempo above 0", "0"),
    "absurd_signature": ("a possible key or time signature", "0x{found:04X}"),
    "stray_note_off": ("a note-off for a sounding note", "one for pitch {found}"),
    "unended_note": ("a note that has a note-off", "pitch {found} without one"),
    "all_notes_off": ("a note that has a note-off", "pitch {found} with controller 120 or 123 alone"),
    "held_to_end": ("a note that has a note-off", "pitch {found} with the end of its track alone"),
}


# What goes by the name of a MIDI file in the wild, by its first bytes in lower case.
_KINDS: dict[str, tuple[bytes, ...]] = {
    "a web page": (b"<!doctype html", b"<html", b"<head"),
    "XML": (b"<?xml", b"<"),
    "a Git LFS pointer: git lfs pull": (b"version https://git-lfs",),
    "a MIDI 2.0 clip": (b"smf2clip",),
    "XMF": (b"xmf_",),
    "base64 text": (b"tvroz",),
    "a zip archive": (b"pk\x03\x04",),
    "a RAR archive": (b"rar!",),
    "a 7z archive": (b"7z\xbc\xaf\x27\x1c",),
    "compressed with gzip": (b"\x1f\x8b",),
    "compressed with bzip2": (b"bzh",),
    "compressed with xz": (b"\xfd7zxz",),
    "compressed with Zstandard": (b"\x28\xb5\x2f\xfd",),
    "MP3 audio": (b"id3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "Ogg audio": (b"oggs",),
    "FLAC audio": (b"flac",),
    "a RIFF file that is not RMID": (b"riff",),
    "zeros": (b"\0\0\0\0",),
}
# The same by bytes further on: where they begin, and what they are in lower case.
_KINDS_WITHIN: dict[str, tuple[int, bytes]] = {
    "WAV audio": (8, b"wave"),
    "XMI": (8, b"xdir"),
    "an LHA archive": (2, b"-lh"),
    "a tar archive": (257, b"ustar"),
}


def strict_error(file: str, code: int, offset: int, found: int, expected: int) -> MidiError:
    """Word the repair that the parser reports as the first one of a file.

    Parameters
    ----------
    file
        Name of the file.
    code
        Index into ``REPAIR_CODES``.
    offset
        Byte offset of the fault.
    found, expected
        The value that stands there, and the one that should where the code has one.

    Examples
    --------
    >>> print(strict_error("a.mid", REPAIR_CODES.index("track_too_long"), 18, 9000, 112))
    a.mid: byte 18: expected a track length of 112, found 9000
    """
    wording = _STRICT_WORDING[REPAIR_CODES[code]]
    return MidiError(file, offset, *(text.format(found=found, expected=expected) for text in wording))


def skip_reason(status: int, head: bytes) -> str:
    """Word why a file could not be read at all: one of a few wordings, so that they can be counted.

    Parameters
    ----------
    status
        The parser's status: 1 empty, 2 not MIDI, 3 out of memory, 4 too large, 5 with line ends translated.
    head
        The file's first bytes: some 250 are enough.

    Examples
    --------
    >>> skip_reason(2, b"<html><head>")
    'not a MIDI file (a web page)'
    >>> skip_reason(2, b"SMF2CLIP")
    'not a MIDI file (a MIDI 2.0 clip)'
    """
    if status == 1:
        return "empty file"
    if status == 3:
        return "out of memory"
    if status == 4:
        return "file of 2 GiB or more"
    if status == 5:
        return "line ends translated (0D 0A where 0A was)"
    return f"not a MIDI file ({_kind(head)})"


def _kind(head: bytes) -> str:
    """Name the kind of a file by its first bytes; of a few hundred, those of a MusicXML file tell it."""
    lower = head.lower()
    for kind, (at, sign) in _KINDS_WITHIN.items():
        if lower.startswith(sign, at):
            return kind
    start = lower.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((kind for kind, signs in _KINDS.items() if start.startswith(signs)), "no MThd")
    if kind == "XML" and any(sign in lower for sign in (b"score-partwise", b"score-timewise", b"musicxml")):
        return "MusicXML"
    return "a web page" if kind == "XML" and b"<html" in lower else kind


def first_bytes(head: bytes) -> str:
    """Show a file's first five bytes, as text where they are text.

    Examples
    --------
    >>> first_bytes(b"<html><head>"), first_bytes(bytes([80, 75, 3, 4]))
    ("'<html'", '50 4b 03 04')
    """
    start = head[:5].decode("latin-1")
    return repr(start) if start.isascii() and start.isprintable() else head[:5].hex(" ")
