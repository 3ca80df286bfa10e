"""Files that are whole or absent."""

import threading
from pathlib import Path

import pytest

from danm_cni.durable import remove_durably, remove_temporaries, write_atomically

_WRITERS = 8
_ROUNDS = 50


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


def test_removing_twice_is_no_error(tmp_path: Path) -> None:
    """A file that is gone stays gone."""
    write_atomically(tmp_path / "file", b"data")
    remove_durably(tmp_path / "file")
    remove_durably(tmp_path / "file")
    assert [] == list(tmp_path.iterdir())
