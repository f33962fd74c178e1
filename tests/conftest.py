"""What several tests share: the real data, where it is found, and a small dataset."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("ROLLCORE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


@pytest.fixture(scope="session")
def midi_folder() -> Path:
    """Folder of real MIDI files; set ROLLCORE_DATA to the folder that holds `midi/` and `rolls/`."""
    folder = DATA / "midi"
    if not folder.is_dir():
        pytest.skip("no real MIDI files: set ROLLCORE_DATA to a folder that holds midi/")
    return folder


@pytest.fixture(scope="session")
def rolls_folder() -> Path:
    """Folder of the four standard piano-roll datasets as .mat files."""
    folder = DATA / "rolls"
    if not folder.is_dir():
        pytest.skip("no .mat datasets: set ROLLCORE_DATA to a folder that holds rolls/")
    return folder
