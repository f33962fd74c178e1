"""``rollcore plot`` and ``render``."""

from __future__ import annotations

import wave

import pytest

import rollcore
from rollcore_command import assert_one_line


def test_plot_of_a_midi_file(run, midi, tmp_path):
    arguments = ("--start", "2", "--length", "4", midi / "C_major.mid", tmp_path / "x.png")
    assert run("plot", *arguments)[0] == 0
    seconds = (tmp_path / "x.png").read_bytes()
    assert run("plot", "--steps-per-beat", "4", "--beats-per-bar", "3", *arguments)[0] == 0
    assert (tmp_path / "x.png").read_bytes() != seconds


def test_bars_are_drawn_as_the_file_says(run, tmp_path, monkeypatch):
    notes = [(480, 960, 60, 80, 0, 0)]
    bars = [(0, 4, 4, 0), (480, 6, 8, 0)]
    rollcore.write_midi(rollcore.Midi.from_notes(notes, time_signatures=bars), tmp_path / "jig.mid")
    run("build-dataset", tmp_path / "jig.mid", tmp_path / "jig.h5", "--steps-per-beat", "4")
    drawn = []
    monkeypatch.setattr(
        "rollcore.show.plot.plot_roll",
        lambda *_, **options: drawn.append((options["beats_per_bar"], options["upbeat"])),
    )
    for arguments in (
        ("jig.mid", "--steps-per-beat", "4"),
        ("jig.h5", "jig"),
        ("jig.h5", "jig", "--beats-per-bar", "2.5"),
    ):
        source, *options = arguments
        assert run("plot", tmp_path / source, *options, tmp_path / "x.png")[0] == 0
    assert drawn == [(3, 1), (3, 1), (2.5, 1)]


def test_a_file_and_its_piece_are_heard_alike(run, tmp_path):
    """Sixteenths that are whole frames, at the velocity that a roll is given: nothing is lost on either grid."""
    notes = [(0, 240, 60, 80, 0, 0), (240, 480, 60, 80, 0, 0), (120, 960, 67, 80, 0, 0), (960, 1920, 72, 80, 0, 0)]
    midi = rollcore.Midi.from_notes(notes, tempos=[(0, 600_000)])
    (tmp_path / "midi").mkdir()
    rollcore.write_midi(midi, tmp_path / "midi" / "tune.mid")
    run("build-dataset", tmp_path / "midi", tmp_path / "seconds.h5", "--fps", "100", "--planes", "sounding,onset")
    run(
        "build-dataset", tmp_path / "midi", tmp_path / "beats.h5", "--steps-per-beat", "4", "--planes", "sounding,onset"
    )
    out, heard = tmp_path / "x.wav", set()
    for source in ("midi/tune.mid",), ("seconds.h5", "tune"), ("beats.h5", "0"):
        status, said, err = run("render", tmp_path / source[0], *source[1:], out)
        assert (status, said, err) == (0, f"{out}: tune.mid\n", "")
        heard.add(out.read_bytes())
    assert len(heard) == 1
    with wave.open(str(out)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(4 * 0.6, abs=0.1)


@pytest.mark.parametrize("grid", [("--fps", "1000"), ("--steps-per-beat", "500"), ("--fps", "100")])
def test_a_piece_of_any_grid_is_heard(run, tmp_path, grid):
    slow = rollcore.Midi.from_notes([(0, 480, 60, 80, 0, 0)], tempos=[(0, 16_000_000)])
    (tmp_path / "midi").mkdir()
    rollcore.write_midi(slow, tmp_path / "midi" / "slow.mid")
    run("build-dataset", tmp_path / "midi", tmp_path / "x.h5", *grid)
    assert run("render", tmp_path / "x.h5", "0", tmp_path / "x.wav")[0] == 0
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(16, abs=0.1)


@pytest.mark.parametrize(("command", "ending"), [("plot", "png"), ("render", "wav")])
def test_the_target_may_be_an_option_and_quiet_says_nothing(run, midi, dataset, tmp_path, command, ending):
    for source in ([midi / "C_major.mid"], [dataset, "C_major.mid"]):
        named, last = tmp_path / f"named.{ending}", tmp_path / f"last.{ending}"
        assert run(command, *source, last)[1].startswith(f"{last}: C_major.mid")
        assert run(command, "-o", named, *source, "-q") == (0, "", "")
        assert named.read_bytes() == last.read_bytes()
        named.unlink()
        assert run(command, *source, "--quiet", "--output", named) == (0, "", "")
        assert named.read_bytes() == last.read_bytes()
    status, out, err = run(command, "--quiet", midi / "page.mid", tmp_path / f"x.{ending}")
    assert (status, out) == (1, "")
    assert_one_line(err, "page.mid")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plot", "MIDI/C_major.mid"], ["Missing argument"]),
        (["plot", "a", "b", "c", "d"], ["too many arguments: expected SOURCE [PIECE] PICTURE"]),
        (["plot", "a", "b", "c", "-o", "d"], ["too many arguments"]),
        (["plot", "-o", "OUT"], ["Missing argument 'SOURCE'"]),
        (["plot", "DATASET", "-o", "OUT"], ["say which PIECE"]),
        (["render", "a"], ["Missing argument 'SOUND'"]),
        (["plot", "DATASET", "OUT"], ["say which PIECE"]),
        (["plot", "DATASET", "0", "OUT", "--fps", "20"], ["MIDI files"]),
        (["render", "MIDI/C_major.mid"], ["Missing argument"]),
        (["render", "DATASET", "x.wav"], ["say which PIECE"]),
    ],
)
def test_bad_usage(run, midi, dataset, tmp_path, arguments, words):
    places = {"MIDI": midi, "OUT": tmp_path / "new.h5", "DATASET": dataset}
    status, out, err = run(*(places.get(argument, argument) for argument in arguments))
    assert (status, out) == (2, "")
    assert_one_line(err, *words)
    assert list(tmp_path.iterdir()) == []


