"""Who may do what: each operation is refused to all but those whose it is, and granted to these."""

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec
import pytest

from danm_api.ipam_api import (
    RELEASE_PATH,
    RESERVE_PATH,
    AttachmentRequest,
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    Problem,
    ReleaseRequest,
    ReserveRequest,
    network_reservations_path,
    network_usage_path,
    node_reservations_path,
)
from danm_api.kube.api import PODS, RawObject
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment
from ipam_svc.testing.service import DANMD, Service, running

# Tokens: danmd's of two nodes and one without the claim, and people's. Jane may everything, the
# others lack what their names say.
_N1: Final = "danmd-n1"
_N2: Final = "danmd-n2"
_NODELESS: Final = "danmd"
_JANE: Final = "user-jane"
_LOCAL: Final = "user-local"

_CONTAINER: Final = ContainerOwnerMessage(namespace=NAMESPACE, container_id="c")
_OTHER_CONTAINER: Final = ContainerOwnerMessage(namespace=NAMESPACE, container_id="d")
_PRINTER: Final = ExternalOwnerMessage(namespace=NAMESPACE, name="printer")
_SCANNER: Final = ExternalOwnerMessage(namespace=NAMESPACE, name="scanner")

_OTHER_NODE: Final = "is bound to node n2 and cannot act for node n1"
_NO_NODE: Final = "is bound to no node; danmd needs a projected token"
_NOT_A_NODES: Final = "a node's danmd acts for Pods and containers only"
_PEOPLE: Final = f"only a node's danmd ({DANMD}) acts for Pods and containers"

_Request = ReserveRequest | ReleaseRequest | str


def _pod(name: str) -> PodOwnerMessage:
    return PodOwnerMessage(namespace=NAMESPACE, name=name, uid=f"uid-{name}")


def _reserve(
    owner: OwnerMessage, *, node: str = "n1", network: str = "net", via_fakeipam: bool = False
) -> ReserveRequest:
    is_external = isinstance(owner, ExternalOwnerMessage)
    wanted: AttachmentRequest = attachment(network, interface="" if is_external else "eth0")
    return ReserveRequest(
        owner=owner,
        node="" if is_external else node,
        attempt=1,
        attachments=[wanted],
        via_fakeipam=via_fakeipam,
    )


