"""The seed's demo runs, and leaves nothing behind."""

from typing import Final

from tests.lab.demo import Demo
from tests.lab.installation import SYSTEM_NAMESPACE
from tests.lab.lab import Lab

# `./lab demo` asks for 2 s, on a machine that does nothing else. Here another lab's tests share
# the processors; what this must catch is a look-up that waits for a resync or never follows.
_FOLLOW_WITHIN_S: Final = 60.0

# As services/ipam-svc/README.md has it: two looks 15 s apart, in a guest.
_FSCK: Final = (
    *("-n", SYSTEM_NAMESPACE, "exec", "deploy/danm-ipam", "--"),
    *("/app/bin/python", "-s", "-m", "ipam_svc", "fsck"),
)
_FSCK_S: Final = 90.0


def test_the_demo_runs_and_is_removed(demo: Demo, lab: Lab) -> None:
    """All that the demo must show holds, and the record fits it; afterwards it is gone."""
    try:
        demo.run(follow_within_s=_FOLLOW_WITHIN_S)
        report = lab.kubectl(*_FSCK, timeout_s=_FSCK_S)
        assert "All fits together." in report, report
    finally:
        # Also after a failure: the tests that follow need a cluster without it.
        demo.remove()
