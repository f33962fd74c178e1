"""The player in a real browser: it draws what the notes say, and is heard."""

import numpy as np
import pytest

from seq2seq.output.page import write_page
from seq2seq.output.player import Piece

# Onset and offset in seconds, pitch, voice, velocity: a scale of two octaves over a held bass, and a drum.
SCALE = [(k / 4, k / 4 + 0.25, 60 + step, 0, 90) for k, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17, 19))]
NOTES = np.array([*SCALE, (0, 3, 48, 1, 70), (0.5, 0.6, 36, 2, 100)], float)
VOICES = {"voices": ("Piano", "Bass", "Drums"), "drums": (2,)}

# Whatever goes to the loudspeakers also goes to a meter: `loudness` is its root mean square.
METER = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode && target.context instanceof AudioContext) {
    const meter = target.context.createAnalyser();
    connect.call(this, meter);
    window.loudness = () => {
      const samples = new Float32Array(meter.fftSize);
      meter.getFloatTimeDomainData(samples);
      return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
    };
  }
  return connect.call(this, target, ...rest);
};
null;
"""


def until(page, expression):
    """Wait up to 10 s for an expression to be true; a page's policy forbids what Playwright has for it."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {expression}")


@pytest.fixture
def page_of(tmp_path, open_page):
    def made(*pieces, **options):
        write_page(tmp_path / "x.html", "Title", {"seed": 0}, pieces, [["", "1"], ["notes", "14"]])
        return open_page(tmp_path / "x.html", **options)

    return made


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_its_window_and_its_words_can_be_read(page_of, width, scheme):
    pieces = [Piece("a name of " + 20 * "many_words_", NOTES, seconds, **VOICES, primer_s=1) for seconds in (3.5, 300)]
    page = page_of(*pieces, width=width, scheme=scheme)
    page.wait_for_selector(".player svg")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    sizes = """() => [...document.querySelectorAll("text, p, dd, dt, td, th, button, span")]
        .filter((e) => e.textContent).map((e) => parseFloat(getComputedStyle(e).fontSize))"""
    assert min(page.evaluate(sizes)) >= 12
    # A text on what lies behind it: WCAG asks for 4.5.
    contrast = """() => {
        const light = (css) => css.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
            .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
        const box = light(getComputedStyle(document.querySelector(".player")).backgroundColor);
        return [".player text", ".player .time", ".legend span"].map((name) => {
            const style = getComputedStyle(document.querySelector(name));
            const own = light(name.endsWith("text") ? style.fill : style.color);
            return (Math.max(own, box) + 0.05) / (Math.min(own, box) + 0.05);
        });
    }"""
    assert min(page.evaluate(contrast)) >= 4.5


def test_a_roll_shows_every_note_at_its_place(page_of):
    page = page_of(Piece("x", NOTES, 4.0, **VOICES))
    page.wait_for_selector(".player svg")
    found = page.evaluate(
        """() => [...document.querySelectorAll(".player path")].map((path) => [
            path.getAttribute("fill"),
            [...path.getAttribute("d").matchAll(/M([\\d.]+) ([\\d.]+)h([\\d.]+)v([\\d.]+)/g)]
                .map((match) => match.slice(1).map(Number)),
        ])"""
    )
    width = page.evaluate("document.querySelector('.player .scroll svg').clientWidth")
    for voice in (0, 1, 2):
        drawn = sorted(note for fill, notes in found if fill == f"var(--voice{voice})" for note in notes)
        meant = sorted((onset, pitch, offset) for onset, offset, pitch, v, _ in NOTES.tolist() if v == voice)
        assert len(drawn) == len(meant)
        for (x, y, long, row), (onset, pitch, offset) in zip(drawn, meant, strict=True):
            assert x == pytest.approx(onset / 4 * width, abs=0.1)
            assert long + 1 == pytest.approx((offset - onset) / 4 * width, abs=0.1)
            assert y == (NOTES[:, 2].max() - pitch) * row


def test_the_primer_is_told_from_what_follows(page_of):
    page = page_of(Piece("x", NOTES, 4.0, primer_s=1.0, **VOICES))
    page.wait_for_selector(".player svg")
    box = page.locator("rect.primer").bounding_box()
    whole = page.locator(".player .scroll svg").bounding_box()
    assert box["width"] == pytest.approx(whole["width"] / 4, rel=0.01)
    assert "to 1.0 s: the primer" in page.inner_text(".legend")
    assert page.inner_text(".legend").startswith("Piano")


def test_a_piece_is_heard_while_it_plays_and_no_longer(page_of, chromium, tmp_path):
    page = page_of(Piece("x", NOTES, 3.2, **VOICES), Piece("y", NOTES, 3.2, **VOICES))
    page.evaluate(METER)
    first, second = page.locator(".player button").all()[:2]
    first.click()
    until(page, "window.loudness && loudness() > 0.005")
    until(page, "Number(document.querySelector('.player input').value) > 0.3")
    assert "Pause" in first.inner_text()
    second.click()  # one at a time
    assert (first.inner_text(), "Pause" in second.inner_text()) == ("▶ Play", True)
    second.click()
    until(page, "loudness() < 1e-4")
    # From near its end it plays to the end, and stops by itself.
    page.locator(".player input").first.fill("2.9")
    first.click()
    until(page, "document.querySelector('.player button').textContent === '▶ Play'")
    assert page.locator(".player .time").first.inner_text() == "0:03 / 0:03"


def test_a_click_on_the_roll_moves_to_it(page_of):
    page = page_of(Piece("x", NOTES, 4.0, **VOICES))
    roll = page.locator(".player .scroll svg")
    box = roll.bounding_box()
    roll.click(position={"x": box["width"] * 3 / 4, "y": 20})
    assert float(page.locator(".player input").input_value()) == pytest.approx(3, abs=0.02)
    assert page.locator(".player .time").inner_text() in ("0:02 / 0:04", "0:03 / 0:04")


@pytest.mark.parametrize(("pitch", "drum", "hertz"), [(69, "false", 440), (48, "false", 130.81), (35, "true", 55)])
def test_a_note_sounds_at_its_pitch_for_its_length(page_of, pitch, drum, hertz):
    """Rendered offline, and looked at with an FFT of NumPy's."""
    page = page_of(Piece("x", NOTES, 4.0, **VOICES))
    samples = page.evaluate(
        f"""async () => {{
            const context = new OfflineAudioContext(1, 2 * 32000, 32000);
            player.strike(context, context.destination, {{ pitch: {pitch}, velocity: 100, drum: {drum} }}, 0.25, 0.5);
            return [...(await context.startRendering()).getChannelData(0)];
        }}"""
    )
    heard = np.array(samples)
    assert not heard[:7900].any()
    assert np.abs(heard).max() > 0.05
    assert np.abs(heard[-16000:]).max() < 1e-3
    spectrum = np.abs(np.fft.rfft(heard[8000:24000] * np.hanning(16000), 320_000))
    assert spectrum.argmax() * 32000 / 320_000 == pytest.approx(hertz, rel=0.01)


def test_louder_notes_are_louder(page_of):
    page = page_of(Piece("x", NOTES, 4.0, **VOICES))
    peaks = page.evaluate(
        """() => Promise.all([40, 80, 120].map(async (velocity) => {
            const context = new OfflineAudioContext(1, 16000, 32000);
            player.strike(context, context.destination, { pitch: 60, velocity, drum: false }, 0, 0.4);
            return (await context.startRendering()).getChannelData(0).reduce((a, x) => Math.max(a, Math.abs(x)), 0);
        }))"""
    )
    assert peaks[0] < peaks[1] < peaks[2] < 1
