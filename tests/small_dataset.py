"""A dataset of a few short pieces of random chords, for tests of what is fed, trained and scored."""

from __future__ import annotations

import numpy as np
import pytest

from rollcore import import_mat

LENGTHS = {"traindata": (1, 7, 30, 12), "validdata": (9, 16), "testdata": (5, 23)}


def write_dataset(folder, lengths=LENGTHS, seed=0):
    """Write pieces of random chords on the musical grid; their splits are named by the .mat file."""
    io = pytest.importorskip("scipy.io", reason="scipy is not installed: pip install 'rollcore[mat]'")
    rng = np.random.default_rng(seed)
    cells = {}
    for name, frames in lengths.items():
        cells[name] = np.empty((1, len(frames)), object)
        for i, n in enumerate(frames):
            cells[name][0, i] = np.repeat(rng.random((-(-n // 2), 88)) < 0.04, 2, axis=0)[:n].astype(np.uint8)
            cells[name][0, i][:, 40] = 1
            # What is repeated is as long as the shorter pieces.
            cells[name][0, i][8:16] = cells[name][0, i][: max(0, min(8, n - 8))]
    io.savemat(folder / "jsb.mat", cells)
    import_mat(folder / "jsb.mat", folder / "jsb.h5")
    return folder / "jsb.h5"
