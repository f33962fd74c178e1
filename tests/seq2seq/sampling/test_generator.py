"""Generator with an untrained model: lengths, names, steering, melodies, chance. Keras is not needed."""

import dataclasses
import json
import threading

import mido
import numpy as np
import pytest

import rollcore
from rollcore import RollcoreError
from seq2seq.errors import ConfigError, RunError
from seq2seq.models.weights import read_weights, save_weights
from seq2seq.output.measures import ends_on_tonic, piece_of
from seq2seq.output.theory import range_mask, scale_mask
from seq2seq.sampling.generator import Generator, _word
from seq2seq.sampling.request import Request
from untrained import PLANES, VOICES, generate, padded, roll_of, signature_of, write_untrained_run, write_voices


def test_same_seed_same_bytes(untrained_run, tmp_path):
    first, again, other = (
        generate(untrained_run, tmp_path / str(i), frames=30, seed=seed, pictures=True)
        for i, seed in enumerate((3, 3, 4))
    )
    assert first.primer == again.primer
    assert first.outputs[0].midi.read_bytes() == again.outputs[0].midi.read_bytes()
    assert first.outputs[0].picture.read_bytes() == again.outputs[0].picture.read_bytes()
    assert first.outputs[0].sound.read_bytes() == again.outputs[0].sound.read_bytes()
    assert first.outputs[0].midi.read_bytes() != other.outputs[0].midi.read_bytes()


def test_what_is_made_otherwise_has_another_name(untrained_run, riff, tmp_path):
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
        made = generate(untrained_run, tmp_path, frames=20, seed=4, **options)
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


def test_seconds_are_steps_at_the_tempo(untrained_run, riff, tmp_path):
    # 90 beats a minute is the riff's tempo: 6 steps a second.
    assert len(generate(untrained_run, tmp_path, seconds=5, primer=str(riff)).outputs[0].rows) == 30
    assert len(generate(untrained_run, tmp_path, seconds=5, primer=str(riff), tempo_bpm=120).outputs[0].rows) == 40


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


def test_without_a_primer_the_model_begins_by_itself(untrained_run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((untrained_run / "model.safetensors").read_bytes())
    made = generate(tmp_path / "model.safetensors", tmp_path, frames=32)  # the dataset is not known
    assert made.primer == "none"
    # Tempo and time signature are those of the training data.
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    pieces = dataset.split("train")
    bar = dataset.bar(int(pieces[0]))
    assert {dataset.bar(int(piece)) for piece in pieces} == {bar}
    assert signature_of(made.outputs[0].midi) == [(0, *bar)]
    tempo = float(np.median(60e6 / dataset.pieces["tempo"][pieces]))
    file = mido.MidiFile(made.outputs[0].midi)
    assert [m.tempo for m in file.tracks[0] if m.type == "set_tempo"] == [pytest.approx(60e6 / tempo, abs=1)]


def test_steering_by_its_names(untrained_run, tmp_path):
    made = generate(
        untrained_run,
        tmp_path,
        frames=40,
        num_outputs=2,
        scale="D dorian",
        pitch_range="C3:C5",
        max_polyphony=3,
        temperature=1.5,
    )
    allowed = scale_mask("D dorian") & range_mask("C3:C5")
    for output in made.outputs:
        bits = np.unpackbits(roll_of(output.midi), axis=-1, bitorder="little")
        assert not bits[..., ~allowed].any()
        assert bits[:, 0].sum(axis=1).max() <= 3


@pytest.fixture(scope="module")
def voices_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    dataset = rollcore.open_dataset(write_voices(folder / "midi"))
    (folder / "duet").mkdir()
    return write_untrained_run(folder / "duet", dataset, model="tied", planes=VOICES, conv=8, echo=64)


def test_each_voice_has_a_track_a_channel_and_a_program(voices_run, tmp_path):
    (made,) = Generator.load(voices_run).compose(Request(frames=64, seed=2))
    assert made.rows.shape == (64, 4, 16)
    made.score.write(tmp_path / "duet.mid")
    _, melody, bass = mido.MidiFile(tmp_path / "duet.mid").tracks
    assert [melody.name, bass.name] == ["melody", "bass"]
    for track, channel, program in ((melody, 0, 0), (bass, 1, 32)):  # "Acoustic Bass" is program 33 on paper
        changes = [(m.channel, m.program) for m in track if m.type == "program_change"]
        assert changes == [(channel, program)]
        assert {m.channel for m in track if m.type == "note_on"} == {channel}
    # What is on a track is what was drawn for the voice.
    again = rollcore.piano_roll(
        rollcore.read_midi(tmp_path / "duet.mid"),
        planes=VOICES,
        select=rollcore.Selection(voices=("melody=melody", "bass=bass")),
    )
    assert np.array_equal(padded(again, 64), made.rows)
    assert made.figures.notes == int(np.unpackbits(made.rows[:, 1] | made.rows[:, 3]).sum())


@pytest.mark.parametrize("hold", ["melody", "bass"])
def test_a_voice_of_a_file_is_held(voices_run, hold):
    file = voices_run.parent / "midi" / "1.mid"
    (made,) = Generator.load(voices_run).compose(Request(melody=file, hold=hold, temperature=0.9))
    source = rollcore.open_dataset(voices_run.parent / "midi" / "voices.h5")
    whole = source.rows(source.find("1.mid"))
    held, other = (slice(0, 2), slice(2, 4)) if hold == "melody" else (slice(2, 4), slice(0, 2))
    assert np.array_equal(made.rows[:, held], whole[:, held])
    assert not np.array_equal(made.rows[:, other], whole[:, other])
    assert made.facts["voice that it is"] == hold


def test_a_file_without_voices_is_the_one_that_is_held(voices_run, riff):
    (made,) = Generator.load(voices_run).compose(Request(melody=riff, hold="bass"))
    assert np.array_equal(made.rows[:, 2:], roll_of(riff))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the model has the voices melody, bass: say with hold which of them the melody is"),
        ({"hold": "flute"}, "hold 'flute': not a voice of the model; its voices are melody, bass"),
        ({"hold": "melody,"}, "hold '': not a voice of the model"),
    ],
)
def test_a_voice_that_is_not_named_well_is_refused(voices_run, riff, options, said):
    with pytest.raises(ConfigError, match=said):
        Generator.load(voices_run).compose(Request(melody=riff, **options))


