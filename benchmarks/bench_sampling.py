"""Generating music: frames per second for one output and for a batch, and whether a step stays what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import peers

# 4 steps a beat at 120 beats per minute are 8 frames a second of music.
FRAMES_PER_SECOND_OF_MUSIC = 8
TIMES_REAL_TIME = 100
FRAMES, BATCH = 200, 8


@pytest.fixture(scope="module")
def sampler() -> Callable[..., Any]:
    """Give what makes a sampler of an untrained model: it plays some 8 % of all pitches, more than music does."""
    if not peers.available("keras"):
        pytest.skip("keras is not installed")
    import keras

    from seq2seq import ModelConfig, build_model
    from seq2seq.models.config import MUSICAL_PERIODS
    from seq2seq.models.weights import arrays_of
    from seq2seq.sampling.sampler import Sampler

    def make(**changes: Any) -> Any:
        keras.utils.set_random_seed(0)
        fields = {"planes": ("sounding", "onset"), "periods": MUSICAL_PERIODS, **changes}
        if fields.get("model", "tied") == "tied":
            # What `seq2seq-train` makes of a dataset of 4 steps a beat.
            fields.update(lags=(12, 16, 24, 32, 48, 64), echo=4096)
        config = ModelConfig(**fields)
        return Sampler(config, arrays_of(build_model(config)))

    return make


def _primer(frames: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    bits = (rng.random((frames, 2, 128)) < 0.03).astype(np.uint8)
    bits[:, 1] &= bits[:, 0]
    return np.packbits(bits, axis=-1, bitorder="little")


def test_frames_per_second(race: Any, sampler: Any) -> None:
    """The default model: one output, a batch, steered."""
    from seq2seq.output.theory import scale_mask
    from seq2seq.sampling.sampler import Steering

    made = sampler()
    primer = _primer(made.config.input_frames)
    steering = Steering(allowed=scale_mask("A minor"), max_polyphony=4)

    def drawn(outputs: int = 1, **options: Any) -> tuple[Callable[[], object], int]:
        return lambda: made.sample(primer, FRAMES, outputs=outputs, **options), FRAMES * outputs

    contenders = {
        "seq2seq, one output": drawn(),
        f"seq2seq, {BATCH} outputs": drawn(BATCH),
        "seq2seq, one output in a scale, 4 notes at most": drawn(steering=steering),
    }
    race(
        contenders,
        question=f"Generating with `tied`, autoregressive head, {made.config.pitches} pitches, onsets, "
        f"{made.config.input_frames} + {made.config.target_frames} frames",
        unit="frame",
        rate_target=TIMES_REAL_TIME * FRAMES_PER_SECOND_OF_MUSIC,
        rounds=9,
        quick_rounds=3,
    )


@pytest.mark.parametrize("preset", ["seq2seq", "blog"])
def test_other_models(race: Any, sampler: Any, preset: str) -> None:
    made = sampler(model=preset, head="bernoulli" if preset == "blog" else "autoregressive")
    primer = _primer(made.config.input_frames)
    race(
        {
            "seq2seq, one output": (lambda: made.sample(primer, FRAMES), FRAMES),
            f"seq2seq, {BATCH} outputs": (lambda: made.sample(primer, FRAMES, outputs=BATCH), FRAMES * BATCH),
        },
        question=f"Generating with `{preset}`, {made.config.head} head",
        unit="frame",
        rate_target=TIMES_REAL_TIME * FRAMES_PER_SECOND_OF_MUSIC,
        rounds=9,
        quick_rounds=3,
    )


@pytest.mark.only_full
def test_a_long_piece(race: Any, sampler: Any) -> None:
    """10,000 frames, more than twenty minutes of music: the time and the memory of each."""
    made = sampler()
    primer = _primer(made.config.input_frames)

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096

    made.sample(primer, 1000)
    before, start = resident(), time.perf_counter()
    made.sample(primer, 10_000)
    seconds = time.perf_counter() - start
    race.fact("memory that 10,000 frames leave behind", (resident() - before) / 2**20, "MiB", "< 4")
    race.fact("seconds for 10,000 frames, 20.8 minutes of music", seconds, "s", "< 12.5")
    race(
        {
            "seq2seq, 1,000 frames": (lambda: made.sample(primer, 1000), 1000),
            "seq2seq, 2,000 frames": (lambda: made.sample(primer, 2000), 2000),
        },
        question="Does a frame cost more the longer the piece?",
        unit="frame",
        rounds=5,
    )
