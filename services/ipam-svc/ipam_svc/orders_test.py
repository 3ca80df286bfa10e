"""Requests, parsed."""

from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest

from danm_api.errors import InvalidRequestError
from danm_api.ipam_api import (
    MAX_TIMEOUT_S,
    AttachmentRequest,
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    ReserveRequest,
)
from danm_api.model.attachment import Dynamic, NoAddress
from danm_api.model.ip_block import ContainerOwner, Held, PodOwner
from danm_api.names import InterfaceName, NetworkName, NetworkUid, NodeName
from ipam_svc.orders import owner_of, release_order, reservation_of, reserve_order

_POD = PodOwnerMessage(namespace="ns", name="p", uid="u")
_CONTAINER = ContainerOwnerMessage(namespace="ns", container_id="c1")
_EXTERNAL = ExternalOwnerMessage(
    namespace="ns", name="x", reason="r", expires=datetime(2026, 1, 1, tzinfo=UTC)
)


def _request(
    *attachments: AttachmentRequest, owner: OwnerMessage = _POD, node: str = "n1"
) -> ReserveRequest:
    return ReserveRequest(
        owner=owner, node=node, attempt=7, attachments=list(attachments), timeout_s=100
    )


def _wanted(
    network: str = "net", interface: str = "eth0", ip: str = "dynamic"
) -> AttachmentRequest:
    return AttachmentRequest(network=network, interface=interface, ip=ip)


def test_good_request() -> None:
    """Each attachment has its own owner: the Pod and the interface."""
    order = reserve_order(_request(_wanted(), _wanted(interface="eth1")))
    first, second = order.attachments
    assert isinstance(first.owner, PodOwner)
    assert isinstance(second.owner, PodOwner)
    assert (first.owner.interface, second.owner.interface) == ("eth0", "eth1")
    assert (first.ip, first.ip6) == (Dynamic(), NoAddress())
    assert (order.namespace, order.attempt) == ("ns", 7)
    assert order.timeout_s == MAX_TIMEOUT_S


def test_release() -> None:
    """A release names an owner, perhaps some of its interfaces, and networks once each."""
    request = ReleaseRequest(
        owner=_CONTAINER, attempt=3, networks=["b", "a", "b"], interfaces=["eth0"], node="n1"
    )
    order = release_order(request)
    assert order.networks == ("a", "b")
    assert order.interfaces == {"eth0"}
    assert order.families == {4, 6}
    only6 = ReleaseRequest(owner=_EXTERNAL, attempt=3, networks=["a"], families=[6])
    assert release_order(only6).families == {6}
    assert isinstance(order.owner, ContainerOwner)
    with pytest.raises(InvalidRequestError):
        release_order(ReleaseRequest(owner=_CONTAINER, attempt=3, networks=["a"]))


@pytest.mark.parametrize("message", [_POD, _CONTAINER, _EXTERNAL])
def test_owner_comes_back_in_a_reservation(message: OwnerMessage) -> None:
    """What is shown of an entry names its owner as the owner named itself."""
    held = Held(
        address=_address(),
        owner=owner_of(message, InterfaceName("eth0")),
        node=NodeName("n1"),
        attempt=4,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        mac="fa:16:3e:00:00:01",
    )
    shown = reservation_of(NetworkName("net"), NetworkUid("uid"), held)
    assert shown.owner == message
    assert shown.interface == ("" if message is _EXTERNAL else "eth0")
    assert (shown.address, shown.attempt) == ("10.0.0.1", 4)


def _address() -> IPv4Address:
    return IPv4Address("10.0.0.1")
