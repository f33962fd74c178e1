"""The page of generated music: well-formed, its links lead to the files, nothing in it is taken for markup."""

from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from rollcore import RollcoreError
from seq2seq.output.page import Exhibit, write_page

VOID = {"meta", "img"}


class Page(HTMLParser):
    """What a reader of the page finds: text, tags, and where they lead."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], ""
        self.feed(path.read_text("utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [unquote(value) for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def test_a_page_leads_to_its_files_whatever_their_names(tmp_path):
    stems = ["plain", "a b#1?", "50% of <b>&\"quoted'", "ünï 日本"]
    exhibits = []
    for stem in stems:
        files = [tmp_path / f"{stem}{ending}" for ending in (".mid", ".wav", ".png")]
        for file in files:
            file.touch()
        exhibits.append(Exhibit(*files, []))
    write_page(tmp_path / "x.html", "Title", {}, exhibits, "")
    page = Page(tmp_path / "x.html")
    assert sorted(page.links) == sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".html")
    assert (page.tags.count("audio"), page.tags.count("img"), page.tags.count("b")) == (4, 4, 0)
    assert [page.text.count(stem) for stem in stems] == [2] * 4  # the heading and the link


def test_a_page_says_what_it_is_given(tmp_path):
    exhibit = Exhibit(tmp_path / "x.mid", None, None, ["NOT MUSIC, <silence>"])
    facts = {"going on from": "</dl><script>", "scale": None, "seed": 0}
    write_page(tmp_path / "x.html", "R&B", facts, [exhibit], "a  1\nbc 2")
    page = Page(tmp_path / "x.html")
    assert "audio" not in page.tags
    assert "script" not in page.tags
    assert page.links == ["x.mid"]
    for words in ("R&B", "NOT MUSIC, <silence>", "</dl><script>", "seed0", "a  1\nbc 2"):
        assert words in page.text
    assert "scale" not in page.text


def test_a_page_that_cannot_be_written(tmp_path):
    with pytest.raises(RollcoreError, match=r"no.x\.html: cannot be written: No such file"):
        write_page(tmp_path / "no" / "x.html", "", {}, [], "")
