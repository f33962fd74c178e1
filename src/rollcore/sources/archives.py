"""The MIDI files inside zip and tar archives, read in one pass; nothing is unpacked to disk."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, cast

from rollcore.errors import RollcoreError

if TYPE_CHECKING:
    from tarfile import TarInfo
    from zipfile import ZipInfo

__all__ = ["MAX_MEMBER_BYTES", "ArchiveError", "is_archive", "is_midi_name", "needs_zstd", "read_archive"]

#: A member larger than this is left alone: no MIDI file comes near, a decompression bomb does.
MAX_MEMBER_BYTES = 64 << 20
#: A tar header, with the long name or the attributes that may stand before it, has ended by then.
MAX_HEADER_BYTES = 4 << 20

_MIDI = (b".mid", b".midi", b".kar", b".rmi", b".smf")
_ZIP = (b".zip",)
_GZIP = (b".tar.gz", b".tgz")
_BZ2 = (b".tar.bz2", b".tbz2")
_XZ = (b".tar.xz", b".txz")
_ZSTD = (b".tar.zst", b".tzst")
_ALL = (*_ZIP, b".tar", *_GZIP, *_BZ2, *_XZ, *_ZSTD)

_CUT = "archive: damaged or cut short"
_MORE = "archive: more stands behind its end, which is not read"
_DAMAGED = "in archive: damaged"
_TOO_LARGE = f"in archive: larger than {MAX_MEMBER_BYTES >> 20} MiB"


class ArchiveError(RollcoreError):
    """An archive cannot be read (further); the message is the reason, without the archive's name."""


def is_midi_name(name: bytes) -> bool:
    """Say whether a name ends in ``.mid``, ``.midi``, ``.kar``, ``.rmi`` or ``.smf``, in any case.

    Examples
    --------
    >>> is_midi_name(b"Fugue.MID"), is_midi_name(b"fugue.mp3")
    (True, False)
    """
    return name.lower().endswith(_MIDI)


def is_archive(path: bytes) -> bool:
    """Say whether a name is that of an archive `read_archive` reads."""
    return path.lower().endswith(_ALL)


def needs_zstd(path: bytes) -> bool:
    """Say whether a name is that of an archive compressed with Zstandard."""
    return path.lower().endswith(_ZSTD)


def read_archive(path: bytes) -> Iterator[tuple[bytes, bytes, str | None]]:
    """Read the MIDI files of an archive: a zip in the order of the same folder, a tar in its own.

    Parameters
    ----------
    path
        A name that `is_archive` knows, in file-system bytes.

    Yields
    ------
    name : bytes
        As the archive spells it, without a leading ``./``.
    contents : bytes
        At most `MAX_MEMBER_BYTES`; empty where there is a reason.
    reason : str or None
        Why the member cannot be read. The same words for the same cause, so that they can be counted.

    Raises
    ------
    ArchiveError
        When the archive is damaged or cut short; what stands before the damage has been yielded then.
    OSError
        When the archive's file cannot be opened or read.
    """
    return _read_zip(path) if path.lower().endswith(_ZIP) else _read_tar(path)


def _read_zip(path: bytes) -> Iterator[tuple[bytes, bytes, str | None]]:
    from zipfile import BadZipFile, ZipFile

    with open(path, "rb") as file:
        try:
            with ZipFile(file) as archive:
                members = [(_zip_name(info), info) for info in archive.infolist()]
        except UnicodeDecodeError:
            raise ArchiveError("archive: a member's name is not the UTF-8 that it says it is") from None
        except (BadZipFile, ValueError, NotImplementedError, EOFError, OverflowError):
            raise ArchiveError(_CUT) from None
        members = [(name, info) for name, info in members if is_midi_name(name)]
        members.sort(key=lambda member: member[0].split(b"/"))  # as a folder of the same files is walked
        for name, info in members:
            yield name, *_zip_member(file.fileno(), info)


def _zip_name(info: ZipInfo) -> bytes:
    """Give the name as the archive spells it, undoing zipfile's guess of an old DOS code page."""
    raw = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "surrogateescape")
    return raw.split(b"\0", 1)[0].removeprefix(b"./")


