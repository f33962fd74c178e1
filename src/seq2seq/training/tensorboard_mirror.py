"""TensorBoard as a mirror of the run folder: losses, pictures, music, hyper-parameters, without TensorFlow."""

from __future__ import annotations

import datetime
import io
import math
import os
import tempfile
import time
import wave
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollcore import Grid, Midi, RollcoreError, piano_roll, plot_roll, read_midi, write_wav
from seq2seq.run import Run
from seq2seq.steps import read_steps

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FOLDER = "tensorboard"
# What is heard of a sample: an event file is not the place for an hour of sound.
_HEARD_SECONDS = 120


class TensorboardMirror:
    """Events in the folder ``tensorboard`` of a run, in one file a training: ``tensorboard --logdir runs`` shows them.

    A run that is resumed goes on behind the epochs that are there.
    """

    name = "TensorBoard"
    remedy = "metrics.csv has all of it"

    def __init__(self) -> None:
        self._writer: Any = None
        self._sent, self._sent_until_s = 0, 0.0
        self._made_s = time.time()
        self._samples: set[str] = set()

    def send(self, run: Run) -> None:
        """Write the epochs and samples that were not written yet."""
        history = run.history(empty=True)
        if self._writer is None:
            self._open(run, len(history))
        at = datetime.datetime.fromisoformat(run.facts["began"]).timestamp()
        for number, row in enumerate(history):
            at += row["seconds"]
            if number >= self._sent:
                values = {f"epoch/{name}": value for name, value in row.items() if name != "epoch"}
                self._scalars(values, math.ceil(row["epoch"]), at)
        self._sent = len(history)
        for step in read_steps(run.updates):
            if step.time_s > self._sent_until_s:
                self._scalars({"updates/loss": step.loss}, step.update, step.time_s)
                self._sent_until_s = step.time_s
        self._add_samples(run, at)
        self._writer.flush()

    def finish(self, run: Run, status: str) -> None:
        """Write the picture of the losses and the evaluation, and close the file."""
        at = datetime.datetime.now().timestamp()
        if run.loss_picture.exists():
            self._picture("losses", run.loss_picture.read_bytes(), self._sent, at)
        evaluation = run.evaluation()
        if evaluation is not None:
            scores = evaluation["scores"]["model"]
            names = [name for name in ("nats_per_frame", "f1") if scores.get(name) is not None]
            self._scalars({f"{evaluation['split']}/{name}": scores[name] for name in names}, self._sent, at)
        self._writer.close()

    def _open(self, run: Run, epochs: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = run.path / _FOLDER
        if folder.is_dir() and any(folder.iterdir()):
            self._sent = max(0, epochs - 1)  # resumed: the epoch that has just ended is new
            self._sent_until_s = self._made_s
        folder.mkdir(exist_ok=True)
        now = time.time()
        # The writer of files that comes with TensorBoard imports TensorFlow where there is one.
        file = open(folder / f"events.out.tfevents.{now:.6f}.{os.getpid()}", "wb")  # noqa: SIM115
        self._writer = RecordWriter(file)
        self._writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        self._add(_hyperparameters(run), 0, now)

    def _add(self, summary: Any, step: int, at: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=at, step=step, summary=summary).SerializeToString())

    def _scalars(self, values: Mapping[str, float], step: int, at: float) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(
            Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]), step, at
        )

    def _picture(self, tag: str, png: bytes, step: int, at: float) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))  # of the chunk IHDR
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._add(Summary(value=[Summary.Value(tag=tag, image=image)]), step, at)

    def _sound(self, tag: str, wav: bytes, step: int, at: float) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        with wave.open(io.BytesIO(wav)) as file:
            rate, frames = file.getframerate(), file.getnframes()
        audio = Summary.Audio(
            sample_rate=rate, num_channels=1, length_frames=frames, encoded_audio_string=wav, content_type="audio/wav"
        )
        self._add(Summary(value=[Summary.Value(tag=tag, audio=audio)]), step, at)

    def _add_samples(self, run: Run, at: float) -> None:
        """Write what samples look and sound like, each once."""
        files = sorted(run.samples.glob("*.mid")) if run.samples.is_dir() else []
        for file in files:
            if file.name in self._samples:
                continue
            try:
                midi = read_midi(file)
                sound = io.BytesIO()
                if midi.seconds(midi.notes["offset_tick"]).max(initial=0) <= _HEARD_SECONDS:
                    write_wav(midi, sound)
                    self._sound(f"sounds/{file.stem}", sound.getvalue(), self._sent, at)
                if find_spec("matplotlib") is not None:
                    with tempfile.TemporaryDirectory() as folder:
                        picture = Path(folder) / "roll.png"
                        plot_roll(_rows(midi, run.grid), run.grid, str(picture))
                        self._picture(f"samples/{file.stem}", picture.read_bytes(), self._sent, at)
            except RollcoreError:
                pass  # a sample without a note, or one of another program
            self._samples.add(file.name)


def _rows(midi: Midi, grid: Grid) -> npt.NDArray[np.uint8]:
    if grid.unit == "beats":
        return piano_roll(midi, steps_per_beat=grid.rate)
    return piano_roll(midi, fps=grid.rate)


def _hyperparameters(run: Run) -> Any:
    """Return the settings of a run as the plugin for hyper-parameters reads them; its own function needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    began = datetime.datetime.fromisoformat(run.facts["began"]).timestamp()
    start = SessionStartInfo(group_name=run.name, start_time_secs=began)
    for name, value in {**run.facts["model"], **run.facts["train"]}.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = str(value)
    content = HParamsPluginData(session_start_info=start, version=metadata.PLUGIN_DATA_VERSION).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=content)
    tag, about = metadata.SESSION_START_INFO_TAG, SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])
