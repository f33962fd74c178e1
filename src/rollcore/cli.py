"""The rollcore command: MIDI files to piano-roll datasets, and looking into them."""

# Only click is imported up here: `rollcore --help` is to appear at once.
from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from rollcore import __version__
from rollcore.console import Progress, end_process, import_quickly, printable, run_command
from rollcore.errors import RollcoreError

if TYPE_CHECKING:
    from rollcore.dataset import Dataset
    from rollcore.grid import Grid

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 (bad data), 2 (bad usage) or 130 (interrupted)."""
    return run_command(cli, argv, "rollcore")


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="rollcore %(version)s")
def cli() -> None:
    """Hold the commands."""


@contextlib.contextmanager
def _usage() -> Iterator[None]:
    """Report what the library says of an option as bad usage."""
    try:
        yield
    except RollcoreError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error


def _grid(fps: str | None, steps_per_beat: str | None) -> Grid:
    from rollcore.grid import choose_grid

    with _usage():
        return choose_grid(fps, steps_per_beat)


_fps = click.option("--fps", metavar="RATE", help="Grid of seconds: frames per second.  [default: 50]")
_steps_per_beat = click.option("--steps-per-beat", metavar="N", help="Grid of music: steps per quarter note.")
_drums = click.option("--drums", is_flag=True, help="Keep channel 10.")
_sustain = click.option("--sustain", is_flag=True, help="Let notes ring while the sustain pedal is down.")
_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@cli.command("make-chords", short_help="Write the sample pack of 156 MIDI files.")
@click.argument("folder")
def make_chords(folder: str) -> None:
    """Write the sample pack to FOLDER: 156 MIDI files, 12 keys by 13 scales."""
    from rollcore.sources.chords import make_chords as make

    paths = make(folder)
    click.echo(
        f"{len(paths)} MIDI files in {printable(folder)}; next: rollcore build-dataset {printable(folder)} out.h5"
    )


def _split(context: click.Context, option: click.Parameter, value: str) -> tuple[int, int, int] | dict[str, str]:
    if value.startswith("@"):
        return _named_split(value)
    try:
        train, validation, test = (int(share) for share in value.split("/"))
    except ValueError:
        raise click.BadParameter("three whole numbers such as 80/10/10, or @splits.csv", context, option) from None
    return train, validation, test


def _named_split(source: str) -> dict[str, str]:
    """Read lines of a file's name, a comma and its split."""
    import csv

    found: dict[str, str] = {}
    try:
        with open(source[1:], newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = csv.reader(file)
            for row in filter(None, lines):
                row = [cell.strip() for cell in row]
                if len(row) != 2 or row[1] not in ("train", "validation", "test"):
                    where, shown = f"{source}: line {lines.line_num}", ",".join(row)[:80]
                    raise RollcoreError(
                        f"{where}: expected the name of a file, a comma and train, validation or test; found {shown!r}"
                    )
                if found.setdefault(*row) != row[1]:
                    raise RollcoreError(f"{source}: line {lines.line_num}: {row[0]} is in another split already")
    except (OSError, csv.Error) as error:
        raise RollcoreError(f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return found


@cli.command("build-dataset", short_help="Read MIDI files into a dataset.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.argument("out")
@_fps
@_steps_per_beat
@click.option(
    "--planes",
    default="sounding",
    metavar="PLANES",
    show_default=True,
    help="sounding, or sounding,onset: with onsets a repeated note is not a held one.",
)
@_drums
@_sustain
@click.option("--max-minutes", type=float, metavar="M", help="Skip longer pieces.  [default: 480]")
@click.option(
    "--split",
    default="80/10/10",
    metavar="A/B/C|@FILE",
    show_default=True,
    callback=_split,
    help="Shares of train, validation and test; a piece's place depends on its content alone. Or a file with a line "
    "for each piece: its name, a comma, and train, validation or test.",
)
@click.option("--dedupe", is_flag=True, help="Keep one of each set of files with identical content.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="[default: one for each core]")
def build_dataset(
    inputs: tuple[str, ...],
    out: str,
    fps: str | None,
    steps_per_beat: str | None,
    planes: str,
    drums: bool,
    sustain: bool,
    max_minutes: float | None,
    split: tuple[int, int, int] | dict[str, str],
    dedupe: bool,
    threads: int | None,
) -> None:
    """Read MIDI files and write the dataset OUT.

    INPUT is a folder, a MIDI file, an archive (.zip, or .tar, plain or with .gz, .bz2, .xz or .zst), @list.txt
    with one path a line, or - for such a list on standard input.
    """
    # Importing NumPy starts a thread of OpenBLAS for each core, which all spin while the first files are to be read.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import_quickly("rollcore.build")
    from rollcore.build import build_dataset as build
    from rollcore.build import check_split
    from rollcore.grid import MAX_MINUTES
    from rollcore.roll import check_planes

    grid = _grid(fps, steps_per_beat)
    longest = MAX_MINUTES if max_minutes is None else max_minutes
    with _usage():
        chosen = check_planes([plane.strip() for plane in planes.split(",")])
        grid.limits(longest)
        check_split(split)
    with Progress("files") as progress:
        report = build(
            list(inputs),
            out,
            fps=fps,
            steps_per_beat=steps_per_beat,
            planes=chosen,
            drums=drums,
            sustain=sustain,
            max_minutes=longest,
            split=split,
            dedupe=dedupe,
            threads=threads,
            progress=lambda files, frames: progress(files, f"{frames:,} frames"),
        )
    for line in str(report).split("\n"):
        click.echo(printable(line))


@cli.command(short_help="Show what is inside a dataset.")
@click.argument("dataset")
@_json
def info(dataset: str, as_json: bool) -> None:
    """Show what is inside DATASET."""
    from rollcore.dataset import open_dataset
    from rollcore.show.summary import dataset_facts, dataset_lines

    opened = open_dataset(dataset)
    if as_json:
        click.echo(json.dumps(dataset_facts(opened), indent=2))
        return
    for line in dataset_lines(opened):
        click.echo(line)
    click.echo("\nrollcore report lists the files, rollcore plot draws a piece, rollcore verify checks them all")


@cli.command(short_help="List the files a dataset was built from, by outcome.")
@click.argument("dataset")
@_json
def report(dataset: str, as_json: bool) -> None:
    """List the files DATASET was built from by outcome: skipped and why, repaired and how, read as they are."""
    from rollcore.dataset import open_dataset
    from rollcore.show.summary import file_outcomes, outcome_lines

    listed = file_outcomes(open_dataset(dataset))
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    for line in outcome_lines(listed):
        click.echo(line)


@cli.command(short_help="Check a dataset against its checksums.")
@click.argument("dataset")
def verify(dataset: str) -> None:
    """Compare every table and shard of DATASET with its checksum, and name what is damaged."""
    from rollcore.dataset import open_dataset

    opened = open_dataset(dataset)
    damaged = opened.verify()
    for line in damaged:
        click.echo(line)
    if damaged:
        raise RollcoreError(f"{dataset}: {len(damaged)} of {len(opened.shards)} shards are damaged; build it again")
    click.echo(f"{printable(dataset)}: intact, {len(opened):,} pieces in {len(opened.shards):,} shards")


@cli.command(short_help="Draw the piano roll of a MIDI file or a piece.")
@click.argument("source")
@click.argument("piece", nargs=-1, metavar="[PIECE]")
@click.argument("picture")
@click.option("--start", type=click.FloatRange(0), default=0, metavar="T", help="Second, or beat, to begin at.")
@click.option(
    "--length",
    type=click.FloatRange(0, min_open=True),
    metavar="T",
    help="Seconds, or beats, to draw.  [default: to the end]",
)
@click.option(
    "--beats-per-bar",
    type=click.FloatRange(1 / 64, 1024),
    metavar="N",
    help="Quarter notes.  [default: as the piece begins]",
)
@_fps
@_steps_per_beat
@_drums
@_sustain
def plot(
    source: str,
    piece: tuple[str, ...],
    picture: str,
    start: float,
    length: float | None,
    beats_per_bar: float | None,
    fps: str | None,
    steps_per_beat: str | None,
    drums: bool,
    sustain: bool,
) -> None:
    """Draw the piano roll of a MIDI file, or of a PIECE of a dataset, to PICTURE (.png).

    PIECE is a name, or a number, counted from 0, where no piece is called so; the grid and the notes kept are then
    those of the dataset.
    """
    from rollcore.show.plot import plot_roll

    if (found := _piece_of(source, piece, "PICTURE")) is not None:
        if fps or steps_per_beat or drums or sustain:
            message = "--fps, --steps-per-beat, --drums and --sustain are for MIDI files; a dataset has its own"
            raise click.UsageError(message, click.get_current_context())
        dataset, index = found
        rows, grid, title = dataset.rows(index), dataset.grid, dataset.name(index)
        beats, value = dataset.bar(index)
        upbeat = int(dataset.pieces["upbeat"][index]) / grid.rate
    else:
        from rollcore.midi import read_midi
        from rollcore.roll import PLANES, piano_roll

        grid = _grid(fps, steps_per_beat)
        midi = read_midi(source)
        try:
            rows = piano_roll(midi, fps=fps, steps_per_beat=steps_per_beat, planes=PLANES, drums=drums, sustain=sustain)
        except RollcoreError as error:
            raise RollcoreError(f"{source}: {error}") from error
        title = os.path.basename(source)
        opening = midi.opening(drums=drums)
        (beats, value), upbeat = opening.time_signature or (4, 4), opening.upbeat
    bar = 4 * beats / value if beats_per_bar is None else beats_per_bar
    plot_roll(rows, grid, picture, title=printable(title), start=start, length=length, beats_per_bar=bar, upbeat=upbeat)
    click.echo(f"{printable(picture)}: {printable(title)}, {grid}")


@cli.command(short_help="Let a MIDI file or a piece be heard: a WAV file.")
@click.argument("source")
@click.argument("piece", nargs=-1, metavar="[PIECE]")
@click.argument("sound")
def render(source: str, piece: tuple[str, ...], sound: str) -> None:
    """Write what a MIDI file, or a PIECE of a dataset, sounds like to SOUND (.wav).

    A plain struck string for every note, whatever the instrument, and no pedals. PIECE is as for `rollcore plot`; on
    the grid of music it has the tempo it began with.
    """
    from rollcore.midi import read_midi
    from rollcore.roll import SHORTEST_BEAT, midi_from_roll
    from rollcore.show.sound import write_wav

    try:
        if (found := _piece_of(source, piece, "SOUND")) is not None:
            dataset, index = found
            title, tempo = dataset.name(index), max(int(dataset.pieces["tempo"][index]), SHORTEST_BEAT)
            midi = midi_from_roll(dataset.rows(index), grid=dataset.grid, tempo=tempo)
        else:
            title, midi = os.path.basename(source), read_midi(source)
        write_wav(midi, sound)
    except RollcoreError as error:
        if str(error).startswith((f"{source}: ", f"{sound}: ")):
            raise
        raise RollcoreError(f"{source}: {error}") from error
    click.echo(f"{printable(sound)}: {printable(title)}")


def _piece_of(source: str, piece: tuple[str, ...], target: str) -> tuple[Dataset, int] | None:
    """Find the piece of a dataset; None where the source is a MIDI file."""
    context = click.get_current_context()
    if len(piece) > 1:
        raise click.UsageError(f"too many arguments: expected SOURCE [PIECE] {target}", context)
    if not piece and not _is_hdf5(source):
        return None
    from rollcore.dataset import open_dataset

    if not piece:
        raise click.UsageError(f"{source} is a dataset: say which PIECE", context)
    dataset = open_dataset(source)
    return dataset, dataset.find(piece[0])


def _is_hdf5(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
    except OSError as error:
        raise RollcoreError(f"{path}: {error.strerror}; name a MIDI file or a dataset") from error


@cli.command("import-mat", short_help="Make a dataset of a standard .mat file.")
@click.argument("mat")
@click.argument("out")
@click.option("--steps-per-beat", metavar="N", help="Rows of a quarter note; known for the four standard files.")
def import_mat(mat: str, out: str, steps_per_beat: str | None) -> None:
    """Write the dataset OUT from MAT: JSB_Chorales, Nottingham, MuseData or Piano_midi .mat, with their splits."""
    from rollcore.sources.matfile import import_mat as convert

    if steps_per_beat is not None:
        _grid(None, steps_per_beat)
    count = convert(mat, out, steps_per_beat=steps_per_beat)
    click.echo(f"{count:,} pieces in {printable(out)}; next: rollcore info {printable(out)}")


def command() -> NoReturn:
    """Be the command of the process."""
    end_process(main())


if __name__ == "__main__":
    raise SystemExit(main())
