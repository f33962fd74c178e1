"""Make docs/examples anew: music by the models that come with the package, picked by figures, with the commands.

    python -m quality.examples

Each request gives a few pieces; the one is kept that comes home best: its last melody note is the tonic, its notes and
its four-bar stretches are in its key, and a phrase returns.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from quality.voices import voice_leading

from seq2seq.output.composition import Composition
from seq2seq.output.measures import MEASURES, Piece, piece_of
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request

FOLDER = Path(__file__).parents[1] / "docs" / "examples"
MELODY = "docs/examples/melody.mid"

#: Name, model, request and what to say of it; the settings are fields of a request.
EXAMPLES: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("chorale", "chorales", {"num_outputs": 4, "candidates": 4, "seed": 3}, "a chorale from nothing, to its own end"),
    (
        "harmony",
        "chorales",
        {"melody": MELODY, "num_outputs": 4, "seed": 2},
        "three voices below [melody.mid](melody.mid), the Ode to Joy in G (Beethoven, 1824), which is kept",
    ),
    (
        "reel",
        "folk",
        {"num_outputs": 6, "seed": 2},
        "a tune for one voice, with phrases that return",
    ),
    (
        "song",
        "chords",
        {"bars": 16, "num_outputs": 3, "candidates": 4, "seed": 7},
        "melody, chords and bass, from a model of the sample pack like the one that the demo trains",
    ),
)
SHOWN = (
    "notes in the piece's key",
    "4-bar stretches in the home key",
    "longest returning phrase, bars",
    "leaps over 7 semitones in the top line",
    "last top note is the tonic",
)
OPTIONS = {"melody": "--harmonize", "phrasing": "--no-phrasing"}


def command(model: str, settings: dict[str, Any]) -> str:
    """Return the command that makes the pieces of a request."""
    words = []
    for name, value in settings.items():
        option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
        words.append(option if value is False else f"{option} {value}")
    return f"seq2seq generate {model} {' '.join(words)}"


def heard(one: Composition, generator: Generator, time_signature: tuple[int, int]) -> Piece:
    """Return a composition as the measures read it."""
    rate = float(generator.corpus.grid.rate)
    return piece_of(one.name, one.rows, generator.config.planes, rate, time_signature)


def figures(piece: Piece) -> dict[str, float]:
    """Return the measures that are shown of a piece."""
    return {name: MEASURES[name](piece) for name in SHOWN}


def comes_home(found: dict[str, float]) -> float:
    """Return how well a piece comes home, from its figures."""
    phrase = min(found["longest returning phrase, bars"], 8) / 8
    home = ("notes in the piece's key", "4-bar stretches in the home key", "last top note is the tonic")
    return float(np.nansum([found[name] for name in home]) + phrase - found["leaps over 7 semitones in the top line"])


def make() -> str:
    """Write the MIDI files and pictures, and return the page."""
    commands, told, columns = [], [], {}
    voices = {}
    for name, model, settings, words in EXAMPLES:
        generator = Generator.load(model)
        made = generator.compose(Request(**settings))
        pieces = [heard(one, generator, one.score.time_signature) for one in made]
        best = int(np.argmax([comes_home(figures(piece)) for piece in pieces]))
        columns[name] = figures(pieces[best])
        if model == "chorales":
            voices[name] = voice_leading([pieces[best].sounding])
        with tempfile.TemporaryDirectory() as folder:
            files = generator.export([made[best]], folder).files[0]
            shutil.copyfile(files.midi, FOLDER / f"{name}.mid")
            if files.picture is not None:
                shutil.copyfile(files.picture, FOLDER / f"{name}.png")
        commands.append(command(model, settings))
        told.append(f"- [{name}.mid]({name}.mid), number {made[best].number} of {len(made)}: {words}.")
    return page(commands, told, columns, voices)


def page(
    commands: list[str], told: list[str], columns: dict[str, dict[str, float]], voices: dict[str, dict[str, float]]
) -> str:
    """Return the page of the examples."""
    lines = [
        "# Examples",
        "",
        "Made by the models that come with the package; their cards (`seq2seq models chorales` and so on) say what",
        "they learnt from. `python -m quality.examples` makes these files and this page again: of the pieces of each",
        "command, the one that comes home best by the figures below, not by ear.",
        "",
        *(f"    {line}" for line in commands),
        "",
        *told,
        "",
        "`rollcore render docs/examples/reel.mid reel.wav` makes a sound file of one.",
        "",
        f"| `seq2seq.output.measures` | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
    ]
    for name in SHOWN:
        lines.append(f"| {name} | {' | '.join(f'{found[name]:.2f}' for found in columns.values())} |")
    for name in ("parallel fifths", "parallel octaves"):
        cells = (f"{voices[column][name]:.1f}" if column in voices else "" for column in columns)
        lines.append(f"| {name}, per hundred changes of chord | {' | '.join(cells)} |")
    lines += ["", *(f"![{name}.mid as a piano roll]({name}.png)" for name in columns), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    text = make()
    (FOLDER / "README.md").write_text(text, encoding="utf-8")
    print(text)
