"""ipam-svc on a real API server: what the fake one could not tell."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from uuid import uuid4

import aiohttp
import pytest

from danm_api.errors import (
    AccessDeniedError,
    NetworkNotReadyError,
    NotFoundError,
    PoolExhaustedError,
    UnauthenticatedError,
)
from danm_api.ipam_api import (
    AttachmentRequest,
    ExternalOwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    ReserveRequest,
)
from danm_api.kube.api import (
    DANMIPBLOCKS,
    DANMNETS,
    NODES,
)
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.operations import METRICS_PATH
from tests.ipam.cluster import Cluster, a_cluster, eventually, soon
from tests.lab.apiserver import ApiServer

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with DANM's kinds and two replicas."""
    async with a_cluster(server) as made:
        yield made


async def test_external_owner_with_a_real_token(cluster: Cluster) -> None:
    """A tool with a Role reserves, lists and releases; one without is told which Role it lacks."""
    # SPEC I3
    await cluster.add_network("net", cidr="10.0.0.0/24", net6="2001:db8::/64")
    token = await cluster.token("tool", namespace=cluster.namespace)
    async with cluster.client(token) as client:
        with pytest.raises(AccessDeniedError, match="danmnets/reservations"):
            await cluster.reserve(client, "printer", "net")
    async with cluster.client(cluster.server.token) as stranger:
        with pytest.raises(UnauthenticatedError):
            await cluster.reserve(stranger, "printer", "net")
    await cluster.allow("other", namespace=cluster.namespace)
    token = await cluster.token("other", namespace=cluster.namespace)
    async with cluster.client(token) as client:
        answer = await cluster.reserve(client, "printer", "net", ip6="dynamic")
        (got,) = answer.attachments
        assert (got.ip, got.ip6) == ("10.0.0.1/24", "2001:db8::f816:3eff:fe00:1/64")
        listed = await client.network_reservations(cluster.namespace, "net", deadline=soon())
        assert [each.address for each in listed.items] == [
            "10.0.0.1",
            "2001:db8::f816:3eff:fe00:1",
        ]
        gone = await client.release(
            ReleaseRequest(
                owner=ExternalOwnerMessage(namespace=cluster.namespace, name="printer"),
                attempt=answer.attempt,
                networks=["net"],
            ),
            deadline=soon(),
        )
        assert len(gone.released) == 2
        assert await cluster.held() == []


async def test_danmd_with_a_token_bound_to_its_pod(cluster: Cluster) -> None:
    """The API server's node claim holds danmd to the Pods of its node."""
    # DESIGN, "Who may"
    await cluster.add_network("net", cidr="10.0.0.0/24")
    await cluster.allow("danm-cni", namespace=SYSTEM_NAMESPACE)
    await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE)
    node = f"node-{uuid4().hex[:5]}"
    await cluster.create(NODES, {"metadata": {"name": node}})
    danmd = await cluster.run_pod(
        f"danm-{node}", node=node, namespace=SYSTEM_NAMESPACE, account="danm-cni"
    )
    token = await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=danmd)
    pods = {
        name: await cluster.run_pod(
            name, node=where, annotation='[{"network": "net", "ip": "dynamic"}]'
        )
        for name, where in (("mine", node), ("other", "elsewhere"))
    }

    def request(name: str, where: str) -> ReserveRequest:
        return ReserveRequest(
            owner=PodOwnerMessage(
                namespace=cluster.namespace, name=name, uid=pods[name]["metadata"]["uid"]
            ),
            node=where,
            attempt=1,
            attachments=[AttachmentRequest(network="net", interface="eth0", ip="dynamic")],
        )

    async with cluster.client(token) as client:
        for name, where in (("other", node), ("other", "elsewhere")):
            with pytest.raises(AccessDeniedError):
                await client.reserve(
                    request(name, where), deadline=soon(), next_attempt=cluster.next_attempt
                )
        answer = await client.reserve(
            request("mine", node), deadline=soon(), next_attempt=cluster.next_attempt
        )
        assert answer.attachments[0].ip == "10.0.0.1/24"
        entries = await client.node_reservations(node, deadline=soon())
        assert [each.owner for each in entries.items] == [request("mine", node).owner]
        assert await client.node_reservations(node, deadline=soon()) == entries
    # The Lease holder frees what a node that is gone has held (DESIGN, "Nodes fence").
    await cluster.api.delete(NODES, node)
    await eventually(lambda: _is_empty(cluster))


