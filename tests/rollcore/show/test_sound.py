"""What a piece sounds like: the right pitches at the right times, and a WAV file that others can read."""

import io
import os
import wave

import mido
import numpy as np
import pytest

import rollcore
from rollcore import Midi, RollcoreError, write_wav

RATE = 32_000


def sound(midi):
    """Samples from -1 to 1, as the standard library's reader finds them."""
    file = io.BytesIO()
    write_wav(midi, file)
    with wave.open(io.BytesIO(file.getvalue())) as read:
        assert read.getparams()[:3] == (1, 2, RATE)
        assert len(file.getvalue()) == 44 + 2 * read.getnframes()
        return np.frombuffer(read.readframes(read.getnframes()), "<i2") / 32_767


def piece(*notes, **options):
    """A piece of (onset, offset, pitch) in thousandths of a second; velocity and channel may follow."""
    rows = [(on, off, pitch, *(rest or (80,)), *((0,) * (3 - len(rest or (80,))))) for on, off, pitch, *rest in notes]
    return Midi.from_notes(rows, ticks_per_beat=1000, tempos=[(0, 1_000_000)], **options)


def attacks(samples):
    """Seconds at which sound begins after a tenth of a second of silence."""
    loud = np.flatnonzero(np.abs(samples) > 0.002)
    return loud[np.diff(loud, prepend=-RATE) > RATE // 10] / RATE


@pytest.mark.parametrize("pitch", [28, 45, 60, 69, 76, 93, 108, 127])
def test_a_note_has_the_frequency_of_its_pitch(pitch):
    samples = sound(piece((0, 2000, pitch)))
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 19))
    loudest = np.argmax(spectrum) * RATE / (1 << 19)
    assert 1200 * abs(np.log2(loudest / (440 * 2 ** ((pitch - 69) / 12)))) < 3  # hundredths of a semitone


def test_notes_sound_when_a_file_with_tempo_changes_says(tmp_path):
    track = mido.MidiTrack()
    for time, message in [
        (0, mido.MetaMessage("set_tempo", tempo=400_000)),
        (300, mido.Message("note_on", note=60)),
        (60, mido.Message("note_off", note=60)),
        (40, mido.MetaMessage("set_tempo", tempo=1_300_000)),
        (0, mido.MetaMessage("set_tempo", tempo=900_000)),
        (17, mido.Message("note_on", note=72)),
        (20, mido.Message("note_off", note=72)),
        (400, mido.MetaMessage("set_tempo", tempo=150_000)),
        (900, mido.Message("note_on", note=64)),
        (50, mido.Message("note_off", note=64)),
    ]:
        track.append(message.copy(time=time))
    path = tmp_path / "rubato.mid"
    mido.MidiFile(ticks_per_beat=96, tracks=[track]).save(path)
    now, struck = 0.0, []
    for message in mido.MidiFile(path):  # mido counts in seconds here
        now += message.time
        if message.type == "note_on":
            struck.append(now)
    found = attacks(sound(rollcore.read_midi(path)))
    assert found == pytest.approx(struck, abs=0.002)
    assert len(found) == 3


def test_each_track_of_format_2_has_its_own_tempo_and_smpte_its_own_time():
    notes = np.array([(96, 100, 60, 80, 0, 0), (96, 100, 72, 80, 0, 1)], rollcore.NOTE_DTYPE)
    tempos = np.array([(0, 1_000_000), (0, 2_000_000)], rollcore.TEMPO_DTYPE)
    both = Midi(notes, tempos, 96, format=2, tempo_tracks=np.array([0, 1], np.uint16))
    assert attacks(sound(both)) == pytest.approx([1, 2], abs=0.002)
    film = Midi(notes[:1], tempos[:0], 0, smpte=(29, 4))
    assert attacks(sound(film)) == pytest.approx([24 * 1001 / 30_000], abs=0.002)


