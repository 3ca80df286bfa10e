"""What the Lease holder frees, and what it must not."""

import asyncio
import logging
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from danm_api.codec.danmep import encode_danmep
from danm_api.errors import ApiUnavailableError
from danm_api.ipam_api import ExternalOwnerMessage
from danm_api.kube.api import DANMEPS, EVENTS, NODES
from danm_api.kube.events import EventRecorder
from danm_api.names import NodeName
from danm_api.testing.builders import a_danmep
from ipam_svc.block import CLOCK_SKEW
from ipam_svc.reclaim import Reclaimer
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod


class _Lease:
    """A Lease holder beside a replica."""

    def __init__(self, cluster: Cluster, replica: Replica) -> None:
        self.cluster = cluster
        self.in_service = ["n1"]
        self.reclaimer = Reclaimer(
            cluster.kube,
            store=replica.store,
            ledger=replica.ledger,
            cache=replica.cache,
            taker=replica.taker,
            events=EventRecorder(
                cluster.kube,
                component="ipam-svc",
                instance="test",
                clock=cluster.clock.monotonic,
                now=cluster.clock.now,
            ),
            known_nodes=lambda: [NodeName(name) for name in self.in_service],
            now=cluster.clock.now,
            clock=cluster.clock.monotonic,
        )


def _add_node(cluster: Cluster, name: str, *, lost: bool = False) -> None:
    taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}] if lost else []
    cluster.kube.add(NODES, {"metadata": {"name": name}, "spec": {"taints": taints}})


@pytest.mark.parametrize(
    ("node", "freed"),
    [
        pytest.param("gone", True, id="gone"),
        pytest.param("lost", True, id="out of service"),
        pytest.param("unseen", False, id="there, but the watch is behind"),
    ],
)
async def test_entries_of_lost_nodes_are_freed(*, node: str, freed: bool) -> None:
    """Only a node that the API server says is gone or out of service loses its entries."""
    # DESIGN, "Nodes fence"; P3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_node(cluster, "well")
    _add_node(cluster, "lost", lost=True)
    _add_node(cluster, "unseen")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), node="well")
        await cluster.reserve(replica, pod("b"), attachment(), node=node)
        endpoint = a_danmep(node=node)
        await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)
        lease = _Lease(cluster, replica)
        lease.in_service = ["well"]
        await lease.reclaimer.reconcile()
    assert cluster.addresses() == (["10.0.0.1"] if freed else ["10.0.0.1", "10.0.0.2"])
    assert len(cluster.kube.all_stored(DANMEPS)) == (0 if freed else 1)
    notes = [event["note"] for event in cluster.kube.all_stored(EVENTS)]
    assert len(notes) == (1 if freed else 0)
    assert all("freed 10.0.0.2 of Pod ns/b" in note for note in notes)


async def test_nothing_is_freed_when_the_api_server_is_silent() -> None:
    """A node whose state cannot be read keeps what it has."""
    # DESIGN P3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), node="gone")
        cluster.kube.fail_next("get", NODES, ApiUnavailableError("silent", status=0))
        lease = _Lease(cluster, replica)
        await lease.reclaimer.reconcile()
        assert cluster.addresses() == ["10.0.0.1"]
        await lease.reclaimer.reconcile()
        assert cluster.addresses() == []


async def test_lease_holder_that_was_frozen_spares_a_node_that_is_back() -> None:
    """An answer that is read late frees what was there before it, and nothing of the node's new."""
    # DESIGN P3: "a replica frozen in the middle of anything"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_node(cluster, "n1", lost=True)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("old"), attachment())
        lease = _Lease(cluster, replica)
        lease.in_service = []
        answer = cluster.kube.hold_next("get", NODES, took_effect=True)
        reclaiming = asyncio.create_task(lease.reclaimer.reconcile())
        await answer.reached.wait()
        # The node is in service again, and runs a Pod.
        await cluster.reserve(replica, pod("new"), attachment())
        endpoint = a_danmep(node="n1")
        await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)
        answer.open()
        await reclaiming
    assert cluster.addresses() == ["10.0.0.2"]
    assert len(cluster.kube.all_stored(DANMEPS)) == 1


async def test_expired_owner_loses_its_address() -> None:
    """An external owner's address comes back by itself after its expiry, not before."""
    # SPEC I3, I4
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    expires = cluster.clock.now() + timedelta(seconds=60)
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, owner, attachment(interface=""), node="")
        lease = _Lease(cluster, replica)
        await lease.reclaimer.reconcile()
        assert cluster.addresses() == ["10.0.0.1"]
        cluster.clock.seconds += 60 + CLOCK_SKEW.total_seconds()
        await lease.reclaimer.reconcile()
        assert cluster.addresses() == []


