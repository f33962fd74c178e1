"""Evaluate a run: nats per frame, precision, recall and F1, beside three baselines.

Every frame of every piece of the split is predicted once, from its past alone; docs/evaluation.md is the protocol.
DATA is the dataset that the run was trained on, if not given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollcore import DatasetError
from rollcore.storage import is_there, origin
from seq2seq.errors import ConfigError
from seq2seq.run import Run

if TYPE_CHECKING:
    from rollcore import Dataset
    from seq2seq.sampling.endings import Endings

SPLITS = ("train", "validation", "test")


def evaluate(
    run_dir: str | Path, data: str | Path | None = None, *, split: str = "test", hop: int | None = None
) -> dict[str, Any]:
    """Return the figures of a run's best model, and of the baselines, on a split of a dataset.

    Parameters
    ----------
    run_dir : path
        A run folder; best.keras in it is evaluated.
    data : path, optional
        The dataset; that of the run by default. The baselines are fitted on its training split.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    hop : int, optional
        Frames from window to window: all but the first frames of a piece have at least the input and *target -
        hop* frames as their past. Half the target's length by default; for ``blog`` all of it.

    Returns
    -------
    dict
        ``"run"``, ``"data"``, ``"fingerprint"``, ``"trained_on_it"``, ``"split"``, ``"hop"``, and ``"scores"``: for
        ``"model"``, ``"unigram"``, ``"markov"`` and ``"repeat"`` the figures of
        :class:`seq2seq.training.metrics.Score`. The threshold behind precision, recall and F1 is fitted, on the
        validation split for the model. ``"given_others"``: for each voice of a model that predicts voices one after
        the other, its nats per frame where the other voices of the frame are known. ``"endings"``: where the pieces
        end, in nats a piece, which their frames do not say: ``"model"`` and ``"mean_length"``, which knows no more
        than how long the training pieces of *data* are on average; None where no training piece has two frames, or the
        run has no weights for sampling.

    Raises
    ------
    DatasetError
        If the dataset cannot be read, does not fit the run, or its split is empty.
    RunError
        If the run or its model cannot be read.
    ConfigError
        If *hop* is out of range.
    """
    import rollcore
    from seq2seq.models.architectures import load_model
    from seq2seq.sampling.generator import Generator
    from seq2seq.training.cores import share_cores
    from seq2seq.training.feed import SCORED_AT_ONCE, RollBatches
    from seq2seq.training.metrics import Outside, fit_threshold, score_baselines, score_model, score_orders

    run = Run.open(run_dir)
    if data is None and not is_there(run.dataset["path"]):
        raise DatasetError(f"{run.dataset['path']}: the dataset of the run is gone: name it as DATA")
    dataset = rollcore.open_dataset(data or run.dataset["path"])
    config = run.config
    parts = share_cores(config, SCORED_AT_ONCE)
    model = load_model(run.best_model, config)
    model.parts = parts
    if tuple(dataset.planes) != config.planes or dataset.grid != run.grid:
        raise DatasetError(
            f"{origin(dataset.path)}: {'+'.join(dataset.planes)} at {dataset.grid}, but the run reads "
            f"{'+'.join(config.planes)} at {run.grid}: build the dataset so"
        )
    # `blog` predicts a window at once: a later start would not lengthen a frame's past.
    if config.model == "blog" and hop not in (None, 0, config.target_frames):
        raise ConfigError(
            f"hop {hop}: model blog predicts a window at once, and its windows do not overlap: leave it out"
        )
    hop = hop or (config.target_frames if config.model == "blog" else max(1, config.target_frames // 2))
    if not 1 <= hop <= config.target_frames:
        raise ConfigError(f"hop {hop} would leave frames out: at most {config.target_frames}, the target's length")
    batches = RollBatches(dataset, config, split=split, hop=hop)
    threshold = fit_threshold(model, RollBatches(dataset, config, split="validation", hop=hop))
    outside = Outside(dataset, config)
    endings = _endings(Generator.load(run_dir).corpus.endings, dataset, split) if run.weights.exists() else None
    scores = {"model": score_model(model, batches, outside, threshold)}
    scores.update(score_baselines(dataset, config, split))
    # Where pitches are independent of each other given the past, other voices of the frame tell nothing.
    given = {}
    if config.voices and config.head == "autoregressive":
        for first, score in enumerate(score_orders(model, dataset, split, hop, outside)):
            last = config.voices[first - 1]
            given[last] = float(score.voices[last].mean())
    return {
        "run": origin(run_dir),
        "data": origin(dataset.path),
        "fingerprint": dataset.fingerprint,
        "trained_on_it": dataset.fingerprint == run.dataset["fingerprint"],
        "split": split,
        "hop": hop,
        "scores": {name: score.to_dict() for name, score in scores.items()},
        "given_others": given,
        "endings": endings,
    }


def _endings(endings: Endings | None, dataset: Dataset, split: str) -> dict[str, float] | None:
    """Return the nats a piece of where the pieces of a split end."""
    from seq2seq.sampling.corpus import metre_in
    from seq2seq.sampling.endings import constant_nats

    pieces, lengths = dataset.split(split), dataset.pieces["frames"]
    known = float(lengths[dataset.split("train")].mean())
    if endings is None or known <= 1:
        return None
    return {
        "model": endings.nats_of((dataset.rows(int(i)), metre_in(dataset, int(i))) for i in pieces),
        "mean_length": constant_nats(known, float(lengths[pieces].mean())),
    }
