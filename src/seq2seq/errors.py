"""What seq2seq raises: one class per kind of bad input, one line per message."""

from __future__ import annotations

import re

from rollcore import RollcoreError


class Seq2SeqError(RollcoreError):
    """Base of every error that seq2seq raises on bad input."""


class ConfigError(Seq2SeqError):
    """A setting of a model, a training or a request is out of range, or does not fit the others."""


class RunError(Seq2SeqError):
    """A run folder or a model is missing, damaged, or cannot be written."""


def one_line(error: Exception, longest: int = 300) -> str:
    r"""Return the text of another library's error as one line, without the users and passwords of addresses.

    Examples
    --------
    >>> one_line(OSError("http://me:secret@example.org:\n  refused"))
    'http://example.org: refused'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"(?<=://)[^/\s@]+@", "", text)
    return text if len(text) <= longest else text[: longest - 3] + "..."
