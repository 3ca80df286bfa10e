"""How long an address cools that a request took and did not keep."""

from datetime import timedelta

import pytest

from danm_api.errors import (
    ApiUnavailableError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    PoolExhaustedError,
)
from danm_api.kube.api import DANMIPBLOCKS
from danm_api.model.ip_block import Cooling
from ipam_svc.testing.cluster import Cluster, attachment, pod

_LOST = ApiUnavailableError("lost", status=0)


def _cooling(cluster: Cluster) -> dict[str, timedelta]:
    """Return what cools, and for how long from now on."""
    return {
        str(entry.address): entry.free_at - cluster.clock.now()
        for block in cluster.blocks()
        for entry in block.entries
        if isinstance(entry, Cooling)
    }


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(None, id="answered"),
        pytest.param(_LOST, id="no answer"),
        # aiohttp sends a PUT again by itself when a kept connection breaks before its answer.
        pytest.param(ConflictError("modified"), id="sent twice by the HTTP client"),
    ],
)
async def test_a_failed_request_leaves_an_address_that_cools_as_it_was(
    error: DanmError | None,
) -> None:
    """Who asks for just this address may have it, but nobody used it when the rest fails."""
    # SPEC A7, I2
    cluster = Cluster()
    cluster.add_network("a", cidr="10.0.0.0/24", cooldown=30)
    cluster.add_network("b", cidr="10.0.1.0/32")
    static = attachment("a", ip="10.0.0.7/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("other"), attachment("b"))
        await cluster.reserve(replica, pod("first"), static, attempt=1)
        await cluster.release(replica, pod("first"), attempt=1, networks=("a",))
        end = cluster.clock.seconds + 30
        cluster.clock.seconds += 10
        if error is not None:
            cluster.kube.fail_next("replace", DANMIPBLOCKS, error, took_effect=True)
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("p"), static, attachment("b", interface="eth1"))
        assert cluster.addresses() == ["10.0.1.0"]
        left = timedelta(seconds=end - cluster.clock.seconds)
        assert _cooling(cluster) == {"10.0.0.7": left}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param("10.0.0.2/24", {"10.0.0.2"}, id="this one, and it may have cooled before"),
        pytest.param("dynamic", set(), id="any, so that it did not cool"),
    ],
)
async def test_where_nobody_knows_whether_an_address_cooled_it_cools(
    asked: str, expected: set[str]
) -> None:
    """An address that was taken by a write of unknown outcome cools if it may have done before."""
    # SPEC A7; DESIGN P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", cooldown=30)
    async with cluster.frozen_watch() as replica:
        await cluster.reserve(replica, pod("first"), attachment())
        cluster.kube.fail_next("replace", DANMIPBLOCKS, _LOST, took_effect=True)
        cluster.kube.fail_next("get", DANMIPBLOCKS, _LOST, times=100)
        cluster.kube.fail_next("replace", DANMIPBLOCKS, _LOST, times=20)
        with pytest.raises(DeadlineExceededError):
            await cluster.reserve(replica, pod("p"), attachment(ip=asked), fresh=True, timeout_s=2)
        assert cluster.addresses() == ["10.0.0.1"]
        assert set(_cooling(cluster)) == expected
