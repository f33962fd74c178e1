"""Zip and tar archives: which names are theirs, and their MIDI files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any, cast

from rollcore.errors import RollcoreError
from rollcore.sources.members import MAX_MEMBER_BYTES, Content

__all__ = ["ArchiveError", "is_archive", "needs_zstd", "read_archive", "zstd_module"]

_ZIP = (b".zip",)
_TAR = (b".tar",)
_GZIP = (b".tar.gz", b".tgz")
_BZ2 = (b".tar.bz2", b".tbz2")
_XZ = (b".tar.xz", b".txz")
_ZSTD = (b".tar.zst", b".tzst")
_ALL = (*_ZIP, *_TAR, *_GZIP, *_BZ2, *_XZ, *_ZSTD)

_READ_BYTES = 64 << 10

#: An archive whose MIDI files take so many times its own size, and more than one of them may take, is a bomb.
MAX_RATIO = 1000


class ArchiveError(RollcoreError):
    """An archive cannot be read (further); the message is the reason, without the archive's name."""


def is_archive(path: bytes) -> bool:
    """Say whether a name is that of an archive `read_archive` reads."""
    return path.lower().endswith(_ALL)


def needs_zstd(path: bytes) -> bool:
    """Say whether a name is that of an archive compressed with Zstandard."""
    return path.lower().endswith(_ZSTD)


def read_archive(path: bytes) -> Iterator[tuple[bytes, Content, str | None]]:
    """Read the MIDI files of an archive: a zip in the order of the same folder, a tar in its own.

    Parameters
    ----------
    path
        A name that `is_archive` knows, in file-system bytes.

    Yields
    ------
    name : bytes
        As the archive spells it, without a leading ``./``.
    content : Content
        Of at most `MAX_MEMBER_BYTES`; empty where there is a reason. What a zip compressed is unpacked later, by the
        thread that parses it, and may turn out to be damaged then.
    reason : str or None
        Why the member cannot be read. The same words for the same cause, so that they can be counted.

    Raises
    ------
    ArchiveError
        When the archive is damaged or cut short, or unpacks to more than `MAX_RATIO` times its size; what stands
        before that has been yielded then.
    OSError
        When the archive's file cannot be opened or read.
    """
    from rollcore.sources.tars import MoreBehindEnd, read_tar
    from rollcore.sources.zips import read_zip

    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(0)
        errors: list[type[Exception]] = [EOFError, ValueError, OverflowError, zlib.error]
        unpacked = 0
        try:
            if path.lower().endswith(_ZIP):
                members = read_zip(file)
            elif path.lower().endswith(_TAR):
                members = read_tar(file, file.seek)
            else:
                stream, own = _decompressed(path, file)
                errors += own
                members = read_tar(stream)
            for member in members:
                unpacked += len(member[1])
                if unpacked > max(MAX_RATIO * size, MAX_MEMBER_BYTES):
                    raise ArchiveError(f"archive: unpacks to more than {MAX_RATIO:,} times its size")
                yield member
        except MoreBehindEnd:
            raise ArchiveError("archive: more stands behind its end, which is not read") from None
        except tuple(errors):
            raise ArchiveError("archive: damaged or cut short") from None
        except OSError as error:
            if error.errno:
                raise
            # gzip and bz2 report damage as an OSError without a number
            raise ArchiveError("archive: damaged or cut short") from None


def _decompressed(path: bytes, file: IO[bytes]) -> tuple[IO[bytes], list[type[Exception]]]:
    """Open the tar inside a compressed one, as a stream that raises where it is cut; also its errors."""
    lower = path.lower()
    if lower.endswith(_GZIP):
        return cast("IO[bytes]", _Gunzip(file)), []
    if lower.endswith(_BZ2):
        return import_module("bz2").open(file), []
    if lower.endswith(_XZ):
        module = import_module("lzma")
        return module.open(file), [module.LZMAError]
    module = zstd_module()
    if hasattr(module, "ZstdDecompressor") and hasattr(module.ZstdDecompressor, "stream_reader"):
        reader = module.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
        return reader, [module.ZstdError]
    return module.open(file), [module.ZstdError]


class _Gunzip:
    """What a gzip file of one or several parts holds; `gzip` takes twice as long, in pieces of 8 kB."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflater = zlib.decompressobj(31)
        self._ahead = b""  # compressed bytes that have been read
        self._between = False  # whether a part has ended, behind which there may be another or padding

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end; `EOFError` where the file is cut short."""
        while True:
            data, self._ahead = self._ahead or self._file.read(_READ_BYTES), b""
            if self._between:
                padded, data = data, data.lstrip(b"\0")
                if not padded:
                    return b""
                if not data:
                    continue
                self._inflater, self._between = zlib.decompressobj(31), False
            block = self._inflater.decompress(data, size)  # without data: what it still holds
            self._between = self._inflater.eof
            self._ahead = self._inflater.unused_data if self._between else self._inflater.unconsumed_tail
            if block:
                return block
            if not data and not self._between:
                raise EOFError


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
