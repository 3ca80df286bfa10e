"""The whole service over HTTPS on loopback, with the client that danmd uses."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import REGISTRY

from danm_api.errors import (
    AccessDeniedError,
    ApiUnavailableError,
    InvalidRequestError,
    IpamUnavailableError,
    PodNotFoundError,
    PoolExhaustedError,
    UnauthenticatedError,
)
from danm_api.ipam_api import (
    CA_SECRET,
    AttachmentRequest,
    ExternalOwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    ReserveRequest,
    network_usage_path,
)
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import DANMIPBLOCKS, LEASES, PODS, SECRETS, RawObject
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.testing.hangs import HANGS_S
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually
from ipam_svc.testing.service import Service, running


def _soon() -> float:
    return time.monotonic() + 10


def _counter(start: int = 0) -> Callable[[int], Any]:
    async def next_attempt(above: int) -> int:
        nonlocal start
        start = max(start, above) + 1
        return start

    return next_attempt


def _add_pod(cluster: Cluster, name: str, annotation: str | None, *, node: str = "n1") -> None:
    annotations = {} if annotation is None else {"danm.k8s.io/interfaces": annotation}
    cluster.kube.add(
        PODS,
        {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": f"uid-{name}",
                "annotations": annotations,
            },
            "spec": {"nodeName": node},
        },
    )


def _reserve(
    name: str, *attachments: AttachmentRequest, node: str = "n1", attempt: int = 1
) -> ReserveRequest:
    owner = PodOwnerMessage(namespace=NAMESPACE, name=name, uid=f"uid-{name}")
    return ReserveRequest(owner=owner, node=node, attempt=attempt, attachments=list(attachments))


async def test_reserve_and_release_over_https() -> None:
    """A node's danmd reserves what its Pod asks, sees it among its entries, and gives it back."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_pod(cluster, "p", '[{"network": "net", "ip": "dynamic"}]')
    async with running(cluster.kube, 2) as service, service.client("danmd-n1") as client:
        answer = await client.reserve(
            _reserve("p", attachment()), deadline=_soon(), next_attempt=_counter()
        )
        assert [each.ip for each in answer.attachments] == ["10.0.0.1/24"]
        entries = await client.node_reservations("n1", deadline=_soon())
        assert [each.address for each in entries.items] == ["10.0.0.1"]
        again = await client.node_reservations("n1", deadline=_soon())
        assert again == entries
        release = ReleaseRequest(
            owner=PodOwnerMessage(namespace=NAMESPACE, name="p", uid="uid-p"),
            attempt=answer.attempt,
            networks=["net"],
            node="n1",
        )
        gone = await client.release(release, deadline=_soon())
        assert [each.address for each in gone.released] == ["10.0.0.1"]
        assert cluster.addresses() == []


@pytest.mark.parametrize(
    ("token", "request_", "error"),
    [
        pytest.param("bad", _reserve("p", attachment()), UnauthenticatedError, id="no token"),
        pytest.param(
            "danmd-n2", _reserve("p", attachment()), AccessDeniedError, id="other node's name"
        ),
        pytest.param(
            "danmd-n2",
            _reserve("p", attachment(), node="n2"),
            AccessDeniedError,
            id="other node's Pod",
        ),
        pytest.param("danmd-n1", _reserve("q", attachment()), PodNotFoundError, id="no such Pod"),
        pytest.param(
            "danmd-n1",
            _reserve("p", attachment(ip="10.0.0.7/24")),
            None,
            id="re-assertion in the pool",
        ),
        pytest.param(
            "danmd-n1",
            _reserve("p", attachment(ip="10.0.0.70/24")),
            AccessDeniedError,
            id="static outside the pool, not asked",
        ),
        pytest.param(
            "danmd-n1",
            _reserve("p", attachment(), attachment(interface="eth1")),
            AccessDeniedError,
            id="more than asked",
        ),
        pytest.param(
            "danmd-n1",
            _reserve("p", attachment(interface="eth7")),
            AccessDeniedError,
            id="interface of the node's own choice",
        ),
        pytest.param(
            "danmd-n1", _reserve("p", attachment("other")), AccessDeniedError, id="other network"
        ),
        pytest.param(
            "user-jane", _reserve("p", attachment()), AccessDeniedError, id="user for a Pod"
        ),
    ],
)
async def test_a_node_acts_for_its_own_pods_only(
    token: str, request_: ReserveRequest, error: type[Exception] | None
) -> None:
    """A token of one node reserves what that node's Pods ask, and nothing else."""
    # DESIGN, "Who may"
    cluster = Cluster()
    pool = {"start": "10.0.0.1", "end": "10.0.0.50"}
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=pool)
    cluster.add_network("other", cidr="10.0.1.0/24")
    _add_pod(cluster, "p", '[{"network": "net", "ip": "dynamic"}]')
    async with running(cluster.kube) as service, service.client(token) as client:
        if error is None:
            await client.reserve(request_, deadline=_soon(), next_attempt=_counter())
            assert cluster.addresses() == ["10.0.0.7"]
            return
        with pytest.raises(error):
            await client.reserve(request_, deadline=_soon(), next_attempt=_counter())
        assert cluster.addresses() == []


