"""Which end-to-end tests run where."""

from collections import Counter
from pathlib import Path

from tests.lab.e2e import SHARES

ROOT = Path(__file__).parents[2]


def test_every_file_runs_on_one_lab() -> None:
    """One that nobody named would never run."""
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*_e2e_test.py")}
    named = Counter(path for files in SHARES.values() for path in files)
    assert named == Counter(there)


def test_removing_danm_comes_last() -> None:
    """What needs DANM on its lab runs before it is removed; what needs its absence, after."""
    *_, uninstalling, without = SHARES["e2e"]
    assert (Path(uninstalling).name, Path(without).name) == (
        "uninstall_e2e_test.py",
        "without_danm_e2e_test.py",
    )
