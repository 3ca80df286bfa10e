"""The seed's demo runs, and leaves nothing behind."""

from tests.lab.demo import Demo


def test_the_demo_runs_and_is_removed(demo: Demo) -> None:
    """All that the demo must show holds; afterwards it is gone."""
    demo.run()
    demo.remove()