async def test_mirror_pod_of_another_node_takes_nothing_over() -> None:
    """A node that lets a mirror Pod bear another Pod's UID neither gets nor frees its address."""
    # DESIGN, "A rooted node must stay one node": kubelet may create mirror Pods of any UID.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_pod(cluster, "victim", '[{"network": "net", "ip": "dynamic"}]')
    forged = {"danm.k8s.io/interfaces": '[{"network": "net", "ip": "dynamic"}]'}
    forged["kubernetes.io/config.mirror"] = "uid-victim"
    cluster.kube.add(
        PODS,
        {
            "metadata": {"name": "forged", "namespace": NAMESPACE, "annotations": forged},
            "spec": {"nodeName": "n2"},
        },
    )
    request = _reserve("forged", attachment(), node="n2", attempt=99)
    forger = PodOwnerMessage(namespace=NAMESPACE, name="forged", uid="uid-victim")
    request = msgspec.structs.replace(request, owner=forger)
    async with running(cluster.kube) as service:
        async with service.client("danmd-n1") as client:
            await client.reserve(
                _reserve("victim", attachment()), deadline=_soon(), next_attempt=_counter()
            )
        async with service.client("danmd-n2") as client:
            answer = await client.reserve(request, deadline=_soon(), next_attempt=_counter())
            assert [each.ip for each in answer.attachments] == ["10.0.0.2/24"]
            release = ReleaseRequest(owner=forger, attempt=99, networks=["net"], node="n2")
            await client.release(release, deadline=_soon())
        # Nor does a large attempt shut the victim out.
        async with service.client("danmd-n1") as client:
            again = await client.reserve(
                _reserve("victim", attachment(), attempt=2),
                deadline=_soon(),
                next_attempt=_counter(),
            )
            assert [each.ip for each in again.attachments] == ["10.0.0.1/24"]
    assert [(entry.node, entry.attempt) for entry in cluster.held()] == [("n1", 2)]


async def test_pod_without_annotation_may_have_the_default_network() -> None:
    """A Pod that asks for nothing is given the DanmNet named default."""
    # SPEC B2
    cluster = Cluster()
    cluster.add_network("default", cidr="10.0.0.0/24")
    _add_pod(cluster, "p", None)
    async with running(cluster.kube) as service, service.client("danmd-n1") as client:
        await client.reserve(
            _reserve("p", attachment("default")), deadline=_soon(), next_attempt=_counter()
        )
        assert cluster.addresses() == ["10.0.0.1"]


async def test_only_health_is_open_to_everybody() -> None:
    """Without a token a process says whether it is well, and shows no metrics on either port."""
    # Decision 0014
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with (
        running(Cluster().kube, health_port=port) as service,
        aiohttp.ClientSession() as session,
    ):
        trust = ssl.create_default_context(cadata=service.trust())
        api = f"https://{service.endpoints[0]}"
        async with session.get(f"http://127.0.0.1:{port}/healthz") as well:
            assert well.status == HTTPStatus.OK
        async with session.get(f"http://127.0.0.1:{port}/metrics") as open_metrics:
            assert open_metrics.status == HTTPStatus.NOT_FOUND
        async with session.get(f"{api}/metrics", ssl=trust) as refused:
            assert refused.status == HTTPStatus.UNAUTHORIZED


