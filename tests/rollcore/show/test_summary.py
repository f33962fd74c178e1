"""What a dataset holds, in values and in words: counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rollcore
from rollcore.show.summary import dataset_facts, dataset_lines, file_outcomes, outcome_lines


def write(path, *rows, bar=(4, 4)):
    notes = np.array([(on, off, pitch, 80, 0, 0) for on, off, pitch in rows], rollcore.NOTE_DTYPE)
    rollcore.write_midi(rollcore.Midi.from_notes(notes, time_signatures=[(0, *bar, 0)]), path)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A waltz and a march, a copy of the waltz under an odd name, one that is cut, one that is a web page."""
    folder = tmp_path_factory.mktemp("summary")
    (folder / "in").mkdir()
    write(folder / "in" / "a waltz.mid", (0, 480, 60), (480, 1440, 64), bar=(3, 4))  # 3 beats, 1.5 s
    write(folder / "in" / "b\nwaltz.mid", (0, 480, 60), (480, 1440, 64), bar=(3, 4))
    write(folder / "in" / "c march.mid", (0, 960, 50), bar=(2, 4))  # 2 beats, 1 s
    write(folder / "in" / "d cut.mid", (0, 1920, 72))  # 4 beats, 2 s
    cut = (folder / "in" / "d cut.mid").read_bytes()[:-4]  # no end of track
    (folder / "in" / "d cut.mid").write_bytes(cut)
    (folder / "in" / "e page.mid").write_bytes(b"<html>")
    split = {"a waltz.mid": "train", "b\nwaltz.mid": "train", "c march.mid": "validation", "d cut.mid": "test"}
    rollcore.build_dataset(folder / "in", folder / "x.h5", steps_per_beat=4, split=split, max_minutes=7.5)
    return rollcore.open_dataset(folder / "x.h5")


def test_facts(opened):
    facts = dataset_facts(opened)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["files"] == {"found": 5, "read": 4, "repaired": 1, "skipped": 1}
    assert facts["time_signatures"] == {"3/4": 2, "2/4": 1, "4/4": 1}
    counted = {
        name: (row["pieces"], row["frames"], row["notes"], pytest.approx(row["hours"] * 3600))
        for name, row in facts["splits"].items()
    }
    assert counted == {
        "train": (2, 24, 4, 3.0),
        "validation": (1, 8, 1, 1.0),
        "test": (1, 16, 1, 2.0),
        "all": (4, 48, 6, 6.0),
    }
    assert (facts["grid_unit"], facts["grid_rate"], facts["shards"]) == ("beats", "4", 1)


def test_lines_are_one_screen(opened):
    lines = list(dataset_lines(opened))
    assert len(lines) <= 24
    assert all(line.isprintable() for line in lines)
    text = "\n".join(lines)
    assert "5 found, 4 read (1 of them repaired), 1 skipped" in text
    assert "3/4 in 2, 2/4 in 1, 4/4 in 1" in text
    assert "max_minutes 7.5" in text
    assert "drums no" in text
    assert r"piece 1      b\nwaltz.mid   1.5 s, 2 notes" in text
    [row] = [line.split() for line in lines if line.startswith("all ")]
    assert row == ["all", "4", "48", "0.00", "6"]


def test_every_file_is_in_one_of_three_lists(opened):
    listed = file_outcomes(opened)
    assert listed == {
        "skipped": [{"name": "e page.mid", "reason": "not a MIDI file (a web page)"}],
        "repaired": [{"name": "d cut.mid", "repairs": listed["repaired"][0]["repairs"]}],
        "read": ["a waltz.mid", "b\nwaltz.mid", "c march.mid"],
        "same_notes": [["a waltz.mid", "b\nwaltz.mid"]],
    }
    assert listed["repaired"][0]["repairs"]["missing_end_of_track"] == 1


def test_reasons_and_repairs_with_the_most_files_come_first():
    listed = {
        "skipped": [{"name": n, "reason": r} for n, r in (("a", "x"), ("b", "y\x1b"), ("c", "y\x1b"), ("d", "w"))],
        "repaired": [{"name": "e", "repairs": {"zero_tempo": 1_234}}, {"name": "f", "repairs": {"code 999": 2}}],
        "read": [],
        "same_notes": [],
    }
    assert list(outcome_lines(listed)) == [
        "skipped: 4",
        r"  y\x1b: 2",
        "    b",
        "    c",
        "  w: 1",
        "    d",
        "  x: 1",
        "    a",
        "",
        "repaired: 2",
        "  code 999, in 1: a newer rollcore knows what it means",
        "  zero_tempo, in 1: a tempo of 0 was ignored",
        "    e: zero_tempo 1,234",
        "    f: code 999 2",
        "",
        "read as they are: 0",
    ]
