"""Rights that a network loses are lost for replicas that have not heard of it, too."""

from dataclasses import replace
from typing import Any, Final

import pytest

from danm_api.codec.ip_block import encode_ip_block
from danm_api.errors import ConflictError, InvalidRequestError
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS, RawObject
from danm_api.model.ip_block import IPBlock
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod

_WIRE: Final[dict[str, Any]] = {"host_device": "ens3", "cidr": "10.0.0.0/24"}
_POOL = {"start": "10.0.0.10", "end": "10.0.0.20"}
_OTHER_POOL = {"start": "10.0.0.30", "end": "10.0.0.40"}
_OUTSIDE = attachment(ip="10.0.0.35/24")


async def _raise_fences(cluster: Cluster) -> None:
    """Do what the validator does after it has said what it is about to do."""
    for block in cluster.blocks():
        raised: IPBlock = replace(block, fence=block.fence + 1)
        await cluster.kube.replace(DANMIPBLOCKS, encode_ip_block(raised), namespace=block.namespace)


async def _say(cluster: Cluster, *, applied: RawObject | None = None, changing: bool) -> None:
    """Write the spec in force, and whether it is about to change."""
    net = cluster.network()
    condition = {
        "type": "Applied",
        "status": "Unknown" if changing else "True",
        "reason": "Changing" if changing else "InForce",
        "message": "",
        "observedGeneration": net.generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    raw = cluster.kube.stored(DANMNETS, "net", namespace=NAMESPACE)
    assert raw is not None
    valid = next(each for each in raw["status"]["conditions"] if each["type"] == "Valid")
    status: RawObject = {"conditions": [valid, condition]}
    if applied is not None:
        status["applied"] = {"NetworkID": "net", "Options": applied}
    await cluster.kube.patch(
        DANMNETS, "net", {"status": status}, namespace=NAMESPACE, subresource="status"
    )


@pytest.mark.parametrize("opened", [False, True], ids=["new block", "block used before"])
async def test_static_address_beside_a_network_that_joined_the_wire(*, opened: bool) -> None:
    """A replica that has not heard of the other network gives nothing of the other's pool."""
    # DESIGN P1; SPEC G3
    cluster = Cluster()
    cluster.add_network(allocation_pool=_POOL, **_WIRE)
    async with cluster.frozen_watch() as behind:
        if opened:
            # The block and all that its admission needs is known; the address was free to take.
            await cluster.reserve(behind, pod("a"), attachment(ip="10.0.0.36/24"))
            await cluster.release(behind, pod("a"), attempt=1)
        cluster.add_network("other", allocation_pool=_OTHER_POOL, **_WIRE)
        await _raise_fences(cluster)
        with pytest.raises(InvalidRequestError, match="whose wire other DanmNets share"):
            await cluster.reserve(behind, pod("b"), _OUTSIDE)
        (answer,) = await cluster.reserve(behind, pod("b"), attachment())
        assert answer.ip == "10.0.0.10/24"


async def test_static_address_of_a_network_that_is_alone() -> None:
    """Alone on its wire a network gives static addresses outside of its pool."""
    # SPEC G3
    cluster = Cluster()
    cluster.add_network(allocation_pool=_POOL, **_WIRE)
    cluster.add_network("elsewhere", host_device="ens4", cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        (answer,) = await cluster.reserve(replica, pod("b"), _OUTSIDE)
        assert answer.ip == "10.0.0.35/24"


async def test_nothing_is_taken_by_a_spec_that_is_about_to_go() -> None:
    """Between the validator's look at the use and its write nobody takes what drops out."""
    # SPEC N5
    cluster = Cluster()
    cluster.add_network(allocation_pool=_POOL, **_WIRE)
    async with cluster.frozen_watch() as behind:
        await cluster.reserve(behind, pod("a"), attachment(), attempt=1)
        await _say(cluster, changing=True)
        await _raise_fences(cluster)
        with pytest.raises(ConflictError, match="changes at this moment"):
            await cluster.reserve(behind, pod("b"), attachment())
        # What an owner has it keeps, and may give back.
        (kept,) = await cluster.reserve(behind, pod("a"), attachment(), attempt=5)
        assert kept.ip == "10.0.0.10/24"
        await _say(cluster, applied=_WIRE | {"allocation_pool": _OTHER_POOL}, changing=False)
        with pytest.raises(ConflictError, match="changes at this moment"):
            await cluster.reserve(behind, pod("b"), attachment())
        await cluster.release(behind, pod("a"), attempt=5)
        assert cluster.held() == []
    async with cluster.running() as (replica,):
        (answer,) = await cluster.reserve(replica, pod("b"), attachment())
        assert answer.ip == "10.0.0.30/24"


async def test_an_edit_that_takes_nothing_away_needs_no_fence() -> None:
    """A replica that is behind reads once, and one that is ahead goes on, where a spec widens."""
    # SPEC N5
    cluster = Cluster()
    cluster.add_network(allocation_pool=_POOL, **_WIRE)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment())
        wider = {"start": "10.0.0.10", "end": "10.0.0.25"}
        await _say(cluster, applied=_WIRE | {"allocation_pool": wider}, changing=False)
        async with cluster.frozen_watch() as informed:
            (answer,) = await cluster.reserve(informed, pod("b"), attachment())
            assert answer.ip == "10.0.0.11/24"
