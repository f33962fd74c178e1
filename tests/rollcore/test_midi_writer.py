"""Written files hold what a `Midi` holds: names, programs, controllers, drum parts and ports."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest

import rollcore
from rollcore import Midi, RollcoreError, read_midi, write_midi
from smf_cases import CASES, GS_RESET, TWO, Case, dump, track

COLUMNS = ("notes", "tempos", "pedals", "programs", "controllers", "parts")


def written(midi: Midi, **options: object) -> Midi:
    file = io.BytesIO()
    write_midi(midi, file, **options)
    return read_midi(file.getvalue(), strict=True)


def rows(midi: Midi, column: str) -> list[dict[str, int]]:
    """Rows without the number of their track, in an order of their own: tracks are numbered anew."""
    columns = getattr(midi, column)
    names = [name for name in columns.dtype.names if name != "track"]
    return sorted(columns[names].tolist())


# Format 2 cannot be written, and one case has gaps that need events of other kinds between them.
WRITABLE = [case for case in CASES if case.format != 2 and case.name != "ticks_beyond_32_bits"]


@pytest.mark.parametrize("case", WRITABLE, ids=lambda case: case.name)
def test_what_was_read_is_written(case: Case) -> None:
    midi = read_midi(case.data)
    again = written(midi)
    for column in COLUMNS:
        assert rows(again, column) == rows(midi, column), column
    assert sorted(again.drums.tolist()) == sorted(midi.drums.tolist())
    assert (again.ticks_per_beat, again.smpte) == (midi.ticks_per_beat, midi.smpte)
    assert written(again).notes.tolist() == again.notes.tolist()


def test_names_stay_with_their_tracks() -> None:
    name, other = '00 FF 03 05 "Piano"', '00 FF 03 02 "Bb"'
    song = read_midi(dump(TWO + track(name) + track(other + "00 90 3C 50  60 3C 00")))
    assert song.track_names == ("Piano", "Bb")
    again = written(song)
    assert again.track_names == ("Piano", "Bb"), "track 0 has no notes: its name is that of the piece"
    assert again.notes["track"].tolist() == [1]
    assert written(song, track_names=[]).track_names == ()
    assert written(song, track_names=["Flute", "more than there are"]).track_names == ("", "Flute")
    both = read_midi(dump(TWO + track(name + "00 90 3C 50  60 3C 00") + track(other + "00 90 3C 50  60 3C 00")))
    assert written(both).track_names == ("", "Piano", "Bb")


def test_names_must_be_several() -> None:
    with pytest.raises(RollcoreError, match=r"track_names must be a list of names, such as \['piano'\], not a text"):
        write_midi(Midi.from_notes([(0, 480, 60, 80, 0, 0)]), io.BytesIO(), track_names="piano")


def test_programs_and_controllers_come_back_in_order() -> None:
    song = read_midi(
        dump(TWO + track(GS_RESET + "00 B0 07 64  00 C0 05  00 90 3C 50  60 3C 00  00 C0 09  00 B0 07 10") + track(""))
    )
    again = written(song)
    assert again.programs[["tick", "program"]].tolist() == [(0, 5), (96, 9)]
    assert again.controllers[["tick", "number", "value"]].tolist() == [(0, 7, 100), (96, 7, 16)]
    assert again.note_programs.tolist() == [5]


@pytest.mark.parametrize(
    ("column", "row"),
    [("programs", (0, 0, 0, 128)), ("controllers", (0, 0, 0, 128, 0)), ("controllers", (-1, 0, 0, 7, 0))],
)
def test_columns_that_no_file_can_hold(column: str, row: tuple[int, ...]) -> None:

    dtype = {"programs": rollcore.PROGRAM_DTYPE, "controllers": rollcore.CONTROLLER_DTYPE}[column]
    midi = dataclasses.replace(Midi.from_notes([(0, 480, 60, 80, 0, 0)]), **{column: np.array([row], dtype)})
    with pytest.raises(RollcoreError, match=f"{column}: expected a tick of 0 or more, and values from 0 to 127"):
        write_midi(midi, io.BytesIO())
