"""What others offer for the same work, each used in the fastest honest way we know.

Every peer turns a file into note spans in frames, by the same rule as rollcore: a tick becomes a frame by
exact integer arithmetic over the tempo map, an onset floors, an end floors too but lies at least one frame
behind, channel 10 is left out. The spans then go through one and the same painter, so that a peer's time is
its reader's time plus that of the quickest NumPy painter out of eleven that were tried (a loop of slices, a
running sum, symusic's own `pianoroll` with frames for ticks, …: 4 to 15 times slower than `paint`).

``python -m benchmarks.peers symusic FOLDER OUT PROCESSES`` is the whole pipeline as a command: each process
reads its share of the files, paints, packs, and writes its own HDF5 file of contiguous shards, ``OUT.0``,
``OUT.1``, ….
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

FPS = 50
DEFAULT_TEMPO_US = 500_000
DRUM_CHANNEL = 9
SHARD_BYTES = 64 << 20

# The painter's buffers, kept from call to call: fresh pages cost more than clearing the cells that were set.
_blank = np.zeros(0, np.uint8)
_ramp = np.zeros(0, np.int64)

Spans = tuple[np.ndarray, np.ndarray, np.ndarray]
"""First frame, end frame (exclusive) and pitch of each note, int64 (n,)."""


def spans(
    onset_ticks: np.ndarray,
    offset_ticks: np.ndarray,
    pitches: np.ndarray,
    tempo_ticks: np.ndarray,
    tempo_us: np.ndarray,
    ticks_per_beat: int,
) -> Spans:
    """Move notes from ticks to frames, exactly; all arrays int64, tempos sorted by tick."""
    if not len(tempo_ticks) or tempo_ticks[0]:
        tempo_ticks = np.concatenate(([0], tempo_ticks))
        tempo_us = np.concatenate(([DEFAULT_TEMPO_US], tempo_us))
    base = np.zeros(len(tempo_ticks), np.int64)
    np.cumsum(np.diff(tempo_ticks) * tempo_us[:-1], out=base[1:])
    both = np.concatenate((onset_ticks, offset_ticks))
    segment = np.searchsorted(tempo_ticks, both, "right") - 1
    frames = (base[segment] + (both - tempo_ticks[segment]) * tempo_us[segment]) * FPS // (ticks_per_beat * 1_000_000)
    first, end = np.split(frames, 2)
    return first, np.maximum(end, first + 1), pitches


def paint(first: np.ndarray, end: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """Give the packed rows, uint8 (frames, 16), bit p of a row being pitch p, least significant first."""
    if not len(first):
        return np.zeros((0, 16), np.uint8)
    frames = int(end.max())
    lengths = end - first
    before = np.cumsum(lengths) - lengths
    global _blank, _ramp
    n_cells = int(lengths.sum())
    if len(_ramp) < n_cells:
        _ramp = np.arange(2 * n_cells) * 128
    cells = np.repeat((first - before) * 128 + pitches, lengths)
    cells += _ramp[:n_cells]
    if len(_blank) < frames * 128:
        _blank = np.zeros(frames * 256, np.uint8)
    roll = _blank[: frames * 128]
    roll[cells] = 1
    packed = np.packbits(roll, bitorder="little").reshape(frames, 16)
    roll[cells] = 0
    return packed


def _columns(rows: list[tuple[int, ...]], width: int) -> Iterator[np.ndarray]:
    table = np.array(rows, np.int64).reshape(-1, width)
    return (table[:, i] for i in range(width))


def symusic_spans(data: bytes) -> Spans:
    from symusic import Score

    score = Score.from_midi(data)
    tempos = score.tempos.numpy()
    notes = [track.notes.numpy() for track in score.tracks if not track.is_drum]
    if not notes:
        return (np.zeros(0, np.int64),) * 3
    onsets = np.concatenate([n["time"] for n in notes]).astype(np.int64)
    return spans(
        onsets,
        onsets + np.concatenate([n["duration"] for n in notes]),
        np.concatenate([n["pitch"] for n in notes]).astype(np.int64),
        tempos["time"].astype(np.int64),
        tempos["mspq"].astype(np.int64),
        score.tpq,
    )


def mido_spans(data: bytes) -> Spans:
    import mido

    tempos: list[tuple[int, ...]] = []
    notes: list[tuple[int, ...]] = []
    song = mido.MidiFile(file=io.BytesIO(data))
    for track in song.tracks:
        tick = 0
        sounding: dict[tuple[int, int], list[int]] = {}
        for message in track:
            tick += message.time
            kind = message.type
            if kind == "note_on" and message.velocity:
                if message.channel != DRUM_CHANNEL:
                    sounding.setdefault((message.channel, message.note), []).append(tick)
            elif kind in ("note_on", "note_off"):
                onsets = sounding.get((message.channel, message.note))
                if onsets:
                    notes.append((onsets.pop(0), tick, message.note))
            elif kind == "set_tempo":
                tempos.append((tick, message.tempo))
    tempos.sort()
    return spans(*_columns(notes, 3), *_columns(tempos, 2), song.ticks_per_beat)


def pretty_midi_spans(data: bytes) -> Spans:
    import pretty_midi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        song = pretty_midi.PrettyMIDI(io.BytesIO(data))
    notes = [
        (note.start, note.end, note.pitch)
        for instrument in song.instruments
        if not instrument.is_drum
        for note in instrument.notes
    ]
    start, end, pitch = np.array(notes, np.float64).reshape(-1, 3).T
    # Its times are float seconds, which may fall a hair short of the frame that they mean.
    first = np.floor(start * FPS + 1e-6).astype(np.int64)
    return first, np.maximum(np.floor(end * FPS + 1e-6).astype(np.int64), first + 1), pitch.astype(np.int64)


def muspy_spans(data: bytes) -> Spans:
    import mido
    import muspy

    song = muspy.from_mido(mido.MidiFile(file=io.BytesIO(data)))
    tracks = [track.notes for track in song.tracks if not track.is_drum]
    notes = [(note.time, note.end, note.pitch) for track in tracks for note in track]
    # It keeps tempos as float beats per minute.
    tempos = [(tempo.time, round(60e6 / tempo.qpm)) for tempo in song.tempos]
    return spans(*_columns(notes, 3), *_columns(tempos, 2), song.resolution)


def pypianoroll_rows(path: Path, steps_per_beat: int) -> np.ndarray:
    """Give its packed rows on the musical grid, the only one that it has."""
    import pypianoroll

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        song = pypianoroll.read(path, resolution=steps_per_beat)
    tracks = [track.pianoroll for track in song.tracks if not track.is_drum and len(track.pianoroll)]
    frames = max(map(len, tracks), default=0)
    sounding = np.zeros((frames, 128), bool)
    for track in tracks:
        sounding[: len(track)] |= track > 0
    return np.packbits(sounding, axis=1, bitorder="little")


READERS: dict[str, Callable[[bytes], Spans]] = {
    "symusic": symusic_spans,
    "mido": mido_spans,
    "pretty_midi": pretty_midi_spans,
    "muspy": muspy_spans,
}


def available(package: str) -> bool:
    """Tell whether a peer is installed, without importing it."""
    return importlib.util.find_spec(package) is not None


def rows(reader: str, data: bytes) -> np.ndarray:
    """Give the packed rows, uint8 (frames, 16), of a file that `reader` has read."""
    return paint(*READERS[reader](data))


def write_shards(reader: str, paths: list[str], out: str) -> int:
    """Read, paint, pack, write contiguous shards of about 64 MiB and a table of pieces; give the frames."""
    import h5py

    pieces: list[tuple[int, int, int]] = []
    shard: list[np.ndarray] = []
    n_shards = n_rows = total = 0
    with h5py.File(out, "w", libver="latest") as file:

        def flush() -> None:
            nonlocal n_shards, n_rows
            # One copy to join the pieces, one write: quicker than a write per piece.
            file[f"shard{n_shards:04d}"] = np.concatenate(shard)
            shard.clear()
            n_shards, n_rows = n_shards + 1, 0

        for path in paths:
            with open(path, "rb") as stream:
                piece = rows(reader, stream.read())
            pieces.append((n_shards, n_rows, len(piece)))
            shard.append(piece)
            n_rows += len(piece)
            total += len(piece)
            if n_rows * 16 >= SHARD_BYTES:
                flush()
        if shard:
            flush()
        file["pieces"] = np.array(pieces, np.int64)
    return total


def main(argv: list[str]) -> int:
    reader, folder, out, processes = argv
    paths = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        paths += [os.path.join(parent, name) for name in sorted(names) if name.endswith(".mid")]
    n = int(processes)
    shares = [paths[i * len(paths) // n : (i + 1) * len(paths) // n] for i in range(n)]
    with ProcessPoolExecutor(n) as pool:
        jobs = [pool.submit(write_shards, reader, share, f"{out}.{i}") for i, share in enumerate(shares)]
        print(sum(job.result() for job in jobs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
