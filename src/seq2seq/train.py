"""Train a model on a dataset of piano rolls, and say how it does beside honest baselines.

The run folder receives config.json, metrics.csv (a line per epoch), loss.png, best.keras (the epoch with the
lowest validation loss) and last.keras (what --resume goes on from).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import platform
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rollcore import DatasetError, console
from rollcore.files import whole_file
from seq2seq.config import (
    HEADS,
    MAX_TRANSPOSE,
    MODELS,
    MUSICAL_PERIODS,
    TRAIN,
    VALIDATION,
    ModelConfig,
    TrainConfig,
    load_run,
    make_folder,
    read_history,
)
from seq2seq.evaluate import evaluate
from seq2seq.startup import import_keras

if TYPE_CHECKING:
    from rollcore import Dataset

RECALLED_BEATS = (3, 4, 6, 8, 12, 16)
ECHO_FRAMES = 4096


def model_config(dataset: Dataset, **settings: Any) -> ModelConfig:
    """Return a configuration that fits *dataset*; *settings* are fields of it that are wanted otherwise.

    For the model of the blog post: ``model_config(dataset, model="blog", head="bernoulli", dropout=0.3)``, trained with
    ``TrainConfig(batch_size=32, learning_rate=0.006, transpose=0)``, which is what ``seq2seq-train --model blog`` does.

    The planes are the dataset's; the pitches those of its training split, and five semitones more on both
    sides for transposed ones; on the musical grid, the model is told the beat, and ``tied`` recalls what was
    played one, two and four bars ago, be they of three or of four beats, as far as the window reaches, and hears
    the echo of up to `ECHO_FRAMES` frames ago, however fine the grid is.
    """
    import numpy as np

    if "low" not in settings or "high" not in settings:
        used = np.zeros(16, np.uint8)
        for piece in dataset.split("train"):
            used |= np.bitwise_or.reduce(dataset.rows(int(piece))[:, 0], axis=0)
        pitches = np.flatnonzero(np.unpackbits(used, bitorder="little"))
        if not len(pitches):
            raise DatasetError(f"{dataset.path}: no notes in the training split: build it from more pieces")
        settings.setdefault("low", max(0, int(pitches[0]) - 5))
        settings.setdefault("high", min(127, int(pitches[-1]) + 5))
    if dataset.grid.unit == "beats":
        settings.setdefault("periods", MUSICAL_PERIODS)
        if settings.get("model", "tied") == "tied":
            window = settings.get("input_frames", ModelConfig.input_frames)
            window += settings.get("target_frames", ModelConfig.target_frames)
            lags = sorted({int(dataset.grid.rate * beats) for beats in RECALLED_BEATS})
            settings.setdefault("lags", tuple(lag for lag in lags if 1 < lag < window))
            settings.setdefault("echo", ECHO_FRAMES)
    return ModelConfig(**{"planes": tuple(dataset.planes), **settings})


def train(
    data: str | Path,
    run_dir: str | Path,
    model: ModelConfig | None = None,
    settings: TrainConfig | None = None,
    *,
    max_minutes: float | None = None,
    resume: bool = False,
    epochs: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train a model, write its run folder, and return its history.

    Parameters
    ----------
    data : path
        A dataset written by ``rollcore``.
    run_dir : path
        Where the run is written.
    model : ModelConfig, optional
        The architecture; what :func:`model_config` returns by default.
    settings : TrainConfig, optional
        How to train it.
    max_minutes : float, optional
        Begin no epoch that would likely end later; the schedule of the learning rate stays that of all epochs.
    resume : bool
        Go on from last.keras, with the configuration found there: to the end that the run would have had, but
        for the random numbers of dropout.
    epochs : int, optional
        With *resume*, how many epochs the run is to have now, at least as many as are done: from here on, the learning
        rate is that of a run of this length.
    overwrite : bool
        Replace the model that a former run left in the folder, once the first epoch is complete.

    Returns
    -------
    dict
        ``"history"`` (a dict for every epoch), ``"best_epoch"``, ``"seconds"``, ``"parameters"``, and
        ``"interrupted"``.

    Raises
    ------
    DatasetError
        If the dataset has no pieces to train or validate on, there is nothing to resume or not so little, the folder
        holds a model already or is that of a training that goes on, or the loss ceases to be a number.
    ValueError
        If *epochs* is given without *resume*.
    KeyboardInterrupt
        If interrupted before the first epoch is complete; later, the epochs so far are the result.
    """
    import rollcore

    run_dir = Path(run_dir)
    dataset = rollcore.open_dataset(data)
    if max_minutes is not None and not max_minutes >= 0:
        raise DatasetError(f"max_minutes must not be negative, but is {max_minutes}")
    if epochs is not None and not resume:
        raise ValueError("epochs is for a run that is resumed; settings say how many a new one has")
    if resume:
        run = load_run(run_dir)
        model, settings = ModelConfig.from_dict(run["model"]), TrainConfig(**run["train"])
        if run["dataset"]["fingerprint"] != dataset.fingerprint:
            raise DatasetError(f"{data}: not the dataset that {run_dir} was trained on: train a new run")
        settings = dataclasses.replace(settings, epochs=epochs or settings.epochs)
    model, settings = model or model_config(dataset), settings or TrainConfig()
    if model.planes != tuple(dataset.planes):
        raise DatasetError(f"{data}: its planes are {dataset.planes}, but the model's {model.planes}")
    make_folder(run_dir)
    with _alone_in(run_dir):
        held = any((run_dir / name).exists() for name in ("best.keras", "last.keras"))
        if held and not resume and not overwrite:
            raise DatasetError(
                f"{run_dir}: holds a trained model: --resume goes on with it, --overwrite replaces it, or name another"
            )
        return _fit(dataset, run_dir, model, settings, max_minutes, resume)


