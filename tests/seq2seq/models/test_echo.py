"""Echoes against a twin that compares frame by frame, and what a feed and a growing output make of them."""

from __future__ import annotations

import numpy as np
import pytest

from seq2seq.models.echo import LONGEST, TOLD, TRUST, Echoes, frame_keys
from windows_of_echoes import write_echoes


def slow_echo(rows, t, reach):
    """Echo of frame *t* and its run: the lags one after the other, the frames of each one by one."""
    best = 0, None
    for lag in range(1, min(t - 1, reach) + 1):
        run = 0
        while run < LONGEST and run < t - lag and np.array_equal(rows[t - 1 - run], rows[t - 1 - run - lag]):
            run += 1
        if run > best[0]:
            best = run, rows[t - lag]
    return best


@pytest.fixture(params=[1, 2], ids=["one plane", "two planes"])
def piece(request):
    """300 frames of few kinds, so that there are runs of all lengths, by chance and of a written-out repeat."""
    rng = np.random.default_rng(5)
    kinds = np.zeros((6, request.param, 16), np.uint8)
    # They differ in one bit: at either end of a word, of the row, and between the planes.
    for kind, bit in enumerate([0, 7, 63, 64, 127]):
        kinds[kind, -(kind % request.param) - 1, bit >> 3] = 1 << (bit & 7)
    rows = kinds[rng.choice(6, 300, p=[0.5, 0.3, 0.05, 0.05, 0.05, 0.05])]
    rows[200:270] = rows[90:160]
    return rows


@pytest.mark.parametrize("reach", [1, 7, 4096])
@pytest.mark.parametrize("start", [-20, 0, 130, 199, 255, 290])
def test_echoes_are_those_of_the_longest_match(piece, start, reach):
    echo, match = np.full((60, *piece.shape[1:]), 255, np.uint8), np.full((60, 1), 255, np.uint8)
    write_echoes(piece, start, reach, echo, match)
    for i in range(60):
        t = start + i
        run, wanted = slow_echo(piece, t, reach) if 0 < t < len(piece) else (0, None)
        assert match[i, 0] == run
        assert np.array_equal(echo[i], np.zeros_like(piece[0]) if wanted is None else wanted)


def test_a_written_out_repeat_is_its_own_echo(piece):
    echo, match = np.empty_like(piece), np.empty((len(piece), 1), np.uint8)
    write_echoes(piece, 0, 4096, echo, match)
    assert np.array_equal(echo[240:270], piece[240:270])
    assert (match[240:270] == LONGEST).all()
    assert not match[:2].any()
    assert not echo[0].any()
    # 110 frames before is too far for a reach of 109.
    write_echoes(piece, 0, 109, echo, match)
    assert match[240:270].max() < LONGEST


def test_echoes_are_known_from_the_past_alone(piece):
    before = np.empty_like(piece), np.empty((len(piece), 1), np.uint8)
    write_echoes(piece, 0, 4096, *before)
    for t in (1, 50, 205, 299):
        changed = piece.copy()
        changed[t:] = 255 - changed[t:]
        after = np.empty_like(piece), np.empty((len(piece), 1), np.uint8)
        write_echoes(changed, 0, 4096, *after)
        assert all(np.array_equal(a[: t + 1], b[: t + 1]) for a, b in zip(before, after, strict=True))


def test_outputs_that_grow_have_the_echoes_of_the_finished_piece(piece):
    others = piece[::-1].copy()
    others[:40] = piece[:40]
    finished = np.stack([piece, others])
    wanted = [np.zeros_like(finished), np.zeros((*finished.shape[:2], 1), np.uint8)]
    for n, rows in enumerate(finished):
        write_echoes(rows, 0, 100, wanted[0][n], wanted[1][n])
    growing = np.zeros_like(finished)
    growing[:, :40] = finished[:, :40]
    echoes = Echoes(growing, 100)
    for t in range(finished.shape[1]):
        echo, match, lags = echoes.next()
        assert np.array_equal(echo, wanted[0][:, t])
        assert np.array_equal(match, wanted[1][:, t])
        assert np.array_equal(lags > 0, match > 0)
        for n, lag in enumerate(lags[:, 0]):
            assert not lag or np.array_equal(echo[n], finished[n, t - lag])
        growing[:, t] = finished[:, t]


