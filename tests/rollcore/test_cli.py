"""The command: what it prints, what it says of bad usage and bad data, and how it ends."""

import fcntl
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import termios
import time
import wave

import click
import numpy as np
import pytest
from click.testing import CliRunner

import rollcore
from rollcore.cli import cli, main
from rollcore.console import Progress, Screen, run_command
from rollcore.grid import MAX_MINUTES
from rollcore.sources.pack import make_chords

COMMANDS = ("make-chords", "build-dataset", "info", "report", "verify", "plot", "render", "import-mat")
HTML = b"<!DOCTYPE html><title>404</title>"


@pytest.fixture(scope="module")
def midi(tmp_path_factory):
    """Twelve good files, one that needs mending, one that is a web page."""
    folder = tmp_path_factory.mktemp("midi")
    for path in make_chords(folder)[12:]:
        path.unlink()
    whole = (folder / "C_major.mid").read_bytes()
    (folder / "torn.mid").write_bytes(whole[:-40])
    (folder / "page.mid").write_bytes(HTML)
    return folder


@pytest.fixture(scope="module")
def dataset(midi, tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "out.h5"
    rollcore.build_dataset(midi, path)
    return path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = main([os.fspath(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


def start(*arguments, **options):
    """Run the command for real, and within reach of Ctrl-C, which a shell turns off for what it runs behind."""
    command = [sys.executable, "-m", "rollcore", *map(os.fspath, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def assert_one_line(error, *words):
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    for word in words:
        assert word in error


# --- what it does


def test_help_comes_without_heavy_imports():
    code = (
        "import sys; from rollcore.cli import main; main(['--help'])\n"
        "print(sorted({'numpy', 'h5py', 'numba', 'mido', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_no_arguments_show_the_help(run):
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "build-dataset" in out


def test_version(run):
    assert run("--version") == (0, f"rollcore {rollcore.__version__}\n", "")


def test_the_stated_default_is_the_default():
    assert f"[default: {MAX_MINUTES}]" in CliRunner().invoke(cli, ["build-dataset", "--help"]).output


def test_from_nothing_to_a_picture(run, tmp_path):
    status, out, err = run("make-chords", tmp_path / "midi")
    assert (status, err) == (0, "")
    assert out.startswith("156 MIDI files in ")
    status, out, err = run("build-dataset", tmp_path / "midi", tmp_path / "out.h5")
    assert (status, err) == (0, "")
    assert "files found" in out
    assert "files/s" in out
    assert run("verify", tmp_path / "out.h5")[0] == 0
    for piece in ("0", "A_harmonic_minor.mid"):
        status, out, err = run("plot", tmp_path / "out.h5", piece, tmp_path / "x.png")
        assert (status, err) == (0, "")
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_build_options_reach_the_dataset(run, midi, tmp_path):
    options = ["--steps-per-beat", "8", "--planes", "sounding,onset", "--drums", "--sustain", "--max-minutes", "30"]
    options += ["--no-align", "--split", "1/1/1", "--dedupe", "--threads", "2"]
    status, _, err = run("build-dataset", *options, midi, tmp_path / "out.h5")
    assert (status, err) == (0, "")
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    assert str(dataset.grid) == "8 steps per beat"
    assert dataset.planes == ("sounding", "onset")
    assert dataset.options == {
        "align": False,
        "drums": True,
        "sustain": True,
        "max_minutes": 30.0,
        "split": [1, 1, 1],
        "dedupe": "notes",
    }
    rows = rollcore.piano_roll(rollcore.read_midi(midi / "C_major.mid"), steps_per_beat=8, planes=("sounding", "onset"))
    np.testing.assert_array_equal(dataset.rows(dataset.find("C_major.mid")), rows)


def test_output_quiet_and_verbose(run, midi, tmp_path):
    assert run("build-dataset", midi, "-q", "-o", tmp_path / "out.h5") == (0, "", "")
    assert len(rollcore.open_dataset(tmp_path / "out.h5")) == 13
    status, out, err = run(
        "build-dataset", midi / "C_major.mid", midi / "page.mid", "--output", tmp_path / "x.h5", "-v"
    )
    assert (status, err) == (0, "")
    assert "not a MIDI file (a web page)" in out
    assert "page.mid" in out.rpartition("skipped")[2]


def test_several_inputs_and_lists(run, midi, tmp_path, monkeypatch):
    monkeypatch.chdir(midi)
    pathlib.Path(tmp_path / "list.txt").write_text("C_major.mid\nG_major.mid\n")
    for inputs, pieces in ((["C_major.mid", "G_major.mid"], 2), ([f"@{tmp_path}/list.txt"], 2), (["."], 13)):
        assert run("build-dataset", *inputs, tmp_path / "out.h5")[0] == 0
        assert len(rollcore.open_dataset(tmp_path / "out.h5")) == pieces
    with start("build-dataset", "-", tmp_path / "out.h5", stdin=subprocess.PIPE) as process:
        _, err = process.communicate(b"C_major.mid\n")
    assert (process.returncode, err) == (0, b"")
    assert len(rollcore.open_dataset(tmp_path / "out.h5")) == 1


def test_info(run, dataset):
    status, out, err = run("info", dataset)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) <= 24
    assert max(map(len, out.splitlines())) <= 160
    assert "14 found, 13 read (1 of them repaired), 1 skipped" in out
    assert f"{'bars':<12} 4/4 in 13\n" in out
    status, out, err = run("info", dataset, "--json")
    facts = json.loads(out)
    opened = rollcore.open_dataset(dataset)
    assert facts["files"] == {"found": 14, "read": 13, "repaired": 1, "skipped": 1}
    assert (
        facts["splits"]["all"]["pieces"]
        == 13
        == sum(facts["splits"][s]["pieces"] for s in ("train", "validation", "test"))
    )
    assert facts["splits"]["all"]["frames"] == sum(len(opened.rows(i)) for i in range(13))
    assert facts["splits"]["all"]["notes"] == int(opened.pieces["notes"].sum())
    assert (facts["grid"], facts["planes"], facts["fingerprint"]) == (
        "4 steps per beat",
        ["sounding", "onset"],
        opened.fingerprint,
    )
    assert (facts["grid_unit"], facts["grid_rate"]) == ("beats", "4")
    assert facts["time_signatures"] == {"4/4": 13}
    assert facts["bytes"] == dataset.stat().st_size


def test_report_accounts_for_every_file(run, dataset, midi):
    status, out, err = run("report", dataset, "--json")
    assert (status, err) == (0, "")
    listed = json.loads(out)
    names = listed["read"] + [file["name"] for key in ("skipped", "repaired") for file in listed[key]]
    assert sorted(names) == sorted(path.name for path in midi.iterdir())
    [skipped], [repaired] = listed["skipped"], listed["repaired"]
    assert skipped["name"] == "page.mid"
    assert "not a MIDI file" in skipped["reason"]
    assert repaired["name"] == "torn.mid"
    assert repaired["repairs"] == rollcore.read_midi(midi / "torn.mid").repairs
    status, out, err = run("report", dataset)
    assert (status, err) == (0, "")
    assert "skipped: 1\n" in out
    assert all(name in out for name in names)
    assert all(code in out for code in repaired["repairs"])


def test_names_cannot_garble_the_terminal(run, midi, tmp_path):
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    for name in (b"caf\xe9.mid", b"new\nline.mid", b"\x1b[31mred.mid", "ñ.mid".encode()):
        os.link(midi / "C_major.mid", folder + b"/" + name)
    assert run("build-dataset", tmp_path / "odd", tmp_path / "out.h5")[0] == 0
    for command in ("report", "info"):
        status, out, _ = run(command, tmp_path / "out.h5")
        assert status == 0
        assert "\x1b" not in out
        assert "caf\\udce9.mid" in out
        assert "new\\nline.mid" in out
    names = {os.fsencode(name) for name in json.loads(run("report", tmp_path / "out.h5", "--json")[1])["read"]}
    assert names == set(os.listdir(folder))
    for piece in range(4):
        assert run("plot", tmp_path / "out.h5", str(piece), tmp_path / "x.png")[0] == 0
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with start("report", tmp_path / "out.h5", env=environment) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "ñ.mid" in out.decode()  # click knows that such a terminal is misconfigured


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


def test_splits_of_a_file(run, midi, tmp_path):
    splits = tmp_path / "splits.csv"
    splits.write_bytes(b'\xef\xbb\xbfC_major.mid, test\r\n\r\nabsent.mid,train\r\n"torn.mid",train\r\n')
    status, out, err = run("build-dataset", midi, tmp_path / "out.h5", "--split", f"@{splits}")
    assert (status, err) == (0, "")
    assert "2   1 / 0 / 1 train / validation / test" in out
    assert "11 in none of the splits given" in out
    assert f"absent{1:20}   of the names with a split, first absent.mid" in out


def test_split_names_do_not_depend_on_the_locale(tmp_path):
    (tmp_path / "midi").mkdir()
    for name in (b"caf\xc3\xa9.mid", b"caf\xe9.mid"):
        note = rollcore.Midi.from_notes([(0, 480, 60, 80, 0, 0)])
        rollcore.write_midi(note, tmp_path / "midi" / os.fsdecode(name))
    (tmp_path / "splits.csv").write_bytes(b"caf\xc3\xa9.mid,test\ncaf\xe9.mid,validation\n")
    arguments = ["build-dataset", "midi", "out.h5", "--split", "@splits.csv"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "rollcore", *arguments], cwd=tmp_path, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"2   0 / 1 / 1 train" in done.stdout


@pytest.mark.parametrize("grid", [("--fps", "1000"), ("--steps-per-beat", "500"), ("--fps", "100")])
def test_a_piece_of_any_grid_is_heard(run, tmp_path, grid):
    slow = rollcore.Midi.from_notes([(0, 480, 60, 80, 0, 0)], tempos=[(0, 16_000_000)])
    (tmp_path / "midi").mkdir()
    rollcore.write_midi(slow, tmp_path / "midi" / "slow.mid")
    run("build-dataset", tmp_path / "midi", tmp_path / "x.h5", *grid)
    assert run("render", tmp_path / "x.h5", "0", tmp_path / "x.wav")[0] == 0
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(16, abs=0.1)


def test_import_mat(run, rolls_folder, tmp_path):
    status, out, err = run("import-mat", rolls_folder / "JSB_Chorales.mat", tmp_path / "out.h5")
    assert (status, err) == (0, "")
    assert out.startswith("382 pieces in ")
    assert "1 steps per beat" in run("info", tmp_path / "out.h5")[1]


# --- what it says when something is wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], ["No such command"]),
        (["--frob"], ["No such option"]),
        (["info"], ["Missing argument", "rollcore info --help"]),
        (["build-dataset", "only-one"], ["Missing argument 'OUT': rollcore build-dataset only-one out.h5"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "fast"], ["'fast'", "such as 50"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "0"], ["positive"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "1/0"], ["1/0"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "50", "--steps-per-beat", "4"], ["choose one"]),
        (["build-dataset", "MIDI", "OUT", "--steps-per-beat", "-4"], ["positive"]),
        (["build-dataset", "MIDI", "OUT", "--planes", "onset"], ["sounding"]),
        (["build-dataset", "MIDI", "OUT", "--planes", "velocity"], ["sounding"]),
        (["build-dataset", "MIDI", "OUT", "--split", "80/20"], ["80/10/10", "@splits.csv"]),
        (["build-dataset", "MIDI", "OUT", "--split", "0/0/0"], ["(80, 10, 10)"]),
        (["build-dataset", "MIDI", "OUT", "--split", "110/-10/0"], ["(80, 10, 10)"]),
        (["build-dataset", "MIDI", "OUT", "--split", "99999999999/1/1"], ["(80, 10, 10)"]),
        (["build-dataset", "MIDI", "OUT", "--fps", "1e999999999"], ["such as 50"]),
        (["build-dataset", "MIDI", "OUT", "--max-minutes", "nan"], ["more than 0"]),
        (["build-dataset", "MIDI", "OUT", "--max-minutes", "1e6"], ["smaller"]),
        (["build-dataset", "MIDI", "OUT", "--max-minutes", "inf"], ["at most"]),
        (["build-dataset", "MIDI", "OUT", "--threads", "0"], ["--threads"]),
        (["plot", "MIDI/C_major.mid"], ["Missing argument"]),
        (["plot", "a", "b", "c", "d"], ["too many arguments"]),
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
    for name in ("empty", "pages"):
        (tmp_path / name).mkdir()
    (tmp_path / "pages" / "a.mid").write_bytes(HTML)
    (tmp_path / "pages" / "b.mid").write_bytes(HTML)
    (tmp_path / "pages" / "c.mid").write_bytes(b"")
    (tmp_path / "pages" / "list.txt").write_bytes(b"gone2.mid\ngone1.mid\n")
    (tmp_path / "cut.h5").write_bytes(dataset.read_bytes()[:-5000])
    (tmp_path / "text.h5").write_text("mine")
    silent = tmp_path / "empty" / "silent.midi.txt"
    rollcore.write_midi(rollcore.Midi.from_notes([]), silent)
    dev, twice = tmp_path / "empty" / "dev.csv", tmp_path / "empty" / "twice.csv"
    dev.write_text('"a, \nb.mid",train\nb.mid,dev\n')
    twice.write_text("a.mid,train\na.mid,test\n")
    new = tmp_path / "new.h5"
    for arguments, words in [
        (["build-dataset", tmp_path / "nowhere", new], ["nowhere", "no such file"]),
        (["build-dataset", tmp_path / "empty", new], ["empty", "no .mid"]),
        (["build-dataset", tmp_path / "pages", new], ["none of 3", "(2)", "not a MIDI file", "first file: a.mid"]),
        (
            ["build-dataset", f"@{tmp_path / 'pages' / 'list.txt'}", new],
            ["none of 2", "(2)", "no such file", "from the current directory", "first file: gone2.mid"],
        ),
        (["build-dataset", "@nowhere.txt", new], ["cannot read the list"]),
        (["build-dataset", midi, new, "--split", "@nowhere.csv"], ["nowhere.csv: cannot be read: no such file"]),
        (["build-dataset", midi, new, "--split", f"@{dev}"], ["dev.csv: line 3: expected", "found 'b.mid,dev'"]),
        (["build-dataset", midi, new, "--split", f"@{twice}"], ["twice.csv: line 2: a.mid is in another split"]),
        (["build-dataset", midi, tmp_path / "text.h5"], ["text.h5", "no rollcore dataset"]),
        (["build-dataset", midi, tmp_path / "empty"], ["is a folder"]),
        (["build-dataset", midi, "."], ["is a folder"]),
        (["build-dataset", midi, tmp_path / "no" / "new.h5"], ["cannot be written", "No such file"]),
        (["info", new], ["new.h5"]),
        (["info", tmp_path / "text.h5"], ["not an HDF5 file"]),
        (["report", tmp_path / "cut.h5"], ["cut.h5"]),
        (["verify", tmp_path / "cut.h5"], ["cut.h5"]),
        (["verify", midi / "C_major.mid"], ["C_major.mid"]),
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
        (
            ["import-mat", tmp_path / "no.mat", new, "--steps-per-beat", "4"],
            ["no.mat", "No such file", "check the path"],
        ),
        (["import-mat", tmp_path / "no.mat", new], ["no.mat", "No such file", "check the path"]),
        (["import-mat", midi / "C_major.mid", new], ["C_major.mid", "not a .mat file", "check the name"]),
        (["make-chords", tmp_path / "text.h5"], ["cannot make the folder"]),
    ]:
        status, out, err = run(*arguments)
        assert (status, out) == (1, "")
        assert_one_line(err, *words)
    assert (tmp_path / "text.h5").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "pages", "cut.h5", "text.h5"}


def test_verify_names_the_damage(run, dataset, tmp_path):
    opened = rollcore.open_dataset(dataset)
    damaged = bytearray(dataset.read_bytes())
    damaged[int(opened.pieces["offset"][5]) + 100] ^= 1
    (tmp_path / "out.h5").write_bytes(damaged)
    status, out, err = run("verify", tmp_path / "out.h5")
    assert status == 1
    assert "shard 000000" in out
    assert_one_line(err, "1 of 1 shards", "build it again")


# --- how it ends


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_standard_output_on_a_full_disk(dataset):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "rollcore", "info", os.fspath(dataset)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert_one_line(done.stderr, "standard output: No space left")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_without_standard_streams(dataset, midi, tmp_path, closed):
    command = f'"{sys.executable}" -m rollcore build-dataset "{midi}" "{tmp_path / "out.h5"}" {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed == "2>&-")
    assert len(rollcore.open_dataset(tmp_path / "out.h5")) == len(rollcore.open_dataset(dataset))


def test_a_reader_that_goes_away(tmp_path, midi):
    os.makedirs(tmp_path / "many")
    for i in range(4000):  # more names than a pipe holds
        os.link(midi / "C_major.mid", tmp_path / "many" / f"{i:0100}.mid")
    rollcore.build_dataset(tmp_path / "many", tmp_path / "out.h5", fps=1)
    with start("report", tmp_path / "out.h5") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(ends, tmp_path, midi):
    (tmp_path / "out.h5").write_bytes(b"")
    with start("build-dataset", "-", tmp_path / "out.h5", stdin=subprocess.PIPE) as process:
        process.stdin.write(os.fsencode(midi / "C_major.mid") + b"\n")
        process.stdin.flush()
        unread = bytes(4)
        while (unread := fcntl.ioctl(process.stdin, termios.FIONREAD, unread)) != bytes(4):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)  # it has read the line, and waits for the next
        process.send_signal(ends)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().strip() == "error: interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


def test_an_interruption_that_a_library_makes_an_error_of(tmp_path):
    program = """
import os, signal, sys, time, click
from rollcore.console import Progress, Screen, run_command
name = sys.argv.pop()
@click.command()
def mangle():
    try:
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(10)
    except KeyboardInterrupt:
        pass
    raise RuntimeError("MISMATCH of exceptions")
sys.exit(run_command(mangle, None, "mangle"))
"""
    for name, status, said in (
        ("SIGTERM", 130, "error: interrupted"),
        ("SIGINT", 130, "error: interrupted"),
        ("SIGCONT", 1, "RuntimeError: MISMATCH of exceptions"),
    ):
        command = [sys.executable, "-c", program.replace("time.sleep(10)", "") if name == "SIGCONT" else program, name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (status, said)


def test_an_interruption_while_the_command_is_being_loaded(tmp_path):
    """Ctrl-C while click is imported, which takes longer than all that stands before it."""
    (tmp_path / "click").mkdir()
    (tmp_path / "click" / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    for module in ("rollcore", "seq2seq"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


ESCAPES = r"""
import sys, click, warnings
from rollcore.console import Progress, Screen, run_command
bad = "a\x1b]0;title\x07b\x9bc\u202ed\udce9"
@click.command()
def speak():
    click.echo("echo " + bad)
    click.echo("told " + bad, err=True)
    print("print", bad, "\tcaf\u00e9")
    print("error", bad, file=sys.stderr)
    warnings.warn(bad)
    raise click.ClickException(bad)
sys.exit(run_command(speak, [], "speak"))
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_that_a_command_writes_reaches_the_terminal_raw(encoding):
    done = subprocess.run(
        [sys.executable, "-c", ESCAPES],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 1
    escaped = rb"a\x1b]0;title\x07b\x9bc\u202ed\udce9"
    assert done.stdout == b"echo " + escaped + b"\nprint " + escaped + " \tcaf\u00e9\n".encode()
    assert done.stderr.count(escaped) == 4
    assert not set(done.stderr) - set(range(32, 127)) - {ord("\n")}


def test_the_streams_are_as_before_after_a_command(capsys):
    before = sys.stdout, sys.stderr
    assert main(["--version"]) == 0
    assert (sys.stdout, sys.stderr) == before


def test_screens_tell_of_the_stream_behind_them(tmp_path):
    with open(tmp_path / "x", "w", encoding="latin-1", errors="replace") as stream:
        screen = Screen(stream)
        assert (screen.encoding, screen.errors, screen.isatty()) == ("latin-1", "replace", False)
        assert screen.fileno() == stream.fileno()
        assert screen.write("a\x1bb\r\n") == 5
        screen.close()
        assert not stream.closed
    assert (tmp_path / "x").read_bytes() == b"a\\x1bb\r\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_progress(monkeypatch, terminal):
    stream = Terminal() if terminal else io.StringIO()
    now = [100.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("files") as progress:
        for count in range(1, 1001):  # ten seconds
            now[0] += 0.01
            progress(count, "12 frames")
    written = stream.getvalue()
    if terminal:
        assert 90 <= written.count("a second") <= 101
        assert "\n" not in written
        assert written.endswith("\r" + " " * len("1,000 files, 100 a second, 12 frames") + "\r")
    else:
        assert 1 <= written.count("\n") <= 2
        assert "\r" not in written
        assert "500 files, 100 a second, 12 frames\n" in written


def test_the_rate_is_that_since_the_last_count_of_nothing(monkeypatch):
    stream, now = io.StringIO(), [100.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("frames") as progress:
        now[0] += 20  # a model is loaded
        progress(0)
        now[0] += 5
        progress(1000)
    assert stream.getvalue().splitlines()[-1] == "1,000 frames, 200 a second"


def test_no_progress_of_what_is_done_at_once(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("files") as progress:
        progress(1)
    assert stream.getvalue() == ""


def test_a_missing_extra_is_one_line_with_the_remedy(capsys, monkeypatch):
    @click.command()
    def train():
        import keras  # noqa: F401

    monkeypatch.setitem(sys.modules, "keras", None)  # as if it were not installed
    assert run_command(train, [], "seq2seq-train", {"keras": "'rollcore[cpu]'"}) == 1
    assert capsys.readouterr().err == "error: seq2seq-train needs keras: pip install 'rollcore[cpu]'\n"
    with pytest.raises(ModuleNotFoundError):
        run_command(train, [], "train")
