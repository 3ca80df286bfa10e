"""Sums over nodes in the DanmNets, against an API server in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from danm_api.codec.danm_node import encode_danm_node
from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import DANMNETS, DANMNODES, RawObject
from danm_api.kube.informer import Informer
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.model.danmnet import NodeSum
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.testing.builders import NAMESPACE, a_danmnet, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from netwatcher.node_summary import NodeSummary


def a_network(name: str) -> RawObject:
    """Return a DanmNet that was accepted."""
    status = accepted(a_danmnet(name)).status
    return a_raw_danmnet(name) | {"status": encode_status(status)}


def a_node(name: str, *, up: bool, network: str = "internal") -> RawObject:
    """Return a DanmNode that tells of one network."""
    told = NodeNetwork(
        namespace=Namespace(NAMESPACE),
        network=NetworkName(network),
        link="ens4",
        up=up,
        reason="" if up else "no ens4",
    )
    return encode_danm_node(DanmNode(name=NodeName(name), networks=(told,)))


@dataclass
class Cluster:
    """An API server, and what tests ask of it."""

    api: FakeKube

    def sum_of(self, name: str = "internal") -> NodeSum | None:
        """Return what stands in a DanmNet."""
        raw = self.api.stored(DANMNETS, name, namespace=NAMESPACE)
        assert raw is not None
        return decode_danmnet(raw).status.nodes

    def writes(self) -> int:
        """Return how often DanmNets were written."""
        return self.api.calls["patch", DANMNETS.plural]

    async def set_node(self, name: str, *, up: bool) -> None:
        """Let a node report something else."""
        state = {"status": a_node(name, up=up)["status"]}
        await self.api.patch(DANMNODES, name, state, subresource="status")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def a_leader(
    api: FakeKube, *, settle_s: float = 0.01, period_s: float = 0.05
) -> AsyncIterator[Cluster]:
    """Run a leader, and wait for its first sum."""
    cluster = Cluster(api)
    networks = Informer(api, DANMNETS, decode_danmnet)
    summary = NodeSummary(
        api=api, networks=networks, settle_s=settle_s, period_s=period_s, pause_s=0
    )
    networks.subscribe(summary.on_network)
    tasks = [asyncio.create_task(each) for each in (networks.run(), summary.lead())]
    try:
        await cluster.until(lambda: cluster.sum_of() is not None)
        yield cluster
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture()
def api() -> FakeKube:
    """Have a network and two nodes."""
    api = FakeKube()
    api.add(DANMNETS, a_network("internal"))
    for name in ("a", "b"):
        api.add(DANMNODES, a_node(name, up=True))
    return api


async def test_a_network_says_on_how_many_nodes_it_is_ready(api: FakeKube) -> None:
    """When a leader begins, and after each change."""  # SPEC N6
    async with a_leader(api) as cluster:
        await cluster.until(lambda: cluster.sum_of() == NodeSum(ready=2, total=2))
        await cluster.set_node("b", up=False)
        lost = NodeSum(ready=1, total=2, why="b: no ens4")
        await cluster.until(lambda: cluster.sum_of() == lost)
        await cluster.set_node("b", up=True)
        await cluster.until(lambda: cluster.sum_of() == NodeSum(ready=2, total=2))


async def test_a_new_network_and_a_new_node_are_counted(api: FakeKube) -> None:
    """A node that has not heard of a network yet is not ready for it."""  # SPEC N6
    async with a_leader(api) as cluster:
        api.add(DANMNETS, a_network("other"))
        await cluster.until(lambda: cluster.sum_of("other") == NodeSum(ready=0, total=2))
        api.add(DANMNODES, a_node("c", up=True, network="other"))
        await cluster.until(lambda: cluster.sum_of("other") == NodeSum(ready=1, total=3))
        await cluster.until(lambda: cluster.sum_of() == NodeSum(ready=2, total=3))
        await api.delete(DANMNODES, "c")
        await cluster.until(lambda: cluster.sum_of("other") == NodeSum(ready=0, total=2))


async def test_a_network_that_was_never_accepted_has_no_sum(api: FakeKube) -> None:
    """Its conditions explain why it is ready nowhere; the sum comes once it is accepted."""
    # SPEC N6
    async with a_leader(api) as cluster:
        api.add(DANMNETS, a_raw_danmnet("refused"))
        api.add(DANMNETS, a_network("other"))
        await cluster.until(lambda: cluster.sum_of("other") is not None)
        assert cluster.sum_of("refused") is None
        status = {"status": a_network("refused")["status"]}
        await api.patch(DANMNETS, "refused", status, namespace=NAMESPACE, subresource="status")
        await cluster.until(lambda: cluster.sum_of("refused") is not None)


async def test_what_settles_is_written_once(api: FakeKube) -> None:
    """Thousands of nodes that follow a network are not thousands of writes."""  # DESIGN P6
    async with a_leader(api, settle_s=0.5) as cluster:
        await cluster.until(lambda: cluster.sum_of() == NodeSum(ready=2, total=2))
        before = cluster.writes()
        for number in range(50):
            api.add(DANMNODES, a_node(f"n{number}", up=True))
        await cluster.until(lambda: cluster.sum_of() == NodeSum(ready=52, total=52))
        assert cluster.writes() == before + 1


async def test_a_node_that_goes_up_and_down_costs_three_writes_a_period(api: FakeKube) -> None:
    """Every node of the cluster reads them."""  # DESIGN P6
    async with a_leader(api, settle_s=0, period_s=1000) as cluster:

        def has_sum(name: str) -> bool:
            return cluster.sum_of(name) is not None

        up = False
        for _ in range(10):
            seen = api.calls["patch", DANMNODES.plural]
            await cluster.set_node("b", up=up)
            api.add(DANMNETS, a_network(f"after-{seen}"))
            # Whose sum is written after what the node said, since it is asked for later.
            await cluster.until(partial(has_sum, f"after-{seen}"))
            up = not up
        assert cluster.sum_of() is not None
        assert cluster.writes() == 3 + 10


async def test_a_new_leader_writes_only_what_changed(api: FakeKube) -> None:
    """What its predecessor wrote stands."""  # DESIGN P6
    async with a_leader(api) as cluster:
        await cluster.until(lambda: cluster.sum_of() == NodeSum(ready=2, total=2))
    before = cluster.writes()
    api.add(DANMNETS, a_network("other"))
    async with a_leader(api):
        await cluster.until(lambda: cluster.sum_of("other") is not None)
    assert cluster.writes() == before + 1


async def test_a_write_that_failed_is_made_again(api: FakeKube) -> None:
    """An API server that is away for a moment leaves no old sum behind."""  # SPEC N6
    async with a_leader(api) as cluster:
        api.fail_next("patch", DANMNETS, ApiUnavailableError("away", status=0))
        api.add(DANMNODES, a_node("c", up=True))
        await cluster.until(lambda: cluster.sum_of() == NodeSum(ready=3, total=3))
