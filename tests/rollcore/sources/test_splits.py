"""Tables of names and splits, and the files that their names mean."""

import pytest

import rollcore
from rollcore.errors import RollcoreError
from rollcore.sources.splits import NamedSplits, read_splits

MAESTRO = (
    "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"
    'Alban Berg,Sonata Op. 1,train,2018,"2018/a, b.midi",2018/a.wav,698.6\n'
    "Alexander Scriabin,24 Preludes,test,2004,2004/c.midi,2004/c.wav,759.5\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.mid,train\nb.mid,test\n", {"a.mid": "train", "b.mid": "test"}),
        ("\ufeffname,split\r\n2004/c, with comma.mid,validation\r\n", {"2004/c, with comma.mid": "validation"}),
        ("train,a, b.mid\n", {"a, b.mid": "train"}),
        ("split\tfile\ntest\ta, b.mid\n", {"a, b.mid": "test"}),
        ("id\tartist\tset\n7\tx\ttest\n", {"7": "test"}),
        (MAESTRO, {"2018/a, b.midi": "train", "2004/c.midi": "test"}),
        ('"quoted, name.mid", test \n\n', {"quoted, name.mid": "test"}),
        (" a.mid ,train\n", {" a.mid ": "train"}),  # a file may be called so
        ("", {}),
    ],
)
def test_tables(tmp_path, text, expected):
    (tmp_path / "splits.csv").write_text(text, encoding="utf-8", newline="")
    assert read_splits(str(tmp_path / "splits.csv")) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.mid,train\nb.mid,dev\n", r"line 2: expected .* found 'b\.mid,dev'"),
        ("name,split\n,train\n", "line 2: expected"),
        ("artist,title,split\nx,y,train\n", "line 1: no column tells the file; call one midi_filename"),
        ("artist,title,file\nx,y,z\n", "line 1: no column tells the split; call one split"),
        ("artist,file,split\nx,y\n", "line 2: expected"),
        ("a.mid,train\na.mid,test\n", "line 2: a.mid is in another split"),
        ('"a' + "x" * 200_000, "field larger than"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, words):
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(RollcoreError, match=words):
        read_splits(str(tmp_path / "splits.csv"))


@pytest.mark.parametrize(
    ("table", "name", "split"),
    [
        ({"a.mid": 1}, "a.mid", 1),
        ({"a": 1}, "x/y/a.MIDI", 1),  # the table has neither folder nor ending
        ({"a.mid": 1}, "a.mid.gz", 1),
        ({"a.midi": 1}, "a.mid", 1),
        ({"y/a.mid": 1}, "x/y/a.mid", 1),
        ({"./a.mid": 1}, "a.mid", 1),
        ({"z/a.mid": 1}, "x/y/a.mid", None),
        ({"a.mid": 0, "y/a.mid": 2}, "x/y/a.mid", 2),  # the longest match
        ({"a.mid": 0, "y/a.mid": 2}, "z/a.mid", 0),
        ({"2004/a.mid": 1}, "a.mid", 1),  # the file has less than the table
        ({"2004/a.mid": 1, "2006/a.mid": 2}, "a.mid", None),  # two could be meant
        ({"2004/a.mid": 1, "2006/a.mid": 2}, "2006/a.mid", 2),
        ({" a.mid ": 1}, "a.mid", 1),
        ({" a.mid ": 1, "a.mid": 2}, " a.mid ", 1),
        ({"a ": 1}, "a .mid", 1),
        ({"Op. 3": 1}, "Op. 3.mid", 1),
        ({"Op. 3": 1}, "Op.mid", None),
        ({"a": 1}, "ba.mid", None),
    ],
)
def test_names_written_in_other_ways(table, name, split):
    found = NamedSplits({key.encode(): value for key, value in table.items()})
    assert found.place(name.encode()) == split


def test_what_no_file_has_is_absent():
    splits = NamedSplits({b"a": 0, b"x/b.mid": 1, b"c.mid": 2})
    splits.place(b"y/a.mid")
    splits.place(b"b.mid")
    splits.place(b"d.mid")
    assert splits.absent() == [b"c.mid"]


def test_a_build_goes_by_the_table(tmp_path):
    for i, name in enumerate(("2018/a, b", "2004/c", "2004/ d ")):
        path = tmp_path / "midi" / f"{name}.midi"
        path.parent.mkdir(parents=True, exist_ok=True)
        rollcore.write_midi(rollcore.Midi.from_notes([(0, 480, 60 + i, 80, 0, 0)]), path)
    (tmp_path / "maestro.csv").write_text(MAESTRO + "x,y,validation,2004,2004/ d .midi,,1\n")
    splits = read_splits(str(tmp_path / "maestro.csv"))
    report = rollcore.build_dataset(tmp_path / "midi", tmp_path / "x.h5", split=splits)
    assert (report.splits, report.absent) == ((1, 1, 1), ())
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    assert dataset.pieces["split"][dataset.find("2004/ d .midi")] == 1
