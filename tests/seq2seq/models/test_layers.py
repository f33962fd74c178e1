"""The layers: bits of packed rows, the beat position, and the loss, against slow sums; features move with the music."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="keras is not installed: pip install 'rollcore[cpu]'")

from seq2seq.models.layers import (  # noqa: E402
    BatchNormalization,
    Clock,
    PitchFeatures,
    PitchHead,
    RollLoss,
    TimeDistributed,
    UnpackRoll,
)


def pack(bits):
    return np.packbits(bits, axis=-1, bitorder="little")


def tensors(*arrays):
    return [keras.ops.convert_to_tensor(array) for array in arrays]


def test_unpack_roll_is_unpackbits_of_a_range():
    rows = np.random.default_rng(0).integers(0, 256, (2, 3, 2, 16), dtype=np.uint8)
    for low, high in [(0, 127), (21, 108), (40, 40), (7, 8)]:
        bits = keras.ops.convert_to_numpy(UnpackRoll(low, high)(rows))
        np.testing.assert_array_equal(bits, np.unpackbits(rows, axis=-1, bitorder="little")[..., low : high + 1])


def test_clock_has_the_periods_it_is_given_and_tells_their_phases_apart():
    phases = keras.ops.convert_to_numpy(Clock((4, 3))(np.arange(-12, 12, dtype=np.int32)))
    np.testing.assert_array_equal(phases[:12], phases[12:])
    assert len(np.unique(phases[:12].round(5), axis=0)) == 12
    np.testing.assert_allclose(phases[13], [1, np.sqrt(0.75), 0, -0.5], atol=1e-6)


@pytest.mark.parametrize("planes", [1, 2, 4])
def test_the_loss_is_the_mean_over_the_frames_that_count(planes):
    rng = np.random.default_rng(4)
    bits = (rng.random((2, 3, planes, 128)) < 0.3).astype(np.uint8)
    bits[:, :, 1::2] &= bits[:, :, : planes - 1 : 2]
    logits = rng.standard_normal((2, 3, planes, 5)).astype(np.float32)
    weights = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    loss = float(RollLoss(10, 14)(*tensors(pack(bits), logits), sample_weight=weights))
    total = 0.0
    for n, t in [(0, 0), (0, 2), (1, 2)]:
        for p in range(5):
            for plane in range(planes):
                if plane % 2 == 1 and not bits[n, t, plane - 1, 10 + p]:
                    continue
                chance = 1 / (1 + np.exp(-float(logits[n, t, plane, p])))
                total -= np.log(chance if bits[n, t, plane, 10 + p] else 1 - chance)
    assert loss == pytest.approx(total / 3, rel=1e-5)


def test_parts_of_a_batch_are_normalised_as_the_whole():
    rng = np.random.default_rng(6)
    whole, by_parts = keras.layers.BatchNormalization(), BatchNormalization()
    batch = rng.normal(3, 2, (5, 4, 6)).astype(np.float32)
    for layer in (whole, by_parts):
        layer.build(batch.shape)
    for ours, theirs in zip(by_parts.weights, whole.weights, strict=True):
        value = rng.uniform(0.5, 1.5, ours.shape).astype(np.float32)
        ours.assign(value)
        theirs.assign(value)
    for training in (True, False):
        found = by_parts.over(tensors(batch[:2], batch[2:]), training)
        assert [len(part) for part in found] == [2, 3]
        together = np.concatenate([keras.ops.convert_to_numpy(part) for part in found])
        wanted = keras.ops.convert_to_numpy(whole(batch, training=training))
        np.testing.assert_allclose(together, wanted, atol=1e-5)
    for ours, theirs in zip(by_parts.weights, whole.weights, strict=True):
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (ours, theirs)), rtol=1e-5)


def test_a_dense_layer_over_every_frame_is_that_of_keras():
    ours, theirs = (kind(keras.layers.Dense(3)) for kind in (TimeDistributed, keras.layers.TimeDistributed))
    frames = np.random.default_rng(7).normal(size=(2, 4, 5)).astype(np.float32)
    ours(frames)
    theirs(frames)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(layer(frames)) for layer in (ours, theirs)), atol=1e-6)


@pytest.mark.parametrize("voices", [1, 2, 3])
def test_a_pitch_hears_its_neighbours_and_what_sounds_in_each_voice_counted_from_itself(voices):
    """Against a sum over all pairs of pitches, one by one."""
    rng = np.random.default_rng(5)
    layer = PitchFeatures(units=6, reach=2, conv=4, voices=voices)
    frame = (rng.random((3, 2 * voices + 1, 29)) < 0.3).astype(np.float32)
    context = rng.standard_normal((3, 5)).astype(np.float32)
    layer(*tensors(frame, context))
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape).astype("float32"))
    found = keras.ops.convert_to_numpy(layer(*tensors(frame, context)))
    near, harmony, place = (
        keras.ops.convert_to_numpy(weight) for weight in (layer.neighbours.kernel, layer.harmony.kernel, layer.place)
    )
    dense, bias = (keras.ops.convert_to_numpy(weight) for weight in layer.context.weights)
    wanted = np.zeros((3, 29, 6))
    for n in range(3):
        for pitch in range(29):
            wanted[n, pitch] = place[pitch] + context[n] @ dense + bias
            for other in range(29):
                for voice in range(voices):
                    wanted[n, pitch] += frame[n, 2 * voice, other] * harmony[12 * voice + (other - pitch) % 12]
                if abs(other - pitch) <= 2:
                    wanted[n, pitch, :4] += frame[n, :, other] @ near[other - pitch + 2]
    np.testing.assert_allclose(found, np.maximum(wanted, 0), rtol=0, atol=1e-4)
    assert (found > 0).any()


@pytest.mark.parametrize("given", [(0, 0, 0), (1, 0, 0), (1, 0, 1)], ids=str)
def test_what_a_head_is_told_of_the_voices_that_are_given(given):
    """Against sums over pairs of pitches; all else that the head hears has no weight here."""
    rng = np.random.default_rng(8)
    units, conv, pitches, planes, frames = 5, 4, 27, 6, 2
    head = PitchHead(units, 2, conv, True, frames * planes, voices=3, voice=1)
    previous, frame, *recalled = (rng.random((2 + frames, 3, planes, pitches)) < 0.3).astype(np.float32)
    features = np.concatenate([np.zeros((3, pitches, 2)), *(part.swapaxes(1, 2) for part in recalled)], axis=2)
    mask = np.tile(np.array(given, np.float32), (3, 1))
    inputs = tensors(features.astype(np.float32), previous, frame, mask)
    head(*inputs)
    for weight in head.weights:
        weight.assign(np.zeros(weight.shape, np.float32))
    head.own.bias.assign(np.full(units, 100, np.float32))  # no unit is cut off
    head.hidden.kernel.assign(np.eye(units, dtype=np.float32))
    random = {}
    for name in ("given", "chord", "known", "logit"):
        kernel = getattr(head, name).kernel
        random[name] = rng.standard_normal(kernel.shape)
        kernel.assign(random[name].astype(np.float32))
    found = keras.ops.convert_to_numpy(head(*inputs))
    told = np.full((3, pitches, units), 100.0)
    for n in range(3):
        facts = list(given)
        heard = [plane for plane in range(planes) if given[plane // 2]]
        facts += [frame[n, plane].sum() / 4 if plane in heard else 0 for plane in range(planes)]
        for compare in (np.logical_and, np.logical_xor):
            for past in (previous, *recalled):
                facts += [
                    compare(frame[n, plane], past[n, plane]).sum() / 4 if plane in heard else 0
                    for plane in range(planes)
                ]
        told[n] += np.array(facts) @ random["known"]
        for pitch in range(pitches):
            for plane in heard:
                for other in np.flatnonzero(frame[n, plane]):
                    told[n, pitch] += random["chord"][12 * plane + (other - pitch) % 12]
                    if abs(other - pitch) <= 2:
                        told[n, pitch, :conv] += random["given"][other - pitch + 2, plane]
    wanted = (told @ random["logit"]).swapaxes(1, 2)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)


def test_a_head_begins_without_hearing_the_voices_that_are_given():
    rng = np.random.default_rng(9)
    frame, previous = (rng.random((2, 3, 4, 20)) < 0.3).astype(np.float32)
    features = rng.standard_normal((3, 20, 6)).astype(np.float32)
    head = PitchHead(5, 2, 4, True, voices=2, voice=0)
    logits = [
        keras.ops.convert_to_numpy(head(*tensors(features, previous, frame, np.array([[0, known]] * 3, np.float32))))
        for known in (0, 1)
    ]
    np.testing.assert_array_equal(*logits)
