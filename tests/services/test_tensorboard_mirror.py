"""Events for TensorBoard, read back by its own reader."""

import io
import subprocess
import sys
import wave

import numpy as np
import pytest

from fake_runs import losses, write_run
from seq2seq.run import TRAIN, VALIDATION, Run
from seq2seq.steps import Step, Steps

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="TensorBoard is not installed: pip install 'rollcore[tensorboard]'",
)


def read(run):
    everything = {kind: 0 for kind in ("scalars", "images", "audio", "tensors")}
    found = accumulator.EventAccumulator(str(run.path / "tensorboard"), size_guidance=everything)
    found.Reload()
    return found


def values(found, tag):
    return [(event.step, event.value) for event in found.Scalars(tag)]


@pytest.fixture
def mirror():
    from seq2seq.training.tensorboard_mirror import TensorboardMirror

    return TensorboardMirror


def test_what_is_written_is_read_back(tmp_path, mirror):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from PIL import Image
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    from rollcore import plot_roll

    evaluation = {"split": "test", "scores": {"model": {"nats_per_frame": 1.75, "f1": 0.625}}}
    history = losses(4)
    run = write_run(tmp_path / "a", history, samples=1, evaluation=evaluation)
    plot_roll(np.zeros((40, 1, 16), np.uint8), run.grid, str(run.loss_picture))
    writing = mirror()
    noted = Steps([Step(8, 3.5, 1e9)])
    noted.write(run.updates)
    writing.send(run)
    noted.found.append(Step(16, 3.25, 1e9 + 1))
    noted.write(run.updates)
    writing.send(run)
    writing.finish(run, "FINISHED")
    found = read(run)
    assert values(found, f"epoch/{VALIDATION}") == [(k + 1, pytest.approx(loss)) for k, (_, loss) in enumerate(history)]
    assert values(found, f"epoch/{TRAIN}") == [(k + 1, pytest.approx(loss)) for k, (loss, _) in enumerate(history)]
    assert values(found, "updates/loss") == [(8, 3.5), (16, 3.25)]
    assert (values(found, "test/nats_per_frame"), values(found, "test/f1")) == ([(4, 1.75)], [(4, 0.625)])
    (picture,) = found.Images("losses")
    assert picture.encoded_image_string == run.loss_picture.read_bytes()
    assert (picture.width, picture.height) == Image.open(io.BytesIO(picture.encoded_image_string)).size
    (roll,) = found.Images("samples/epoch-1")
    assert roll.encoded_image_string.startswith(b"\x89PNG")
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert (settings["units"].number_value, settings["model"].string_value) == (64, "tied")
    assert settings["random_phase"].bool_value


def test_a_sample_is_heard(tmp_path, mirror):
    run = write_run(tmp_path / "a", losses(1), samples=1)
    writing = mirror()
    writing.send(run)
    writing.finish(run, "FINISHED")
    found = read(run)
    (sound,) = found.Audio("sounds/epoch-1")
    with wave.open(io.BytesIO(sound.encoded_audio_string)) as heard:
        assert (heard.getframerate(), heard.getnframes()) == (sound.sample_rate, sound.length_frames)
        assert heard.getnframes() / heard.getframerate() == pytest.approx(63 / 4 + 200 / 960 + 1 / 16, abs=0.01)


def test_a_run_that_goes_on_writes_each_epoch_once(tmp_path, mirror):
    history = losses(4)
    run = write_run(tmp_path / "a", history[:2])
    first = mirror()
    first.send(run)
    first.finish(run, "KILLED")
    other = write_run(tmp_path / "b", history)
    (run.path / "metrics.csv").write_bytes((other.path / "metrics.csv").read_bytes())
    lines = (other.path / "metrics.csv").read_text().splitlines(keepends=True)
    second = mirror()
    for epochs in (3, 4):
        (run.path / "metrics.csv").write_text("".join(lines[: epochs + 1]))
        second.send(Run.open(run.path))
    second.finish(run, "FINISHED")
    assert [step for step, _ in values(read(run), f"epoch/{VALIDATION}")] == [1, 2, 3, 4]


def test_tensorflow_is_not_imported(tmp_path):
    write_run(tmp_path / "a", losses(2), samples=1)
    code = (
        "import sys; from seq2seq.run import Run; from seq2seq.training.tensorboard_mirror import TensorboardMirror\n"
        f"run = Run.open({str(tmp_path / 'a')!r}); mirror = TensorboardMirror(); mirror.send(run)\n"
        "mirror.finish(run, 'FINISHED'); print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
