"""The page of a comparison in a real browser: sorted, filtered, pointed at and heard."""

import pytest

from fake_runs import losses, write_run
from seq2seq.output.comparison_page import write_comparison
from seq2seq.output.losses import axis_top, losses_of

BLOG = {"model": "blog", "head": "bernoulli"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    diverged = losses(4, 1.9) + [(300.0 * 2**k, 400.0 * 2**k) for k in range(8)]
    return [
        write_run(root / "run-2", losses(12, 1.7), train={"learning_rate": 0.01, "batch_size": 32}, samples=2),
        write_run(root / "run-10", losses(12, 1.8), train={"learning_rate": 0.004}, samples=1),
        write_run(root / "wild", diverged, train={"learning_rate": 0.5}),
        write_run(root / "blog", losses(3, 12.0), model=BLOG),
        write_run(root / "new"),
        *(write_run(root / f"more-{k}", losses(2, 2.5 + k), dataset="other") for k in range(3)),
    ]


@pytest.fixture
def opened(runs, tmp_path, open_page):
    def page(**options):
        write_comparison(tmp_path / "x.html", runs)
        return open_page(tmp_path / "x.html", **options)

    return page


def names(page):
    return [text.strip() for text in page.locator("#rows tr:not([hidden]) button.name").all_inner_texts()]


def heading(page, name):
    return page.get_by_role("columnheader").get_by_text(name, exact=True)


def test_a_heading_sorts_by_numbers_and_back(opened):
    page = opened()
    by_loss = ["run-2", "run-10", "wild", "more-0", "more-1", "more-2", "blog", "new"]
    assert names(page) == by_loss
    heading(page, "validation").click()
    assert names(page) == by_loss
    heading(page, "validation").click()
    assert names(page) == [*reversed(by_loss[:-1]), "new"]  # what has no loss is last either way
    heading(page, "run").click()
    assert names(page) == ["blog", "more-0", "more-1", "more-2", "new", "run-2", "run-10", "wild"]
    heading(page, "learning_rate").click()
    heading(page, "learning_rate").click()
    assert names(page)[:2] == ["wild", "run-2"]
    assert page.locator("th[aria-sort]").count() == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run-", ["run-2", "run-10"]),
        ("model=blog", ["blog"]),
        ("validation<1.8 model=tied", ["run-2"]),
        ("batch_size=32", ["run-2"]),
        ("validation>2.4 other", ["more-0", "more-1", "more-2"]),
        ("no such run", []),
    ],
)
def test_a_filter_leaves_rows_and_curves_that_match(opened, words, expected):
    page = opened()
    page.fill("#filter", words)
    assert names(page) == expected
    assert page.inner_text("#count") == f"{len(expected)} of 8 runs"
    drawn = page.evaluate("[...document.querySelectorAll('path.validation')].map((path) => path.dataset.run)")
    assert sorted(drawn) == sorted(expected)


def test_losses_of_other_data_or_another_task_never_share_an_axis(opened):
    page = opened()
    page.wait_for_selector("path.validation")
    panels = page.evaluate(
        """() => [...document.querySelectorAll("#panels section")].map((panel) =>
            [panel.querySelector("h3").textContent, panel.querySelectorAll("path.validation").length])"""
    )
    assert [(title.split(" (")[0], title.split(", ")[1], count) for title, count in panels] == [
        ("songs", "each frame from those before", 4),
        ("other", "each frame from those before", 3),
        ("songs", "a window at once", 1),
    ]


def test_a_diverged_run_does_not_flatten_the_others(opened, runs):
    page = opened()
    page.wait_for_selector("path.validation")
    histories = [losses_of(run.history(empty=True)) for run in runs[:3]]
    # The script goes by the rule of the package.
    as_curves = """(all) => curves.axisTop(all.map((losses) => ({ train: [], validation: losses })))"""
    assert page.evaluate(as_curves, histories) == pytest.approx(axis_top(histories))
    assert page.evaluate(as_curves, [[5, 2.5, 2.1, 2], [4.4, 3, 300, 9000]]) == 3
    assert page.evaluate(as_curves, [[None][:0], [0.5, 0.4], *[[2.1, 2.0]] * 3]) == 2.1
    box = page.locator("path.validation[data-run='run-2']").bounding_box()
    assert box["height"] > 200
    assert "Above the picture at the end: wild (5.120e+4)." in page.inner_text("#panels section:first-child")


def test_a_name_hides_its_curve_wherever_it_stands(opened):
    page = opened()
    page.wait_for_selector("path.validation")
    row, legend = page.locator("#rows button.name", has_text="run-2"), page.locator(".names button", has_text="run-2")
    row.click()
    assert page.locator("path[data-run='run-2']").count() == 0
    assert legend.get_attribute("aria-pressed") == row.get_attribute("aria-pressed") == "false"
    legend.click()
    assert page.locator("path[data-run='run-2']").count() == 2
    page.locator("#panels input[type=checkbox]").first.uncheck()
    assert page.locator("path[data-run='run-2']").count() == 1  # without the training losses


@pytest.mark.parametrize("width", [1280, 390])
def test_values_are_shown_at_the_pointer(opened, width):
    page = opened(width=width)
    picture = page.locator(".picture svg").first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 14, box["y"] + box["height"] - 30)  # the last epoch, near the best run
    lines = page.locator(".readout").first.inner_text().split("\n")
    last = losses(12, 1.7)[-1]
    assert lines[:2] == ["epoch 12", f"run-2: validation {last[1]:.3f}, training {last[0]:.3f}"]
    assert page.locator("path.near").first.get_attribute("data-run") == "run-2"


def test_settings_stand_side_by_side_and_samples_are_heard(opened):
    page = opened()
    assert page.locator("#settings th").all_inner_texts() == ["", "run-2", "run-10", "wild"]
    differing = [line.split("\t") for line in page.locator("#settings tr.differs").all_inner_texts()]
    assert ["learning_rate", "0.01", "0.004", "0.5"] in differing
    assert len(differing) == 2
    page.get_by_label("Choose blog", exact=True).check()
    page.get_by_label("Choose run-10", exact=True).uncheck()
    assert page.locator("#settings th").all_inner_texts() == ["", "run-2", "wild", "blog"]
    assert page.locator("#samples [data-piece]").count() == 2
    page.locator("#samples").scroll_into_view_if_needed()
    button = page.locator("#samples .player button").first
    button.click()
    for _ in range(100):
        if float(page.locator("#samples .player input").first.input_value()) > 0.2:
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError("the sample does not play")
    assert "Pause" in button.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_can_be_read_on_a_phone(opened, scheme):
    page = opened(width=390, scheme=scheme)
    page.wait_for_selector("path.validation")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    sizes = (
        "[...document.querySelectorAll('text, td, th, button, p')].map((e) => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(page.evaluate(sizes)) >= 12
