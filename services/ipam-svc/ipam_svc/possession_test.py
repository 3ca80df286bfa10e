"""What a node may claim for its Pods, whatever they ask for by now."""

import asyncio
from datetime import timedelta

import pytest

from danm_api.errors import (
    AccessDeniedError,
    AddressTakenError,
    ApiUnavailableError,
    DanmError,
    InvalidAttachmentError,
    PodNotFoundError,
    RateLimitedError,
)
from danm_api.ipam_api import (
    AttachmentRequest,
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    ReserveRequest,
)
from danm_api.kube.api import DANMIPBLOCKS, PODS
from danm_api.model.caller import Caller
from danm_api.names import NodeName
from danm_api.record.entries import CLOCK_SKEW
from ipam_svc.access import Access
from ipam_svc.limits import Rate
from ipam_svc.orders import reserve_order
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod

_DANMD = Caller(username="danmd", uid="", groups=(), node=NodeName("n1"))
_ASKS = '[{"network": "net", "ip": "dynamic"}]'
_CLAIM = attachment(interface="old", ip="10.0.0.5/24")


class _Node:
    """A node with a Pod that has lost its entry, and a replica that it asks."""

    def __init__(self, cluster: Cluster, replica: Replica, *, burst: int = 1000) -> None:
        self.cluster = cluster
        self.replica = replica
        self.access = Access(
            cluster.kube,
            networks=replica.networks,
            possessions=replica.possessions,
            danmd_user=_DANMD.username,
            reviews=Rate(per_s=1000, burst=burst),
            clock=cluster.clock.monotonic,
        )

    def add_pod(self, annotation: str) -> None:
        metadata = {
            "name": "p",
            "namespace": NAMESPACE,
            "uid": "uid-p",
            "annotations": {"danm.k8s.io/interfaces": annotation},
        }
        self.cluster.kube.add(PODS, {"metadata": metadata, "spec": {"nodeName": "n1"}})

    async def claim(
        self,
        *wanted: AttachmentRequest,
        owner: OwnerMessage | None = None,
        via_fakeipam: bool = False,
    ) -> None:
        """Ask as danmd does; what is granted is held then."""
        order = reserve_order(
            ReserveRequest(
                owner=owner or pod("p"),
                node="n1",
                attempt=self.cluster.next_attempt(),
                attachments=list(wanted),
                via_fakeipam=via_fakeipam,
            )
        )
        await self.access.may_reserve(_DANMD, order)
        await self.replica.reservations.reserve(order)


def _cluster(*, prefix: str = "") -> Cluster:
    cluster = Cluster()
    cluster.add_network(
        cidr="10.0.0.0/24",
        allocation_pool={"start": "10.0.0.1", "end": "10.0.0.63"},
        exclude=["10.0.0.3/32"],
        container_prefix=prefix,
    )
    return cluster


_EDITED = [
    pytest.param(_ASKS, id="another prefix"),
    pytest.param('[{"network": "net", "ip": "10.0.0.9/24"}]', id="another address"),
]
_ELSEWHERE = '[{"network": "other", "ip": "dynamic"}]'
_UNREADABLE = "[{"


@pytest.mark.parametrize("annotation", _EDITED)
async def test_a_live_pod_keeps_its_address_whatever_was_edited(annotation: str) -> None:
    """Nobody has it, and the Pod asks for an interface on the network, so it stays the Pod's."""
    # DESIGN P3, "Nodes fence"
    cluster = _cluster(prefix="new")
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica)
        node.add_pod(annotation)
        await node.claim(_CLAIM)
        await node.claim(_CLAIM)
        assert [(str(each.address), each.attempt) for each in cluster.held()] == [("10.0.0.5", 2)]


@pytest.mark.parametrize(
    "annotation",
    [
        *_EDITED,
        pytest.param(_ELSEWHERE, id="elsewhere"),
        pytest.param(_UNREADABLE, id="unreadable"),
    ],
)
async def test_what_somebody_else_has_by_now_is_taken(annotation: str) -> None:
    """So its interface goes down: else two would have the address for as long as both live."""
    # DESIGN P1
    cluster = _cluster(prefix="new")
    async with cluster.running() as (other,), cluster.frozen_watch() as replica:
        node = _Node(cluster, replica)
        node.add_pod(annotation)
        await cluster.reserve(other, pod("q"), attachment(ip="10.0.0.5/24"), node="n2")
        with pytest.raises(AddressTakenError) as caught:
            await node.claim(_CLAIM)
        # By whom is not the business of a node whose Pod does not ask for it.
        assert caught.value.reason == "10.0.0.5 of DanmNet ns/net is somebody else's by now"


@pytest.mark.parametrize(
    ("annotation", "error"),
    [
        pytest.param(_ELSEWHERE, AccessDeniedError, id="elsewhere"),
        pytest.param(_UNREADABLE, InvalidAttachmentError, id="unreadable"),
    ],
)
async def test_a_pod_that_asks_for_nothing_there_keeps_only_what_the_record_has(
    annotation: str, error: type[DanmError]
) -> None:
    """For all else there would be the node's word alone, on networks that are none of its Pods'."""
    # DESIGN, "A rooted node"
    cluster = _cluster(prefix="new")
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica)
        node.add_pod(annotation)
        with pytest.raises(error):
            await node.claim(_CLAIM)
        assert cluster.held() == []
        await cluster.reserve(replica, pod("p"), _CLAIM)
        await node.claim(_CLAIM)
        assert cluster.held()[0].attempt == 3
        with pytest.raises(error):
            await node.claim(attachment(interface="old"))


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(attachment(interface="x"), id="any"),
        pytest.param(attachment(interface="x", ip="10.0.0.64/24"), id="outside of the pool"),
        pytest.param(attachment(interface="x", ip="10.0.0.3/24"), id="excluded"),
        pytest.param(attachment("other", interface="x", ip="10.0.1.5/24"), id="other network"),
        pytest.param(attachment(interface="x", ip="none"), id="none"),
    ],
)
async def test_a_node_gets_nothing_else_on_its_word(wanted: AttachmentRequest) -> None:
    """What its Pods do not ask for is not made theirs by a claim."""
    # DESIGN, "A rooted node"
    cluster = _cluster()
    cluster.add_network("other", cidr="10.0.1.0/24", host_device="other")
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica)
        node.add_pod(_ASKS)
        with pytest.raises(AccessDeniedError):
            await node.claim(wanted)
        assert cluster.held() == []


