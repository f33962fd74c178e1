"""The musical grid: the nearest step, one phase a file, and what a build says of it."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles_roll as oracle
import rollcore
from rollcore import Grid, Midi
from rollcore.roll import RECORD_DTYPE, RollOptions


def song(*rows, ticks_per_beat=480):
    """A piece of (onset, note-off, pitch[, channel])."""
    notes = np.array([(on, off, p, 80, *(rest or [0]), 0) for on, off, p, *rest in rows], rollcore.NOTE_DTYPE)
    return Midi.from_notes(notes, ticks_per_beat=ticks_per_beat)


def spans(midi, **options):
    """(start, length, pitch) of the notes of a roll."""
    notes = rollcore.notes_from_roll(rollcore.piano_roll(midi, **options))
    return [(int(n["onset_tick"]), int(n["offset_tick"] - n["onset_tick"]), int(n["pitch"])) for n in notes]


def record_of(data, **options):
    """What the kernel says of a file."""
    kernel = RollOptions(**{"grid": Grid.beats(4), **options}).kernel()
    record = np.zeros(1, RECORD_DTYPE)
    kernel.load([data], False, record.view(np.uint8), xxhash.xxh3_128_digest)
    return record[0]


# ---- the nearest step -------------------------------------------------------------------------------------------


def test_played_one_tick_early():
    midi = song(*((max(0, 480 * i - 1), 480 * i + 479, 60 + i) for i in range(4)))
    assert spans(midi) == [(0, 4, 60), (4, 4, 61), (8, 4, 62), (12, 4, 63)]


def test_a_gate_of_95_percent():
    midi = song(*((240 * i, 240 * i + 228, 60 + i) for i in range(8)))
    assert spans(midi) == [(2 * i, 2, 60 + i) for i in range(8)]


def test_triplets_at_a_division_that_has_none():
    ticks = [round(Fraction(1024 * i, 3)) for i in range(13)]
    assert ticks[1:3] == [341, 683], "a third of a tick early, a third late"
    midi = song(*((on, off, 60) for on, off in pairwise(ticks)), ticks_per_beat=1024)
    assert spans(midi, steps_per_beat=12) == [(4 * i, 4, 60) for i in range(12)]
    # On four steps they cannot be told from sixteenths: 1-2-1.
    assert spans(midi)[:3] == [(0, 1, 60), (1, 2, 60), (3, 1, 60)]


@pytest.mark.parametrize(
    ("onset", "offset", "expected"),
    [
        (0, 0, (0, 1)),
        (59, 60, (0, 1)),
        (60, 61, (1, 1)),  # halves go up
        (61, 179, (1, 1)),
        (61, 180, (1, 1)),  # 180 is halfway between 1 and 2: to 2, and one step is left
        (60, 300, (1, 2)),
        (179, 299, (1, 1)),
    ],
)
def test_halves_go_up_and_a_note_has_a_step(onset, offset, expected):
    assert spans(song((onset, offset, 60))) == [(*expected, 60)]


def test_a_note_off_does_not_shorten_a_note_that_is_struck_on_its_step():
    # The first note ends at 130, nearest to step 1, where the second begins at 100; and an unison may end within.
    assert spans(song((0, 130, 60), (100, 480, 60))) == [(0, 1, 60), (1, 3, 60)]
    rows = rollcore.piano_roll(song((0, 480, 60), (10, 130, 60)), planes="sounding")
    assert rollcore.unpack(rows, 60, 60)[:, 0, 0].tolist() == [1, 1, 1, 1]


def test_notes_that_nearly_touch_are_one_without_onsets():
    midi = song((0, 228, 60), (240, 480, 60))
    rows = rollcore.piano_roll(midi, planes="sounding")
    assert len(rollcore.notes_from_roll(rows)) == 1
    assert len(rollcore.notes_from_roll(rollcore.piano_roll(midi))) == 2


def test_the_grid_of_seconds_floors():
    midi = song((19, 480, 60))  # 19.8 ms: nearer to frame 1 than to 0
    assert spans(midi, fps=50) == [(0, 25, 60)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8),
    st.sampled_from([1, 3, 96, 480, 997, 32767]),
    st.sampled_from([Fraction(4), Fraction(12), Fraction(1, 1000), Fraction(999_983, 999_979)]),
)
def test_steps_are_exact_however_far(pairs, ticks_per_beat, rate):
    notes = [(min(pair), max(pair), 60 + i, 0, 0) for i, pair in enumerate(pairs)]
    longest = min(Fraction(10**5) / rate, 10**6) * ticks_per_beat  # in ticks: 100,000 steps, a million beats
    scale = max(1, int(max(note[1] for note in notes) / longest) + 1)
    notes = [(on // scale, off // scale, *rest) for on, off, *rest in notes]
    tempo = np.array([(0, 1000)], rollcore.TEMPO_DTYPE)  # short in seconds
    plain = song(*(note[:3] for note in notes), ticks_per_beat=ticks_per_beat)
    midi = Midi.from_notes(plain.notes, ticks_per_beat=ticks_per_beat, tempos=tempo)
    rows = rollcore.piano_roll(midi, steps_per_beat=rate, max_minutes=20_000)
    expected = np.zeros((len(rows), 2, 128), np.uint8)
    for onset, offset, pitch, *_ in notes:
        start, end = (math.floor(Fraction(t, ticks_per_beat) * rate + Fraction(1, 2)) for t in (onset, offset))
        expected[start, 1, pitch] = 1
        expected[start : max(end, start + 1), 0, pitch] = 1
    assert expected[-1].any()
    assert np.array_equal(rollcore.unpack(rows), expected)


def test_a_bar_line_goes_to_the_nearest_step_too(tmp_path):
    bars = [(0, 1, 4, 0), (350, 4, 4, 0)]  # a pick-up of 350 ticks, 2.92 steps
    rollcore.write_midi(Midi.from_notes([(350, 480, 60, 80, 0, 0)], time_signatures=bars), tmp_path / "x.mid")
    record = record_of((tmp_path / "x.mid").read_bytes())
    assert int(record["upbeat"]) == 3


# ---- beside the steps -------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=40),
    st.sampled_from([24, 96, 480, 997]),
    st.sampled_from([Fraction(4), Fraction(12), Fraction(7, 3)]),
)
def test_onsets_beside_their_step_are_counted(tmp_path_factory, onsets, ticks_per_beat, rate):
    path = tmp_path_factory.getbasetemp() / "beside.mid"
    rollcore.write_midi(song(*((t, t + 9, 60) for t in onsets), ticks_per_beat=ticks_per_beat), path)
    record = record_of(path.read_bytes(), grid=Grid.beats(rate))
    kept = rollcore.read_midi(path).notes["onset_tick"].tolist()
    places = [Fraction(t, ticks_per_beat) * rate for t in kept]
    expected = sum(abs(place - int(place + Fraction(1, 2))) > Fraction(1, 8) for place in places)
    assert int(record["moved"]) == expected
    assert int(record["notes"]) == len(kept)


def test_onsets_beside_their_step_far_from_the_start(tmp_path):
    """Where products are too large for the narrow arithmetic."""
    rate, division = Fraction(999_983, 999_979), 32767
    step = division / rate
    onsets = [int(step * (k + Fraction(offset, 100))) for k in range(600, 680) for offset in (0, 11, 14, 50, 86, 89)]
    rollcore.write_midi(song(*((t, t + 1, 60) for t in onsets), ticks_per_beat=division), tmp_path / "x.mid")
    record = record_of((tmp_path / "x.mid").read_bytes(), grid=Grid.beats(rate))
    places = [Fraction(t, division) * rate for t in onsets]
    expected = sum(abs(place - int(place + Fraction(1, 2))) > Fraction(1, 8) for place in places)
    assert int(record["moved"]) == expected == 240


# ---- one phase a file -------------------------------------------------------------------------------------------


def sixteenths(*classes, bars=20, offset=0, division=480, channel=0):
    """Onsets on these sixteenths of every beat, all of them so many ticks late."""
    onsets = [division * beat + division * k // 4 + offset for beat in range(4 * bars) for k in classes]
    return [(t, t + division // 8, 60 + i % 12, channel) for i, t in enumerate(onsets)]


def shift_of(rows, tmp_path, division=480, **options):
    rollcore.write_midi(song(*rows, ticks_per_beat=division), tmp_path / "x.mid")
    record = record_of((tmp_path / "x.mid").read_bytes(), **options)
    if options.get("align", True):
        assert (int(record["shift"]), bool(record["free"])) == oracle.phase(division, rows)
    return int(record["shift"])


@pytest.mark.parametrize(
    ("classes", "offset", "shift"),
    [
        ((0, 2), 0, 0),  # on the grid: as it is
        ((0, 0, 2), 37, -37),
        ((0, 0, 2), -37, 37),
        ((0, 0, 2), 120 + 37, -120 - 37),  # the strongest sixteenth is the beat
        ((0, 0, 2), 240 + 37, 240 - 37),  # and the way there the shorter one
        ((0, 0, 2), 240 - 37, -240 + 37),
        ((0, 0, 2), 360 + 37, 120 - 37),
        ((0, 2), 120 + 37, -37),  # none is clearly the strongest: the smallest shift
        ((0, 0, 0, 0, 0, 2, 2, 2, 2), 120 + 37, -120 - 37),  # by a quarter more it is
        ((0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2), 120 + 37, -37),
        ((0, 0, 2), 10, 0),  # a 48th of a beat late is on the grid
        ((0, 0, 2), 11, -11),
        ((0, 0, 2), 60, -60),  # half a sixteenth: the later of two goes by the strongest beat
    ],
)
def test_a_file_beside_its_grid_is_shifted(tmp_path, classes, offset, shift):
    rows = [(480 + on, 480 + off, *rest) for on, off, *rest in sixteenths(*classes, offset=offset)]
    assert shift_of(rows, tmp_path) == shift
    assert shift_of(rows, tmp_path, align=False) == 0


def test_fewer_than_64_onsets_are_no_evidence(tmp_path):
    assert shift_of(sixteenths(0, offset=480 + 37)[:64], tmp_path) == -37
    assert shift_of(sixteenths(0, offset=480 + 37)[:63], tmp_path) == 0
    # 64 notes, but two of them at one tick.
    assert shift_of([*sixteenths(0, offset=480 + 37)[:63], (517, 600, 90)], tmp_path) == 0


def test_the_shares_that_decide(tmp_path):
    beside = [(on + 480, off + 480, *rest) for on, off, *rest in sixteenths(0, offset=37, bars=25)]  # 100 onsets
    there = [(on + 480, off + 480, *rest) for on, off, *rest in sixteenths(1, bars=25)]
    for share, shift in ((30, -37), (31, 0)):
        assert shift_of(beside[: 100 - share] + there[:share], tmp_path) == shift


def test_nothing_falls_before_the_piece_begins(tmp_path):
    rows = sixteenths(0, 0, 2, offset=37)
    assert rows[0][0] == 37
    assert shift_of(rows, tmp_path) == -37
    # A pick-up of a sixteenth at the very start: a beat later instead of a sixteenth before it.
    rows = [(20, 60, 72), *((on + 120, off + 120, *rest) for on, off, *rest in sixteenths(0, 0, 2, offset=20))]
    assert shift_of(rows, tmp_path) == 480 - 140
    assert spans(song(*rows))[0] == (3, 1, 72)
    # Ten ticks of it are a 48th of a beat: it goes to step 0.
    rows = [(27, 60, 72), *sixteenths(0, 0, 2, offset=37)[3:]]
    assert shift_of(rows, tmp_path) == -37
    assert spans(song(*rows))[0][0] == 0


def test_drums_count_as_any_note_does(tmp_path):
    rows = [*sixteenths(0, offset=517, channel=9), (517, 600, 60, 0)]
    rollcore.write_midi(song(*rows), tmp_path / "x.mid")
    assert int(record_of((tmp_path / "x.mid").read_bytes())["shift"]) == -37


def test_bar_lines_and_tempos_stay_and_pedals_move(tmp_path):
    rows = sixteenths(0, 0, 2, offset=517)
    notes = song(*rows).notes
    pedals = np.array([(517, 0, 0, 1), (997, 0, 0, 0)], rollcore.midi.PEDAL_DTYPE)
    midi = Midi(notes[:1], np.zeros(0, rollcore.TEMPO_DTYPE), ticks_per_beat=480, pedals=pedals)
    whole = Midi(notes, np.zeros(0, rollcore.TEMPO_DTYPE), ticks_per_beat=480, pedals=pedals)
    assert spans(midi, sustain=True) == [(4, 4, 60)], "too few notes: nothing moves, the pedal holds for a beat"
    assert spans(whole, sustain=True)[0] == (4, 4, 60)
    path = tmp_path / "x.mid"
    rollcore.write_midi(Midi.from_notes(notes, time_signatures=[(0, 2, 4, 0), (480, 4, 4, 0)]), path)
    record = record_of(path.read_bytes())
    assert (int(record["shift"]), int(record["upbeat"])) == (-37, 4)


def test_neither_format_2_nor_seconds_have_a_phase():
    notes = song(*sixteenths(0, 0, 2, offset=517)).notes
    for format in (1, 2):
        midi = Midi(notes, np.zeros(0, rollcore.TEMPO_DTYPE), ticks_per_beat=480, format=format)
        first = np.flatnonzero(rollcore.piano_roll(midi, steps_per_beat=48)[:, 1].any(axis=1))[0]
        assert first == (48 if format == 1 else 52)
        assert np.flatnonzero(rollcore.piano_roll(midi, fps=100)[:, 1].any(axis=1))[0] == 53


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 5, 24, 50, 96, 120, 997]),
    st.integers(60, 200),
    st.sampled_from([0, 3, 10, 60]),
    st.sampled_from([0.0, 0.2, 0.5]),
)
def test_random_phases_equal_the_oracle(tmp_path_factory, seed, division, count, jitter, loose):
    """Notes at sixteenths, late by one offset and a little more each, some of them anywhere."""
    rng = np.random.default_rng(seed)
    ticks = rng.integers(0, 400, count) * division // 4 + rng.integers(0, 2 * division)
    ticks += rng.integers(-jitter, jitter + 1, count) * division // 480
    anywhere = rng.random(count) < loose
    ticks[anywhere] = rng.integers(0, 100 * division, anywhere.sum())
    rows = [(int(t), int(t) + 1, 60) for t in np.sort(np.maximum(ticks, 0))]
    path = tmp_path_factory.getbasetemp() / "phase.mid"
    rollcore.write_midi(song(*rows, ticks_per_beat=division), path)
    record = record_of(path.read_bytes())
    assert (int(record["shift"]), bool(record["free"])) == oracle.phase(division, rows)


# ---- real files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [4, 12])
def test_symusic_finds_the_same_steps_in_every_real_file(midi_folder, rate):
    """Its resample rounds to the nearest step as ours does, but what it rounds beside the onset is the length.

    So a note-off may be one step off in it: here it is given a second piece that has an onset for every note-off. A
    shift of the phase is ours alone.
    """
    symusic = pytest.importorskip("symusic")
    lengths_differ = 0
    for path in sorted(midi_folder.rglob("*.mid")):
        score = symusic.Score(path)
        ends = score.copy()
        for track in ends.tracks:
            for note in track.notes:
                note.time, note.duration = note.time + note.duration, 1
        sounding, struck = set(), set()
        resampled = score.resample(rate, min_dur=1)
        for track, end_track in zip(resampled.tracks, ends.resample(rate, min_dur=1).tracks, strict=True):
            if track.is_drum:
                continue
            for note, end in zip(track.notes, end_track.notes, strict=True):
                stop = max(end.time, note.time + 1)
                lengths_differ += stop != note.time + note.duration
                struck.add((note.time, note.pitch))
                sounding.update((step, note.pitch) for step in range(note.time, stop))
        rows = rollcore.piano_roll(rollcore.read_midi(path), steps_per_beat=rate, align=False)
        bits = np.unpackbits(rows, axis=-1, bitorder="little")
        assert set(zip(*(i.tolist() for i in np.nonzero(bits[:, 1])), strict=True)) == struck, path
        assert set(zip(*(i.tolist() for i in np.nonzero(bits[:, 0])), strict=True)) == sounding, path
    assert lengths_differ > 0


def test_songs_beside_their_grid_get_a_metre_and_tunes_stay(midi_folder, tmp_path):
    """POP909's notes lie a constant offset beside the sixteenths; those of the Nottingham folk tunes do not."""
    dataset_of, onsets = {}, {}
    for name in ("pop909", "nottingham"):
        folder = midi_folder / name
        if not folder.is_dir():
            pytest.skip(f"no folder {name} among the real files")
        report = rollcore.build_dataset(folder, tmp_path / f"{name}.h5")
        dataset_of[name] = dataset = rollcore.open_dataset(tmp_path / f"{name}.h5")
        assert report.aligned == int((dataset.pieces["shift"] != 0).sum())
        onsets[name] = []
        for i in range(len(dataset)):
            midi = rollcore.read_midi(folder / dataset.name(i))
            ticks = midi.notes["onset_tick"][midi.notes["channel"] != 9] + int(dataset.pieces["shift"][i])
            onsets[name] += [Fraction(int(tick), midi.ticks_per_beat) for tick in ticks]
    assert not dataset_of["nottingham"].pieces["shift"].any()
    steps = [int(4 * beat + Fraction(1, 2)) for beat in onsets["pop909"]]
    near = [
        abs(beat - Fraction(step, 4)) <= Fraction(1, 48) for beat, step in zip(onsets["pop909"], steps, strict=True)
    ]
    assert sum(near) > 0.9 * len(near)
    assert sum(step % 4 == 0 for step in steps) >= 0.4 * len(steps)


