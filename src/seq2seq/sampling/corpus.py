"""What generation knows of the training data without the dataset: it is stored with the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any

import numpy as np

import rollcore
from seq2seq.output.figures import Figures, figures
from seq2seq.output.measures import MEASURES, Piece, dataset_pieces
from seq2seq.output.notation import bar_frames
from seq2seq.sampling.endings import Endings, Metre
from seq2seq.sampling.parts import Parts
from seq2seq.sampling.phrasing import RETURNS, find_returns
from seq2seq.sampling.tonality import Keys, find_keys

#: Pieces of the training split that figures are made of, spread evenly over it.
COMPARED_PIECES = 200
#: Figures by which candidates are told from pieces.
COMPARED = ("polyphony", "density", "pitch_class_entropy", "silence", "repetition")
#: Measures by which they are told, too, on a grid of beats.
MANNERS = (
    "notes in the piece's key",
    "4-bar stretches in the home key",
    "leaps over 7 semitones in the top line",
    "steps in the top line",
    "notes on the beat",
    "frames that change",
    "bars without a new note",
    "bar again after 1",
    "rhythm of a bar again after 4",
    "bar again after 8",
    "rhythm of a bar again after 8",
)
#: Beats per minute that music may have.
SLOWEST, FASTEST = 4, 1000
# How the files of the dataset were turned into rolls: options of `rollcore.piano_roll`.
_READING = ("drums", "sustain", "align")


def _reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stored options say of how files are read; raise if the notes they choose cannot be chosen."""
    reading: dict[str, Any] = {name: bool(value) for name, value in options.items() if name in _READING}
    if "select" in options:
        reading["select"] = rollcore.Selection(**options["select"]).stored()
    return reading


