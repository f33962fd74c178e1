"""What the presets make of forty songs: minutes, likelihood, and the music beside sixty songs that were not seen.

    python -m quality.presets --data ../shared/data nottingham:quick pop909:standard …

Of a hundred files spread over a folder of MIDI, forty are trained on, four of these for validation, and sixty are the
test split. Building, training and sampling are the commands with their defaults. What has been measured is kept in
quality/results/presets and not done again. ``python -m quality --report`` puts the table into docs/quality.md.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "presets"
CORPORA = ("nottingham", "pop909")
PRESETS = ("quick", "standard", "large")
FILES, PIECES, BARS = 100, 12, 64


def split_of(names: list[str]) -> dict[str, str]:
    """Return the split of each of a hundred names, spread evenly over those given in their order."""
    chosen = [names[len(names) * i // FILES] for i in range(FILES)]
    places = ("validation" if i % 25 == 0 else "train" if i % 5 in (0, 2) else "test" for i in range(FILES))
    return dict(zip(chosen, places, strict=True))


def measure(corpus: str, preset: str, midi: Path) -> dict[str, Any]:
    """Build, train and sample; return what that took and what came of it."""
    import rollcore
    from seq2seq import Generator, Request, Run
    from seq2seq.output.measures import dataset_pieces
    from seq2seq.run import VALIDATION
    from seq2seq.training.samples import compare_samples, drawn_pieces

    work = ROOT / "build" / "presets"
    work.mkdir(parents=True, exist_ok=True)
    data, run_dir = work / f"{corpus}.h5", work / f"{corpus}-{preset}"
    names = sorted(str(path.relative_to(midi / corpus)) for path in (midi / corpus).rglob("*.mid"))
    rollcore.build_dataset(midi / corpus, data, split=split_of(names))
    before = _children()
    command = [sys.executable, "-m", "seq2seq", "train", data, "-o", run_dir, "--preset", preset, "--overwrite"]
    subprocess.run(list(map(str, command)), check=True)
    cpu_minutes = (_children() - before) / 60
    told = subprocess.run(
        [sys.executable, "-m", "seq2seq", "evaluate", str(run_dir), "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    dataset, run = rollcore.open_dataset(data), Run.open(run_dir)
    generator = Generator.load(run_dir)
    real, training = (dataset_pieces(dataset, dataset.split(name)) for name in ("test", "train"))
    drawn = drawn_pieces(generator, Request(bars=BARS, num_outputs=PIECES))
    return {
        "corpus": corpus,
        "preset": preset,
        "epochs": run.settings.epochs,
        "cpu_minutes": round(cpu_minutes, 1),
        "validation": min(row[VALIDATION] for row in run.history()),
        "test": json.loads(told.stdout)["scores"]["model"]["nats_per_frame"],
        "samples": compare_samples(drawn, real, training),
    }


def _children() -> float:
    """Return the processor time of the processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[CORPUS:PRESET]...")
@click.option("--data", default=lambda: os.environ.get("ROLLCORE_DATA", "../shared/data"), show_default=False)
def main(names: tuple[str, ...], data: str) -> None:
    """Run what is asked for, or all."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    known = [f"{corpus}:{preset}" for corpus in CORPORA for preset in PRESETS]
    for name in names or known:
        if name not in known:
            raise click.UsageError(f"no run {name}: choose from {', '.join(known)}")
        corpus, preset = name.split(":")
        path = RESULTS / f"{corpus}-{preset}.json"
        if path.exists():
            continue
        print(f"== {name}", flush=True)
        result = measure(corpus, preset, Path(data) / "midi")
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"   {result['cpu_minutes']:.1f} CPU minutes", flush=True)


if __name__ == "__main__":
    main()