# ---- what the report says ---------------------------------------------------------------------------------------


def write(folder, count, rows_of, **options):
    folder.mkdir()
    for i in range(count):
        rollcore.write_midi(song(*rows_of(i), **options), folder / f"{i}.mid")


def test_the_report_counts_aligned_files(tmp_path):
    write(tmp_path / "in", 3, lambda i: sixteenths(0, 0, 2, offset=517 if i else 480))
    report = rollcore.build_dataset(tmp_path / "in", tmp_path / "x.h5")
    assert (report.aligned, report.gridless, report.off_grid) == (2, 0, 0)
    assert "  aligned                  2   files" in str(report)
    assert rollcore.open_dataset(tmp_path / "x.h5").pieces["shift"].tolist() == [0, -37, -37]
    assert str(report).splitlines()[-1].startswith("speed")
    report = rollcore.build_dataset(tmp_path / "in", tmp_path / "x.h5", align=False)
    assert (report.aligned, report.off_grid) == (0, 2 * 240)
    assert "  aligned  " not in str(report)
    assert rollcore.open_dataset(tmp_path / "x.h5").options["align"] is False


def test_recordings_are_sent_to_the_grid_of_seconds(tmp_path):
    def played(i):
        ticks = np.sort(np.random.default_rng(i).integers(0, 480 * 200, 300))
        return [(int(t), int(t) + 100, 60) for t in ticks]

    write(tmp_path / "in", 3, lambda i: played(i) if i else sixteenths(0, 2))
    report = rollcore.build_dataset(tmp_path / "in", tmp_path / "x.h5")
    assert (report.gridless, report.pieces) == (2, 3)
    last = "2 of 3 files keep to no grid of sixteenths, as recordings do: rollcore build-dataset … --fps 50"
    assert str(report).splitlines()[-1] == last
    assert "sixteenths" not in str(rollcore.build_dataset(tmp_path / "in", tmp_path / "x.h5", fps=50))


def test_triplets_are_sent_to_twelve_steps(tmp_path):
    def triplets(i):
        return [(160 * k, 160 * k + 160, 60) for k in range(90)]

    write(tmp_path / "in", 2, triplets)
    report = rollcore.build_dataset(tmp_path / "in", tmp_path / "x.h5")
    assert report.off_grid == 2 * 60
    last = "67 % of onsets lie between the steps; triplets need rollcore build-dataset … --steps-per-beat 12"
    assert str(report).splitlines()[-1] == last
    report = rollcore.build_dataset(tmp_path / "in", tmp_path / "x.h5", steps_per_beat=12)
    assert report.off_grid == 0
    assert str(report).splitlines()[-1].startswith("speed")
