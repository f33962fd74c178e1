"""The comparison with the stored ratios: what fails a quick run, and what does not."""

import importlib.util
import json

import numpy as np
import pytest
from benchmarks import bench_gpu, report


def write_run(folder, **ratios):
    """Write what a run of bench_parse.py leaves, with these ratios to the peers."""
    info = {
        "seconds": {"rollcore": {"median": 1.0}},
        "ratios": {name: {"median": ratio} for name, ratio in ratios.items()},
    }
    run = {"machine_info": {"seed_files": "real files"}, "benchmarks": [{"name": "test_notes", "extra_info": info}]}
    (folder / "parse.json").write_text(json.dumps(run))


@pytest.fixture(autouse=True)
def baseline(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "BASELINE", tmp_path / "baseline.json")


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def test_a_ratio_may_lose_30_percent_and_no_more(results):
    write_run(results, mido=200.0)
    report.save_baseline(results)
    write_run(results, mido=141.0)
    assert report.compare(results) == {}
    write_run(results, mido=139.0)
    (lost,) = report.compare(results).items()
    assert lost[0] == ("parse", "test_notes, real files", "mido")
    assert "139 times, stored 200 times" in lost[1]


def test_the_baseline_keeps_the_lowest_of_the_runs_it_was_given(results):
    for ratio in (3.0, 2.0, 4.0):
        write_run(results, symusic=ratio)
        report.save_baseline(results)
    write_run(results, symusic=1.5)
    assert report.compare(results) == {}
    write_run(results, symusic=1.3)
    assert [name for _, _, name in report.compare(results)] == ["symusic"]


def test_floors_our_own_variants_and_what_was_never_stored_fail_nothing(results):
    write_run(results, **{"floor: memcpy": 0.5, "rollcore, out= kept": 0.8, "seq2seq, 8 outputs": 0.4})
    report.save_baseline(results)
    names = ("floor: memcpy", "rollcore, out= kept", "seq2seq, 8 outputs", "a new peer")
    write_run(results, **dict.fromkeys(names, 0.1))
    assert report.compare(results) == {}


# What bench_gpu.py does on a GPU, on the CPU here.
tensorflow = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="tensorflow is not installed")


@tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_worker_makes_an_update_for_each_line(policy):
    with bench_gpu.worker("tensorflow", "blog", 2, policy) as update:
        losses = [update() for _ in range(3)]
    assert np.isfinite(losses).all()
    assert losses[2] < losses[0]


@tensorflow
def test_the_lstms_that_race_compute_the_same():
    cudnn, generic = (call() for call in bench_gpu.lstms(4, 3, 2).values())
    assert len(cudnn) == 4
    for ours, theirs in zip(cudnn, generic, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
