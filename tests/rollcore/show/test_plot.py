"""Pictures of rolls: the right pixels in the right place, the same bytes every time."""

import builtins
import io
import struct
import zlib

import numpy as np
import pytest

import rollcore
from rollcore.errors import RollcoreError
from rollcore.show.plot import plot_roll

pytest.importorskip("matplotlib", reason="needs matplotlib")
SECONDS, BEATS = rollcore.Grid.seconds(50), rollcore.Grid.beats(4)


def roll(notes, grid, planes=("sounding", "onset")):
    """Rows of (onset beat, offset beat, pitch) at 120 beats a minute."""
    rows = [(round(480 * on), round(480 * off), pitch, 80, 0, 0) for on, off, pitch in notes]
    rate = {"fps": grid.rate} if grid.unit == "seconds" else {"steps_per_beat": grid.rate}
    return rollcore.piano_roll(rollcore.Midi.from_notes(rows), planes=planes, **rate)


def picture(*args, **options):
    file = io.BytesIO()
    plot_roll(*args[:2], file, *args[2:], **options)
    return file.getvalue()


def coloured(png):
    """Mask of pixels of a colour, in contrast to white, grey and ink."""
    from matplotlib.image import imread

    pixels = imread(io.BytesIO(png))[..., :3]
    return pixels.max(axis=-1) - pixels.min(axis=-1) > 0.25


def chunks(png):
    """PNG chunks by the standard: length, type, data, CRC."""
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        yield kind, data
        at += 12 + length


@pytest.mark.parametrize("grid", [SECONDS, BEATS], ids=str)
def test_the_same_roll_gives_the_same_bytes_without_a_date(grid):
    rows = roll([(0, 1, 60), (1, 2, 64), (1, 3, 67)], grid)
    png = picture(rows, grid, title="Triad")
    assert png == picture(rows, grid, title="Triad")
    assert {kind for kind, _ in chunks(png)} <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


