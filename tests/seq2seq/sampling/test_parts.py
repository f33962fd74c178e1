"""Music in parts: what is found in pieces, and faults counted by hand."""

import numpy as np
import pytest

from seq2seq.sampling.parts import Parts, changes, parallels


def rows(*chords):
    bits = np.zeros((len(chords), 2, 128), np.uint8)
    for frame, chord in zip(bits, chords, strict=True):
        frame[:, list(chord)] = 1
    return np.packbits(bits, axis=-1, bitorder="little")


# Soprano, alto, tenor, bass: each part within its range, and moving by two semitones at most but the bass.
CHORALE = [(48, 55, 64, 72), (48, 57, 65, 72), (43, 55, 62, 71), (48, 55, 64, 72)] * 10
CHOIR = Parts(((70, 74), (60, 66), (54, 58), (40, 50)), (2, 2, 2, 5))


def test_parts_are_found_where_nearly_all_frames_have_as_many_notes():
    found = Parts.find([rows(*CHORALE), rows(*CHORALE, (48, 60, 72), ())])
    assert found == Parts(((71, 72), (62, 65), (55, 57), (43, 48)), (1, 3, 2, 5))
    assert Parts.from_dict(found.to_dict()) == found


def test_what_is_not_in_parts():
    melody, loose = [(60,), (62,)] * 20, [(60, 64), (60, 64, 67), (48, 60, 64, 67)] * 20
    organum = [(48, 55), (50, 57), (52, 59)] * 20
    for chords in (melody, loose, organum, [()], []):
        assert Parts.find([rows(*chords)]) is None
    assert Parts.find([]) is None


def test_parallels_by_hand():
    # C G C up to D A D: bass and tenor a fifth, bass and soprano an octave.
    assert parallels((72, 67, 48), (74, 69, 50)) == (1, 1)
    assert parallels((72, 60), (60, 60)) == (0, 0)  # oblique motion
    assert parallels((67, 60), (62, 67)) == (0, 0)  # contrary motion
    assert parallels((79, 60), (69, 50)) == (1, 0)  # a twelfth is a fifth
    assert parallels((60, 60), (62, 62)) == (0, 1)  # unisons


@pytest.mark.parametrize(
    ("before", "now", "faults"),
    [
        ((48, 55, 64, 72), (43, 55, 62, 71), 0),
        ((48, 55, 64, 72), (48, 55, 64, 72), 0),
        ((48, 55, 64, 72), (50, 57, 64, 74), 2),  # fifth of bass and tenor, octave of bass and soprano
        ((48, 55, 64, 72), (42, 54, 63, 73), 1),  # the bass moves by six
        ((48, 55, 64, 72), (48, 55, 64, 75), 2),  # the soprano too high, and by three
        ((), (48, 55, 64, 75), 1),  # after a rest only ranges are known
        ((48, 55, 64, 72), (), 0),
        ((48, 55, 64, 72), (48, 64, 72), 2),  # the tenor joins another: out of its range, and too far away
        ((48, 58, 60, 72), (48, 58, 72), 1),  # alto and tenor on B flat, too low for an alto
        ((48, 55, 64, 72), (48, 72), 1),
        ((48, 55, 64, 72), (48, 50, 55, 64, 72), 1),
    ],
)
def test_faults_by_hand(before, now, faults):
    assert CHOIR.faults(np.array(before, int), np.array(now, int)) == faults


def test_changes_skip_what_has_other_numbers_of_notes():
    sounding = np.unpackbits(rows((48, 60), (48, 60), (50, 62), (50,), (48, 60))[:, 0], axis=-1, bitorder="little")
    found = [(None if a is None else a.tolist(), b.tolist()) for a, b in changes(sounding.astype(bool), 2)]
    assert found == [(None, [60, 48]), ([60, 48], [62, 50]), (None, [60, 48])]


@pytest.mark.parametrize(
    "facts",
    [{}, {"ranges": [[60, 70]], "widest": [2]}, {"ranges": [[60, 70]] * 2, "widest": [2]}, {"ranges": 4, "widest": []},
     {"ranges": [[70, 60]] * 2, "widest": [2, 2]}],
)  # fmt: skip
def test_damaged_facts(facts):
    with pytest.raises((ValueError, TypeError, LookupError)):
        Parts.from_dict(facts)
