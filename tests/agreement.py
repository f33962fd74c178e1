"""What the parser reads of a file, held to what its slow twin reads of it."""

from __future__ import annotations

import numpy as np
import pytest

from oracles_smf import NotMidi, parse
from rollcore import Midi, MidiError, _smf, read_midi
from rollcore.midi import NOTE_ROW_DTYPE


def agrees_with_the_twin(data: bytes) -> Midi | None:
    """Read `data` and assert that the slow twin reads the same; None when it is no MIDI file."""
    try:
        twin = parse(data)
    except NotMidi:
        with pytest.raises(MidiError):
            read_midi(data)
        return None
    midi = read_midi(data)
    assert midi.notes.tolist() == twin.notes
    assert list(zip(*midi.tempos.tolist(), strict=True)) == list(zip(*[t[:2] for t in twin.tempos], strict=True))
    assert midi.tempo_tracks.tolist() == [t[2] for t in twin.tempos]
    assert midi.pedals.tolist() == twin.pedals
    assert midi.time_signatures.tolist() == twin.time_signatures
    assert midi.programs.tolist() == twin.programs
    assert midi.controllers.tolist() == twin.controllers
    assert midi.parts.tolist() == twin.parts
    assert midi.drums.tolist() == twin.drums
    assert np.frombuffer(_smf.parse(data)[2], NOTE_ROW_DTYPE)["drums"].tolist() == twin.drums  # as a build takes them
    for track, name in twin.track_names.items():
        assert midi.track_names[track] in (name.decode("utf-8", "replace"), name.decode("latin-1"))
    assert sum(name != "" for name in midi.track_names) == sum(name != b"" for name in twin.track_names.values())
    assert (midi.format, midi.ticks_per_beat, midi.smpte) == (twin.format, twin.ticks_per_beat, twin.smpte)
    assert midi.repairs == dict(twin.repairs)
    if twin.first is None:
        read_midi(data, strict=True)
    else:
        with pytest.raises(MidiError) as raised:
            read_midi(data, strict=True)
        assert raised.value.offset == twin.first[0]
    return midi
