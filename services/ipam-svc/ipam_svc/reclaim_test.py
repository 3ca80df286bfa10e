"""What the Lease holder frees, and what it must not."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from prometheus_client import REGISTRY

from danm_api.codec.danmep import encode_danmep
from danm_api.errors import ApiError, ApiUnavailableError
from danm_api.ipam_api import ExternalOwnerMessage
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, EVENTS, NODES
from danm_api.record.entries import CLOCK_SKEW
from danm_api.testing.builders import a_danmep
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod
from ipam_svc.testing.lease import Lease, add_node


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
    add_node(cluster, "well")
    add_node(cluster, "lost", lost=True)
    add_node(cluster, "unseen")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), node="well")
        await cluster.reserve(replica, pod("b"), attachment(), node=node)
        endpoint = a_danmep(node=node)
        await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)
        lease = Lease(cluster, replica)
        lease.in_service = ["well"]
        await lease.round()
    assert cluster.addresses() == (["10.0.0.1"] if freed else ["10.0.0.1", "10.0.0.2"])
    assert len(cluster.kube.all_stored(DANMEPS)) == (0 if freed else 1)
    notes = sorted(event["note"] for event in cluster.kube.all_stored(EVENTS))
    why = "its node is gone or declared out of service"
    assert notes == (
        [
            f"deleted DanmEp ep-1 of Pod example-vnf/processor-1 (interface eth0): {why}",
            f"freed 10.0.0.2 of Pod ns/b (interface eth0): {why}",
        ]
        if freed
        else []
    )


async def test_nothing_is_freed_when_the_api_server_is_silent() -> None:
    """A node whose state cannot be read keeps what it has."""
    # DESIGN P3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), node="gone")
        cluster.kube.fail_next("get", NODES, ApiUnavailableError("silent", status=0))
        lease = Lease(cluster, replica)
        await lease.round()
        assert cluster.addresses() == ["10.0.0.1"]
        await lease.round()
        assert cluster.addresses() == []


async def test_what_could_not_be_freed_is_counted() -> None:
    """Somebody hears of an address that the Lease holder tries to free again and again."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    add_node(cluster, "n9", lost=True)

    def failures() -> float:
        return REGISTRY.get_sample_value("danm_ipam_reclaim_failures_total") or 0.0

    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1, node="n9")
        lease, before = Lease(cluster, replica), failures()
        cluster.kube.fail_next("replace", DANMIPBLOCKS, ApiError("no", status=403), times=9)
        await lease.round()
        assert failures() == before + 1
        assert cluster.addresses() == ["10.0.0.1"]


async def test_lease_holder_that_was_frozen_spares_a_node_that_is_back() -> None:
    """An answer that is read late frees what was there before it, and nothing of the node's new."""
    # DESIGN P3: "a replica frozen in the middle of anything"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    add_node(cluster, "n1", lost=True)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("old"), attachment())
        lease = Lease(cluster, replica)
        lease.in_service = []
        answer = cluster.kube.hold_next("get", NODES, took_effect=True)
        reclaiming = asyncio.create_task(lease.round())
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
        lease = Lease(cluster, replica)
        await lease.round()
        assert cluster.addresses() == ["10.0.0.1"]
        cluster.clock.seconds += 60 + CLOCK_SKEW.total_seconds()
        await lease.round()
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
        lease = Lease(cluster, replica)
        await lease.round()
        assert cluster.addresses() == ["10.0.0.70"]


async def test_blocks_that_were_calm_are_looked_at_when_they_change() -> None:
    """What dies in a block in which nothing was dead is freed, by itself or by another block."""
    # DESIGN, P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        lease = Lease(cluster, replica)
        async with cluster.frozen_watch() as behind:
            await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.7/24"), attempt=1)
            await lease.round()
            expires = cluster.clock.now() + timedelta(seconds=60)
            tool = ExternalOwnerMessage(namespace=NAMESPACE, name="tool", expires=expires)
            wanted = attachment(interface="", ip="10.0.0.8/24")
            await cluster.reserve(replica, tool, wanted, node="")
            await lease.round()
            cluster.clock.seconds += 60 + CLOCK_SKEW.total_seconds()
            await lease.round()
            assert cluster.addresses() == ["10.0.0.7"]
            await lease.round()
            # The older one stays as it is: this replica does not know of it.
            await cluster.reserve(
                behind, pod("p"), attachment(ip="10.0.0.70/24"), attempt=2, fresh=True
            )
        await eventually(lambda: len(replica.ledger.blocks_of(cluster.network().uid)) == 2)
        await lease.round()
        assert cluster.addresses() == ["10.0.0.70"]


