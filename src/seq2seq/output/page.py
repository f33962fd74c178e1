"""A page to see and hear generated music by, in any browser: pictures, players, figures. It loads nothing from afar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from rollcore import RollcoreError

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
img { width: 100%; background: white; border-radius: 4px; }
audio { width: 100%; margin: .5rem 0; }
pre { overflow-x: auto; font-size: 14px; }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1.5rem; }
dt { opacity: .7; }
dd { margin: 0; }
section { margin: 2.5rem 0; }
.remark { color: #cf4f3c; font-weight: bold; }
"""


@dataclass(frozen=True)
class Exhibit:
    """One piece on a page: its files, which lie in the folder of the page, and what is to be said of it."""

    midi: Path
    sound: Path | None
    picture: Path | None
    remarks: Sequence[str]


def write_page(path: Path, title: str, facts: Mapping[str, object], exhibits: Iterable[Exhibit], figures: str) -> None:
    """Write a page about some pieces.

    Parameters
    ----------
    path
        The file, in the folder of the pieces; replaced if it exists.
    title
        Stands above the page.
    facts
        How the pieces were made, a line each; a value of None is left out.
    exhibits
        The pieces.
    figures
        A table as text, lines set one below the other.

    Raises
    ------
    RollcoreError
        If the page cannot be written.
    """
    lines = "\n".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value is not None
    )
    text = f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
<h1>{escape(title)}</h1>
<dl>
{lines}
</dl>
{"".join(map(_section, exhibits))}<h2>Figures</h2>
<pre>{escape(figures)}</pre>
</html>
"""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise RollcoreError(f"{path}: cannot be written: {error.strerror}") from error


def _section(exhibit: Exhibit) -> str:
    name = escape(exhibit.midi.stem)
    lines = [f'<h2 id="{name}">{name}</h2>']
    lines += [f'<p class="remark">{escape(remark)}</p>' for remark in exhibit.remarks]
    if exhibit.picture is not None:
        lines.append(f'<img src="{_link(exhibit.picture)}" alt="Piano roll of {name}">')
    if exhibit.sound is not None:
        lines.append(f'<audio controls preload="metadata" src="{_link(exhibit.sound)}"></audio>')
    lines.append(f'<p><a href="{_link(exhibit.midi)}">{escape(exhibit.midi.name)}</a></p>')
    return "<section>\n" + "\n".join(lines) + "\n</section>\n"


def _link(path: Path) -> str:
    return escape(quote(path.name, errors="surrogateescape"))
