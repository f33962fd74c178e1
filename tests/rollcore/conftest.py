"""What tests of the commands share: some MIDI files, a dataset of them, and a way to call a command."""

from __future__ import annotations

import os

import pytest

import rollcore
from rollcore.cli import main
from rollcore.sources.pack import make_chords

HTML = b"<!DOCTYPE html><title>404</title>"


@pytest.fixture(scope="session")
def midi(tmp_path_factory):
    """Twelve good files, one that needs mending, one that is a web page."""
    folder = tmp_path_factory.mktemp("midi")
    for path in make_chords(folder)[12:]:
        path.unlink()
    whole = (folder / "C_major.mid").read_bytes()
    (folder / "torn.mid").write_bytes(whole[:-40])
    (folder / "page.mid").write_bytes(HTML)
    return folder


@pytest.fixture(scope="session")
def dataset(midi, tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "out.h5"
    rollcore.build_dataset(midi, path)
    return path


@pytest.fixture
def run(capsys):
    """Call the command; gives its status and what it wrote to standard output and standard error."""

    def run(*arguments):
        status = main([os.fspath(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run
