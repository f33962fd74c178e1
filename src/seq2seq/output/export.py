"""Compositions as files: MIDI, picture and sound of each, and a page of all. They come together or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from rollcore import RollcoreError
from seq2seq.output.composition import Composition, figure_columns
from seq2seq.output.figures import figure_rows
from seq2seq.output.page import write_page
from seq2seq.output.player import Piece, file_links
from seq2seq.run import make_folder

# A WAV file of an hour has 230 MB.
_HEARD_SECONDS = 3600


@dataclass(frozen=True)
class Files:
    """The files of one composition.

    The picture is None where matplotlib is missing, the sound where there is no note, or over an hour of music.
    """

    midi: Path
    picture: Path | None
    sound: Path | None


@dataclass(frozen=True)
class Exported:
    """The files of each composition, and the page to see and hear them all in a browser."""

    files: list[Files]
    page: Path


def export(compositions: Sequence[Composition], folder: str | Path) -> Exported:
    """Write the files of compositions of one request; those of an earlier one of the same name are replaced.

    Raises
    ------
    RollcoreError
        If a file cannot be written; nothing has changed then.
    """
    folder = Path(folder)
    made = make_folder(folder)
    series = compositions[0].series
    page = folder / f"{series}.html"
    try:
        with _together(folder) as staging:
            files = [_write(composition, folder, staging) for composition in compositions]
            _write_page(staging / page.name, compositions, files)
    except BaseException:
        with contextlib.suppress(OSError):
            for new in reversed(made):
                new.rmdir()
        raise
    # Of one name there is one outcome, the latest.
    kept = {path for one in files for path in (one.midi, one.picture, one.sound)}
    earlier = re.compile(re.escape(series) + r"-\d+(-degenerate)?\.(mid|png|wav)")
    for old in folder.iterdir():
        if earlier.fullmatch(old.name) and old not in kept:
            old.unlink(missing_ok=True)
    return Exported(files, page)


def _write(composition: Composition, folder: Path, staging: Path) -> Files:
    """Write MIDI file, picture and sound to *staging*; return where in *folder* they are to be."""
    from rollcore import plot_roll, write_wav

    score = composition.score
    midi = folder / f"{composition.name}.mid"
    score.write(staging / midi.name)
    picture = midi.with_suffix(".png") if find_spec("matplotlib") is not None else None
    if picture is not None:
        beats, value = score.time_signature
        drawing = str(staging / picture.name)
        bar = 4 * beats / value
        plot_roll(
            composition.rows, composition.grid, drawing, title=midi.stem, beats_per_bar=bar, voices=composition.voices
        )
    heard = len(score.midi.notes) and score.seconds <= _HEARD_SECONDS
    sound = midi.with_suffix(".wav") if heard else None
    if sound is not None:
        write_wav(score.midi, staging / sound.name, seconds=score.seconds)
    return Files(midi, picture, sound)


def _write_page(path: Path, compositions: Sequence[Composition], files: Sequence[Files]) -> None:
    first = compositions[0]
    pieces = [
        composition_piece(composition, file_links(one.midi, one.sound))
        for composition, one in zip(compositions, files, strict=True)
    ]
    write_page(path, first.series, first.facts, pieces, figure_rows(figure_columns(compositions), first.unit))


def composition_piece(composition: Composition, links: Mapping[str, str] | None = None) -> Piece:
    """Return a composition as a page has it, with links to its files."""
    score = composition.score
    beats, value = score.time_signature
    return Piece.from_midi(
        score.midi,
        composition.name,
        seconds=score.seconds,
        voices=score.track_names,
        primer_s=composition.primer_frames * composition.seconds_per_frame,
        bar_s=240 * beats / value / composition.tempo_bpm if composition.grid.unit == "beats" else None,
        remarks=composition.remarks(),
        links=links or {},
    )


@contextlib.contextmanager
def _together(folder: Path) -> Iterator[Path]:
    """Give a place to write files in, which come into *folder* together when all are whole."""
    try:
        staging = TemporaryDirectory(prefix=".generated-", dir=folder)
    except OSError as error:
        raise RollcoreError(f"{folder}: cannot be written: {error.strerror}") from error
    with staging as place:
        try:
            yield Path(place)
        except RollcoreError as error:  # the place itself is gone by the time that it is read
            raise RollcoreError(str(error).replace(place, str(folder))) from error
        files = sorted(Path(place).iterdir())
        for made in files:
            if (folder / made.name).is_dir():
                raise RollcoreError(f"{folder / made.name}: is a folder, where a file is to be: move it away")
        for made in files:
            os.replace(made, folder / made.name)
