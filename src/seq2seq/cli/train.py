"""Train a model on a dataset of piano rolls, and score it beside baselines.

DATA is a file that rollcore build-dataset wrote. The run folder receives the settings, a line of metrics for every
epoch, the best model, the state that --resume continues from, loss curves, and music of the best epochs. Ctrl-C ends
the training in order: what was learnt so far is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
from pathlib import Path
from typing import Any

import click

from rollcore import DatasetError, console
from rollcore.console import printable
from rollcore.storage import fetch, is_remote, mirrored
from seq2seq.cli.options import CONTEXT, bad_usage, quiet_option
from seq2seq.errors import ConfigError, Seq2SeqError
from seq2seq.models.config import HEADS, MAX_TRANSPOSE, MODELS, MOST_VARIED, ModelConfig, TrainConfig
from seq2seq.run import Run
from seq2seq.training.devices import CHOICES, Devices, join
from seq2seq.training.evaluation import evaluate
from seq2seq.training.fit import train
from seq2seq.training.presets import ECHO_FRAMES, MOST_PASSES, PRESETS, recipe
from seq2seq.training.startup import import_keras
from seq2seq.training.tracking import tracked

_SIZES = ", ".join(f"{name} {preset.updates:,} updates" for name, preset in PRESETS.items())
# The post's model is trained as the post did: in larger batches, in the keys as they are.
_BLOG = {"head": "bernoulli", "batch_size": 32, "dropout": 0.3, "transpose": 0, "learning_rate": 6e-3}


def _lags(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(lag) for lag in value.split(",") if lag)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of frame counts such as 16,32") from None


@click.command(help=__doc__, context_settings=CONTEXT)
@click.argument("data")
@click.option("-o", "--run-dir", "--output", metavar="DIR", help="The run folder.  [default: runs/NAME of the dataset]")
@click.option(
    "--preset",
    type=click.Choice(tuple(PRESETS)),
    help="Size of model and training; other options win over it.  [default: standard]",
)
@click.option("--config", metavar="FILE", help="Settings as config.json of a run holds them; other options win.")
@click.option("--model", type=click.Choice(MODELS), help="Architecture.  [default: tied]")
@click.option("--head", type=click.Choice(HEADS), help="[default: autoregressive; bernoulli for blog]")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help=f"Passes over the data.  [default: up to {MOST_PASSES}, more of a small set; a preset has at most: {_SIZES}]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Windows per update.  [default: 4; 8 for large and seq2seq, 32 for blog]",
)
@click.option(
    "--input-frames",
    type=click.IntRange(2),
    help="Frames that a window reads.  [default: 32; 50 for large, seq2seq and blog]",
)
@click.option(
    "--target-frames",
    type=click.IntRange(1),
    help="Frames that it predicts.  [default: up to 96; 50 for large, seq2seq and blog]",
)
@click.option("--hop", type=click.IntRange(1), help="Frames between windows.  [default: the target's length]")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="RATE",
    help="Its peak.  [default: 0.004; 0.006 for blog]",
)
@click.option(
    "--units",
    type=click.IntRange(2),
    help="Width of each LSTM layer.  [default: 48; 64 for seq2seq and blog; large: 128]",
)
@click.option("--layers", type=click.IntRange(1), help="LSTM layers on either side.  [default: 2; quick: 1]")
@click.option("--dropout", type=click.FloatRange(0, 0.9), help="[default: 0.1; 0.3 for blog]")
@click.option("--attention/--no-attention", default=None, help="For seq2seq: look back at the encoder's outputs.")
@click.option(
    "--lags", metavar="N,N", callback=_lags, help="For tied: also see the frames N before.  [default: whole bars]"
)
@click.option(
    "--echo",
    type=click.IntRange(0),
    metavar="N",
    help="For tied: also see what followed the longest match within the last N frames; 0: do not.  "
    f"[default: {ECHO_FRAMES} on the musical grid]",
)
@click.option(
    "--varied",
    type=click.IntRange(0, MOST_VARIED),
    metavar="N",
    help="For tied with an echo: also see what followed the N pasts most like the latest frames, transposed or not.  "
    "[default: 0]",
)
@click.option("--low", type=click.IntRange(0, 127), help="Lowest pitch.  [default: that of the data, less 5]")
@click.option("--high", type=click.IntRange(0, 127), help="Highest pitch.  [default: that of the data, plus 5]")
@click.option(
    "--transpose",
    type=click.IntRange(0, MAX_TRANSPOSE),
    help="Shift windows by up to N semitones.  [default: 5; 0 for blog]",
)
@click.option(
    "--patience",
    type=click.IntRange(0),
    metavar="N",
    help="End after N epochs of which none was better than the best before.  [default: 0, never]",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Same seed, same run.  [default: 0]")
@click.option(
    "--max-minutes",
    type=click.FloatRange(0),
    metavar="M",
    help="End after M minutes with a scored model; --resume continues. The table at the end takes longer.",
)
@click.option("--samples", type=click.IntRange(0), default=1, show_default=True, help="Pieces at each best epoch.")
@click.option(
    "--devices",
    type=click.Choice(CHOICES),
    help="Share each batch among all devices; JAX only.  [default: one; all where several processes take part]",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped, or give one more --epochs.")
@click.option("--overwrite", is_flag=True, help="Replace the model that the run folder holds.")
@click.option("--mlflow", metavar="URI", help="Also log to an MLflow server.  [default: MLFLOW_TRACKING_URI]")
@click.option("--mlflow-parent", metavar="NAME", help="MLflow: nest the run in one of this name.")
@click.option("--tensorboard", is_flag=True, help="Also write events for TensorBoard to the run folder.")
@quiet_option
def cli(
    data: str,
    run_dir: str | None,
    preset: str | None,
    config: str | None,
    max_minutes: float | None,
    samples: int,
    resume: bool,
    overwrite: bool,
    devices: str | None,
    mlflow: str | None,
    mlflow_parent: str | None,
    tensorboard: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train a model."""
    _check_data(data)
    place = run_dir or os.fspath(Path("runs") / Path(data).stem)
    if resume and overwrite:
        raise click.UsageError("--resume continues the model, --overwrite replaces it: choose one")
    if resume and (preset or config):
        raise click.UsageError("--preset and --config are for a new run, and --resume continues with its settings")
    with bad_usage():
        used = join(devices)
    with _folder(place, resume, overwrite, used) as folder:
        target, given = Path(folder), given_settings(options)
        model = settings = epochs = None
        if resume:
            epochs = given.pop("epochs", None)
            check_unchanged(target, given)
        else:
            model, settings = _configurations(data, preset, config, given)
        import_keras()
        try:
            trackers: contextlib.AbstractContextManager[list[Any]] = contextlib.nullcontext([])
            if used.first:
                trackers = tracked(target, mlflow_uri=mlflow, parent=mlflow_parent, tensorboard=tensorboard, say=_say)
            with bad_usage(), trackers as callbacks:
                result = train(
                    data,
                    target,
                    model,
                    settings,
                    max_minutes=max_minutes,
                    resume=resume,
                    epochs=epochs,
                    overwrite=overwrite,
                    samples=samples,
                    callbacks=callbacks,
                    devices=devices,
                    quiet=quiet,
                )
                if used.first and not result["interrupted"]:
                    _report(data, target, result, quiet, place)  # while trackers listen
        except Exception as error:
            # Each backend has its own error for it.
            if type(error).__name__ not in ("ResourceExhaustedError", "OutOfMemoryError"):
                raise
            raise DatasetError("out of memory: choose a smaller --batch-size, --units or --input-frames") from error
        return console.INTERRUPTED if result["interrupted"] else 0