def _zip_member(descriptor: int, info: ZipInfo) -> tuple[bytes, str | None]:
    """Read one member here, because zipfile takes several times as long over a small file."""
    if info.flag_bits & 0x1:
        return b"", "in archive: encrypted"
    if max(info.file_size, info.compress_size) > MAX_MEMBER_BYTES:
        return b"", _TOO_LARGE
    if info.compress_type not in (0, 8):
        return b"", "in archive: packed by a method other than deflate"
    if not 0 <= info.header_offset < 1 << 62:
        return b"", _DAMAGED
    header = os.pread(descriptor, 30, info.header_offset)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        return b"", _DAMAGED
    name_and_extra = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    blob = os.pread(descriptor, info.compress_size, info.header_offset + 30 + name_and_extra)
    if info.compress_type == 8:
        try:
            blob = zlib.decompressobj(-15).decompress(blob, info.file_size + 1)
        except zlib.error:
            return b"", _DAMAGED
    if len(blob) != info.file_size or zlib.crc32(blob) != info.CRC:
        return b"", _DAMAGED
    return blob, None


def _strict_members() -> type[TarInfo]:
    """Return a class of tar members that does not take a damaged header for the end of the archive."""
    import tarfile

    class Member(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
            try:
                return super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                if len(buf) == tarfile.BLOCKSIZE and not any(buf):  # zeros are the end
                    raise
                raise tarfile.ReadError(str(error)) from None

    return Member


class _Stream:
    """What tarfile reads from: counts the bytes, and raises where a header would have them read without end.

    Without that, a header that declares a terabyte has tarfile skip over it for minutes past the end, and one that
    declares a name of a gigabyte has it take that into memory.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._reads_past_end = 0
        self.count = 0
        self.limit = MAX_HEADER_BYTES  # byte of the archive by which the next header must have ended

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        self._reads_past_end += not data
        if self._reads_past_end > 2 or self.count > self.limit:
            raise EOFError
        return data


def _read_tar(path: bytes) -> Iterator[tuple[bytes, bytes, str | None]]:
    import tarfile

    with ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        opened, own_errors = _decompressed(path, file)
        stream = _Stream(stack.enter_context(opened))
        damage: tuple[type[Exception], ...] = (
            tarfile.TarError,
            EOFError,
            zlib.error,
            ValueError,
            OverflowError,
            RecursionError,
            *own_errors,
        )
        try:
            archive = stack.enter_context(
                tarfile.open(
                    fileobj=cast("IO[bytes]", stream),
                    mode="r|",
                    encoding="utf-8",
                    errors="surrogateescape",
                    tarinfo=_strict_members(),
                )
            )
            while (info := archive.next()) is not None:
                # Up to the header after this member there is its content, however large.
                stream.limit = archive.offset + MAX_HEADER_BYTES
                archive.members.clear()  # type: ignore[attr-defined]  # else it remembers every header it met
                name = info.name.encode("utf-8", "surrogateescape").removeprefix(b"./")
                if info.isdir() or not is_midi_name(name):
                    continue
                if not info.isreg():
                    link = info.issym() or info.islnk()
                    yield name, b"", "in archive: a link" if link else "in archive: not a regular file"
                elif info.size > MAX_MEMBER_BYTES:
                    yield name, b"", _TOO_LARGE
                else:
                    try:
                        blob = archive.extractfile(info).read()  # type: ignore[union-attr]
                    except damage:
                        yield name, b"", _DAMAGED
                        raise
                    yield name, blob, None
            stream.limit = sys.maxsize
            more = False
            # To the end, where a compressed stream has its checksum; tarfile has read some of it ahead.
            while block := archive.fileobj.read(1 << 18):
                more |= block.count(0) < len(block)
            if more:
                raise ArchiveError(_MORE)
        except damage:
            raise ArchiveError(_CUT) from None
        except OSError as error:
            if error.errno:
                raise
            raise ArchiveError(_CUT) from None  # gzip and bz2 report damage as an OSError without a number


def _decompressed(path: bytes, file: IO[bytes]) -> tuple[IO[bytes], list[type[Exception]]]:
    """Open the tar inside a compressed one, as a stream that raises where it is cut; also its errors."""
    lower = path.lower()
    if lower.endswith(_GZIP):
        return import_module("gzip").open(file), []
    if lower.endswith(_BZ2):
        return import_module("bz2").open(file), []
    if lower.endswith(_XZ):
        module = import_module("lzma")
        return module.open(file), [module.LZMAError]
    if lower.endswith(_ZSTD):
        module = zstd_module()
        if hasattr(module, "ZstdDecompressor") and hasattr(module.ZstdDecompressor, "stream_reader"):
            reader = module.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
            return reader, [module.ZstdError]
        return module.open(file), [module.ZstdError]
    return file, []


def zstd_module() -> Any:
    """Import Python's own Zstandard (3.14) or the zstandard package.

    Raises
    ------
    RollcoreError
        When there is neither.
    """
    for name in ("compression.zstd", "zstandard"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise RollcoreError(".tar.zst needs the zstandard package: pip install 'rollcore[zstd]'")
