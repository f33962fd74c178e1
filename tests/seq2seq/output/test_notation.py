"""The score: it is read back as the roll, accents follow the bar, and voices are taken apart."""

from __future__ import annotations

import mido
import numpy as np
import pytest

import rollcore
from seq2seq.output.notation import bar_frames, detach, make_score, velocities, without
from untrained import PLANES

BEATS = rollcore.Grid.beats(4)


def test_accents_follow_the_bar_and_the_top_voice():
    bits = np.zeros((128, 2, 128), np.uint8)
    bits[:, :, [60, 64, 67]] = 1
    rows = np.packbits(bits, axis=-1, bitorder="little")
    notes = rollcore.notes_from_roll(rows)
    found = velocities(rows, notes, BEATS, (4, 4))
    top = found[notes["pitch"] == 67]
    assert top[0] > top[8] > top[4] > top[1]
    # Phrases of four bars swell up to the middle of their third bar, and are alike.
    assert top[0] < top[16] < top[32]
    assert top[4] < top[20] < top[36] > top[60]
    assert np.array_equal(top[:64], top[64:])
    assert (found[notes["pitch"] == 64] < top).all()
    # Six eighths are twelve steps; the second half begins with the fourth.
    jig = velocities(rows, notes, BEATS, (6, 8))[notes["pitch"] == 67]
    assert jig[0] == jig[48] > jig[6] == jig[54] > jig[2] > jig[1]
    seconds = velocities(rows, notes, rollcore.Grid.seconds(50), (4, 4))[notes["pitch"] == 67]
    assert len(set(seconds)) == 1
    assert found.min() >= 30
    assert found.max() <= 110


@pytest.mark.parametrize("steps_per_beat", [1, 3, 4, 7, 24])
def test_a_score_is_read_back_as_the_roll(tmp_path, steps_per_beat):
    rng = np.random.default_rng(steps_per_beat)
    bits = (rng.random((60, 2, 128)) < 0.1).astype(np.uint8)
    # Consistent planes: onsets sound, and what begins to sound is struck.
    bits[:, 1] &= bits[:, 0]
    bits[1:, 1] |= bits[1:, 0] & ~bits[:-1, 0] & 1
    bits[0, 1] = bits[0, 0]
    rows = np.packbits(bits, axis=-1, bitorder="little")
    path = tmp_path / "score.mid"
    make_score(
        [("Piano", rows)], grid=rollcore.Grid.beats(steps_per_beat), time_signature=(3, 4), key_signature="Am"
    ).write(path)
    back = rollcore.piano_roll(rollcore.read_midi(path), steps_per_beat=steps_per_beat, planes=PLANES)
    assert np.array_equal(back, rows)
    file = mido.MidiFile(path)
    assert {message.type for message in file.tracks[0]} >= {"time_signature", "key_signature", "set_tempo"}
    assert file.length == pytest.approx(30 / steps_per_beat)


@pytest.mark.parametrize(
    ("grid", "signature", "frames"),
    [
        (BEATS, (4, 4), 16),
        (BEATS, (6, 8), 12),
        (rollcore.Grid.beats("5/2"), (4, 4), 10),
        (rollcore.Grid.beats("5/2"), (3, 4), None),  # 7.5 frames
        (rollcore.Grid.seconds(50), (4, 4), None),
    ],
)
def test_the_frames_of_a_bar(grid, signature, frames):
    assert bar_frames(grid, signature) == frames


def test_a_melody_is_taken_out_of_what_sounds_with_it():
    bits = np.zeros((4, 2, 128), np.uint8)
    bits[:, 0, [60, 72]] = 1
    bits[0, 1, [60, 72]] = 1
    melody = np.zeros((3, 2, 128), np.uint8)
    melody[:2, 0, 72] = 1  # as long as the first two frames
    melody[0, 1, 72] = 1
    packed = [np.packbits(one, axis=-1, bitorder="little") for one in (bits, melody)]
    rest = np.unpackbits(without(*packed), axis=-1, bitorder="little")
    assert rest[:, 0, 60].tolist() == [1, 1, 1, 1]
    assert rest[:, 0, 72].tolist() == [0, 0, 1, 1]
    assert rest[:, 1].nonzero()[1].tolist() == [60], "its onset is not that of the accompaniment"
    assert np.array_equal(np.unpackbits(packed[0], axis=-1, bitorder="little"), bits), "given rows are not changed"


def test_what_goes_on_from_a_primer_begins_in_its_own_first_frame():
    rows = np.zeros((3, 2, 16), np.uint8)
    rows[:, 0, 7] = 5  # held from before
    own = detach(rows)
    assert own[:, 0, 7].tolist() == [5, 5, 5]
    assert own[:, 1, 7].tolist() == [5, 0, 0]
    assert rows[:, 1].max() == 0
    assert np.array_equal(detach(rows[:, :1]), rows[:, :1])


def test_one_velocity_for_all_notes():
    rows = np.zeros((16, 1, 16), np.uint8)
    rows[::2, 0, 7:9] = 3
    shaped, flat = (make_score([("Piano", rows)], grid=BEATS, flat=flat).midi.notes for flat in (False, True))
    assert set(flat["velocity"]) == {80}
    assert len(set(shaped["velocity"])) > 2