def _folder(
    place: str, resume: bool, overwrite: bool, devices: Devices
) -> contextlib.AbstractContextManager[str | os.PathLike[str]]:
    """Give the folder of the run; other processes than the first only read it."""
    if devices.first:
        return mirrored(place, resume=resume, overwrite=overwrite)
    return contextlib.nullcontext(fetch(place) if resume and is_remote(place) else place)


def _check_data(data: str) -> None:
    """Tell music that is not a dataset yet how it becomes one."""
    path = Path(data)
    if path.is_dir() or path.suffix.lower() in (".mid", ".midi", ".kar", ".zip"):
        name = shlex.quote(f"{path.stem or 'music'}.h5")
        raise DatasetError(
            f"{data}: not a dataset, but music to make one of: rollcore build-dataset {shlex.quote(data)} {name}"
        )


def _configurations(
    data: str, preset: str | None, config: str | None, given: dict[str, Any]
) -> tuple[ModelConfig, TrainConfig]:
    """Return the two configurations of a new run: options win over the file, and both over the preset."""
    import rollcore

    with bad_usage():
        before = {} if config is None else _read_config(Path(config))
    name = given.get("model", before.get("model", "tied"))
    if name != "tied" and ("lags" in given or given.get("echo") or given.get("varied")):
        raise click.UsageError(f"--lags, --echo and --varied are for --model tied, not {name}")
    chosen = {
        **({} if name != "blog" or config else _BLOG),
        **before,
        **given,
        "model": name,
    }
    with bad_usage():
        dataset = rollcore.open_dataset(data)
        return recipe(dataset, preset or "standard", **chosen)


