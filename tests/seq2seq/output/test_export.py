"""Compositions as files: they hold the music and last as long as it, and come together or not at all."""

from __future__ import annotations

import importlib
import os
import re
import wave

import mido
import numpy as np
import pretty_midi
import pytest

import rollcore
from rollcore import RollcoreError
from seq2seq.cli import run_one
from seq2seq.output.figures import figures
from untrained import generate, padded, roll_of


def test_the_files_hold_the_music_and_last_as_long(untrained_run, tmp_path):
    made = generate(untrained_run, tmp_path, frames=50, num_outputs=3, seed=7, pictures=True, tempo_bpm=100)
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


def test_over_an_hour_there_is_no_sound(untrained_run, tmp_path):
    made = generate(untrained_run, tmp_path, frames=60, tempo_bpm=4, seed=7)
    long = generate(untrained_run, tmp_path, frames=1000, tempo_bpm=4, seed=7)
    assert made.outputs[0].sound is not None
    assert long.outputs[0].sound is None
    assert not list(tmp_path.glob("*.wav"))
    assert ".wav" not in long.page.read_text()


@pytest.mark.parametrize(
    ("writer", "call"),
    [
        ("rollcore.write_midi", 1),
        ("rollcore.plot_roll", 2),
        ("rollcore.write_wav", 2),
        ("seq2seq.output.export.write_page", 1),
    ],
)
def test_a_failure_leaves_what_an_earlier_call_made(untrained_run, tmp_path, monkeypatch, writer, call):
    """Whichever of the files cannot be written: either all of them are new, or none."""
    made = generate(untrained_run, tmp_path, frames=30, seed=3, pictures=True, num_outputs=2)
    assert {path.suffix for path in tmp_path.iterdir()} == {".mid", ".png", ".wav", ".html"}
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    module, _, name = writer.rpartition(".")
    write = getattr(importlib.import_module(module), name)
    calls = []

    def full(*arguments, **options):
        calls.append(name)
        if len(calls) == call:
            place = next(one for one in arguments if isinstance(one, str | os.PathLike))
            raise RollcoreError(f"{place}: cannot be written: No space left on device")
        return write(*arguments, **options)

    for folder in (tmp_path, tmp_path / "new" / "folder"):
        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(writer, full)
            with pytest.raises(RollcoreError, match=rf"^{re.escape(str(folder))}/tiny-seed3[\w.-]*: .*No space left"):
                generate(untrained_run, folder, frames=31, seed=3, pictures=True, num_outputs=2)
        assert len(calls) == call
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    again = generate(untrained_run, tmp_path, frames=31, seed=3, pictures=True, num_outputs=2)
    assert [output.midi for output in again.outputs] == [output.midi for output in made.outputs]
    assert made.page.read_bytes() != before[made.page.name]


def test_a_folder_in_the_place_of_a_file(untrained_run, tmp_path, monkeypatch):
    made = generate(untrained_run, tmp_path, frames=30, seed=3, pictures=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    made.outputs[0].picture.unlink()
    made.outputs[0].picture.mkdir()
    del before[made.outputs[0].picture.name]
    with pytest.raises(RollcoreError, match=r"tiny-seed3-1.png: is a folder"):
        generate(untrained_run, tmp_path, frames=31, seed=3, pictures=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        "seq2seq.sampling.sampler.Sampler.sample", lambda *_, **__: pytest.fail("drawn, and nowhere to put it")
    )
    assert run_one("generate", [str(untrained_run), "-o", str(tmp_path / "file")]) == 1


def test_the_sound_has_the_rest_at_the_end_too(untrained_run, seconds_run, tmp_path, monkeypatch):
    music = np.zeros((1, 100, 2, 16), np.uint8)
    music[0, :10, :, 7] = 1
    for folder, planes, lasts in (untrained_run, 2, 100 / 4 / 2), (seconds_run, 1, 100 / 50):
        monkeypatch.setattr(
            "seq2seq.sampling.sampler.Sampler.sample", lambda *_, planes=planes, **__: music[:, :, :planes]
        )
        made = generate(folder, tmp_path, primer_pitches="C4", tempo_bpm=120, frames=100).outputs[0]
        with wave.open(str(made.sound)) as sound:
            assert sound.getnframes() / sound.getframerate() == lasts


def test_pieces_of_an_earlier_larger_number_make_way(untrained_run, tmp_path):
    generate(untrained_run, tmp_path, frames=8, seed=3, num_outputs=12)
    other = generate(untrained_run, tmp_path, frames=8, seed=33).outputs[0].midi
    (tmp_path / "tiny-seed3-take.mid").touch()
    generate(untrained_run, tmp_path, frames=8, seed=3, num_outputs=2)
    left = {re.sub("-degenerate", "", path.name) for path in tmp_path.glob("*.mid")}
    assert left == {"tiny-seed3-1.mid", "tiny-seed3-2.mid", "tiny-seed3-take.mid", other.name}