@dataclass(frozen=True)
class Corpus:
    """The training data of a model.

    Attributes
    ----------
    grid
        The grid of its rolls.
    reading
        Options of `rollcore.piano_roll` that its files were read with.
    figures
        Those of its training split, of `COMPARED_PIECES` at most.
    tempo_bpm
        The median tempo of its pieces; None where they name none.
    time_signature
        The most common one.
    spread
        Mean and standard deviation of the figures `COMPARED` over pieces.
    returns
        How often its phrases return, as `seq2seq.sampling.phrasing.Phrasing` takes it.
    endings
        Where its pieces end; None where there are none.
    keys
        The keys that its pieces are in; None where that is not known.
    manners
        Mean and standard deviation of the measures `MANNERS` over pieces; empty on the grid of seconds.
    parts
        The parts that its pieces are in; None where they are not.
    """

    grid: rollcore.Grid
    reading: Mapping[str, Any]
    figures: Figures
    tempo_bpm: float | None
    time_signature: tuple[int, int]
    spread: Mapping[str, tuple[float, float]]
    returns: tuple[tuple[int, float], ...]
    endings: Endings | None
    parts: Parts | None = None
    keys: Keys | None = None
    manners: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: rollcore.Dataset) -> Corpus:
        """Return what there is to know of the training split of a dataset."""
        pieces = dataset.split("train")
        chosen = np.unique(np.linspace(0, len(pieces) - 1, min(COMPARED_PIECES, len(pieces))).round().astype(int))
        rolls = [dataset.rows(int(pieces[i])) for i in chosen]
        rate = float(dataset.grid.rate)
        singly = [figures([rows], rate) for rows in rolls]
        metres = [metre_of(dataset.grid, dataset.bar(int(i)), int(dataset.pieces["upbeat"][i])) for i in pieces[chosen]]
        tempos = [bpm for tempo in dataset.pieces["tempo"][pieces] if (bpm := beats_per_minute(tempo)) is not None]
        bars = Counter(dataset.bar(int(piece)) for piece in pieces)
        return cls(
            grid=dataset.grid,
            reading=_reading(dataset.options),
            figures=figures(rolls, rate),
            tempo_bpm=round(float(np.median(tempos)), 3) if tempos else None,
            # Of equals the first in the order of numbers, whatever the order of the pieces.
            time_signature=min(bars, key=lambda bar: (-bars[bar], bar)) if bars else (4, 4),
            spread={name: _spread([getattr(one, name) for one in singly]) for name in COMPARED},
            returns=find_returns(list(zip(rolls, metres, strict=True))),
            endings=Endings.fit(list(zip(rolls, metres, strict=True))),
            parts=None if dataset.voices else Parts.find(rolls),
            keys=find_keys(rolls),
            manners=_manners(dataset_pieces(dataset, pieces[chosen])) if dataset.grid.unit == "beats" else {},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "grid": {"unit": self.grid.unit, "rate": str(self.grid.rate)},
            "reading": dict(self.reading),
            "figures": asdict(self.figures),
            "tempo_bpm": self.tempo_bpm,
            "time_signature": list(self.time_signature),
            "spread": {name: list(values) for name, values in self.spread.items()},
            "returns": [list(pair) for pair in self.returns],
            "endings": None if self.endings is None else self.endings.to_dict(),
            "keys": None if self.keys is None else self.keys.to_dict(),
            "manners": {name: list(values) for name, values in self.manners.items()},
            "parts": None if self.parts is None else self.parts.to_dict(),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Corpus:
        """Return the corpus that `to_dict` wrote.

        Raises
        ------
        ValueError, TypeError, LookupError, AttributeError or rollcore.RollcoreError
            If the facts are not such.
        """
        if not isinstance(facts["reading"], dict):
            raise TypeError("how files are read is not a mapping")
        reading = _reading(facts["reading"])
        found = Figures(**facts["figures"])
        for name in (figure.name for figure in fields(Figures)):
            value = getattr(found, name)
            if not isinstance(value, int | float) and (value is not None or name not in ("lowest", "highest")):
                raise TypeError(f"figure {name} is {value!r}")
        tempo_bpm = facts["tempo_bpm"]
        if tempo_bpm is not None and not SLOWEST <= tempo_bpm <= FASTEST:
            raise ValueError(f"tempo {tempo_bpm} is out of range")
        beats, value = facts["time_signature"]
        if not rollcore.is_time_signature(beats, value):
            raise ValueError(f"time signature {beats}/{value}")
        grid = rollcore.Grid(facts["grid"]["unit"], Fraction(facts["grid"]["rate"]))
        spread = {name: (float(facts["spread"][name][0]), float(facts["spread"][name][1])) for name in COMPARED}
        endings = None if facts["endings"] is None else Endings.from_dict(facts["endings"])
        returns = tuple((int(bars), float(chance)) for bars, chance in facts["returns"])
        if not all(bars in RETURNS and 0 <= chance <= 1 for bars, chance in returns):
            raise ValueError(f"phrases that return: {returns}")
        parts = None if facts.get("parts") is None else Parts.from_dict(facts["parts"])
        manners = {name: (float(mean), float(std)) for name, (mean, std) in facts.get("manners", {}).items()}
        if unknown := set(manners) - set(MANNERS):
            raise ValueError(f"measures {', '.join(unknown)}")
        keys = None if facts.get("keys") is None else Keys.from_dict(facts["keys"])
        return cls(grid, reading, found, tempo_bpm, (beats, value), spread, returns, endings, parts, keys, manners)

    def strangeness(self, found: Figures, piece: Piece | None = None) -> float:
        """Return how far music is from the pieces: the mean square of standard scores, each up to 9.

        Those are of its figures, and with *piece* of its measures, those aside that do not apply to it.
        """
        scores = [(getattr(found, name) - mean) / max(std, 1e-3) for name, (mean, std) in self.spread.items()]
        if piece is not None:
            measured = {name: MEASURES[name](piece) for name in self.manners}
            known = [(measured[name], *spread) for name, spread in self.manners.items()]
            scores += [(value - mean) / max(std, 1e-2) for value, mean, std in known if not np.isnan(value)]
        return float(np.mean(np.minimum(np.square(scores), 9.0)))


def metre_of(grid: rollcore.Grid, time_signature: tuple[int, int], upbeat: int = 0) -> Metre:
    """Return how the frames of a grid are counted."""
    return Metre(grid.rate, bar_frames(grid, time_signature), upbeat)


def _manners(pieces: list[Piece]) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of `MANNERS` over pieces, those that apply to none aside."""
    found = {}
    for name in MANNERS:
        values = [value for piece in pieces if not np.isnan(value := MEASURES[name](piece))]
        if values:
            found[name] = _spread(values)
    return found


def _spread(values: list[float]) -> tuple[float, float]:
    return (round(float(np.mean(values)), 6), round(float(np.std(values)), 6)) if values else (0.0, 0.0)


def beats_per_minute(tempo_us_per_beat: Any) -> float | None:
    """Return a tempo in microseconds per beat as beats per minute, or None where no one could play it."""
    tempo = int(tempo_us_per_beat)
    return 60e6 / tempo if 60e6 / FASTEST <= tempo <= 60e6 / SLOWEST else None