def _read_config(path: Path) -> dict[str, Any]:
    """Return the settings that a file like config.json holds, checked, as fields of the two configurations."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        for part, kind in (("model", ModelConfig), ("train", TrainConfig)):
            if unknown := set(facts[part]) - {field.name for field in dataclasses.fields(kind)}:
                raise ConfigError(f"{part} has no setting {min(unknown)!r}")
        model, settings = ModelConfig.from_dict(facts["model"]), TrainConfig(**facts["train"])
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, LookupError, RecursionError, Seq2SeqError) as error:
        raise ConfigError(f"{path}: not settings as config.json of a run holds them ({error})") from None
    return _values(model) | _values(settings)


def given_settings(params: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are given, and are fields of one of the configurations."""
    fields = {field.name for kind in (ModelConfig, TrainConfig) for field in dataclasses.fields(kind)}
    return {name: value for name, value in params.items() if name in fields and value is not None}


def _values(config: ModelConfig | TrainConfig) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


def check_unchanged(run_dir: Path, given: dict[str, Any]) -> None:
    """Refuse options that are not those of the run that is to go on."""
    run = Run.open(run_dir)
    kept = _values(run.config) | _values(run.settings)
    kept["hop"] = kept["hop"] or kept["target_frames"]  # 0 stands for the target's length
    for name, value in given.items():
        if kept[name] != value:
            option, context = "--" + name.replace("_", "-"), click.get_current_context()
            raise click.UsageError(f"{option} cannot change: {run_dir} is to go on with {kept[name]}", context)


def _report(data: str, run_dir: Path, result: dict[str, Any], quiet: bool, place: str) -> None:
    """Print the best model beside the baselines, on pieces that had no part in the training."""
    import rollcore
    from seq2seq.output.tables import endings_line
    from seq2seq.training.metrics import score_table

    split = "test" if len(rollcore.open_dataset(data).split("test")) else "validation"
    found = evaluate(run_dir, data, split=split)
    run = Run.open(run_dir)
    run.keep_evaluation(found)
    if quiet:
        return
    model, scores = run.config.model, found["scores"]
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
    if found["endings"] is not None:
        print(endings_line(found["endings"]))
    if not found["trained_on_it"]:
        print(f"{data} was replaced during the training: it may have learnt pieces that are scored here")
    print(f"run folder: {place}")


def _say(line: str) -> None:
    click.echo(printable(line), err=True)
