"""Requests: which values are refused, and which pitches they leave."""

from __future__ import annotations

import numpy as np
import pytest

from seq2seq.errors import ConfigError
from seq2seq.sampling.request import Request
from untrained import generate


@pytest.mark.parametrize("signature", [(4, 0), (-3, 4), (4, 3), (300, 4), (4.5, 4)])
def test_time_signatures_that_are_none(untrained_run, tmp_path, signature):
    with pytest.raises(ConfigError, match="time signature must be"):
        generate(untrained_run, tmp_path, time_signature=signature)


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 4.5},
        {"frames": True},
        {"seconds": "many"},
        {"seed": None},
        {"num_outputs": 10**12},
        {"scale": 5},
        {"primer": 2.5},
        {"melody": 3},
        {"tempo_bpm": float("inf")},
        {"temperature": "hot"},
        {"top_p": None},
        {"time_signature": 4},
    ],
)
def test_a_wrong_request_is_told_in_one_line(wrong):
    with pytest.raises(ConfigError) as caught:
        Request(**wrong)
    assert "\n" not in str(caught.value)


def test_scale_and_range_leave_the_pitches_of_both():
    assert Request().allowed().all()
    allowed = Request(scale="D dorian", pitch_range="C4:C5").allowed()
    assert np.flatnonzero(allowed).tolist() == [60, 62, 64, 65, 67, 69, 71, 72]


def test_bounds_themselves_are_taken():
    request = Request(frames=2**31 - 1, temperature=0, top_p=1, tempo_bpm=4, candidates=1000, seed=10**30)
    assert (request.frames, request.candidates, request.seed) == (2**31 - 1, 1000, 10**30)
    for wrong in ({"frames": 2**31}, {"tempo_bpm": 3.99}, {"candidates": 1001}, {"top_p": 1.01}):
        with pytest.raises(ConfigError, match=next(iter(wrong)).partition("_")[0]):
            Request(**wrong)
