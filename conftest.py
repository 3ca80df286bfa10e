"""The file name of a test says what it needs; this gives it the marker that says the same."""

import pytest

LEVELS = ("kernel", "apiserver", "e2e")
"""Ends of file names: `bridge_kernel_test.py` is of level kernel, `kernel_test.py` too."""


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
            elif item.get_closest_marker(level):
                raise pytest.UsageError(
                    f"{item.nodeid} is marked {level}: move it to a file named *_{level}_test.py"
                )
