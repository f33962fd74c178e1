"""Echoes against a twin that compares frame by frame, and what a feed and a growing output make of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seq2seq.models.echo import DEGREES, LONGEST, TOLD, TRUST, Echoes, find_varied, frame_keys
from windows_of_echoes import moved, write_echoes


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
    write_echoes(duet, 0, 100, echo, match, voices=2)
    for voice in (0, 1):
        planes = slice(voice * width, (voice + 1) * width)
        for t in range(1, len(duet)):
            run, wanted = slow_echo(duet[:, planes], t, 100)
            assert match[t, voice] == run
            assert np.array_equal(echo[t, planes], np.zeros_like(piece[0]) if wanted is None else wanted)
    assert (match[:, 0] != match[:, 1]).any()
    check_growing(duet, (echo, match), 100, 0, 150)


def check_growing(duet, wanted, reach, varied, frame):
    """Two outputs of two voices grow: one to the *duet*, the other to something else until it follows the first."""
    growing = np.zeros((2, *duet.shape), np.uint8)
    echoes, alike = Echoes(growing, reach, voices=2, varied=varied), []
    for t in range(len(duet)):
        echo, match, _ = echoes.next()
        assert np.array_equal(echo[0], wanted[0][t])
        assert np.array_equal(match[0], wanted[1][t])
        alike.append(np.array_equal(echo[1], echo[0]) and np.array_equal(match[1], match[0]))
        growing[:, t] = duet[t], duet[t if t > frame else -t]
        if t == frame:
            growing[1] = growing[0]
            echoes.follow(np.array([0, 0]))
    assert all(alike[frame + 1 :])
    assert not all(alike[: frame + 1])


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


def slow_varied(rows, reach, number):
    """The varied echoes of each frame: lists of lag, semitones and degree, and the frames themselves."""
    shifts = sorted(range(-7, 8), key=lambda shift: (abs(shift), -shift))
    bits, alike, found = np.unpackbits(rows, axis=-1, bitorder="little"), {}, []
    up = {shift: moved(bits, shift) for shift in shifts}
    for t in range(len(bits)):
        lags = range(1, min(t - 1, reach) + 1)
        for lag, shift in itertools.product(lags, shifts):
            latest, past = bits[t - 1], up[shift][t - 1 - lag]
            common, every = int((latest & past).sum()), int(latest.sum() + bits[t - 1 - lag].sum())
            share = common * 4096 // max(1, every - common) if every else 4096
            alike[lag, shift] = (alike.get((lag, shift), 0) * 13 >> 4) + share
        # The best first; of equals the one that comes first here.
        ranked = sorted(
            (-(alike[lag, shift] - 2048 * (shift != 0)), lag, place)
            for lag, (place, shift) in itertools.product(lags, enumerate(shifts))
        )
        echoes = []
        for worth, lag, place in ranked:
            frame = up[shifts[place]][t - lag]
            if worth < 0 and len(echoes) < number and not any(np.array_equal(frame, other[-1]) for other in echoes):
                echoes.append((lag, shifts[place], -worth * 255 // 21845, frame))
        found.append(echoes)
    return found


@pytest.fixture(params=[1, 2], ids=["one plane", "two planes"])
def variations(request):
    """70 frames: a phrase, two transposed repeats of it with another note here and there, and silence."""
    rng = np.random.default_rng(8)
    bits = (rng.random((70, request.param, 128)) < 0.03).astype(np.uint8)
    bits[20:32] = moved(bits[2:14], 3)
    bits[45:57] = moved(bits[2:14], -7)
    bits[[24, 50]] |= moved(bits[[10, 11]], 1)
    bits[60:64] = 0
    bits[40, 0, [0, 127]] = 1  # at the ends, where what is transposed is lost
    return np.packbits(bits, axis=-1, bitorder="little")


@pytest.mark.parametrize(("reach", "number"), [(4096, 1), (4096, 8), (9, 3), (1, 2)])
def test_varied_echoes_are_those_of_the_pasts_most_alike(variations, reach, number):
    lags, shifts, degrees = (array[..., 0] for array in find_varied(variations, reach, number))
    for t, wanted in enumerate(slow_varied(variations, reach, number)):
        found = list(zip(lags[t].tolist(), shifts[t].tolist(), degrees[t].tolist(), strict=True))
        assert found == [echo[:3] for echo in wanted] + [(0, 0, 0)] * (number - len(wanted))
    if reach == 4096:
        # The repeats are heard, transposed, although they are not exact.
        assert (lags[25:32, 0] == 18).all()
        assert (shifts[25:32, 0] == 3).all()
        assert (lags[51:57, 0] == 43).all()
        assert (shifts[51:57, 0] == -7).all()
        assert degrees[25:32].max() > 150
    assert not lags[:2].any()


def test_varied_echoes_are_known_from_the_past_alone(variations):
    before = find_varied(variations, 4096, 4)
    for t in (2, 20, 48, 69):
        changed = variations.copy()
        changed[t:] = 255 - changed[t:]
        after = find_varied(changed, 4096, 4)
        assert all(np.array_equal(a[: t + 1], b[: t + 1]) for a, b in zip(before, after, strict=True))


def test_outputs_that_grow_have_the_varied_echoes_of_the_finished_piece(variations):
    width = variations.shape[1]
    duet = np.concatenate([variations, np.roll(variations, 5, axis=0)], axis=1)
    wanted = np.zeros((len(duet), 4 * 2 * width, 16), np.uint8), np.zeros((len(duet), 4 * 2), np.uint8)
    write_echoes(duet, 0, 50, *wanted, voices=2)
    check_growing(duet, wanted, 50, 3, 40)


def test_a_voice_of_more_planes_than_two_has_no_varied_echoes():
    rows = np.zeros((4, 3, 16), np.uint8)
    with pytest.raises(ValueError, match="two planes"):
        find_varied(rows, 9, 1)
    with pytest.raises(ValueError, match="two planes"):
        Echoes(rows[None], 9, varied=1)


def test_the_degrees_that_are_told_apart_are_within_a_byte():
    assert list(DEGREES) == sorted(set(DEGREES))
    assert DEGREES[0] > 0
    # A piece that goes on repeating itself reaches the last of them.
    assert find_varied(np.full((40, 1, 16), 1, np.uint8), 9, 1)[2].max() >= DEGREES[-1]
