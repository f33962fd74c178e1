"""The page of one run in a real browser."""

import numpy as np
import pytest

from fake_runs import losses, write_run
from rollcore import open_dataset
from seq2seq.output.page import write_document
from seq2seq.output.player import Piece
from seq2seq.output.report_page import report_page
from small_dataset import write_dataset

NOTES = np.array([[k / 4, k / 4 + 0.25, 60 + k, 0, 80] for k in range(16)])
SCORE = {"nats_per_frame": 1.2, "nats_per_frame_by_piece": 1.3, "precision": 0.5, "recall": 0.25, "f1": 0.3}
SCORES = {name: SCORE for name in ("model", "unigram", "markov", "repeat")}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_can_be_read_and_heard(tmp_path, open_page, width, scheme):
    dataset = open_dataset(write_dataset(tmp_path))
    evaluation = {"split": "test", "data": "songs.h5", "scores": SCORES}
    run = write_run(tmp_path / "a", losses(12), evaluation=evaluation)
    pieces = [Piece("going on", NOTES, 4.0, primer_s=1.0), Piece("by itself", NOTES, 4.0)]
    write_document(tmp_path / "x.html", report_page(run, dataset, pieces))
    page = open_page(tmp_path / "x.html", width=width, scheme=scheme)
    page.wait_for_selector("path.validation")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("path.validation").bounding_box()["height"] > 150
    texts = "[...document.querySelectorAll('text, td, th, p, span, dd')]"
    assert min(page.evaluate(f"{texts}.map((e) => parseFloat(getComputedStyle(e).fontSize))")) >= 12
    heights = page.evaluate("[...document.querySelectorAll('.bars i')].map((bar) => bar.clientHeight)")
    assert max(heights) > 60
    page.locator("[data-piece]").first.scroll_into_view_if_needed()
    page.locator(".player button").first.click()
    for _ in range(100):
        if float(page.locator(".player input").first.input_value()) > 0.2:
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError("the piece does not play")
    assert "the primer" in page.locator(".legend").first.inner_text()
