"""Devices: what the environment tells of other processes, and what the processes do together."""

from __future__ import annotations

import dataclasses

import pytest

from seq2seq.errors import ConfigError, RunError
from seq2seq.training.devices import Devices, _others, join

GIVEN = {"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}


@dataclasses.dataclass(frozen=True)
class Another(Devices):
    """One of two processes; the other one says `other` whenever it is asked."""

    other: int = 0

    def most(self, value):
        return max(value, self.other)


def test_the_environment_tells_of_other_processes():
    assert _others({}) is None
    assert _others(GIVEN) == ("10.0.0.1:1234", 4, 3)
    assert _others({**GIVEN, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}) is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"JAX_PROCESS_ID": ""}, "JAX_PROCESS_ID not set; needed are JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES"),
        ({"JAX_PROCESS_ID": "4"}, "JAX_PROCESS_ID=4, JAX_NUM_PROCESSES=4: expected numbers from 0 to one less"),
        ({"JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID=-1"),
        ({"JAX_NUM_PROCESSES": "four"}, "JAX_NUM_PROCESSES=four"),
        ({"JAX_COORDINATOR_ADDRESS": "10.0.0.1"}, "JAX_COORDINATOR_ADDRESS=10.0.0.1: expected HOST:PORT"),
    ],
)
def test_what_the_environment_tells_by_half_is_refused(wrong, told):
    with pytest.raises(ConfigError, match=told):
        join(environ={**GIVEN, **wrong})


def test_one_device_needs_nothing():
    assert join(environ={}) == join("one", environ={}) == Devices(1, 0, 1)


def test_several_processes_use_all_devices():
    with pytest.raises(ConfigError, match="JAX_COORDINATOR_ADDRESS is set, so all devices"):
        join("one", environ=GIVEN)


@pytest.mark.parametrize(("choice", "environ"), [("all", {}), (None, GIVEN)])
def test_several_devices_are_for_jax_alone(choice, environ):
    keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")
    if keras.config.backend() == "jax":
        pytest.skip("the backend is JAX")
    with pytest.raises(ConfigError, match=r"one process uses one device on \w+: set KERAS_BACKEND=jax"):
        join(choice, environ=environ)


def test_another_choice_is_refused():
    with pytest.raises(ConfigError, match="devices must be one of one, all, not 'two'"):
        join("two")


def test_a_batch_is_shared_out_evenly():
    Devices(4).check(8)
    with pytest.raises(ConfigError, match="batch_size 8 cannot be shared by 3 devices: choose a multiple of 3"):
        Devices(3).check(8)


def test_the_first_process_writes_the_run_itself(tmp_path):
    with Devices(2, 0, 2).folder(tmp_path / "run", resume=True) as folder:
        assert folder == tmp_path / "run"


def test_other_processes_write_a_copy_that_is_thrown_away(tmp_path):
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    for name in ("config.json", ".lock", "samples/a.mid"):
        (run / name).write_text("as it was")
    with Devices(2, 1, 2).folder(run, resume=True) as folder:
        assert folder.name == "run"
        assert [path.name for path in folder.iterdir()] == ["config.json"]
        (folder / "config.json").write_text("changed")
    assert (run / "config.json").read_text() == "as it was"
    assert not folder.exists()
    with Devices(2, 1, 2).folder(run, resume=False) as folder:
        assert not folder.exists()
    missing = tmp_path / "elsewhere"
    with pytest.raises(RunError, match="not there for process 1"), Devices(2, 1, 2).folder(missing, resume=True):
        pass


def test_processes_begin_together_or_not_at_all():
    with Another(2, 1, 2).together():
        pass
    with pytest.raises(RunError, match="another process could not begin"), Another(2, 1, 2, other=1).together():
        pass
    with pytest.raises(ConfigError, match="mine"), Another(2, 1, 2, other=1).together():
        raise ConfigError("mine")


def test_processes_that_were_given_the_same_go_on():
    Another(2, 0, 2, other=-(2**40)).compare("data", 1)
    with pytest.raises(RunError, match="given different data or settings"):
        Another(2, 0, 2, other=2**40).compare("data", 1)


def test_how_many_devices_is_shown():
    assert Devices().describe("CPU") == "CPU"
    assert Devices(2).describe("CPU") == "2 x CPU"
