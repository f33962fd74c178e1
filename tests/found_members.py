"""What the tests of inputs share: a tree of MIDI files, and what `batches` finds."""

import io
import os
import pathlib
import tarfile

from rollcore.sources.inputs import batches

MIDI = b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0"
TREE = {
    "b.mid": MIDI,
    "a/z.KAR": MIDI + b"1",
    "a/y.Midi": MIDI + b"2",
    "notes.txt": b"no",
    "a.mid/in.mid": MIDI + b"3",
}


def members(inputs, **options):
    """Flat list of (name, contents or None, reason)."""
    found = []
    for batch in batches(inputs, **options):
        assert (batch.paths is None) != (batch.blobs is None)
        found_there = batch.paths if batch.paths is not None else batch.contents()
        assert len(batch) == len(batch.names) == len(batch.reasons) == len(found_there)
        for name, where, reason in zip(batch.names, found_there, batch.reasons, strict=True):
            if batch.paths is not None:
                where = pathlib.Path(os.fsdecode(where)).read_bytes() if reason is None else None
            found.append((name, where, reason))
    names = [name for name, _, _ in found]
    assert len(set(names)) == len(names)
    return found


def names(inputs, **options):
    return [name for name, _, _ in members(inputs, **options)]


EXPECTED = [b"a.mid/in.mid", b"a/y.Midi", b"a/z.KAR", b"b.mid"]
CONTENTS = [(name, TREE[name.decode()], None) for name in EXPECTED]


TAR_MODES = {".tar": "w", ".tar.gz": "w:gz", ".TGZ": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def add(archive, name, content, **header):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in header.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))
