"""The cards of the models that come with the package: what they are, from what, how good, and what they cannot do."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

SUMMARIES = {
    "chorales": "Four-part chorales after J. S. Bach; the shortest note is an eighth.",
    "folk": "Reels, jigs and hornpipes after Ryan's Mammoth Collection (Boston, 1883); one voice.",
    "chords": "Short pieces in thirteen scales, after the sample pack: melody, chords and bass.",
}

DATA = {
    "chorales": (
        "The chorales of Johann Sebastian Bach (1685-1750) in the corpus of music21 that have soprano, alto, tenor and "
        "bass. The music is in the public domain. The files were encoded by Margaret Greentree and others; music21 "
        "(BSD) distributes them with the encoders' permission, and says that some encodings of its corpus may not be "
        "used commercially: a file that mentions a licence, a copyright or commercial use was not read. The notice in "
        'most of these files, "PDF © 2004 Margaret Greentree - used by permission", is that of the printed page. '
        "No file is part of this package, only the weights. Eighths are kept; sixteenths between them are left out."
    ),
    "folk": (
        "Ryan's Mammoth Collection of 1,050 reels and jigs (Boston, 1883), in the public domain, as transcribed to ABC "
        "by volunteers (John Walsh, Ray Davies, Bob Puckette, John Chambers and others) and distributed with music21 "
        "(BSD). None of the files carries a notice of a licence or a copyright. No file is part of this package, only "
        "the weights. Repeats are written out."
    ),
    "chords": "The sample pack, 156 pieces that `rollcore make-chords` writes by rule; MIT, as this package.",
}

LIMITS = {
    "chorales": (
        "It knows no words and no fermatas but what the notes say, and writes in one style. It counts in eighths. "
        "Pitches and onsets only: no dynamics, no tempo."
    ),
    "folk": "One melody, no chords. It writes in one style. Pitches and onsets only: no dynamics, no tempo.",
    "chords": "Sixteen bars of 4/4, made by rule: it shows that everything works, and is not meant to surprise.",
}

SHOWN = (
    "notes in the piece's key",
    "4-bar stretches in the home key",
    "leaps over 7 semitones in the top line",
    "notes on the beat",
    "frames that change",
    "bar again after 4",
    "bar again after 8",
    "longest returning phrase, bars",
    "last top note is the tonic",
)


def write_card(name: str, facts: dict[str, Any], path: Path) -> None:
    """Write the card of a model from what was measured."""
    train, validation, test = facts["pieces"]
    recipe, compared = facts["recipe"], facts["compared"]
    copied, alike = compared["copied"], compared["resemblance"]
    settings = {**recipe["model"], **recipe["train"], **({"cool": recipe["cool"]} if "cool" in recipe else {})}
    listed = ", ".join(f"{key} {value}" for key, value in settings.items())
    lines = [
        f"# {name}",
        "",
        SUMMARIES[name],
        "",
        "## Data and licence",
        "",
        DATA[name],
        f"{train} pieces were trained on, {validation} chose the epoch, {test} were kept for the test.",
        "",
        "## Recipe",
        "",
        f"`python -m quality.shipped {name}` makes it again from nothing. Model `tied`, {facts['parameters']:,} "
        f"parameters, {facts['kilobytes']} kB, {recipe['steps_per_beat']} steps a beat, onsets; {listed}.",
        "",
        "## Figures",
        "",
        f"Test: {facts['scores']['model']:.3f} nats a frame, sounding and onset planes together (the `markov` "
        f"baseline: {facts['scores']['markov']:.3f}). {compared['samples']} pieces drawn from nothing at "
        f"temperature 1, beside {compared['real']} real pieces that were not trained on:",
        "",
        "| | drawn | real |",
        "|---|---|---|",
    ]
    for measure in SHOWN:
        sides = compared["measures"][measure]
        cells = ("-" if sides[side] is None else f"{sides[side]:.3f}" for side in ("samples", "real"))
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    if alike:
        lines.append(f"| Fréchet ratio | {alike['frechet ratio']['mean']:.2f} | 1 |")
        told, chance = alike["neighbour accuracy"]["mean"], alike["neighbour accuracy, real"]["mean"]
        lines.append(f"| nearest-neighbour accuracy | {told:.2f} | {chance:.2f} |")
    made, heard = copied["samples"], copied["real"]
    lines += [
        f"| notes copied from training pieces, in runs of 16 | {made['share'] or 0:.3f} | {heard['share'] or 0:.3f} |",
        f"| longest copied run, notes | {made['longest run, notes']} | {heard['longest run, notes']} |",
        "",
        *_harmony(facts),
        "## Limits",
        "",
        LIMITS[name],
        "",
    ]
    path.write_text("\n".join(map(_wrap, lines)), encoding="utf-8")


def read_scores(path: Path) -> tuple[int, dict[str, float]]:
    """Return parameters and nats a frame on the test split from a card that `write_card` wrote."""
    text = " ".join(path.read_text(encoding="utf-8").split())
    found = re.search(r"Model `tied`, ([\d,]+) parameters.* Test: ([\d.]+) nats.*? `markov` baseline: ([\d.]+)\)", text)
    if found is None:
        raise ValueError(f"{path}: no card of a model")
    return int(found[1].replace(",", "")), {"model": float(found[2]), "markov": float(found[3])}


def _wrap(line: str) -> str:
    """Return a paragraph in lines of 118 characters; rows of tables stay whole."""
    return line if line.startswith("|") else textwrap.fill(line, 118, break_long_words=False, break_on_hyphens=False)


def _harmony(facts: dict[str, Any]) -> list[str]:
    """Return the lines on the four voices of a model that writes such."""
    if "harmony" not in facts:
        return []
    sides = list(facts["harmony"])
    lines = [
        "## Four voices",
        "",
        "`--harmonize` with the sopranos of the test split, as many pieces from nothing, both with default "
        "settings, and Bach's own setting of those sopranos. Counts are per hundred changes of chord; a leap is one of "
        "over an octave in soprano or bass, or over a major sixth in alto or tenor.",
        "",
        f"| | {' | '.join(sides)} |",
        "|---|" + "---|" * len(sides),
    ]
    counts = ("parallel fifths", "parallel octaves", "leaps")
    for key in facts["harmony"]["Bach"]:
        shown = "notes out of a choir's range" if key == "out of range" else key
        cells = (f"{facts['harmony'][side][key]:.{1 if key in counts else 3}f}" for side in sides)
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return [*lines, ""]
