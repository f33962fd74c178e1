"""The four standard .mat datasets come over bit by bit, with their splits."""

import builtins

import numpy as np
import pytest

import rollcore
from rollcore.errors import RollcoreError
from rollcore.sources.matfile import import_mat

scipy_io = pytest.importorskip("scipy.io", reason="needs scipy")

# Pieces a split as published with the datasets (Boulanger-Lewandowski 2012), and steps a beat.
STANDARD = {
    "JSB_Chorales": ((229, 76, 77), "1 steps per beat"),
    "Nottingham": ((694, 173, 170), "2 steps per beat"),
    "MuseData": ((524, 135, 124), "2 steps per beat"),
    "Piano_midi": ((87, 12, 25), "2 steps per beat"),
}


def cells(arrays):
    box = np.empty((1, len(arrays)), object)
    for index, array in enumerate(arrays):
        box[0, index] = array
    return box


def write(path, train, validation=(), test=()):
    scipy_io.savemat(path, {"traindata": cells(train), "validdata": cells(validation), "testdata": cells(test)})
    return path


@pytest.mark.parametrize("name", STANDARD)
def test_the_standard_datasets(rolls_folder, tmp_path, name):
    counts, grid = STANDARD[name]
    assert import_mat(rolls_folder / f"{name}.mat", tmp_path / "out.h5") == sum(counts)
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    assert tuple(len(dataset.split(split)) for split in ("train", "validation", "test")) == counts
    assert (str(dataset.grid), dataset.planes) == (grid, ("sounding",))
    assert dataset.verify() == []
    source = scipy_io.loadmat(rolls_folder / f"{name}.mat")
    piece = 0
    for variable in ("traindata", "validdata", "testdata"):
        for array in source[variable].ravel():
            if piece % 7 == 0:
                bits = np.unpackbits(dataset.rows(piece), axis=-1, bitorder="little")[:, 0]
                np.testing.assert_array_equal(bits[:, 21:109], array)
                assert not bits[:, :21].any()
                assert not bits[:, 109:].any()
                # a note begins where a key sounds that did not a step before
                before = np.vstack([np.zeros((1, 88), np.uint8), array[:-1]])
                assert int(dataset.pieces["notes"][piece]) == int(((array == 1) & (before == 0)).sum())
            piece += 1


def test_nottingham_has_an_eighth_note_a_step(rolls_folder, midi_folder):
    """Some files' top voice, at two steps a beat and no other rate, is that of an array in another key."""
    length = 64
    source = scipy_io.loadmat(rolls_folder / "Nottingham.mat")
    arrays = [cell for name in ("traindata", "validdata", "testdata") for cell in source[name].ravel()]
    tops = np.array([87 - np.argmax(cell[:length, ::-1], axis=1) for cell in arrays if len(cell) >= length])
    found = dict.fromkeys((1, 2, 4), 0)
    for steps in found:
        for path in sorted((midi_folder / "nottingham").glob("reelsm-q*.mid"))[:12]:
            rows = rollcore.piano_roll(rollcore.read_midi(path), steps_per_beat=steps)
            melody = 127 - np.argmax(np.unpackbits(rows, axis=-1, bitorder="little")[:, 0, ::-1], axis=1)
            for upbeat in range(5):  # the arrays leave it out
                voice = melody[upbeat : upbeat + length]
                if len(voice) == length:
                    apart = tops - voice
                    same = (apart == np.median(apart, axis=1)[:, None]).mean(axis=1)
                    found[steps] += bool(same.max() > 0.95)
    assert found[2] > 0
    assert found[1] == found[4] == 0


def test_same_bytes_every_time(tmp_path):
    rng = np.random.default_rng(1)
    path = write(tmp_path / "jsb.mat", [(rng.random((30, 88)) < 0.1).astype(np.uint8)] * 3)
    import_mat(path, tmp_path / "a.h5")
    import_mat(path, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_an_unknown_name_needs_the_time_step(tmp_path):
    roll = np.zeros((5, 88), np.uint8)
    roll[1:3, 39] = 1
    path = write(tmp_path / "mine.mat", [roll], [roll], [])
    with pytest.raises(RollcoreError, match="--steps-per-beat"):
        import_mat(path, tmp_path / "out.h5")
    assert import_mat(path, tmp_path / "out.h5", steps_per_beat=4) == 2
    dataset = rollcore.open_dataset(tmp_path / "out.h5")
    assert dataset.name(1) == "validation/000"
    assert dataset.find("train/000") == 0
    notes = rollcore.notes_from_roll(dataset.rows(0))
    assert notes[["onset_tick", "offset_tick", "pitch"]].tolist() == [(1, 3, 60)]  # column 39 is middle C


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([np.zeros((5, 87), np.uint8)], r"traindata\[0\]: expected 0 and 1 of shape"),
        ([np.full((5, 88), 2, np.uint8)], r"traindata\[0\]: expected 0 and 1"),
        ([np.zeros(88, np.uint8)[None, None]], r"traindata\[0\]: expected 0 and 1"),
        ([], "holds no pieces"),
    ],
)
def test_arrays_of_another_kind(tmp_path, train, message):
    path = write(tmp_path / "jsb.mat", train)
    with pytest.raises(RollcoreError, match=message):
        import_mat(path, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_files_of_another_kind(tmp_path):
    with pytest.raises(RollcoreError, match=r"jsb\.mat: cannot be read: No such file or directory; check the path"):
        import_mat(tmp_path / "jsb.mat", tmp_path / "out.h5")
    with pytest.raises(RollcoreError, match="cannot be read: Is a directory; check the path"):
        import_mat(tmp_path, tmp_path / "out.h5")
    scipy_io.savemat(tmp_path / "jsb.mat", {"other": np.zeros(3)})
    with pytest.raises(RollcoreError, match="holds no traindata"):
        import_mat(tmp_path / "jsb.mat", tmp_path / "out.h5")
    roll = np.eye(9, 88, dtype=np.uint8)
    whole = write(tmp_path / "whole.mat", [roll], [roll], [roll]).read_bytes()
    for content in (b"", b"not a mat file" * 50, whole[:-9]):
        (tmp_path / "jsb.mat").write_bytes(content)
        with pytest.raises(RollcoreError, match=r"jsb\.mat: not a \.mat file that scipy reads; .* download it again"):
            import_mat(tmp_path / "jsb.mat", tmp_path / "out.h5")


@pytest.mark.parametrize("content", [None, b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0", b"", b"<html>" * 100])
def test_the_time_step_is_asked_for_last(tmp_path, content):
    """Under a name that is not known, what is wrong with the file comes before the option that would not mend it."""
    path = tmp_path / "x.mid"
    if content is not None:
        path.write_bytes(content)
    for options in ({}, {"steps_per_beat": 4}):
        with pytest.raises(RollcoreError) as error:
            import_mat(path, tmp_path / "out.h5", **options)
        wrong = "cannot be read: No such file" if content is None else "not a .mat file"
        assert str(error.value).startswith(f"{path}: {wrong}")
        assert "--steps-per-beat" not in str(error.value)
    assert not (tmp_path / "out.h5").exists()


def test_scipy_missing(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RollcoreError, match=r"pip install 'rollcore\[mat\]'"):
        import_mat(tmp_path / "jsb.mat", tmp_path / "out.h5")
