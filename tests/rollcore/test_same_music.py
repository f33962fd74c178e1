"""Which files are the same music: digests of pitches and of notes, splits and duplicates."""

from __future__ import annotations

import warnings
from collections import Counter
from fractions import Fraction

import mido
import numpy as np
import pretty_midi
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

import rollcore
from rollcore import Grid, Midi
from rollcore.roll import RECORD_DTYPE, RollOptions


def digests_of(data, **options):
    """The kernel's three digests of a file."""
    kernel = RollOptions(**{"grid": Grid.seconds(50), "drums": True, **options}).kernel()
    record = np.zeros(1, RECORD_DTYPE)
    assert kernel.load([data], False, record.view(np.uint8), xxhash.xxh3_128_digest) == 1
    assert record["status"][0] == 0
    found = record["digests"][0].tobytes()
    return found[:16], found[16:32], found[32:]


def test_a_digest_of_another_length_is_refused():
    kernel = RollOptions(grid=Grid.seconds(50)).kernel()
    record = np.zeros(1, RECORD_DTYPE)
    with pytest.raises(ValueError, match="expected 16 bytes, got 8"):
        kernel.load([b"MThd"], False, record.view(np.uint8), xxhash.xxh3_64_digest)


def digests_by_hand(midi):
    """Digests of pitches and of notes by their definition: of packed numbers, with plain loops."""
    notes = [(int(n["onset_tick"]), int(n["pitch"])) for n in midi.notes[~midi.drums]]
    if midi.smpte:
        fps, ticks_per_frame = midi.smpte
        per_second = Fraction(30000, 1001) * ticks_per_frame if fps == 29 else Fraction(fps * ticks_per_frame)
        unit = per_second * Fraction(24, 1000)
    else:
        unit = Fraction(midi.ticks_per_beat, 24)
    first = min(onset for onset, _ in notes)
    counts = Counter(pitch for _, pitch in notes)
    struck = sorted({int((onset - first) / unit + Fraction(1, 2)) * 128 + pitch for onset, pitch in notes})
    by_pitch = b"".join(counts[pitch].to_bytes(4, "little") for pitch in range(128))
    by_note = b"".join(number.to_bytes(8, "little") for number in struck)
    return xxhash.xxh3_128_digest(by_pitch), xxhash.xxh3_128_digest(by_note)


def saved(midi, path):
    rollcore.write_midi(midi, path)
    return path.read_bytes()


def piece(seed, count=80, ticks_per_beat=96):
    """Random notes on 24ths of a beat, two tracks of them and drums."""
    rng = np.random.default_rng(seed)
    notes = np.zeros(count, rollcore.NOTE_DTYPE)
    notes["onset_tick"] = np.sort(rng.integers(0, 400, count)) * (ticks_per_beat // 24) + ticks_per_beat
    notes["offset_tick"] = notes["onset_tick"] + ticks_per_beat // 24
    notes["pitch"] = rng.permutation(count) % 60 + 30
    notes["velocity"] = 80
    notes["channel"] = notes["track"] = rng.integers(0, 2, count)
    notes[count // 2]["channel"] = 9
    return Midi.from_notes(notes, ticks_per_beat=ticks_per_beat)


# ---- the definition ---------------------------------------------------------------------------------------------


def test_every_real_file_has_the_digests_of_the_definition(midi_folder, tmp_path):
    rollcore.build_dataset(midi_folder, tmp_path / "x.h5")
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    found = {}
    for i, path in enumerate(sorted(midi_folder.rglob("*.mid"))):
        by_pitch, by_note = digests_by_hand(rollcore.read_midi(path))
        assert dataset.pieces["digest"][i].astype(">u8").tobytes() == xxhash.xxh3_128_digest(path.read_bytes())
        assert dataset.pieces["pitch_digest"][i].astype(">u8").tobytes() == by_pitch
        assert dataset.pieces["note_digest"][i].astype(">u8").tobytes() == by_note
        found.setdefault(by_note, []).append(path.name)
    # Nottingham has a jig under two names. Others would have to be copies too, note by note.
    for names in found.values():
        music = set()
        for name in names:
            midi = rollcore.read_midi(next(midi_folder.rglob(name)))
            beats = [(Fraction(int(n["onset_tick"]), midi.ticks_per_beat), int(n["pitch"])) for n in midi.notes]
            first = min(beats)[0]
            music.add(frozenset((beat - first, pitch) for beat, pitch in beats))
        assert len(music) == 1, names
    assert len(found) >= 0.99 * len(dataset)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**7), st.integers(0, 127), st.sampled_from([0, 1, 9])), min_size=1, max_size=50
    ),
    st.sampled_from([1, 5, 96, 480, 32767, (24, 4), (25, 40), (29, 100), (30, 80)]),
    st.integers(0, 24),
)
def test_random_pieces_have_the_digests_of_the_definition(tmp_path_factory, rows, division, doubled):
    rows = [*rows, (7, 60, 0), *rows[:doubled]]
    data = smf(division, sorted(rows))
    midi = rollcore.read_midi(data)
    assert len(midi.notes) == len(rows)
    assert digests_of(data, max_minutes=10**6, grid=Grid.seconds(1))[1:] == digests_by_hand(midi)