async def test_dead_doubles_are_freed_and_the_newest_stays() -> None:
    """Of an owner's several addresses of a family the one of the latest attempt stays."""
    # DESIGN, "Attempts fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        async with cluster.frozen_watch() as behind:
            await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.7/24"), attempt=1)
            await cluster.reserve(
                behind, pod("p"), attachment(ip="10.0.0.70/24"), attempt=2, fresh=True
            )
        assert cluster.addresses() == ["10.0.0.7", "10.0.0.70"]
        await eventually(lambda: len(replica.ledger.blocks_of(cluster.network().uid)) == 2)
        lease = _Lease(cluster, replica)
        await lease.reclaimer.reconcile()
        assert cluster.addresses() == ["10.0.0.70"]


async def test_empty_blocks_go_after_a_while() -> None:
    """A block that nobody uses for 30 s is removed; one that is used again stays."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        lease = _Lease(cluster, replica)
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        await lease.reclaimer.reconcile()
        await cluster.release(replica, pod("a"), attempt=1)
        await lease.reclaimer.reconcile()
        cluster.clock.seconds += 29
        await lease.reclaimer.reconcile()
        assert len(cluster.blocks()) == 1
        cluster.clock.seconds += 1
        await lease.reclaimer.reconcile()
        assert cluster.blocks() == []
        await cluster.reserve(replica, pod("b"), attachment())
        assert len(cluster.held()) == 1


async def test_a_block_that_went_meanwhile_is_forgotten() -> None:
    """A replica does not go on removing a block that somebody else has removed."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        await cluster.release(replica, pod("a"), attempt=1)
        async with cluster.frozen_watch() as behind:
            for lease in (_Lease(cluster, replica), _Lease(cluster, behind)):
                await lease.reclaimer.reconcile()
                cluster.clock.seconds += 30
                await lease.reclaimer.reconcile()
            assert cluster.blocks() == []
            assert list(behind.ledger.all_blocks()) == []


@pytest.mark.parametrize(
    ("reason", "event", "words"),
    [
        pytest.param("lost_node", "FreedAddressOfLostNode", "gone or declared out", id="node"),
        pytest.param("expired", "FreedExpiredAddress", "time is over", id="expired"),
        pytest.param("double", "FreedDeadAddress", "has a newer one", id="double"),
    ],
)
async def test_whatever_is_freed_is_told(
    reason: str, event: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An address that its owner did not give back comes with a metric, an Event and a log line."""
    # SPEC I4; DESIGN P7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_node(cluster, "n1")
    expires = cluster.clock.now() + timedelta(seconds=5)
    external = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
    async with cluster.running() as (replica,):
        async with cluster.frozen_watch() as behind:
            static = attachment(ip="10.0.0.7/24")
            match reason:
                case "lost_node":
                    await cluster.reserve(replica, pod("p"), static, node="gone")
                case "expired":
                    await cluster.reserve(
                        replica, external, attachment(interface="", ip="10.0.0.7/24"), node=""
                    )
                case _:
                    other = attachment(ip="10.0.0.70/24")
                    await cluster.reserve(replica, pod("p"), static)
                    await cluster.reserve(behind, pod("p"), other, fresh=True)
        cluster.clock.seconds += 5 + CLOCK_SKEW.total_seconds()
        uid = cluster.network().uid
        known = {"lost_node": 1, "expired": 1, "double": 2}[reason]
        await eventually(lambda: len(replica.ledger.blocks_of(uid)) == known)
        lease = _Lease(cluster, replica)
        sample = ("danm_ipam_reclaimed_total", {"reason": reason})
        before = REGISTRY.get_sample_value(*sample) or 0
        with caplog.at_level("INFO"):
            await lease.reclaimer.reconcile()
        assert "10.0.0.7" not in cluster.addresses()
        assert REGISTRY.get_sample_value(*sample) == before + 1
        (told,) = cluster.kube.all_stored(EVENTS)
        assert (told["reason"], told["regarding"]["name"]) == (event, "net")
        assert words in told["note"]
        assert "freed 10.0.0.7 of" in told["note"]
        assert "Freed an address" in [_message(record) for record in caplog.records]


def _message(record: logging.LogRecord) -> str:
    return str(record.msg["event"] if isinstance(record.msg, dict) else record.msg)
