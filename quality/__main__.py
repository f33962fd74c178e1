"""Train the documented recipes on the standard datasets and the sample pack, evaluate them, write docs/quality.md.

    python -m quality --data ../shared/data/rolls [--seed N | --together 1,2,3] [RECIPE …]

What a recipe has finished is kept in quality/results/RECIPE.json and not done again; a training that was
interrupted goes on from its last epoch. The datasets and the runs lie in build/quality. Every recipe runs
on one thread. With another seed than 0, which has to name its recipes, the result is RECIPE-seed-N.json; what
several of these say together is scored with --together, and lies in quality/results/together.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import click
from quality.report import write_report

from rollcore import RollcoreError

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "quality"
RESULTS = Path(__file__).parent / "results"

FILES = {
    "jsb": "JSB_Chorales.mat",
    "nottingham": "Nottingham.mat",
    "piano-midi": "Piano_midi.mat",
    "musedata": "MuseData.mat",
}

# By which the logits of trainings together may be multiplied.
FACTORS = tuple(percent / 100 for percent in range(60, 121, 5))

# What differs between datasets: their length, their repetition, how soon a model overfits them. Where the range
# is given, it leaves out pitches that are so rare in training that their share of it costs under 0.02 nats.
MODEL: dict[str, dict[str, Any]] = {
    # A beat position that tells the frames of a chorale apart would help to learn them by heart: 16 beats at most.
    "jsb": {
        "units": 64,
        "dropout": 0.4,
        "head_dropout": 0.4,
        "input_frames": 16,
        "target_frames": 64,
        "lags": (),
        "echo": 4096,
        "low": 43,
        "high": 96,
        "periods": (2, 4, 8, 16),
    },
    # Written-out repeats: eight bars are 64 or 48 frames.
    "nottingham": {
        "units": 48,
        "dropout": 0.05,
        "input_frames": 64,
        "target_frames": 96,
        "lags": (16, 24, 32, 48, 64, 96),
        "echo": 4096,
        "low": 36,
        "high": 89,
    },
    "piano-midi": {
        "units": 64,
        "dropout": 0.05,
        "input_frames": 24,
        "target_frames": 48,
        "lags": (),
        "echo": 4096,
        "low": 24,
        "high": 103,
    },
    "musedata": {
        "units": 64,
        "dropout": 0.05,
        "input_frames": 24,
        "target_frames": 48,
        "lags": (),
        "echo": 4096,
        "low": 24,
        "high": 93,
    },
}
TRAIN: dict[str, dict[str, Any]] = {
    "jsb": {"epochs": 18, "batch_size": 2, "learning_rate": 3e-3, "random_phase": False, "transpose": 6, "ema": 0.998},
    "nottingham": {"epochs": 3, "batch_size": 4, "learning_rate": 5e-3},
    "piano-midi": {"epochs": 6, "batch_size": 4, "learning_rate": 4e-3, "ema": 0.998},
    "musedata": {"epochs": 5, "batch_size": 4, "learning_rate": 4e-3},
}
# Varied echoes of the recipes that have some: on MuseData, two give most of what four do.
VARIED = 4
# What differs between heads and variants.
CHANGES: dict[str, dict[str, Any]] = {
    "jsb-bernoulli": {"units": 48, "epochs": 22, "learning_rate": 4e-3, "dropout": 0.2, "head_dropout": 0.0},
    "jsb-autoregressive-no-transposition": {"epochs": 12, "transpose": 0, "keep_key": 1.0},
    "jsb-autoregressive-no-echo": {"epochs": 20},
    "musedata-autoregressive-no-echo": {"epochs": 7},
    "piano-midi-autoregressive": {"epochs": 7, "dropout": 0.1},
    "piano-midi-autoregressive-no-echo": {"epochs": 6, "dropout": 0.05},
    "piano-midi-bernoulli": {"units": 48, "epochs": 5, "ema": 0.99, "dropout": 0.1},
    "musedata-bernoulli": {"units": 48, "epochs": 7},
    # Lags help this one. The autoregressive one does no better with the same.
    "musedata-bernoulli-no-echo": {
        "units": 64,
        "lags": (2, 3, 4, 6, 8, 12, 16, 24, 32, 48),
        "batch_size": 2,
        "learning_rate": 3e-3,
        "ema": 0.998,
        "keep_key": 0.5,
    },
    # Nothing but what the LSTM keeps of the past.
    "nottingham-autoregressive-no-memory": {"lags": ()},
    "nottingham-bernoulli-no-memory": {"lags": ()},
    "musedata-bernoulli-no-memory": {"epochs": 3},
}


# The sample pack: each architecture with a rate and a width of its own, for some three CPU minutes.
CHORDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tied": ({"head": "autoregressive", "units": 48}, {"epochs": 4, "learning_rate": 5e-3}),
    "seq2seq": ({"head": "autoregressive", "units": 128}, {"epochs": 40, "learning_rate": 3e-3}),
    "blog": (
        {"head": "bernoulli", "units": 64, "dropout": 0.3},
        {"epochs": 60, "batch_size": 32, "learning_rate": 6e-3, "hop": 16, "transpose": 0},
    ),
}


# POP909 in sixteenths: melody and piano together, and each alone. All three see the same frames of the same pieces.
VOICES: dict[str, tuple[str, ...]] = {
    "pop909-melody-piano": ("melody=MELODY", "piano=PIANO,BRIDGE"),
    "pop909-melody": ("melody=MELODY",),
    "pop909-piano": ("piano=PIANO,BRIDGE",),
}
POP909: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tied": ({"units": 32, "layers": 1, "conv": 24}, {"epochs": 3, "batch_size": 4}),
    "seq2seq": ({"units": 96}, {"epochs": 3, "batch_size": 16}),
}


def recipes() -> dict[str, dict[str, Any]]:
    """Return every recipe by name: its dataset, and the fields of the two configurations."""
    names = [(data, head, "") for head in ("autoregressive", "bernoulli") for data in FILES]
    names.append(("jsb", "autoregressive", "-no-transposition"))
    names += [(data, head, "-no-echo") for head in ("autoregressive", "bernoulli") for data in FILES]
    names += [(data, head, "-varied") for head in ("autoregressive", "bernoulli") for data in FILES]
    # The others have no lags: without the echo, they have no memory either.
    names += [("nottingham", head, "-no-memory") for head in ("autoregressive", "bernoulli")]
    names.append(("musedata", "bernoulli", "-no-memory"))
    found = {}
    for data, head, variant in names:
        changes = {**CHANGES.get(f"{data}-{head}", {}), **CHANGES.get(f"{data}-{head}{variant}", {})}
        if variant in ("-no-echo", "-no-memory"):
            changes["echo"] = 0
        fields = {"model": "tied", "head": head, **MODEL[data]}
        fields.update({key: value for key, value in changes.items() if key in fields})
        if variant == "-varied":
            fields["varied"] = VARIED
        train = {"hop": 0, "transpose": 5, "keep_key": 0.3, "seed": 0, "ema": 0.99, **TRAIN[data]}
        train.update({key: value for key, value in changes.items() if key in train})
        found[f"{data}-{head}{variant}"] = {"dataset": data, "model": fields, "train": train}
    for name, (changes, train) in CHORDS.items():
        fields = {"model": name, "input_frames": 32, "target_frames": 64, **changes}
        found[f"chords-{name}"] = {"dataset": "chords", "model": fields, "train": {"seed": 0, **train}}
    for name, data in itertools.product(POP909, VOICES):
        changes, train = POP909[name]
        fields = {"model": name, "input_frames": 32, "target_frames": 64, **changes}
        found[f"{data}-{name}"] = {"dataset": data, "model": fields, "train": {"seed": 0, **train}}
    return found


def dataset_of(recipe: dict[str, Any], data: Path) -> Path:
    """Make the dataset of a recipe if it is not there, and return its path."""
    import rollcore

    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / f"{recipe['dataset']}.h5"
    if not path.exists() and recipe["dataset"] == "chords":
        rollcore.make_chords(WORK / "chords")
        rollcore.build_dataset(WORK / "chords", path, steps_per_beat=4, planes=("sounding", "onset"))
    elif not path.exists() and recipe["dataset"] in VOICES:
        select = rollcore.Selection(voices=VOICES[recipe["dataset"]])
        rollcore.build_dataset(data.parent / "midi" / "pop909", path, select=select)
    elif not path.exists():
        rollcore.import_mat(data / FILES[recipe["dataset"]], path)
    return path


def run(name: str, recipe: dict[str, Any], data: Path) -> dict[str, Any]:
    """Train what is not trained yet, evaluate, and return the result."""
    import rollcore
    from seq2seq.models.architectures import load_model
    from seq2seq.models.config import TrainConfig
    from seq2seq.run import Run
    from seq2seq.training.fit import train
    from seq2seq.training.presets import model_config

    path, run_dir = dataset_of(recipe, data), WORK / name
    dataset = rollcore.open_dataset(path)
    config, settings = model_config(dataset, **recipe["model"]), TrainConfig(**recipe["train"])
    resume = False
    if (run_dir / "last.keras").exists():
        before = Run.open(run_dir).facts
        resume = before["model"] == config.to_dict() and before["train"] == json.loads(json.dumps(vars(settings)))
    cpu = time.process_time()
    done = train(path, run_dir, config, settings, resume=resume, overwrite=True, samples=0)
    if done["interrupted"]:
        raise click.Abort
    cpu = time.process_time() - cpu
    hop, scores = score(load_model(Run.open(run_dir).best_model), dataset)
    return {
        "recipe": name,
        **recipe,
        "parameters": done["parameters"],
        "minutes": round(done["seconds"] / 60, 1),
        "cpu_minutes": None if resume else round(cpu / 60, 1),
        "epochs": len(done["history"]),
        "best_epoch": done["best_epoch"],
        "hop": hop,
        "scores": scores,
        "versions": Run.open(run_dir).facts["versions"],
        "fingerprint": dataset.fingerprint,
    }


def score(model: Any, dataset: Any) -> tuple[int, dict[str, Any]]:
    """Return the frames from window to window, and the scores of a model on validation and test."""
    from seq2seq.training.feed import RollBatches
    from seq2seq.training.metrics import Outside, score_model

    config = model.config
    # Half a target's length between windows: every frame has the input and half a target as its past, or all.
    hop = config.target_frames // (1 if config.model == "blog" else 2)
    outside, scores = Outside(dataset, config), {}
    for split in ("validation", "test"):
        scores[split] = score_model(model, RollBatches(dataset, config, split=split, hop=hop), outside).to_dict()
        if config.voices:
            scores[split]["each_voice"] = score_voices(model, dataset, split, hop, outside)
    return hop, scores


class Together:
    """Several models of one configuration: the logit of each question is *factor* times the mean of theirs."""

    def __init__(self, models: list[Any], factor: float = 1.0) -> None:
        self.models, self.config, self.factor = models, models[0].config, factor

    def predict_on_batch(self, inputs: dict[str, Any]) -> Any:
        """Return the logits of the target frames."""
        return self.factor * sum(model.predict_on_batch(inputs) for model in self.models) / len(self.models)


class Said:
    """What a model said of one batch after another, times a factor: it is asked once for many factors."""

    def __init__(self, config: Any, logits: list[Any], factor: float) -> None:
        self.config, self._logits = config, (factor * one for one in logits)

    def predict_on_batch(self, inputs: dict[str, Any]) -> Any:
        """Return the logits of the next batch."""
        return next(self._logits)


def fit_factor(models: list[Any], dataset: Any) -> float:
    """Return the factor with which *models* together are best on validation.

    One below 1 is a temperature above 1, as in Guo et al. 2017: models that have learnt their training pieces by heart
    are too sure of themselves.
    """
    from seq2seq.training.feed import RollBatches
    from seq2seq.training.metrics import Outside, score_model

    config = models[0].config
    batches = RollBatches(dataset, config, split="validation", hop=config.target_frames // 2)
    together, outside = Together(models), Outside(dataset, config)
    logits = [together.predict_on_batch(batches[i][0]) for i in range(len(batches))]
    return min(FACTORS, key=lambda factor: score_model(Said(config, logits, factor), batches, outside).per_frame)


def together(name: str, recipe: dict[str, Any], seeds: list[int], data: Path) -> dict[str, Any]:
    """Score what the runs of *seeds* say together after all of their epochs, and return the result."""
    import rollcore
    from seq2seq.models.architectures import load_model
    from seq2seq.run import Run

    dataset = rollcore.open_dataset(dataset_of(recipe, data))
    models = [load_model(Run.open(WORK / seeded(name, seed)).last_model) for seed in seeds]
    factor = fit_factor(models, dataset)
    hop, scores = score(Together(models, factor), dataset)
    alone = [json.loads((RESULTS / f"{seeded(name, seed)}.json").read_text(encoding="utf-8")) for seed in seeds]
    minutes = [one["cpu_minutes"] for one in alone]
    return {
        "recipe": name,
        "seeds": seeds,
        "factor": factor,
        "cpu_minutes": None if None in minutes else round(sum(minutes), 1),
        "hop": hop,
        "scores": scores,
    }


def seeded(name: str, seed: int) -> str:
    """Return the name of a recipe's run with a seed."""
    return f"{name}-seed-{seed}" if seed else name