def test_hold_is_for_melodies_and_models_with_voices(untrained_run, riff):
    with pytest.raises(ConfigError, match="give a melody"):
        Request(hold="melody")
    with pytest.raises(ConfigError, match="it has none: leave hold out"):
        Generator.load(untrained_run).compose(Request(melody=riff, hold="melody"))


def test_a_voice_without_notes_cannot_be_held(voices_run, tmp_path):
    midi = rollcore.Midi.from_notes([(0, 480, 60, 80, 0, 0)])
    rollcore.write_midi(midi, tmp_path / "solo.mid", track_names=["LEAD"])
    with pytest.raises(RollcoreError, match=r"solo\.mid: no notes of bass, but of other voices"):
        Generator.load(voices_run).compose(Request(melody=tmp_path / "solo.mid", hold="bass"))


def test_a_chord_is_played_by_the_last_voice(voices_run):
    (made,) = Generator.load(voices_run).compose(Request(primer_pitches="C4 E4", frames=8, include_primer=True))
    assert not made.rows[:16, :2].any()
    assert np.unpackbits(made.rows[0, 2], bitorder="little").nonzero()[0].tolist() == [60, 64]


def test_a_melody_is_kept_on_a_track_of_its_own(untrained_run, riff, tmp_path):
    made = generate(untrained_run, tmp_path, melody=str(riff), max_polyphony=3)
    output = made.outputs[0]
    melody = roll_of(riff)
    assert made.primer == "none"
    assert len(output.rows) == len(melody) == 36
    written = rollcore.read_midi(output.midi)
    tracks = [track.name for track in mido.MidiFile(output.midi).tracks[1:]]
    assert tracks == ["Melody", "Accompaniment"]
    first = written.notes["track"] == written.notes["track"].min()
    alone = rollcore.Midi.from_notes(written.notes[first])
    assert np.array_equal(rollcore.piano_roll(alone, steps_per_beat=4, planes=PLANES), melody)
    assert np.array_equal(padded(roll_of(output.midi), 36), output.rows)
    longer = generate(untrained_run, tmp_path, melody=str(riff), frames=50).outputs[0].rows
    assert np.array_equal(longer[:36] & melody, melody)
    late = rollcore.read_midi(riff).notes.copy()
    late["onset_tick"] += 4800
    late["offset_tick"] += 4800
    rollcore.write_midi(rollcore.Midi.from_notes(late), tmp_path / "late.mid")
    with pytest.raises(RollcoreError, match="first note comes after the 16 frames"):
        generate(untrained_run, tmp_path, melody=str(tmp_path / "late.mid"), frames=16)


