"""Tables of text."""

from __future__ import annotations

from seq2seq.output.tables import text_table


def test_columns_are_aligned_on_either_side():
    rows = [["name", "n"], ["a", "10"], ["", "7"]]
    assert text_table(rows) == "name  n\na     10\n      7"
    assert text_table(rows, "lr") == "name   n\na     10\n       7"
