"""Music compared with music: real against real, against noise, and the command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import rollcore
from made_music import phrases
from rollcore import DatasetError
from seq2seq.cli import main
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request
from seq2seq.training.samples import compare_samples, evaluate_samples, read_folder, read_reference, samples_table


@pytest.fixture(scope="module")
def folders(midi_folder, tmp_path_factory):
    """Give three folders of 12, 40 and 40 real tunes, none of them in two."""
    files = sorted((midi_folder / "nottingham").glob("*.mid"))
    found = []
    for first, count in ((0, 12), (1, 40), (2, 40)):
        folder = tmp_path_factory.mktemp("tunes")
        for file in files[first::3][:count]:
            shutil.copy(file, folder)
        found.append(folder)
    return found


def test_real_music_is_like_real_music_and_noise_is_not(folders):
    samples, real, training = map(read_folder, folders)
    assert [len(samples), len(real)] == [12, 40]
    found = compare_samples(samples, real, training)
    assert found["resemblance"]["frechet ratio"]["mean"] < 2
    assert found["resemblance"]["neighbour accuracy"]["mean"] < 0.75
    assert all(sides["samples"] > 0.8 for sides in found["overlap"].values())
    assert found["measures"]["notes in the piece's key"]["samples"] > 0.93
    assert found["measures"]["longest returning phrase, bars"]["real"] > 4
    assert found["copied"]["samples"]["share"] < 0.3
    rng = np.random.default_rng(1)
    noise = [phrases(rng.integers(0, 8, 32), upbeat=int(upbeat)) for upbeat in rng.integers(0, 16, 12)]
    far = compare_samples(noise, real, training)
    assert far["resemblance"]["frechet ratio"]["low"] > 4
    assert far["resemblance"]["neighbour accuracy"]["low"] > 0.9
    assert far["copied"]["samples"]["share"] == 0


def test_the_command_compares_folders_without_a_run_or_keras(folders, tmp_path):
    samples, real, _ = folders
    picture = tmp_path / "two sets.png"
    code = (
        "import sys; from seq2seq.cli import main\n"
        f"assert main(['evaluate', '--samples', {str(samples)!r}, '--reference', {str(real)!r}, '--json']) == 0\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert (found["samples"], found["real"]) == (12, 40)
    assert "copied" not in found
    args = ["evaluate", "--samples", str(samples), "--reference", str(real), "--picture", str(picture)]
    assert main(args) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "nothing is known of the training pieces" in samples_table(found)


def test_a_dataset_gives_its_held_out_pieces_and_what_was_trained_on(folders, tmp_path):
    path = tmp_path / "tunes.h5"
    rollcore.build_dataset(folders[1], path, steps_per_beat=4, planes=("sounding", "onset"), split=(2, 1, 1))
    real, training = read_reference(path)
    dataset = rollcore.open_dataset(path)
    assert len(training) == len(dataset.split("train"))
    assert {piece.name for piece in real} == {
        dataset.name(int(piece)) for name in ("validation", "test") for piece in dataset.split(name)
    }
    twin = {piece.name: piece for piece in read_folder(folders[1])}
    for piece in real:
        assert np.array_equal(piece.onset, twin[piece.name].onset)


def test_a_dataset_of_seconds_is_refused(folders, tmp_path):
    path = tmp_path / "seconds.h5"
    rollcore.build_dataset(folders[0], path, fps=20)
    with pytest.raises(DatasetError, match="bars and beats are compared"):
        read_reference(path)


def test_too_few_pieces_are_refused():
    with pytest.raises(DatasetError, match="0 samples and 1 real"):
        compare_samples([], [phrases([0, 1])])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "name a RUN"),
        (["--samples", "3"], "nothing to draw samples from"),
        (["--samples", "folder"], "nothing to compare with"),
        (["--samples", "3", "--reference", "x.h5"], "nothing to draw samples from"),
        (["run", "--picture", "x.png"], "go with --samples"),
    ],
)
def test_what_cannot_be_compared_is_bad_usage(args, said, capsys):
    assert main(["evaluate", *args]) == 2
    assert said in capsys.readouterr().err


def test_folders_that_are_not_there_are_one_line(tmp_path, capsys):
    assert main(["evaluate", "--samples", str(tmp_path / "no"), "--reference", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_pieces_are_drawn_from_a_model_and_laid_beside_a_folder(folders, monkeypatch):
    asked = []
    compose = Generator.compose
    monkeypatch.setattr(Generator, "compose", lambda self, request: asked.append(request) or compose(self, request))
    found = evaluate_samples(3, "chorales", folders[0])
    (request,) = asked
    assert vars(request) == vars(Request(num_outputs=3))
    assert (found["samples"], found["real"]) == (3, 12)
    assert found["measures"]["notes on the beat"]["samples"] > 0.6
    assert "copied" not in found


def test_midi_files_are_read_on_the_grid_of_the_dataset_and_copies_of_the_training_are_told(folders, tmp_path):
    path = tmp_path / "tunes.h5"
    rollcore.build_dataset(folders[1], path, steps_per_beat=2, planes=("sounding", "onset"), split=(2, 1, 1))
    dataset = rollcore.open_dataset(path)
    copies = tmp_path / "copies"
    copies.mkdir()
    for piece in dataset.split("train")[:4]:
        shutil.copy(folders[1] / dataset.name(int(piece)), copies)
    found = evaluate_samples(copies, None, path)
    assert found["copied"]["samples"]["share"] == 1
    assert found["copied"]["real"]["share"] < 0.5