def _fit(
    dataset: Dataset, run_dir: Path, model: ModelConfig, settings: TrainConfig, max_minutes: float | None, resume: bool
) -> dict[str, Any]:
    """Train; see :func:`train`."""
    import keras

    from seq2seq.data import RollBatches
    from seq2seq.epochs import PENDING, Epochs
    from seq2seq.layers import RollLoss
    from seq2seq.metrics import Outside
    from seq2seq.model import build_model, load_model, most_steps_per_execution, wants_jit

    # The seed decides everything: weights, order of windows, shifts, dropout.
    keras.utils.set_random_seed(settings.seed)
    batches = RollBatches(dataset, model, settings)
    validation = RollBatches(dataset, model, split="validation")
    history = read_history(run_dir) if resume else []
    # Small batches at a high rate did best; warm-up and a short memory (beta_2) keep them stable.
    steps = len(batches) * settings.epochs
    warm = max(1, steps // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 20,
        max(1, steps - warm),
        warmup_target=settings.learning_rate,
        warmup_steps=warm,
    )
    if resume:
        net = load_model(run_dir / "last.keras", model)
        done, rest = divmod(int(net.optimizer.iterations), len(batches))
        if rest or not 0 < done <= len(history):
            raise DatasetError(f"{run_dir}: last.keras is of no epoch that metrics.csv has: train it anew")
        history = history[:done]
        if settings.epochs < done:
            raise DatasetError(f"{run_dir}: {done} epochs are done, so it cannot become a run of {settings.epochs}")
        batches.draw(done)
        net.optimizer.learning_rate = rate  # that of the file is of the length the run had when it was written
        net.optimizer.ema_momentum = _momentum(settings.ema, steps)
        run = load_run(run_dir)
        place = run["dataset"] | {"path": str(dataset.path)}
        _write_json(run_dir / "config.json", run | {"train": dataclasses.asdict(settings), "dataset": place})
    else:
        net = build_model(model)
        adam = keras.optimizers.Adam(
            rate, beta_2=0.99, global_clipnorm=1.0, use_ema=True, ema_momentum=_momentum(settings.ema, steps)
        )
        net.compile(
            adam,
            RollLoss(model.low, model.high),
            jit_compile=wants_jit(),
            steps_per_execution=min(most_steps_per_execution(), len(batches)),
        )
        _write_config(run_dir, dataset, model, settings)
    print(
        f"{model.model}, {model.head}: {net.count_params():,} parameters, pitches {model.low} to {model.high}, "
        f"{len(batches)} batches of {settings.batch_size} windows an epoch",
        flush=True,
    )

    average = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    # last.keras was written with the averaged weights swapped in: the next epoch is to swap them back.
    average._ema_weights_in_model = resume
    epochs = Epochs(run_dir, validation, Outside(dataset, model), history, max_minutes)
    interrupted = False
    if len(history) >= settings.epochs:
        print(f"{run_dir}: all {settings.epochs} epochs are done; --resume with a higher --epochs goes on")
    try:
        if len(history) < settings.epochs:
            net.fit(
                batches,
                initial_epoch=len(history),
                epochs=settings.epochs,
                shuffle=False,
                verbose=0,
                callbacks=[average, epochs],
            )
    except KeyboardInterrupt:
        if not history:
            print(f"\n{run_dir}: interrupted before an epoch was complete")
            raise
        interrupted = True
        print(f"\ninterrupted: {run_dir} keeps what epoch {len(history)} left; --resume goes on from there")
    finally:
        (run_dir / PENDING).unlink(missing_ok=True)

    if not plot_losses({run_dir.name: history}, run_dir / "loss.png"):
        print("no loss.png: matplotlib is not installed (pip install 'rollcore[plot]')")
    return {
        "history": history,
        "best_epoch": int(min(history, key=lambda row: row[VALIDATION])["epoch"]),
        "seconds": sum(row["seconds"] for row in history),
        "parameters": net.count_params(),
        "interrupted": interrupted,
    }


