"""Run folders as a training leaves them, without a training and without its models."""

import csv
import dataclasses
import json
import math

import rollcore
from seq2seq.models.config import ModelConfig, TrainConfig
from seq2seq.run import COLUMNS, TRAIN, VALIDATION, Run

NOTES = [(480 * k // 2, 480 * k // 2 + 200, 60 + (0, 4, 7, 12)[k % 4], 80, 0, 0) for k in range(64)]


def losses(epochs, best=1.8, above=0.1):
    """A history that falls from three times its best, the training loss a little below."""
    falling = [best * (1 + 2 * math.exp(-0.8 * epoch)) for epoch in range(1, epochs + 1)]
    return [(loss - above, loss) for loss in falling]


def write_run(folder, history=(), *, model=None, train=None, dataset="songs", samples=0, evaluation=None):
    """Write a run folder: *history* holds the training and the validation loss of each epoch."""
    folder.mkdir(parents=True)
    facts = {
        "model": ModelConfig(**(model or {})).to_dict(),
        "train": {**vars(TrainConfig()), **(train or {})},
        "dataset": {
            "path": f"/data/{dataset}.h5",
            "fingerprint": f"{sum(dataset.encode()):08x}" * 4,
            "grid": {"unit": "beats", "rate": "4"},
            "planes": ["sounding"],
            "options": {},
            "pieces": 100,
        },
        "versions": {"python": "3.11.7", "rollcore": "0.2.0", "keras": "3.12.0", "numpy": "2.0.0"},
        "began": "2026-01-02T03:04:05+00:00",
        "host": "example",
        "backend": "tensorflow",
        "device": "CPU",
        "command": "seq2seq train songs.h5",
        "commit": None,
    }
    (folder / "config.json").write_text(json.dumps(facts))
    with open(folder / "metrics.csv", "w", newline="") as file:
        lines = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        for epoch, (trained, validation) in enumerate(history, start=1):
            row = dict.fromkeys(COLUMNS, 0.5) | {"epoch": epoch, "seconds": 30}
            lines.writerow(row | {TRAIN: trained, VALIDATION: validation})
    if samples:
        (folder / "samples").mkdir()
    for number in range(1, samples + 1):
        rollcore.write_midi(rollcore.Midi.from_notes(NOTES), folder / "samples" / f"epoch-{number}.mid")
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return Run.open(folder)


def write_small_run(folder, history, *, data="a", test=None, **settings):
    """A run folder without a model: (train, validation) of each epoch."""
    dataset = {"path": f"{data}.h5", "fingerprint": data * 16, "options": {}, "planes": ["sounding"], "pieces": 1}
    facts = {
        "model": ModelConfig(model=settings.pop("model", "seq2seq"), head="bernoulli").to_dict(),
        "train": dataclasses.asdict(TrainConfig(**{"epochs": 3, **settings})),
        "dataset": {**dataset, "grid": {"unit": "beats", "rate": "4"}},
    }
    run = Run(folder, facts)
    rows = [(epoch, *pair, 60, 0.1, 0.5, 9, 0) for epoch, pair in enumerate(history, start=1)]
    lines = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    with run.alone():
        run.keep(lambda path: path.write_bytes(b""), lines, first=True)
    if test is not None:
        run.keep_evaluation({"scores": {"model": {"nats_per_frame": test, "f1": 1 / test}}})
    return run
