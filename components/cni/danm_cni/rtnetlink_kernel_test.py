"""One conversation with a real kernel, request by request."""

import errno
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import pytest

from danm_api.netlink_socket import KernelRefusedError
from danm_api.netlink_wire import u32_attribute
from danm_cni.interface_setup import PolicyRule
from danm_cni.rtnetlink import (
    MAIN_TABLE,
    GatewayRoute,
    Link,
    LinkAddress,
    RouteSocket,
)
from danm_cni.testing.namespaces import in_netns, ip

T = TypeVar("T")

_MAC: Final = "02:00:00:00:05:07"
_V4: Final = ip_address("198.18.0.7")
_V6: Final = ip_address("2001:db8::7")


@pytest.fixture()
def space() -> Iterator[str]:
    """Give a namespace with a link ``a0`` that is up and has no addresses but the kernel's own."""
    name = f"danm-rt-{uuid4().hex[:8]}"
    ip("netns", "add", name)
    try:
        peer = ("peer", "name", "a1")
        ip("-n", name, "link", "add", "a0", "mtu", "1400", "address", _MAC, "type", "veth", *peer)
        for link in ("a0", "a1"):
            ip("-n", name, "link", "set", link, "up")
        yield name
    finally:
        ip("netns", "del", name)


def _talk(space: str, work: Callable[[RouteSocket], T]) -> T:
    def body() -> T:
        with RouteSocket() as kernel:
            return work(kernel)

    return in_netns(space, body)


