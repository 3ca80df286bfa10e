"""The form of requests."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from danm_api.errors import InvalidRequestError
from danm_api.ipam_api import (
    AttachmentRequest,
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    ReserveRequest,
)
from ipam_svc.request_rules import check_release, check_reserve, require_object_name

_POD = PodOwnerMessage(namespace="ns", name="p", uid="u")
_CONTAINER = ContainerOwnerMessage(namespace="ns", container_id="c1")
_EXTERNAL = ExternalOwnerMessage(
    namespace="ns", name="lb/vip:1", reason="r", expires=datetime(2026, 1, 1, tzinfo=UTC)
)


def _wanted(
    network: str = "net", interface: str = "eth0", ip: str = "dynamic"
) -> AttachmentRequest:
    return AttachmentRequest(network=network, interface=interface, ip=ip)


def _request(
    *attachments: AttachmentRequest,
    owner: OwnerMessage = _POD,
    node: str = "n1",
    attempt: int = 7,
) -> ReserveRequest:
    return ReserveRequest(owner=owner, node=node, attempt=attempt, attachments=list(attachments))


def _external(**fields: object) -> ReserveRequest:
    owner = msgspec.structs.replace(_EXTERNAL, **fields)
    return _request(_wanted(interface=""), owner=owner, node="")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(_request(_wanted(), _wanted(interface="eth1")), id="Pod"),
        pytest.param(_request(_wanted(), owner=_CONTAINER), id="container"),
        pytest.param(_external(), id="external"),
        pytest.param(_external(expires=None, reason=""), id="external for ever"),
    ],
)
def test_good_requests(request_: ReserveRequest) -> None:
    """What danmd and other tools send is accepted."""
    assert check_reserve(request_) == ()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        pytest.param(_request(), "attachments", id="nothing asked"),
        pytest.param(_request(_wanted(), _wanted()), "attachments[1].interface", id="twice"),
        pytest.param(_request(_wanted(network="")), "attachments[0].network", id="no network"),
        pytest.param(_request(_wanted(interface="")), "attachments[0].interface", id="no name"),
        pytest.param(_request(_wanted(), node=""), "node", id="no node"),
        pytest.param(
            _request(_wanted(interface=""), owner=_EXTERNAL), "node", id="external with node"
        ),
        pytest.param(
            _request(_wanted(), owner=_EXTERNAL, node=""),
            "attachments[0].interface",
            id="external with interface",
        ),
        pytest.param(
            _request(_wanted(interface=""), _wanted(interface=""), owner=_EXTERNAL, node=""),
            "attachments[1].network",
            id="external twice",
        ),
        pytest.param(
            _request(_wanted(), owner=PodOwnerMessage(namespace="ns", name="p", uid="")),
            "owner.uid",
            id="no uid",
        ),
        pytest.param(
            _request(*(_wanted(interface=f"e{i}") for i in range(65))), "attachments", id="many"
        ),
        pytest.param(_request(_wanted(), attempt=0), "attempt", id="no attempt"),
        pytest.param(_request(_wanted(), attempt=2**63), "attempt", id="attempt too large"),
        pytest.param(
            _request(_wanted(network="../../secrets")), "attachments[0].network", id="path"
        ),
        pytest.param(_request(_wanted(network="a..b")), "attachments[0].network", id="dots"),
        pytest.param(_request(_wanted(), node="a/b"), "node", id="node's name"),
        pytest.param(
            _request(_wanted(interface="x" * 16)), "attachments[0].interface", id="long name"
        ),
        pytest.param(_request(_wanted(ip="1" * 65)), "attachments[0].ip", id="long address"),
        pytest.param(_external(name="x" * 300), "owner.name", id="long owner"),
        pytest.param(_external(name="a\nb"), "owner.name", id="odd owner"),
        pytest.param(_external(reason="x" * 257), "owner.reason", id="long reason"),
        pytest.param(
            _external(expires=datetime(2026, 1, 1)),  # noqa: DTZ001  (it is what is refused)
            "owner.expires",
            id="no zone",
        ),
        pytest.param(
            _external(expires=datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12)))),
            "owner.expires",
            id="end of time",
        ),
    ],
)
def test_bad_request_names_the_field(request_: ReserveRequest, field: str) -> None:
    """Every fault is told with its field."""
    # SPEC I2; DESIGN P6, P7
    assert field in [violation.field for violation in check_reserve(request_)]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        pytest.param({"networks": ["a/b"]}, "networks[0]", id="network"),
        pytest.param({"interfaces": [""]}, "interfaces[0]", id="interface"),
        pytest.param({"interfaces": ["eth0", "x" * 16]}, "interfaces[1]", id="long interface"),
        pytest.param({"networks": ["a"] * 65}, "networks", id="many"),
        pytest.param({"node": ""}, "node", id="no node"),
        pytest.param({"attempt": -1}, "attempt", id="attempt"),
        pytest.param({"families": [4, 5]}, "families", id="family"),
    ],
)
def test_bad_release_names_the_field(request_: dict[str, object], field: str) -> None:
    """A release is looked at as a reserve is."""
    good = ReleaseRequest(owner=_POD, attempt=3, networks=["a"], node="n1")
    assert check_release(good) == ()
    faulty = msgspec.structs.replace(good, **request_)
    assert field in [violation.field for violation in check_release(faulty)]


def test_what_an_older_release_has_given_can_be_given_back() -> None:
    """Names that are refused today, and were not when the address was taken."""  # DESIGN P2
    wanted = _request(_wanted(interface="x%d"))
    assert [each.field for each in check_reserve(wanted)] == ["attachments[0].interface"]
    release = ReleaseRequest(
        owner=_POD, attempt=3, networks=["a"], interfaces=["x%d", "à"], node="n1"
    )
    assert check_release(release) == ()


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "A", "-a", "a-", "x" * 254, "a%2fb"])
def test_names_that_no_object_has(text: str) -> None:
    """Nothing that could leave its place in a path passes for a name."""
    with pytest.raises(InvalidRequestError):
        require_object_name(text, field="f")
    require_object_name("x" * 253, field="f")