def smf(division, rows):
    """A file of notes that each last a tick, by hand: write_midi has no SMPTE time."""
    code = division.to_bytes(2, "big") if isinstance(division, int) else bytes([256 - division[0], division[1]])
    events = sorted([(on, 1, p, c) for on, p, c in rows] + [(on + 1, 0, p, c) for on, p, c in rows])
    body, now = b"", 0
    for tick, down, pitch, channel in events:
        delta = tick - now
        now = tick
        digits = [delta & 127]
        while delta := delta >> 7:
            digits.append(delta & 127 | 128)
        body += bytes(digits[::-1]) + bytes([0x90 | channel, pitch, 80 * down])
    body += b"\x00\xff\x2f\x00"
    return b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1]) + code + b"MTrk" + len(body).to_bytes(4, "big") + body


def test_drums_alone_are_known_by_their_bytes():
    data = smf(96, [(0, 36, 9), (96, 38, 9)])
    assert digests_of(data) == (xxhash.xxh3_128_digest(data),) * 3


def test_a_selection_does_not_change_what_a_piece_is(tmp_path):
    data = saved(piece(1), tmp_path / "x.mid")
    expected = digests_of(data)
    for options in ({"drums": False}, {"grid": Grid.beats(4)}, {"sustain": True}, {"align": False}):
        assert digests_of(data, **options) == expected


# ---- saved again ------------------------------------------------------------------------------------------------


def by_mido(path, target, seed):
    """Other names, velocities, tempo, twice the division, one track, running commentary."""
    rng = np.random.default_rng(seed)
    midi = mido.MidiFile(path)
    track = mido.merge_tracks(midi.tracks)
    for i, message in enumerate(track):
        message = message.copy(time=2 * message.time)
        if message.type == "note_on" and message.velocity:
            message = message.copy(velocity=int(rng.integers(1, 128)))
        if message.type == "set_tempo":
            message = message.copy(tempo=message.tempo + 12_345)
        track[i] = message
    track.insert(0, mido.MetaMessage("track_name", name="saved again"))
    out = mido.MidiFile(type=0, ticks_per_beat=2 * midi.ticks_per_beat)
    out.tracks.append(track)
    out.save(target)


