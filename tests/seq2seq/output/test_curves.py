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
    assert said == ["validation, $\\foo$", "train, $\\foo$", "validation, _x", "train, _x"]


def test_the_file_is_a_picture(tmp_path):
    assert plot_losses({"a": HISTORY}, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="PNG"):
        plot_losses({"a": HISTORY}, tmp_path / "x.xyz")
