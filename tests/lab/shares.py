"""Which end-to-end tests run on which lab, one after the other, and which need none.

Some of them take parts away that others need, or remove DANM from their lab.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.lab.errors import LabError

# They need what was built, and the processors: beside labs they would take far longer.
WITHOUT_LAB: Final[Sequence[str]] = (
    "tests/images/part_images_e2e_test.py",
    "tests/images/engine_e2e_test.py",
    "tests/lab/image_store_e2e_test.py",
)

# By the lab's name, in the order in which they run; never a lab that a person works with.
SHARES: Final[Mapping[str, Sequence[str]]] = {
    "e2e": (
        "tests/e2e/bad_input_e2e_test.py",
        "tests/e2e/sriov_e2e_test.py",
        "tests/e2e/previous_network_e2e_test.py",
        "tests/e2e/seed_demo_e2e_test.py",
        "tests/e2e/docs_e2e_test.py",
    ),
    "e2e-parts": (
        # It sees what is left of DANM on a lab that had none before.
        "tests/e2e/update_e2e_test.py",
        "tests/e2e/monitoring_e2e_test.py",
        "tests/e2e/parts_away_e2e_test.py",
        "tests/e2e/lost_node_e2e_test.py",
        "tests/e2e/ipam_rollout_e2e_test.py",
        "tests/lab/lab_e2e_test.py",
        "tests/e2e/uninstall_e2e_test.py",
        # They install DANM in ways of their own.
        "tests/e2e/helm_e2e_test.py",
        "tests/e2e/without_danm_e2e_test.py",
    ),
}


def require_all(root: Path) -> None:
    """Make sure that every file of end-to-end tests runs once.

    Args:
        root: The repository's.

    Raises:
        LabError: One is named nowhere or twice, or is not there.
    """
    there = Counter(str(path.relative_to(root)) for path in root.glob("tests/**/*_e2e_test.py"))
    named = Counter(path for files in (WITHOUT_LAB, *SHARES.values()) for path in files)
    if wrong := sorted({*(there - named), *(named - there)}):
        raise LabError(
            f"tests/lab/shares.py has to name each file of end-to-end tests once: {wrong}"
        )
