"""What seq2seq raises: one class per kind of bad input, one line per message."""

from __future__ import annotations

from rollcore import RollcoreError


class Seq2SeqError(RollcoreError):
    """Base of every error that seq2seq raises on bad input."""


class ConfigError(Seq2SeqError):
    """A setting of a model, a training or a request is out of range, or does not fit the others."""


class RunError(Seq2SeqError):
    """A run folder or a model is missing, damaged, or cannot be written."""
