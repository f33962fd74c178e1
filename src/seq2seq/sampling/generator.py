"""Let a trained model make music: a MIDI file, a picture and a sound for each output, and a page of all.

The music goes on from a primer: a MIDI file, the opening of a piece of the dataset, or a chord; without one, the
opening of a piece that is drawn from the validation split. Length means length: exactly so many steps or seconds.
The same seed gives the same bytes.
"""

# Only click and what it costs nothing to import stand up here: --help is to appear at once.
from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zlib import crc32

from rollcore import RollcoreError
from seq2seq.run import Run, make_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rollcore import Grid
    from seq2seq.output.figures import Figures

_DEFAULT_SECONDS = 30.0
# A WAV file of an hour has 230 MB.
_HEARD_SECONDS = 3600
_DEGENERATE = "-degenerate"
# What has so many times the notes of the training data, for its length, is noise, most likely.
_NOISY = 5
# What repeats itself for so much of its length, and twice as much as the training data, goes round in a circle.
_LOOPED = 0.75


@dataclass(frozen=True, eq=False)
class Output:
    """One piece of generated music.

    Attributes
    ----------
    midi, picture, sound
        The files; the picture is None where matplotlib is missing, the sound where there is no note, or over an hour.
    rows
        ``(frames, planes, 16)`` uint8, what the file holds.
    figures
        Those of the new music, without the primer.
    degenerate
        Why it is no music, in one line, or None.
    """

    midi: Path
    picture: Path | None
    sound: Path | None
    rows: npt.NDArray[np.uint8]
    figures: Figures
    degenerate: str | None


@dataclass(frozen=True, eq=False)
class Generated:
    """What `generate` made: the outputs, where they go on from, and the figures of the training data, if at hand."""

    outputs: list[Output]
    page: Path
    """All of it to see and hear in a browser."""
    primer: str
    training: Figures | None
    unit: str
    trained_on_it: bool
    """Whether the dataset at hand is that of the training; if not, nor are the figures."""


