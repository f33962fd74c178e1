"""What rollcore raises: one base, one line, and the same on the other side of a process."""

from __future__ import annotations

import inspect
import pickle

import pytest

from rollcore import errors
from rollcore.errors import DatasetError, MidiError, RollcoreError, StorageError


def test_every_error_is_caught_by_the_base():
    raised = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert set(raised) == {RollcoreError, MidiError, DatasetError, StorageError}
    assert all(issubclass(kind, RollcoreError) for kind in raised)
    assert not issubclass(RollcoreError, OSError | ValueError)


def test_a_midi_error_is_one_line_of_its_four_facts():
    error = MidiError("a.mid", 18, "a track length of 11", "9000")
    assert str(error) == "a.mid: byte 18: expected a track length of 11, found 9000"
    assert (error.file, error.offset, error.expected, error.found) == ("a.mid", 18, "a track length of 11", "9000")


@pytest.mark.parametrize(
    "error", [MidiError("a.mid", 0, "MThd", "'<html'"), DatasetError("x.h5: damaged"), StorageError("s3://a: absent")]
)
def test_errors_are_pickled_whole(error):
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)
