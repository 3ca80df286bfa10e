"""Listing, look-up and usage."""

import pytest

from danm_api.errors import InvalidRequestError, NetworkNotFoundError
from danm_api.names import Namespace, NetworkName, NodeName
from ipam_svc.lookup import Lookup
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod

_NS = Namespace(NAMESPACE)
_NET = NetworkName("net")


def _lookup(replica: Replica) -> Lookup:
    return Lookup(networks=replica.networks, ledger=replica.ledger)


async def test_pages_hold_every_entry_once() -> None:
    """Whatever the page's size, all pages together are the network's entries in order."""
    # SPEC I2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", net6="2001:db8::/64")
    async with cluster.running() as (replica,):
        for i in range(5):
            # Two blocks of IPv4, and one of IPv6.
            ip = f"10.0.0.{60 + i}/24"
            await cluster.reserve(replica, pod(f"p{i}"), attachment(ip=ip, ip6="dynamic"))
        lookup = _lookup(replica)
        whole = (await lookup.of_network(_NS, _NET)).items
        assert len(whole) == 10
        for size in ("1", "3", "10"):
            found, after = [], ""
            while True:
                page = await lookup.of_network(_NS, _NET, limit=size, after=after)
                found += page.items
                after = page.next
                if not after:
                    break
            assert found == whole


async def test_filters() -> None:
    """An entry is found by its address and by its owner's name."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        for i in range(3):
            await cluster.reserve(replica, pod(f"p{i}"), attachment(), node=f"n{i}")
        lookup = _lookup(replica)
        by_address = await lookup.of_network(_NS, _NET, address="10.0.0.2")
        by_owner = await lookup.of_network(_NS, _NET, owner="p1")
        assert by_address == by_owner == lookup.of_node(NodeName("n1"))
        assert [each.address for each in by_owner.items] == ["10.0.0.2"]


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"address": "10.0.0"}, "address"),
        ({"after": "x"}, "continue"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "-1"}, "limit"),
    ],
)
async def test_bad_filter_names_the_field(filters: dict[str, str], field: str) -> None:
    """A filter that cannot be read is refused with its name."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        with pytest.raises(InvalidRequestError) as caught:
            await _lookup(replica).of_network(_NS, _NET, **filters)
        assert [each.field for each in caught.value.violations] == [field]
        with pytest.raises(NetworkNotFoundError):
            await _lookup(replica).usage(_NS, NetworkName("other"))
