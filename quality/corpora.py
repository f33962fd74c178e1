"""Turn the free music that comes with music21 into MIDI files: four-part chorales, and fiddle tunes.

    pip install music21 && python -m quality.corpora chorales FOLDER
    python -m quality.corpora folk FOLDER

``chorales`` are Bach's, in the files of the corpus that have a soprano, an alto, a tenor and a bass part: a track each,
on the grid of eighths (what sounds on each eighth; sixteenths in between are left out). ``folk`` are the tunes of
Ryan's Mammoth Collection (Boston, 1883), their repeats written out. The music is in the public domain. The corpus says
that some of its encodings are not free for all uses, and to look at each: a file that mentions a licence, a copyright
or commercial use is left out, and the folder of the Essen songs, which are for non-commercial use, is not read. The
one notice that remains is "PDF © 2004 Margaret Greentree" in the chorales, of the printed page, not of the notes.
music21 is a tool for this, not a dependency.
"""

from __future__ import annotations

import re
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from rollcore import Midi, write_midi

TICKS = 480
VOICES = ("Soprano", "Alto", "Tenor", "Bass")
CHORALE_TEMPO, TUNE_TEMPO = 80, 112  # beats a minute, where a source names none
Notes = list[tuple[Fraction, Fraction, int]]  # start and end in quarter notes, pitch


_RESERVED = re.compile("licen[sc]e|copyright|commercial|all rights", re.IGNORECASE)


def is_reserved(path: Path) -> bool:
    """Return whether a file of the corpus says of itself that it is not free for all uses."""
    if path.suffix != ".mxl":
        return bool(_RESERVED.search(path.read_text(encoding="latin-1")))
    with zipfile.ZipFile(path) as members:
        return any(_RESERVED.search(members.read(name).decode("utf-8", "replace")) for name in members.namelist())


def chorale(score: Any) -> list[Notes] | None:
    """Return the notes of the four voices on the grid of eighths; None unless the score has the four."""
    found = {part.partName.strip().rstrip(".").lower(): part for part in score.parts if part.partName}
    names = [voice.lower() for voice in VOICES]
    if not all(name in found for name in names):
        return None
    return [_on_eighths(_notes(found[name])) for name in names]


def tune(score: Any) -> list[Notes] | None:
    """Return the notes of a tune with its repeats; None if it is not a melody of one part."""
    if len(score.parts) != 1:
        return None
    part = score.parts[0]
    try:
        part = part.expandRepeats()
    except Exception:  # repeats that do not pair, in a few tunes: they are played once
        part = score.parts[0]
    notes = _notes(part)
    # Where the source has two notes at once, the tune is the upper one.
    upper = {start: (start, end, pitch) for start, end, pitch in sorted(notes, key=lambda note: note[2])}
    return [sorted(upper.values())]


def _notes(part: Any) -> Notes:
    """Return the notes of a part in order, tied ones joined, grace notes left out."""
    found: Notes = []
    for element in part.flatten().stripTies().notes:
        length = Fraction(element.duration.quarterLength).limit_denominator(48)
        if length > 0 and not type(element).__name__.startswith("Chord") and hasattr(element, "pitch"):
            start = Fraction(element.offset).limit_denominator(48)
            found.append((start, start + length, int(element.pitch.midi)))
    return sorted(found)


def _on_eighths(notes: Notes) -> Notes:
    """Return what sounds on each eighth, each note from the first to after the last eighth that it sounds on."""
    kept: Notes = []
    for start, end, pitch in notes:
        first, last = -(-start * 2 // 1), -(-end * 2 // 1)
        if last > first:
            kept.append((Fraction(first, 2), Fraction(last, 2), pitch))
    return kept


def write(voices: list[Notes], score: Any, path: Path, tempo: int, names: tuple[str, ...]) -> None:
    """Write voices, a track and a channel each, in the metre of the score; a first bar cut short is an upbeat."""
    from music21 import meter

    signatures = list(score.recurse().getElementsByClass(meter.TimeSignature))
    metre = (signatures[0].numerator, signatures[0].denominator) if signatures else (4, 4)
    bars = [(0, *metre, 0)]
    first = next(iter(score.parts[0].getElementsByClass("Measure")), None)
    upbeat = Fraction(0) if first is None else Fraction(first.duration.quarterLength).limit_denominator(48) / 4
    if 0 < upbeat < Fraction(*metre) and upbeat.denominator in (2, 4, 8, 16, 32):
        bars = [(0, upbeat.numerator, upbeat.denominator, 0), (int(4 * upbeat * TICKS), *metre, 0)]
    rows = [
        (int(start * TICKS), int(end * TICKS), pitch, 80, track, track)
        for track, voice in enumerate(voices)
        for start, end, pitch in voice
    ]
    midi = Midi.from_notes(rows, ticks_per_beat=TICKS, tempos=[(0, round(60e6 / tempo))], time_signatures=bars)
    write_midi(midi, path, track_names=names)


@click.command(help=__doc__)
@click.argument("corpus", type=click.Choice(["chorales", "folk"]))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(corpus: str, folder: Path) -> None:
    """Convert a corpus."""
    try:
        import music21
    except ImportError:
        raise click.ClickException("music21 is not installed: pip install music21") from None
    root = Path(music21.__file__).parent / "corpus"
    sources = sorted((root / "bach").glob("*.mxl") if corpus == "chorales" else (root / "ryansMammoth").glob("*.abc"))
    take, tempo, names = (chorale, CHORALE_TEMPO, VOICES) if corpus == "chorales" else (tune, TUNE_TEMPO, ("Tune",))
    folder.mkdir(parents=True, exist_ok=True)
    written = skipped = reserved = 0
    for source in sources:
        if is_reserved(source):
            reserved += 1
            continue
        try:
            score = music21.converter.parse(source)
            if hasattr(score, "scores"):  # several tunes in a file: the first
                score = score.scores[0]
            voices = take(score)
        except music21.exceptions21.Music21Exception as error:
            print(f"{source.name}: {error}", file=sys.stderr)
            voices = None
        if voices is None or not all(voices):
            skipped += 1
            continue
        write(voices, score, folder / f"{source.stem}.mid", tempo, names)
        written += 1
    print(f"{written} files in {folder}; {skipped} left out for their form, {reserved} for a notice")


if __name__ == "__main__":
    main()
