"""Primers and melodies: rows on the grid of the model that begin with a bar, with the tempo and the metre they had."""

from __future__ import annotations

import mido
import numpy as np
import pytest

import rollcore
from rollcore import RollcoreError
from seq2seq.models.weights import read_weights, save_weights
from untrained import PLANES, generate, roll_of, signature_of, write_untrained_run


def test_a_primer_that_is_cut_within_its_rest_is_said_to_be(untrained_run, tmp_path):
    path = tmp_path / "upbeat.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(960, 1440, 60, 80, 0, 0)]), path)
    with pytest.raises(RollcoreError, match=r"upbeat\.mid: its first 5 frames have no note"):
        generate(untrained_run, tmp_path / "out", frames=5, primer=str(path), primer_frames=5)


@pytest.mark.parametrize(
    ("tempos", "frames"),
    [
        ([(0, 1_000_000), (480, 666_667), (1920, 600_000)], 30),  # at the first note: 90
        ([(1921, 1_000_000)], 40),  # none by then: 120
        ([(0, 10)], 40),  # six million beats a minute
    ],
)
def test_the_tempo_of_a_primer_is_that_of_its_first_note(untrained_run, tmp_path, tempos, frames):
    path = tmp_path / "primer.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(480, 960, 60, 80, 0, 0)], tempos=tempos), path)
    assert len(generate(untrained_run, tmp_path, seconds=5, primer=str(path)).outputs[0].rows) == frames


def test_a_piece_with_a_tempo_that_no_one_plays(untrained_run, tmp_path):
    rollcore.write_midi(
        rollcore.Midi.from_notes([(480 * i, 480 * i + 480, 60, 80, 0, 0) for i in range(90)], tempos=[(0, 100)]),
        tmp_path / "fast.mid",
    )
    rollcore.build_dataset(
        tmp_path / "fast.mid", tmp_path / "fast.h5", steps_per_beat=4, planes=PLANES, split=(1, 0, 0)
    )
    made = generate(untrained_run, tmp_path, primer="0", seconds=5, data=tmp_path / "fast.h5")
    assert len(made.outputs[0].rows) == 40


def test_a_primer_is_read_as_the_files_of_the_dataset_were(untrained_run, tmp_path):
    path = tmp_path / "drums.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(0, 480, 60, 80, 9, 0)]), path)
    with pytest.raises(RollcoreError, match="no notes in it, or drums alone"):
        generate(untrained_run, tmp_path, frames=5, primer=str(path))
    config, arrays, facts = read_weights(untrained_run / "model.safetensors")
    facts["reading"] = {"drums": True}
    save_weights(config, arrays, tmp_path / "kept.safetensors", facts)
    made = generate(tmp_path / "kept.safetensors", tmp_path, frames=5, primer=str(path), include_primer=True).outputs[0]
    assert np.flatnonzero(np.unpackbits(made.rows[0, 0], bitorder="little")).tolist() == [60]


def test_a_chord_is_struck_on_the_beats_of_any_grid(tmp_path):
    rollcore.make_chords(tmp_path / "midi")
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "x.h5", steps_per_beat="5/2", planes=PLANES)
    (tmp_path / "run").mkdir()
    untrained_run = write_untrained_run(tmp_path / "run", rollcore.open_dataset(tmp_path / "x.h5"))
    made = generate(untrained_run, tmp_path, frames=2, primer_pitches="C4", include_primer=True).outputs[0]
    onsets = np.unpackbits(made.rows[:10, 1], axis=-1, bitorder="little")[:, 60]
    assert np.flatnonzero(onsets).tolist() == [0, 2, 5, 7]  # beats begin at 0, 2.5, 5 and 7.5


