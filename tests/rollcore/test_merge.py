"""Parts of a build, joined: byte for byte what one process writes, and nothing else is taken for parts."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pytest

import rollcore
from rollcore import DatasetError, RollcoreError
from songs import write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Songs, copies far from each other, files to mend, and files to skip for many reasons."""
    folder = tmp_path_factory.mktemp("in") / "midi"
    for i in range(60):
        write(folder / f"{i:03}.mid", (0, 480 + 30 * (i % 20), 30 + i % 20, 0), (i % 20, 960, 40, 1))
        if i % 7 == 0:
            raw = (folder / f"{i:03}.mid").read_bytes()
            (folder / f"{i:03} cut.mid").write_bytes(raw[:-4])
            (folder / f"{i:03} empty.mid").touch()
        if i % 11 == 0:
            write(folder / f"{i:03} drums.mid", (0, 480, 36, 9))
            (folder / f"z{i:03} page.mid").write_text("<html>")
    return folder


def build_parts(inputs, folder, count, **options):
    paths = [folder / f"part-{i}.h5" for i in range(1, count + 1)]
    for i, path in enumerate(paths, start=1):
        rollcore.build_dataset(inputs, path, part=(i, count), **options)
    return paths


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr("rollcore.build.BATCH_FILES", 4)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("count", [1, 2, 5, 40])
@pytest.mark.parametrize("dedupe", [False, "notes", "bytes"])
def test_parts_are_joined_to_what_one_process_writes(folder, tmp_path, count, dedupe):
    expected = rollcore.build_dataset(folder, tmp_path / "whole.h5", dedupe=dedupe)
    parts = build_parts(folder, tmp_path, count, dedupe=dedupe)
    contents = [path.read_bytes() for path in parts]
    report = rollcore.merge_parts(parts[::-1], tmp_path / "joined.h5")
    assert (tmp_path / "joined.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    whole = rollcore.open_dataset(tmp_path / "whole.h5")
    assert report.pieces == len(whole)
    report = report._replace(path=expected.path, seconds=expected.seconds)
    if dedupe:  # of the copies that the merge leaves out only the parts know what is off the grid
        report = report._replace(off_grid=expected.off_grid, gridless=expected.gridless, left_out=expected.left_out)
    assert report == expected
    assert len(whole.reasons) >= 3
    assert len(whole.repairs)
    assert bool(dedupe) == any("same" in reason for reason in whole.reasons)
    assert [path.read_bytes() for path in parts] == contents


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("kind", ["zip", "tar.gz", "two folders", "list"])
def test_inputs_of_every_kind_are_shared_out(folder, tmp_path, kind):
    files = sorted(folder.iterdir())
    if kind == "zip":
        inputs = tmp_path / "in.zip"
        with zipfile.ZipFile(inputs, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.name)
    elif kind == "tar.gz":
        inputs = tmp_path / "in.tar.gz"
        with tarfile.open(inputs, "w:gz") as archive:
            for path in files:
                archive.add(path, path.name)
    elif kind == "list":
        (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in files))
        inputs = f"@{tmp_path / 'list.txt'}"
    else:
        shutil.copytree(folder, tmp_path / "b")
        inputs = [folder, tmp_path / "b"]
    rollcore.build_dataset(inputs, tmp_path / "whole.h5", dedupe=True)
    rollcore.merge_parts(build_parts(inputs, tmp_path, 3, dedupe=True), tmp_path / "joined.h5")
    assert (tmp_path / "joined.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.usefixtures("small_batches")
def test_what_is_off_the_grid_left_out_or_matched_by_nothing_is_summed_up(tmp_path):
    (tmp_path / "midi").mkdir()
    for i in range(8):
        notes = [
            (480 * k + 70 * (i == 1), 480 * k + 240, 60 + k, 80, track, track) for k in range(8) for track in (0, 1)
        ]
        midi = replace(rollcore.Midi.from_notes(notes), track_names=("left", "right" if i == 3 else ""))
        rollcore.write_midi(midi, tmp_path / "midi" / f"{i}.mid")
    select = rollcore.Selection(tracks="left,right,nobody")
    expected = rollcore.build_dataset(tmp_path / "midi", tmp_path / "whole.h5", select=select)
    report = rollcore.merge_parts(build_parts(tmp_path / "midi", tmp_path, 3, select=select), tmp_path / "joined.h5")
    assert (report.off_grid, report.left_out) == (8, {"of other tracks": 56})
    assert report.unmatched == ("--tracks nobody",)
    assert report._replace(path=expected.path, seconds=expected.seconds) == expected


@pytest.mark.usefixtures("small_batches")
def test_splits_by_name_and_other_options_are_kept(folder, tmp_path):
    split = {path.name: ("train", "validation", "test")[i % 3] for i, path in enumerate(sorted(folder.iterdir()))}
    split.popitem()
    options = {"split": split, "fps": 25, "planes": ("sounding", "onset"), "drums": True, "max_minutes": 3}
    rollcore.build_dataset(folder, tmp_path / "whole.h5", **options)
    rollcore.merge_parts(build_parts(folder, tmp_path, 4, **options), tmp_path / "joined.h5")
    assert (tmp_path / "joined.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.fixture(scope="module")
def parts(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rollcore.build.BATCH_FILES", 4)
        return build_parts(folder, tmp_path_factory.mktemp("parts"), 3)


def test_what_is_not_all_parts_of_one_build_is_refused(folder, parts, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copytree(folder, tmp_path / "midi")
    write(tmp_path / "midi" / "one more.mid", (0, 480, 60, 0))
    foreign = build_parts(folder, tmp_path, 3, fps=7)
    more = build_parts(tmp_path / "midi", tmp_path / "other", 3)
    rollcore.build_dataset(folder, tmp_path / "whole.h5")
    for given, message in [
        ([], "no parts"),
        (parts[:2], "of 3 parts these are missing: 3"),
        (parts[1:2], "these are missing: 1, 3"),
        ([*parts, parts[0]], "is part 1 of 3, as .* is; give each part once"),
        ([*parts[:2], foreign[2]], "is a part of another build"),
        ([*parts[:2], more[2]], "is a part of another build than .* or of other files"),
        ([*parts[:2], tmp_path / "whole.h5"], "is not a part"),
        ([*parts[:2], tmp_path / "absent.h5"], "No such file"),
    ]:
        with pytest.raises(RollcoreError, match=message):
            rollcore.merge_parts(given, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    with pytest.raises(DatasetError, match="is a part and the target at once"):
        rollcore.merge_parts(parts, parts[1])


def test_a_damaged_part_is_refused_and_the_old_file_stays(parts, tmp_path):
    old = tmp_path / "out.h5"
    rollcore.merge_parts(parts, old)
    before = old.read_bytes()
    copies = [shutil.copy(path, tmp_path) for path in parts]
    damaged = bytearray((tmp_path / "part-2.h5").read_bytes())
    damaged[int(rollcore.open_dataset(parts[1]).pieces["offset"][0])] ^= 1
    (tmp_path / "part-2.h5").write_bytes(damaged)
    with pytest.raises(DatasetError, match=r"part-2\.h5: damaged: rows of shard 000000"):
        rollcore.merge_parts(copies, old)
    assert old.read_bytes() == before
    for value in ('{"part": {"index": 9, "of": 3, "files": ""}}', '{"part": [1, 3]}', '{"part": {"index": true}}'):
        with h5py.File(tmp_path / "part-2.h5", "r+") as file:
            del file.attrs["options"]
            file.attrs["options"] = np.bytes_(value.encode())
        with pytest.raises(DatasetError, match=r"which part it is|is not a part"):
            rollcore.merge_parts(copies, old)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "part-1.h5", "part-2.h5", "part-3.h5"]


def test_no_piece_in_any_part(tmp_path):
    (tmp_path / "a.mid").touch()
    parts = build_parts(tmp_path / "a.mid", tmp_path, 2)
    with pytest.raises(RollcoreError, match="none of 2 parts has a piece"):
        rollcore.merge_parts(parts, tmp_path / "out.h5")


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0), (1,), "12/3", 5, (1.5, 2), (1, 10**7)])
def test_parts_that_cannot_be(folder, tmp_path, part):
    with pytest.raises(RollcoreError, match="part "):
        rollcore.build_dataset(folder, tmp_path / "out.h5", part=part)
    with pytest.raises(RollcoreError, match="standard input cannot be shared out"):
        rollcore.build_dataset("-", tmp_path / "out.h5", part=(1, 2))
