"""What the reader mends and how it is worded; what a file is that is not MIDI."""

from __future__ import annotations

import pytest

import rollcore
from rollcore import RollcoreError
from rollcore.repairs import REPAIR_CODES, first_bytes, skip_reason, strict_error


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD', "MusicXML"),
        (b"<?xml version='1.0'?><score-timewise>", "MusicXML"),
        (b"<?xml version='1.0'?><html>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "XML"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
        (b"\x1f\0-lh5-", "an LHA archive"),
        (b"FORM\0\0\0\x0eXDIRINFO", "XMI"),
        (b"SMF2CLIP\0\x40", "a MIDI 2.0 clip"),
        (b"XMF_1.00", "XMF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer: git lfs pull"),
        (b"TVRoZAAAAAYAAQ", "base64 text"),
        (b"ID3\4", "MP3 audio"),
        (b"\xff\xfb\x90\x44", "MP3 audio"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "WAV audio"),
        (b"RIFF\x24\0\0\0AVI LIST", "a RIFF file that is not RMID"),
        (b"a.mid".ljust(257, b"\0") + b"ustar", "a tar archive"),
        (b"hello", "no MThd"),
    ],
)
def test_what_a_file_is_that_is_not_midi(tmp_path, content, kind):
    (tmp_path / "x.mid").write_bytes(content)
    with pytest.raises(RollcoreError, match=r"not a MIDI file \(" + kind.replace(".", r"\.") + r"\)"):
        rollcore.build_dataset(tmp_path / "x.mid", tmp_path / "x.h5")


def test_every_repair_has_a_wording_for_strict_reading():
    for code, name in enumerate(REPAIR_CODES):
        error = strict_error("a.mid", code, 18, 9000, 112)
        assert str(error).startswith("a.mid: byte 18: expected "), name
        assert "{" not in str(error), name
        assert (error.file, error.offset) == ("a.mid", 18)
    bare = strict_error("a.mid", REPAIR_CODES.index("track_count"), 10, 2, 3)
    assert (bare.expected, bare.found) == ("a track count of 3", "2")
    byte = strict_error("a.mid", REPAIR_CODES.index("data_without_status"), 22, 5, 0)
    assert (byte.expected, byte.found) == ("a status byte", "0x05")


def test_the_parser_s_first_repair_is_the_one_that_is_worded():
    """Its codes are places in the table: a track that says 100 bytes and has the 4 of its end."""
    data = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 0, 96]) + b"MTrk" + bytes([0, 0, 0, 100]) + b"\0\xff\x2f\0"
    assert rollcore.read_midi(data).repairs == {"track_too_long": 1}
    with pytest.raises(rollcore.MidiError, match="byte 18: expected a track length of 4, found 100"):
        rollcore.read_midi(data, strict=True)


@pytest.mark.parametrize(
    ("status", "reason"), [(1, "empty file"), (3, "out of memory"), (4, "file of 2 GiB"), (5, "line ends translated")]
)
def test_why_a_file_could_not_be_read(status, reason):
    assert skip_reason(status, b"<html>").startswith(reason)


def test_first_bytes_are_text_where_they_are_text():
    assert first_bytes(b"RIFF\x00") == "52 49 46 46 00"
    assert first_bytes("café".encode("latin-1")) == "63 61 66 e9"
    assert first_bytes(b"hello, world") == "'hello'"
