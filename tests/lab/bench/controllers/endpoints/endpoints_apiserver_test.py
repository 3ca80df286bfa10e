"""svcwatcher's half of `lab bench controllers`: very small, and its figures say nothing."""

import os
from pathlib import Path

import pytest

from tests.lab.bench.controllers.endpoints.cases import Amounts, Size, loads
from tests.lab.bench.controllers.endpoints.measure import measure_controllers
from tests.lab.bench.controllers.results import KUBERNETES, SVCWATCHER
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress

# Building Kubernetes, where the cache is empty.
pytestmark = [
    pytest.mark.apiserver(),
    pytest.mark.timeout(1500),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a mount namespace"),
]

REPOSITORY = Path(__file__).parents[5]
AMOUNTS = Amounts(
    sizes=(Size(pods=20, services=2), Size(pods=40, services=4)),
    alone=4,
    rate=10.0,
    steady_s=1.0,
    burst=10,
)


async def test_both_controllers_follow_every_change(tmp_path: Path) -> None:
    """Each meets the same clusters and changes, and what it wrote is counted."""
    progress = Progress(quiet=True)
    found = await measure_controllers(
        tmp_path,
        repository=REPOSITORY,
        binaries=Binaries(Cache(directory=default_cache_directory()), progress),
        progress=progress,
        amounts=AMOUNTS,
    )
    small, large = AMOUNTS.sizes
    assert [(each.controller, each.size) for each in found] == [
        (SVCWATCHER, small),
        (KUBERNETES, small),
        (SVCWATCHER, large),
        (KUBERNETES, large),
    ]
    for each in found:
        planned = loads(each.size, AMOUNTS)
        assert [(load.name, load.seen.count) for load in each.loads] == [
            (load.name, load.count) for load in planned
        ]
        alone = each.loads[:2]
        # Nobody writes a slice twice for one change, nor none.
        assert [load.slice_writes for load in alone] == [1.0, 1.0]
        # Only svcwatcher writes Endpoints here.
        has_endpoints = [load.endpoints_writes > 0 for load in alone]
        assert has_endpoints == [each.controller == SVCWATCHER] * 2
        assert all(load.accepted_ms > 0 and load.cpu_ms >= 0 for load in each.loads)
        assert 20 < each.rss_mb <= each.peak_mb
