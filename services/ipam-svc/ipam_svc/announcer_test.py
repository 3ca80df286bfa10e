"""What is told of what was freed, and in how many Events."""

from datetime import UTC, datetime
from ipaddress import ip_address

from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import EVENTS
from danm_api.kube.events import EventRecorder
from danm_api.model.ip_block import ExternalOwner, Held
from danm_api.names import Namespace, NetworkName, NetworkUid, NodeName
from danm_api.record.reasons import DOUBLE, EXPIRED, LOST_NODE
from danm_api.testing.builders import a_danmep
from danm_api.testing.clock import FakeClock
from danm_api.testing.fake_kube import FakeKube
from ipam_svc.announcer import Announcer
from ipam_svc.block_ref import NetworkRef
from ipam_svc.testing.cluster import Cluster, attachment, eventually, pod


def _announcer(kube: FakeKube, *, gather_s: float = 3600.0) -> Announcer:
    return Announcer(
        EventRecorder(kube, component="ipam-svc", instance="ipam-0", clock=FakeClock()),
        gather_s=gather_s,
    )


def _net(name: str) -> NetworkRef:
    return NetworkRef(
        namespace=Namespace("ns"), name=NetworkName(name), uid=NetworkUid(f"uid-{name}")
    )


def _held(last: int, *, node: str = "") -> Held:
    return Held(
        address=ip_address(f"10.0.0.{last}"),
        owner=ExternalOwner(namespace=Namespace("ns"), name="x", reason=""),
        node=NodeName(node),
        attempt=1,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        mac="fa:16:3e:00:00:01",
    )


async def test_one_event_for_each_network_reason_and_node() -> None:
    """What went together is told together; each DanmNet's owner reads of his own network only."""
    # DESIGN P6, P7
    kube = FakeKube()
    announcer = _announcer(kube)
    for last in (1, 2):
        announcer.freed(_net("a"), _held(last), EXPIRED)
        announcer.freed(_net("b"), _held(last), EXPIRED)
        announcer.freed(_net("a"), _held(last + 2), DOUBLE)
        announcer.freed(_net("a"), _held(last + 4, node="n1"), LOST_NODE)
        announcer.freed(_net("a"), _held(last + 6, node="n2"), LOST_NODE)
        announcer.deleted(_net("a"), a_danmep(f"ep-{last}", pod=f"p{last}", node="n1").identity)
    assert kube.all_stored(EVENTS) == []
    await announcer.tell()
    told = [
        (each["regarding"]["uid"], each["reason"], each["note"].rpartition(": ")[2])
        for each in kube.all_stored(EVENTS)
    ]
    assert sorted(told) == [
        ("uid-a", "DeletedDanmEpOfLostNode", "p1 (eth0), p2 (eth0)"),
        ("uid-a", "FreedAddressOfLostNode", "10.0.0.5-10.0.0.6"),
        ("uid-a", "FreedAddressOfLostNode", "10.0.0.7-10.0.0.8"),
        ("uid-a", "FreedDeadAddress", "10.0.0.3-10.0.0.4"),
        ("uid-a", "FreedExpiredAddress", "10.0.0.1-10.0.0.2"),
        ("uid-b", "FreedExpiredAddress", "10.0.0.1-10.0.0.2"),
    ]


async def test_what_was_told_is_not_told_again() -> None:
    """Each round tells what was freed since the last one."""
    kube = FakeKube()
    announcer = _announcer(kube)
    for last in (1, 2):
        announcer.freed(_net("a"), _held(last), EXPIRED)
        await announcer.tell()
        await announcer.tell()
    notes = sorted(each["note"] for each in kube.all_stored(EVENTS))
    assert notes == [
        f"freed 10.0.0.{last} of the external owner ns/x: its owner's time is over"
        for last in (1, 2)
    ]


async def test_news_are_gathered_and_told_without_being_asked() -> None:
    """What was freed is told after a while, what comes meanwhile with it, and again afterwards."""
    kube = FakeKube()
    announcer = _announcer(kube, gather_s=0.01)
    for last in (1, 2):
        announcer.freed(_net("a"), _held(last), EXPIRED)
    await eventually(lambda: len(kube.all_stored(EVENTS)) == 1)
    announcer.freed(_net("a"), _held(3), EXPIRED)
    await eventually(lambda: len(kube.all_stored(EVENTS)) == 2)


async def test_what_is_left_is_told_at_the_end() -> None:
    """A replica that stops waits for no more news and tells what it has."""
    kube = FakeKube()
    announcer = _announcer(kube)
    announcer.freed(_net("a"), _held(1), EXPIRED)
    await announcer.close()
    assert len(kube.all_stored(EVENTS)) == 1
    await announcer.close()


async def test_a_flood_is_told_in_one_event() -> None:
    """However many addresses of a DanmNet are freed at once, its owner reads one Event."""
    # DESIGN P6
    kube = FakeKube()
    announcer = _announcer(kube)
    for _ in range(20):
        for last in range(1, 251):
            announcer.freed(_net("a"), _held(last), DOUBLE)
    await announcer.close()
    (event,) = kube.all_stored(EVENTS)
    assert event["note"].startswith("freed 5000 addresses")


async def test_no_request_waits_for_its_event() -> None:
    """An Event that the API server does not take in holds nothing up; it comes when it can."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.7/24"))
        gate = cluster.kube.hold_next("create", EVENTS)
        await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.8/24"))
        await gate.reached.wait()
        assert cluster.kube.all_stored(EVENTS) == []
        gate.open()
        await eventually(lambda: len(cluster.kube.all_stored(EVENTS)) == 1)


async def test_an_event_that_fails_is_nobodys_failure() -> None:
    """A reservation succeeds although its Event cannot be written."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        cluster.kube.fail_next("create", EVENTS, ApiUnavailableError("away", status=0), times=9)
        await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.7/24"))
        await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.8/24"))
        assert cluster.addresses() == ["10.0.0.8"]
        await replica.close()
        assert cluster.kube.all_stored(EVENTS) == []