def test_weights_of_another_run_are_refused(untrained_run, tmp_path):
    config, arrays, facts = read_weights(untrained_run / "model.safetensors")
    whole = json.loads((untrained_run / "config.json").read_text())
    whole["model"]["dropout"] = 0.25
    (tmp_path / "config.json").write_text(json.dumps(whole))
    save_weights(config, arrays, tmp_path / "model.safetensors", facts)
    with pytest.raises(RunError, match=r"not the model that config\.json describes"):
        Generator.load(tmp_path)


def test_bars_end_there_and_nothing_asked_ends_where_it_is_over(untrained_run, seconds_run, tmp_path):
    generator = Generator.load(untrained_run)
    dataset = rollcore.open_dataset(untrained_run.parent / "chords.h5")
    lengths = [len(dataset.rows(int(piece))) for piece in dataset.split("train")]
    made = generator.compose(Request(bars=3, num_outputs=2, candidates=1, seed=5, time_signature=(3, 4)))
    assert [len(one.rows) for one in made] == [36, 36]
    assert made[0].facts["length"] == "3 bars, 4 steps per beat"
    again = generator.compose(Request(bars=3, num_outputs=2, candidates=1, seed=5, time_signature=(3, 4)))
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


def test_the_last_bars_are_such_as_end_a_piece(untrained_run, monkeypatch):
    """With endings that know but one thing, that nothing sounds: of sixteen closes one with a rest."""
    generator = Generator.load(untrained_run)
    weights = np.zeros_like(generator.corpus.endings.weights)
    weights[-1] = 50
    ending = dataclasses.replace(generator.corpus.endings, weights=weights)
    generator.corpus = dataclasses.replace(generator.corpus, endings=ending, home=None)
    silent = [
        sum(
            not one.rows[-1].any() for one in generator.compose(Request(num_outputs=12, candidates=1, seed=2, **length))
        )
        for length in ({"frames": 64}, {"bars": 4})
    ]
    assert silent[0] < silent[1]


def test_pieces_end_on_the_tonic_where_those_of_the_training_data_do(untrained_run):
    """Of sixteen closes and more, one whose last note is the tonic of what has sounded; the endings cannot tell."""
    generator = Generator.load(untrained_run)
    ending = dataclasses.replace(generator.corpus.endings, weights=0 * generator.corpus.endings.weights)

    def at_home(home, **length):
        generator.corpus = dataclasses.replace(generator.corpus, endings=ending, home=home)
        made = generator.compose(Request(num_outputs=12, candidates=1, seed=2, **length))
        pieces = [piece_of("", one.rows, PLANES, 4, one.score.time_signature) for one in made]
        return np.mean([ends_on_tonic(piece) for piece in pieces])

    for length in ({"bars": 4}, {}):
        assert at_home(0.9, **length) >= 0.9
        assert at_home(0.2, **length) < 0.5


def test_while_no_end_is_on_the_tonic_it_is_pulled_to_more_and_more(untrained_run, monkeypatch):
    generator = Generator.load(untrained_run)
    generator.corpus = dataclasses.replace(generator.corpus, home=0.9)
    pulls, sample = [], type(generator._sampler).sample

    def spy(*given, **how):
        pulls.extend([how["phrasing"].pull] * (how["outputs"] > 1))
        return sample(*given, **how)

    monkeypatch.setattr(type(generator._sampler), "sample", spy)
    monkeypatch.setattr(Generator, "_is_home", lambda *_: False)
    generator.compose(Request(bars=4, candidates=1, seed=2))
    assert pulls == [0.0, 2.0, 5.0, 12.0]
    monkeypatch.setattr(Generator, "_is_home", lambda *_: len(pulls) == 6)
    generator.compose(Request(bars=4, candidates=1, seed=2))
    assert pulls[4:] == [0.0, 2.0]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {"cool", "rhythms", "held", "reach", "leaps", "keys"}),
        ({"pitch_range": "C3:C6"}, {"cool", "rhythms", "held", "leaps", "keys"}),
        ({"scale": "C major"}, {"cool", "rhythms", "held", "reach", "leaps"}),
        ({"melody": "riff"}, {"cool"}),
    ],
)
def test_music_keeps_to_what_is_known_of_the_training_data(untrained_run, riff, monkeypatch, options, kept):
    generator = Generator.load(untrained_run)
    known = {"cool": 1.5, "rhythms": ((4, 0.5),), "held": 9, "reach": (50, 90), "leaps": (0.1, 0.05)}
    generator.corpus = dataclasses.replace(generator.corpus, **known)
    known["keys"] = generator.corpus.keys
    asked, sample = [], type(generator._sampler).sample
    monkeypatch.setattr(
        type(generator._sampler), "sample", lambda *given, **how: asked.append(how["phrasing"]) or sample(*given, **how)
    )
    generator.compose(Request(frames=64, seed=1, **options | ({"melody": riff} if "melody" in options else {})))
    assert asked
    for phrasing in asked:
        assert {name for name, value in known.items() if getattr(phrasing, name) == value} == kept
        for name in known.keys() - kept:
            assert not getattr(phrasing, name)


