"""The MIDI files of a tar archive, read in one pass in its own order.

The headers are read here because `tarfile` takes longer over a small member than decompressing it takes. Read are
the forms that are written today (POSIX ustar and pax, GNU) and the old ones that differ from them in nothing that
matters here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import IO

from rollcore.sources.members import DAMAGED, MAX_MEMBER_BYTES, TOO_LARGE, Content, Gzipped, is_gzipped, is_midi_name

__all__ = ["MoreBehindEnd", "read_tar"]

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
#: Long names and attributes that stand before a member's header: no more of them than this, nor of such headers.
_MAX_EXTENSION_BYTES = 4 << 20
_MAX_EXTENSIONS = 64
_READ_BYTES = 256 << 10

_REGULAR = b"0\0007"
_LINKS = b"12"
_WITHOUT_CONTENT = b"123456"
# The old GNU form of a sparse file may have more blocks of header: where the first, and where these say so.
_SPARSE_GOES_ON, _SPARSE_BLOCK_GOES_ON = 482, 504
_LONG_NAME, _LONG_LINK, _PAX, _PAX_FOR_ALL, _SPARSE, _FOLDER = b"L", b"K", b"xX", b"g", b"S", b"5"
_EXTENSIONS = (b"x", b"X", _PAX_FOR_ALL, _LONG_NAME, _LONG_LINK)


class MoreBehindEnd(Exception):
    """Something stands behind the end of the archive."""


class _Header:
    """A member: its name, its type flag, and the bytes of content that follow."""

    def __init__(self, name: bytes, kind: bytes, size: int) -> None:
        self.name, self.kind, self.size = name, kind, size


class _Blocks:
    """The archive's bytes in order; `EOFError` where they end early."""

    def __init__(self, stream: IO[bytes], seek: Callable[[int, int], int] | None) -> None:
        self._stream = stream
        self._seek = seek
        self._buffer = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        stop = self._at + size
        if stop > len(self._buffer):
            parts = [self._buffer[self._at :]]
            missing = size - len(parts[0])
            while missing > 0:
                block = self._stream.read(_READ_BYTES)
                if not block:
                    raise EOFError
                parts.append(block)
                missing -= len(block)
            self._buffer, self._at, stop = b"".join(parts), 0, size
        piece = self._buffer[self._at : stop]
        self._at = stop
        return piece

    def skip(self, size: int) -> None:
        """Pass over bytes without holding them; past the end the next `take` raises."""
        held = len(self._buffer) - self._at
        if size <= held:
            self._at += size
            return
        self._buffer, self._at, size = b"", 0, size - held
        if self._seek is not None:
            self._seek(size, 1)
            return
        while size > 0:
            block = self._stream.read(_READ_BYTES)
            if not block:
                raise EOFError
            if len(block) > size:
                self._buffer, self._at = block, size
            size -= len(block)

    def rest(self) -> Iterator[bytes]:
        """Give all that is left."""
        yield self._buffer[self._at :]
        self._buffer, self._at = b"", 0
        while block := self._stream.read(_READ_BYTES):
            yield block


def read_tar(
    stream: IO[bytes], seek: Callable[[int, int], int] | None = None
) -> Iterator[tuple[bytes, Content, str | None]]:
    """Read the MIDI files of a tar.

    Parameters
    ----------
    stream
        The tar, decompressed.
    seek
        How to move in the stream without reading it, where that can be done.

    Yields
    ------
    name, content, reason
        As :func:`rollcore.sources.archives.read_archive` has them.

    Raises
    ------
    EOFError, ValueError
        When the archive is damaged or cut short.
    MoreBehindEnd
        When something else than zeros stands behind its end.
    """
    blocks = _Blocks(stream, seek)
    while (header := _next_header(blocks)) is not None:
        name, padding = header.name.removeprefix(b"./"), -header.size % _BLOCK
        if header.kind in _FOLDER or name.endswith(b"/") or not is_midi_name(name):
            blocks.skip(header.size + padding)
        elif header.kind not in _REGULAR:
            blocks.skip(header.size + padding)
            if header.kind == _SPARSE:
                reason = "in archive: a sparse file"
            else:
                reason = "in archive: a link" if header.kind in _LINKS else "in archive: not a regular file"
            yield name, b"", reason
        elif header.size > MAX_MEMBER_BYTES:
            yield name, b"", TOO_LARGE
            blocks.skip(header.size + padding)
        else:
            try:
                content = blocks.take(header.size + padding)[: header.size]
            except Exception:
                yield name, b"", DAMAGED
                raise
            yield name, (Gzipped(content, b"", header.size) if is_gzipped(name) else content), None
    # To the end, where a compressed stream has its checksum.
    more = False
    for block in blocks.rest():
        more |= block.count(0) < len(block)
    if more:
        raise MoreBehindEnd