async def _is_empty(cluster: Cluster) -> bool:
    return await cluster.held() == []


async def test_metrics_with_the_token_that_prometheus_has(cluster: Cluster) -> None:
    """A role on the path lets a Pod's usual token read them; nothing else does."""
    # DESIGN, "Who may"
    usual = await cluster.token("prometheus", namespace=cluster.namespace, audience="")
    ours = await cluster.token("prometheus", namespace=cluster.namespace)
    endpoint, _ = cluster.endpoints

    async def status(token: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session:
            answer = await session.get(
                f"https://{endpoint}{METRICS_PATH}",
                headers={"Authorization": f"Bearer {token}"},
                ssl=ssl.create_default_context(cadata=cluster.trust),
            )
            return answer.status, await answer.text()

    assert (await status(ours))[0] == HTTPStatus.UNAUTHORIZED
    # Who was refused is known for a while: the role comes first.
    await cluster.allow_path("prometheus", METRICS_PATH)
    code, page = await status(usual)
    assert code == HTTPStatus.OK
    assert "danm_ipam_connections" in page
    other = await cluster.token("other", namespace=cluster.namespace, audience="")
    code, problem = await status(other)
    assert code == HTTPStatus.FORBIDDEN
    assert "bind a ClusterRole" in problem


async def test_life_and_death_of_a_network(cluster: Cluster) -> None:
    """A DanmNet in use stays and says by whom; when the last address is free, it goes."""
    # SPEC A4, A5
    await cluster.add_network("net", cidr="10.0.0.0/24")
    await cluster.allow("tool", namespace=cluster.namespace)
    token = await cluster.token("tool", namespace=cluster.namespace)

    async def is_counted() -> bool:
        usage = (await cluster.network("net")).status.ipv4
        return usage is not None and (usage.used, usage.ranges) == (1, "10.0.0.1")

    async def says_in_use() -> bool:
        condition = (await cluster.network("net")).status.condition("InUse")
        return condition is not None and "ns" in condition.message

    async def is_gone() -> bool:
        try:
            await cluster.network("net")
        except NotFoundError:
            return True
        return False

    async with cluster.client(token) as client:
        answer = await cluster.reserve(client, "ns-printer", "net")
        await eventually(is_counted)
        assert (await cluster.network("net")).finalizers == ("danm.k8s.io/in-use",)
        await cluster.api.delete(DANMNETS, "net", namespace=cluster.namespace)
        await eventually(says_in_use)
        with pytest.raises(NetworkNotReadyError):
            await cluster.reserve(client, "late", "net")
        await client.release(
            ReleaseRequest(
                owner=ExternalOwnerMessage(namespace=cluster.namespace, name="ns-printer"),
                attempt=answer.attempt,
                networks=["net"],
            ),
            deadline=soon(),
        )
    await eventually(is_gone)
    listed = await cluster.api.list(DANMIPBLOCKS, namespace=cluster.namespace)
    assert listed.items == []


async def test_exact_fit_through_two_replicas(cluster: Cluster) -> None:
    """A pool that spans blocks is filled to its last address by callers at once."""
    # DESIGN P1, P4
    pool = {"start": "10.0.0.60", "end": "10.0.1.3"}
    await cluster.add_network("net", cidr="10.0.0.0/22", allocation_pool=pool)
    await cluster.allow("tool", namespace=cluster.namespace)
    token = await cluster.token("tool", namespace=cluster.namespace)
    one, two = (cluster.client(token, only=endpoint) for endpoint in cluster.endpoints)
    async with one, two:
        answers = await asyncio.gather(
            *(cluster.reserve((one, two)[i % 2], f"o{i}", "net") for i in range(200))
        )
        assert len({answer.attachments[0].ip for answer in answers}) == 200
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(one, "late", "net")
        assert len(await cluster.held()) == 200
