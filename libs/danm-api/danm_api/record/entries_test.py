"""What entries say of their owners."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from danm_api.ipam_api import MAX_TIMEOUT_S
from danm_api.model.ip_block import ContainerOwner, Cooling, ExternalOwner, Owner
from danm_api.names import InterfaceName, Namespace
from danm_api.record.entries import (
    CLOCK_SKEW,
    GIVE_BACK_S,
    dead_doubles,
    describe_owner,
    has_expired,
    held_entries,
    is_abandoned,
    lost_at,
)
from danm_api.testing.builders import a_block, a_held_entry, a_pod_owner
from danm_api.testing.clock import START


def test_dead_doubles() -> None:
    """An entry is dead when its owner has a newer one of the family; equal attempts are alive."""
    # DESIGN, "Attempts fence"
    other = a_pod_owner("other", uid="pod-uid-2")
    first = a_block(
        "10.0.0.1",
        a_held_entry("10.0.0.1", attempt=1),
        a_held_entry("10.0.0.2", owner=other, attempt=5),
    )
    second = a_block(
        "10.0.0.65",
        a_held_entry("10.0.0.65", attempt=2),
        a_held_entry("10.0.0.66", owner=other, attempt=5),
        a_held_entry("10.0.0.67", owner=a_pod_owner(interface="eth1"), attempt=9),
    )
    assert [str(each.address) for each in dead_doubles([first, second])] == ["10.0.0.1"]
    assert [str(each.address) for each in dead_doubles([second, first])] == ["10.0.0.1"]


def test_what_is_pending_ends_no_other() -> None:
    """Of a request that may still fail nobody loses what was told; what is told ends what is not.

    An earlier release that keeps an entry for a later attempt leaves the mark as it was.
    """
    block = a_block(
        "10.0.0.1",
        a_held_entry("10.0.0.1", attempt=1),
        replace(a_held_entry("10.0.0.2", attempt=2), pending=2),
    )
    assert dead_doubles([block]) == []
    told = replace(block, entries=(a_held_entry("10.0.0.1", attempt=3), block.entries[1]))
    assert dead_doubles([told]) == [block.entries[1]]
    kept = replace(
        block,
        entries=(block.entries[0], replace(a_held_entry("10.0.0.2", attempt=3), pending=2)),
    )
    assert dead_doubles([kept]) == [block.entries[0]]


def test_what_is_pending_is_left_over_when_its_request_must_have_ended() -> None:
    """By any clock."""
    entry = replace(a_held_entry("10.0.0.1", attempt=2), pending=2)
    longest = timedelta(seconds=MAX_TIMEOUT_S + GIVE_BACK_S) + CLOCK_SKEW
    assert is_abandoned(entry, now=entry.since + longest)
    assert not is_abandoned(entry, now=entry.since + longest - timedelta(seconds=1))
    assert not is_abandoned(replace(entry, attempt=3), now=entry.since + longest)


def test_an_entry_of_another_node_is_no_double() -> None:
    """A node may say of a mirror Pod what it likes."""
    # DESIGN, "A rooted node must stay one node"
    block = a_block(
        "10.0.0.1",
        a_held_entry("10.0.0.1", attempt=1),
        a_held_entry("10.0.0.2", attempt=9, node="another"),
    )
    assert dead_doubles([block]) == []


def test_what_cools_has_no_owner() -> None:
    """Only held entries are anybody's."""
    held = a_held_entry("10.0.0.1")
    cooling = Cooling(address=ip_address("10.0.0.2"), free_at=START)
    assert held_entries(a_block("10.0.0.1", held, cooling)) == (held,)


def test_an_owner_s_time_is_over_by_every_clock() -> None:
    """Not before the clocks that differ most agree on it."""
    # SPEC I3, decision 0015
    owner = ExternalOwner(namespace=Namespace("ns"), name="x", reason="", expires=START)
    entry = a_held_entry(owner=owner)
    end = START + CLOCK_SKEW
    assert lost_at(entry, now=end) == end
    assert has_expired(entry, now=end)
    assert not has_expired(entry, now=end - timedelta(microseconds=1))
    forever = replace(entry, owner=replace(owner, expires=None))
    assert not has_expired(forever, now=end + timedelta(days=1))


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        pytest.param(a_pod_owner("a", namespace="ns"), "Pod ns/a (interface eth0)", id="pod"),
        pytest.param(
            ContainerOwner(
                namespace=Namespace("ns"), container_id="c1", interface=InterfaceName("net1")
            ),
            "container c1 (interface net1)",
            id="container",
        ),
        pytest.param(
            ExternalOwner(namespace=Namespace("ns"), name="router", reason="uplink"),
            "the external owner ns/router",
            id="external",
        ),
    ],
)
def test_owners_are_named_as_people_know_them(owner: Owner, said: str) -> None:
    """A sentence about an address says whose it is."""
    assert describe_owner(owner) == said


def test_an_owner_has_one_address_of_each_family() -> None:
    """One that was claimed later than the other is no newer one."""
    block = a_block("10.0.0.1", a_held_entry("10.0.0.1", attempt=1))
    block6 = a_block("2001:db8::1", a_held_entry("2001:db8::1", attempt=9))
    assert dead_doubles([block, block6]) == []
