"""Make the models that come with the package, again from nothing: corpus, dataset, training, weights, card.

    pip install music21 && python -m quality.shipped chorales

The corpora, datasets and runs lie in build/shipped; what is there is not made again, and a training that was
interrupted goes on from its last epoch. Every recipe runs on one thread. Weights and card go to src/seq2seq/shipped.
With --renew nothing is trained: the weights that are there are kept, and so is their likelihood on the card. What is
stored of the training data beside them, and the music on the card, are made anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]

SHIPPED = ROOT / "src" / "seq2seq" / "shipped"
SAMPLES = 12

# The chorales move in eighths: two steps a beat. A beat position of more than four bars would help to learn them by
# heart. The tunes are written out with their repeats, and go on for longer than a window: hence lags and echo.
RECIPES: dict[str, dict[str, Any]] = {
    "chorales": {
        "steps_per_beat": 2,
        "model": {
            "units": 64,
            "dropout": 0.3,
            "head_dropout": 0.3,
            "input_frames": 16,
            "target_frames": 64,
            "lags": (),
            "low": 34,
            "high": 84,
            "periods": (2, 4, 8, 16, 3, 6, 12),
        },
        "train": {"epochs": 10, "batch_size": 4, "learning_rate": 4e-3, "transpose": 6, "ema": 0.998},
    },
    "folk": {
        "steps_per_beat": 4,
        "model": {"units": 48, "dropout": 0.05, "input_frames": 32, "target_frames": 128, "low": 53, "high": 90},
        "train": {"epochs": 3, "batch_size": 6, "learning_rate": 5e-3, "transpose": 3},
        # Beside 24 of its own: bars again after 8 are 0.55 of all, of the training tunes 0.47; with the default 0.66.
        "cool": 1.0,
    },
    # As in demo.sh. The pack is in all keys: nothing needs to be transposed.
    "chords": {
        "steps_per_beat": 4,
        "model": {"units": 48, "input_frames": 32, "target_frames": 64},
        "train": {"epochs": 4, "batch_size": 4, "learning_rate": 5e-3, "transpose": 0},
    },
}


def corpus(name: str, work: Path) -> Path:
    """Make the MIDI files and the dataset of a recipe where they are not made yet; return the dataset."""
    import rollcore

    recipe = RECIPES[name]
    midi, data = work / name / "midi", work / name / f"{name}.h5"
    if not midi.exists() and name == "chords":
        rollcore.make_chords(midi)
    elif not midi.exists():
        subprocess.run([sys.executable, "-m", "quality.corpora", name, str(midi)], check=True, cwd=ROOT)
    if not data.exists():
        rollcore.build_dataset(
            midi, data, steps_per_beat=recipe["steps_per_beat"], planes=("sounding", "onset"), dedupe=True
        )
    return data


def make(name: str, work: Path) -> None:
    """Make what is not made yet of a recipe: MIDI files, dataset, run; then weights and card."""
    import rollcore
    from seq2seq.models.architectures import load_model
    from seq2seq.models.config import TrainConfig
    from seq2seq.models.weights import write_weights
    from seq2seq.run import Run
    from seq2seq.training.evaluation import evaluate
    from seq2seq.training.fit import train
    from seq2seq.training.presets import model_config

    recipe, data, run_dir = RECIPES[name], corpus(name, work), work / name / "run"
    done = json.loads((run_dir / "done.json").read_text()) if (run_dir / "done.json").exists() else None
    if done is None:
        config = model_config(rollcore.open_dataset(data), **recipe["model"])
        resume = (run_dir / "last.keras").exists()
        done = train(data, run_dir, config, TrainConfig(**recipe["train"]), resume=resume, samples=0)
        if done["interrupted"]:
            raise click.Abort
        (run_dir / "done.json").write_text(json.dumps({"parameters": done["parameters"]}))
    run = Run.open(run_dir)
    SHIPPED.mkdir(exist_ok=True)
    weights = SHIPPED / f"{name}.safetensors"
    write_weights(load_model(run.best_model, run.config), weights, stored(name, data))
    scores = evaluate(run_dir, data)["scores"]
    card(name, data, done["parameters"], {key: scores[key]["nats_per_frame"] for key in ("model", "markov")})


def renew(name: str, work: Path) -> None:
    """Keep the weights of a model; make what is stored of its training data, and its card, anew."""
    from quality.cards import read_scores

    from seq2seq.models.weights import read_weights, save_weights

    data, weights = corpus(name, work), SHIPPED / f"{name}.safetensors"
    config, arrays, _ = read_weights(weights)
    parameters, scores = read_scores(SHIPPED / f"{name}.md")
    save_weights(config, arrays, weights, stored(name, data))
    card(name, data, parameters, scores)


def stored(name: str, data: Path) -> dict[str, Any]:
    """Return what is stored of the training data with the weights, and how it is sampled from."""
    import rollcore
    from seq2seq.sampling.corpus import Corpus

    corpus = Corpus.of(rollcore.open_dataset(data))
    return replace(corpus, cool=RECIPES[name].get("cool")).to_dict()


def card(name: str, data: Path, parameters: int, scores: dict[str, float]) -> None:
    """Write the card of a model whose weights are in their place: the music that it makes, beside its dataset."""
    from quality.cards import write_card

    import rollcore
    from seq2seq.training.samples import evaluate_samples

    dataset, weights = rollcore.open_dataset(data), SHIPPED / f"{name}.safetensors"
    facts = {
        "pieces": [len(dataset.split(split)) for split in ("train", "validation", "test")],
        "parameters": parameters,
        "kilobytes": weights.stat().st_size // 1000,
        "scores": scores,
        "compared": evaluate_samples(SAMPLES, weights, data),
        "recipe": RECIPES[name],
    }
    if name == "chorales":
        facts["harmony"] = harmonize(weights, dataset, data.parent / "midi")
    write_card(name, facts, SHIPPED / f"{name}.md")


def harmonize(weights: Path, dataset: Any, midi: Path) -> dict[str, dict[str, float]]:
    """Return what voice leading the model gives to the sopranos of the test split and to music from nothing.

    Bach's own settings of the same sopranos stand beside it.
    """
    from quality.voices import voice_leading

    import rollcore
    from seq2seq.output.measures import dataset_pieces, piece_of
    from seq2seq.sampling.generator import Generator
    from seq2seq.sampling.request import Request

    generator, chosen = Generator.load(weights), dataset.split("test")
    made = []
    for number in chosen:
        piece = rollcore.read_midi(midi / dataset.name(int(number)))
        soprano = rollcore.Midi.from_notes(
            piece.notes[piece.notes["track"] == 1],
            ticks_per_beat=piece.ticks_per_beat,
            tempos=piece.tempos,
            time_signatures=piece.time_signatures,
        )
        made += generator.compose(Request(melody=soprano))
    free = generator.compose(Request(num_outputs=len(chosen)))
    rate, planes = float(dataset.grid.rate), dataset.planes
    drawn, nothing = ([piece_of(one.name, one.rows, planes, rate) for one in side] for side in (made, free))
    sides = {"harmonised": drawn, "from nothing": nothing, "Bach": dataset_pieces(dataset, chosen)}
    return {
        side: voice_leading(piece.sounding for piece in pieces)
        | {"endings with one pitch class in soprano and bass": home_endings(pieces)}
        for side, pieces in sides.items()
    }


def home_endings(pieces: Sequence[Any]) -> float:
    """Return the share of pieces whose last chord has one pitch class in its highest and its lowest voice."""
    last = [np.flatnonzero(piece.sounding[np.flatnonzero(piece.sounding.any(axis=1))[-1]]) for piece in pieces]
    return float(np.mean([(chord[-1] - chord[0]) % 12 == 0 for chord in last]))


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(tuple(RECIPES)), metavar="[NAME]...")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=ROOT / "build" / "shipped")
@click.option("--renew", "only_renew", is_flag=True, help="Keep the weights; make the rest anew.")
def main(names: tuple[str, ...], work: Path, only_renew: bool) -> None:
    """Make the models."""
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in names or tuple(RECIPES):
        print(f"== {name}", flush=True)
        (renew if only_renew else make)(name, work)


if __name__ == "__main__":
    main()
