"""The seed's demo runs, and leaves nothing behind."""

from typing import Final

from tests.lab.demo import Demo

# `./lab demo` asks for 2 s, on a machine that does nothing else. Here another lab's tests share
# the processors; what this must catch is a look-up that waits for a resync or never follows.
_FOLLOW_WITHIN_S: Final = 15.0


def test_the_demo_runs_and_is_removed(demo: Demo) -> None:
    """All that the demo must show holds; afterwards it is gone."""
    try:
        demo.run(follow_within_s=_FOLLOW_WITHIN_S)
    finally:
        # Also after a failure: the tests that follow need a cluster without it.
        demo.remove()
