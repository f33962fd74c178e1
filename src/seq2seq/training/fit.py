"""Train a model on a dataset of piano rolls, and keep what it became in a run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollcore import RollcoreError
from seq2seq.errors import ConfigError, RunError
from seq2seq.models.config import ModelConfig, TrainConfig
from seq2seq.output.curves import plot_losses
from seq2seq.run import History, Run, best_epoch, out_of_patience, trunk
from seq2seq.steps import read_steps
from seq2seq.training.devices import Devices, join
from seq2seq.training.presets import recipe, train_config
from seq2seq.training.progress import Display, Interruption

if TYPE_CHECKING:
    from rollcore import Dataset
    from seq2seq.training.epochs import Epochs

# An update of so many multiplications, in billions, takes about a tenth of a second on a core: several of them as one
# call of the backend would save little, and whoever waits for the end of the call would wait for long.
HEAVY = 2.0


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
    callbacks: Sequence[Any] = (),
    samples: int = 1,
    devices: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a model, write its run folder, and return its history.

    Ctrl-C ends it in order after the current update: the run keeps the state, and *resume* continues from there.
    SIGTERM does the same where the process handles it, as the command does.

    Parameters
    ----------
    data : path
        A dataset written by ``rollcore``.
    run_dir : path
        Where the run is written.
    model : ModelConfig, optional
        The architecture; by default that of ``seq2seq train`` without options.
    settings : TrainConfig, optional
        How to train it; what :func:`train_config` returns by default.
    max_minutes : float, optional
        End after so many minutes, within an epoch too, with a model that is scored by then; the schedule of the
        learning rate stays that of all epochs.
    resume : bool
        Go on from where the run was left, with the configuration found there: to the end that it would have had, but
        for the random numbers of dropout.
    epochs : int, optional
        With *resume*, how many epochs the run is to have now, at least as many as are done. It goes on from before its
        learning rate came down, and so becomes the run that had this length from the beginning.
    overwrite : bool
        Replace the model that a former run left in the folder, once there is one to put in its place.
    callbacks : sequence of keras.callbacks.Callback
        Called after the training's own. At the end of an epoch the averaged weights are in the model, and the logs
        have ``val_loss``, nats per frame of the validation split.
    samples : int
        Pieces of music to write into the run at each epoch that is the best so far. Unless it is 0, how music is drawn
        is fitted to the best model at the end, see :mod:`seq2seq.sampling.fitting`.
    devices : {"one", "all"}, optional
        What to train on; see :mod:`seq2seq.training.devices`. By default one device, or all of those of the processes
        that the environment tells of. The batch is shared out among them.
    quiet : bool
        Print nothing.

    Returns
    -------
    dict
        ``"history"`` (a dict for every epoch), ``"best_epoch"`` (None where none was scored), ``"seconds"``,
        ``"parameters"``, and ``"interrupted"``.

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
        If interrupted before the first update is complete.
    """
    if max_minutes is not None and not max_minutes >= 0:
        raise ConfigError(f"max_minutes must not be negative, but is {max_minutes}")
    if samples < 0:
        raise ConfigError(f"samples must not be negative, but is {samples}")
    if epochs is not None and not resume:
        raise ConfigError("epochs is for a run that is resumed; settings say how many a new one has")
    used = join(devices)
    with contextlib.ExitStack() as stack:
        with used.together():
            folder = stack.enter_context(used.folder(run_dir, resume=resume))
            dataset, run = _open(data, folder, model, settings, used, resume)
            stack.enter_context(run.alone())
            if run.has_model() and not resume and not overwrite:
                raise RunError(
                    f"{run_dir}: holds a trained model: --resume continues it, --overwrite replaces it, or name another"
                )
        used.compare(dataset.fingerprint, run.config, run.settings)
        stack.enter_context(used.scope())
        interruption = stack.enter_context(Interruption())
        training = _Training(dataset, run, Display(quiet or not used.first), interruption, used)
        training.begin(max_minutes, samples if used.first else 0)
        if resume:
            training.resume(epochs)
        else:
            training.compile()
        result = training.fit(callbacks if used.first else ())
    used.leave()
    return result


