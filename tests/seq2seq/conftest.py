"""Runs that several tests look at: each is trained once, or has learnt nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import rollcore
from fake_runs import write_small_run
from small_dataset import write_dataset
from untrained import PLANES, write_untrained_run

SMALL = {"model": "seq2seq", "head": "bernoulli", "units": 6, "input_frames": 4, "target_frames": 6}
OPTIONS = ["--model", "seq2seq", "--units", "6", "--input-frames", "4", "--target-frames", "6", "--epochs", "2"]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A small dataset."""
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def other_data(tmp_path_factory):
    """A dataset of other pieces."""
    return write_dataset(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(scope="session")
def small(data):
    """A small model without dropout, whose state Keras does not save, and how it is trained."""
    pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
    from rollcore import open_dataset
    from seq2seq import TrainConfig, model_config

    model = model_config(open_dataset(data), **SMALL, dropout=0.0)
    return SimpleNamespace(model=model, settings=TrainConfig(epochs=2, batch_size=4, transpose=3, seed=5))


@pytest.fixture(scope="session")
def run(data, small, tmp_path_factory):
    """A run of two epochs, without samples. Tests that change it copy it first."""
    from seq2seq import train

    run_dir = tmp_path_factory.mktemp("runs") / "first"
    train(data, run_dir, small.model, small.settings, samples=0, quiet=True)
    return run_dir


@pytest.fixture(scope="session")
def told(data, tmp_path_factory):
    """A run that the command trained, with two samples an epoch: its folder, and what was printed."""
    import contextlib
    import io

    pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
    from seq2seq.cli import run_one

    run_dir, printed = tmp_path_factory.mktemp("told") / "run", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert run_one("train", [str(data), "-o", str(run_dir), *OPTIONS, "--samples", "2"]) == 0
    return SimpleNamespace(path=run_dir, text=printed.getvalue())


@pytest.fixture(scope="session")
def untrained_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rollcore.make_chords(folder / "midi")
    rollcore.build_dataset(folder / "midi", folder / "chords.h5", steps_per_beat=4, planes=PLANES)
    (folder / "tiny").mkdir()
    return write_untrained_run(folder / "tiny", rollcore.open_dataset(folder / "chords.h5"))


@pytest.fixture(scope="session")
def seconds_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seconds")
    rollcore.make_chords(folder / "midi")
    rollcore.build_dataset(folder / "midi", folder / "chords.h5", fps=50, planes="sounding")
    (folder / "blog").mkdir()
    return write_untrained_run(
        folder / "blog", rollcore.open_dataset(folder / "chords.h5"), model="blog", head="bernoulli", planes=PLANES[:1]
    )


@pytest.fixture(scope="session")
def riff(tmp_path_factory):
    """Five beats of a melody that begins after a rest of a bar, at 90 beats per minute."""
    path = tmp_path_factory.mktemp("riff") / "riff.mid"
    notes = [(1920 + 480 * i, 1920 + 480 * (i + 1), pitch, 90, 0, 0) for i, pitch in enumerate([60, 62, 62, 64, 67])]
    rollcore.write_midi(rollcore.Midi.from_notes(notes, tempos=[(0, 666_667)]), path)
    return path


@pytest.fixture
def runs(tmp_path):
    """Three runs, one of them without an epoch, and what is not a run."""
    folder = tmp_path / "runs"
    write_small_run(folder / "slow", [(3, 3), (2, 1), (1, 2)], test=2.5, seed=4)
    write_small_run(folder / "deep" / "quick", [(2, 0.5)], test=4.0, epochs=10)
    write_small_run(folder / "begun", [])
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    (folder / ".hidden").mkdir()
    (folder / "notes.txt").write_text("")
    return folder


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty object storage, and an empty cache of what is fetched from it."""
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'rollcore[azure]'")
    monkeypatch.setenv("ROLLCORE_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    return system
