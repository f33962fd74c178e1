"""Generator and `seq2seq generate` with an untrained model: files, lengths, steering, errors. Keras is not needed."""

import dataclasses
import importlib
import json
import re
import subprocess
import sys
import threading
import wave
from functools import partial
from types import SimpleNamespace

import mido
import numpy as np
import pretty_midi
import pytest

import rollcore
from rollcore import RollcoreError
from seq2seq.cli import run_one
from seq2seq.errors import ConfigError, RunError
from seq2seq.models.config import ModelConfig
from seq2seq.models.weights import read_weights, save_weights
from seq2seq.output.figures import figures
from seq2seq.output.notation import make_score, velocities
from seq2seq.output.theory import range_mask, scale_mask
from seq2seq.sampling.corpus import Corpus
from seq2seq.sampling.generator import Generator, _word
from seq2seq.sampling.request import Request
from untrained import untrained

main = partial(run_one, "generate")

BEATS = rollcore.Grid.beats(4)
PLANES = ("sounding", "onset")


def make_run(folder, dataset, **changes):
    """A run folder as training leaves it, with a model that has learnt nothing but to play now and then."""
    fields = {"model": "seq2seq", "planes": PLANES, "low": 40, "high": 88, "input_frames": 20, "target_frames": 7}
    config = ModelConfig(**(fields | {"units": 8} | changes))
    save_weights(config, untrained(config), folder / "model.safetensors", Corpus.of(dataset).to_dict())
    run = {
        "model": config.to_dict(),
        "train": {},
        "dataset": {
            "path": str(dataset.path),
            "fingerprint": dataset.fingerprint,
            "grid": {"unit": dataset.grid.unit, "rate": str(dataset.grid.rate)},
            "planes": list(dataset.planes),
            "options": dataset.options,
            "pieces": len(dataset),
        },
        "versions": {},
    }
    (folder / "config.json").write_text(json.dumps(run))
    return folder


def generate(run, folder, data=None, *, pictures=False, **request):
    """Load, compose and export; what was made in one place. Pictures take their time."""
    generator = Generator.load(run, data)
    compositions = generator.compose(Request(**request))
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr("seq2seq.output.export.find_spec", lambda name: None)
        exported = generator.export(compositions, folder)
    outputs = [
        SimpleNamespace(midi=files.midi, picture=files.picture, sound=files.sound, rows=one.rows, figures=one.figures)
        for one, files in zip(compositions, exported.files, strict=True)
    ]
    first = compositions[0]
    return SimpleNamespace(outputs=outputs, page=exported.page, primer=first.primer, unit=first.unit)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rollcore.make_chords(folder / "midi")
    rollcore.build_dataset(folder / "midi", folder / "chords.h5", steps_per_beat=4, planes=PLANES)
    (folder / "tiny").mkdir()
    return make_run(folder / "tiny", rollcore.open_dataset(folder / "chords.h5"))


@pytest.fixture(scope="module")
def seconds_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seconds")
    rollcore.make_chords(folder / "midi")
    rollcore.build_dataset(folder / "midi", folder / "chords.h5", fps=50, planes="sounding")
    (folder / "blog").mkdir()
    return make_run(
        folder / "blog", rollcore.open_dataset(folder / "chords.h5"), model="blog", head="bernoulli", planes=PLANES[:1]
    )


@pytest.fixture(scope="module")
def riff(tmp_path_factory):
    """Five beats of a melody that begins after a rest of a bar, at 90 beats per minute."""
    path = tmp_path_factory.mktemp("riff") / "riff.mid"
    notes = [(1920 + 480 * i, 1920 + 480 * (i + 1), pitch, 90, 0, 0) for i, pitch in enumerate([60, 62, 62, 64, 67])]
    rollcore.write_midi(rollcore.Midi.from_notes(notes, tempos=[(0, 666_667)]), path)
    return path


def roll_of(path, planes=PLANES):
    return rollcore.piano_roll(rollcore.read_midi(path), steps_per_beat=4, planes=planes)


def padded(rows, frames):
    assert len(rows) <= frames
    return np.concatenate([rows, np.zeros((frames - len(rows), *rows.shape[1:]), np.uint8)])


def test_the_files_hold_the_music_and_last_as_long(run, tmp_path):
    made = generate(run, tmp_path, frames=50, num_outputs=3, seed=7, pictures=True, tempo_bpm=100)
    assert len(made.outputs) == 3
    for output in made.outputs:
        assert output.rows.shape == (50, 2, 16)
        assert output.picture.read_bytes().startswith(b"\x89PNG")
        assert np.array_equal(padded(roll_of(output.midi), 50), output.rows)
        # 12.5 beats at 100 a minute, rests at the end included.
        file = mido.MidiFile(output.midi)
        assert file.length == pytest.approx(7.5, abs=1e-6)
        assert file.type == 1
        assert [message.tempo for message in file.tracks[0] if message.type == "set_tempo"] == [600_000]
        # pretty_midi sees the same notes at the same times.
        notes = rollcore.notes_from_roll(output.rows)
        heard = [n for track in pretty_midi.PrettyMIDI(str(output.midi)).instruments for n in track.notes]
        seen = sorted((round(n.start / 0.15), round(n.end / 0.15), n.pitch) for n in heard)
        assert seen == sorted(zip(notes["onset_tick"], notes["offset_tick"], notes["pitch"], strict=True))
        assert output.figures == figures([output.rows], 4)
        # The sound is that of the file: as long as its notes, and a moment.
        heard = max(note.end for note in heard)
        with wave.open(str(output.sound)) as sound:
            assert sound.getnframes() / sound.getframerate() == pytest.approx(heard + 1 / 16, abs=0.001)
    page = made.page.read_text()
    assert made.page == tmp_path / "tiny-seed7.html"
    for output in made.outputs:
        assert all(f'"{file.name}"' in page for file in (output.midi, output.sound))


