"""Commands that show a piece to eyes and ears: ``plot`` and ``render``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from rollcore.cli.options import (
    CONTEXT,
    chosen_grid,
    chosen_selection,
    drums_option,
    fps_option,
    no_align_option,
    output_option,
    quiet_option,
    selection_options,
    steps_per_beat_option,
    sustain_option,
    with_target,
)
from rollcore.console import printable
from rollcore.errors import RollcoreError
from rollcore.storage import fetch, published

if TYPE_CHECKING:
    from rollcore.dataset import Dataset
    from rollcore.midi import Midi
    from rollcore.selection import Selection

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@click.command(context_settings=CONTEXT)
@click.argument("paths", nargs=-1, metavar="SOURCE [PIECE] PICTURE")
@output_option("PICTURE", "The picture to write")
@click.option(
    "--start",
    type=click.FloatRange(0),
    default=0,
    metavar="T",
    help="Where to begin, in seconds (--fps) or quarter notes.  [default: 0]",
)
@click.option(
    "--length",
    type=click.FloatRange(0, min_open=True),
    metavar="T",
    help="How much to draw, in seconds (--fps) or quarter notes.  [default: to the end]",
)
@click.option(
    "--beats-per-bar",
    type=click.FloatRange(1 / 64, 1024),
    metavar="N",
    help="Quarter notes from bar line to bar line.  [default: those of the piece's first time signature]",
)
@fps_option
@steps_per_beat_option
@drums_option
@sustain_option
@no_align_option
@selection_options
@quiet_option
def plot(
    paths: tuple[str, ...],
    output: str | None,
    start: float,
    length: float | None,
    beats_per_bar: float | None,
    fps: str | None,
    steps_per_beat: str | None,
    drums: bool,
    sustain: bool,
    no_align: bool,
    quiet: bool,
    **whose: Any,
) -> None:
    """Draw the piano roll of a MIDI file, or of a PIECE of a dataset, to PICTURE (.png).

    PIECE is a name, or a number, counted from 0, where no piece is called so; the grid and the notes kept are then
    those of the dataset.
    """
    source, *piece, picture = with_target(paths, output, "SOURCE [PIECE] PICTURE")
    from rollcore.show.plot import plot_roll

    source = fetch(source)
    if (found := _piece_of(source, piece)) is not None:
        if fps or steps_per_beat or drums or sustain or no_align or any(whose.values()):
            message = "the grid and whose notes are kept can be chosen for MIDI files; a dataset has its own"
            raise click.UsageError(message, click.get_current_context())
        dataset, index = found
        rows, grid, title = dataset.rows(index), dataset.grid, dataset.name(index)
        beats, value = dataset.bar(index)
        upbeat, voices = int(dataset.pieces["upbeat"][index]) / grid.rate, dataset.voices
    else:
        from rollcore.midi import read_midi
        from rollcore.roll import piano_roll

        grid, select = chosen_grid(fps, steps_per_beat), chosen_selection(whose)
        midi = read_midi(source)
        try:
            rows = piano_roll(midi, grid=grid, drums=drums, sustain=sustain, align=not no_align, select=select)
            kept = _kept(midi, select, drums=drums)
        except RollcoreError as error:
            raise RollcoreError(f"{source}: {error}") from error
        title = os.path.basename(source)
        opening = kept.opening(drums=True)
        voices = tuple(name for name, _ in select.voices)
        (beats, value), upbeat = opening.time_signature or (4, 4), opening.upbeat
    bar = 4 * beats / value if beats_per_bar is None else beats_per_bar
    shown = printable(title)
    with published(picture) as local:
        plot_roll(
            rows, grid, local, title=shown, start=start, length=length, beats_per_bar=bar, upbeat=upbeat, voices=voices
        )
    if not quiet:
        click.echo(f"{printable(picture)}: {printable(title)}, {grid}")


@click.command(context_settings=CONTEXT)
@click.argument("paths", nargs=-1, metavar="SOURCE [PIECE] SOUND")
@output_option("SOUND", "The sound to write")
@selection_options
@quiet_option
def render(paths: tuple[str, ...], output: str | None, quiet: bool, **whose: Any) -> None:
    """Write what a MIDI file, or a PIECE of a dataset, sounds like to SOUND (.wav).

    A plain struck string for every note, whatever the instrument, and no pedals. PIECE is as for `rollcore plot`; on
    the grid of music it has the tempo it began with.
    """
    source, *piece, sound = with_target(paths, output, "SOURCE [PIECE] SOUND")
    from rollcore.midi import read_midi
    from rollcore.roll import SHORTEST_BEAT, midi_from_roll
    from rollcore.show.sound import write_wav

    source = fetch(source)
    try:
        select = chosen_selection(whose)
        if (found := _piece_of(source, piece)) is not None:
            if any(whose.values()):
                message = "whose notes are heard can be chosen for MIDI files; a dataset has its own"
                raise click.UsageError(message, click.get_current_context())
            dataset, index = found
            title, tempo = dataset.name(index), max(int(dataset.pieces["tempo"][index]), SHORTEST_BEAT)
            midi = midi_from_roll(dataset.rows(index), grid=dataset.grid, tempo=tempo)
        else:
            title, midi = os.path.basename(source), _kept(read_midi(source), select)
        with published(sound) as local:
            write_wav(midi, local)
    except RollcoreError as error:
        if str(error).startswith((f"{source}: ", f"{sound}: ")):
            raise
        raise RollcoreError(f"{source}: {error}") from error
    if not quiet:
        click.echo(f"{printable(sound)}: {printable(title)}")


def _kept(midi: Midi, select: Selection, *, drums: bool = True) -> Midi:
    """Return a piece with the notes that are kept; that a selection matches none of its notes is an error."""
    kept = select.kept(midi, drums=drums)
    if select.of_notes and len(midi.notes) and not len(kept.notes):
        raise RollcoreError("no notes but those that were not asked for; `rollcore info` lists its tracks")
    return kept


def _piece_of(source: str, piece: list[str]) -> tuple[Dataset, int] | None:
    """Find the piece of a dataset; None where the source is a MIDI file."""
    if not piece and not _is_hdf5(source):
        return None
    from rollcore.dataset import open_dataset

    if not piece:
        raise click.UsageError(f"{source} is a dataset: say which PIECE", click.get_current_context())
    dataset = open_dataset(source)
    return dataset, dataset.find(piece[0])


def _is_hdf5(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
    except OSError as error:
        raise RollcoreError(f"{path}: {error.strerror}; name a MIDI file or a dataset") from error
