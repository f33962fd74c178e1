"""Loss curves: any name stands beside them, and the file is a picture."""

from __future__ import annotations

import pytest

from seq2seq.errors import ConfigError
from seq2seq.output.curves import plot_losses

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'rollcore[plot]'")

HISTORY = [{"epoch": n, "train_nats_per_frame": 5 / n, "validation_nats_per_frame": 6 / n} for n in (1, 2, 3)]


def test_any_name_stands_beside_the_curves(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    assert plot_losses({"$\\foo$": HISTORY, "_x": HISTORY}, tmp_path / "x.png")
    drawn[0].canvas.draw()
    said = [label.get_text() for label in drawn[0].axes[0].get_legend().get_texts()]
    assert said == ["$\\foo$", "_x"]


def test_the_file_is_a_picture(tmp_path):
    assert plot_losses({"a": HISTORY}, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="PNG"):
        plot_losses({"a": HISTORY}, tmp_path / "x.xyz")


def drawing(monkeypatch, tmp_path, *arguments):
    """The panels of a picture, instead of the picture."""
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    assert plot_losses(arguments[0], tmp_path / "x.png", *arguments[1:])
    return drawn[0].axes


def histories(**runs):
    return {
        name: [
            {"epoch": k + 1, "train_nats_per_frame": loss, "validation_nats_per_frame": loss}
            for k, loss in enumerate(losses)
        ]
        for name, losses in runs.items()
    }


def test_a_diverged_run_does_not_flatten_the_others(tmp_path, monkeypatch):
    runs = histories(good=[3.0, 2.2, 2.0], wild=[3.5, 400.0, float("nan")])
    (panel,) = drawing(monkeypatch, tmp_path, runs)
    low, high = panel.get_ylim()
    assert 1.9 < low < 2.0
    assert 3.5 < high < 3.7
    assert panel.get_title() == "above at the end: wild"


def test_losses_that_cannot_be_compared_have_panels_of_their_own(tmp_path, monkeypatch):
    runs = histories(a=[3.0, 2.0], b=[30.0, 20.0], c=[2.5, 1.5])
    first, second = drawing(monkeypatch, tmp_path, runs, {"a": "songs", "b": "others", "c": "songs"})
    assert (first.get_title(), second.get_title()) == ("songs", "others")
    assert first.get_ylim()[1] < 4 < 15 < second.get_ylim()[0]
    assert [label.get_text() for label in first.get_legend().get_texts()] == ["a", "c"]
    assert [label.get_text() for label in second.get_legend().get_texts()] == ["b"]


def test_an_epoch_alone_and_none_at_all_are_drawn(tmp_path, monkeypatch):
    (panel,) = drawing(monkeypatch, tmp_path, histories(a=[2.0], b=[]))
    low, high = panel.get_ylim()
    assert low < 2 < high
