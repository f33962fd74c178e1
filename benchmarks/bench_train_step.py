"""What a training takes on the CPU: target frames a second, the time to a loss, PyTorch beside it, and the feed.

A target frame is a frame that is predicted and learnt from; what a window reads before it is part of its price.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks import corpus, peers

if peers.available("torch"):
    # PyTorch's optimisers load it when first made; with TensorFlow in the process by then, that ends the process.
    import torch._dynamo  # noqa: F401

BATCH_SIZE = 64
N_FILES = 1000
FEED_SHARE_TARGET = 0.02
LOSS_WANTED, MOST_UPDATES = 5.0, 5000
TORCH = "PyTorch nn.LSTM, the batch unpacked by NumPy"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give a dataset of musical time, as the models' defaults expect it."""
    rollcore = pytest.importorskip("rollcore")
    out = tmp_path_factory.mktemp("train_step") / "out.h5"
    rollcore.build_dataset(corpus.corpus(N_FILES), out, steps_per_beat=4, planes="sounding")
    return rollcore.open_dataset(out)


@pytest.fixture(scope="module")
def midi_dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give a dataset as the commands make it by default, of both planes."""
    rollcore = pytest.importorskip("rollcore")
    out = tmp_path_factory.mktemp("train_step") / "both.h5"
    rollcore.build_dataset(corpus.corpus(N_FILES), out, steps_per_beat=4, planes=("sounding", "onset"))
    return rollcore.open_dataset(out)


@pytest.fixture(scope="module")
def sample_pack(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give the sample pack on the musical grid."""
    rollcore = pytest.importorskip("rollcore")
    folder = tmp_path_factory.mktemp("train_step")
    rollcore.make_chords(folder / "chords")
    rollcore.build_dataset(folder / "chords", folder / "chords.h5", steps_per_beat=4, planes="sounding")
    return rollcore.open_dataset(folder / "chords.h5")


def _prepare(dataset: Any, preset: str, *, batch_size: int = BATCH_SIZE, **options: Any) -> tuple[Any, Any, Any]:
    """Give a configuration, a freshly compiled model of it, and the batches that train it."""
    if not peers.available("keras"):
        pytest.skip("keras is not installed")
    import keras

    from seq2seq import ModelConfig, RollBatches, TrainConfig, build_model
    from seq2seq.models.layers import RollLoss
    from seq2seq.training.cores import share_cores

    keras.utils.set_random_seed(0)
    head = "bernoulli" if preset == "blog" else "autoregressive"
    # Echoes are the dearest part of a batch: `tied` has them, although it would not by default on this grid.
    config = dataclasses.replace(ModelConfig(), model=preset, head=head, echo=4096 if preset == "tied" else 0)
    parts = share_cores(config, batch_size)
    model = build_model(config)
    model.parts = parts
    model.compile(optimizer=keras.optimizers.Adam(), loss=RollLoss(config.low, config.high), **options)
    return config, model, RollBatches(dataset, config, TrainConfig(batch_size=batch_size))


# A process that makes an update whenever it is told to, and says how much processor time that took.
UPDATES = """
import sys, time
if sys.argv[1] == "its own":
    import tensorflow
    tensorflow.constant(1.0) + 1.0  # it has begun: nobody tells it any more how to use its threads
import rollcore
from benchmarks.bench_train_step import _prepare
_, model, batches = _prepare(rollcore.open_dataset(sys.argv[2]), sys.argv[3], batch_size=int(sys.argv[4]))
batch = batches[0]
for line in sys.stdin:
    began = time.process_time()
    model.train_on_batch(*batch)
    print(time.process_time() - began, flush=True)
"""
IN_PARTS, ITS_OWN = "a thread for each operation, the batch in parts", "TensorFlow's own threads, the batch whole"