def _next_header(blocks: _Blocks) -> _Header | None:
    """Read the header of a member with what stands before it; None at the archive's end."""
    long_name: bytes | None = None
    attributes: dict[bytes, bytes] = {}
    for _ in range(_MAX_EXTENSIONS):
        block = blocks.take(_BLOCK)
        if block == _ZEROS:
            return None
        header = _parse(block)
        if header.kind == _SPARSE and block[_SPARSE_GOES_ON]:
            while blocks.take(_BLOCK)[_SPARSE_BLOCK_GOES_ON]:
                pass
        if header.kind in _EXTENSIONS:
            if header.size > _MAX_EXTENSION_BYTES:
                raise ValueError
            content = blocks.take(header.size + -header.size % _BLOCK)[: header.size]
            if header.kind == _LONG_NAME:
                long_name = content.partition(b"\0")[0]
            elif header.kind in _PAX:
                attributes = _attributes(content)
            continue
        if long_name is not None:
            header.name = long_name
        for key, value in attributes.items():
            if key == b"path":
                header.name = value
            elif key == b"size":
                header.size = int(value)
            elif key.startswith(b"GNU.sparse."):
                header.kind = _SPARSE
        header.name = attributes.get(b"GNU.sparse.name", header.name)
        if header.kind in _WITHOUT_CONTENT:
            header.size = 0
        if header.size < 0:
            raise ValueError
        return header
    raise ValueError


def _parse(block: bytes) -> _Header:
    """Read a header block (POSIX.1-2017, pax, "ustar Interchange Format"); `ValueError` where it is not one."""
    # The sum of all bytes, those of the sum itself counted as blanks; an old form counts them with a sign.
    declared, rest = _number(block[148:156]), block[:148] + block[156:]
    # Adler-32 holds the sum of the bytes, and 1, modulo 65521: ten times as fast as adding them up here.
    if zlib.adler32(rest) & 0xFFFF != declared - 8 * 32 + 1:
        _check_sum(declared, rest)
    name, kind = block[:100].partition(b"\0")[0], block[156:157]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    return _Header(name, kind, _number(block[124:136]))


def _check_sum(declared: int, rest: bytes) -> None:
    """Raise ValueError unless the sum is right: the plain one, or that of bytes with a sign."""
    plain = sum(rest) + 8 * 32
    if declared not in (plain, plain - 256 * sum(byte > 127 for byte in rest)):
        raise ValueError


def _number(field: bytes) -> int:
    """Read a number: octal digits, or in the GNU form of large ones bits."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    digits = field.partition(b"\0")[0]
    if digits.isdigit():  # as most archives have it
        return int(digits, 8)
    digits = digits.strip()
    if digits.startswith((b"-", b"+")) or b"_" in digits:
        raise ValueError
    return int(digits or b"0", 8)


def _attributes(content: bytes) -> dict[bytes, bytes]:
    """Read a pax header: records of a length, a blank, a key, an equals sign, a value and a line end."""
    found = {}
    at = 0
    while at < len(content) and content[at]:
        blank = content.index(b" ", at)
        length = int(content[at:blank])
        record = content[blank + 1 : at + length]
        if not blank - at + 3 <= length <= len(content) - at or not record.endswith(b"\n"):
            raise ValueError
        key, _, value = record[:-1].partition(b"=")
        found[key] = value
        at += length
    return found
