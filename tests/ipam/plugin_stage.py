"""What the tests of fakeipam under real plugins share: a node, DanmNets and configurations."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from tests.ipam.cluster import Cluster, eventually
from tests.ipam.plugin_node import PARENT, Container, PluginNode, node_network
from tests.lab.apiserver import ApiServer
from tests.lab.kinds import install_kinds_on
from tests.lab.kube_objects import NAMESPACES

CIDR: Final = "10.9.0.0/24"
GATEWAY: Final = "10.9.0.254"
_NET6: Final = "2001:db8:9::/64"
_POOL6: Final = {"start": "2001:db8:9::100", "end": "2001:db8:9::1ff"}


def bridge(
    version: str = "1.0.0", *, network: str = "lan", **ipam: Any  # noqa: ANN401  (JSON values)
) -> dict[str, Any]:
    """Return a configuration of the bridge plugin."""
    return {
        "cniVersion": version,
        "name": "by-bridge",
        "type": "bridge",
        "bridge": "cni0",
        "ipam": {"type": "fakeipam", "network": network, **ipam},
    }


def macvlan(version: str = "1.0.0", *, network: str = "lan") -> dict[str, Any]:
    """Return a configuration of the macvlan plugin."""
    return {
        "cniVersion": version,
        "name": "by-macvlan",
        "type": "macvlan",
        "master": PARENT,
        "mode": "bridge",
        "ipam": {"type": "fakeipam", "network": network},
    }


@contextmanager
def joined_node(directory: Path) -> Iterator[PluginNode]:
    """Have an API server, and a node with ipam-svc and danmd, in a network of their own."""
    with node_network(), ApiServer.start(directory) as server:
        node = asyncio.run(_join(server, directory))
        try:
            node.start_what_ended()
            yield node
        finally:
            node.leave()


async def _join(server: ApiServer, directory: Path) -> PluginNode:
    await install_kinds_on(server)
    async with await KubeClient.connect(server.kubeconfig) as api:
        cluster = Cluster(server=server, api=api, namespace=SYSTEM_NAMESPACE)
        await cluster.create(NAMESPACES, {"metadata": {"name": SYSTEM_NAMESPACE}})
        return await PluginNode.join(cluster, directory / "node")


@asynccontextmanager
async def with_networks(joined: PluginNode) -> AsyncIterator[PluginNode]:
    """Have a namespace with three DanmNets; no container is left in the end."""
    async with await KubeClient.connect(joined.cluster.server.kubeconfig) as api:
        cluster = Cluster(
            server=joined.cluster.server, api=api, namespace=f"test-{uuid4().hex[:8]}"
        )
        joined.cluster = cluster
        await cluster.create(NAMESPACES, {"metadata": {"name": cluster.namespace}})
        await cluster.add_network("lan", cidr=CIDR, fakeipam=True, routes={"192.0.2.0/24": GATEWAY})
        await cluster.add_network("six", net6=_NET6, allocation_pool6=_POOL6, fakeipam=True)
        await cluster.add_network(
            "dual", cidr=CIDR, net6=_NET6, allocation_pool6=_POOL6, fakeipam=True
        )
        joined.start_what_ended()
        yield joined
        for container in tuple(joined.containers):
            joined.end_container(container)


async def nothing_is_held(node: PluginNode, *, within_s: float = 25) -> None:
    """Wait until no address is held: danmd compares every 10 s."""

    async def is_empty() -> bool:
        return await node.held() == []

    await eventually(is_empty, within_s=within_s)


def uid_of(container: Container) -> str:
    """Return the uid of a container's Pod."""
    assert container.pod is not None
    return str(container.pod["metadata"]["uid"])