def test_each_voice_has_the_echo_of_its_own_planes(piece):
    """Of two voices, the second one goes on as it likes where the first repeats itself."""
    width = piece.shape[1]
    duet = np.concatenate([piece, np.roll(piece[::-1], 17, axis=0)], axis=1)
    echo, match = np.empty_like(duet), np.empty((len(duet), 2), np.uint8)
    write_echoes(duet, 0, 100, echo, match)
    for voice in (0, 1):
        planes = slice(voice * width, (voice + 1) * width)
        for t in range(1, len(duet)):
            run, wanted = slow_echo(duet[:, planes], t, 100)
            assert match[t, voice] == run
            assert np.array_equal(echo[t, planes], np.zeros_like(piece[0]) if wanted is None else wanted)
    assert (match[:, 0] != match[:, 1]).any()
    # As outputs grow; the second plays something else, until it goes on from what the first has heard.
    growing = np.zeros((2, *duet.shape), np.uint8)
    echoes, alike = Echoes(growing, 100, voices=2), []
    for t in range(len(duet)):
        heard, runs, _ = echoes.next()
        assert np.array_equal(heard[0], echo[t])
        assert np.array_equal(runs[0], match[t])
        alike.append(np.array_equal(heard[1], echo[t]) and np.array_equal(runs[1], match[t]))
        growing[:, t] = duet[t], duet[t if t > 150 else -t]
        if t == 150:
            growing[1] = growing[0]
            echoes.follow(np.array([0, 0]))
    assert all(alike[151:])
    assert not all(alike[:151])


def test_an_echo_is_told_what_is_to_come_again():
    rows = np.zeros((2, 12, 1, 16), np.uint8)
    rows[:, :, 0, 0] = np.arange(1, 13)  # nothing repeats itself
    echoes = Echoes(rows, 8)
    for _ in range(6):
        echo, match, lags = echoes.next()
        assert not match.any()
    # Output 0 is to repeat its beginning; a lag beyond the beginning, or the reach, is none.
    echo, match, lags = echoes.next(np.array([6, 7]))
    assert (lags.tolist(), match.tolist()) == ([[6], [0]], [[TOLD], [0]])
    assert np.array_equal(echo[0], rows[0, 0])
    rows[0, 6] = rows[0, 0]
    echo, match, lags = echoes.next()
    assert (lags.tolist(), match.tolist()) == ([[6], [0]], [[TOLD + 1], [0]])
    assert np.array_equal(echo[0], rows[0, 1])
    _, match, _ = echoes.next()  # which it did not play
    assert not match.any()
    assert not echoes.next(np.array([9, 9]))[1].any()


def test_frames_are_equal_where_their_keys_are():
    """All frames of one or two notes of two planes: the bits that differ between two frames fall into any word."""
    bits = np.zeros((256 * 255 // 2 + 257, 256), np.uint8)
    first, second = np.triu_indices(256, 1)
    bits[np.arange(len(first)), first] = bits[np.arange(len(first)), second] = 1
    bits[len(first) + np.arange(256), np.arange(256)] = 1
    rows = np.packbits(bits, axis=-1, bitorder="little").reshape(-1, 2, 16)
    assert len(np.unique(frame_keys(rows))) == len(rows)
    # Rows lie anywhere in a file.
    anywhere = np.frombuffer(b"x" + rows.tobytes(), np.uint8)[1:].reshape(rows.shape)
    assert np.array_equal(frame_keys(anywhere), frame_keys(rows))


def test_the_lengths_that_are_told_apart_go_up_to_the_longest():
    assert list(TRUST) == sorted(set(TRUST))
    assert (TRUST[0], TRUST[-1]) == (1, LONGEST)
