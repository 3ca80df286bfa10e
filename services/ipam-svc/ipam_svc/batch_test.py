"""Several changes at once."""

from datetime import UTC, datetime
from ipaddress import IPv4Network, ip_address

from danm_api.model.ip_block import IPBlock, PodOwner
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid
from ipam_svc.address_space import AddressSpace
from ipam_svc.batch import judge
from ipam_svc.block import TakeAny, Took

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_BASE = int(ip_address("10.0.0.0"))


def test_a_batch_goes_on_where_its_last_change_stopped() -> None:
    """Requests that all begin behind one cursor get the next addresses, then those before it."""
    space = AddressSpace(version=4, intervals=((_BASE + 1, _BASE + 63),), start=_BASE + 1)
    block = IPBlock(
        namespace=Namespace("ns"),
        name="uid-0a000000",
        network=NetworkName("net"),
        network_uid=NetworkUid("uid"),
        cidr=IPv4Network("10.0.0.0/26"),
        resource_version="5",
    )
    changes = [
        TakeAny(
            owner=PodOwner(
                namespace=Namespace("ns"),
                name=f"p{number}",
                uid=PodUid(f"p{number}"),
                interface=InterfaceName("eth0"),
            ),
            node=NodeName("n1"),
            attempt=1,
            space=space,
            after=_BASE + 60,
            mac=None,
        )
        for number in range(5)
    ]
    _, verdicts = judge(block, changes, now=_NOW)
    taken = [int(each.held.address) - _BASE for each in verdicts if isinstance(each, Took)]
    assert taken == [61, 62, 63, 1, 2]