def test_same_seed_same_bytes(run, tmp_path):
    first, again, other = (
        generate(run, tmp_path / str(i), frames=30, seed=seed, pictures=True) for i, seed in enumerate((3, 3, 4))
    )
    assert first.primer == again.primer
    assert first.outputs[0].midi.read_bytes() == again.outputs[0].midi.read_bytes()
    assert first.outputs[0].picture.read_bytes() == again.outputs[0].picture.read_bytes()
    assert first.outputs[0].sound.read_bytes() == again.outputs[0].sound.read_bytes()
    assert first.outputs[0].midi.read_bytes() != other.outputs[0].midi.read_bytes()


def test_what_is_made_otherwise_has_another_name(run, riff, tmp_path):
    names = []
    for options in (
        {},
        {"primer": 3},
        {"primer": "C_major.mid"},
        {"primer_pitches": "C4 E4"},
        {"melody": str(riff)},
        {"temperature": 0.9, "top_p": 0.95},
        {"scale": "F# dorian", "pitch_range": "C2:C6", "max_polyphony": 3},
    ):
        made = generate(run, tmp_path, frames=20, seed=4, **options)
        names.append(made.page.stem)
        assert made.outputs[0].midi.stem.removesuffix("-degenerate") == f"{names[-1]}-1"
    assert names[0] == "tiny-seed4"
    assert names[2:] == [
        "tiny-C_major-seed4",
        "tiny-C4-E4-seed4",
        "tiny-harmonize-riff-seed4",
        "tiny-t0.9-p0.95-seed4",
        "tiny-F#-dorian-C2-C6-max3-seed4",
    ]
    assert len(list(tmp_path.glob("*.mid"))) == len(set(names)) == 7


def test_names_are_short_and_tell_apart_what_they_leave_out():
    texts = [
        "a title that is long, take A",
        "a title that is long, take B",
        "日本" * 30,
        "日本" * 31,
        "!!!",
        "???",
        "a/b",
    ]
    words = [_word(text) for text in texts]
    assert len(set(words)) == len(texts)
    assert all(len(word.encode()) < 30 for word in words)
    assert not any(set(word) & set('/\\:*?"<>| \0') for word in words)
    assert [_word(text) for text in ("C4 E4 G4", "C2:C6", "Für Elise", "F# dorian")] == [
        "C4-E4-G4",
        "C2-C6",
        "Für-Elise",
        "F#-dorian",
    ]


def test_a_primer_that_is_cut_within_its_rest_is_said_to_be(run, tmp_path):
    path = tmp_path / "upbeat.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(960, 1440, 60, 80, 0, 0)]), path)
    with pytest.raises(RollcoreError, match=r"upbeat\.mid: its first 5 frames have no note"):
        generate(run, tmp_path / "out", frames=5, primer=str(path), primer_frames=5)


def test_over_an_hour_there_is_no_sound(run, tmp_path):
    made = generate(run, tmp_path, frames=60, tempo_bpm=4, seed=7)
    long = generate(run, tmp_path, frames=1000, tempo_bpm=4, seed=7)
    assert made.outputs[0].sound is not None
    assert long.outputs[0].sound is None
    assert not list(tmp_path.glob("*.wav"))
    assert ".wav" not in long.page.read_text()


def test_seconds_are_steps_at_the_tempo(run, riff, tmp_path):
    # 90 beats a minute is the riff's tempo: 6 steps a second.
    assert len(generate(run, tmp_path, seconds=5, primer=str(riff)).outputs[0].rows) == 30
    assert len(generate(run, tmp_path, seconds=5, primer=str(riff), tempo_bpm=120).outputs[0].rows) == 40


def test_a_grid_of_seconds_lasts_as_long_as_was_asked(seconds_run, tmp_path):
    made = generate(seconds_run, tmp_path, seconds=2.5, tempo_bpm=97, primer_pitches="C4 G4")
    output = made.outputs[0]
    assert output.rows.shape == (125, 1, 16)
    assert mido.MidiFile(output.midi).length == pytest.approx(2.5, abs=2e-3)
    back = rollcore.piano_roll(rollcore.read_midi(output.midi), fps=50, planes="sounding")
    assert np.array_equal(padded(back, 125), output.rows)
    assert made.unit == "second"


def test_a_tempo_too_slow_for_480_ticks_a_beat(seconds_run, tmp_path):
    output = generate(seconds_run, tmp_path, seconds=2.5, tempo_bpm=4).outputs[0]  # 750 frames a beat
    back = rollcore.piano_roll(rollcore.read_midi(output.midi), fps=50, planes="sounding")
    assert np.array_equal(padded(back, 125), output.rows)


@pytest.mark.parametrize(
    ("tempos", "frames"),
    [
        ([(0, 1_000_000), (480, 666_667), (1920, 600_000)], 30),  # at the first note: 90
        ([(1921, 1_000_000)], 40),  # none by then: 120
        ([(0, 10)], 40),  # six million beats a minute
    ],
)
def test_the_tempo_of_a_primer_is_that_of_its_first_note(run, tmp_path, tempos, frames):
    path = tmp_path / "primer.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(480, 960, 60, 80, 0, 0)], tempos=tempos), path)
    assert len(generate(run, tmp_path, seconds=5, primer=str(path)).outputs[0].rows) == frames


