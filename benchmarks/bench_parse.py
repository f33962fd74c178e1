"""Bytes in memory → notes: what reading a MIDI file costs without any disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import corpus, peers


def _notes(columns: np.ndarray) -> np.ndarray:
    """Give (onset, offset, pitch, velocity, channel) rows in one canonical order."""
    return columns[np.lexsort(columns.T[::-1])]


def _ours(midi: Any) -> np.ndarray:
    names = ("onset_tick", "offset_tick", "pitch", "velocity", "channel")
    return _notes(np.stack([midi.notes[name].astype(np.int64) for name in names], axis=1))


def _symusic(score: Any) -> np.ndarray:
    tables = [np.zeros((0, 4), np.int64)]
    for track in score.tracks:
        notes = {name: column.astype(np.int64) for name, column in track.notes.numpy().items()}
        offsets = notes["time"] + notes["duration"]
        tables.append(np.stack([notes["time"], offsets, notes["pitch"], notes["velocity"]], axis=1))
    return _notes(np.concatenate(tables))


@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature change events")
def test_parse(race: Any, quick: bool) -> None:
    rollcore = pytest.importorskip("rollcore")
    blobs = corpus.blobs()
    every = 40 if quick else 10
    few = blobs[::every]

    contenders: dict[str, Any] = {"rollcore": (lambda: [rollcore.read_midi(blob) for blob in blobs], len(blobs))}

    def add(name: str, read: Any, some: tuple[bytes, ...]) -> None:
        contenders[name] = (lambda: [read(blob) for blob in some], len(some))

    if peers.available("symusic"):
        from symusic import Score

        add("symusic", Score.from_midi, blobs)
    if peers.available("mido"):
        import mido

        add("mido", lambda blob: mido.MidiFile(file=io.BytesIO(blob)), few)
    if peers.available("pretty_midi"):
        import pretty_midi

        add("pretty_midi", lambda blob: pretty_midi.PrettyMIDI(io.BytesIO(blob)), few)
    if peers.available("muspy") and not quick:
        import mido
        import muspy

        add("MusPy", lambda blob: muspy.from_mido(mido.MidiFile(file=io.BytesIO(blob))), few)

    def check(results: dict[str, Any]) -> None:
        ours = [_ours(midi) for midi in results["rollcore"]]
        if "symusic" in results:
            for mine, score in zip(ours, results["symusic"], strict=True):
                assert np.array_equal(_notes(mine[:, :4]), _symusic(score))
        for mine, song in zip(ours[::every], results.get("pretty_midi", ()), strict="pretty_midi" in results):
            assert len(mine) == sum(len(instrument.notes) for instrument in song.instruments)
        for mine, song in zip(ours[::every], results.get("MusPy", ()), strict="MusPy" in results):
            assert len(mine) == sum(len(track.notes) for track in song.tracks)

    race(
        contenders,
        question="Bytes in memory → notes, one thread",
        check=check,
        rounds=15,
    )


@pytest.mark.parametrize(("n_tracks", "n_notes"), [(16, 3_500_000), (1, 3_900_000)], ids=["16-tracks", "1-track"])
@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature change events")
def test_parse_a_large_file(race: Any, quick: bool, n_tracks: int, n_notes: int) -> None:
    rollcore = pytest.importorskip("rollcore")
    if not peers.available("symusic"):
        pytest.skip("symusic is not installed")
    from symusic import Score

    blob = corpus.large_file(n_tracks, n_notes // (20 if quick else 1))

    def check(results: dict[str, Any]) -> None:
        assert np.array_equal(_notes(_ours(results["rollcore"])[:, :4]), _symusic(results["symusic"]))

    race(
        {"rollcore": lambda: rollcore.read_midi(blob), "symusic": lambda: Score.from_midi(blob)},
        question=f"{len(blob) / 1e6:.0f} MB in memory on {n_tracks} track{'s'[: n_tracks > 1]} → notes, one thread",
        units=1,
        check=check,
        rounds=7,
    )


@pytest.mark.parametrize("reader", ["symusic"])
def test_parse_and_paint(race: Any, reader: str) -> None:
    rollcore = pytest.importorskip("rollcore")
    if not peers.available(reader):
        pytest.skip(f"{reader} is not installed")
    blobs = corpus.blobs()

    def ours() -> list[np.ndarray]:
        return [rollcore.piano_roll(rollcore.read_midi(blob), fps=peers.FPS, planes="sounding") for blob in blobs]

    def theirs() -> list[np.ndarray]:
        return [peers.rows(reader, blob) for blob in blobs]

    def check(results: dict[str, Any]) -> None:
        for mine, other in zip(results["rollcore"], results[f"{reader} + NumPy"], strict=True):
            assert np.array_equal(mine[:, 0], other)

    race(
        {"rollcore": ours, f"{reader} + NumPy": theirs},
        question="Bytes in memory → packed rows at 50 fps, one thread",
        units=len(blobs),
        check=check,
        rounds=15,
    )


@pytest.mark.parametrize("steps", [4, 12])
def test_musical_grid(race: Any, quick: bool, steps: int) -> None:
    rollcore = pytest.importorskip("rollcore")
    if not peers.available("pypianoroll"):
        pytest.skip("pypianoroll is not installed")
    paths = corpus.sources()[1]
    if steps == 12:  # what its triplets and its grace notes ask for
        paths = tuple(path for path in paths if path.parent.name == "pop909") or paths
    few = paths[:: 80 if quick else 20]

    def ours(some: tuple[Path, ...]) -> list[np.ndarray]:
        return [
            rollcore.piano_roll(rollcore.read_midi(path), steps_per_beat=steps, planes="sounding", align=False)[:, 0]
            for path in some
        ]

    def check(results: dict[str, Any]) -> None:
        for mine, other in zip(ours(few), results["pypianoroll"], strict=True):
            assert not (np.bitwise_or.reduce(other) & ~np.bitwise_or.reduce(mine)).any()

    race(
        {
            "rollcore": (lambda: ours(paths), len(paths)),
            "pypianoroll": (lambda: [peers.pypianoroll_rows(path, steps) for path in few], len(few)),
        },
        question=f"File → packed rows at {steps} steps per beat, one thread",
        check=check,
        rounds=9,
    )
    race.note(
        "Not the same answers: pypianoroll rounds onsets to the nearest step, shortens a note that the same pitch "
        "follows, drops what is left without length, and counts 6/8 in dotted quarters. It is checked to play no "
        "pitch that is not in the piece."
    )
