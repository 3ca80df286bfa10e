"""A lab's Kubernetes."""

from pathlib import Path

import pytest

from tests.lab.binaries import NEWEST, OLDEST
from tests.lab.errors import LabError
from tests.lab.release import note_release, release_of


def test_the_newest_where_nobody_asks(tmp_path: Path) -> None:
    """A lab that was never started runs the newest release, or the one that is asked for."""
    state = tmp_path / "missing"
    assert release_of("a", state, None) == NEWEST
    assert release_of("a", state, OLDEST.minor) == OLDEST


def test_what_a_lab_was_started_with_stays(tmp_path: Path) -> None:
    """All commands find a lab's release by its state; another one is refused with the way out."""
    note_release(tmp_path, OLDEST)
    assert release_of("a", tmp_path, None) == OLDEST
    assert release_of("a", tmp_path, OLDEST.minor) == OLDEST
    with pytest.raises(LabError, match="./lab down --name a"):
        release_of("a", tmp_path, NEWEST.minor)
