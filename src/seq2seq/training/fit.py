"""Train a model on a dataset of piano rolls, and say how it does beside honest baselines.

The run folder receives config.json, metrics.csv (a line per epoch), loss.png, best.keras (the epoch with the
lowest validation loss) and last.keras (what --resume goes on from).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollcore import DatasetError
from rollcore.files import whole_file
from seq2seq.errors import ConfigError, RunError
from seq2seq.models.config import MUSICAL_PERIODS, ModelConfig, TrainConfig
from seq2seq.run import TRAIN, VALIDATION, Run

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
        If the dataset has no pieces to train or validate on, or other planes than the model.
    ConfigError
        If a setting is out of range, or *epochs* is given without *resume*.
    RunError
        If there is nothing to resume or not so little, the folder holds a model already or is that of a training that
        is running, or the loss is no longer a number.
    KeyboardInterrupt
        If interrupted before the first epoch is complete; later, the epochs so far are the result.
    """
    import rollcore
    from seq2seq.training.startup import device_name

    run_dir = Path(run_dir)
    dataset = rollcore.open_dataset(data)
    if max_minutes is not None and not max_minutes >= 0:
        raise ConfigError(f"max_minutes must not be negative, but is {max_minutes}")
    if epochs is not None and not resume:
        raise ConfigError("epochs is for a run that is resumed; settings say how many a new one has")
    if resume:
        run = Run.open(run_dir)
        model, settings = run.config, run.settings
        if run.dataset["fingerprint"] != dataset.fingerprint:
            raise RunError(f"{data}: not the dataset that {run_dir} was trained on: train a new run")
        settings = dataclasses.replace(settings, epochs=epochs or settings.epochs)
    model, settings = model or model_config(dataset), settings or TrainConfig()
    if model.planes != tuple(dataset.planes):
        raise DatasetError(f"{data}: its planes are {dataset.planes}, but the model's {model.planes}")
    if not resume:
        run = Run.new(run_dir, model, settings, dataset, device_name())
    with run.alone():
        if run.has_model() and not resume and not overwrite:
            raise RunError(
                f"{run_dir}: holds a trained model: --resume goes on with it, --overwrite replaces it, or name another"
            )
        return _fit(dataset, run, settings, max_minutes, resume)


def _fit(dataset: Dataset, run: Run, settings: TrainConfig, max_minutes: float | None, resume: bool) -> dict[str, Any]:
    """Train; see :func:`train`."""
    import keras

    from seq2seq.models.architectures import build_model, load_model, most_steps_per_execution, wants_jit
    from seq2seq.models.layers import RollLoss
    from seq2seq.sampling.corpus import Corpus
    from seq2seq.training.epochs import Epochs, Feed
    from seq2seq.training.feed import RollBatches
    from seq2seq.training.metrics import Outside

    run_dir, model = run.path, run.config
    # The seed decides everything: weights, order of windows, shifts, dropout.
    keras.utils.set_random_seed(settings.seed)
    batches = RollBatches(dataset, model, settings)
    validation = RollBatches(dataset, model, split="validation")
    history = run.history() if resume else []
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
        net = load_model(run.last_model, model)
        done, rest = divmod(int(net.optimizer.iterations), len(batches))
        if rest or not 0 < done <= len(history):
            raise RunError(f"{run_dir}: last.keras is of no epoch that metrics.csv has: train it anew")
        history = history[:done]
        if settings.epochs < done:
            raise RunError(f"{run_dir}: {done} epochs are done, so it cannot become a run of {settings.epochs}")
        batches.draw(done)
        net.optimizer.learning_rate = rate  # that of the file is of the length the run had when it was written
        net.optimizer.ema_momentum = _momentum(settings.ema, steps)
        run.change(settings, dataset)
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
    print(
        f"{model.model}, {model.head}: {net.count_params():,} parameters, pitches {model.low} to {model.high}, "
        f"{len(batches)} batches of {settings.batch_size} windows an epoch",
        flush=True,
    )

    average = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    # last.keras was written with the averaged weights swapped in: the next epoch is to swap them back.
    average._ema_weights_in_model = resume
    feed = Feed(batches, net.steps_per_execution)
    epochs = Epochs(run, feed, validation, Outside(dataset, model), history, max_minutes, Corpus.of(dataset).to_dict())
    interrupted = False
    if len(history) >= settings.epochs:
        print(f"{run_dir}: all {settings.epochs} epochs are done; --resume with a higher --epochs goes on")
    try:
        if len(history) < settings.epochs:
            net.fit(
                feed,
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

    if not plot_losses({run.name: history}, run.loss_picture):
        print("no loss.png: matplotlib is not installed (pip install 'rollcore[plot]')")
    return {
        "history": history,
        "best_epoch": int(min(history, key=lambda row: row[VALIDATION])["epoch"]),
        "seconds": sum(row["seconds"] for row in history),
        "parameters": net.count_params(),
        "interrupted": interrupted,
    }


def _momentum(ema: float | None, updates: int) -> float:
    """Return the decay of the average; one over most of a run would hold on to the weights of its beginning."""
    return min(0.99, max(0.0, 1 - 5 / updates)) if ema is None else ema


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
