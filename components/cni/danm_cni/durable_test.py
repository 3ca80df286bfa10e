"""Files that are whole or absent."""

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from danm_cni.durable import remove_durably, remove_temporaries, write_atomically

_WRITERS = 8
_ROUNDS = 50


def test_a_file_has_its_content_and_mode(tmp_path: Path) -> None:
    """Whatever the process's mask is, and whatever was there before."""
    path = tmp_path / "x"
    before = os.umask(0o777)
    try:
        write_atomically(path, b"old")
        write_atomically(path, b"new", mode=0o755)
    finally:
        os.umask(before)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o755)
    assert ["x"] == [each.name for each in tmp_path.iterdir()]


@pytest.fixture()
def small_files() -> Iterator[int]:
    """Let this process write small files alone, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield 4096
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, small_files: int) -> None:
    """The old content stays, nothing of the new one is left, and the caller is told."""
    path = tmp_path / "x"
    write_atomically(path, b"old")
    with pytest.raises(OSError, match="File too large"):
        write_atomically(path, b"n" * (small_files + 1))
    assert path.read_bytes() == b"old"
    assert ["x"] == [each.name for each in tmp_path.iterdir()]


def test_removing_twice_is_once(tmp_path: Path) -> None:
    """What is gone is gone; a directory is not removed by accident."""
    path = tmp_path / "x"
    path.touch()
    for _ in range(2):
        remove_durably(path)
    assert [] == list(tmp_path.iterdir())
    path.mkdir()
    with pytest.raises(OSError, match="x"):
        remove_durably(path)


def test_what_interrupted_writes_left_is_removed(tmp_path: Path) -> None:
    """And nothing else."""
    for name in (".x.17", ".y.18", "x", "y.json"):
        (tmp_path / name).touch()
    (tmp_path / ".z").mkdir()
    remove_temporaries(tmp_path)
    (tmp_path / ".z").rmdir()
    assert ["x", "y.json"] == sorted(each.name for each in tmp_path.iterdir())


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Two DELs of one container may be left at once; each write succeeds, and is whole."""
    # DESIGN P5
    path = tmp_path / "file"
    start = threading.Barrier(_WRITERS)
    failed: list[OSError] = []

    def write(number: int) -> None:
        start.wait()
        try:
            for _ in range(_ROUNDS):
                write_atomically(path, bytes([number]) * 1000)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(_WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    data = path.read_bytes()
    assert data == data[:1] * 1000
    assert [path] == list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Where the final name cannot be taken, no other is left behind; what was cut off goes."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "file", b"data")
    (tmp_path / ".other.7").touch()
    remove_temporaries(tmp_path)
    assert [tmp_path / "file"] == list(tmp_path.iterdir())
