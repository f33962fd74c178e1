"""Entry points of the commands: what runs before anything that takes time to import."""

from __future__ import annotations

import sys

from rollcore.entry import expect_interruption

__all__ = ["compare", "evaluate", "generate", "seq2seq", "train"]


def seq2seq() -> None:
    """Run `seq2seq` and end the process with its status."""
    expect_interruption()
    from seq2seq.cli import main

    sys.exit(main())


def train() -> None:
    """Run `seq2seq-train`."""
    _one("train")


def generate() -> None:
    """Run `seq2seq-generate`."""
    _one("generate")


def evaluate() -> None:
    """Run `seq2seq-evaluate`."""
    _one("evaluate")


def compare() -> None:
    """Run `seq2seq-compare`."""
    _one("compare")


def _one(name: str) -> None:
    expect_interruption()
    from seq2seq.cli import run_one

    sys.exit(run_one(name))
