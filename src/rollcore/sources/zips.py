"""The MIDI files of a zip archive, in the order of the same folder; nothing is unpacked to disk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from rollcore.sources.members import (
    DAMAGED,
    MAX_MEMBER_BYTES,
    TOO_LARGE,
    Content,
    Deflated,
    Gzipped,
    is_gzipped,
    is_midi_name,
)

__all__ = ["read_zip"]

# APPNOTE 4.3.12, the header of a member in the central directory: flags, method, crc, compressed size, size, lengths
# of name, extra field and comment, disk, offset of the local header.
_ENTRY = struct.Struct("<4s4xHH4xIIIHHHH6xI")
_END = struct.Struct("<4s4xHHII2x")  # 4.3.16: entries on this disk, entries, size and offset of the directory
_END_64 = struct.Struct("<4s20x8xQQQ")  # 4.3.14: entries, size and offset of the directory
_LOCAL_SIZE = 30
_LOCATOR_64 = b"PK\x06\x07"
_LONGEST_COMMENT = 0xFFFF
_WIDE = 0xFFFFFFFF  # a field of 32 bits whose value stands in the zip64 extra field
# Local headers have extra fields of their own; most of them are shorter than this.
_READ_AHEAD = 64
_ENCRYPTED, _STORED, _DEFLATED = 1, 0, 8


def read_zip(file: BinaryIO) -> Iterator[tuple[bytes, Content, str | None]]:
    """Read the MIDI files of a zip.

    The directory is held in memory as it is, with the names of its MIDI files: some 300 bytes a member.

    Yields
    ------
    name, content, reason
        As :func:`rollcore.sources.archives.read_archive` has them.

    Raises
    ------
    EOFError, ValueError
        When the archive is damaged or cut short.
    """
    directory, shift = _directory(file)
    members = []  # where the directory has an entry, behind the key that it is sorted by
    at = 0
    while at < len(directory):
        if at + _ENTRY.size > len(directory):
            raise EOFError
        signature, *_, name_size, extra, comment, _, _ = _ENTRY.unpack_from(directory, at)
        if signature != b"PK\x01\x02":
            raise ValueError
        start = at + _ENTRY.size
        name = directory[start : start + name_size].partition(b"\0")[0].removeprefix(b"./")
        if is_midi_name(name):
            # As a folder is walked: the slash before all other characters.
            members.append((name.replace(b"/", b"\0"), at))
        at = start + name_size + extra + comment
    members.sort()
    for key, at in members:
        name = key.replace(b"\0", b"/")
        yield name, *_member(file, name, directory, at, shift)


def _directory(file: BinaryIO) -> tuple[bytes, int]:
    """Return the central directory, and by how much the offsets in it are to be moved."""
    end = file.seek(0, 2)
    tail_start = max(0, end - _END.size - _LONGEST_COMMENT - 76)
    file.seek(tail_start)
    tail = file.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or found + _END.size > len(tail):
        raise EOFError
    _, _, _, size, offset = _END.unpack_from(tail, found)
    stop = tail_start + found
    if found >= 76 and tail[found - 20 : found - 16] == _LOCATOR_64 and tail[found - 76 : found - 72] == b"PK\x06\x06":
        _, _, size, offset = _END_64.unpack_from(tail, found - 76)
        stop -= 76
    shift = stop - size - offset  # bytes that stand before the archive, as in one that extracts itself
    if shift < 0:
        raise ValueError
    file.seek(stop - size)
    directory = file.read(size)
    if len(directory) != size:
        raise EOFError
    return directory, shift


def _member(file: BinaryIO, name: bytes, directory: bytes, at: int, shift: int) -> tuple[Content, str | None]:
    """Read one member: its bytes as they lie there, or nothing and a reason."""
    _, flags, method, crc, packed, size, name_size, extra, _, _, offset = _ENTRY.unpack_from(directory, at)
    if _WIDE in (packed, size, offset):
        start = at + _ENTRY.size + name_size
        size, packed, offset = _wide_fields(directory[start : start + extra], size, packed, offset)
    if flags & _ENCRYPTED:
        return b"", "in archive: encrypted"
    if max(size, packed) > MAX_MEMBER_BYTES:
        return b"", TOO_LARGE
    if method not in (_STORED, _DEFLATED):
        return b"", "in archive: packed by a method other than deflate"
    if not 0 <= offset < 1 << 62:
        return b"", DAMAGED
    file.seek(shift + offset)
    block = file.read(_LOCAL_SIZE + name_size + _READ_AHEAD + packed)
    if len(block) < _LOCAL_SIZE or not block.startswith(b"PK\x03\x04"):
        return b"", DAMAGED
    start = _LOCAL_SIZE + sum(struct.unpack_from("<HH", block, 26))
    data = block[start : start + packed]
    if len(data) < packed:
        file.seek(shift + offset + start)
        data = file.read(packed)
    if len(data) < packed:
        return b"", DAMAGED
    if method == _DEFLATED:
        return Deflated(data, size, crc, is_gzipped(name)), None
    if len(data) != size or zlib.crc32(data) != crc:
        return b"", DAMAGED
    return (Gzipped(data, b"", size) if is_gzipped(name) else data), None


def _wide_fields(extra: bytes, *fields: int) -> list[int]:
    """Take the values that do not fit into 32 bits from the zip64 extra field (APPNOTE 4.5.3)."""
    wide, at = b"", 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = extra[at + 4 : at + 4 + length]
            break
        at += 4 + length
    found = []
    for field in fields:
        if field == _WIDE and len(wide) >= 8:
            field, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        found.append(field)
    return found