def test_a_piece_with_a_tempo_that_no_one_plays(run, tmp_path):
    rollcore.write_midi(
        rollcore.Midi.from_notes([(480 * i, 480 * i + 480, 60, 80, 0, 0) for i in range(90)], tempos=[(0, 100)]),
        tmp_path / "fast.mid",
    )
    rollcore.build_dataset(
        tmp_path / "fast.mid", tmp_path / "fast.h5", steps_per_beat=4, planes=PLANES, split=(1, 0, 0)
    )
    made = generate(run, tmp_path, primer="0", seconds=5, data=tmp_path / "fast.h5")
    assert len(made.outputs[0].rows) == 40


def test_a_primer_is_read_as_the_files_of_the_dataset_were(run, tmp_path):
    path = tmp_path / "drums.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(0, 480, 60, 80, 9, 0)]), path)
    with pytest.raises(RollcoreError, match="no notes in it, or drums alone"):
        generate(run, tmp_path, frames=5, primer=str(path))
    config, arrays, facts = read_weights(run / "model.safetensors")
    facts["reading"] = {"drums": True}
    save_weights(config, arrays, tmp_path / "kept.safetensors", facts)
    made = generate(tmp_path / "kept.safetensors", tmp_path, frames=5, primer=str(path), include_primer=True).outputs[0]
    assert np.flatnonzero(np.unpackbits(made.rows[0, 0], bitorder="little")).tolist() == [60]


@pytest.mark.parametrize(
    ("writer", "call"),
    [
        ("rollcore.write_midi", 1),
        ("rollcore.plot_roll", 2),
        ("rollcore.write_wav", 2),
        ("seq2seq.output.export.write_page", 1),
    ],
)
def test_a_failure_leaves_what_an_earlier_call_made(run, tmp_path, monkeypatch, writer, call):
    """Whichever of the files cannot be written: either all of them are new, or none."""
    made = generate(run, tmp_path, frames=30, seed=3, pictures=True, num_outputs=2)
    assert {path.suffix for path in tmp_path.iterdir()} == {".mid", ".png", ".wav", ".html"}
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    module, _, name = writer.rpartition(".")
    write = getattr(importlib.import_module(module), name)
    calls = []

    def full(*arguments, **options):
        calls.append(name)
        if len(calls) == call:
            raise RollcoreError("cannot be written: No space left on device")
        return write(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writer, full)
        with pytest.raises(RollcoreError, match="No space left"):
            generate(run, tmp_path, frames=31, seed=3, pictures=True, num_outputs=2)
    assert len(calls) == call
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    again = generate(run, tmp_path, frames=31, seed=3, pictures=True, num_outputs=2)
    assert [output.midi for output in again.outputs] == [output.midi for output in made.outputs]
    assert made.page.read_bytes() != before[made.page.name]