async def test_empty_blocks_go_after_a_while() -> None:
    """A block that nobody uses for 30 s is removed; one that is used again stays."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        lease = Lease(cluster, replica)
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        await lease.round()
        await cluster.release(replica, pod("a"), attempt=1)
        await lease.round()
        cluster.clock.seconds += 29
        await lease.round()
        assert len(cluster.blocks()) == 1
        cluster.clock.seconds += 1
        await lease.round()
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
            for lease in (Lease(cluster, replica), Lease(cluster, behind)):
                await lease.round()
                cluster.clock.seconds += 30
                await lease.round()
            assert cluster.blocks() == []
            assert list(behind.ledger.all_blocks()) == []


async def test_nothing_is_remembered_of_blocks_that_others_removed() -> None:
    """As those of DanmNets that are deleted: they come and go for as long as a replica leads."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        lease = Lease(cluster, replica)
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        await cluster.release(replica, pod("a"), attempt=1)
        await lease.round()
        assert lease.reclaimer.empty_blocks == 1
        await replica.store.remove_block(cluster.blocks()[0])
        await eventually(lambda: list(replica.ledger.all_blocks()) == [])
        await lease.round()
        assert lease.reclaimer.empty_blocks == 0


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
    add_node(cluster, "n1")
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
        lease = Lease(cluster, replica)
        before = _count("danm_ipam_reclaimed_total", reason=reason)
        with caplog.at_level("INFO"):
            await lease.round()
        assert "10.0.0.7" not in cluster.addresses()
        assert _count("danm_ipam_reclaimed_total", reason=reason) == before + 1
        (told,) = cluster.kube.all_stored(EVENTS)
        assert (told["reason"], told["regarding"]["name"]) == (event, "net")
        assert words in told["note"]
        assert "freed 10.0.0.7 of" in told["note"]
        assert _logged(caplog, "Freed an address") == 1


async def test_a_lost_node_is_told_in_few_events(caplog: pytest.LogCaptureFixture) -> None:
    """However many addresses go together: each counts and is logged, and Events name them all."""
    # SPEC I4; DESIGN P6, P7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/22")
    cluster.add_network("other", cidr="10.9.0.0/24")
    async with cluster.running() as (replica,):
        reserving = [
            cluster.reserve(replica, pod(f"p{i}"), attachment(), node="gone") for i in range(300)
        ]
        await asyncio.gather(*reserving)
        await cluster.reserve(replica, pod("there"), attachment(), node="n1")
        await cluster.reserve(replica, pod("alone"), attachment("other"), node="gone")
        held = [held.address for held in cluster.held() if held.node == "gone"]
        before = _count("danm_ipam_reclaimed_total", reason="lost_node")
        with caplog.at_level("INFO"):
            await Lease(cluster, replica).round()
    assert len(cluster.held()) == 1
    assert _count("danm_ipam_reclaimed_total", reason="lost_node") == before + 301
    assert _logged(caplog, "Freed an address") == 301
    many, one = sorted(cluster.kube.all_stored(EVENTS), key=lambda each: each["regarding"]["name"])
    assert [each["reason"] for each in (many, one)] == ["FreedAddressOfLostNode"] * 2
    head, _, listed = many["note"].partition(": ")
    assert head == "freed 300 addresses of node gone, which is gone or declared out of service"
    named = [address for text in listed.split(", ") for address in _addresses_in(text)]
    assert sorted(named) == sorted(map(int, held))[:300]
    assert one["note"].startswith("freed 10.9.0.1 of Pod ns/alone (interface eth0): its node")


async def test_deleted_danmeps_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """DanmEps of a lost node that are deleted come with a metric, an Event and log lines too."""
    # DESIGN P7
    cluster = Cluster()
    net = cluster.add_network(cidr="10.0.0.0/24")
    for name in ("a", "b"):
        endpoint = a_danmep(name, namespace=NAMESPACE, network="net", pod=name, node="gone")
        cluster.kube.add(DANMEPS, encode_danmep(endpoint))
    before = _count("danm_ipam_endpoints_deleted_total")
    async with cluster.running() as (replica,):
        with caplog.at_level("INFO"):
            await Lease(cluster, replica).round()
    assert cluster.kube.all_stored(DANMEPS) == []
    assert _count("danm_ipam_endpoints_deleted_total") == before + 2
    assert _logged(caplog, "Deleted DanmEp of a lost node") == 2
    (told,) = cluster.kube.all_stored(EVENTS)
    assert (told["reason"], told["regarding"]["uid"]) == ("DeletedDanmEpOfLostNode", net.uid)
    assert told["note"] == (
        "deleted 2 DanmEps of node gone, which is gone or declared out of service:"
        " a (eth0), b (eth0)"
    )


async def test_a_danmep_that_could_not_be_deleted_is_tried_again() -> None:
    """A lost node whose entries are free already is not forgotten while it has DanmEps."""
    # DESIGN P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        lease = Lease(cluster, replica)
        await lease.round()
        await cluster.reserve(replica, pod("p"), attachment(), node="gone")
        cluster.kube.add(DANMEPS, encode_danmep(a_danmep(node="gone")))
        cluster.kube.fail_next("delete", DANMEPS, ApiUnavailableError("silent", status=0))
        await lease.round()
        assert cluster.addresses() == []
        assert len(cluster.kube.all_stored(DANMEPS)) == 1
        await lease.round()
        assert cluster.kube.all_stored(DANMEPS) == []


def _count(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0


def _logged(caplog: pytest.LogCaptureFixture, message: str) -> int:
    return sum(record.getMessage() == message for record in caplog.records)


def _addresses_in(text: str) -> Iterable[int]:
    """Return the addresses of a single one or a range."""
    first, _, last = text.partition("-")
    return range(int(IPv4Address(first)), int(IPv4Address(last or first)) + 1)