async def test_permission_is_kubernetes_own() -> None:
    """What the authorizer refuses is refused, with the Role that is missing."""
    # SPEC I3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    asked: list[RawObject] = []

    def refuse(spec: RawObject) -> RawObject:
        asked.append(spec["resourceAttributes"])
        return {"allowed": False}

    cluster.kube.review_access = refuse
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="printer")
    request = ReserveRequest(owner=owner, attempt=1, attachments=[attachment(interface="")])
    async with running(cluster.kube) as service, service.client("user-jane") as client:
        with pytest.raises(AccessDeniedError, match='jane needs the verb "create"'):
            await client.reserve(request, deadline=_soon(), next_attempt=_counter())
    assert asked == [
        {
            "verb": "create",
            "group": "danm.k8s.io",
            "resource": "danmnets",
            "subresource": "reservations",
            "namespace": NAMESPACE,
        }
    ]


async def test_external_owner_reserves_lists_and_releases() -> None:
    """Another tool reserves by a name, sees who holds what and how full the network is."""
    # SPEC I2, I3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/30")
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="printer", reason="third floor")
    request = ReserveRequest(owner=owner, attempt=7, attachments=[attachment(interface="")])
    async with running(cluster.kube) as service, service.client("user-jane") as client:
        await client.reserve(request, deadline=_soon(), next_attempt=_counter())
        listed = await client.network_reservations(NAMESPACE, "net", deadline=_soon())
        assert [(each.address, each.owner) for each in listed.items] == [("10.0.0.1", owner)]
        usage = await client.usage(NAMESPACE, "net", deadline=_soon())
        assert usage.ipv4 is not None
        assert (usage.ipv4.total, usage.ipv4.used, usage.ipv4.free) == (2, 1, 1)
        release = ReleaseRequest(owner=owner, attempt=7, networks=["net"])
        assert len((await client.release(release, deadline=_soon())).released) == 1


async def test_refusals_come_back_as_the_same_errors() -> None:
    """A full pool and a malformed request raise in the client what the service raised."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/32")
    async with running(cluster.kube) as service, service.client("user-jane") as client:

        async def reserve(name: str, ip: str = "dynamic") -> None:
            owner = ExternalOwnerMessage(namespace=NAMESPACE, name=name)
            request = ReserveRequest(
                owner=owner, attempt=1, attachments=[attachment(interface="", ip=ip)]
            )
            await client.reserve(request, deadline=_soon(), next_attempt=_counter())

        await reserve("a")
        with pytest.raises(PoolExhaustedError):
            await reserve("b")
        with pytest.raises(InvalidRequestError) as caught:
            await reserve("c", ip="10.0.0.0")
        assert [each.field for each in caught.value.violations] == ["attachments[0].ip"]


async def test_client_goes_on_with_another_replica() -> None:
    """When a replica stops, the next request is answered by another one, with a new attempt."""
    # SPEC I1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_pod(cluster, "p", '[{"network": "net", "ip": "dynamic"}]')
    async with running(cluster.kube, 2) as service, service.client("danmd-n1") as client:
        request = _reserve("p", attachment())
        first = await client.reserve(request, deadline=_soon(), next_attempt=_counter())
        await service.stop(0)
        second = await client.reserve(
            _reserve("p", attachment(), attempt=2), deadline=_soon(), next_attempt=_counter(2)
        )
        assert first.attachments == second.attachments
        assert second.attempt == 3


async def test_a_replica_that_stops_serves_on_and_says_so() -> None:
    """Who still asks it is answered, told to go elsewhere, and finds the port closed later."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with running(cluster.kube, linger_s=0.5) as service, aiohttp.ClientSession() as session:
        trusted = ssl.create_default_context(cadata=service.trust())
        url = f"https://{service.endpoints[0]}{network_usage_path(NAMESPACE, 'net')}"

        async def connection() -> str | None:
            async with session.get(
                url, ssl=trusted, headers={"Authorization": "Bearer user-jane"}
            ) as response:
                assert response.status == HTTPStatus.OK
                return response.headers.get("Connection")

        assert await connection() is None
        stopped = service.begin_stop(0)
        async with asyncio.timeout(HANGS_S):
            while await connection() != "close":
                await asyncio.sleep(0)
        await stopped
        with pytest.raises(aiohttp.ClientConnectionError):
            await connection()