def _release(owner: OwnerMessage, *, node: str = "n1") -> ReleaseRequest:
    is_external = isinstance(owner, ExternalOwnerMessage)
    return ReleaseRequest(
        owner=owner, node="" if is_external else node, attempt=1, networks=["net"]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """What a caller may not.

    Attributes:
        saying: A part of the sentence that the caller gets.
    """

    token: str
    asks: _Request
    saying: str
    status: HTTPStatus = HTTPStatus.FORBIDDEN


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One operation: who is refused, then who is granted it.

    Attributes:
        leaves: The last bytes of the addresses that are held after it was granted.
    """

    refused: tuple[_Refused, ...]
    token: str
    asks: _Request
    leaves: tuple[int, ...] = (1, 2, 3)


def _of_node_n1(asks: _Request) -> tuple[_Refused, ...]:
    """Return who is refused what only danmd of n1 may."""
    return (
        _Refused(token=_N2, asks=asks, saying=_OTHER_NODE),
        _Refused(token=_NODELESS, asks=asks, saying=_NO_NODE),
        _Refused(token=_JANE, asks=asks, saying=_PEOPLE),
    )


_NODE_LIST: Final = node_reservations_path("n1")
_NETWORK_LIST: Final = network_reservations_path(NAMESPACE, "net")
_ONE: Final = f"{_NETWORK_LIST}?address=10.0.0.1"
_USAGE: Final = network_usage_path(NAMESPACE, "net")


async def _prepare(cluster: Cluster, service: Service) -> None:
    """Have Pods on two nodes, and a Pod, a container and an external owner with an address each."""
    cluster.kube.review_access = _allow
    cluster.add_network(cidr="10.0.0.0/24", fakeipam=True)
    cluster.add_network("other", cidr="10.0.1.0/24", host_device="other")
    annotations = {"danm.k8s.io/interfaces": '[{"network": "net", "ip": "dynamic"}]'}
    for name, node in (("p", "n1"), ("q", "n1"), ("r", "n2")):
        metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"}
        cluster.kube.add(
            PODS,
            {"metadata": metadata | {"annotations": annotations}, "spec": {"nodeName": node}},
        )
    for token, request in (
        (_N1, _reserve(_pod("p"))),
        (_N1, _reserve(_CONTAINER, via_fakeipam=True)),
        (_JANE, _reserve(_PRINTER)),
    ):
        assert await _ask(service, token, request) == (HTTPStatus.OK, "")
    assert _held(cluster) == (1, 2, 3)


def _allow(spec: RawObject) -> RawObject:
    """Allow all but the verb that a user's name has, and some one namespace only."""
    attributes = spec["resourceAttributes"]
    if spec["user"] == _name(_LOCAL):
        return {"allowed": attributes.get("namespace") == NAMESPACE}
    return {"allowed": spec["user"] != f"no.{attributes['verb']}"}


def _name(token: str) -> str:
    return token.partition("-")[2]


def _held(cluster: Cluster) -> tuple[int, ...]:
    return tuple(int(address.rpartition(".")[2]) for address in cluster.addresses())


async def _ask(service: Service, token: str, request: _Request) -> tuple[int, str]:
    """Return the status of an answer, and what a problem document says."""
    url = f"https://{service.endpoints[0]}"
    trust = ssl.create_default_context(cadata=service.trust())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        if isinstance(request, str):
            answer = await session.get(request, ssl=trust)
        else:
            path = RESERVE_PATH if isinstance(request, ReserveRequest) else RELEASE_PATH
            answer = await session.post(path, data=msgspec.json.encode(request), ssl=trust)
        body = await answer.read()
    if answer.status == HTTPStatus.OK:
        return answer.status, ""
    problem = msgspec.json.decode(body, type=Problem)
    assert problem.status == answer.status
    return answer.status, problem.detail


_CASES: Final = [
    pytest.param(
        _Case(
            refused=_of_node_n1(_release(_pod("p"))),
            token=_N1,
            asks=_release(_pod("p")),
            leaves=(2, 3),
        ),
        id="release of a Pod",
    ),
    pytest.param(
        _Case(
            refused=_of_node_n1(_release(_CONTAINER)),
            token=_N1,
            asks=_release(_CONTAINER),
            leaves=(1, 3),
        ),
        id="release of a container",
    ),
    pytest.param(
        _Case(
            refused=(
                _Refused(
                    token=_N1,
                    asks=_release(_PRINTER),
                    saying=_NOT_A_NODES,
                ),
                _Refused(
                    token="user-no.delete",
                    asks=_release(_PRINTER),
                    saying='needs the verb "delete"',
                ),
            ),
            token=_JANE,
            asks=_release(_PRINTER),
            leaves=(1, 2),
        ),
        id="release of an external owner",
    ),
    pytest.param(
        _Case(
            # Granted, and reported as kept: the release itself leaves other nodes' entries alone.
            refused=(),
            token=_N2,
            asks=_release(_pod("p"), node="n2"),
        ),
        id="release of a Pod that another node has",
    ),
    pytest.param(
        _Case(
            refused=_of_node_n1(_reserve(_pod("q"))),
            token=_N1,
            asks=_reserve(_pod("q")),
            leaves=(1, 2, 3, 4),
        ),
        id="reserve for a Pod",
    ),
    pytest.param(
        _Case(
            refused=(
                _Refused(
                    token=_N2,
                    asks=_reserve(_pod("q"), node="n2"),
                    saying="is bound to n1, not to node n2",
                ),
                _Refused(
                    token=_N2,
                    asks=_reserve(_pod("q"), node="n2", via_fakeipam=True),
                    saying="is bound to n1, not to node n2",
                ),
                _Refused(
                    token=_N2,
                    asks=_reserve(
                        PodOwnerMessage(namespace=NAMESPACE, name="r", uid="uid-p"), node="n2"
                    ),
                    saying="was replaced by another one",
                    status=HTTPStatus.NOT_FOUND,
                ),
            ),
            token=_N2,
            asks=_reserve(_pod("r"), node="n2"),
            leaves=(1, 2, 3, 4),
        ),
        id="reserve for a Pod of another node under one's own",
    ),
    pytest.param(
        _Case(
            refused=(
                *_of_node_n1(_reserve(_pod("q"), via_fakeipam=True)),
                _Refused(
                    token=_N1,
                    asks=_reserve(_pod("q"), network="other"),
                    saying="does not ask for such an attachment",
                ),
                _Refused(
                    token=_N1,
                    asks=_reserve(_pod("q"), network="other", via_fakeipam=True),
                    saying="does not admit fakeipam",
                ),
            ),
            token=_N1,
            asks=_reserve(_pod("q"), via_fakeipam=True),
            leaves=(1, 2, 3, 4),
        ),
        id="reserve for a Pod through fakeipam",
    ),
    pytest.param(
        _Case(
            refused=(
                *_of_node_n1(_reserve(_OTHER_CONTAINER, via_fakeipam=True)),
                _Refused(
                    token=_N1, asks=_reserve(_OTHER_CONTAINER), saying="through fakeipam only"
                ),
            ),
            token=_N1,
            asks=_reserve(_OTHER_CONTAINER, via_fakeipam=True),
            leaves=(1, 2, 3, 4),
        ),
        id="reserve for a container",
    ),
    pytest.param(
        _Case(
            refused=(
                _Refused(
                    token=_N1,
                    asks=_reserve(_SCANNER),
                    saying=_NOT_A_NODES,
                ),
                _Refused(
                    token="user-no.create",
                    asks=_reserve(_SCANNER),
                    saying='needs the verb "create"',
                ),
            ),
            token=_JANE,
            asks=_reserve(_SCANNER),
            leaves=(1, 2, 3, 4),
        ),
        id="reserve for an external owner",
    ),
    pytest.param(
        _Case(
            refused=(
                _Refused(token=_N2, asks=_NODE_LIST, saying=_OTHER_NODE),
                _Refused(token=_NODELESS, asks=_NODE_LIST, saying=_NO_NODE),
                _Refused(token="user-no.list", asks=_NODE_LIST, saying="in all namespaces"),
                _Refused(token=_LOCAL, asks=_NODE_LIST, saying="in all namespaces"),
            ),
            token=_N1,
            asks=_NODE_LIST,
        ),
        id="list of a node",
    ),
    pytest.param(
        _Case(
            refused=(
                _Refused(token="user-no.list", asks=_NETWORK_LIST, saying='needs the verb "list"'),
            ),
            token=_LOCAL,
            asks=_NETWORK_LIST,
        ),
        id="list of a network",
    ),
    pytest.param(
        _Case(
            refused=(
                _Refused(token="user-no.get", asks=_ONE, saying='needs the verb "get"'),
                _Refused(token="user-no.get", asks=_USAGE, saying='needs the verb "get"'),
            ),
            token="user-no.list",
            asks=_ONE,
        ),
        id="look-up of one address",
    ),
]


@pytest.mark.parametrize("case", _CASES)
async def test_only_those_may_whose_it_is(case: _Case) -> None:
    """Everybody else is refused by a sentence that says why, and changes nothing."""
    # DESIGN, "Who may", "Nodes fence"; SPEC F2, I3
    cluster = Cluster()
    async with running(cluster.kube) as service:
        await _prepare(cluster, service)
        before = cluster.blocks()
        for each in case.refused:
            status, detail = await _ask(service, each.token, each.asks)
            assert (status, each.saying in detail) == (each.status, True), detail
            assert cluster.blocks() == before
        assert await _ask(service, case.token, case.asks) == (HTTPStatus.OK, "")
        assert _held(cluster) == case.leaves
