"""Make music with a trained model: a MIDI file, a picture and a sound of each piece, and a page with all of them.

MODEL is a run folder, a file such as model.safetensors, or a model that comes with the package. The music continues a
primer: a MIDI file, a piece of the dataset, or a chord. Without a primer the model begins by itself.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from rollcore import RollcoreError
from rollcore.console import Progress, printable
from rollcore.storage import fetch, is_remote, published
from seq2seq.cli.options import CONTEXT
from seq2seq.errors import ConfigError

if TYPE_CHECKING:
    from seq2seq.output.composition import Composition
    from seq2seq.output.export import Exported


def _time_signature(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,2})/(1|2|4|8|16|32)", value)
    if match is None or int(match[1]) < 1:
        raise click.BadParameter(f"{value!r} is not a time signature such as 4/4 or 6/8")
    return int(match[1]), int(match[2])


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("model", metavar="MODEL")
@click.option(
    "-o",
    "--output",
    "--output-dir",
    "output_dir",
    default="generated",
    show_default=True,
    metavar="DIR",
    help="The folder of the files.",
)
@click.option("--bars", type=int, metavar="N", help="End after N bars.  [default: where the piece or the melody ends]")
@click.option("--seconds", type=float, metavar="S", help="Cut the new music off after S seconds.")
@click.option("--frames", "--steps", type=int, metavar="N", help="Cut the new music off after N frames.")
@click.option("--num-outputs", type=int, default=1, show_default=True, metavar="N", help="Pieces to make.")
@click.option(
    "--candidates",
    type=int,
    metavar="K",
    help="Draw K for each piece and keep the best.  [default: 4 where it ends by itself, 8 with --bars, else 1]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same files.")
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    show_default=True,
    help="Below 1 for less variety; 0: always the likeliest.",
)
@click.option(
    "--phrasing/--no-phrasing",
    default=True,
    show_default=True,
    help="Let phrases return as they do in the training data; for models with an echo.",
)
@click.option(
    "--part-writing/--no-part-writing",
    default=True,
    show_default=True,
    help="Whether music in parts avoids parallels, wide leaps and notes out of range as the training data do.",
)
@click.option(
    "--top-p",
    type=float,
    default=1.0,
    show_default=True,
    metavar="P",
    help="Rule out what is less likely than 1 - P.",
)
@click.option("--primer", metavar="FILE|PIECE", help="A MIDI file, or a piece of the dataset by name or number.")
@click.option("--primer-pitches", metavar="NOTES", help='A chord to go on from, such as "C4 E4 G4".')
@click.option(
    "--primer-frames", "--primer-steps", type=int, metavar="N", help="Continue the first N frames of the primer."
)
@click.option("--include-primer/--no-include-primer", help="Write the primer to the files, too.")
@click.option(
    "--tempo",
    "tempo_bpm",
    type=float,
    metavar="BPM",
    help="Quarter notes per minute.  [default: as the melody, the primer or the training data]",
)
@click.option(
    "--time-signature",
    metavar="N/M",
    callback=_time_signature,
    help="Time signature, such as 3/4.  [default: as the melody, the primer or the training data]",
)
@click.option("--scale", metavar="SCALE", help='Keep to a scale, such as Am or "D dorian".')
@click.option("--pitch-range", metavar="LOW:HIGH", help="Keep between two pitches, such as C2:C6.")
@click.option("--max-polyphony", type=int, metavar="N", help="Play at most N notes at once.")
@click.option("--harmonize", "melody", metavar="FILE", help="Keep the melody of a MIDI file and play around it.")
@click.option("--hold", metavar="VOICE", help="Which voice of the model the melody of --harmonize is.")
@click.option("--flat", is_flag=True, help="Give all notes one velocity.")
@click.option("--data", metavar="FILE", help="The dataset that PIECE is of.  [default: that of the training]")
@click.option("--json", "as_json", is_flag=True, help="Print files and figures as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def cli(model: str, output_dir: str, data: str | None, as_json: bool, quiet: bool, **options: Any) -> int:
    """Make music."""
    from seq2seq.run import make_folder
    from seq2seq.sampling.generator import Generator
    from seq2seq.sampling.request import Request

    options |= {name: fetch(options[name]) for name in ("primer", "melody") if options[name] is not None}
    try:
        request = Request(**options)
        generator = Generator.load(fetch(model), data)
        if not is_remote(output_dir):
            make_folder(output_dir)  # what cannot be written is told before anything is drawn
        with Progress("frames") as shown:
            compositions = generator.compose(
                request, progress=None if quiet else lambda done, of: shown(done, f"{of:,} in all")
            )
    except ConfigError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    with published(output_dir, quiet=quiet) as folder:
        exported = generator.export(compositions, folder)
    if as_json:
        click.echo(json.dumps(_plain(compositions, exported), indent=2).replace(folder, output_dir))
    elif not quiet:
        _report(compositions, exported, lambda text: printable(text.replace(folder, output_dir)))
    degenerate = [one.degenerate for one in compositions if one.degenerate is not None]
    if len(degenerate) == len(compositions):
        other = "another seed" if request.temperature > 0 else "a temperature above 0"
        raise RollcoreError(f"no output is music ({degenerate[0]}): try {other}, or train for longer")
    return 0


def _report(compositions: list[Composition], exported: Exported, shown: Callable[[str], str]) -> None:
    """Print what was made: figures beside those of the training data, then files, whose names *shown* words."""
    from seq2seq.output.composition import figure_columns
    from seq2seq.output.figures import table

    figures = table(figure_columns(compositions), compositions[0].unit)
    click.echo(f"primer: {printable(compositions[0].primer)}\n\n{figures}\n")
    for composition, files in zip(compositions, exported.files, strict=True):
        names = [str(file) for file in (files.midi, files.picture, files.sound) if file is not None]
        if files.picture is None:
            names.append("no picture: pip install 'rollcore[plot]'")
        click.echo(shown(f"{composition.number}: {', '.join(names)}"))
        for remark in composition.remarks():
            click.echo(f"{composition.number}: {remark}")
    click.echo(shown(f"all to see and hear: {exported.page}"))


def _plain(compositions: list[Composition], exported: Exported) -> dict[str, Any]:
    """Return what was made as JSON holds it."""
    outputs = [
        {
            "midi": str(files.midi),
            "picture": None if files.picture is None else str(files.picture),
            "sound": None if files.sound is None else str(files.sound),
            "degenerate": composition.degenerate,
            "figures": dataclasses.asdict(composition.figures),
        }
        for composition, files in zip(compositions, exported.files, strict=True)
    ]
    first = compositions[0]
    kept = {"primer": first.primer, "unit": first.unit, "page": str(exported.page), "outputs": outputs}
    return {**kept, "training": dataclasses.asdict(first.training)}
