"""Where searches begin."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from danm_api.model.ip_block import Held, PodOwner
from danm_api.names import InterfaceName, Namespace, NetworkUid, NodeName, PodUid
from ipam_svc.address_space import AddressSpace
from ipam_svc.cursors import Cursors

_UID = NetworkUid("uid")
_BASE = int(ip_address("10.0.0.0"))


def _space(first: int, last: int) -> AddressSpace:
    return AddressSpace(version=4, intervals=((_BASE + first, _BASE + last),), start=_BASE + first)


def _held(last: int, *, at_s: int) -> Held:
    return Held(
        address=ip_address(_BASE + last),
        owner=PodOwner(
            namespace=Namespace("ns"),
            name="p",
            uid=PodUid(f"p{last}"),
            interface=InterfaceName("eth0"),
        ),
        node=NodeName("n1"),
        attempt=1,
        since=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s),
        mac="fa:16:3e:00:00:00",
    )


def test_the_first_search_begins_behind_the_latest_of_the_pool() -> None:
    """Static addresses outside of it do not count; with nothing held, at its begin."""
    cursors, pool = Cursors(), _space(10, 50)
    assert cursors.find(_UID, pool) is None
    assert cursors.begin(_UID, pool, []) == _BASE + 9
    held = [_held(30, at_s=1), _held(20, at_s=2), _held(60, at_s=3)]
    assert cursors.begin(_UID, pool, held) == _BASE + 20
    assert cursors.find(_UID, pool) == _BASE + 20


def test_a_cursor_follows_in_its_block_only_and_within_the_present_pool() -> None:
    """What is new elsewhere, or outside of a pool that was made smaller, changes nothing."""
    cursors = Cursors()
    cursors.follow(_UID, 4, _BASE, [_held(5, at_s=1)])
    assert cursors.find(_UID, _space(1, 120)) is None
    cursors.begin(_UID, _space(1, 120), [])
    cursors.move(_UID, 4, _BASE + 10)
    cursors.follow(_UID, 4, _BASE + 64, [_held(70, at_s=1)])
    assert cursors.find(_UID, _space(1, 20)) == _BASE + 10
    cursors.follow(_UID, 4, _BASE, [_held(11, at_s=2), _held(30, at_s=3)])
    assert cursors.find(_UID, _space(1, 20)) == _BASE + 11


def test_a_network_that_is_gone_is_forgotten() -> None:
    """A replica that runs for months keeps nothing of it."""
    cursors = Cursors()
    cursors.begin(_UID, _space(1, 20), [])
    cursors.drop(_UID, 4)
    assert cursors.find(_UID, _space(1, 20)) is None