def test_the_primer_comes_first_where_it_is_included(untrained_run, riff, tmp_path):
    without = generate(untrained_run, tmp_path / "a", frames=10, primer=str(riff)).outputs[0]
    included = generate(untrained_run, tmp_path / "b", frames=10, primer=str(riff), include_primer=True).outputs[0]
    # Five beats after the bar of rest, filled up to two bars.
    assert len(included.rows) == 32 + 10
    assert np.array_equal(included.rows[:20], roll_of(riff)[16:])
    assert np.array_equal(included.rows[32:, 0], without.rows[:, 0])
    assert np.array_equal(roll_of(without.midi), without.rows[: len(roll_of(without.midi))])


def test_primers_by_piece_and_by_pitches(untrained_run, tmp_path):
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    name = dataset.name(5)
    made = generate(untrained_run, tmp_path, frames=4, primer=name, include_primer=True)
    assert made.primer == name
    # What the model reads at once, in whole bars.
    assert np.array_equal(made.outputs[0].rows[:16], dataset.rows(5)[:16])
    assert generate(untrained_run, tmp_path, frames=4, primer="5").primer == name
    assert generate(untrained_run, tmp_path, frames=4, primer=5).primer == name
    made = generate(untrained_run, tmp_path, frames=4, primer_pitches="G4 C4", primer_frames=6, include_primer=True)
    bits = np.unpackbits(made.outputs[0].rows, axis=-1, bitorder="little")
    assert [np.flatnonzero(frame).tolist() for frame in bits[:6, 0]] == [[60, 67]] * 6
    assert [np.flatnonzero(frame).tolist() for frame in bits[:6, 1]] == [[60, 67], [], [], [], [60, 67], []]
    assert len(bits) == 16 + 4, "new music begins with a bar"
    assert not bits[6:16].any()


def test_the_time_signature_is_that_of_the_first_note_of_the_file(untrained_run, riff, tmp_path):
    notes = [(480 * i, 480 * (i + 1), 60 + i, 90, 0, 0) for i in range(6)]
    waltz = tmp_path / "waltz.mid"
    rollcore.write_midi(rollcore.Midi.from_notes(notes), waltz, time_signature=(3, 4))
    file = mido.MidiFile(waltz)
    # A later change is not that of the first note.
    file.tracks[1].insert(-1, mido.MetaMessage("time_signature", numerator=5, denominator=4))
    file.save(waltz)
    made = generate(untrained_run, tmp_path, frames=8, primer=waltz, include_primer=True).outputs[0]
    assert signature_of(made.midi) == [(0, 3, 4)]
    assert len(made.rows) == 24 + 8, "two bars of three beats are whole"
    made = generate(
        untrained_run, tmp_path, frames=8, primer=waltz, include_primer=True, time_signature=(4, 4)
    ).outputs[0]
    assert signature_of(made.midi) == [(0, 4, 4)]
    assert len(made.rows) == 32 + 8
    made = generate(untrained_run, tmp_path, melody=str(waltz), primer=riff).outputs[0]
    assert signature_of(made.midi) == [(0, 3, 4)]
    # A melody that says nothing of bars leaves them to the primer; so does 1/4.
    plain = tmp_path / "plain.mid"
    rollcore.write_midi(rollcore.Midi.from_notes(notes), plain, time_signature=(1, 4))
    made = generate(untrained_run, tmp_path, melody=str(plain), primer=waltz).outputs[0]
    assert signature_of(made.midi) == [(0, 3, 4)]
    waltz.write_bytes(waltz.read_bytes()[:-6])  # damaged, and still a waltz
    assert signature_of(generate(untrained_run, tmp_path, frames=8, primer=waltz).outputs[0].midi) == [(0, 3, 4)]