def test_a_note_ends_soon_after_its_end_and_a_held_one_fades():
    short = sound(piece((0, 200, 60), (1000, 1100, 60)))
    assert np.abs(short[: RATE // 5]).max() > 0.1
    assert not short[int(0.2625 * RATE) + 1 : RATE].any()
    held = np.abs(sound(piece((0, 20_000, 48))))
    assert held[: RATE // 2].max() > 5 * held[3 * RATE : 4 * RATE].max() > 0
    assert not held[4 * RATE :].any()


@pytest.mark.parametrize("milliseconds", [3_900, 7_800, 7_980, 8_000, 23_940, 31_000])
def test_a_note_sounds_the_same_wherever_it_stands(milliseconds):
    """Whole samples later, and across the blocks in which sound is made."""
    alone = sound(piece((0, 3000, 57)))
    later = sound(piece((0, 1, 57, 1), (milliseconds, milliseconds + 3000, 57)))
    at = milliseconds * RATE // 1000
    assert np.array_equal(later[at:], alone)


def test_notes_add_up_and_many_are_limited():
    one, other = piece((0, 900, 60, 30)), piece((100, 800, 67, 40))
    together = Midi.from_notes(np.concatenate([one.notes, other.notes]), ticks_per_beat=1000, tempos=one.tempos)
    first, second = np.arctanh(sound(one)), np.arctanh(sound(other))
    first[: len(second)] += second
    assert np.arctanh(sound(together)) == pytest.approx(first, abs=1e-4)
    cluster = np.abs(sound(piece(*((0, 500, pitch, 127) for pitch in range(128)))))
    assert 0.9 < cluster.max() <= 1


def test_a_note_is_heard_once():
    """At full velocity a note is half as loud as can be: two of them at once leave room for no more."""
    loudest = np.arctanh(np.abs(sound(piece((0, 900, 60, 127))))).max()
    assert 0.25 < loudest <= 0.5


def test_velocity_is_loudness_and_drums_have_no_pitch():
    peaks = [np.abs(sound(piece((0, 500, 60, velocity)))).max() for velocity in (10, 40, 80, 127)]
    assert peaks == sorted(peaks)
    assert peaks[-1] > 8 * peaks[0] > 0
    snare, note = sound(piece((0, 500, 38, 80, 9))), sound(piece((0, 500, 38, 80, 0)))
    power = [np.abs(np.fft.rfft(samples)) ** 2 for samples in (snare, note)]
    assert power[0].max() / power[0].sum() < 0.02 < 0.2 < power[1].max() / power[1].sum()
    kick = np.abs(np.fft.rfft(sound(piece((0, 500, 36, 80, 9)))))
    assert np.argmax(kick) * RATE / (2 * (len(kick) - 1)) < 80


def test_the_same_piece_gives_the_same_bytes_in_a_file_and_in_a_pipe(tmp_path):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    midi, pipe, path = piece((0, 500, 60), (250, 9000, 64), (9500, 9900, 38, 90, 9)), Pipe(), tmp_path / "a b.wav"
    write_wav(midi, pipe)
    path.write_text("old")
    write_wav(midi, path)
    assert path.read_bytes() == pipe.written
    assert [entry.name for entry in tmp_path.iterdir()] == ["a b.wav"]


def test_what_no_file_can_hold_makes_no_sound():
    good = piece((0, 500, 60))
    early, backwards = good.notes.copy(), good.notes.copy()
    early["onset_tick"], backwards["onset_tick"] = -480, 700
    for midi, words in [
        (Midi(early, good.tempos, 480), "onset_tick must not be negative"),
        (Midi(backwards, good.tempos, 480), "offset_tick must not be before"),
        (Midi(good.notes, np.array([(9, 400_000), (0, 500_000)], rollcore.TEMPO_DTYPE), 480), "ascending order"),
        (Midi(good.notes, good.tempos, 480, format=2), "tempo_tracks"),
    ]:
        with pytest.raises(RollcoreError, match=words):
            sound(midi)
    with pytest.raises(TypeError, match="not of a str"):
        write_wav("x.mid", io.BytesIO())


def test_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "x.wav").symlink_to(tmp_path / "there" / "y.wav")
    write_wav(piece((0, 500, 60)), tmp_path / "x.wav")
    assert (tmp_path / "x.wav").is_symlink()
    assert (tmp_path / "there" / "y.wav").stat().st_size > 44
    assert len(list((tmp_path / "there").iterdir())) == 1


def test_refusals_leave_what_was_there(tmp_path):
    path = tmp_path / "x.wav"
    path.write_text("old")
    hours = 18 * 3_600_000
    for midi, words in [
        (piece(), "no notes"),
        (piece((0, 10, 60), (hours, hours + 1000, 60)), "18.0 hours: longer than the 18"),
        (Midi(piece((0, 10, 60)).notes, piece().tempos, 0), "ticks_per_beat"),
    ]:
        with pytest.raises(RollcoreError, match=words):
            write_wav(midi, path)
    with pytest.raises(RollcoreError, match=r"nowhere.x\.wav: cannot be written: No such file"):
        write_wav(piece((0, 10, 60)), tmp_path / "nowhere" / "x.wav")
    with pytest.raises(RollcoreError, match=r"x\.wav.y\.wav: cannot be written: Not a directory"):
        write_wav(piece((0, 10, 60)), path / "y.wav")
    os.mkdir(tmp_path / "folder.wav")
    with pytest.raises(RollcoreError, match=r"folder\.wav: cannot be written: Is a directory"):
        write_wav(piece((0, 10, 60)), tmp_path / "folder.wav")
    assert path.read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.wav", "x.wav"]
