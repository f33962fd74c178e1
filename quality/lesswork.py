"""Train with less work and see what it costs: CPU seconds and validation loss of every epoch, on three corpora.

    python -m quality.lesswork --data ../shared/data folk:default folk:lean-4 …

``folk`` are the 240 tunes of midi/nottingham below the folder of data, ``jsb`` the chorales of rolls/JSB_Chorales.mat,
``pop909`` the 160 songs of midi/pop909, aligned.
What a run has finished is kept in quality/results/lesswork and not done again; a training that was interrupted goes on
from its last epoch. Every run is on one thread, and its measure is CPU time: building the model, updates, scoring and
saving. ``python -m quality --report`` puts the table into docs/quality.md.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "lesswork"

WIDE = {"input_frames": 32, "target_frames": 96}
LEAN = {**WIDE, "units": 48}
# What each run changes of a default of 20 epochs whatever the data: 64 units, two layers, 50 + 50 frames, batch 8.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {"epochs": 20}),
    "lean-4": (LEAN, {"epochs": 4, "batch_size": 4}),
    "varied-4": ({**LEAN, "varied": 2}, {"epochs": 4, "batch_size": 4}),
    "lean-10": (LEAN, {"epochs": 10, "batch_size": 4}),
    "wide-5": (WIDE, {"epochs": 5, "batch_size": 4}),
    "wide-8": (WIDE, {"epochs": 8, "batch_size": 4}),
    # The chorales have about sixty frames: longer targets are padding.
    "short-8": ({**LEAN, "target_frames": 60}, {"epochs": 8, "batch_size": 4}),
}
CORPORA = ("folk", "jsb", "pop909")
FOLDERS = {"folk": "nottingham", "pop909": "pop909"}


def run(corpus: str, name: str, seed: int, patience: int, source: Path) -> dict[str, Any]:
    """Train what is not trained yet, and return the result."""
    import keras

    import rollcore
    from seq2seq.models.config import TrainConfig
    from seq2seq.run import VALIDATION
    from seq2seq.training.fit import train
    from seq2seq.training.presets import model_config

    work = ROOT / "build" / "lesswork"
    work.mkdir(parents=True, exist_ok=True)
    data, run_dir = work / f"{corpus}.h5", work / f"{corpus}-{name}-{seed}"
    if not data.exists() and corpus in FOLDERS:
        rollcore.build_dataset(source / "midi" / FOLDERS[corpus], data, steps_per_beat=4, planes=("sounding", "onset"))
    elif not data.exists():
        rollcore.import_mat(source / "rolls" / "JSB_Chorales.mat", data)
    dataset = rollcore.open_dataset(data)
    model, settings = RUNS[name]
    config, train_config = model_config(dataset, **model), TrainConfig(**settings, seed=seed, patience=patience)
    clock = run_dir.with_suffix(".json")  # beside the run: the CPU seconds of each of its epochs
    resume = (run_dir / "last.keras").exists() and clock.exists()
    spent: list[float] = json.loads(clock.read_text()) if resume else []

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.began, self.before = time.process_time(), spent[-1] if spent else 0.0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            spent.append(round(self.before + time.process_time() - self.began, 1))
            clock.write_text(json.dumps(spent))

    done = train(data, run_dir, config, train_config, resume=resume, overwrite=True, callbacks=[Clock()], samples=0)
    if done["interrupted"]:
        raise click.Abort
    return {
        "corpus": corpus,
        "run": name,
        "seed": seed,
        "model": model,
        "train": settings,
        "parameters": done["parameters"],
        "cpu_s": spent,
        "nats": [round(row[VALIDATION], 4) for row in done["history"]],
    }


@click.command(help=__doc__)
@click.argument("names", nargs=-1, required=True, metavar="CORPUS:RUN...")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--patience", type=int, default=0, help="End a run after so many epochs that are no better.")
@click.option("--data", default=lambda: os.environ.get("ROLLCORE_DATA", "../shared/data"), show_default=False)
def main(names: tuple[str, ...], seed: int, patience: int, data: str) -> None:
    """Run what is asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    pairs = [tuple(name.split(":", 1)) for name in names]
    for pair in pairs:
        if len(pair) != 2 or pair[0] not in CORPORA or pair[1] not in RUNS:
            raise click.UsageError(f"no run {':'.join(pair)}: {':, '.join(CORPORA)}: and one of {', '.join(RUNS)}")
    for corpus, name in pairs:
        path = RESULTS / f"{corpus}-{name}-{seed}.json"
        if path.exists():
            continue
        print(f"== {path.stem}", flush=True)
        result = run(corpus, name, seed, patience, Path(data))
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"   {min(result['nats']):.4f} nats, {result['cpu_s'][-1]:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