def score_voices(model: Any, dataset: Any, split: str, hop: int, outside: Any) -> dict[str, dict[str, float]]:
    """Return the nats of each voice by its place in the order of a frame, "first" and "last".

    They are means over the frames up to its last note: those that a dataset of that voice alone has.
    """
    import numpy as np

    from seq2seq.training.metrics import score_orders

    voices, rolls = model.config.voices, [dataset.rows(int(piece)) for piece in dataset.split(split)]
    scores, found = score_orders(model, dataset, split, hop, outside), {}
    for voice, name in enumerate(voices):
        plays = np.concatenate([rows[:, 2 * voice].any(axis=1)[::-1].cumsum()[::-1] > 0 for rows in rolls])
        order = {"first": scores[voice], "last": scores[(voice + 1) % len(voices)]}
        found[name] = {place: float(score.voices[name][plays].mean()) for place, score in order.items()}
    return found


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[RECIPE]...")
@click.option(
    "--data",
    default=lambda: os.environ.get("ROLLCORE_DATA", "../shared/data") + "/rolls",
    show_default=False,
    help="Folder of the .mat files; POP909 lies beside it in midi/pop909.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--together", "seeds", metavar="N,N", help="Score the runs of these seeds together.")
@click.option("--report", is_flag=True, help="Only write docs/quality.md from the results there are.")
def main(names: tuple[str, ...], data: str, seed: int, seeds: str | None, report: bool) -> None:
    """Run the recipes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    known = recipes()
    for name in names:
        if name not in known:
            raise click.UsageError(f"no recipe {name!r}: choose from {', '.join(known)}")
    if (seed or seeds) and not names:
        raise click.UsageError("name the recipes")
    for name in names or tuple(known):
        path = RESULTS / "together" / f"{name}.json" if seeds else RESULTS / f"{seeded(name, seed)}.json"
        if report or path.exists():
            continue
        print(f"== {path.stem}", flush=True)
        recipe = known[name]
        try:
            if seeds:
                result = together(name, recipe, [int(number) for number in seeds.split(",")], Path(data))
            else:
                recipe["train"]["seed"] = seed
                result = run(seeded(name, seed), recipe, Path(data))
        except RollcoreError as error:
            raise click.ClickException(f"{error}; --data names the folder of the .mat files") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"   test: {result['scores']['test']['nats_per_frame']:.3f} nats a frame", flush=True)
        write_report(RESULTS, ROOT / "docs" / "quality.md")
    write_report(RESULTS, ROOT / "docs" / "quality.md")


if __name__ == "__main__":
    main()