@contextlib.contextmanager
def _updates(threads: str, dataset: Any, preset: str, batch_size: int) -> Iterator[Any]:
    """Give a function that makes an update in another process, and returns the processor time."""
    command = [sys.executable, "-c", UPDATES, threads, str(dataset.path), preset, str(batch_size)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def update() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield update
        process.stdin.close()


@pytest.mark.parametrize(
    "preset", ["blog", *(pytest.param(preset, marks=pytest.mark.only_full) for preset in ("seq2seq", "tied"))]
)
def test_feed_share(race: Any, dataset: Any, preset: str) -> None:
    config, model, batches = _prepare(dataset, preset)
    batch = batches[0]
    turn = iter(range(1 << 30))
    race(
        {
            "feed: one batch from the mapped dataset": lambda: batches[next(turn) % len(batches)],
            f"seq2seq, update of {preset}": lambda: float(model.train_on_batch(*batch)),
        },
        question=f"Feeding and updating `{preset}`, {config.head} head, batch {BATCH_SIZE}, "
        f"{config.input_frames} + {config.target_frames} frames{', with echoes' * (config.echo > 0)}",
        unit="batch",
        rounds=15,
        quick_rounds=7,
        targets={f"seq2seq, update of {preset}": 1 / FEED_SHARE_TARGET},
    )


@pytest.mark.only_full
@pytest.mark.parametrize("preset", ["blog", "seq2seq"])
def test_torch(race: Any, dataset: Any, preset: str) -> None:
    """The same architecture with the same weights in Keras and in PyTorch."""
    if not peers.available("torch"):
        pytest.skip("torch is not installed")
    from benchmarks.torch_models import Peer

    config, model, batches = _prepare(dataset, preset)
    batch = batches[0]
    other = Peer(model)
    assert other.weights == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    ours = float(model.test_on_batch(*batch))
    assert abs(ours - other.evaluate(*batch)) < 1e-4 * ours
    race(
        {"Keras": lambda: float(model.train_on_batch(*batch)), TORCH: lambda: other.update(*batch)},
        question=f"One update of `{preset}`, batch {BATCH_SIZE}, Keras over TensorFlow and PyTorch",
        unit="target frame",
        units=BATCH_SIZE * config.target_frames,
        rounds=15,
        targets={TORCH: 1.0},
    )


@pytest.mark.only_full
def test_presets(race: Any, midi_dataset: Any) -> None:
    """Target frames a second of each preset, and of the settings of version 0.1."""
    if not peers.available("keras"):
        pytest.skip("keras is not installed")
    import keras

    from seq2seq import RollBatches, TrainConfig, build_model, model_config
    from seq2seq.models.layers import RollLoss
    from seq2seq.training.cores import share_cores
    from seq2seq.training.presets import recipe

    def contender(config: Any, settings: Any) -> tuple[Any, float]:
        keras.utils.set_random_seed(0)
        parts = share_cores(config, settings.batch_size)
        model = build_model(config)
        model.parts = parts
        model.compile(optimizer=keras.optimizers.Adam(), loss=RollLoss(config.low, config.high))
        batch = RollBatches(midi_dataset, config, settings)[0]
        model.train_on_batch(*batch)
        spent[config] = processor_time(lambda: model.train_on_batch(*batch))
        return lambda: float(model.train_on_batch(*batch)), settings.batch_size * config.target_frames

    def processor_time(call: Any, times: int = 3) -> float:
        began = time.process_time()
        for _ in range(times):
            call()
        return (time.process_time() - began) / times

    spent: dict[Any, float] = {}
    recipes = {f"seq2seq, preset {name}": recipe(midi_dataset, name) for name in ("standard", "quick", "large")}
    recipes["seq2seq, the settings of version 0.1"] = model_config(midi_dataset), TrainConfig(batch_size=8)
    contenders = {name: contender(*configs) for name, configs in recipes.items()}
    low, high = recipes["seq2seq, preset standard"][0].low, recipes["seq2seq, preset standard"][0].high
    race(
        contenders,
        question=f"Learning a target frame with `tied`, both planes, pitches {low} to {high}, 4 steps a beat",
        unit="target frame",
        rounds=5,
    )
    for name, (config, _) in recipes.items():
        race.fact(f"{name}: target frames a CPU second", contenders[name][1] / spent[config], "")


@pytest.mark.only_full
def test_time_to_a_loss(race: Any, sample_pack: Any) -> None:
    """Build and train `seq2seq` until the validation loss of the sample pack is down, in Keras and in PyTorch."""
    if not peers.available("torch"):
        pytest.skip("torch is not installed")
    from benchmarks.torch_models import Peer
    from seq2seq import RollBatches, TrainConfig

    def train(kind: str) -> int:
        config, model, _ = _prepare(sample_pack, "seq2seq", steps_per_execution=8)
        batches = RollBatches(sample_pack, config, TrainConfig(batch_size=8))
        validation = list(RollBatches(sample_pack, config, split="validation", batch_size=64))
        counted = [float(weights.sum()) for _, _, weights in validation]
        learner = model if kind == "Keras" else Peer(model)
        updates = 0
        while updates < MOST_UPDATES:
            if kind == "Keras":
                learner.fit(batches, shuffle=False, verbose=0)  # it draws the next epoch
                nats = [float(learner.test_on_batch(*batch)) for batch in validation]
            else:
                for index in range(len(batches)):
                    learner.update(*batches[index])
                batches.on_epoch_end()
                nats = [learner.evaluate(*batch) for batch in validation]
            updates += len(batches)
            if np.average(nats, weights=counted) <= LOSS_WANTED:
                break
        return updates

    def check(results: dict[str, int]) -> None:
        # The same model on the same batches: but for the dropout, the same training.
        assert abs(results["Keras"] - results[TORCH]) < 0.35 * results["Keras"]

    race(
        {"Keras": lambda: train("Keras"), TORCH: lambda: train(TORCH)},
        question=f"`seq2seq` trained on the sample pack to {LOSS_WANTED} nats a frame of its validation split",
        unit="training",
        check=check,
        rounds=3,
        targets={TORCH: 1.0},
    )


@pytest.mark.only_full
@pytest.mark.parametrize(("preset", "batch_size"), [("tied", 4), ("seq2seq", BATCH_SIZE), ("blog", BATCH_SIZE)])
def test_parts(race: Any, dataset: Any, preset: str, batch_size: int) -> None:
    """A batch in parts side by side against TensorFlow's way to use the cores: it can be told only once a process."""
    if not peers.available("tensorflow"):
        pytest.skip("tensorflow is not installed")
    used: dict[str, list[float]] = {IN_PARTS: [], ITS_OWN: []}
    with contextlib.ExitStack() as stack:
        ways = {IN_PARTS: "parts", ITS_OWN: "its own"}
        updates = {name: stack.enter_context(_updates(way, dataset, preset, batch_size)) for name, way in ways.items()}
        for update in updates.values():
            update()  # the first one compiles
        race(
            {name: lambda name=name: used[name].append(updates[name]()) for name in ways},
            question=f"One update of `{preset}`, batch {batch_size}, on all cores",
            unit="update",
            rounds=15,
        )
    for name, seconds in used.items():
        race.fact(f"{name}: processor time", 1000 * statistics.median(seconds), "ms")


@pytest.mark.only_full
@pytest.mark.parametrize("preset", ["blog", "seq2seq"])
def test_fused(race: Any, dataset: Any, preset: str) -> None:
    """TensorFlow's fused LSTM against Keras's loop, a thread for each operation."""
    _, fused, batches = _prepare(dataset, preset)
    _, loop, _ = _prepare(dataset, preset)
    batch = batches[0]
    from seq2seq.models.recurrence import LSTM

    for model, is_fused in ((fused, True), (loop, False)):
        for layer in model._flatten_layers(include_self=False):
            if isinstance(layer, LSTM):
                layer.__dict__["_fused"] = is_fused

    def check(results: dict[str, Any]) -> None:
        assert abs(results["fused"] - results["loop"]) < 0.05 * results["loop"]

    race(
        {"fused": lambda: float(fused.train_on_batch(*batch)), "loop": lambda: float(loop.train_on_batch(*batch))},
        question=f"One update of `{preset}`, batch {BATCH_SIZE}, TensorFlow's fused LSTM and Keras's loop",
        unit="update",
        check=check,
        rounds=15,
    )


@pytest.mark.only_full
def test_fit(race: Any, dataset: Any) -> None:
    """A whole `fit`, feed and all, against the same updates on one batch that is always at hand."""
    _, model, batches = _prepare(dataset, "blog")
    n_updates = min(40, len(batches))
    batch = batches[0]

    import keras

    class Same(keras.utils.PyDataset):
        def __len__(self) -> int:
            return n_updates

        def __getitem__(self, index: int) -> Any:
            return batch

    class Some(Same):
        def __getitem__(self, index: int) -> Any:
            return batches[index]

    def fit(feed: Any) -> None:
        model.fit(feed, epochs=1, verbose=0)

    race(
        {"fed from the mapped dataset": lambda: fit(Some()), "floor: one batch, over and over": lambda: fit(Same())},
        question=f"`fit`, {n_updates} updates of `blog` at batch {BATCH_SIZE}",
        unit="update",
        units=n_updates,
        rounds=9,
        targets={"floor: one batch, over and over": 0.98},
    )
