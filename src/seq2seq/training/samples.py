"""How a model's music compares with real music: `seq2seq evaluate --samples`.

Samples are a folder of MIDI files, or drawn from a run. The real pieces are a folder too, or the validation and test
splits of a dataset: music that the model was not trained on. What it was trained on shows how much is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import rollcore
from rollcore import DatasetError, Grid
from rollcore.files import whole_file
from rollcore.storage import is_there, origin
from seq2seq.errors import ConfigError
from seq2seq.output.measures import LAGS, MEASURES, Piece, dataset_pieces, measure, piece_of
from seq2seq.output.resemblance import FEATURES, Memory, compare_sets, distributions, features, overlap
from seq2seq.run import Run
from seq2seq.sampling.generator import Generator
from seq2seq.sampling.request import Request

SIXTEENTHS = rollcore.Grid.beats(4)

# What stands below the panels of a picture: places and their names.
_BEATS = (range(0, 13, 2), ("1/4", "1/2", "1", "2", "4", "8", "16 beats"))
_TICKS: dict[str, tuple[Sequence[int], Sequence[str]]] = {
    "pitch class": (range(0, 12), ("C", "", "D", "", "E", "F", "", "G", "", "A", "", "B")),
    "interval": (range(0, 25, 6), ("-12", "-6", "0", "6", "12 semitones")),
    "note length": _BEATS,
    "time between onsets": _BEATS,
    "density": (range(0, 16, 5), ("0", "5", "10", "15 notes a beat")),
    "polyphony": (range(0, 11, 5), ("0", "5", "10 notes")),
}
# Title, measures and their short names.
_MEASURE_PANELS: tuple[tuple[str, list[str], Sequence[str]], ...] = (
    ("bar again after … bars", [f"bar again after {lag}" for lag in LAGS], [str(lag) for lag in LAGS]),
    ("rhythm again after … bars", [f"rhythm of a bar again after {lag}" for lag in LAGS], [str(lag) for lag in LAGS]),
    (
        "key, melody, metre, ending",
        [name for name in MEASURES if "again" not in name and "phrase" not in name],
        ("in key", "home", "leaps", "steps", "on beat", "change", "still", "tonic"),
    ),
)


def read_folder(source: str | Path, grid: Grid = SIXTEENTHS) -> list[Piece]:
    """Return the pieces of a folder, an archive or a MIDI file, on a grid of beats.

    Raises
    ------
    RollcoreError
        If nothing there is music.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pieces.h5"
        rollcore.build_dataset(source, path, steps_per_beat=grid.rate, planes=("sounding", "onset"))
        dataset = rollcore.open_dataset(path)
        return dataset_pieces(dataset, range(len(dataset)))


def read_reference(source: str | Path, grid: Grid = SIXTEENTHS) -> tuple[list[Piece], list[Piece]]:
    """Return the real pieces to compare with, and those that a model was trained on: none for a folder.

    Parameters
    ----------
    source
        A dataset, whose validation and test pieces are returned, or MIDI files.
    grid
        That of MIDI files.

    Raises
    ------
    DatasetError
        If the dataset is not on a grid of beats, or has no validation and test pieces.
    RollcoreError
        If nothing there is music.
    """
    if not _is_dataset(source):
        return read_folder(source, grid), []
    dataset = rollcore.open_dataset(source)
    _check_grid(origin(dataset.path), dataset.grid)
    held_out = [*dataset.split("validation"), *dataset.split("test")]
    if not held_out:
        raise DatasetError(
            f"{origin(dataset.path)}: no validation or test pieces to compare with: name a folder of MIDI files"
        )
    return dataset_pieces(dataset, held_out), dataset_pieces(dataset, dataset.split("train"))


def _is_dataset(source: str | Path) -> bool:
    return Path(source).suffix.lower() in (".h5", ".hdf5") and not Path(source).is_dir()


def _check_grid(path: str | Path, grid: Grid) -> None:
    if grid.unit != "beats":
        raise DatasetError(
            f"{path}: its grid is one of seconds, but bars and beats are compared: "
            "build the dataset with --steps-per-beat 4, or compare folders of MIDI files"
        )