def generate(
    run_dir: str | Path,
    output_dir: str | Path = "generated",
    *,
    steps: int | None = None,
    seconds: float | None = None,
    primer: str | int | os.PathLike[str] | None = None,
    primer_pitches: str | None = None,
    primer_steps: int | None = None,
    include_primer: bool = False,
    num_outputs: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    tempo: float | None = None,
    time_signature: tuple[int, int] | None = None,
    scale: str | None = None,
    pitch_range: str | None = None,
    max_polyphony: int | None = None,
    harmonize: str | None = None,
    data: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generated:
    """Make music with the best model of a run.

    Parameters
    ----------
    run_dir : path
        A run folder that ``seq2seq-train`` wrote.
    output_dir : path
        Where the files go; it is created.
    steps, seconds
        The length of the new music: one of the two, or the melody's length, or 30 seconds. On the musical grid
        seconds are steps at the tempo, rounded.
    primer
        A MIDI file, or the name or number of a piece of the dataset.
    primer_pitches
        A chord to begin with instead, such as ``"C4 E4 G4"``: a bar of it, or a second.
    primer_steps
        How much of the primer is used, from its beginning. By default all of a MIDI file, and of a piece of the
        dataset as much as the model reads at once.
    include_primer
        Whether the files begin with the primer; the length asked for is that of the new music.
    num_outputs, temperature, top_p, seed
        See `seq2seq.sampling.sampler`.
    tempo
        Beats per minute; that of the melody or the primer by default, else 120.
    time_signature
        Beats in a bar and the note value of a beat, for the score, its accents, and where the primer is cut; that of
        the melody or the primer by default, else 4/4.
    scale, pitch_range, max_polyphony
        What may sound, such as ``"A minor"``, ``"C2:C6"`` and 4.
    harmonize
        A MIDI file whose notes are held while the model plays around them. It begins where the new music does,
        which then has no primer unless one is named.
    data : path, optional
        The dataset; the one the model was trained on by default.
    progress
        Called from time to time with the frames drawn so far and in all.

    Raises
    ------
    RollcoreError
        If the run, a file or the dataset cannot be used, the primer is empty, or the melody begins too late.
    ValueError
        If an argument is out of range or misspelled.
    """
    import numpy as np

    from rollcore import is_time_signature, plot_roll, write_wav
    from seq2seq.models.architectures import load_model
    from seq2seq.models.weights import arrays_of
    from seq2seq.output.figures import degeneration, figures
    from seq2seq.output.notation import detach, make_score, without
    from seq2seq.output.page import write_page
    from seq2seq.output.player import Piece, file_links
    from seq2seq.output.theory import key_signature, pitch_name, range_mask, scale_mask
    from seq2seq.sampling.primer import FASTEST, SLOWEST, Source
    from seq2seq.sampling.sampler import Sampler, Steering

    if steps is not None and seconds is not None:
        raise ValueError("give the length in steps or in seconds, not both")
    if primer is not None and primer_pitches is not None:
        raise ValueError("give a primer or the pitches of one, not both")
    if time_signature is not None and not is_time_signature(*time_signature):
        raise ValueError("time signature must be beats and a power of two up to 256, not {}/{}".format(*time_signature))
    if tempo is not None and not SLOWEST <= tempo <= FASTEST:
        raise ValueError(f"tempo must be {SLOWEST} to {FASTEST} beats per minute, not {tempo:g}")
    allowed = np.ones(128, bool)
    if scale is not None:
        allowed &= scale_mask(scale)
    if pitch_range is not None:
        allowed &= range_mask(pitch_range)

    run_dir = Path(run_dir)
    run = Run.open(run_dir)
    config = run.config
    source = Source(run, config, data)
    melody, beats_per_minute = None, tempo
    if harmonize is not None:
        song = source.midi(harmonize, time_signature)
        melody = song.rows
        sounding = np.flatnonzero(np.unpackbits(np.bitwise_or.reduce(melody[:, 0]), bitorder="little"))
        if sounding[0] < config.low or sounding[-1] > config.high:
            span = f"{pitch_name(config.low)} to {pitch_name(config.high)}"
            raise RollcoreError(
                f"{harmonize}: the melody leaves the pitches that the model plays, {span}: transpose it"
            )
        beats_per_minute = beats_per_minute or song.tempo
        time_signature = time_signature or song.time_signature
    start = source.primer(primer, primer_pitches, primer_steps, harmonize is not None, time_signature, seed)
    beats_per_minute = beats_per_minute or start.tempo or 120.0
    beats, value = time_signature = time_signature or start.time_signature or (4, 4)
    length = _length(steps, seconds, source.grid, beats_per_minute, None if melody is None else len(melody))
    if melody is not None and not melody[:length].any():
        raise RollcoreError(f"{harmonize}: its first note comes after the {length:,} frames asked for: ask for more")
    steering = Steering(
        allowed=None if allowed.all() else allowed,
        max_polyphony=max_polyphony,
        melody=None if melody is None else melody[:length],
    )
    name = _name(
        run_dir.resolve().name,
        None if primer is None else Path(start.name).stem,
        primer_pitches,
        None if harmonize is None else "harmonize",
        None if harmonize is None else Path(harmonize).stem,
        scale,
        pitch_range,
        None if max_polyphony is None else f"max{max_polyphony}",
        None if temperature == 1 else f"t{temperature:g}",
        None if top_p == 1 else f"p{top_p:g}",
        f"seed{seed}",
    )
    output_dir = Path(output_dir)
    make_folder(output_dir)
    training = source.figures()
    model = load_model(run.best_model, config)
    drawn = Sampler(config, arrays_of(model)).sample(
        start.rows,
        length,
        outputs=num_outputs,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        steering=steering,
        progress=progress,
    )

    rate = float(source.grid.rate)
    unit = "beat" if source.grid.unit == "beats" else "second"
    made = Generated([], output_dir / f"{name}.html", start.name, training, unit, source.trained_on_it)
    facts = {
        "model": f"{config.model}, {config.head}, of {run_dir}",
        "going on from": start.name,
        "melody": harmonize,
        "seed": seed,
        "temperature": temperature,
        "top-p": top_p if top_p < 1 else None,
        "scale": scale,
        "pitch range": pitch_range,
        "notes at once": max_polyphony,
        "length": f"{length:,} frames, {source.grid}",
        "tempo": f"{beats_per_minute:g} beats per minute, {beats}/{value}",
    }
    pieces = []
    with _together(output_dir) as staging:
        for number, new in enumerate(drawn, start=1):
            before = start.rows if include_primer else start.rows[:0]
            rows = np.concatenate([before, new]) if len(before) else detach(new)
            why = degeneration(new, one_pitch=int(allowed.sum()) == 1)
            voices = [("Piano", rows)]
            if melody is not None:
                silence = np.zeros_like(before)
                held = np.concatenate([silence, melody[:length], np.zeros_like(new[len(melody) :])])
                voices = [("Melody", held), ("Accompaniment", without(rows, held))]
            score = output_dir / f"{name}-{number}{'' if why is None else _DEGENERATE}.mid"
            setting = make_score(
                voices,
                grid=source.grid,
                tempo_us_per_beat=round(60_000_000 / beats_per_minute),
                time_signature=time_signature,
                key_signature=None if scale is None else key_signature(scale),
            )
            setting.write(staging / score.name)
            picture = score.with_suffix(".png") if find_spec("matplotlib") is not None else None
            if picture is not None:
                drawing = str(staging / picture.name)
                plot_roll(rows, source.grid, drawing, title=score.stem, beats_per_bar=4 * beats / value)
            # With the rest at its end.
            heard = len(setting.midi.notes) and setting.seconds <= _HEARD_SECONDS
            sound = score.with_suffix(".wav") if heard else None
            if sound is not None:
                write_wav(setting.midi, staging / sound.name, seconds=setting.seconds)
            output = Output(score, picture, sound, rows, figures([detach(new)], rate), why)
            made.outputs.append(output)
            piece = Piece.from_midi(
                setting.midi,
                score.stem,
                seconds=setting.seconds,
                voices=setting.track_names,
                primer_s=setting.seconds * len(before) / len(rows),
                bar_s=240 * beats / value / beats_per_minute if source.grid.unit == "beats" else None,
                remarks=remarks(output, made),
                links=file_links(score, sound),
            )
            pieces.append(piece)
        write_page(staging / made.page.name, name, facts, pieces, figures_table(made))
    # Of one name there is one outcome, the latest.
    kept = {path for output in made.outputs for path in (output.midi, output.picture, output.sound)}
    for number in range(1, len(drawn) + 1):
        for kind in ("", _DEGENERATE):
            for ending in (".mid", ".png", ".wav"):
                if (old := output_dir / f"{name}-{number}{kind}{ending}") not in kept:
                    old.unlink(missing_ok=True)
    return made


@contextlib.contextmanager
def _together(folder: Path) -> Iterator[Path]:
    """Give a place to write files in, which come into *folder* together when all are whole."""
    try:
        staging = TemporaryDirectory(prefix=".generated-", dir=folder)
    except OSError as error:
        raise RollcoreError(f"{folder}: cannot be written: {error.strerror}") from error
    with staging as place:
        yield Path(place)
        files = sorted(Path(place).iterdir())
        for made in files:
            if (folder / made.name).is_dir():
                raise RollcoreError(f"{folder / made.name}: is a folder, where a file is to be: move it away")
        for made in files:
            os.replace(made, folder / made.name)


def _name(run: str, *words: str | None) -> str:
    """Name the outputs by what they are made from and how, so that a series of them does not replace itself."""
    return "-".join([run, *(_word(word) for word in words if word is not None)])


def _word(text: str) -> str:
    """Make a short part of a file name; what is lost of a text is told by four digits of its checksum."""
    plain = re.sub(r"[\s:]+", "-", text.strip())
    safe = re.sub(r"[^\w#.-]", "_", plain).encode()[:24].decode(errors="ignore")
    return safe if safe == plain else f"{safe}-{crc32(text.encode('utf-8', 'surrogateescape')) & 0xFFFF:04x}"


def _length(steps: int | None, seconds: float | None, grid: Grid, beats_per_minute: float, melody: int | None) -> int:
    """Return the frames to draw."""
    if steps is None and seconds is None and melody is not None:
        return melody
    if steps is None:
        seconds = _DEFAULT_SECONDS if seconds is None else seconds
        if not 0 < seconds < 1e6:
            raise ValueError(f"seconds must be above 0 and below 1,000,000, not {seconds:g}")
        rate = grid.rate * (Fraction(beats_per_minute) / 60 if grid.unit == "beats" else 1)
        steps = max(1, round(Fraction(seconds) * rate))
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    return steps


def figures_text(made: Generated) -> str:
    """Set the figures of the outputs beside those of the training data, as lines of text."""
    from seq2seq.output.figures import table

    return table(_columns(made), made.unit)


def figures_table(made: Generated) -> list[list[str]]:
    """Set the figures of the outputs beside those of the training data, as rows of cells."""
    from seq2seq.output.figures import figure_rows

    return figure_rows(_columns(made), made.unit)


def _columns(made: Generated) -> dict[str, Figures]:
    columns = {str(number): output.figures for number, output in enumerate(made.outputs, start=1)}
    if made.training is not None:
        columns[f"{'training' if made.trained_on_it else 'dataset'} ({made.training.pieces} pieces)"] = made.training
    return columns


def remarks(output: Output, made: Generated) -> list[str]:
    """Say what is wrong with an output, a line each."""
    found = [] if output.degenerate is None else [f"NOT MUSIC, {output.degenerate}"]
    if made.training is not None and output.figures.repetition > max(_LOOPED, 2 * made.training.repetition):
        found.append(
            f"a loop, most likely: {output.figures.repetition:.0%} repeats what was just heard, "
            f"{made.training.repetition:.0%} in the training data; raise the temperature, or train for longer"
        )
    if made.training is not None and 0 < _NOISY * made.training.density < output.figures.density:
        times = output.figures.density / made.training.density
        found.append(f"noise, most likely: {times:.0f} times as dense as the training data; train for longer")
    return found