def test_a_folder_in_the_place_of_a_file(run, tmp_path, monkeypatch):
    made = generate(run, tmp_path, frames=30, seed=3, pictures=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    made.outputs[0].picture.unlink()
    made.outputs[0].picture.mkdir()
    del before[made.outputs[0].picture.name]
    with pytest.raises(RollcoreError, match=r"tiny-seed3-1.png: is a folder"):
        generate(run, tmp_path, frames=31, seed=3, pictures=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        "seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: pytest.fail("drawn, and nowhere to put it")
    )
    assert main([str(run), "-o", str(tmp_path / "file")]) == 1


def test_a_chord_is_struck_on_the_beats_of_any_grid(tmp_path):
    rollcore.make_chords(tmp_path / "midi")
    rollcore.build_dataset(tmp_path / "midi", tmp_path / "x.h5", steps_per_beat="5/2", planes=PLANES)
    (tmp_path / "run").mkdir()
    run = make_run(tmp_path / "run", rollcore.open_dataset(tmp_path / "x.h5"))
    made = generate(run, tmp_path, frames=2, primer_pitches="C4", include_primer=True).outputs[0]
    onsets = np.unpackbits(made.rows[:10, 1], axis=-1, bitorder="little")[:, 60]
    assert np.flatnonzero(onsets).tolist() == [0, 2, 5, 7]  # beats begin at 0, 2.5, 5 and 7.5


def test_the_primer_comes_first_where_it_is_included(run, riff, tmp_path):
    without = generate(run, tmp_path / "a", frames=10, primer=str(riff)).outputs[0]
    included = generate(run, tmp_path / "b", frames=10, primer=str(riff), include_primer=True).outputs[0]
    # Five beats after the bar of rest, filled up to two bars.
    assert len(included.rows) == 32 + 10
    assert np.array_equal(included.rows[:20], roll_of(riff)[16:])
    assert np.array_equal(included.rows[32:, 0], without.rows[:, 0])
    assert np.array_equal(roll_of(without.midi), without.rows[: len(roll_of(without.midi))])


def test_primers_by_piece_and_by_pitches(run, tmp_path):
    dataset = rollcore.open_dataset(run.parent / "chords.h5")
    name = dataset.name(5)
    made = generate(run, tmp_path, frames=4, primer=name, include_primer=True)
    assert made.primer == name
    # What the model reads at once, in whole bars.
    assert np.array_equal(made.outputs[0].rows[:16], dataset.rows(5)[:16])
    assert generate(run, tmp_path, frames=4, primer="5").primer == name
    assert generate(run, tmp_path, frames=4, primer=5).primer == name
    made = generate(run, tmp_path, frames=4, primer_pitches="G4 C4", primer_frames=6, include_primer=True)
    bits = np.unpackbits(made.outputs[0].rows, axis=-1, bitorder="little")
    assert [np.flatnonzero(frame).tolist() for frame in bits[:6, 0]] == [[60, 67]] * 6
    assert [np.flatnonzero(frame).tolist() for frame in bits[:6, 1]] == [[60, 67], [], [], [], [60, 67], []]
    assert len(bits) == 16 + 4, "new music begins with a bar"
    assert not bits[6:16].any()


def test_without_a_primer_the_model_begins_by_itself(run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    made = generate(tmp_path / "model.safetensors", tmp_path, frames=32)  # the dataset is not known
    assert made.primer == "nothing"
    # Tempo and time signature are those of the training data.
    dataset = rollcore.open_dataset(run.parent / "chords.h5")
    pieces = dataset.split("train")
    bar = dataset.bar(int(pieces[0]))
    assert {dataset.bar(int(piece)) for piece in pieces} == {bar}
    assert signature_of(made.outputs[0].midi) == [(0, *bar)]
    tempo = float(np.median(60e6 / dataset.pieces["tempo"][pieces]))
    file = mido.MidiFile(made.outputs[0].midi)
    assert [m.tempo for m in file.tracks[0] if m.type == "set_tempo"] == [pytest.approx(60e6 / tempo, abs=1)]


def test_what_is_known_of_the_training_data(run, tmp_path):
    dataset = rollcore.open_dataset(run.parent / "chords.h5")
    corpus = Generator.load(run).corpus
    assert corpus.to_dict() == json.loads(json.dumps(Corpus.of(dataset).to_dict()))
    assert (corpus.grid, corpus.figures.pieces) == (dataset.grid, len(dataset.split("train")))
    assert corpus.figures == figures([dataset.rows(int(piece)) for piece in dataset.split("train")], 4)
    rollcore.build_dataset(run.parent / "midi", tmp_path / "x.h5", steps_per_beat=4, planes=PLANES, split=(0, 1, 0))
    empty = Corpus.of(rollcore.open_dataset(tmp_path / "x.h5"))
    assert (empty.figures.pieces, empty.tempo_bpm, empty.time_signature) == (0, None, (4, 4))


def signature_of(path):
    signatures = [m for m in mido.MidiFile(path).tracks[0] if m.type == "time_signature"]
    return [(m.time, m.numerator, m.denominator) for m in signatures]


def test_the_time_signature_is_that_of_the_first_note_of_the_file(run, riff, tmp_path):
    notes = [(480 * i, 480 * (i + 1), 60 + i, 90, 0, 0) for i in range(6)]
    waltz = tmp_path / "waltz.mid"
    rollcore.write_midi(rollcore.Midi.from_notes(notes), waltz, time_signature=(3, 4))
    file = mido.MidiFile(waltz)
    # A later change is not that of the first note.
    file.tracks[1].insert(-1, mido.MetaMessage("time_signature", numerator=5, denominator=4))
    file.save(waltz)
    made = generate(run, tmp_path, frames=8, primer=waltz, include_primer=True).outputs[0]
    assert signature_of(made.midi) == [(0, 3, 4)]
    assert len(made.rows) == 24 + 8, "two bars of three beats are whole"
    made = generate(run, tmp_path, frames=8, primer=waltz, include_primer=True, time_signature=(4, 4)).outputs[0]
    assert signature_of(made.midi) == [(0, 4, 4)]
    assert len(made.rows) == 32 + 8
    made = generate(run, tmp_path, melody=str(waltz), primer=riff).outputs[0]
    assert signature_of(made.midi) == [(0, 3, 4)]
    # A melody that says nothing of bars leaves them to the primer; so does 1/4.
    plain = tmp_path / "plain.mid"
    rollcore.write_midi(rollcore.Midi.from_notes(notes), plain, time_signature=(1, 4))
    made = generate(run, tmp_path, melody=str(plain), primer=waltz).outputs[0]
    assert signature_of(made.midi) == [(0, 3, 4)]
    waltz.write_bytes(waltz.read_bytes()[:-6])  # damaged, and still a waltz
    assert signature_of(generate(run, tmp_path, frames=8, primer=waltz).outputs[0].midi) == [(0, 3, 4)]


@pytest.mark.parametrize("fps", [None, 50])
def test_a_piece_that_begins_with_a_rest_primes_from_its_first_note(run, seconds_run, tmp_path, fps):
    folder = seconds_run if fps else run
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


def test_the_bars_of_a_piece_are_those_of_its_file(run, tmp_path):
    notes = [(240 * i, 240 * (i + 1), 60 + i % 5, 90, 0, 0) for i in range(48)]
    (tmp_path / "midi").mkdir()
    for name, bar in ("jig", (6, 8)), ("song", (1, 4)):
        rollcore.write_midi(rollcore.Midi.from_notes(notes), tmp_path / "midi" / f"{name}.mid", time_signature=bar)
    data = tmp_path / "tunes.h5"
    rollcore.build_dataset(tmp_path / "midi", data, steps_per_beat=4, planes=PLANES)
    # The model reads 20 frames: one bar of 12, or of 16.
    made = generate(run, tmp_path, frames=8, primer="jig", include_primer=True, data=data).outputs[0]
    assert (signature_of(made.midi), len(made.rows)) == ([(0, 6, 8)], 12 + 8)
    made = generate(run, tmp_path, frames=8, primer="song", include_primer=True, data=data).outputs[0]
    assert (signature_of(made.midi), len(made.rows)) == ([(0, 4, 4)], 16 + 8)
    made = generate(
        run, tmp_path, frames=8, primer="jig", include_primer=True, data=data, time_signature=(4, 4)
    ).outputs[0]
    assert (signature_of(made.midi), len(made.rows)) == ([(0, 4, 4)], 16 + 8)


def test_a_pick_up_is_filled_up_to_a_bar(run, tmp_path):
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
        made = generate(run, tmp_path, frames=8, primer=primer, include_primer=True, data=data).outputs[0]
        assert signature_of(made.midi) == [(0, 3, 4)]
        assert np.array_equal(made.rows[:-8], whole[:frames])
    made = generate(run, tmp_path, melody=path, data=data).outputs[0]
    assert len(made.rows) == 36
    assert not (whole & ~made.rows).any()
    made = generate(run, tmp_path, melody=path, data=data, time_signature=(4, 4)).outputs[0]
    assert len(made.rows) == 12 + 28, "three beats of rest in 4/4"


def test_steering_by_its_names(run, tmp_path):
    made = generate(
        run, tmp_path, frames=40, num_outputs=2, scale="D dorian", pitch_range="C3:C5", max_polyphony=3, temperature=1.5
    )
    allowed = scale_mask("D dorian") & range_mask("C3:C5")
    for output in made.outputs:
        bits = np.unpackbits(roll_of(output.midi), axis=-1, bitorder="little")
        assert not bits[..., ~allowed].any()
        assert bits[:, 0].sum(axis=1).max() <= 3


def test_a_melody_is_kept_on_a_track_of_its_own(run, riff, tmp_path):
    made = generate(run, tmp_path, melody=str(riff), max_polyphony=3)
    output = made.outputs[0]
    melody = roll_of(riff)
    assert made.primer == "nothing"
    assert len(output.rows) == len(melody) == 36
    written = rollcore.read_midi(output.midi)
    tracks = [track.name for track in mido.MidiFile(output.midi).tracks[1:]]
    assert tracks == ["Melody", "Accompaniment"]
    first = written.notes["track"] == written.notes["track"].min()
    alone = rollcore.Midi.from_notes(written.notes[first])
    assert np.array_equal(rollcore.piano_roll(alone, steps_per_beat=4, planes=PLANES), melody)
    assert np.array_equal(padded(roll_of(output.midi), 36), output.rows)
    longer = generate(run, tmp_path, melody=str(riff), frames=50).outputs[0].rows
    assert np.array_equal(longer[:36] & melody, melody)
    late = rollcore.read_midi(riff).notes.copy()
    late["onset_tick"] += 4800
    late["offset_tick"] += 4800
    rollcore.write_midi(rollcore.Midi.from_notes(late), tmp_path / "late.mid")
    with pytest.raises(RollcoreError, match="first note comes after the 16 frames"):
        generate(run, tmp_path, melody=str(tmp_path / "late.mid"), frames=16)


def test_accents_follow_the_bar_and_the_top_voice():
    bits = np.zeros((32, 2, 128), np.uint8)
    bits[:, :, [60, 64, 67]] = 1
    rows = np.packbits(bits, axis=-1, bitorder="little")
    notes = rollcore.notes_from_roll(rows)
    found = velocities(rows, notes, BEATS, (4, 4))
    top = found[notes["pitch"] == 67]
    assert top[0] > top[8] > top[4] > top[1]
    assert np.array_equal(top[:16], top[16:])
    assert (found[notes["pitch"] == 64] < top).all()
    # Six eighths are twelve steps; the second half begins with the fourth.
    jig = velocities(rows, notes, BEATS, (6, 8))[notes["pitch"] == 67]
    assert jig[0] == jig[12] == jig[24] > jig[6] == jig[18] > jig[2] > jig[1]
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


def test_silence_is_not_passed_off_as_music(run, tmp_path, capsys):
    arguments = [str(run), "--output-dir", str(tmp_path), "--steps", "20", "--temperature", "0"]
    for ending in (".mid", ".png", ".wav"):
        (tmp_path / f"tiny-t0-seed0-1{ending}").write_text("what an earlier call made of the same seed")
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert "NOT MUSIC, silence: not one note in 20 frames" in told.out
    assert told.err.startswith("error: no output is music (silence")
    assert "a temperature above 0" in told.err
    degenerate = "tiny-t0-seed0-1-degenerate"  # without a sound
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{degenerate}.mid",
        f"{degenerate}.png",
        "tiny-t0-seed0.html",
    ]
    assert "NOT MUSIC, silence" in (tmp_path / "tiny-t0-seed0.html").read_text()
    assert mido.MidiFile(next(tmp_path.glob("*.mid"))).length > 0


def test_figures_stand_beside_those_of_the_training(run, tmp_path, capsys):
    arguments = [str(run), "--output-dir", str(tmp_path), "--steps", "30", "--num-outputs", "2"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    pieces = len(rollcore.open_dataset(run.parent / "chords.h5").split("train"))
    assert lines[2].split() == ["1", "2", "training", f"({pieces}", "pieces)"]
    assert any(line.startswith("notes per beat") for line in lines)
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    dataset = rollcore.open_dataset(run.parent / "chords.h5")
    wanted = figures([dataset.rows(int(piece)) for piece in dataset.split("train")], 4)
    assert told["training"]["notes"] == wanted.notes
    assert [output["figures"]["frames"] for output in told["outputs"]] == [30, 30]


def test_noise_is_called_so(run, tmp_path, monkeypatch, capsys):
    music, noise = np.zeros((2, 32, 2, 16), np.uint8)
    music[::4, :, 7] = 1
    noise[::2, :, 5:13] = 255
    monkeypatch.setattr("seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: [music, noise])
    assert main([str(run), "--output-dir", str(tmp_path), "--frames", "32"]) == 0
    dataset = rollcore.open_dataset(run.parent / "chords.h5")
    usual = figures([dataset.rows(int(piece)) for piece in dataset.split("train")], 4).density
    said = capsys.readouterr().out
    assert f"2: noise, most likely: {16 * 64 / 8 / usual:.0f} times as dense" in said
    assert "1: noise" not in said


def test_a_loop_is_called_so(run, tmp_path, monkeypatch, capsys):
    loop, music = np.zeros((2, 256, 2, 16), np.uint8)
    loop[::4, :, 7] = 1
    music[:, 0] = np.random.default_rng(1).integers(0, 2, (256, 16), np.uint8)
    monkeypatch.setattr("seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: [loop, music])
    assert main([str(run), "--output-dir", str(tmp_path), "--frames", "256"]) == 0
    said = capsys.readouterr().out
    assert "1: a loop, most likely: " in said
    assert "2: a loop" not in said


def test_the_sound_has_the_rest_at_the_end_too(run, seconds_run, tmp_path, monkeypatch):
    music = np.zeros((1, 100, 2, 16), np.uint8)
    music[0, :10, :, 7] = 1
    for folder, planes, lasts in (run, 2, 100 / 4 / 2), (seconds_run, 1, 100 / 50):
        monkeypatch.setattr(
            "seq2seq.sampling.sampler.Sampler.sample", lambda *_, planes=planes, **__: music[:, :, :planes]
        )
        made = generate(folder, tmp_path, primer_pitches="C4", tempo_bpm=120, frames=100).outputs[0]
        with wave.open(str(made.sound)) as sound:
            assert sound.getnframes() / sound.getframerate() == lasts


@pytest.mark.parametrize("signature", [(4, 0), (-3, 4), (4, 3), (300, 4), (4.5, 4)])
def test_time_signatures_that_are_none(run, tmp_path, signature):
    with pytest.raises(ConfigError, match="time signature must be"):
        generate(run, tmp_path, time_signature=signature)


def test_a_wrong_dataset_is_told_before_anything_is_drawn(run, tmp_path, riff, capsys):
    arguments = ["--primer", "3", "--data", str(riff), "--output-dir", str(tmp_path)]
    assert main([str(run), *arguments]) == 1
    assert "not an HDF5 file" in capsys.readouterr().err
    rollcore.build_dataset(run.parent / "midi", tmp_path / "x.h5", fps=50, planes=PLANES)
    assert main([str(run), "--primer", "3", "--data", str(tmp_path / "x.h5"), "--output-dir", str(tmp_path)]) == 1
    assert "the model needs 4 steps per beat with planes sounding, onset" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--scale", "A minr"], 2, "'A minr' is not a scale"),
        (["--pitch-range", "C6:C2"], 2, "higher end first"),
        (["--pitch-range", "C-1:C0"], 2, "leave none"),
        (["--scale", "C major", "--pitch-range", "C#4:C#4"], 2, "leave no pitch"),
        (["--primer-pitches", "H4"], 2, "'H4' is not a pitch"),
        (["--primer-pitches", "C0 C4 C9"], 2, "the model knows E2 to E6, not C0 C9"),
        (["--output-dir", __file__], 1, "is a file or lies in one"),
        (["--primer", "none.mid"], 1, "none.mid: no such MIDI file"),
        (["--primer", "none.mid", "--primer-pitches", "C4"], 2, "not both"),
        (["--frames", "4", "--seconds", "1"], 2, "not in two of them"),
        (["--bars", "4", "--harmonize", "x.mid"], 2, "as long as the melody"),
        (["--bars", "10000000000"], 2, "bars must be a whole number"),
        (["--bars", "2000000000"], 2, "ask for fewer"),
        (["--candidates", "0"], 2, "candidates must be"),
        (["--steps", "0"], 2, "at least 1"),
        (["--seconds", "-3"], 2, "above 0"),
        (["--seconds", "inf"], 2, "below 1,000,000"),
        (["--top-p", "0"], 2, "top-p"),
        (["--temperature", "-1"], 2, "negative"),
        (["--max-polyphony", "0"], 2, "at least 1"),
        (["--tempo", "0"], 2, "4 to 1000"),
        (["--time-signature", "4/5"], 2, "time signature"),
        (["--harmonize", "none.mid"], 1, "none.mid"),
        (["--primer", "3", "--data", "none.h5"], 1, "none.h5"),
        (["--num-outputs", "0"], 2, "at least 1"),
        (["--seed", "-1"], 2, "at least 0"),
        (["--primer", "3", "--primer-frames", "0"], 2, "primer frames must be"),
        (["--tempo", "nan"], 2, "tempo must be a number"),
        (["--temperature", "nan"], 2, "temperature must be a number"),
        (["--nonsense"], 2, "--nonsense"),
    ],
)
def test_mistakes_are_told_in_one_line(run, tmp_path, capsys, options, status, said):
    assert main([str(run), "--output-dir", str(tmp_path), *options]) == status
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert said in told.err
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_primer_are_told(run, tmp_path, capsys):
    broken, empty = tmp_path / "broken.mid", tmp_path / "empty.mid"
    broken.write_bytes(b"MThd, or so it says")
    rollcore.write_midi(rollcore.Midi.from_notes([]), empty)
    high = tmp_path / "high.mid"
    rollcore.write_midi(rollcore.Midi.from_notes([(0, 480, 100, 80, 0, 0)]), high)
    for option, path, said in (
        ("--primer", broken, "broken.mid"),
        ("--primer", empty, "empty.mid: no notes"),
        ("--harmonize", empty, "empty.mid: no notes"),
        ("--primer", high, "no note that the model knows"),
        ("--harmonize", high, "transpose it"),
    ):
        assert main([str(run), option, str(path), "--output-dir", str(tmp_path / "out")]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert said in told


def test_run_folders_that_are_none_are_told(run, tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "not a run folder" in capsys.readouterr().err
    whole = json.loads((run / "config.json").read_text())
    for part, said in (("model", "unreadable"), ("train", "unreadable"), ("dataset", "unreadable")):
        (tmp_path / "config.json").write_text(json.dumps({**whole, part: {"path": 1}}))
        assert main([str(tmp_path)]) == 1
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    (tmp_path / "config.json").write_text(json.dumps(whole))
    assert main([str(tmp_path)]) == 1
    assert "no weights for sampling: train the run again" in capsys.readouterr().err


def test_weights_of_another_run_are_refused(run, tmp_path):
    config, arrays, facts = read_weights(run / "model.safetensors")
    whole = json.loads((run / "config.json").read_text())
    whole["model"]["dropout"] = 0.25
    (tmp_path / "config.json").write_text(json.dumps(whole))
    save_weights(config, arrays, tmp_path / "model.safetensors", facts)
    with pytest.raises(RunError, match=r"not the model that config\.json describes"):
        Generator.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.clear(),
        lambda facts: facts["grid"].update(rate="0"),
        lambda facts: facts["grid"].update(rate="1/0"),
        lambda facts: facts["figures"].update(density="much"),
        lambda facts: facts["figures"].pop("density"),
        lambda facts: facts.update(tempo_bpm=1e9),
        lambda facts: facts.update(tempo_bpm="fast"),
        lambda facts: facts.update(time_signature=[4, 3]),
        lambda facts: facts.update(time_signature=4),
        lambda facts: facts.update(reading=[]),
    ],
)
def test_facts_of_the_training_data_that_cannot_be_are_refused(run, tmp_path, change):
    config, arrays, facts = read_weights(run / "model.safetensors")
    change(facts)
    save_weights(config, arrays, tmp_path / "m.safetensors", facts)
    with pytest.raises(RunError, match="what it says of its training data is damaged"):
        Generator.load(tmp_path / "m.safetensors")


def test_the_dataset_may_be_gone_but_not_needed(run, tmp_path, riff, capsys):
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    config = json.loads((run / "config.json").read_text())
    config["dataset"]["path"] = str(tmp_path / "gone.h5")
    (moved / "config.json").write_text(json.dumps(config))
    assert main([str(moved), "--primer", str(riff), "--steps", "30", "--output-dir", str(tmp_path)]) == 0
    assert "training (" in capsys.readouterr().out
    assert main([str(moved), "--primer", "3", "--output-dir", str(tmp_path)]) == 1
    assert "gone.h5 is gone: give a MIDI file, or a dataset with --data" in capsys.readouterr().err
    options = ["--data", str(run.parent / "chords.h5"), "--steps", "30", "--output-dir", str(tmp_path)]
    assert main([str(moved), "--primer", "3", *options]) == 0
    capsys.readouterr()
    assert main([str(moved / "model.safetensors"), "--primer", "3", "--output-dir", str(tmp_path)]) == 1
    assert "error: primer 3: no such MIDI file: give a MIDI file, or a dataset with --data" in capsys.readouterr().err


def test_bars_end_there_and_nothing_asked_ends_where_it_is_over(run, seconds_run, tmp_path):
    generator = Generator.load(run)
    dataset = rollcore.open_dataset(run.parent / "chords.h5")
    lengths = [len(dataset.rows(int(piece))) for piece in dataset.split("train")]
    made = generator.compose(Request(bars=3, num_outputs=2, seed=5, time_signature=(3, 4)))
    assert [len(one.rows) for one in made] == [36, 36]
    assert made[0].facts["length"] == "3 bars, 4 steps per beat"
    again = generator.compose(Request(bars=3, num_outputs=2, seed=5, time_signature=(3, 4)))
    assert [one.rows.tobytes() for one in again] == [one.rows.tobytes() for one in made]
    # Before the last bars it is the music that is cut after frames.
    cut = generator.compose(Request(frames=36, num_outputs=2, seed=5, time_signature=(3, 4)))
    assert all(np.array_equal(one.rows[:12], other.rows[:12]) for one, other in zip(made, cut, strict=True))
    made = generator.compose(Request(num_outputs=4, seed=5))
    assert all(32 < len(one.rows) <= max(lengths) for one in made)
    assert made[0].facts["length"] == "until it ends, 4 steps per beat"
    with pytest.raises(ConfigError, match="bars of 4/4 are not whole frames at 50 fps"):
        Generator.load(seconds_run).compose(Request(bars=3))
    assert len(Generator.load(seconds_run).compose(Request(seed=5))[0].rows) > 100


def test_the_last_bars_are_such_as_end_a_piece(run, monkeypatch):
    """With endings that know but one thing, that nothing sounds: of sixteen closes one with a rest."""
    generator = Generator.load(run)
    weights = np.zeros_like(generator.corpus.endings.weights)
    weights[-1] = 50
    ending = dataclasses.replace(generator.corpus.endings, weights=weights)
    generator.corpus = dataclasses.replace(generator.corpus, endings=ending)
    silent = [
        sum(not one.rows[-1].any() for one in generator.compose(Request(num_outputs=12, seed=2, **length)))
        for length in ({"frames": 64}, {"bars": 4})
    ]
    assert silent[0] < silent[1]


def test_the_best_of_several_is_nearest_to_the_training_data(run):
    generator = Generator.load(run)
    every = generator.compose(Request(frames=96, num_outputs=6, seed=3))
    best = generator.compose(Request(frames=96, num_outputs=2, candidates=3, seed=3))
    strange = [generator.corpus.strangeness(one.figures) + 100 * (one.degenerate is not None) for one in every]
    for number, one in enumerate(best):
        chosen = every[3 * number + int(np.argmin(strange[3 * number : 3 * number + 3]))]
        assert one.rows.tobytes() == chosen.rows.tobytes()
    assert best[0].name.startswith("tiny-best-of-3-seed3-1")
    assert best[0].facts["best of"] == 3


def test_all_velocities_alike(run):
    generator = Generator.load(run)
    flat, shaped = (generator.compose(Request(frames=64, seed=7, flat=flat))[0].score.midi.notes for flat in (1, 0))
    assert set(flat["velocity"]) == {80}
    assert len(set(shaped["velocity"])) > 1
    assert np.array_equal(flat["onset_tick"], shaped["onset_tick"])


def test_a_generator_is_loaded_once_and_asked_again_and_again(run, riff, tmp_path, monkeypatch):
    generator = Generator.load(run)
    request = Request(frames=40, seed=3, num_outputs=2, primer=riff)
    wanted = generator.compose(request)
    # From memory, without a file.
    same = generator.compose(Request(frames=40, seed=3, num_outputs=2, primer=rollcore.read_midi(riff)))
    assert [one.rows.tobytes() for one in same] == [one.rows.tobytes() for one in wanted]
    assert same[0].name == "tiny-a-MIDI-file-seed3-1"
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    found = {}

    def ask(number):
        found[number] = generator.compose(request)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for compositions in found.values():
        assert [one.rows.tobytes() for one in compositions] == [one.rows.tobytes() for one in wanted]
    assert sorted(tmp_path.iterdir()) == before, "composing writes nothing"
    assert generator.compose(Request(frames=40, seed=4))[0].rows.tobytes() != wanted[0].rows.tobytes()


def test_pieces_of_an_earlier_larger_number_make_way(run, tmp_path):
    generate(run, tmp_path, frames=8, seed=3, num_outputs=12)
    other = generate(run, tmp_path, frames=8, seed=33).outputs[0].midi
    (tmp_path / "tiny-seed3-take.mid").touch()
    generate(run, tmp_path, frames=8, seed=3, num_outputs=2)
    left = {re.sub("-degenerate", "", path.name) for path in tmp_path.glob("*.mid")}
    assert left == {"tiny-seed3-1.mid", "tiny-seed3-2.mid", "tiny-seed3-take.mid", other.name}


def test_one_pitch_that_was_asked_for_is_not_a_drone(run, tmp_path, monkeypatch):
    music = np.zeros((1, 64, 2, 16), np.uint8)
    music[0, ::2, :, 7] = 16
    monkeypatch.setattr("seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: music)
    generator = Generator.load(run)
    assert generator.compose(Request(frames=64, pitch_range="C4:C4"))[0].degenerate is None
    assert generator.compose(Request(frames=64))[0].degenerate == "a drone: C4 is the only pitch in 64 frames"


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 4.5},
        {"frames": True},
        {"seconds": "many"},
        {"seed": None},
        {"num_outputs": 10**12},
        {"scale": 5},
        {"primer": 2.5},
        {"melody": 3},
        {"tempo_bpm": float("inf")},
        {"temperature": "hot"},
        {"top_p": None},
        {"time_signature": 4},
    ],
)
def test_a_wrong_request_is_told_in_one_line(wrong):
    with pytest.raises(ConfigError) as caught:
        Request(**wrong)
    assert "\n" not in str(caught.value)


