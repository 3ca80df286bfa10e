"""ipam-svc keeps its promises while everything around it breaks, on a real API server."""

from pathlib import Path

import pytest

from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.refill import Refill, run_refill
from tests.lab.chaos.run import Result, run_chaos
from tests.lab.progress import Progress

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# It has every kind of fault once at least. Other seeds, and more operations: `./lab chaos ipam`.
_SEED = 1
_OPERATIONS = 2000
# The promise is 30 s, which `./lab chaos ipam` holds ipam-svc to; here the machine has other work.
_GRACE_S = 120.0


def _binaries() -> Binaries:
    return Binaries(Cache(directory=default_cache_directory()), Progress())


async def test_promises_hold_while_everything_breaks(tmp_path: Path) -> None:
    """No address has two owners, none is lost, none is refused while free, and nothing is left."""
    # DESIGN P1 to P4
    results: list[Result] = []
    await run_chaos(
        tmp_path,
        binaries=_binaries(),
        seed=_SEED,
        operations=_OPERATIONS,
        tell=results.append,
        grace_s=_GRACE_S,
    )
    (result,) = results
    found = [str(violation) for violation in result.violations]
    assert found == [], "\n".join(result.evidence)
    assert result.operations >= _OPERATIONS
    print(f"right after {result.settled_s:.1f} s at most")


async def test_a_pool_is_refilled_exactly(tmp_path: Path) -> None:
    """1000 Pods fit a pool of 1000 again and again, asked for over HTTP through two replicas."""
    # DESIGN P4
    results: list[Refill] = []
    await run_refill(tmp_path, binaries=_binaries(), rounds=2, tell=results.append)
    assert [str(each) for result in results for each in result.violations] == []
    assert [result.number for result in results] == [1, 2]
