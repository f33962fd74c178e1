"""`seq2seq models`: the list, and the card of each."""

from __future__ import annotations

import pytest

from seq2seq.cli import main
from seq2seq.shipped import read_card, shipped_models

NAMES = ("chorales", "chords", "folk")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_the_models_are_listed_with_what_they_are(capsys):
    assert set(NAMES) <= set(shipped_models())
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    for model, summary in shipped_models().items():
        assert f"{model} " in listed
        assert summary in listed


def test_a_card_names_data_licence_recipe_figures_and_limits(name, capsys):
    assert main(["models", name]) == 0
    assert capsys.readouterr().out == read_card(name)
    for heading in ("## Data and licence", "## Recipe", "## Figures", "## Limits"):
        assert heading in read_card(name)


def test_a_name_that_is_not_there_is_bad_usage(capsys):
    assert main(["models", "opera"]) == 2
    assert "chorales" in capsys.readouterr().err