def test_generating_needs_no_framework(run, tmp_path):
    code = (
        "import sys; from seq2seq.cli import run_one; code = run_one('generate', sys.argv[1:]);"
        "loaded = {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules);"
        "sys.exit(f'{code}, {loaded}' if code or loaded else 0)"
    )
    arguments = [run, "--output-dir", tmp_path, "--frames", "40", "--num-outputs", "2"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from seq2seq.cli import run_one; run_one('generate', ['--help']);"
        "sys.exit(bool({'numpy', 'keras', 'numba', 'h5py', 'mido'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"validation_nats_per_frame": 20.5, "unigram_nats_per_frame": 9.0}, True),
        ({"validation_nats_per_frame": 1.5, "unigram_nats_per_frame": 9.0}, False),
        ({"validation_nats_per_frame": None, "unigram_nats_per_frame": 9.0}, False),
        ({}, False),
    ],
)
def test_a_model_whose_training_diverged_says_so(run, tmp_path, losses, said):
    config, arrays, facts = read_weights(run / "model.safetensors")
    save_weights(config, arrays, tmp_path / "m.safetensors", {**facts, **losses})
    made = Generator.load(tmp_path / "m.safetensors").compose(Request(frames=4))
    assert any("worse than counting pitches (20.500 nats a frame, 9.000)" in one for one in made[0].remarks()) == said