def evaluate_samples(
    samples: int | str | Path,
    model: str | Path | None = None,
    reference: str | Path | None = None,
    *,
    picture: str | Path | None = None,
) -> dict[str, Any]:
    """Return what `compare_samples` finds, of MIDI files or of music drawn from a model.

    Parameters
    ----------
    samples
        How many pieces to draw from *model*, from nothing, with the defaults of a request; or a folder of MIDI files.
    model
        What `seq2seq.Generator.load` takes. The dataset of a run is the reference by default, and its training pieces
        are those that may be copied.
    reference
        Real music: a dataset, whose validation and test pieces count, or a folder of MIDI files.
    picture
        Where to draw the two sets, as a PNG file.

    Raises
    ------
    ConfigError
        If there is nothing to draw from, or no reference.
    RollcoreError
        If a file, a folder, the dataset or the model cannot be read, or holds too few pieces.
    """
    run = Run.open(model) if model is not None and Path(model).is_dir() else None
    generator = Generator.load(model) if model is not None and (run is None or isinstance(samples, int)) else None
    if generator is None and isinstance(samples, int):
        raise ConfigError("nothing to draw samples from: name a run, or a folder of MIDI files with --samples")
    known = None if run is None else run.dataset["path"]
    reference = known if reference is None else reference
    if reference is None:
        raise ConfigError("nothing to compare with: name a run, or a dataset or a folder with --reference")
    if generator is not None:
        grid = generator.corpus.grid
    elif run is not None:
        grid = run.grid
    else:
        grid = rollcore.open_dataset(reference).grid if _is_dataset(reference) else SIXTEENTHS
    _check_grid(reference if model is None else model, grid)
    real, training = read_reference(reference, grid)
    if not training and known is not None and is_there(known):
        training = read_reference(known)[1]
    if generator is not None and isinstance(samples, int):
        made = drawn_pieces(generator, Request(num_outputs=samples))
    else:
        made = read_folder(str(samples), grid)
    found = compare_samples(made, real, training)
    if picture is not None:
        plot_samples(made, real, picture)
    return found


def drawn_pieces(generator: Generator, request: Request) -> list[Piece]:
    """Return the pieces that a model answers a request with."""
    rate, planes = float(generator.corpus.grid.rate), generator.config.planes
    made = generator.compose(request)
    return [piece_of(one.name, one.rows, planes, rate, one.score.time_signature) for one in made]


def compare_samples(
    samples: Sequence[Piece], real: Sequence[Piece], training: Sequence[Piece] = (), *, seed: int = 0
) -> dict[str, Any]:
    """Return the measures of samples beside those of real pieces, and how alike the two are.

    Parameters
    ----------
    samples, real
        The two sets of pieces; at least one and two.
    training
        What the model was trained on, for what is copied from it.
    seed
        Of the draws behind the intervals.

    Returns
    -------
    dict
        ``"samples"``, ``"real"``, ``"training"``: how many pieces; ``"measures"``: for each of `MEASURES` the mean of
        either set (None where it applies to no piece); ``"overlap"``: for each distribution that of the samples with
        the real pieces, and of one half of these with the other; ``"resemblance"``: see
        `seq2seq.output.resemblance.compare_sets`; ``"copied"``, with training pieces: share of the notes of the top
        line, and notes of the longest run, for either set.

    Raises
    ------
    DatasetError
        If there are too few pieces.
    """
    if not samples or len(real) < 2:
        raise DatasetError(
            f"{len(samples)} samples and {len(real)} real pieces with notes: at least 1 and 2 are needed"
        )
    rates = {"samples": measure(list(samples)), "real": measure(list(real))}
    found: dict[str, Any] = {
        "samples": len(samples),
        "real": len(real),
        "training": len(training),
        "measures": {name: {side: _mean(rates[side][name]) for side in rates} for name in MEASURES},
        "overlap": _overlaps(samples, real, seed),
        "resemblance": compare_sets(
            np.array([features(piece) for piece in samples]), np.array([features(piece) for piece in real]), seed
        ),
        "features": list(FEATURES),
    }
    if training:
        memory = Memory(training)
        found["copied"] = {
            side: {
                "share": _mean(np.array([memory.copied(piece) for piece in pieces])),
                "longest run, notes": max(memory.longest(piece) for piece in pieces),
            }
            for side, pieces in (("samples", samples), ("real", real))
        }
    return found


