"""Every failpoint of an ADD and a DEL, on nodes of this machine's own kernel.

One action each: `./lab chaos failpoints` has all of them, and takes too long for every test run.
"""

from pathlib import Path

import pytest

from danm_cni.failpoints import FAILPOINTS, Effect
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.cni.cases import Action
from tests.lab.chaos.cni.failpoints import Findings, run_failpoints
from tests.lab.progress import Progress

# Building Kubernetes and the reference plugins, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# The machine has other work beside.
_QUIET_S = 150.0


async def test_nothing_is_missing_and_nothing_left(tmp_path: Path) -> None:
    """At whichever step the node is cut off from everybody.

    Pods that live have all they ask for, and nothing is left of those that are gone.
    """
    # Issue 5, `chaos`; DESIGN P2, P3, P5
    found: list[Findings] = []
    played = await run_failpoints(
        tmp_path,
        binaries=Binaries(Cache(directory=default_cache_directory()), Progress()),
        tell=found.append,
        only=Action.CUT,
        quiet_s=_QUIET_S,
    )
    # A DEL that danmd leaves for later is one that danmd has no time to do, or knows nothing of.
    without = {f"{when} {Effect.LEAVE_DEL}" for when in ("before", "after")}
    assert set(FAILPOINTS) - without <= {case.point for case in played if case.point}
    assert [each.moment for each in found] == [
        "with living Pods",
        "with bystanders alone",
        "with no Pod",
    ]
    assert {each.moment: each.differences for each in found if each.differences} == {}
