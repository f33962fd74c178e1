"""Let a trained model make music: a MIDI file, a picture and a sound for each output, and a page of all.

The music goes on from a primer: a MIDI file, the opening of a piece of the dataset, or a chord; without one, the
opening of a piece that is drawn from the validation split. Length means length: exactly so many steps or seconds.
The same seed gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import click

from rollcore import RollcoreError
from rollcore.console import Progress, printable
from seq2seq.cli.options import CONTEXT
from seq2seq.errors import ConfigError
from seq2seq.run import Run
from seq2seq.sampling.generator import Generated, figures_text, generate, remarks
from seq2seq.training.startup import import_keras


def _metre(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,2})/(1|2|4|8|16|32)", value)
    if match is None or int(match[1]) < 1:
        raise click.BadParameter(f"{value!r} is not a time signature such as 4/4 or 6/8")
    return int(match[1]), int(match[2])


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("run_dir", metavar="RUN")
@click.option("--output-dir", default="generated", show_default=True, metavar="DIR")
@click.option("--seconds", type=float, help="Length of the new music.  [default: 30, or the melody's]")
@click.option("--steps", type=int, help="Length of the new music in frames instead.")
@click.option(
    "--num-outputs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="All in one batch; at temperature 0 all alike.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="0 takes what is likeliest.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="0.9: nothing of probability under 0.1.")
@click.option("--primer", metavar="FILE|PIECE", help="A MIDI file, or a piece of the dataset by name or number.")
@click.option("--primer-pitches", metavar="NOTES", help='A chord to go on from, such as "C4 E4 G4".')
@click.option("--primer-steps", type=int, metavar="N", help="Use the primer's first N frames.")
@click.option("--include-primer/--no-include-primer", help="Whether the files begin with the primer.")
@click.option("--tempo", type=float, metavar="BPM", help="[default: that of melody or primer, else 120]")
@click.option(
    "--time-signature",
    metavar="N/M",
    callback=_metre,
    help="Bars of the score.  [default: those of melody or primer, else 4/4]",
)
@click.option("--scale", metavar="SCALE", help='Keep to a scale, such as "A minor" or "D dorian".')
@click.option("--pitch-range", metavar="LOW:HIGH", help="Keep between two pitches, such as C2:C6.")
@click.option("--max-polyphony", type=int, metavar="N", help="At most N notes at once.")
@click.option("--harmonize", metavar="FILE", help="Hold the melody of a MIDI file and play around it.")
@click.option("--data", metavar="FILE", help="The dataset, if not where it was at the training.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def cli(run_dir: str, as_json: bool, **options: Any) -> int:
    """Make music."""
    Run.open(run_dir)  # a wrong folder shows at once
    import_keras()
    try:
        with Progress("frames") as shown:
            made = generate(run_dir, **options, progress=lambda done, of: shown(done, f"{of:,} in all"))
    except (ValueError, ConfigError) as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    if as_json:
        click.echo(json.dumps(_plain(made), indent=2))
    else:
        _report(made)
    failed = [output for output in made.outputs if output.degenerate is not None]
    if len(failed) == len(made.outputs):
        other = "another seed" if options["temperature"] > 0 else "a temperature above 0"
        raise RollcoreError(f"no output is music ({failed[0].degenerate}): try {other}, or train for longer")
    return 0


def _report(made: Generated) -> None:
    """Print what was made: figures beside those of the training data, then files."""
    click.echo(f"going on from {printable(made.primer)}\n\n{figures_text(made)}\n")
    for number, output in enumerate(made.outputs, start=1):
        files = [str(file) for file in (output.midi, output.picture, output.sound) if file is not None]
        if output.picture is None:
            files.append("no picture: pip install 'rollcore[plot]'")
        click.echo(printable(f"{number}: {', '.join(files)}"))
        for remark in remarks(output, made):
            click.echo(f"{number}: {remark}")
    click.echo(printable(f"all to see and hear: {made.page}"))
    if not made.trained_on_it:
        click.echo("the dataset is not that of the training: it was built anew, or --data names another")
    if made.training is None:
        click.echo("no figures of the training data: its dataset is gone or replaced (--data names another place)")


def _plain(made: Generated) -> dict[str, Any]:
    """Return what was made as JSON holds it."""
    outputs = [
        {
            "midi": str(output.midi),
            "picture": None if output.picture is None else str(output.picture),
            "sound": None if output.sound is None else str(output.sound),
            "degenerate": output.degenerate,
            "figures": dataclasses.asdict(output.figures),
        }
        for output in made.outputs
    ]
    training = None if made.training is None else dataclasses.asdict(made.training)
    kept = {"primer": made.primer, "unit": made.unit, "page": str(made.page), "outputs": outputs}
    return {**kept, "training": training, "trained_on_it": made.trained_on_it}
