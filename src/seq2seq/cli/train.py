"""Train a model on a dataset of piano rolls, and say how it does beside honest baselines.

The run folder receives config.json, metrics.csv (a line per epoch), loss.png, best.keras (the epoch with the
lowest validation loss) and last.keras (what --resume goes on from).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from rollcore import DatasetError, console
from seq2seq.cli.options import CONTEXT
from seq2seq.models.config import HEADS, MAX_TRANSPOSE, MODELS, ModelConfig, TrainConfig
from seq2seq.run import Run
from seq2seq.training.evaluation import evaluate
from seq2seq.training.fit import ECHO_FRAMES, model_config, train
from seq2seq.training.startup import import_keras

_DEFAULT_SETTINGS = TrainConfig()


@click.command(help=__doc__, context_settings=CONTEXT)
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
    run = Run.open(run_dir)
    kept = run.config.to_dict() | run.facts["train"]
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
    from seq2seq.training.metrics import score_table

    split = "test" if len(rollcore.open_dataset(data).split("test")) else "validation"
    found = evaluate(run_dir, data, split=split)
    model, scores = Run.open(run_dir).config.model, found["scores"]
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
    if not found["trained_on_it"]:
        print(f"{data} was replaced during the training: it may have learnt pieces that are scored here")
    print(f"run folder: {run_dir}")
