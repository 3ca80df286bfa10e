"""Listing, look-up and usage."""

from ipaddress import IPv4Network

import msgspec
import pytest

from danm_api.codec.ip_block import block_name
from danm_api.errors import InvalidRequestError, NetworkNotFoundError
from danm_api.ipam_api import (
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    Reservation,
    ReservationList,
    ReservationQuery,
)
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid, NodeName
from ipam_svc.ledger import Ledger
from ipam_svc.lookup import Listing, Lookup, listing_of
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod
from ipam_svc.testing.turns import counted_turns

_NS = Namespace(NAMESPACE)
_NET = NetworkName("net")


def _lookup(replica: Replica) -> Lookup:
    return Lookup(networks=replica.networks, ledger=replica.ledger, reach=replica.reach)


def _listing(**filters: object) -> Listing:
    return listing_of(msgspec.convert(filters, ReservationQuery), usual_limit=None)


async def _pages(lookup: Lookup, size: int, *, namespace: bool) -> list[Reservation]:
    """Read all pages of the network, or of its namespace."""
    found: list[Reservation] = []
    token = ""
    while True:
        listing = _listing(limit=size, **{"continue": token})
        page: ReservationList = await (
            lookup.of_namespace(_NS, listing)
            if namespace
            else lookup.of_network(_NS, _NET, listing)
        )
        assert len(page.items) <= size
        found += page.items
        token = page.next
        if not token:
            return found


async def test_pages_hold_every_entry_once() -> None:
    """Whatever the page's size, all pages together are the entries in order."""
    # SPEC I2
    cluster = Cluster()
    for name, cidr in (("net", "10.0.0.0/24"), ("other", "10.0.1.0/24")):
        cluster.add_network(name, cidr=cidr, net6="2001:db8::/64", host_device=name)
    async with cluster.running(2) as replicas:
        for i in range(5):
            # Two blocks of IPv4, and one of IPv6.
            ip = f"10.0.0.{60 + i}/24"
            await cluster.reserve(replicas[0], pod(f"p{i}"), attachment(ip=ip, ip6="dynamic"))
        await cluster.reserve(replicas[1], pod("q"), attachment("other"))
        lookup = _lookup(replicas[1])
        whole = (await lookup.of_network(_NS, _NET, _listing())).items
        assert len(whole) == 10
        everything = (await lookup.of_namespace(_NS, _listing())).items
        assert [each.network for each in everything] == ["net"] * 10 + ["other"]
        for size in (1, 3, 10, 11):
            assert await _pages(lookup, size, namespace=False) == whole
            assert await _pages(lookup, size, namespace=True) == everything


async def test_entries_that_come_and_go_hide_no_others() -> None:
    """What exists during the whole listing is shown once, though its neighbours change."""
    # SPEC I2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        answers = [
            await cluster.reserve(replica, pod(f"p{i}"), attachment(ip=f"10.0.0.{10 + i}/24"))
            for i in range(4)
        ]
        assert all(answers)
        lookup = _lookup(replica)
        first = await lookup.of_network(_NS, _NET, _listing(limit=2))
        # The last one shown goes, and one comes before it.
        await cluster.release(replica, pod("p1"), attempt=2)
        await cluster.reserve(replica, pod("late"), attachment(ip="10.0.0.5/24"))
        rest = await lookup.of_network(_NS, _NET, _listing(**{"continue": first.next}))
        addresses = [each.address for each in (*first.items, *rest.items)]
        assert addresses == [f"10.0.0.{10 + i}" for i in range(4)]


