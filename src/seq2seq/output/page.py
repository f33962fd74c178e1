"""Pages to see and hear music by: one file each, which loads nothing and opens in any browser.

Styles, scripts and notes are inline; a policy in the page forbids the browser every request.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from rollcore.console import printable
from rollcore.files import whole_file
from seq2seq.output.player import Piece

_ASSETS = Path(__file__).parent / "assets"
_MOUNT = 'player.mount(JSON.parse(document.getElementById("data").textContent).pieces);\n'


def html_text(value: object) -> str:
    """Return a value as text that is safe within a page, attributes included."""
    return escape(printable(str(value)))


def asset(name: str) -> str:
    """Return a style sheet or script that pages have inline."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def document(title: str, body: str, data: Mapping[str, Any], scripts: Sequence[str]) -> str:
    """Return a page that is one file.

    Parameters
    ----------
    title
        Its title, as plain text.
    body
        HTML.
    data
        Read by the scripts as the JSON in the element ``data``.
    scripts
        JavaScript, run one after the other once the body is there. No other script runs, and nothing is loaded.
    """
    script = "\n".join(scripts)
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; img-src data:"
    # Within a script element only "<" could begin markup; ASCII holds whatever a file name may hold.
    plain = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{html_text(title)}</title>
<style>
{asset("page.css")}</style>
<body>
{body}<noscript><p class="remark">This page draws and plays its music with JavaScript: allow it.</p></noscript>
<script type="application/json" id="data">{plain}</script>
<script>{script}</script>
</body>
</html>
"""


def facts_list(facts: Mapping[str, object]) -> str:
    """Return facts as HTML, a line each; a value of None is left out."""
    lines = (
        f"<dt>{html_text(name)}</dt><dd>{html_text(value)}</dd>\n" for name, value in facts.items() if value is not None
    )
    return f"<dl>\n{''.join(lines)}</dl>\n"


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as an HTML table that scrolls where it is too wide; the first row holds the headings."""
    head, *rest = ["".join(f"<{kind}>{html_text(cell)}</{kind}>" for cell in row) for kind, row in _kinds(rows)]
    lines = "".join(f"<tr>{row}</tr>\n" for row in rest)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table></div>\n'


def piece_section(piece: Piece, number: int, heading: str = "h2") -> str:
    """Return the HTML of one piece, whose player stands where the script puts piece *number* of the page's data."""
    lines = [f"<{heading}>{html_text(piece.name)}</{heading}>"]
    lines += [f'<p class="remark">{html_text(remark)}</p>' for remark in piece.remarks]
    lines.append(f'<div data-piece="{number}"></div>')
    if piece.links:
        links = (f'<a href="{escape(address)}">{html_text(text)}</a>' for text, address in piece.links.items())
        lines.append(f"<p>{' · '.join(links)}</p>")
    return "<section>\n" + "\n".join(lines) + "\n</section>\n"


def write_page(
    path: Path,
    title: str,
    facts: Mapping[str, object],
    pieces: Iterable[Piece],
    figures: Sequence[Sequence[object]] = (),
) -> None:
    """Write a page about some pieces.

    Parameters
    ----------
    path
        The file, replaced if it exists.
    title
        Stands above the page.
    facts
        How the pieces were made, a line each; a value of None is left out.
    pieces
        The pieces.
    figures
        A table: rows of cells, the first of which holds the headings.

    Raises
    ------
    RollcoreError
        If the page cannot be written.
    """
    below = f"<section>\n<h2>Figures</h2>\n{table(figures)}</section>\n" if figures else ""
    write_document(path, pieces_page(title, facts_list(facts), list(pieces), below))


def pieces_page(title: str, above: str, pieces: Sequence[Piece], below: str = "") -> str:
    """Return a page about some pieces, with HTML above and below them."""
    sections = "".join(piece_section(piece, number) for number, piece in enumerate(pieces))
    data = {"pieces": [piece.to_json() for piece in pieces]}
    body = f"<h1>{html_text(title)}</h1>\n{above}{sections}{below}"
    return document(title, body, data, [asset("player.js"), _MOUNT])


def write_document(path: Path, text: str) -> None:
    """Write a page in the place of what was there; raise `RollcoreError` where that fails."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def _kinds(rows: Sequence[Sequence[object]]) -> Iterable[tuple[str, Sequence[object]]]:
    return (("td" if number else "th", row) for number, row in enumerate(rows))
