"""The seed's demo runs, and leaves nothing behind."""

import pytest

from tests.lab.demo import Demo

pytestmark = pytest.mark.e2e


def test_the_demo_runs_and_is_removed(demo: Demo) -> None:
    """All that the demo must show holds; afterwards it is gone."""
    demo.run()
    demo.remove()
