"""What generation knows of the training data without the dataset: it is stored with the weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any

import numpy as np

import rollcore
from seq2seq.output.figures import Figures, figures
from seq2seq.output.measures import MEASURES, Piece, ends_on_tonic, note_lengths, piece_of
from seq2seq.output.notation import bar_frames
from seq2seq.sampling.endings import Endings, Metre
from seq2seq.sampling.line import WIDTHS, find_leaps
from seq2seq.sampling.parts import Parts
from seq2seq.sampling.phrasing import RETURNS, RHYTHMS, find_returns, find_rhythms
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
# The share of notes that are too rare to be an example.
_RARE = 0.005
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
    rhythms
        How often its rhythms return with other notes, likewise.
    endings
        Where its pieces end; None where there are none.
    keys
        The keys that its pieces are in; None where that is not known.
    manners
        Mean and standard deviation of the measures `MANNERS` over pieces; empty on the grid of seconds.
    held
        The frames that all but `_RARE` of its notes are held for at most; None where that is not known.
    reach
        The lowest and the highest pitch of all but as few of its notes at either end; None where that is not known.
    leaps
        How often its top lines leap, as `seq2seq.sampling.line.Line` takes it; empty where that is not known.
    examples
        The figures `COMPARED` and the measures of `manners` of each piece, in their order; empty where they are not
        known.
    home
        The share of its pieces whose top line ends on the tonic; None where that is not known.
    cool
        The `cool` of `seq2seq.sampling.phrasing.Phrasing` that was chosen for a model, or fitted to it, see
        `seq2seq.sampling.fitting`; None for its default.
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
    rhythms: tuple[tuple[int, float], ...] = ()
    held: int | None = None
    reach: tuple[int, int] | None = None
    leaps: tuple[float, ...] = ()
    examples: tuple[tuple[float, ...], ...] = ()
    home: float | None = None
    cool: float | None = None

    @classmethod
    def of(cls, dataset: rollcore.Dataset) -> Corpus:
        """Return what there is to know of the training split of a dataset."""
        pieces = dataset.split("train")
        chosen = np.unique(np.linspace(0, len(pieces) - 1, min(COMPARED_PIECES, len(pieces))).round().astype(int))
        rolls = [dataset.rows(int(pieces[i])) for i in chosen]
        rate = float(dataset.grid.rate)
        singly = [figures([rows], rate) for rows in rolls]
        metres = [metre_in(dataset, int(i)) for i in pieces[chosen]]
        tempos = [bpm for tempo in dataset.pieces["tempo"][pieces] if (bpm := beats_per_minute(tempo)) is not None]
        bars = Counter(dataset.bar(int(piece)) for piece in pieces)
        measured = list(zip(rolls, metres, strict=True))
        every = [
            piece_of("", rows, dataset.planes, rate, dataset.bar(int(i)), int(dataset.pieces["upbeat"][i]))
            for i, rows in zip(pieces[chosen], rolls, strict=True)
        ]
        sounding = [piece for piece in every if piece.onset.any()]
        held, reach = _notes(sounding)
        manners = _manners(sounding) if dataset.grid.unit == "beats" else {}
        examples = tuple(
            tuple(round(float(value), 4) for value in _values(COMPARED, manners, one, piece))
            for one, piece in zip(singly, every, strict=True)
            if piece.onset.any()
        )
        return cls(
            grid=dataset.grid,
            reading=_reading(dataset.options),
            figures=figures(rolls, rate),
            tempo_bpm=round(float(np.median(tempos)), 3) if tempos else None,
            # Of equals the first in the order of numbers, whatever the order of the pieces.
            time_signature=min(bars, key=lambda bar: (-bars[bar], bar)) if bars else (4, 4),
            spread={name: _spread([getattr(one, name) for one in singly]) for name in COMPARED},
            returns=find_returns(measured),
            endings=Endings.fit(measured),
            parts=None if dataset.voices else Parts.find(rolls),
            keys=find_keys(rolls),
            manners=manners,
            rhythms=find_rhythms(measured),
            held=held,
            reach=reach,
            leaps=find_leaps(sounding),
            examples=examples,
            home=round(float(np.nanmean([ends_on_tonic(piece) for piece in sounding])), 4) if sounding else None,
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
            "rhythms": [list(pair) for pair in self.rhythms],
            "held": self.held,
            "reach": None if self.reach is None else list(self.reach),
            "endings": None if self.endings is None else self.endings.to_dict(),
            "keys": None if self.keys is None else self.keys.to_dict(),
            "manners": {name: list(values) for name, values in self.manners.items()},
            "leaps": list(self.leaps),
            "examples": [[None if math.isnan(value) else value for value in one] for one in self.examples],
            "home": self.home,
            "cool": self.cool,
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
        rhythms = tuple((int(bars), float(chance)) for bars, chance in facts.get("rhythms", ()))
        if not all(bars in RHYTHMS and 0 <= chance <= 1 for bars, chance in rhythms):
            raise ValueError(f"rhythms that return: {rhythms}")
        held, reach = facts.get("held"), facts.get("reach")
        if held is not None and not 1 <= (held := int(held)) < 2**31:
            raise ValueError(f"notes held for {held} frames")
        if reach is not None:
            reach = (int(reach[0]), int(reach[1]))
            if not 0 <= reach[0] <= reach[1] <= 127:
                raise ValueError(f"pitches {reach}")
        leaps = tuple(map(float, facts.get("leaps", ())))
        if len(leaps) not in (0, len(WIDTHS)) or not all(0 <= share <= 1 for share in leaps):
            raise ValueError(f"leaps {leaps}")
        manners = {name: (float(mean), float(std)) for name, (mean, std) in facts.get("manners", {}).items()}
        if unknown := set(manners) - set(MANNERS):
            raise ValueError(f"measures {', '.join(unknown)}")
        examples = tuple(
            tuple(math.nan if value is None else float(value) for value in one) for one in facts.get("examples", ())
        )
        if any(len(one) != len(COMPARED) + len(manners) for one in examples):
            raise ValueError("examples are of another version")
        home = None if facts.get("home") is None else float(facts["home"])
        if home is not None and not 0 <= home <= 1:
            raise ValueError(f"a share of {home} ends on the tonic")
        cool = None if facts.get("cool") is None else float(facts["cool"])
        if cool is not None and not 0 < cool <= 4:
            raise ValueError(f"a temperature of {cool}")
        parts = None if facts.get("parts") is None else Parts.from_dict(facts["parts"])
        keys = None if facts.get("keys") is None else Keys.from_dict(facts["keys"])
        return cls(
            grid=grid,
            reading=reading,
            figures=found,
            tempo_bpm=tempo_bpm,
            time_signature=(beats, value),
            spread=spread,
            returns=returns,
            endings=endings,
            parts=parts,
            keys=keys,
            manners=manners,
            rhythms=rhythms,
            held=held,
            reach=reach,
            leaps=leaps,
            examples=examples,
            home=home,
            cool=cool,
        )

    def strangeness(self, found: Figures, piece: Piece | None = None) -> float:
        """Return how far music is from the training piece that is most like it.

        That is the mean square of the differences of its figures, and with *piece* of its measures, those aside that do
        not apply, each divided by its standard deviation over the pieces, the square up to 9. Where no examples are
        known, it is compared with the means.
        """
        manners = self.manners if piece is not None else {}
        spreads = np.array([*self.spread.values(), *manners.values()])
        least = np.repeat([1e-3, 1e-2], [len(self.spread), len(manners)])
        values = np.array(_values(self.spread, manners, found, piece))
        others = np.array(self.examples)[:, : len(values)] if self.examples else spreads[None, :, 0]
        scores = np.minimum(np.square((values - others) / np.maximum(spreads[:, 1], least)), 9.0)
        return float(np.nanmin(np.nanmean(scores, axis=1)))


def _values(figures: Iterable[str], manners: Iterable[str], found: Figures, piece: Piece | None) -> list[float]:
    """Return figures and measures by their names."""
    measured = [] if piece is None else [MEASURES[name](piece) for name in manners]
    return [*(float(getattr(found, name)) for name in figures), *measured]


def metre_of(grid: rollcore.Grid, time_signature: tuple[int, int], upbeat: int = 0) -> Metre:
    """Return how the frames of a grid are counted."""
    return Metre(grid.rate, bar_frames(grid, time_signature), upbeat)


def metre_in(dataset: rollcore.Dataset, piece: int) -> Metre:
    """Return how the frames of a piece of a dataset are counted."""
    return metre_of(dataset.grid, dataset.bar(piece), int(dataset.pieces["upbeat"][piece]))


def _notes(pieces: list[Piece]) -> tuple[int | None, tuple[int, int] | None]:
    """Return how long notes are held, and which pitches are played, the rare ones aside."""
    lengths = np.concatenate([note_lengths(piece) for piece in pieces] or [np.zeros(0, np.int64)])
    pitches = np.concatenate([np.nonzero(piece.onset)[1] for piece in pieces] or [np.zeros(0, np.int64)])
    if not len(pitches):
        return None, None
    low, high = np.quantile(pitches, (_RARE, 1 - _RARE), method="nearest")
    return int(np.quantile(lengths, 1 - _RARE, method="nearest")), (int(low), int(high))


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
