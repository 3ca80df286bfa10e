"""What a Pod's annotation asks, against what a node orders for it."""

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from danm_api.model.attachment import (
    Attachment,
    Dynamic,
    IPv4Request,
    IPv6Request,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import ExternalOwner
from danm_api.names import Namespace, NetworkName
from danm_api.testing.builders import a_danmnet, a_pod_owner, accepted
from ipam_svc.asked import interface_of, not_asked
from ipam_svc.orders import OrderedAttachment

_POOL = {"start": "198.18.0.10", "end": "198.18.0.20"}
_NET = accepted(
    a_danmnet(
        "external",
        container_prefix="ext",
        cidr="198.18.0.0/24",
        allocation_pool=_POOL,
        net6="fd00::/64",
    )
)


_ANY = Dynamic()
_NONE = NoAddress()


def _entry(ip: IPv4Request = _ANY, ip6: IPv6Request = _NONE, *, index: int = 0) -> Attachment:
    return Attachment(index=index, network=NetworkName("external"), ip=ip, ip6=ip6)


def _ordered(
    ip: IPv4Request = _ANY,
    ip6: IPv6Request = _NONE,
    *,
    interface: str = "ext",
    index: int = 0,
) -> OrderedAttachment:
    return OrderedAttachment(
        index=index,
        network=NetworkName("external"),
        owner=a_pod_owner(interface=interface),
        ip=ip,
        ip6=ip6,
    )


def _static(address: str) -> StaticIPv4:
    return StaticIPv4(interface=IPv4Interface(f"{address}/24"))


def _static6(address: str) -> StaticIPv6:
    return StaticIPv6(interface=IPv6Interface(f"{address}/64"))


@pytest.mark.parametrize(
    ("entry", "ordered", "covered"),
    [
        pytest.param(_entry(), _ordered(), True, id="as it is asked"),
        pytest.param(_entry(), _ordered(_static("198.18.0.10")), True, id="one of the pool"),
        pytest.param(_entry(), _ordered(_static("198.18.0.21")), False, id="beside the pool"),
        pytest.param(
            _entry(_static("198.18.0.9")), _ordered(_static("198.18.0.9")), True, id="named"
        ),
        pytest.param(
            _entry(_static("198.18.0.9")), _ordered(_static("198.18.0.10")), False, id="another"
        ),
        pytest.param(
            _entry(_static("198.18.0.9")), _ordered(), False, id="any, where one is named"
        ),
        pytest.param(_entry(), _ordered(_NONE), True, id="less than is asked"),
        pytest.param(_entry(_NONE), _ordered(), False, id="more than is asked"),
        pytest.param(
            _entry(ip6=_ANY),
            _ordered(ip6=_static6("fd00::f816:3eff:fe00:5")),
            True,
            id="one of IPv6",
        ),
        pytest.param(
            _entry(ip6=_ANY), _ordered(ip6=_static6("fd00::5")), False, id="beside the pool of IPv6"
        ),
        pytest.param(_entry(), _ordered(interface="ext1"), False, id="a name of the node's choice"),
    ],
)
def test_an_entry_covers_what_it_asks(
    entry: Attachment, ordered: OrderedAttachment, *, covered: bool
) -> None:
    """Word for word, or as an address of the pool that a dynamic one has been."""
    # SPEC B4; DESIGN, "Nodes fence"
    assert not_asked([entry], [(ordered, _NET)]) == ([] if covered else [(ordered, _NET)])


def test_an_entry_covers_one_attachment() -> None:
    """A second one of the same words is one too many."""
    twice = [(_ordered(index=number), _NET) for number in range(2)]
    assert not_asked([_entry()], twice) == twice[1:]
    assert not_asked([_entry(), _entry(index=1)], twice) == []


def test_what_is_asked_word_for_word_comes_first() -> None:
    """A looser match takes nothing from it, in whichever order both come."""
    named = _static("198.18.0.12")
    entries = [_entry(), _entry(named, index=1)]
    ordered = [(_ordered(_static("198.18.0.11")), _NET), (_ordered(named, index=1), _NET)]
    for first, second in (entries, entries[::-1]):
        assert not_asked([first, second], ordered) == []
        assert not_asked([first, second], ordered[::-1]) == []
    # Each entry that is as good as named stays free for it.
    entries = [_entry(ip6=_ANY), _entry(index=1)]
    ordered = [
        (_ordered(_static("198.18.0.11")), _NET),
        (_ordered(ip6=_ANY, index=1), _NET),
    ]
    assert not_asked(entries, ordered) == not_asked(entries, ordered[::-1]) == []


def _in_two_ways() -> DanmNet:
    """Return a network whose prefix was edited after it had been accepted."""
    edited = a_danmnet("external", container_prefix="new", cidr="198.18.0.0/24")
    return replace(edited, status=_NET.status)


@pytest.mark.parametrize(("interface", "covered"), [("ext", True), ("new", True), ("eth0", False)])
def test_an_interface_is_called_as_before_an_edit_or_after(
    interface: str, *, covered: bool
) -> None:
    """Danmd may have planned with either."""
    missing = not_asked([_entry()], [(_ordered(interface=interface), _in_two_ways())])
    assert (missing == []) == covered


def test_a_tool_s_owner_has_no_interface() -> None:
    """So no entry covers it."""
    ordered = replace(
        _ordered(),
        owner=ExternalOwner(
            namespace=Namespace("default"), name="tool", reason="a tool", expires=None
        ),
    )
    assert interface_of(ordered) == ""
    assert not_asked([_entry()], [(ordered, _NET)]) == [(ordered, _NET)]
