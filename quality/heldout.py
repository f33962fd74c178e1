"""Music of the default settings beside tunes that the model never saw.

    python -m quality.heldout FOLDER WORK [OPTION …]

Of the MIDI files of FOLDER, sorted by name, the first, third and so on are built and trained on with the default
settings, but for OPTIONs of ``seq2seq train``; the others are the reference. Twelve pieces of 64 bars are compared with
it, and 24 that end by themselves for their endings. WORK receives the dataset, the run, and heldout.json; a run that is
there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rollcore import open_dataset
from seq2seq import Generator, Request
from seq2seq.output.measures import Piece, dataset_pieces
from seq2seq.training.samples import compare_samples, drawn_pieces, read_folder, samples_table

ENDING = "last top note is the tonic"


def split_files(source: Path, work: Path) -> tuple[Path, Path]:
    """Copy every other MIDI file of *source* to ``work/train``, the rest to ``work/reference``; return both."""
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in (".mid", ".midi"))
    folders = work / "train", work / "reference"
    for number, folder in enumerate(folders):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in files[number::2]:
            shutil.copy(path, folder)
    return folders


def run_of(train: Path, work: Path, options: list[str]) -> tuple[Path, Path]:
    """Build *train* and train on it, by the commands and *options* of the second; return the dataset and the run."""
    data, run = work / "train.h5", work / "run"
    if not (run / "model.safetensors").exists():
        commands = (["rollcore", "build-dataset", train, data], ["seq2seq", "train", data, "-o", run, *options])
        for name, *arguments in commands:
            subprocess.run([sys.executable, "-m", name, *map(str, arguments)], check=True)
    return data, run


def check(run: Path, data: Path, real: list[Piece]) -> dict[str, Any]:
    """Return how music of *run* compares with real pieces; what was trained on is told from *data*."""
    dataset = open_dataset(data)
    training = dataset_pieces(dataset, dataset.split("train"))
    generator = Generator.load(run)
    found = compare_samples(drawn_pieces(generator, Request(bars=64, num_outputs=12)), real, training)
    ended = compare_samples(drawn_pieces(generator, Request(num_outputs=24)), real)
    return found | {"endings": ended["measures"][ENDING] | {"pieces": ended["samples"]}}


def main(argv: list[str] | None = None) -> int:
    """Run the check and print its table."""
    parser = argparse.ArgumentParser(prog="python -m quality.heldout", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="MIDI files")
    parser.add_argument("work", type=Path, help="where the dataset, the run and heldout.json go")
    parser.add_argument("training", nargs=argparse.REMAINDER, metavar="OPTION", help="an option of seq2seq train")
    options = parser.parse_args(argv)
    train, reference = split_files(options.folder, options.work)
    data, run = run_of(train, options.work, options.training)
    found = check(run, data, read_folder(reference))
    (options.work / "heldout.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(samples_table(found))
    endings = found["endings"]
    print(f"{endings['pieces']} pieces that end by themselves: the last top note is the tonic of", end=" ")
    print(f"{endings['samples']:.2f}, of the real ones of {endings['real']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