def _mean(values: Any) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _overlaps(samples: Sequence[Piece], real: Sequence[Piece], seed: int) -> dict[str, dict[str, float | None]]:
    made, heard = [distributions(piece) for piece in samples], [distributions(piece) for piece in real]
    order = np.random.default_rng(seed).permutation(len(heard))
    here, there = ([heard[i] for i in part] for part in np.array_split(order, 2))
    return {
        name: {
            "samples": overlap([one[name] for one in made], [one[name] for one in heard]),
            "real": overlap([one[name] for one in there], [one[name] for one in here]) if len(here) > 1 else None,
        }
        for name in heard[0]
    }


def samples_table(found: dict[str, Any]) -> str:
    """Return what `compare_samples` found as the lines of a table."""
    lines = [f"{found['samples']} samples beside {found['real']} real pieces", ""]
    lines.append(f"{'':<40}{'samples':>10}{'real':>10}")

    def add(name: str, *values: float | None) -> None:
        cells = "".join(f"{'-' if value is None else f'{value:.3f}':>10}" for value in values)
        lines.append(f"{name:<40}{cells}")

    for name, sides in found["measures"].items():
        add(name, sides["samples"], sides["real"])
    for name, sides in found["overlap"].items():
        add(f"overlap of {name} (1: alike)", sides["samples"], sides["real"])
    alike = found["resemblance"]
    if alike:
        ratio, told = alike["frechet ratio"], alike["neighbour accuracy"]
        add("Fréchet ratio (1: alike)", ratio["mean"], 1.0)
        add("nearest-neighbour accuracy (0.5: alike)", told["mean"], alike["neighbour accuracy, real"]["mean"])
    if "copied" in found:
        made, heard = found["copied"]["samples"], found["copied"]["real"]
        add("share copied from training", made["share"], heard["share"])
        add("longest copied run, notes", made["longest run, notes"], heard["longest run, notes"])
    lines.append("")
    if alike:
        lines.append(
            f"{alike['pieces']['mean']:.0f} pieces a draw; nine of ten draws: Fréchet ratio {ratio['low']:.2f} to "
            f"{ratio['high']:.2f}, accuracy {told['low']:.2f} to {told['high']:.2f}"
        )
    else:
        lines.append("no Fréchet ratio, no nearest neighbours: they need 2 samples and 4 real pieces")
    if "copied" not in found:
        lines.append("nothing is known of the training pieces, so not what is copied from them")
    return "\n".join(lines)


def plot_samples(samples: Sequence[Piece], real: Sequence[Piece], path: str | Path) -> None:
    """Draw the distributions of both sets, and how often bars return, as a PNG file.

    Raises
    ------
    RollcoreError
        If matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise rollcore.RollcoreError("a picture needs matplotlib: pip install 'rollcore[plot]'") from None
    sides = {"real": list(real), "samples": list(samples)}
    shown = {side: [distributions(piece) for piece in pieces] for side, pieces in sides.items()}
    panels = {
        name: (
            {side: np.mean([one[name] for one in made], axis=0) for side, made in shown.items()},
            *_TICKS.get(name, ((), ())),
        )
        for name in shown["real"][0]
    }
    rates = {side: measure(pieces) for side, pieces in sides.items()}
    for title, rows, names in _MEASURE_PANELS:
        heights = {side: np.array([_mean(found[row]) or 0.0 for row in rows]) for side, found in rates.items()}
        panels[title] = heights, range(len(rows)), names
    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(3, 3).ravel()
    for axis, (title, (heights, places, names)) in zip(axes, panels.items(), strict=True):
        for number, (side, values) in enumerate(heights.items()):
            axis.bar(np.arange(len(values)) + 0.4 * (number - 0.5), values, 0.4, label=side)
        if names:
            axis.set_xticks(places, names, fontsize=7)
        axis.set_title(title)
    axes[0].legend()
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=100)
