"""What counts as a MIDI file by its name, and contents that the thread that parses them has to unpack first."""

from __future__ import annotations

import os
import zlib
from typing import TypeAlias

__all__ = [
    "MAX_MEMBER_BYTES",
    "Content",
    "Deflated",
    "Gzipped",
    "Packed",
    "PlainFile",
    "gunzip",
    "is_gzipped",
    "is_midi_name",
    "strip_ending",
    "words",
]

#: A file in an archive, or compressed, that is larger than this is left alone: no MIDI file comes near, a
#: decompression bomb does.
MAX_MEMBER_BYTES = 64 << 20

# .midi2, .xmf and .mxmf are other formats of the same world: they are counted, and the report says what they are.
_PLAIN = (b".mid", b".midi", b".kar", b".rmi", b".smf", b".midi2", b".xmf", b".mxmf")
_GZIPPED = tuple(ending + b".gz" for ending in _PLAIN)
_ALL = _PLAIN + _GZIPPED

DAMAGED = "in archive: damaged"
TOO_LARGE = f"in archive: larger than {MAX_MEMBER_BYTES >> 20} MiB"
_GZIP_DAMAGED = "gzip: damaged or cut short"
_GZIP_TOO_LARGE = f"gzip: larger than {MAX_MEMBER_BYTES >> 20} MiB"
_APPLE = b"__MACOSX"


def is_midi_name(name: bytes) -> bool:
    """Say whether a name is that of a MIDI file: its ending in any case, alone or followed by ``.gz``.

    What macOS puts beside a file, ``._NAME`` and whatever lies in ``__MACOSX``, is not one.

    Examples
    --------
    >>> is_midi_name(b"Fugue.MID"), is_midi_name(b"fugue.mid.gz"), is_midi_name(b"fugue.mp3")
    (True, True, False)
    >>> is_midi_name(b"songs/._Fugue.mid"), is_midi_name(b"__MACOSX/Fugue.mid")
    (False, False)
    """
    if not (name.endswith(b".mid") or name.lower().endswith(_ALL)):  # most names need no copy
        return False
    if b"_" not in name:
        return True
    *folders, last = name.split(b"/")
    return not last.startswith(b"._") and _APPLE not in folders


def is_gzipped(name: bytes) -> bool:
    """Say whether a name ends in ``.gz``."""
    return name[-3:].lower() == b".gz"


def strip_ending(name: bytes) -> bytes:
    """Return a name without the ending of a MIDI file, if it has one.

    Examples
    --------
    >>> strip_ending(b"a/Fugue.mid.gz"), strip_ending(b"No. 2")
    (b'a/Fugue', b'No. 2')
    """
    lower = name.lower()
    return next((name[: -len(ending)] for ending in _ALL if lower.endswith(ending)), name)


def words(error: OSError) -> str:
    """Return the system's own words in lower case, without the file's name, so that reasons can be counted."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def gunzip(data: bytes) -> tuple[bytes, str | None]:
    """Decompress a gzip file of one or several parts.

    Returns
    -------
    content : bytes
        At most `MAX_MEMBER_BYTES`; empty where there is a reason.
    reason : str or None
        Why it cannot be decompressed.
    """
    content = b""
    while data:
        inflater = zlib.decompressobj(31)
        try:
            content += inflater.decompress(data, MAX_MEMBER_BYTES + 1 - len(content))
        except zlib.error:
            return b"", _GZIP_DAMAGED
        if len(content) > MAX_MEMBER_BYTES:
            return b"", _GZIP_TOO_LARGE
        if not inflater.eof:
            return b"", _GZIP_DAMAGED
        data = inflater.unused_data.lstrip(b"\0")  # tapes are padded with zeros
    return content, None


class Packed:
    """A content that is still to be unpacked, or read. The classes are plain: a dataclass is compiled at each start."""

    def __len__(self) -> int:
        """Return the bytes that it takes once unpacked, or an estimate."""
        raise NotImplementedError

    def unpack(self) -> tuple[bytes, str | None]:
        """Return the content, or nothing and a reason."""
        raise NotImplementedError


class Deflated(Packed):
    """A member of a zip as it lies there.

    Attributes
    ----------
    data
        The compressed bytes.
    size, crc
        Of the content, as the archive declares them.
    gzipped
        Whether the content is a gzip file in turn.
    """

    def __init__(self, data: bytes, size: int, crc: int, gzipped: bool) -> None:
        self.data, self.size, self.crc, self.gzipped = data, size, crc, gzipped

    def __len__(self) -> int:
        """Return the bytes that the member takes once unpacked."""
        return self.size

    def unpack(self) -> tuple[bytes, str | None]:
        """Return the content, or nothing and a reason."""
        try:
            content = zlib.decompressobj(-15).decompress(self.data, self.size + 1)
        except zlib.error:
            return b"", DAMAGED
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            return b"", DAMAGED
        return gunzip(content) if self.gzipped else (content, None)


class Gzipped(Packed):
    """A gzip file: its bytes, or the path where they are.

    Attributes
    ----------
    data
        The compressed bytes, None where they are to be read from `path`.
    path
        A file to open.
    size
        Bytes of the compressed file.
    """

    def __init__(self, data: bytes | None, path: bytes, size: int) -> None:
        self.data, self.path, self.size = data, path, size

    def __len__(self) -> int:
        """Return an estimate of the bytes that the content takes: MIDI files shrink to a third or less."""
        return 4 * self.size

    def unpack(self) -> tuple[bytes, str | None]:
        """Return the content, or nothing and a reason."""
        if self.data is not None:
            return gunzip(self.data)
        try:
            with open(self.path, "rb") as file:
                data = file.read(MAX_MEMBER_BYTES + 1)
        except OSError as error:
            return b"", f"unreadable ({os.strerror(error.errno or 0)})"
        return gunzip(data) if len(data) <= MAX_MEMBER_BYTES else (b"", _GZIP_TOO_LARGE)


class PlainFile(Packed):
    """A file that lies among compressed ones."""

    def __init__(self, path: bytes) -> None:
        self.path = path

    def __len__(self) -> int:
        """Return 0: it is read when its turn comes."""
        return 0

    def unpack(self) -> tuple[bytes, str | None]:
        """Return the content, or nothing and a reason."""
        try:
            with open(self.path, "rb") as file:
                return file.read(), None
        except OSError as error:
            return b"", f"unreadable ({os.strerror(error.errno or 0)})"


#: What a member holds: its bytes, or something that gives them when it is unpacked.
Content: TypeAlias = "bytes | Packed"
