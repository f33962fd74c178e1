"""Numba's cache on disk, and what becomes of a kernel where there is none."""

from __future__ import annotations

import importlib.util

import pytest

from rollcore.compiled import compiled


def test_a_kernel_that_cannot_be_kept_is_compiled_all_the_same():
    names: dict = {}
    exec("def twice(x):\n    return 2 * x\n", names)  # of no file, so that Numba finds no place for its cache
    from numba import njit

    with pytest.raises(RuntimeError, match="no locator"):
        njit(cache=True)(names["twice"])
    assert compiled(names["twice"])(21) == 42


def test_a_kernel_is_kept_for_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    (tmp_path / "made.py").write_text("def twice(x):\n    return 2 * x\n")
    spec = importlib.util.spec_from_file_location("made", tmp_path / "made.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert compiled(module.twice)(21) == 42
    assert list(tmp_path.rglob("made.twice-*.nbi"))
