"""What rollcore raises: one class per kind of bad input, one line per message."""

from __future__ import annotations


class RollcoreError(Exception):
    """Base of every error that rollcore raises on bad input.

    The message is one line that names the file, the place and the remedy.
    """


class MidiError(RollcoreError):
    """A MIDI file cannot be read, or breaks the standard under ``strict=True``.

    Parameters
    ----------
    file
        Path or name of the file, ``"<bytes>"`` when read from memory.
    offset
        Byte offset of the first byte that is wrong.
    expected, found
        What the standard asks for at that place, and what stands there.
    """

    def __init__(self, file: str, offset: int, expected: str, found: str) -> None:
        self.file = file
        self.offset = offset
        self.expected = expected
        self.found = found
        super().__init__(f"{file}: byte {offset}: expected {expected}, found {found}")

    def __reduce__(self) -> tuple[type[MidiError], tuple[str, int, str, str]]:
        """Pickle by the four facts, so that worker processes can raise it."""
        return type(self), (self.file, self.offset, self.expected, self.found)


class DatasetError(RollcoreError):
    """A file is not a rollcore dataset, is damaged, or cannot be written."""


class StorageError(RollcoreError):
    """Something in object storage is not there, or cannot be read or written."""
