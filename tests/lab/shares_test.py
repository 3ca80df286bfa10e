"""Every end-to-end test runs, in an order that leaves each what it needs."""

from pathlib import Path

import pytest

from tests.lab.errors import LabError
from tests.lab.shares import SHARES, WITHOUT_LAB, require_all

_ALL = [name for share in (WITHOUT_LAB, *SHARES.values()) for name in share]


def _make(root: Path, files: list[str]) -> None:
    for name in files:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_a_file_that_is_named_nowhere_is_refused(tmp_path: Path) -> None:
    """It would never run."""
    _make(tmp_path, _ALL)
    require_all(tmp_path)
    _make(tmp_path, ["tests/e2e/new_e2e_test.py", "tests/e2e/new_kernel_test.py"])
    with pytest.raises(LabError, match="once: .'tests/e2e/new_e2e_test.py'.$"):
        require_all(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It was renamed or removed."""
    first, *others = _ALL
    _make(tmp_path, others)
    with pytest.raises(LabError, match=first):
        require_all(tmp_path)


def test_removing_danm_comes_last() -> None:
    """What needs DANM on its lab runs before it is removed; what needs its absence, after."""
    assert [Path(each).name for each in SHARES["e2e-parts"][-3:]] == [
        "uninstall_e2e_test.py",
        "helm_e2e_test.py",
        "without_danm_e2e_test.py",
    ]
