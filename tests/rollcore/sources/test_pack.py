"""The sample pack: pieces that hold what they say, and keep the rules of harmony."""

import hashlib
import itertools

import mido
import pytest

from rollcore.errors import RollcoreError
from rollcore.midi import read_midi
from rollcore.midi_writer import write_midi
from rollcore.sources.chords import scale_notes
from rollcore.sources.pack import make_chords

PITCH_CLASS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def pitch_class(note):
    return (PITCH_CLASS[note[0]] + note.count("#") - note[1:].count("b")) % 12


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_chords(tmp_path_factory.mktemp("pack") / "new" / "midi")


def test_the_pack_is_156_different_files(pack):
    assert len(pack) == 156
    assert all(path.is_file() for path in pack)
    assert {"A_harmonic_minor.mid", "F#_major.mid", "Bb_dorian.mid"} <= {path.name for path in pack}
    assert len({path.name for path in pack}) == 156
    assert len({path.read_bytes() for path in pack}) == 156


def test_the_pack_is_the_same_every_time(pack, tmp_path):
    again = make_chords(tmp_path)
    assert [path.name for path in again] == [path.name for path in pack]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in pack]
    # and on every machine: the digest of all files in order
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in pack)).hexdigest()
    assert digest == "44bcfeb55ccaf7d96aebfe33ba2651d7621183f5844bfad9f0f8d0db0ec7f081"


def test_the_files_as_mido_reads_them(pack):
    for path in pack:
        file = mido.MidiFile(path)
        assert file.type == 1
        assert [track.name for track in file.tracks[1:]] == ["Melody", "Chords", "Bass"]
        assert not any(message.type == "note_on" for message in file.tracks[0])
        [tempo] = [message for track in file.tracks for message in track if message.type == "set_tempo"]
        assert 60 <= mido.tempo2bpm(tempo.tempo) <= 160
        assert 20 <= file.length <= 40.1


def degrees(path):
    """Return the pitch classes of the scale in a file's name, tonic first."""
    tonic, _, scale = path.stem.partition("_")
    return [pitch_class(note) for note in scale_notes(tonic, scale.replace("_", " "))]


def voice(path, track):
    """Return onset and end in eighths, the rest before the next note included, and pitch of the notes of a track."""
    midi = read_midi(path, strict=True)
    eighth = midi.ticks_per_beat // 2
    notes = midi.notes[midi.notes["track"] == track]
    assert not (notes["onset_tick"] % eighth).any()
    ends = -(-notes["offset_tick"] // eighth)
    found = zip(notes["onset_tick"] // eighth, ends, notes["pitch"], strict=True)
    return sorted((int(start), int(end), int(pitch)) for start, end, pitch in found)


def test_every_note_is_the_scale_s_own_and_all_seven_are_heard(pack):
    for path in pack:
        assert {int(pitch) % 12 for pitch in read_midi(path).notes["pitch"]} == set(degrees(path))


def test_the_chords_are_those_of_the_scale_and_the_bass_has_their_root_or_fifth(pack):
    for path in pack:
        scale = degrees(path)
        chords, bass = voice(path, 2), voice(path, 3)
        stacked = {
            size: {frozenset(scale[(i + 2 * j) % 7] for j in range(size)): root for i, root in enumerate(scale)}
            for size in (3, 4)
        }
        sevenths = set()
        for half in range(32):
            bar, size = half // 2, 4 if half // 8 == 2 else 3
            heard = frozenset(pitch % 12 for start, end, pitch in chords if start < 4 * half + 4 and end > 4 * half)
            assert heard in stacked[size], (path.name, bar)
            root = stacked[size][heard]
            if size == 4:
                sevenths.add(root)
            below = {pitch % 12 for start, end, pitch in bass if start <= 4 * half < end}
            if any(start == 4 * half for start, _, _ in bass) and half % 2 == 0:
                assert below == {root}
            assert below <= {root, scale[(scale.index(root) + 4) % 7]}
        assert len(sevenths) == 7  # all seven are heard in the contrast


def test_the_melody_has_a_note_of_the_chord_on_each_half_bar_and_moves_by_step(pack):
    moves = []
    for path in pack:
        scale = degrees(path)
        chords, melody = voice(path, 2), voice(path, 1)
        for start, _, pitch in melody:
            if start % 4 == 0:
                assert pitch % 12 in {other % 12 for at, end, other in chords if at < start + 4 and end > start}
        for phrase in range(4):
            line = [pitch for start, _, pitch in melody if start // 32 == phrase]
            places = [scale.index(pitch % 12) + 7 * ((pitch - scale[0]) // 12) for pitch in line]
            for (low, high), (one, other) in zip(itertools.pairwise(line), itertools.pairwise(places), strict=True):
                size, semitones = abs(other - one), abs(high - low)
                moves.append(size)
                assert size <= 3
                assert size != 1 or semitones in (1, 2)  # no augmented second
    assert sum(size <= 1 for size in moves) / len(moves) > 0.7


def test_phrases_return_and_come_home(pack):
    for path in pack:
        scale = degrees(path)
        tracks = [voice(path, track) for track in (1, 2, 3)]
        for notes in tracks:
            phrases = [[(a % 32, b - a, c) for a, b, c in notes if a // 32 == number] for number in range(4)]
            assert phrases[1] == phrases[3]
            assert [note for note in phrases[0] if note[0] < 16] == [note for note in phrases[1] if note[0] < 16]
            assert phrases[0] != phrases[1] != phrases[2]
        melody, _, bass = tracks
        for end in (64, 128):
            (*_, before, last) = [note for note in melody if note[0] < end]
            assert last[2] % 12 == scale[0]
            assert before[2] % 12 in (scale[1], scale[6])
            assert [note for note in bass if note[0] < end][-1][2] % 12 == scale[0]


def test_the_melody_is_on_top_and_the_bass_below(pack):
    for path in pack:
        lowest, chords = min(voice(path, 1), key=lambda note: note[2])[2], [note[2] for note in voice(path, 2)]
        assert max(note[2] for note in voice(path, 3)) < min(chords)
        assert max(chords) < lowest


def test_a_repeated_note_is_released_before_it_is_struck_again(pack):
    for path in pack[::7]:
        held = {}
        for note in read_midi(path).notes:
            key = (note["track"], note["pitch"])
            assert held.get(key, -1) < note["onset_tick"]
            held[key] = note["offset_tick"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RollcoreError, match="cannot make the folder"):
        make_chords(tmp_path / "file" / "midi")


def test_a_part_of_the_pack_does_not_stay(tmp_path, monkeypatch):
    """It would be taken for all of it."""
    (tmp_path / "mine.mid").write_bytes(b"mine")
    (tmp_path / "C_major.mid").write_bytes(b"an earlier one")
    write = write_midi

    def full(midi, path, **options):
        if path.name == "E_major.mid":
            raise RollcoreError(f"{path}: cannot be written: No space left on device")
        write(midi, path, **options)

    monkeypatch.setattr("rollcore.sources.pack.write_midi", full)
    with pytest.raises(RollcoreError, match="No space left"):
        make_chords(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["C_major.mid", "mine.mid"]


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "mine.mid").write_bytes(b"mine")
    make_chords(tmp_path)
    assert (tmp_path / "mine.mid").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 157
