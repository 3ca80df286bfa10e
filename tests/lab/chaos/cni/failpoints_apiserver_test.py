"""Every failpoint of an ADD and a DEL, on nodes of this machine's own kernel.

One action each, dealt anew in every run: `./lab chaos failpoints` has all of them, and takes too
long for every test run.
"""

import os
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import pytest

from danm_cni.failpoints import FAILPOINTS
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.cni.cases import Action, one_of_each_point
from tests.lab.chaos.cni.failpoints import Findings, run_failpoints
from tests.lab.progress import Progress

# Building Kubernetes and the reference plugins, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# The machine has other work beside.
_QUIET_S = 150.0
_SEED: Final = "DANM_FAILPOINTS_SEED"


async def test_nothing_is_missing_and_nothing_left(tmp_path: Path) -> None:
    """At whichever step danmd is killed, stopped, failed, cut off or left by its caller.

    Pods that live have all they ask for, and nothing is left of those that are gone.
    """
    # Issue 5, `chaos`; DESIGN P2, P3, P5
    seed = int(os.environ.get(_SEED) or SystemRandom().randrange(10**6))
    # Shown when the test fails, so that the same cases can be played again.
    print(f"{_SEED}={seed}")
    chosen = one_of_each_point(Random(seed))
    assert sorted(FAILPOINTS) == sorted(case.point for case in chosen)
    assert set(Action) == {case.action for case in chosen}
    found: list[Findings] = []
    await run_failpoints(
        tmp_path,
        binaries=Binaries(Cache(directory=default_cache_directory()), Progress()),
        tell=found.append,
        chosen=chosen,
        quiet_s=_QUIET_S,
    )
    assert [each.moment for each in found] == [
        "with living Pods",
        "with bystanders alone",
        "with no Pod",
    ]
    assert {each.moment: each.differences for each in found if each.differences} == {}
    print(f"right after {max(each.settled_s for each in found):.1f} s at most")
