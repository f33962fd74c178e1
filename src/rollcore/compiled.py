"""Numba as both packages use it: without the GIL, and kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(kernel: Callable[..., Any]) -> Any:
    """Compile a function at its first call; anew in every process where nothing can be kept on disk.

    That is so where neither the package's folder nor the user's cache can be written, as in many containers.
    """
    try:
        return njit(nogil=True, cache=True)(kernel)
    except RuntimeError:
        return njit(nogil=True)(kernel)