async def test_a_node_gets_no_more_interfaces_than_its_pods_ask_for() -> None:
    """Under whatever names, one by one and all at once; when some go there is room again."""
    # DESIGN, "A rooted node"
    cluster = _cluster()
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica)
        node.add_pod('[{"network": "net", "ip": "dynamic"}, {"network": "net", "ip": "none"}]')
        wanted = [attachment(interface=f"x{i}", ip=f"10.0.0.{i}/24") for i in range(11, 19)]
        with pytest.raises(AccessDeniedError):
            await node.claim(*wanted)
        with pytest.raises(AccessDeniedError):
            await node.claim(attachment(), attachment(interface="eth1", ip="none"), wanted[0])
        assert cluster.held() == []
        cluster.clock.seconds += 60
        outcomes = await asyncio.gather(
            *(node.claim(each) for each in wanted), return_exceptions=True
        )
        assert sum(outcome is None for outcome in outcomes) == len(cluster.held()) == 2
        cluster.clock.seconds += 60
        with pytest.raises(AccessDeniedError):
            await node.claim(attachment(interface="y", ip="10.0.0.20/24"))
        gone = cluster.held()[0]
        await cluster.release(replica, pod("p"), attempt=gone.attempt)
        await node.claim(attachment(interface="y", ip="10.0.0.20/24"))
        assert len(cluster.held()) == 2


async def test_an_address_whose_owner_s_time_is_over_is_nobody_s() -> None:
    """A live Pod need not go for it."""
    # SPEC I3
    cluster = _cluster(prefix="new")
    expires = cluster.clock.now() + timedelta(seconds=5)
    external = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica)
        node.add_pod(_ASKS)
        static = attachment(interface="", ip="10.0.0.5/24")
        await cluster.reserve(replica, external, static, node="")
        cluster.clock.seconds += 5 + CLOCK_SKEW.total_seconds()
        await node.claim(_CLAIM)
        assert [each.owner.namespace for each in cluster.held()] == [NAMESPACE]
        assert cluster.held()[0].node == "n1"


async def test_what_a_network_gives_to_fakeipam_no_more_is_taken_all_the_same() -> None:
    """A container's address, too, may be somebody else's once the record has forgotten it."""
    # SPEC F2; DESIGN P1
    cluster = _cluster()
    owner = ContainerOwnerMessage(namespace=NAMESPACE, container_id="c")
    claim = attachment(ip="10.0.0.5/24")
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica)
        with pytest.raises(AccessDeniedError, match="does not admit fakeipam"):
            await node.claim(claim, owner=owner, via_fakeipam=True)
        await cluster.reserve(replica, pod("q"), claim, node="n2")
        with pytest.raises(AddressTakenError):
            await node.claim(claim, owner=owner, via_fakeipam=True)
        # Only for whom the node speaks.
        with pytest.raises(PodNotFoundError):
            await node.claim(claim, owner=pod("nobody"), via_fakeipam=True)


async def test_nothing_is_concluded_while_the_record_cannot_be_read() -> None:
    """The interface stays, and danmd asks again."""
    # DESIGN P3
    cluster = _cluster(prefix="new")
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica)
        node.add_pod(_ASKS)
        away = ApiUnavailableError("silent", status=0)
        cluster.kube.fail_next("list", DANMIPBLOCKS, away)
        with pytest.raises(ApiUnavailableError):
            await node.claim(_CLAIM)
        await node.claim(_CLAIM)
        assert cluster.addresses() == ["10.0.0.5"]


async def test_what_no_pod_asks_for_does_not_reach_the_api_server_for_ever() -> None:
    """A node that claims it again and again is stopped before anything is read."""
    # DESIGN P6, "A rooted node"
    cluster = _cluster()
    async with cluster.running() as (replica,):
        node = _Node(cluster, replica, burst=3)
        node.add_pod(_ASKS)
        for _ in range(5):
            await node.claim(attachment())
        with pytest.raises(AccessDeniedError):
            await node.claim(attachment(interface="x"))
        with pytest.raises(PodNotFoundError):
            await node.claim(attachment(), owner=pod("nobody"))
        container = ContainerOwnerMessage(namespace=NAMESPACE, container_id="c")
        with pytest.raises(AccessDeniedError, match="does not admit fakeipam"):
            await node.claim(_CLAIM, owner=container, via_fakeipam=True)
        read = _reads(cluster)
        for owner, via_fakeipam in ((pod("nobody"), False), (pod("p"), False), (container, True)):
            with pytest.raises(RateLimitedError, match="node n1 claims too much"):
                await node.claim(_CLAIM, owner=owner, via_fakeipam=via_fakeipam)
        assert _reads(cluster) == read
        cluster.clock.seconds += 1
        await node.claim(attachment())


def _reads(cluster: Cluster) -> tuple[int, int]:
    calls = cluster.kube.calls
    return calls["get", PODS.plural], calls["list", DANMIPBLOCKS.plural]
