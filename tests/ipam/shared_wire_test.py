"""The validator and ipam-svc together: no address is given twice while networks come and change.

Both run on an API server in memory; the moment at which one acts on the other is moved step by
step.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest

from danm_api.codec.danmnet import decode_danmnet
from danm_api.errors import DanmError
from danm_api.kube.api import DANMNETS
from danm_api.kube.events import EventRecorder
from danm_api.kube.informer import Informer
from danm_api.model.danmnet import CONDITION_APPLIED, CONDITION_VALID
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod
from netwatcher.network_use import ClusterUseReader
from netwatcher.validator import BY_CLAIM, BY_REFUSED, Validator
from netwatcher.verdict import claim_keys, refused_keys

_WIRE: Final[dict[str, Any]] = {"host_device": "ens3", "cidr": "10.0.0.0/24"}
_LOW: Final = {"start": "10.0.0.10", "end": "10.0.0.11"}
_HIGH: Final = {"start": "10.0.0.30", "end": "10.0.0.31"}
_IN_HIGH: Final = attachment(ip="10.0.0.30/24")


async def _nobody_else_leads() -> None:
    """Confirm that the only validator leads."""


@asynccontextmanager
async def _validator(cluster: Cluster) -> AsyncIterator[None]:
    kube = cluster.kube
    networks = Informer(
        kube,
        DANMNETS,
        decode_danmnet,
        indexers={BY_CLAIM: claim_keys, BY_REFUSED: refused_keys},
    )
    validator = Validator(
        api=kube,
        networks=networks,
        use=ClusterUseReader(kube),
        events=EventRecorder(kube, component="netwatcher-validator", instance="v-0"),
        confirm=_nobody_else_leads,
        now=cluster.clock.now,
        use_recheck_s=0.001,
    )
    networks.subscribe(validator.on_network)
    tasks = [asyncio.create_task(networks.run())]
    await networks.wait_synced(HANGS_S)
    tasks.append(asyncio.create_task(validator.lead()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _create(kube: FakeKube, name: str, **options: object) -> None:
    body = {"metadata": {"name": name}, "spec": {"NetworkID": name, "Options": options}}
    await kube.create(DANMNETS, body, namespace=NAMESPACE)


async def _judged(cluster: Cluster, name: str = "net") -> bool:
    """Wait for the verdict on the present spec, and return it."""
    async with asyncio.timeout(HANGS_S):
        while True:
            net = cluster.network(name)
            found = net.status.condition(CONDITION_VALID)
            if (
                found is not None
                and found.status is not None
                and found.observed_generation == net.generation
            ):
                return found.status
            await asyncio.sleep(0)


async def _steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _meet(steps: int, first: Awaitable[object], second: Awaitable[object]) -> None:
    """Begin one thing, and the other so many steps later (or before); either may fail."""
    if steps < 0:
        steps, first, second = -steps, second, first
    beginning = asyncio.ensure_future(first)
    await _steps(steps)
    with suppress(DanmError):
        await second
    await asyncio.wait((beginning,))
    with suppress(DanmError):
        beginning.result()


def _twice(cluster: Cluster) -> list[str]:
    addresses = cluster.addresses()
    return sorted({each for each in addresses if addresses.count(each) > 1})


@asynccontextmanager
async def _replicas(cluster: Cluster) -> AsyncIterator[tuple[Replica, Replica]]:
    """Have a replica that follows, and one that has heard of nothing since now."""
    async with cluster.running() as (replica,), cluster.frozen_watch() as behind:
        yield replica, behind


async def _fill(cluster: Cluster, replica: Replica, network: str) -> None:
    """Take all that a network has to give."""
    for index in range(3):
        with suppress(DanmError):
            await cluster.reserve(replica, pod(f"{network}-{index}"), attachment(network))


@pytest.mark.parametrize("is_behind", [False, True], ids=["follows", "behind"])
@pytest.mark.parametrize("used", [False, True], ids=["new block", "known block"])
async def test_a_network_joins_a_wire(*, used: bool, is_behind: bool) -> None:
    """A static address is refused, or the network whose pool has it is: at no moment are both."""
    # DESIGN P1; SPEC G3, N1
    seen = set()
    for steps in range(-30, 40):
        cluster = Cluster()
        async with _validator(cluster):
            await _create(cluster.kube, "net", allocation_pool=_LOW, **_WIRE)
            assert await _judged(cluster)
            async with _replicas(cluster) as (replica, behind):
                taker = behind if is_behind else replica
                if used:
                    await cluster.reserve(taker, pod("x"), attachment(ip="10.0.0.31/24"), attempt=1)
                    await cluster.release(taker, pod("x"), attempt=1)
                await _meet(
                    steps,
                    _create(cluster.kube, "other", allocation_pool=_HIGH, **_WIRE),
                    cluster.reserve(taker, pod("s"), _IN_HIGH),
                )
                accepted = await _judged(cluster, "other")
                taken = "10.0.0.30" in cluster.addresses()
                seen.add((accepted, taken))
                assert not (accepted and taken)
                await _fill(cluster, replica, "other")
                assert _twice(cluster) == []
    # The steps were enough to see either come first.
    assert seen == {(True, False), (False, True)}


async def test_a_refused_network_is_taken_when_the_address_is_free() -> None:
    """Who is refused for an address in use is told of it, and accepted once it is given back."""
    # SPEC N1
    cluster = Cluster()
    async with _validator(cluster), cluster.running() as (replica,):
        await _create(cluster.kube, "net", allocation_pool=_LOW, **_WIRE)
        assert await _judged(cluster)
        await cluster.reserve(replica, pod("s"), _IN_HIGH, attempt=1)
        await _create(cluster.kube, "other", allocation_pool=_HIGH, **_WIRE)
        assert not await _judged(cluster, "other")
        verdict = cluster.network("other").status.condition(CONDITION_VALID)
        assert verdict is not None
        assert "10.0.0.30 (Pod ns/s on DanmNet ns/net)" in verdict.message
        await cluster.release(replica, pod("s"), attempt=1)
        async with asyncio.timeout(HANGS_S):
            while not await _judged(cluster, "other"):
                await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"allocation_pool": _HIGH}, id="narrowed"),
        pytest.param({"host_device": "ens4"}, id="moved"),
    ],
)
async def test_a_spec_changes_under_a_reservation(edit: dict[str, object]) -> None:
    """A replica that has not heard of it takes by the old spec, which then stays, or not at all."""
    # SPEC N5
    seen = set()
    for steps in range(-30, 40):
        cluster = Cluster()
        async with _validator(cluster):
            pool = {"start": "10.0.0.10", "end": "10.0.0.31"}
            await _create(cluster.kube, "net", allocation_pool=pool, **_WIRE)
            assert await _judged(cluster)
            async with cluster.frozen_watch() as behind:
                await cluster.reserve(behind, pod("x"), attachment(ip="10.0.0.31/24"), attempt=1)
                await cluster.release(behind, pod("x"), attempt=1)
                await _meet(
                    steps,
                    cluster.kube.patch(
                        DANMNETS, "net", {"spec": {"Options": edit}}, namespace=NAMESPACE
                    ),
                    cluster.reserve(behind, pod("a"), attachment(ip="10.0.0.12/24")),
                )
                assert await _judged(cluster)
                await _settled(cluster)
                spec = cluster.network().status.applied
                assert spec is not None
                is_new = spec == cluster.network().spec
                assert is_new == (cluster.addresses() == [])
                seen.add(is_new)
    # The steps were enough to see either come first.
    assert seen == {True, False}


async def _settled(cluster: Cluster) -> None:
    """Wait until the validator has ended what it began with the spec in force."""

    def is_settled() -> bool:
        net = cluster.network()
        applied = net.status.condition(CONDITION_APPLIED)
        return (
            applied is not None
            and applied.status is not None
            and applied.observed_generation == net.generation
        )

    await _until(is_settled)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS_S):
        while not condition():
            await asyncio.sleep(0)


async def test_a_network_created_anew_by_force_waits_for_its_namesake() -> None:
    """Who takes a DanmNet's finalizer away by hand gets its addresses back only as Pods end."""
    # SPEC A5; DESIGN P1
    cluster = Cluster()
    async with _validator(cluster), cluster.running() as (replica,):
        await _create(cluster.kube, "net", allocation_pool=_LOW, **_WIRE)
        assert await _judged(cluster)
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        unprotected: dict[str, Any] = {"metadata": {"finalizers": []}}
        await cluster.kube.patch(DANMNETS, "net", unprotected, namespace=NAMESPACE)
        await cluster.kube.delete(DANMNETS, "net", namespace=NAMESPACE)
        await _create(cluster.kube, "net", allocation_pool=_LOW, **_WIRE)
        assert not await _judged(cluster)
        verdict = cluster.network().status.condition(CONDITION_VALID)
        assert verdict is not None
        assert "10.0.0.10 (Pod ns/a on a former DanmNet ns/net)" in verdict.message
        await cluster.release(replica, pod("a"), attempt=1)
        async with asyncio.timeout(HANGS_S):
            while not await _judged(cluster):
                await asyncio.sleep(0.001)
        await _fill(cluster, replica, "net")
        assert cluster.addresses() == ["10.0.0.10", "10.0.0.11"]
