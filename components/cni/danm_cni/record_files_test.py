"""Reading a journal whose disk, or whoever had a hand in it, has spoilt some of it."""

from pathlib import Path

import msgspec
import pytest

from danm_cni.record_files import readable_records


class _Record(msgspec.Struct, frozen=True):
    name: str


def _write(directory: Path, *names: str) -> None:
    for name in names:
        (directory / f"{name}.json").write_bytes(msgspec.json.encode(_Record(name)))


def _read(directory: Path) -> list[str]:
    paths = sorted(directory.glob("*.json"))
    return [each.name for each in readable_records(paths, _Record)]


@pytest.mark.parametrize("data", [b"{", b"", b"[]", b'{"name":"\xff"}', b"[" * 100_000])
def test_what_is_no_record_is_set_aside(tmp_path: Path, data: bytes) -> None:
    """It stops none of the others, and people may look at it."""
    _write(tmp_path, "a", "c")
    (tmp_path / "b.json").write_bytes(data)
    assert _read(tmp_path) == ["a", "c"]
    assert (tmp_path / "b.json.unreadable").read_bytes() == data
    assert not (tmp_path / "b.json").exists()


def test_what_cannot_even_be_set_aside_stops_nobody(tmp_path: Path) -> None:
    """A disk may refuse that, too."""
    _write(tmp_path, "a", "c")
    (tmp_path / "b.json").write_bytes(b"{")
    (tmp_path / "b.json.unreadable").mkdir()
    assert _read(tmp_path) == ["a", "c"]


def test_what_the_disk_does_not_give_stays_for_the_next_time(tmp_path: Path) -> None:
    """As with an error of the disk, or a directory where a file should be."""
    _write(tmp_path, "a", "c")
    (tmp_path / "b.json").mkdir()
    (tmp_path / "loop.json").symlink_to("loop.json")
    assert _read(tmp_path) == ["a", "c"]
    (tmp_path / "b.json").rmdir()
    _write(tmp_path, "b")
    assert _read(tmp_path) == ["a", "b", "c"]
