"""With the rights that deploy/ gives to ipam-svc, its Lease holder and fsck do their work."""

import asyncio
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from danm_api.codec.ipam_report import decode_report
from danm_api.errors import ApiError, NotFoundError
from danm_api.ipam_api import AttachmentRequest, ExternalOwnerMessage, ReserveRequest
from danm_api.kube.api import (
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    DANMNODES,
    EVENTS,
    NODES,
    PODS,
    SECRETS,
    Resource,
)
from danm_api.kube.client import KubeClient
from danm_api.model.ipam_report import FindingKind, Outcome
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc import __main__ as program
from tests.ipam.cluster import Cluster, a_cluster, eventually, soon
from tests.ipam.node import Node
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import ipam_kubeconfig

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


async def _stored(cluster: Cluster, kind: Resource) -> list[str]:
    listed = await cluster.api.list(kind, namespace=cluster.namespace)
    return [raw["metadata"]["name"] for raw in listed.items]


async def _reasons(cluster: Cluster) -> set[str]:
    listed = await cluster.api.list(EVENTS, namespace=cluster.namespace)
    return {raw["reason"] for raw in listed.items}


async def _lend(cluster: Cluster, network: str) -> None:
    """Reserve for an external owner that does not need the address for long."""
    await cluster.allow("tool", namespace=cluster.namespace)
    owner = ExternalOwnerMessage(
        namespace=cluster.namespace,
        name="guest",
        expires=datetime.now(tz=UTC) + timedelta(seconds=1),
    )
    request = ReserveRequest(
        owner=owner,
        attempt=await cluster.next_attempt(0),
        attachments=[AttachmentRequest(network=network, interface="", ip="dynamic")],
    )
    token = await cluster.token("tool", namespace=cluster.namespace)
    async with cluster.client(token) as client:
        await client.reserve(request, deadline=soon(), next_attempt=cluster.next_attempt)


async def test_the_lease_holder_frees_what_is_dead_and_says_so(server: ApiServer) -> None:
    """What a lost node and an expired owner had; then the network may go."""
    # DESIGN P2, "Nodes fence"; SPEC A5, I4
    async with a_cluster(server) as cluster:
        await cluster.add_network("net", cidr="10.0.0.0/24")
        node = await Node.join(cluster)
        async with node.client:
            await node.start("a")
        await _lend(cluster, "net")
        assert len(await cluster.held()) == 2
        await cluster.api.delete(NODES, node.name)

        async def is_freed() -> bool:
            nothing_held = await cluster.held() == []
            return nothing_held and await _stored(cluster, DANMEPS) == []

        # The owner is given 10 s more than its expiry, and the scan comes every 5 s.
        await eventually(is_freed, within_s=60)
        await eventually(lambda: _says(cluster, {"FreedAddressOfLostNode", "FreedExpiredAddress"}))
        await cluster.api.delete(DANMNETS, "net", namespace=cluster.namespace)

        async def is_gone() -> bool:
            return [await _stored(cluster, kind) for kind in (DANMNETS, DANMIPBLOCKS)] == [[], []]

        await eventually(is_gone)


async def _says(cluster: Cluster, reasons: set[str]) -> bool:
    return reasons <= await _reasons(cluster)


async def test_fsck_repairs(server: ApiServer) -> None:
    """What is dead for sure goes while no replica runs: addresses, DanmEps and blocks."""
    # DESIGN P2, P7
    async with a_cluster(server) as cluster:
        await cluster.add_network("net", cidr="10.0.0.0/24")
        node = await Node.join(cluster)
        async with node.client:
            node.forget_object(await node.start("a"))

    async def fsck() -> list[tuple[FindingKind, Outcome]]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", program.__name__, "fsck", "--repair"),
            *("--between-looks=0", "--output=json"),
            f"--kubeconfig={await ipam_kubeconfig(server)}",
            env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        found = decode_report(output).findings
        return [(each.kind, each.outcome) for each in found if each.namespace == cluster.namespace]

    # Nobody leads any more.
    async with await KubeClient.connect(server.kubeconfig) as api:
        await api.delete(NODES, node.name)
        assert await fsck() == [
            (FindingKind.ADDRESS_WITHOUT_POD, Outcome.REPAIRED),
            (FindingKind.ENDPOINT_WITHOUT_POD, Outcome.REPAIRED),
        ]
        no_finalizer = {"metadata": {"finalizers": None}}
        await api.patch(DANMNETS, "net", no_finalizer, namespace=cluster.namespace)
        await api.delete(DANMNETS, "net", namespace=cluster.namespace)
        assert await fsck() == [(FindingKind.BLOCK_WITHOUT_NETWORK, Outcome.REPAIRED)]
        assert await fsck() == []
        for kind in (DANMEPS, DANMIPBLOCKS):
            assert (await api.list(kind, namespace=cluster.namespace)).items == []


async def test_what_it_does_not_need_is_refused(server: ApiServer) -> None:
    """Whoever has a replica's token reads no other Secret, and ends no Pod, node or network."""
    # DESIGN, "What every process has"
    async with await KubeClient.connect(await ipam_kubeconfig(server)) as api:
        for kind in (PODS, NODES, DANMNETS, DANMNODES):
            namespace = SYSTEM_NAMESPACE if kind.namespaced else None
            with pytest.raises(ApiError, match="cannot delete resource"):
                await api.delete(kind, "any", namespace=namespace)
        with pytest.raises(ApiError, match="cannot get resource"):
            await api.get(SECRETS, "any", namespace=SYSTEM_NAMESPACE)
        with pytest.raises(ApiError, match="cannot list resource"):
            await api.list(SECRETS, namespace=SYSTEM_NAMESPACE)
        # What it may is not refused.
        with pytest.raises(NotFoundError):
            await api.get(PODS, "any", namespace=SYSTEM_NAMESPACE)