@pytest.mark.parametrize("grid", [SECONDS, BEATS], ids=str)
def test_notes_are_where_they_sound(grid):
    # a low note in the first half, a high one in the second
    mask = coloured(picture(roll([(0, 4, 36), (4, 8, 59)], grid), grid))
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    middle_row, middle_column = (rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2
    assert not mask[:middle_row, : middle_column - 3].any()
    assert not mask[middle_row:, middle_column + 3 :].any()
    for half in (mask[middle_row:, : middle_column - 3], mask[:middle_row, middle_column + 3 :]):
        assert half.any(axis=0).mean() > 0.75  # the rest is margin


def test_a_note_struck_again_is_seen_to_be():
    again = picture(roll([(0, 1, 60), (1, 2, 60)], SECONDS), SECONDS)
    held = picture(roll([(0, 2, 60)], SECONDS), SECONDS)
    merged = picture(roll([(0, 1, 60), (1, 2, 60)], SECONDS, planes=("sounding",)), SECONDS)
    assert again != held
    assert merged == held


def test_a_note_that_goes_on_is_not_struck_at_the_cut():
    half = {"start": 0.5, "length": 0.5}
    again = picture(roll([(0, 1, 60), (1, 2, 60)], SECONDS), SECONDS, **half)
    held = picture(roll([(0, 2, 60)], SECONDS), SECONDS, **half)
    assert again != held
    # what sounds up to the cut is not drawn
    assert again == picture(roll([(0, 1, 20), (1, 2, 60)], SECONDS), SECONDS, **half)


def test_a_part_of_a_piece():
    rows = roll([(0, 2, 60), (2, 4, 72)], SECONDS)  # one second each
    whole, part = coloured(picture(rows, SECONDS)), coloured(picture(rows, SECONDS, start=1, length=5))
    assert part.any(axis=1).sum() < whole.any(axis=1).sum()
    for bad, match in [
        ({"start": 2}, "2.0 seconds long"),
        ({"start": -1}, "start of 0 or more"),
        ({"length": 0}, "length above 0"),
        ({"start": float("nan")}, "start of 0"),
        ({"beats_per_bar": 0.01}, "expected 1/64 to 1024"),
        ({"beats_per_bar": float("nan")}, "expected 1/64"),
    ]:
        with pytest.raises(RollcoreError, match=match):
            picture(rows, SECONDS, **bad)


def test_bars_that_are_no_whole_number_of_beats(monkeypatch):
    """5/8: bar lines every two and a half quarter notes, counted from 1, and beats from each of them."""
    drawn, ruled = {}, []
    monkeypatch.setattr("matplotlib.axes.Axes.set_xticks", lambda _, x, texts=None: drawn.update({tuple(x): texts}))
    monkeypatch.setattr("matplotlib.axes.Axes.vlines", lambda _, x, *__, **___: ruled.append(list(x)))
    picture(roll([(0, 10, 60)], BEATS), BEATS, beats_per_bar=2.5)
    assert drawn[(0, 2.5, 5, 7.5, 10)] == ["1", "2", "3", "4", "5"]
    assert ruled == [[0, 2.5, 5, 7.5, 10], [1, 2, 3.5, 4.5, 6, 7, 8.5, 9.5]]


def test_a_pick_up_is_bar_0(monkeypatch):
    drawn, ruled = {}, []
    monkeypatch.setattr("matplotlib.axes.Axes.set_xticks", lambda _, x, texts=None: drawn.update({tuple(x): texts}))
    monkeypatch.setattr("matplotlib.axes.Axes.vlines", lambda _, x, *__, **___: ruled.append(list(x)))
    picture(roll([(0, 10, 60)], BEATS), BEATS, beats_per_bar=3, upbeat=1.5)
    assert drawn[1.5, 4.5, 7.5] == ["1", "2", "3"]
    assert ruled == [[1.5, 4.5, 7.5], [0.5, 2.5, 3.5, 5.5, 6.5, 8.5, 9.5]]
    with pytest.raises(RollcoreError, match="upbeat -1"):
        picture(roll([(0, 10, 60)], BEATS), BEATS, upbeat=-1)


@pytest.mark.parametrize("grid", [SECONDS, BEATS], ids=str)
def test_extremes(grid):
    assert coloured(picture(roll([(0, 4000, 0), (0, 1, 127)], grid), grid)).any()
    assert not coloured(picture(np.zeros((0, 1, 16), np.uint8), grid)).any()
    assert not coloured(picture(np.zeros((9, 2, 16), np.uint8), grid)).any()


def test_titles_are_shown_as_they_are():
    rows = roll([(0, 1, 60)], SECONDS)
    for title in ("$x^2$ and \\frac", "caf\udce9.mid", "日本", "a\nb"):
        assert picture(rows, SECONDS, title=title) != picture(rows, SECONDS)


def test_the_settings_of_the_user_do_not_show():
    import matplotlib

    rows = roll([(0, 1, 60)], SECONDS)
    plain = picture(rows, SECONDS, title="x")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 30}):
        assert picture(rows, SECONDS, title="x") == plain


def test_targets(tmp_path, monkeypatch):
    rows = roll([(0, 1, 60)], SECONDS)
    plot_roll(rows, SECONDS, tmp_path / "x.PNG")
    assert (tmp_path / "x.PNG").read_bytes() == picture(rows, SECONDS)
    with pytest.raises(RollcoreError, match=r"x\.jpg: pictures are PNG"):
        plot_roll(rows, SECONDS, tmp_path / "x.jpg")
    old = tmp_path / "old.png"
    old.write_bytes(b"old")

    def full_disk(canvas, file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", full_disk)
        with pytest.raises(RollcoreError, match=r"old\.png: cannot be written: No space left"):
            plot_roll(rows, SECONDS, old)
    assert (old.read_bytes(), sorted(path.name for path in tmp_path.iterdir())) == (b"old", ["old.png", "x.PNG"])
    with pytest.raises(RollcoreError, match=r"nowhere/x\.png: cannot be written: No such file"):
        plot_roll(rows, SECONDS, tmp_path / "nowhere" / "x.png")


def test_matplotlib_missing(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RollcoreError, match=r"pip install 'rollcore\[plot\]'"):
        plot_roll(np.zeros((1, 1, 16), np.uint8), SECONDS, tmp_path / "x.png")


@pytest.mark.parametrize(
    "grid", [rollcore.Grid.seconds("1/1000000"), rollcore.Grid.beats("1/1000000")], ids=["seconds", "beats"]
)
def test_a_piece_of_years_has_few_lines(tmp_path, grid):
    """A dataset may say that its frames are days apart: that is drawn, and not for ever."""
    rows = np.zeros((2000, 1, 16), np.uint8)
    rows[:, 0, 7] = 1
    plot_roll(rows, grid, tmp_path / "x.png", beats_per_bar=4)
    assert (tmp_path / "x.png").stat().st_size > 1000
