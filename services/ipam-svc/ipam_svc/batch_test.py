"""Several changes at once."""

from datetime import UTC, datetime
from ipaddress import IPv4Network, ip_address

from danm_api.errors import StaleAttemptError
from danm_api.model.ip_block import IPBlock, PodOwner
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid
from ipam_svc.address_space import AddressSpace
from ipam_svc.batch import judge
from ipam_svc.block import TakeAny, Took

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_BASE = int(ip_address("10.0.0.0"))
_SPACE = AddressSpace(version=4, intervals=((_BASE + 1, _BASE + 63),), start=_BASE + 1)


def _block() -> IPBlock:
    return IPBlock(
        namespace=Namespace("ns"),
        name="uid-0a000000",
        network=NetworkName("net"),
        network_uid=NetworkUid("uid"),
        cidr=IPv4Network("10.0.0.0/26"),
        resource_version="5",
    )


def _take(name: str, *, attempt: int = 1, after: int = _BASE + 60) -> TakeAny:
    return TakeAny(
        owner=PodOwner(
            namespace=Namespace("ns"),
            name=name,
            uid=PodUid(name),
            interface=InterfaceName("eth0"),
        ),
        node=NodeName("n1"),
        attempt=attempt,
        space=_SPACE,
        after=after,
        mac=None,
    )


def test_a_batch_goes_on_where_its_last_change_stopped() -> None:
    """Requests that all begin behind one cursor get the next addresses, then those before it."""
    changes = [_take(f"p{number}") for number in range(5)]
    _, verdicts = judge(_block(), changes, now=_NOW)
    taken = [int(each.held.address) - _BASE for each in verdicts if isinstance(each, Took)]
    assert taken == [61, 62, 63, 1, 2]


def test_an_owner_that_asks_twice_in_a_batch_gets_one_address() -> None:
    """Also when it had one before the batch; a later attempt keeps it, an older one is refused."""
    before, _ = judge(_block(), [_take("old")], now=_NOW)
    changes = [_take("old", attempt=2), _take("new"), _take("new", attempt=3), _take("new")]
    after, verdicts = judge(before, changes, now=_NOW)
    old, first, second, late = verdicts
    assert isinstance(old, Took)
    assert isinstance(first, Took)
    assert isinstance(second, Took)
    assert (old.new, first.new, second.new) == (False, True, False)
    assert first.held.address == second.held.address
    assert isinstance(late, StaleAttemptError)
    assert len(after.entries) == 2
