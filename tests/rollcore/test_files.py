"""Files that replace what was there when they are whole: whatever stops the writing, the old one stays."""

from __future__ import annotations

import pytest

from rollcore import RollcoreError
from rollcore.files import whole_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with whole_file(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert (target.read_bytes(), names(tmp_path)) == (b"new", ["x"])
    assert target.stat().st_mode & 0o777 == 0o640, "who may read it does not change"


def test_the_longest_names_can_be_written(tmp_path):
    for name in ("n" * 255, "é" * 127, "n" * 219 + "é" * 18):
        with whole_file(tmp_path / name) as file:
            file.write(b"new")
    assert len(names(tmp_path)) == 3


def write_half(target, fault):
    with whole_file(target) as file:
        file.write(b"half")
        raise fault


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (KeyboardInterrupt("stop"), (KeyboardInterrupt, "stop")),
        (ValueError("no room"), (ValueError, "no room")),
        (OSError(28, "No space left on device"), (RollcoreError, "x: cannot be written: No space left on device")),
    ],
    ids=["interrupted", "fault", "disk full"],
)
def test_what_stops_it_leaves_the_old_one(tmp_path, fault, told):
    (tmp_path / "x").write_bytes(b"old")
    kind, message = told
    with pytest.raises(kind, match=message):
        write_half(tmp_path / "x", fault)
    assert ((tmp_path / "x").read_bytes(), names(tmp_path)) == (b"old", ["x"])


def test_a_link_stays_one(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "link").symlink_to("x")
    with whole_file(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "x").read_bytes() == b"new"


def test_a_device_is_written_to():
    with whole_file("/dev/null") as file:
        file.write(b"gone")
