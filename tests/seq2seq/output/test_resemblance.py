"""Sets that are alike, sets that are not, and copies."""

from __future__ import annotations

import numpy as np
import pytest

from made_music import melody, phrases
from seq2seq.output.resemblance import (
    FEATURES,
    Memory,
    compare_sets,
    distributions,
    features,
    frechet,
    neighbour_accuracy,
    overlap,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_the_frechet_distance_of_gaussians_is_known(rng):
    """Of diagonal covariances it is the sum of (m1 - m2)^2 + (s1 - s2)^2 over the axes."""
    sample = rng.standard_normal((4000, 3))
    sample = (sample - sample.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(sample, rowvar=False, ddof=0))).T
    left, right = sample * [1, 2, 3] + [0, 0, 1], sample * [2, 2, 1] + [3, 0, 0]
    assert frechet(left, right) == pytest.approx(9 + 1 + 1 + 0 + 4, rel=1e-9)
    assert frechet(left, left) == pytest.approx(0, abs=1e-9)


def test_neighbours_tell_apart_what_lies_apart(rng):
    near = rng.standard_normal((60, 4))
    assert neighbour_accuracy(near, near + 100) == 1
    mixed = [neighbour_accuracy(*rng.standard_normal((2, 60, 4))) for _ in range(20)]
    assert np.mean(mixed) == pytest.approx(0.5, abs=0.06)
    # Twins across the sets: each is nearest to its twin, so that none is right.
    assert neighbour_accuracy(near, near + 1e-9) == 0


def test_overlap_is_one_for_the_same_and_none_for_what_is_far(rng):
    near = list(rng.normal(0, 1, (30, 5)))
    assert overlap(list(rng.normal(0, 1, (30, 5))), near) > 0.9
    assert overlap(list(rng.normal(50, 1, (30, 5))), near) < 0.01


def test_overlap_is_the_area_that_two_densities_share():
    """Real pieces at 0, 1 and 3 on a line have the distances 1, 2, 3; a sample at 3.5 has 3.5, 2.5 and 0.5."""
    real, made = [np.array([0.0]), np.array([1.0]), np.array([3.0])], [np.array([3.5])]

    def density(values, x):
        width = np.std(values) * len(values) ** -0.2
        return sum(np.exp(-0.5 * ((x - v) / width) ** 2) / (width * np.sqrt(2 * np.pi)) for v in values) / len(values)

    x = np.linspace(-20, 20, 40001)
    area = np.minimum(density([1, 3, 2], x), density([3.5, 2.5, 0.5], x)).sum() * (x[1] - x[0])
    assert overlap(made, real) == pytest.approx(area, abs=0.01)


def test_alike_sets_have_a_ratio_of_one_and_others_have_not(rng):
    real = rng.standard_normal((80, 6))
    same, other = compare_sets(rng.standard_normal((20, 6)), real), compare_sets(rng.standard_normal((20, 6)) + 3, real)
    assert same["frechet ratio"]["low"] < 1.3
    assert same["neighbour accuracy"]["mean"] == pytest.approx(0.5, abs=0.15)
    assert other["frechet ratio"]["low"] > 5
    assert other["neighbour accuracy"]["mean"] > 0.95
    assert same["pieces"]["mean"] == 20
    assert compare_sets(real[:1], real) == {}


def test_features_and_distributions_do_not_change_with_the_order_of_keys():
    one = phrases([0, 1, 2, 3, 0, 1, 2, 4])
    assert features(one).shape == (len(FEATURES),)
    found = dict(zip(FEATURES, features(one), strict=True))
    assert found["notes a beat"] == 1
    assert found["notes at a time"] == 1
    assert found["mean length of a note, beats"] == 1
    assert found["spread of the times between onsets, beats"] == 0
    assert found["bar again after 4"] == pytest.approx(3 / 4)
    for counts in distributions(one).values():
        assert counts.sum() == pytest.approx(1)


def test_what_is_copied_is_found_in_any_key(rng):
    training = [melody(rng.integers(50, 80, 60), length=2) for _ in range(5)]
    memory = Memory(training)
    source = np.nonzero(training[3].onset)[1]
    copied = melody([*rng.integers(50, 80, 10), *(source[20:45] + 3), *rng.integers(50, 80, 10)], length=2)
    # 25 notes of 45; a note beside them may go on as the source does by chance, in one interval of thirty.
    assert memory.copied(copied) == pytest.approx(25 / 45, abs=0.05)
    assert 25 <= memory.longest(copied) <= 27
    assert memory.copied(training[0]) == 1
    assert memory.longest(training[0]) == 60


def test_what_only_has_the_same_pitches_is_not_copied(rng):
    pitches = rng.integers(50, 80, 60)
    memory = Memory([melody(pitches, length=2)])
    assert memory.copied(melody(pitches, length=4)) == 0
    assert memory.copied(melody(rng.integers(50, 80, 60), length=2)) == 0
    assert np.isnan(memory.copied(melody(pitches[:5], length=2)))


def test_no_run_goes_from_one_training_piece_into_the_next(rng):
    first, second = rng.integers(50, 80, 20), rng.integers(50, 80, 20)
    memory = Memory([melody(first, length=2), melody(second, length=2)])
    assert memory.longest(melody([*first, *second], length=2)) <= 21