def by_pretty_midi(path, target, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        midi = pretty_midi.PrettyMIDI(str(path))
    for instrument in midi.instruments:
        instrument.name = f"part {seed}"
        for note in instrument.notes:
            note.velocity = 1 + (note.velocity + seed) % 127
    midi.write(str(target))


def by_symusic(path, target, seed):
    symusic = pytest.importorskip("symusic")
    score = symusic.Score(path)
    melodic = [note for track in score.tracks if not track.is_drum for note in track.notes]
    drums = [track for track in score.tracks if track.is_drum]
    tracks = [symusic.Track(name=f"every third {i}", program=7 * i) for i in range(3)]
    for i, note in enumerate(melodic):
        tracks[i % 3].notes.append(note)
    score.tracks = [*tracks, *drums]
    score.tempos = [symusic.Tempo(time=0, qpm=91.0 + seed)]
    score.dump_midi(target)


RESAVERS = {"mido": by_mido, "pretty_midi": by_pretty_midi, "symusic": by_symusic}


@pytest.mark.parametrize("resave", RESAVERS.values(), ids=RESAVERS)
def test_a_piece_saved_again_is_the_same_music(tmp_path, resave):
    for seed in range(20):
        saved(piece(seed), tmp_path / "x.mid")
        resave(tmp_path / "x.mid", tmp_path / "y.mid", seed)
        before, after = (digests_of((tmp_path / name).read_bytes()) for name in ("x.mid", "y.mid"))
        assert before[0] != after[0]
        assert before[1:] == after[1:]


def test_real_files_saved_again_never_straddle_a_split(midi_folder, tmp_path):
    paths = sorted(midi_folder.rglob("*.mid"))[::20]
    (tmp_path / "in").mkdir()
    for i, path in enumerate(paths):
        (tmp_path / "in" / f"{i}.mid").write_bytes(path.read_bytes())
        for name, resave in RESAVERS.items():
            resave(path, tmp_path / "in" / f"{i}.{name}.mid", i)
    report = rollcore.build_dataset(tmp_path / "in", tmp_path / "x.h5", split=(1, 1, 1))
    assert report.pieces == 4 * len(paths)
    dataset = rollcore.open_dataset(tmp_path / "x.h5")
    splits = {}
    for i, split in enumerate(dataset.pieces["split"].tolist()):
        splits.setdefault(dataset.name(i).split(".")[0], set()).add(split)
    assert len(splits) == len(paths)
    assert {len(found) for found in splits.values()} == {1}
    assert set.union(*splits.values()) == {0, 1, 2}


def test_other_music_is_told_apart(tmp_path):
    midi = piece(3)
    digests = digests_of(saved(midi, tmp_path / "x.mid"))
    for change in ("transposed", "a note more", "a note later"):
        notes = midi.notes.copy()
        if change == "transposed":
            notes["pitch"] += 1
        elif change == "a note more":
            notes = np.concatenate([notes, notes[-1:]])
            notes[-1]["onset_tick"] += 96
            notes[-1]["offset_tick"] += 96
        else:
            notes[-1]["onset_tick"] += 48
            notes[-1]["offset_tick"] += 48
        other = digests_of(saved(Midi.from_notes(notes, ticks_per_beat=96), tmp_path / "y.mid"))
        assert other[2] != digests[2], change
        assert (other[1] == digests[1]) == (change == "a note later")


# ---- splits and duplicates --------------------------------------------------------------------------------------


@pytest.fixture
def copies(tmp_path):
    """Two pieces: the first twice byte for byte and once saved again."""
    folder = tmp_path / "in"
    folder.mkdir()
    data = saved(piece(5), folder / "a.mid")
    (folder / "b.mid").write_bytes(data)
    by_mido(folder / "a.mid", folder / "c.mid", 0)
    saved(piece(6), folder / "d.mid")
    return folder


def test_dedupe_goes_by_the_notes_or_by_the_bytes(copies, tmp_path):
    for dedupe, kept, reason in (
        (False, "abcd", None),
        (True, "ad", "same notes as an earlier file (--dedupe)"),
        ("notes", "ad", "same notes as an earlier file (--dedupe)"),
        ("bytes", "acd", "same content as an earlier file (--dedupe-by bytes)"),
    ):
        report = rollcore.build_dataset(copies, tmp_path / "x.h5", dedupe=dedupe)
        dataset = rollcore.open_dataset(tmp_path / "x.h5")
        assert [dataset.name(i)[0] for i in range(len(dataset))] == list(kept)
        assert report.reasons == ({reason: 4 - len(kept)} if reason else {})
        assert dataset.options["dedupe"] == ("notes" if dedupe is True else dedupe)
    with pytest.raises(rollcore.RollcoreError, match="dedupe 'names': expected notes or bytes"):
        rollcore.build_dataset(copies, tmp_path / "x.h5", dedupe="names")


def test_the_report_lists_groups_of_the_same_notes(copies, tmp_path):
    from rollcore.show.summary import file_outcomes, outcome_lines

    rollcore.build_dataset(copies, tmp_path / "x.h5")
    listed = file_outcomes(rollcore.open_dataset(tmp_path / "x.h5"))
    assert listed["same_notes"] == [["a.mid", "b.mid", "c.mid"]]
    *_, head, names = outcome_lines(listed)
    assert head == "same notes: 3 pieces in 1 group; --dedupe keeps the first of each"
    assert names.strip() == "a.mid; b.mid; c.mid"
