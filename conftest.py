"""For all tests: the level that a file's name says becomes a marker; Hypothesis is not timed."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile(
    "danm", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("danm")

LEVELS = ("kernel", "apiserver", "e2e")
"""Ends of file names: `bridge_kernel_test.py` is of level kernel, `kernel_test.py` too."""

E2E_TIMEOUT_S = 1800
"""The first end-to-end test brings up the lab, on a machine that may have much to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the level of its file.

    Raises:
        pytest.UsageError: A test carries the marker of a level that its file's name does not
            have. Pants selects whole files by their names, so the marker alone would not count.
    """
    for item in items:
        named = {level for level in LEVELS if item.path.name.endswith(f"{level}_test.py")}
        for level in LEVELS:
            if level in named:
                item.add_marker(level)
                if level == "e2e" and not item.get_closest_marker("timeout"):
                    item.add_marker(pytest.mark.timeout(E2E_TIMEOUT_S))
            elif item.get_closest_marker(level):
                raise pytest.UsageError(
                    f"{item.nodeid} is marked {level}: move it to a file named *_{level}_test.py"
                )
