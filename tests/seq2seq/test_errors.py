"""What is raised on bad input: kinds that are told apart, and other libraries' errors in one line without secrets."""

from __future__ import annotations

import pytest

from rollcore import RollcoreError
from seq2seq.errors import ConfigError, RunError, Seq2SeqError, one_line


@pytest.mark.parametrize(("kind", "other"), [(ConfigError, RunError), (RunError, ConfigError)])
def test_settings_and_runs_are_told_apart_and_all_are_caught_as_one(kind, other):
    assert issubclass(kind, Seq2SeqError)
    assert issubclass(Seq2SeqError, RollcoreError)
    assert not issubclass(kind, other)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("refused\n  by\tthe server"), "refused by the server"),
        (
            OSError("https://me:secret@example.org/x and s3://key@bucket: no"),
            "https://example.org/x and s3://bucket: no",
        ),
        (OSError("https://example.org/@me: no"), "https://example.org/@me: no"),
        (TimeoutError(), "TimeoutError"),
        (OSError("x" * 300), "x" * 300),
        (OSError("x" * 301), "x" * 297 + "..."),
    ],
)
def test_another_librarys_error_is_one_line(error, line):
    assert one_line(error) == line