def _open(
    data: str | Path,
    folder: Path,
    model: ModelConfig | None,
    settings: TrainConfig | None,
    devices: Devices,
    resume: bool,
) -> tuple[Dataset, Run]:
    """Return the dataset and the run, which is new or to be resumed."""
    import rollcore
    from seq2seq.training.startup import device_name

    dataset = rollcore.open_dataset(data)
    if resume:
        run = Run.open(folder)
        if run.dataset["fingerprint"] != dataset.fingerprint:
            raise RunError(f"{data}: not the dataset that {folder} was trained on: train a new run")
    else:
        if model is None:
            model, usual = recipe(dataset)
        else:
            usual = train_config(dataset, model)
        run = Run.new(folder, model, settings or usual, dataset, devices.describe(device_name()))
    devices.check(run.settings.batch_size)
    return dataset, run


class _Training:
    """One training of a run, from the first line on the screen to the result."""

    def __init__(
        self, dataset: Dataset, run: Run, display: Display, interruption: Interruption, devices: Devices
    ) -> None:
        self.dataset, self.run, self.display, self.interruption = dataset, run, display, interruption
        self.devices = devices

    def begin(self, max_minutes: float | None, samples: int) -> None:
        """Seed everything, and open the data."""
        import keras

        from seq2seq.models.architectures import most_steps_per_execution
        from seq2seq.models.schedule import level_updates
        from seq2seq.sampling.corpus import Corpus
        from seq2seq.training.cores import share_cores
        from seq2seq.training.epochs import Epochs, Feed
        from seq2seq.training.feed import RollBatches
        from seq2seq.training.metrics import Outside

        # The seed decides everything: weights, order of windows, shifts, dropout.
        run = self.run
        self.samples = samples
        self.parts = share_cores(run.config, run.settings.batch_size)
        keras.utils.set_random_seed(run.settings.seed)
        share = self.devices.process, self.devices.processes
        batches = RollBatches(self.dataset, run.config, run.settings, share=share)
        validation = RollBatches(self.dataset, run.config, split="validation")
        heavy = _multiplications(run.config, run.settings.batch_size) > HEAVY * 1e9
        self.updates = len(batches)
        # The state before the rate comes down is kept, so the first call must not pass it.
        most = min(most_steps_per_execution(), len(batches), level_updates(self.updates * run.settings.epochs))
        self.feed = Feed(batches, 1 if heavy else most)
        self.epochs: Epochs = Epochs(
            run,
            self.feed,
            validation,
            Outside(self.dataset, run.config),
            [],
            self.display,
            self.interruption,
            max_minutes,
        )
        self.epochs.devices = self.devices
        if samples:
            self.epochs.on_best = lambda epoch: self._sample(epoch, samples)
        self.epochs.facts = Corpus.of(self.dataset).to_dict()
        self.done = 0  # epochs of which all updates are done

    def _sample(self, epoch: int, count: int) -> None:
        """Let the best model so far make music; that it cannot must not end its training."""
        from seq2seq.training.listening import write_samples

        try:
            self.display.say(write_samples(self.run, epoch, count))
        except RollcoreError as error:
            self.display.say(f"no sample: {error}")

    def _fit_sampling(self) -> None:
        """Fit how music is drawn to the best model; that it cannot must not end its training."""
        from seq2seq.sampling.fitting import fit_run

        def look(done: int, of: int) -> None:
            self.display.status(f"sampling: {done / of:.0%}")
            if self.interruption.received:
                raise KeyboardInterrupt

        try:
            found = fit_run(self.run.weights, self.dataset, self.run.settings.seed, look)
        except RollcoreError as error:
            self.display.say(f"sampling keeps its defaults: {error}")
        else:
            if found is not None:
                self.display.say(f"sampling: {found}")

    def compile(self) -> None:
        """Build a new model."""
        import keras

        from seq2seq.models.architectures import build_model, wants_jit
        from seq2seq.models.layers import RollLoss

        config, settings = self.run.config, self.run.settings
        self.net = build_model(config)
        # Small batches at a high rate did best; warm-up and a short memory (beta_2) keep them stable.
        schedule = self._schedule()
        self.epochs.level = schedule.level
        adam = keras.optimizers.Adam(
            schedule, beta_2=0.99, global_clipnorm=1.0, use_ema=True, ema_momentum=self._momentum(settings)
        )
        self.net.compile(
            adam,
            RollLoss(config.low, config.high),
            jit_compile=wants_jit(),
            steps_per_execution=self.feed.at_once,
        )

    def resume(self, epochs: int | None) -> None:
        """Load the state to go on from, and find where in the run it is."""
        from seq2seq.models.architectures import load_model

        run, history = self.run, self.run.history(empty=True)
        self.net = load_model(run.last_model, run.config)
        whole, within, history = self._place(history)
        self._change(epochs, whole + bool(within))
        trained, schedule, level = self.net.optimizer._learning_rate, self._schedule(), False
        if trained.updates == schedule.updates:
            # Its rate may come down later than that of a run which had this length from the beginning.
            schedule = trained
        else:
            level = self._updates_done > trained.level
            if level:  # the rate came down towards another end: back to before that
                if not run.level_model.exists():
                    raise RunError(f"{run.path}: no {run.level_model.name} to go on from: train a new run")
                self.net = load_model(run.level_model, run.config)
                whole, within, _ = self._place(history, level=True)
            schedule = self._schedule(max(schedule.level, self._updates_done))
            since = f", from epoch {self._updates_done / self.updates:.3g}, before the rate came down" if level else ""
            self.display.say(f"{trained.updates // self.updates} epochs become {run.settings.epochs}{since}")
        self.net.optimizer.learning_rate = schedule
        self.net.optimizer.ema_momentum = self._momentum(run.settings)
        self.net.steps_per_execution = self.feed.at_once
        self.done = whole
        self.feed.batches.draw(whole)
        self.epochs.level = schedule.level
        self.epochs.history.extend(history)
        self.epochs.settled = epochs is None and out_of_patience(history, run.settings.patience)
        self.epochs.steps.found += [step for step in read_steps(run.updates) if step.update <= self._updates_done]
        self.epochs.begun = self.epochs.averaged = True
        if within:
            progress = run.progress(level=level)
            known = {name: float(progress.get(name, 0.0)) for name in ("loss", "seconds")}
            self.epochs.carried = {"batches": within, **known}

    @property
    def _updates_done(self) -> int:
        return int(self.net.optimizer.iterations)

    def _place(self, history: History, *, level: bool = False) -> tuple[int, int, History]:
        """Return the whole epochs and the batches of the next that the loaded state has had, and its history.

        Where a former training was killed, the history may be an epoch ahead of the state; that is left out.
        """
        done, progress = self._updates_done, self.run.progress(level=level)
        whole, within = divmod(done, self.updates)
        told = progress.get("updates") == done
        if not within and told:  # interrupted before it was scored
            whole, within = whole - 1, self.updates

        def scored(rows: History) -> int:
            return sum(row["epoch"] == int(row["epoch"]) <= whole for row in trunk(rows))

        if told and not level:
            history = history[: int(progress["rows"])]
        elif not level:
            while history and (history[-1]["epoch"] > whole or scored(history) != whole):
                history = history[:-1]
        if not done or scored(history) != whole:
            name = (self.run.level_model if level else self.run.last_model).name
            raise RunError(f"{self.run.path}: {name} is of no epoch that metrics.csv has: train the run again")
        return whole, within, history

    def _change(self, epochs: int | None, begun: int) -> None:
        """Give the run another number of epochs, of which *begun* have begun, and note where the dataset is now."""
        settings = self.run.settings
        if epochs is not None and epochs < begun:
            raise RunError(f"{self.run.path}: {begun} epochs are done, so it cannot become a run of {epochs}")
        self.run.change(dataclasses.replace(settings, epochs=epochs or settings.epochs), self.dataset)

    def _schedule(self, level: int | None = None) -> Any:
        from seq2seq.models.schedule import Schedule

        settings = self.run.settings
        return Schedule(settings.learning_rate, self.updates * settings.epochs, level)

    def _momentum(self, settings: TrainConfig) -> float:
        """Return the decay of the average; one over most of a run would hold on to the weights of its beginning."""
        updates = self.updates * settings.epochs
        return min(0.99, max(0.0, 1 - 5 / updates)) if settings.ema is None else settings.ema

    def fit(self, callbacks: Sequence[Any]) -> dict[str, Any]:
        """Train to the end, or until the time is up or someone interrupts it; return what `train` does."""
        run, epochs, last = self.run, self.epochs, self.run.settings.epochs
        self.net.parts = self.parts
        self._introduce()
        # Keras would put the averages over the weights at the end of a fit; here they have changed places by then.
        self.net.optimizer.finalize_variable_values = lambda variables: None
        interrupted = False
        try:
            if self.epochs.carried:
                self._finish_epoch(callbacks)
            if self.done < last and not epochs.stopped and not epochs.settled:
                self._fit(self.done, last, callbacks)
            in_time = time.monotonic() - epochs.began < epochs.limit_s
            if self.samples and in_time and not epochs.stopped:
                self._fit_sampling()
        except KeyboardInterrupt:
            if not epochs.begun:
                raise
            interrupted = True
        finally:
            self.display.close()
        interrupted = interrupted or (self.interruption.received and epochs.stopped)
        if interrupted:
            self.display.say(f"interrupted: {run.path} keeps what was learnt so far; --resume continues from there")
        history = epochs.history
        if history:
            self._tell_waiting(history)
        if history and not plot_losses({run.name: history}, run.loss_picture):
            self.display.say("no loss.png: matplotlib is not installed (pip install 'rollcore[plot]')")
        return {
            "history": history,
            "best_epoch": best_epoch(history) if history else None,
            "seconds": sum(row["seconds"] for row in history),
            "parameters": self.net.count_params(),
            "interrupted": interrupted,
        }

    def _tell_waiting(self, history: History) -> None:
        """Say which share of their time the updates waited for batches."""
        seconds = [row["seconds"] for row in history]
        waited = sum(row["waiting_share"] * row["seconds"] for row in history) / max(1e-9, sum(seconds))
        self.display.say(f"updates waited {waited:.1%} of the time for data")

    def _finish_epoch(self, callbacks: Sequence[Any]) -> None:
        """Go on with the epoch that a former training left before its end."""
        self.feed.skip = int(self.epochs.carried["batches"])
        if len(self.feed):
            self._fit(self.done, self.done + 1, callbacks)
        else:
            self.epochs.set_model(self.net)
            self.epochs.complete(self.done)
        self.done += 1
        self.feed.skip = 0
        self.feed.batches.draw(self.done)

    def _fit(self, first: int, last: int, callbacks: Sequence[Any]) -> None:
        self.net.fit(
            self.feed,
            initial_epoch=first,
            epochs=last,
            shuffle=False,
            verbose=0,
            callbacks=[self.epochs, *callbacks],
        )

    def _introduce(self) -> None:
        """Say what is trained, on what, and for how long."""
        config, settings, say = self.run.config, self.run.settings, self.display.say
        place = f"{self.run.facts['backend']} {self.run.facts['versions'].get(self.run.facts['backend'], '')}"
        cudnn = ", whose cuDNN takes the LSTM layers" if "CPU" not in self.run.facts["device"] else ""
        say(f"{place} on {self.run.facts['device']}{cudnn}")
        if self.devices.processes > 1:
            say(f"{self.devices.processes} processes take part")
        pitches = f"pitches {config.low} to {config.high}"
        say(f"{config.model}, {config.head}: {self.net.count_params():,} parameters, {pitches}")
        say(
            f"{self.updates * settings.batch_size:,} windows an epoch in {self.updates:,} batches of "
            f"{settings.batch_size}, {settings.epochs} epoch{'s' if settings.epochs > 1 else ''}"
        )
        if self.epochs.settled:
            say(f"{self.run.path}: it became no better after {self.done} epochs; --resume with more --epochs goes on")
        elif self.done >= settings.epochs:
            say(f"{self.run.path}: all {settings.epochs} epochs are done; --resume with a higher --epochs goes on")


def _multiplications(config: ModelConfig, batch_size: int) -> float:
    """Return about how many multiplications an update takes in the LSTM layers, backward pass included."""
    sequences = batch_size * (config.pitches if config.model == "tied" else 1)
    width = config.units if config.model == "tied" else max(config.units, len(config.planes) * config.pitches)
    frames = config.input_frames + config.target_frames
    return 3.0 * sequences * frames * config.layers * 4 * config.units * (width + config.units)