async def test_replica_goes_on_only_where_the_page_before_ended() -> None:
    """A replica whose watch is behind the page before waits for it."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        for name in ("p", "q"):
            await cluster.reserve(replica, pod(name), attachment())
        reached: list[int] = []

        async def reach(revision: int) -> None:
            reached.append(revision)

        lookup = Lookup(networks=replica.networks, ledger=replica.ledger, reach=reach)
        page = await lookup.of_network(_NS, _NET, _listing(limit=1))
        assert reached == []
        await lookup.of_network(_NS, _NET, _listing(**{"continue": page.next}))
        (block,) = replica.ledger.all_blocks()
        assert reached == [int(block.resource_version)]


async def test_page_of_a_network_that_was_replaced() -> None:
    """The token of a DanmNet is refused for another one of its name."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    cluster.add_network("other", cidr="10.0.1.0/24")
    async with cluster.running() as (replica,):
        for name in ("p", "q"):
            await cluster.reserve(replica, pod(name), attachment())
        lookup = _lookup(replica)
        page = await lookup.of_network(_NS, _NET, _listing(limit=1))
        with pytest.raises(InvalidRequestError, match="begin without it") as caught:
            await lookup.of_network(_NS, NetworkName("other"), _listing(**{"continue": page.next}))
        assert [(each.field, each.place) for each in caught.value.violations] == [
            ("continue", "query")
        ]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        pytest.param({}, "1 2 3 4", id="none"),
        pytest.param({"address": "10.0.0.2"}, "2", id="address"),
        pytest.param({"address": "2001:db8::1"}, "", id="other family"),
        pytest.param({"owner": "p1"}, "1", id="Pod's name"),
        pytest.param({"owner": "c1"}, "3", id="container's id"),
        pytest.param({"owner": "printer"}, "4", id="external name"),
        pytest.param({"ownerKind": "Pod"}, "1 2", id="kind"),
        pytest.param({"ownerKind": "External"}, "4", id="external"),
        pytest.param({"ownerNamespace": NAMESPACE}, "1 2 3 4", id="namespace"),
        pytest.param({"ownerNamespace": "else"}, "", id="other namespace"),
        pytest.param({"ownerUid": "uid-p2"}, "2", id="uid"),
        pytest.param({"interface": "eth1"}, "2", id="interface"),
        pytest.param({"node": "n1"}, "1 2", id="node"),
        pytest.param({"attempt": 3}, "3", id="attempt"),
        pytest.param({"node": "n1", "owner": "p2"}, "2", id="two filters"),
        pytest.param({"node": "n2", "owner": "p2"}, "", id="filters that exclude each other"),
    ],
)
async def test_filters(filters: dict[str, object], found: str) -> None:
    """An entry is found by whatever is known of it; all filters have to match."""
    # SPEC I2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p1"), attachment(), node="n1")
        await cluster.reserve(replica, pod("p2"), attachment(interface="eth1"), node="n1")
        container = ContainerOwnerMessage(namespace=NAMESPACE, container_id="c1")
        await cluster.reserve(replica, container, attachment(), node="n2")
        external = ExternalOwnerMessage(namespace=NAMESPACE, name="printer")
        await cluster.reserve(replica, external, attachment(interface=""), node="")
        listed = await _lookup(replica).of_network(_NS, _NET, _listing(**filters))
        assert [each.address for each in listed.items] == [f"10.0.0.{n}" for n in found.split()]
        by_node = await _lookup(replica).of_node(NodeName("n1"), _listing(**filters))
        assert by_node.items == [each for each in listed.items if each.node == "n1"]


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"address": "10.0.0"}, "address"),
        ({"continue": "x"}, "continue"),
        ({"continue": "10.0.0.1"}, "continue"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"attempt": 0}, "attempt"),
        ({"ownerKind": "Robot"}, "ownerKind"),
    ],
)
async def test_bad_filter_names_the_field(filters: dict[str, object], field: str) -> None:
    """A filter that cannot be read is refused with its name and place."""
    with pytest.raises(InvalidRequestError) as caught:
        _listing(**filters)
    assert [(each.field, each.place) for each in caught.value.violations] == [(field, "query")]


async def test_network_that_is_not_there() -> None:
    """Nothing is listed or counted of a network that does not exist."""
    cluster = Cluster()
    async with cluster.running() as (replica,):
        with pytest.raises(NetworkNotFoundError):
            await _lookup(replica).usage(_NS, NetworkName("other"))
        with pytest.raises(NetworkNotFoundError):
            await _lookup(replica).of_network(_NS, NetworkName("other"), _listing())
        assert (await _lookup(replica).of_namespace(Namespace("else"), _listing())).items == []


class _Unwalked(Ledger):
    """A ledger of which nobody may ask for all blocks of a network."""

    def blocks_of(self, uid: NetworkUid) -> list[IPBlock]:
        pytest.fail(f"looked through all blocks of {uid}")


@pytest.mark.parametrize("filters", [{"address": "10.0.0.70"}, {"ownerUid": "uid-p70"}])
@pytest.mark.parametrize("in_network", [True, False])
async def test_one_of_many_is_found_where_it_is(
    filters: dict[str, object], *, in_network: bool
) -> None:
    """Looking somebody up costs the same, however many addresses are used."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        for n in (5, 70, 71, 130):
            await cluster.reserve(replica, pod(f"p{n}"), attachment(ip=f"10.0.0.{n}/24"))
        ledger = _Unwalked(now=cluster.clock.now)
        for block in replica.ledger.all_blocks():
            ledger.observe(block)
        lookup = Lookup(networks=replica.networks, ledger=ledger, reach=replica.reach)
        listing = _listing(**filters)
        listed = await (
            lookup.of_network(_NS, _NET, listing)
            if in_network
            else lookup.of_namespace(_NS, listing)
        )
        assert [each.address for each in listed.items] == ["10.0.0.70"]


async def test_a_long_search_lets_others_run() -> None:
    """Where there is no index the event loop goes on answering."""
    # DESIGN P6
    cluster = Cluster()
    net = cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        for number in range(1000):
            cidr = IPv4Network((0x0A000000 + 64 * number, 26))
            replica.ledger.observe(
                IPBlock(
                    namespace=_NS,
                    name=block_name(net.uid, cidr),
                    network=_NET,
                    network_uid=net.uid,
                    cidr=cidr,
                    resource_version=str(number + 1),
                    uid=f"u{number}",
                )
            )
        async with counted_turns() as turns:
            await _lookup(replica).of_network(_NS, _NET, _listing(owner="nobody"))
        assert turns.count >= 10