def _shown(space: str, *arguments: str) -> list[dict[str, Any]]:
    """Return what iproute2 says."""
    done = subprocess.run(
        ["ip", "-n", space, "-j", *arguments], check=True, capture_output=True, text=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def _index(space: str, name: str = "a0") -> int:
    (link,) = _shown(space, "link", "show", "dev", name)
    return int(link["ifindex"])


def _own(kernel: RouteSocket) -> set[LinkAddress]:
    """Return the addresses that the kernel has not made itself."""
    return {each for each in kernel.addresses() if not each.address.is_link_local}


def _refusal(work: Callable[[], object]) -> int:
    with pytest.raises(KernelRefusedError) as caught:
        work()
    return caught.value.number


def test_a_link_is_found_by_its_name(space: str) -> None:
    """What is not there is None, and the conversation goes on after a refusal."""
    expected = Link(index=_index(space), name="a0", mac=_MAC, mtu=1400)
    found = _talk(space, lambda kernel: [kernel.link(each) for each in ("a0", "none", "a0")])
    assert found == [expected, None, expected]


def test_a_link_is_found_by_an_alternative_name_too(space: str) -> None:
    """It tells which its own one is."""
    ip("-n", space, "link", "property", "add", "dev", "a0", "altname", "uplink")
    found = _talk(space, lambda kernel: kernel.link("uplink"))
    assert (found and found.name, found and found.index) == ("a0", _index(space))


def test_a_name_that_no_link_can_have_is_refused(space: str) -> None:
    """That is no missing link: whoever asks is wrong."""
    assert _talk(space, lambda kernel: _refusal(lambda: kernel.link("x" * 20))) != errno.ENODEV


def test_addresses_come_and_go(space: str) -> None:
    """Of both families, with their lengths; twice is refused, and tells why."""
    index = _index(space)
    wanted = {
        LinkAddress(link=index, address=_V4, peer=_V4, prefix_length=24),
        LinkAddress(link=index, address=_V6, peer=_V6, prefix_length=64),
    }

    def work(kernel: RouteSocket) -> None:
        for each in wanted:
            kernel.add_address(index, each.address, each.prefix_length)
            again = partial(kernel.add_address, index, each.address, each.prefix_length)
            assert _refusal(again) == errno.EEXIST
        assert _own(kernel) == wanted
        for each in wanted:
            kernel.delete_address(each)
            assert _refusal(partial(kernel.delete_address, each)) == errno.EADDRNOTAVAIL
        assert _own(kernel) == set()

    _talk(space, work)


def test_an_ipv6_address_is_usable_at_once(space: str) -> None:
    """The kernel does not look for others that have it."""
    # SPEC D4
    index = _index(space)
    _talk(space, lambda kernel: kernel.add_address(index, _V6, 64))
    (link,) = _shown(space, "addr", "show", "dev", "a0")
    (flags,) = (each for each in link["addr_info"] if each["local"] == str(_V6))
    assert flags["nodad"] is True
    assert "tentative" not in flags


@pytest.mark.parametrize(
    ("own", "peer"), [("10.1.2.3", "10.1.2.1"), ("2001:db8::3", "2001:db8::1")]
)
def test_an_address_to_a_peer_is_the_own_one(space: str, own: str, peer: str) -> None:
    """As calico gives it; it is removed as it was found."""
    ip("-n", space, "addr", "add", own, "peer", peer, "dev", "a0")
    length = ip_address(own).max_prefixlen
    expected = LinkAddress(
        link=_index(space), address=ip_address(own), peer=ip_address(peer), prefix_length=length
    )

    def work(kernel: RouteSocket) -> None:
        assert _own(kernel) == {expected}
        kernel.delete_address(expected)
        assert _own(kernel) == set()

    _talk(space, work)


def _route(to: str, via: str, link: int, **more: int) -> GatewayRoute:
    return GatewayRoute(destination=ip_network(to), gateway=ip_address(via), link=link, **more)


def test_routes_are_found_as_they_were_added(space: str) -> None:
    """Default routes and tables below and above 255 too; those without gateway are none of ours."""
    # SPEC D3
    index = _index(space)
    routes = [
        _route("0.0.0.0/0", "198.18.0.1", index),
        _route("::/0", "2001:db8::1", index),
        _route("192.0.2.0/24", "198.18.0.1", index, metric=100),
        _route("192.0.2.0/25", "198.18.0.1", index, table=250),
        _route("2001:db8:1::/48", "2001:db8::1", index, table=300),
    ]

    def work(kernel: RouteSocket) -> set[tuple[int, str, str, int]]:
        kernel.add_address(index, _V4, 24)
        kernel.add_address(index, _V6, 64)
        for each in routes:
            kernel.add_route(each)
        return set(kernel.gateway_routes())

    assert _talk(space, work) == {
        (index, str(each.destination), str(each.gateway), each.table) for each in routes
    }
    (own,) = _shown(space, "route", "show", "192.0.2.0/24")
    assert (own["metric"], own["protocol"]) == (100, "static")


def test_one_destination_needs_another_metric(space: str) -> None:
    """A route is refused where the same is there, through whichever gateway."""
    index = _index(space)

    def work(kernel: RouteSocket) -> None:
        kernel.add_address(index, _V4, 24)
        first = _route("192.0.2.0/24", "198.18.0.1", index)
        second = replace(first, gateway=ip_address("198.18.0.2"))
        kernel.add_route(first)
        assert _refusal(lambda: kernel.add_route(second)) == errno.EEXIST
        kernel.add_route(replace(second, metric=100))
        assert set(kernel.gateway_routes()) == {
            (index, "192.0.2.0/24", "198.18.0.1", MAIN_TABLE),
            (index, "192.0.2.0/24", "198.18.0.2", MAIN_TABLE),
        }

    _talk(space, work)


def test_the_kernels_own_words_are_told(space: str) -> None:
    """They say what its numbers do not."""
    index = _index(space)
    unreachable = _route("192.0.2.0/24", "203.0.113.1", index)
    with pytest.raises(KernelRefusedError, match=r"^Network is unreachable \(.+\)$") as caught:
        _talk(space, lambda kernel: kernel.add_route(unreachable))
    assert caught.value.number == errno.ENETUNREACH


def test_rules_come_and_go(space: str) -> None:
    """Of both families; those of others for other packets are none of ours."""
    # SPEC D3
    wanted = {PolicyRule(source=_V4, table=250), PolicyRule(source=_V6, table=300)}
    ip("-n", space, "rule", "add", "from", "198.18.0.0/24", "table", "251")
    ip("-n", space, "rule", "add", "to", "203.0.113.1", "table", "252")
    ip("-n", space, "-6", "rule", "add", "from", "2001:db8::/64", "table", "253")

    def work(kernel: RouteSocket) -> None:
        for each in wanted:
            kernel.add_rule(each)
            assert _refusal(partial(kernel.add_rule, each)) == errno.EEXIST
        assert set(kernel.source_rules()) == wanted
        priorities = {
            each["priority"]
            for family in ("-4", "-6")
            for each in _shown(space, family, "rule", "show")
            if each["src"] in {str(_V4), str(_V6)}
        }
        # As earlier releases have them, and before the main table's.
        assert priorities == {32000}
        for each in wanted:
            kernel.delete_rule(each)
            assert _refusal(partial(kernel.delete_rule, each)) == errno.ENOENT
        assert set(kernel.source_rules()) == set()

    _talk(space, work)


def test_a_link_is_renamed_and_set_up(space: str) -> None:
    """With another MTU only where one is named."""
    ip("-n", space, "link", "set", "a0", "down")
    index = _index(space)

    def work(kernel: RouteSocket) -> list[Link | None]:
        kernel.rename(index, "b0")
        kernel.set_up(index)
        before = kernel.link("b0")
        kernel.set_up(index, mtu=1300)
        return [kernel.link("a0"), before, kernel.link("b0")]

    assert _talk(space, work) == [
        None,
        Link(index=index, name="b0", mac=_MAC, mtu=1400),
        Link(index=index, name="b0", mac=_MAC, mtu=1300),
    ]
    (link,) = _shown(space, "link", "show", "dev", "b0")
    assert "UP" in link["flags"]


def test_links_go_together_or_not_at_all(space: str) -> None:
    """Where the kernel does not give one up, all others are still there; others' links stay."""
    for name in ("b0", "c0", "d0"):
        ip("-n", space, "link", "add", name, "link", "a0", "type", "macvlan")
    names = ("b0", "c0")
    indices = [_index(space, name) for name in names]
    loopback = _index(space, "lo")

    def work(kernel: RouteSocket) -> list[bool]:
        _refusal(lambda: kernel.delete_links([*indices, loopback]))
        assert all(kernel.link(each) for each in names)
        # The loopback is of the group of those that go by now.
        ip("-n", space, "link", "set", "lo", "group", "default")
        kernel.delete_links(indices)
        return [kernel.link(each) is not None for each in (*names, "d0")]

    assert _talk(space, work) == [False, False, True]


def test_a_child_comes_into_its_own_namespace(space: str) -> None:
    """With what it was asked to have; a refusal leaves nothing."""
    # SPEC D1
    index = _index(space)

    def work(kernel: RouteSocket) -> None:
        with Path("/proc/thread-self/ns/net").open() as here:
            make = partial(kernel.add_child, "macvlan", parent=index, netns=here.fileno())
            # IFLA_MACVLAN_MODE, of the kind's own attributes: bridge, and not the kernel's choice.
            make("b0", options=u32_attribute(1, 4), mtu=1300, mac="02:00:00:00:05:08")
            make("c0", options=b"", mtu=None, mac=None)
            again = partial(make, "b0", options=b"", mtu=None, mac=None)
            assert _refusal(again) == errno.EEXIST
        made, plain = kernel.link("b0"), kernel.link("c0")
        assert made is not None
        assert (made.mac, made.mtu) == ("02:00:00:00:05:08", 1300)
        assert plain is not None
        assert plain.mtu == 1400
        assert plain.mac not in (None, _MAC, made.mac)
        (shown,) = _shown(space, "-d", "link", "show", "dev", "b0")
        assert shown["linkinfo"]["info_data"]["mode"] == "bridge"
        kernel.delete_link(made.index)
        assert kernel.link("b0") is None
        assert _refusal(lambda: kernel.delete_link(made.index)) == errno.ENODEV

    _talk(space, work)