@pytest.mark.parametrize("fps", [None, 50])
def test_a_piece_that_begins_with_a_rest_primes_from_its_first_note(untrained_run, seconds_run, tmp_path, fps):
    folder = seconds_run if fps else untrained_run
    notes = [(480 * (9 + i), 480 * (10 + i), 60 + i, 80, 0, 0) for i in range(3)]  # from the second beat of bar 3
    (tmp_path / "midi").mkdir()
    rollcore.write_midi(rollcore.Midi.from_notes(notes), tmp_path / "midi" / "late.mid")
    data = tmp_path / "late.h5"
    grid = {"fps": fps, "planes": "sounding"} if fps else {"steps_per_beat": 4, "planes": PLANES}
    rollcore.build_dataset(tmp_path / "midi", data, split=(1, 0, 0), **grid)
    rows = rollcore.open_dataset(data).rows(0)
    made = [
        generate(folder, tmp_path, frames=8, primer=primer, primer_frames=limit, include_primer=True, data=data)
        for limit in (None, 9)
        for primer in ("late", tmp_path / "midi" / "late.mid")
    ]
    named, file, *cut = [one.outputs[0].rows[:-8] for one in made]
    assert np.array_equal(named, rows[32:48] if fps is None else rows[225:245])  # as much as the model reads
    assert np.array_equal(file[: len(named)], named)
    for primer in cut:
        assert np.array_equal(primer[:9], named[:9])
        assert len(primer) == (16 if fps is None else 9)
        assert not primer[9:].any()


def test_the_bars_of_a_piece_are_those_of_its_file(untrained_run, tmp_path):
    notes = [(240 * i, 240 * (i + 1), 60 + i % 5, 90, 0, 0) for i in range(48)]
    (tmp_path / "midi").mkdir()
    for name, bar in ("jig", (6, 8)), ("song", (1, 4)):
        rollcore.write_midi(rollcore.Midi.from_notes(notes), tmp_path / "midi" / f"{name}.mid", time_signature=bar)
    data = tmp_path / "tunes.h5"
    rollcore.build_dataset(tmp_path / "midi", data, steps_per_beat=4, planes=PLANES)
    # The model reads 20 frames: one bar of 12, or of 16.
    made = generate(untrained_run, tmp_path, frames=8, primer="jig", include_primer=True, data=data).outputs[0]
    assert (signature_of(made.midi), len(made.rows)) == ([(0, 6, 8)], 12 + 8)
    made = generate(untrained_run, tmp_path, frames=8, primer="song", include_primer=True, data=data).outputs[0]
    assert (signature_of(made.midi), len(made.rows)) == ([(0, 4, 4)], 16 + 8)
    made = generate(
        untrained_run, tmp_path, frames=8, primer="jig", include_primer=True, data=data, time_signature=(4, 4)
    ).outputs[0]
    assert (signature_of(made.midi), len(made.rows)) == ([(0, 4, 4)], 16 + 8)


def test_a_pick_up_is_filled_up_to_a_bar(untrained_run, tmp_path):
    """A beat before the first bar of 3/4: the primer, and the melody, begin with two beats of rest."""
    notes = [(480 * i, 480 * (i + 1), 60 + i, 90, 0, 0) for i in range(7)]
    bars = [(0, 1, 4, 0), (480, 3, 4, 0)]
    (tmp_path / "midi").mkdir()
    path = tmp_path / "midi" / "song.mid"
    rollcore.write_midi(rollcore.Midi.from_notes(notes, time_signatures=bars), path)
    data = tmp_path / "song.h5"
    rollcore.build_dataset(tmp_path / "midi", data, steps_per_beat=4, planes=PLANES, split=(1, 0, 0))
    whole = np.concatenate([np.zeros((8, 2, 16), np.uint8), rollcore.open_dataset(data).rows(0)])
    for primer, frames in (path, 36), ("song", 12):
        made = generate(untrained_run, tmp_path, frames=8, primer=primer, include_primer=True, data=data).outputs[0]
        assert signature_of(made.midi) == [(0, 3, 4)]
        assert np.array_equal(made.rows[:-8], whole[:frames])
    made = generate(untrained_run, tmp_path, melody=path, data=data).outputs[0]
    assert len(made.rows) == 36
    assert not (whole & ~made.rows).any()
    made = generate(untrained_run, tmp_path, melody=path, data=data, time_signature=(4, 4)).outputs[0]
    assert len(made.rows) == 12 + 28, "three beats of rest in 4/4"
