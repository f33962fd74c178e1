"""The models that come with the package: for each name its weights and its card, data and limits included.

`quality/shipped.py` makes them again from nothing.
"""

from __future__ import annotations

from pathlib import Path

from seq2seq.errors import ConfigError

_FOLDER = Path(__file__).parent


def shipped_models() -> dict[str, str]:
    """Return the names of the models, and of each a line that says what it is."""
    return {path.stem: _summary(path) for path in sorted(_FOLDER.glob("*.md")) if weights_path(path.stem).is_file()}


def weights_path(name: str) -> Path:
    """Return where the weights of a model of that name are, or would be."""
    return _FOLDER / f"{name}.safetensors"


def read_card(name: str) -> str:
    """Return the card of a model: its data and their licence, its recipe, figures and limits.

    Raises
    ------
    ConfigError
        If no model of that name comes with the package.
    """
    names = shipped_models()
    if name not in names:
        raise ConfigError(f"no model {name!r} comes with the package: there are {', '.join(names) or 'none'}")
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")


def _summary(card: Path) -> str:
    """Return the first line of a card after its title."""
    lines = (line.strip() for line in card.read_text(encoding="utf-8").splitlines())
    return next(line for line in lines if line and not line.startswith("#"))
