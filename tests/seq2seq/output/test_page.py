"""The page of generated music: well-formed, its links lead to the files, nothing in it is taken for markup."""

import json
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from rollcore import Midi, RollcoreError
from seq2seq.output.page import write_page
from seq2seq.output.player import Piece, file_links

VOID = {"meta", "img", "link"}
NOTES = np.array([[0.5, 1.0, 64, 1, 90], [0.0, 0.25, 60, 0, 80], [0.5, 0.75, 36, 0, 100.0]])


class Page(HTMLParser):
    """What a reader of the page finds: text, tags, where they lead, and the data of its scripts."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.links, self.loaded, self.text, self.scripts = [], [], [], [], "", []
        self.policy = ""
        self.feed(path.read_text("utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        self.loaded += [attributes["src"]] if "src" in attributes else []
        if tag == "a":
            self.links.append(unquote(attributes["href"]))
        if tag == "meta" and "http-equiv" in attributes:
            self.policy = attributes["content"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data

    @property
    def data(self):
        return json.loads(self.scripts[0])


def test_a_page_leads_to_its_files_whatever_their_names(tmp_path):
    stems = ["plain", "a b#1?", "50% of <b>&\"quoted'", "ünï 日本", "</script><script>alert(1)"]
    pieces = []
    for stem in stems:
        names = [f"{stem}{ending}".replace("/", "|") for ending in (".mid", ".wav")]
        pieces.append(Piece(stem, NOTES, 2.0, links=file_links(tmp_path / names[0], None, tmp_path / names[1])))
    write_page(tmp_path / "x.html", "Title", {}, pieces)
    page = Page(tmp_path / "x.html")
    assert page.links == [f"{stem}{ending}".replace("/", "|") for stem in stems for ending in (".mid", ".wav")]
    assert (page.tags.count("b"), page.tags.count("script")) == (0, 2)
    assert [page.text.count(stem.replace("/", "|")) for stem in stems[:-1]] == [3] * 4  # the heading and two links
    assert [piece["name"] for piece in page.data["pieces"]] == stems


def test_a_page_loads_nothing_and_runs_its_own_script_alone(tmp_path):
    write_page(tmp_path / "x.html", "Title", {}, [Piece("x", NOTES, 2.0)])
    page = Page(tmp_path / "x.html")
    assert page.loaded == []
    digest = b64encode(sha256(page.scripts[1].encode()).digest()).decode()
    assert page.policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")


def test_notes_are_whole_milliseconds_in_the_order_of_their_onsets(tmp_path):
    piece = Piece("x", NOTES, 2.0, voices=("high", "low"), primer_s=0.5, bar_s=2 / 3, drums=(1,))
    expected = {
        "name": "x",
        "ms": 2000,
        "notes": [0, 250, 60, 80, 500, 250, 36, 100, 0, 500, 64 + 128, 90],
        "voices": ["high", "low"],
        "drums": [1],
        "primer": 500,
        "bar": 666.667,
    }
    assert piece.to_json() == expected
    assert Piece("x", NOTES[:0], 2.0).to_json()["notes"] == []


def test_voices_of_a_midi_file_are_its_tracks_and_channels():
    rows = [(0, 480, 60, 80, 2, 0), (480, 960, 64, 70, 2, 1), (0, 240, 38, 90, 9, 1)]
    midi = Midi.from_notes(rows, ticks_per_beat=480)
    piece = Piece.from_midi(midi, "x")
    assert piece.seconds == 1.0
    assert sorted(map(tuple, piece.notes.tolist())) == [(0, 0.25, 38, 2, 90), (0, 0.5, 60, 0, 80), (0.5, 1, 64, 1, 70)]
    assert (piece.voices, piece.drums) == (["voice 1", "voice 2", "Drums"], [2])
    longer = Piece.from_midi(midi, "x", seconds=3, voices=["a", "b", "c"])
    assert (longer.seconds, longer.voices) == (3, ["a", "b", "c"])


def test_a_piece_that_is_too_long_says_where_it_was_cut():
    notes = np.array([[onset, onset + 5, 60, 0, 80] for onset in (8.0, 0.0, 4.0, 2.0)])
    piece = Piece("x", notes, 20.0, primer_s=6.0, bar_s=2.0)
    cut = piece.cut(2)
    assert cut.notes[:, :2].tolist() == [[0, 4], [2, 4]]
    assert (cut.seconds, cut.primer_s, cut.bar_s, cut.remarks) == (4, 4, 2, ["the first 4 of 20 seconds"])
    assert piece.cut(4) is piece


def test_a_page_says_what_it_is_given(tmp_path):
    piece = Piece("x", NOTES, 1.0, remarks=["NOT MUSIC, <silence>"], links=file_links(tmp_path / "x.mid"))
    facts = {"going on from": "</dl><script>", "scale": None, "seed": 0, "name": "caf\udce9"}
    write_page(tmp_path / "x.html", "R&B\n", facts, [piece], [["", "1 <"], ["notes", "a & b"]])
    page = Page(tmp_path / "x.html")
    assert page.tags.count("script") == 2
    assert page.links == ["x.mid"]
    for words in ("R&B\\n", "NOT MUSIC, <silence>", "</dl><script>", "seed0", "caf\\udce9", "1 <", "a & b"):
        assert words in page.text
    assert "scale" not in page.text
    assert (page.tags.count("th"), page.tags.count("td")) == (2, 2)


def test_a_page_that_cannot_be_written(tmp_path):
    with pytest.raises(RollcoreError, match=r"no.x\.html: cannot be written: No such file"):
        write_page(tmp_path / "no" / "x.html", "", {}, [])