async def test_a_replica_that_stops_ends_what_it_has_begun() -> None:
    """A request that is under way when the port closes is answered: nobody has to repeat it."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="printer")
    request = ReserveRequest(owner=owner, attempt=7, attachments=[attachment(interface="")])
    async with running(cluster.kube) as service, service.client("user-jane") as client:
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        reserving = asyncio.create_task(
            client.reserve(request, deadline=_soon(), next_attempt=_counter(7))
        )
        await gate.reached.wait()
        stopped = service.begin_stop(0)
        async with asyncio.timeout(HANGS_S):
            while await _accepts(service.endpoints[0]):
                await asyncio.sleep(0)
        gate.open()
        assert (await reserving).attempt == request.attempt
        await stopped
    assert cluster.addresses() == ["10.0.0.1"]


async def _accepts(endpoint: str) -> bool:
    """Say whether somebody listens."""
    host, _, port = endpoint.partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_nobody_answers() -> None:
    """Without a replica the client says so at its deadline, and that it is worth a retry."""
    client = IpamClient(lambda: ["127.0.0.1:1"], lambda: "", lambda: "token")
    with pytest.raises(IpamUnavailableError) as caught:
        await client.usage("ns", "net", deadline=time.monotonic() + 0.3)
    assert caught.value.transient
    await client.close()


async def test_caller_that_hung_up_holds_nothing() -> None:
    """What a replica takes too late for its caller, who has hung up, it gives back by itself."""
    # DESIGN P2: so it is with requests that a frozen replica reads when it wakes up.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with running(cluster.kube) as service, service.client("user-jane") as client:

        async def reserve(name: str, within_s: float) -> None:
            owner = ExternalOwnerMessage(namespace=NAMESPACE, name=name)
            request = ReserveRequest(owner=owner, attempt=1, attachments=[attachment(interface="")])
            deadline = time.monotonic() + within_s
            await client.reserve(request, deadline=deadline, next_attempt=_counter(1))

        await reserve("first", 10)
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        with pytest.raises(IpamUnavailableError):
            await reserve("late", 0.3)
        await eventually(lambda: REGISTRY.get_sample_value("danm_ipam_requests_in_flight") == 0)
        gate.open()
        await eventually(lambda: len(cluster.addresses()) == 2)
        await eventually(lambda: cluster.addresses() == ["10.0.0.1"])


async def test_a_replica_says_when_it_has_read_the_record() -> None:
    """Once, each of them."""
    cluster = Cluster()
    async with running(cluster.kube, 2) as service:
        async with asyncio.timeout(10):
            while service.synced < 2:
                await asyncio.sleep(0.01)
        assert service.synced == 2


async def test_a_replica_that_cannot_read_the_record_leaves_the_lease_to_one_that_can() -> None:
    """It could neither free anything nor look after DanmNets."""
    # DESIGN P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    service = Service(cluster.kube)
    away = ApiUnavailableError("silent", status=0)
    cluster.kube.fail_next("list", DANMIPBLOCKS, away, times=1_000_000)
    starting = asyncio.create_task(service.start())
    try:
        await eventually(lambda: cluster.kube.calls["list", DANMIPBLOCKS.plural] > 1)
        assert cluster.kube.all_stored(LEASES) == []
        cluster.kube.fail_no_more()
        await starting
        assert len(cluster.kube.all_stored(LEASES)) == 1
    finally:
        await service.close()


async def test_trust_may_change_at_run_time() -> None:
    """When the authority is replaced, clients and replicas go on with the new one."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with running(cluster.kube) as service, service.client("user-jane") as client:
        await client.usage(NAMESPACE, "net", deadline=_soon())
        before = service.trust()
        await cluster.kube.delete(SECRETS, CA_SECRET, namespace=SYSTEM_NAMESPACE)
        await service.stop(0)
        await service.start()
        await eventually(lambda: service.trust() != before)
        await client.usage(NAMESPACE, "net", deadline=_soon())


async def test_lease_holder_keeps_summary_and_finalizer() -> None:
    """The DanmNet says how full it is, and is protected as soon as it is valid."""
    # SPEC A4, A5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with running(cluster.kube):
        await eventually(lambda: cluster.network().finalizers != ())
        await eventually(lambda: cluster.network().status.ipv4 is not None)
        usage = cluster.network().status.ipv4
        assert usage is not None
        assert (usage.total, usage.used, usage.free, usage.ranges) == (254, 0, 254, "")
