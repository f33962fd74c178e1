"""Slow, obvious twins of windows and batches: loops over frames and bits."""

from __future__ import annotations

import numpy as np

import rollcore
from rollcore.dataset import FILE_DTYPE, PIECE_DTYPE, REPAIR_DTYPE
from rollcore.writer import DatasetWriter, Tables


def pitches(row):
    """Set of pitches in 16 packed bytes."""
    return {8 * k + bit for k in range(16) for bit in range(8) if int(row[k]) >> bit & 1}


def packed(notes):
    """16 bytes that hold a set of pitches; those outside 0..127 are lost."""
    row = [0] * 16
    for pitch in notes:
        if 0 <= pitch <= 127:
            row[pitch // 8] |= 1 << pitch % 8
    return row


def transposed(rows, semitones):
    """Rows of any shape (..., 16), every note moved."""
    flat = [packed({pitch + semitones for pitch in pitches(row)}) for row in rows.reshape(-1, 16)]
    return np.array(flat, np.uint8).reshape(rows.shape)


def unpacked(rows, low, high, dtype):
    """One number a pitch."""
    flat = [[int(pitch in pitches(row)) for pitch in range(low, high + 1)] for row in rows.reshape(-1, 16)]
    return np.array(flat, dtype).reshape(*rows.shape[:-1], high - low + 1)


def starts(frames, length, hop, lead, partial):
    """First frame of each window of a piece."""
    found = []
    start = -lead
    while True:
        target = range(start + lead, start + length)
        kept = any(0 <= frame < frames for frame in target) if partial else start + length <= frames
        if not kept:
            return found
        found.append(start)
        start += hop


def window(rows, start, length):
    """Frames of a piece from `start` on, zeros where it has none; and which it has."""
    within = [0 <= frame < len(rows) for frame in range(start, start + length)]
    silence = np.zeros(rows.shape[1:], np.uint8)
    frames = [rows[start + k] if within[k] else silence for k in range(length)]
    return np.array(frames, np.uint8).reshape(length, *rows.shape[1:]), np.array(within)


def every_window(pieces, length, hop, lead, partial):
    """(piece, start, rows, which are of the piece) of every window of a list of pieces."""
    return [
        (index, start, *window(rows, start, length))
        for index, rows in enumerate(pieces)
        for start in starts(len(rows), length, hop, lead, partial)
    ]


def random_pieces(rng, frames, planes):
    """Pieces of random rows, of the given numbers of frames."""
    return [rng.integers(0, 256, (count, planes, 16), dtype=np.uint8) for count in frames]


def write_pieces(path, pieces, *, planes=1, splits=None, shards=1):
    """Write rows as a dataset, dealt out to some shards; piece i is called ``i``."""
    table = np.zeros(len(pieces), PIECE_DTYPE)
    table["file"] = np.arange(len(pieces))
    table["frames"] = [len(rows) for rows in pieces]
    table["split"] = 0 if splits is None else splits
    table["tempo"] = 500_000
    names = [str(index).encode() for index in range(len(pieces))]
    files = np.zeros(len(pieces), FILE_DTYPE)
    files["name_end"] = np.cumsum([len(name) for name in names])
    grid = rollcore.Grid.seconds(50)
    with DatasetWriter(path, grid=grid, planes=("sounding", "onset")[:planes]) as writer:
        for part in np.array_split(np.arange(len(pieces)), shards):
            if len(part) == 0:
                continue
            table["shard"][part] = writer.append(np.concatenate([pieces[index] for index in part]))
            table["start"][part] = np.cumsum(table["frames"][part]) - table["frames"][part]
        writer.commit(Tables(table, files, np.zeros(0, REPAIR_DTYPE), b"".join(names), []), {})
    return path