def test_the_best_of_several_is_nearest_to_the_training_data(untrained_run):
    generator = Generator.load(untrained_run)
    every = generator.compose(Request(frames=96, num_outputs=6, seed=3))
    best = generator.compose(Request(frames=96, num_outputs=2, candidates=3, seed=3))
    pieces = [piece_of("", one.rows, generator.config.planes, 4, one.score.time_signature) for one in every]
    strange = [
        generator.corpus.strangeness(one.figures, piece) + 100 * (one.degenerate is not None)
        for one, piece in zip(every, pieces, strict=True)
    ]
    for number, one in enumerate(best):
        chosen = every[3 * number + int(np.argmin(strange[3 * number : 3 * number + 3]))]
        assert one.rows.tobytes() == chosen.rows.tobytes()
    assert best[0].name.startswith("tiny-best-of-3-seed3-1")
    assert best[0].facts["best of"] == 3


def test_music_that_ends_is_the_best_of_several_unless_asked_otherwise(untrained_run):
    generator = Generator.load(untrained_run)
    made = {
        name: generator.compose(Request(seed=3, **asked))[0]
        for name, asked in {
            "bars": {"bars": 3},
            "eight": {"bars": 3, "candidates": 8},
            "itself": {},
            "cut": {"frames": 48},
        }.items()
    }
    assert made["bars"].rows.tobytes() == made["eight"].rows.tobytes()
    assert [made[name].facts["best of"] for name in made] == [8, 8, 4, None]
    assert "best-of" not in made["bars"].name
    assert "best of" not in {k for k, v in generator.compose(Request(bars=3, temperature=0))[0].facts.items() if v}


def test_all_velocities_alike(untrained_run):
    generator = Generator.load(untrained_run)
    flat, shaped = (generator.compose(Request(frames=64, seed=7, flat=flat))[0].score.midi.notes for flat in (1, 0))
    assert set(flat["velocity"]) == {80}
    assert len(set(shaped["velocity"])) > 1
    assert np.array_equal(flat["onset_tick"], shaped["onset_tick"])


def test_a_generator_is_loaded_once_and_asked_again_and_again(untrained_run, riff, tmp_path, monkeypatch):
    generator = Generator.load(untrained_run)
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


def test_one_pitch_that_was_asked_for_is_not_a_drone(untrained_run, tmp_path, monkeypatch):
    music = np.zeros((1, 64, 2, 16), np.uint8)
    music[0, ::2, :, 7] = 16
    monkeypatch.setattr("seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: music)
    generator = Generator.load(untrained_run)
    assert generator.compose(Request(frames=64, pitch_range="C4:C4"))[0].degenerate is None
    assert generator.compose(Request(frames=64))[0].degenerate == "a drone: C4 is the only pitch in 64 frames"


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"validation_nats_per_frame": 20.5, "unigram_nats_per_frame": 9.0}, True),
        ({"validation_nats_per_frame": 1.5, "unigram_nats_per_frame": 9.0}, False),
        ({"validation_nats_per_frame": None, "unigram_nats_per_frame": 9.0}, False),
        ({}, False),
    ],
)
def test_a_model_whose_training_diverged_says_so(untrained_run, tmp_path, losses, said):
    config, arrays, facts = read_weights(untrained_run / "model.safetensors")
    save_weights(config, arrays, tmp_path / "m.safetensors", {**facts, **losses})
    made = Generator.load(tmp_path / "m.safetensors").compose(Request(frames=4))
    assert any("worse than counting pitches (20.500 nats a frame, 9.000)" in one for one in made[0].remarks()) == said