@contextlib.contextmanager
def _alone_in(run_dir: Path) -> Iterator[None]:
    """Refuse a folder that another training is writing to."""
    folder = os.open(run_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"{run_dir}: another training is writing it: wait for it, or name another") from None
        except OSError:
            pass  # not every file system locks folders
        yield
    finally:
        os.close(folder)


def _momentum(ema: float | None, updates: int) -> float:
    """Return the decay of the average; one over most of a run would hold on to the weights of its beginning."""
    return min(0.99, max(0.0, 1 - 5 / updates)) if ema is None else ema


def _write_config(run_dir: Path, dataset: Dataset, model: ModelConfig, settings: TrainConfig) -> None:
    """Write what becomes config.json with the first epoch; until then, a former run stands."""
    import keras
    import numpy as np

    import rollcore
    from seq2seq.epochs import PENDING

    config = {
        "model": model.to_dict(),
        "train": dataclasses.asdict(settings),
        "dataset": {
            "path": str(dataset.path),
            "fingerprint": dataset.fingerprint,
            "grid": str(dataset.grid),
            "options": dataset.options,
            "pieces": len(dataset),
        },
        "versions": {
            "python": platform.python_version(),
            **{module.__name__: module.__version__ for module in (rollcore, keras, np)},
            keras.config.backend(): import_module(keras.config.backend()).__version__,
        },
    }
    _write_json(run_dir / PENDING, config)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    with whole_file(path) as file:
        file.write(json.dumps(values, indent=2).encode() + b"\n")


def plot_losses(runs: dict[str, list[dict[str, float]]], path: Path) -> bool:
    """Draw the losses of *runs* (history by name) to *path*; return False where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if path.suffix.lower() != ".png":
        raise DatasetError(f"{path}: pictures are PNG files; name it so that it ends in .png")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for k, (name, history) in enumerate(runs.items()):
        epoch = [row["epoch"] for row in history]
        for what, column, style in (("validation", VALIDATION, "o-"), ("train", TRAIN, "x:")):
            losses = [row[column] for row in history]
            # A label that began with the name might begin with an underscore, which hides it.
            axes.plot(epoch, losses, style, markersize=4, color=f"C{k % 10}", label=f"{what}, {name}")
    axes.set(xlabel="epoch", ylabel="nats per frame")
    axes.locator_params(axis="x", integer=True)
    for label in axes.legend().get_texts():
        label.set_parse_math(False)  # a dollar in a name is none of a formula
    axes.grid(alpha=0.3)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=120)
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 on bad data, 2 on bad usage."""
    return console.run_command(cli, argv, "seq2seq-train")