def test_bad_data(run, midi, dataset, tmp_path):
    silent = tmp_path / "silent.midi.txt"
    rollcore.write_midi(rollcore.Midi.from_notes([]), silent)
    new = tmp_path / "new.h5"
    for arguments, words in [
        (["plot", new, tmp_path / "x.png"], ["No such file"]),
        (["plot", midi, tmp_path / "x.png"], ["Is a directory"]),
        (["plot", midi / "page.mid", tmp_path / "x.png"], ["page.mid", "MThd"]),
        (["plot", midi / "C_major.mid", "0", tmp_path / "x.png"], ["not an HDF5 file"]),
        (["plot", dataset, "99", tmp_path / "x.png"], ["no piece 99"]),
        (["plot", dataset, "9" * 5000, tmp_path / "x.png"], ["no piece '999"]),
        (["plot", dataset, "nobody.mid", tmp_path / "x.png"], ["no piece 'nobody.mid'"]),
        (["plot", dataset, "0", tmp_path / "x.gif"], [".png"]),
        (["plot", dataset, "0", tmp_path / "no" / "x.png"], ["cannot be written"]),
        (["plot", "--start", "9999", dataset, "0", tmp_path / "x.png"], ["nothing to draw"]),
        (["render", new, tmp_path / "x.wav"], ["No such file"]),
        (["render", midi / "page.mid", tmp_path / "x.wav"], ["page.mid", "MThd"]),
        (["render", silent, tmp_path / "x.wav"], ["silent.midi.txt: no notes"]),
        (["render", dataset, "99", tmp_path / "x.wav"], ["no piece 99"]),
        (["render", dataset, "0", tmp_path / "x.mp3"], ["x.mp3", ".wav"]),
        (["render", dataset, "0", "./no/x.wav"], ["error: ./no/x.wav: cannot be written"]),
    ]:
        status, out, err = run(*arguments)
        assert (status, out) == (1, "")
        assert_one_line(err, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["silent.midi.txt"]


@pytest.mark.parametrize("command", ["plot", "render"])
@pytest.mark.parametrize("choice", [("--tracks", "99"), ("--programs", "99"), ("--channels", "16")])
def test_a_choice_that_matches_nothing_is_an_error(run, midi, tmp_path, command, choice):
    status, shown, error = run(command, midi / "C_major.mid", tmp_path / "x.out", *choice)
    assert (status, shown) == (1, "")
    assert_one_line(error, "C_major.mid", "not asked for", "rollcore info")
    assert not (tmp_path / "x.out").exists()