_DEFAULT_SETTINGS = TrainConfig()


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("data")
@click.option("--run-dir", metavar="DIR", help="Where to write the run.  [default: runs/NAME of the dataset]")
@click.option("--model", type=click.Choice(MODELS), default="tied", show_default=True)
@click.option("--head", type=click.Choice(HEADS), help="[default: autoregressive; bernoulli for blog]")
@click.option("--epochs", type=click.IntRange(1), default=_DEFAULT_SETTINGS.epochs, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), help="[default: 8; 32 for blog]")
@click.option("--input-frames", type=click.IntRange(2), default=50, show_default=True)
@click.option("--target-frames", type=click.IntRange(1), default=50, show_default=True)
@click.option("--hop", type=click.IntRange(1), help="Frames between windows.  [default: the target's length]")
@click.option("--learning-rate", type=float, metavar="RATE", help="[default: 0.004; 0.006 for blog]")
@click.option("--units", type=click.IntRange(2), default=64, show_default=True, help="Width of each LSTM.")
@click.option("--layers", type=click.IntRange(1), default=2, show_default=True, help="LSTMs on either side.")
@click.option("--dropout", type=click.FloatRange(0, 0.9), help="[default: 0.1; 0.3 for blog]")
@click.option("--attention", is_flag=True, help="For seq2seq: look back at the encoder's outputs.")
@click.option("--lags", metavar="N,N", help="For tied: recall so many frames ago.  [default: whole bars]")
@click.option(
    "--echo",
    type=click.IntRange(0),
    metavar="N",
    help=f"For tied: hear what followed the longest earlier match, up to N frames ago; 0 for nothing.  "
    f"[default: {ECHO_FRAMES} on the musical grid]",
)
@click.option("--low", type=click.IntRange(0, 127), help="Lowest pitch.  [default: that of the data, less 5]")
@click.option("--high", type=click.IntRange(0, 127), help="Highest pitch.  [default: that of the data, plus 5]")
@click.option(
    "--transpose",
    type=click.IntRange(0, MAX_TRANSPOSE),
    help="Shift windows by up to N semitones.  [default: 5; 0 for blog]",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--max-minutes", type=float, metavar="M", help="Begin no epoch but the first that would end later.")
@click.option("--resume", is_flag=True, help="Finish a run that was stopped, or give one more --epochs.")
@click.option("--overwrite", is_flag=True, help="Replace the model that the run folder holds.")
def cli(
    data: str,
    run_dir: str | None,
    model: str,
    lags: str | None,
    max_minutes: float | None,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> int:
    """Train a model."""
    import rollcore

    target = Path(run_dir) if run_dir else Path("runs") / Path(data).stem
    # The post's model is trained as the post did: in larger batches, in the keys as they are.
    usual = {"head": "autoregressive", "batch_size": 8, "dropout": 0.1, "transpose": 5}
    if model == "blog":
        usual = {"head": "bernoulli", "batch_size": 32, "dropout": 0.3, "transpose": 0, "learning_rate": 6e-3}
    chosen = {**usual, **{name: value for name, value in options.items() if value is not None}}
    if model != "tied" and (lags is not None or options["echo"]):
        raise click.UsageError(f"--lags and --echo are for --model tied, not {model}")
    if resume and overwrite:
        raise click.UsageError("--resume goes on with the model, --overwrite replaces it: choose one")
    if lags is not None:
        try:
            chosen["lags"] = tuple(int(lag) for lag in lags.split(",") if lag)
        except ValueError:
            raise click.BadParameter(f"{lags!r} is not a list of frame counts such as 16,32") from None
    config = settings = None
    epochs = None
    if resume:
        if _given("epochs"):
            epochs = chosen.pop("epochs")
        _check_unchanged(target, {"model": model, **chosen})
    else:
        config = model_config(rollcore.open_dataset(data), model=model, **_fields(ModelConfig, chosen))
        settings = TrainConfig(**_fields(TrainConfig, chosen))
    import_keras()
    try:
        result = train(
            data,
            target,
            config,
            settings,
            max_minutes=max_minutes,
            resume=resume,
            epochs=epochs,
            overwrite=overwrite,
        )
    except Exception as error:
        # Each backend has its own error for it.
        if type(error).__name__ not in ("ResourceExhaustedError", "OutOfMemoryError"):
            raise
        raise DatasetError("out of memory: choose a smaller --batch-size, --units or --input-frames") from error
    if result["interrupted"]:
        return console.INTERRUPTED
    _report(data, target, result)
    return 0


def _fields(kind: type, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are fields of a configuration."""
    return {field.name: options[field.name] for field in dataclasses.fields(kind) if field.name in options}


def _given(option: str) -> bool:
    """Whether an option is written on the command line."""
    return click.get_current_context().get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE


def _check_unchanged(run_dir: Path, chosen: dict[str, Any]) -> None:
    """Refuse options that are given, but are not those of the run that is to go on."""
    run = load_run(run_dir)
    kept = ModelConfig.from_dict(run["model"]).to_dict() | run["train"]
    for name, value in chosen.items():
        value = list(value) if isinstance(value, tuple) else value
        if name == "hop":  # 0 stands for the target's length
            kept["hop"] = kept["hop"] or kept["target_frames"]
        if _given(name) and name in kept and kept[name] != value:
            option, context = "--" + name.replace("_", "-"), click.get_current_context()
            raise click.UsageError(f"{option} cannot change: {run_dir} is to go on with {kept[name]}", context)


def _report(data: str, run_dir: Path, result: dict[str, Any]) -> None:
    """Print the best model beside the baselines, on pieces that had no part in the training."""
    import rollcore
    from seq2seq.metrics import score_table

    split = "test" if len(rollcore.open_dataset(data).split("test")) else "validation"
    found = evaluate(run_dir, data, split=split)
    model, scores = load_run(run_dir)["model"]["model"], found["scores"]
    task = "the target window from the input window" if model == "blog" else "each frame from those before"
    shown = {f"{model} (epoch {result['best_epoch']})": scores["model"], **scores}
    del shown["model"]
    print(f"\n{split} split, {task}, windows {found['hop']} frames apart:\n{score_table(shown)}")
    for name, baseline in scores.items():
        if name == "model":
            continue
        better = [
            scores["model"]["nats_per_frame"] < baseline["nats_per_frame"],
            scores["model"]["f1"] > baseline["f1"],
        ]
        said = {2: "in nats and in F1", 1: "in nats only" if better[0] else "in F1 only", 0: "in neither nats nor F1"}
        print(f"better than {name} {said[sum(better)]}")
    print(f"run folder: {run_dir}")


def command() -> NoReturn:
    """Be the command of the process."""
    console.end_process(main())


if __name__ == "__main__":
    raise SystemExit(main())
