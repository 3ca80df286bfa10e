"""An etcd that was restored from a backup has forgotten what it said since; the nodes have not."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from danm_api.kube.api import DANMEPS, EVENTS
from tests.ipam.cluster import Cluster, a_cluster, eventually
from tests.ipam.controllers import cached_binaries
from tests.ipam.danmd import Danmd
from tests.ipam.node import Node
from tests.lab.apiserver import LOOPBACK, ApiServer, Place, free_ports
from tests.lab.process import start_leashed

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


@dataclass(slots=True, kw_only=True)
class Etcd:
    """An API server whose etcd can be saved and restored."""

    directory: Path
    place: Place
    server: ApiServer

    @classmethod
    def start(cls, directory: Path) -> "Etcd":
        """Start one."""
        port, etcd_port, etcd_peer_port = free_ports(3)
        place = Place(
            address=LOOPBACK,
            port=port,
            etcd_port=etcd_port,
            etcd_peer_port=etcd_peer_port,
            start=start_leashed,
            connect=lambda host, port: socket.create_connection((host, port), 2),
            for_cluster=False,
        )
        server = ApiServer.start_at(place, directory, binaries=cached_binaries())
        return cls(directory=directory, place=place, server=server)

    def save(self) -> None:
        """Make a backup of etcd; the API server is away meanwhile."""
        self.server.stop()
        shutil.copytree(self.directory / "etcd", self.directory / "backup")
        self._start()

    def restore(self) -> None:
        """Put the backup in the place of what etcd knows."""
        self.server.stop()
        shutil.rmtree(self.directory / "etcd")
        shutil.copytree(self.directory / "backup", self.directory / "etcd")
        self._start()

    def _start(self) -> None:
        self.server = ApiServer.start_at(
            self.place, self.directory, binaries=cached_binaries(), trust=self.server.trust
        )


@pytest.fixture()
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    """Start an API server and its etcd."""
    running = Etcd.start(tmp_path)
    try:
        yield running
    finally:
        running.server.stop()


async def test_nodes_claim_again_what_etcd_has_forgotten(etcd: Etcd, tmp_path: Path) -> None:
    """Live interfaces get their addresses back; one that somebody else has by now goes down."""
    # DESIGN P1, P3, "Nodes fence"
    async with a_cluster(etcd.server) as cluster:
        node = await Node.join(cluster)
        await cluster.allow("tool", namespace=cluster.namespace)
        tool = cluster.client(await cluster.token("tool", namespace=cluster.namespace))
        await cluster.add_network("net", cidr="10.0.0.0/24", host_device="ens3")
        uids = {name: await _create_pod(cluster, node, name) for name in "abc"}
        danmd = Danmd(tmp_path / "node", cluster.api, node.client, node=node.name)
        async with danmd.running(), node.client, tool:
            assert await danmd.add(cluster.namespace, "a", uids["a"]) == "10.0.0.1"
            etcd.save()
            assert await danmd.add(cluster.namespace, "b", uids["b"]) == "10.0.0.2"
            assert await danmd.add(cluster.namespace, "c", uids["c"]) == "10.0.0.3"
            etcd.restore()
            assert await _held(cluster) == {"10.0.0.1"}
            await cluster.reserve(tool, "thief", "net", ip="10.0.0.3/24")

            async def is_claimed() -> bool:
                await danmd.daemon.upkeep.compare()
                return await _held(cluster) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}

            await eventually(is_claimed, within_s=60)
            await eventually(lambda: _is_told(cluster))

            async def is_found() -> bool:
                # The watch of DanmEps may see what was restored later than that of addresses.
                await danmd.daemon.upkeep.compare()
                return await _have_endpoints(cluster, {"a", "b"})

            # Services find Pods by their DanmEps.
            await eventually(is_found, within_s=60)
            assert danmd.addresses() == {"10.0.0.1", "10.0.0.2"}
            # What comes next is not what any of them has.
            answer = await cluster.reserve(tool, "next", "net")
            assert answer.attachments[0].ip == "10.0.0.4/24"


async def _create_pod(cluster: Cluster, node: Node, name: str) -> str:
    annotation = '[{"network": "net", "ip": "dynamic"}]'
    raw = await cluster.run_pod(name, node=node.name, annotation=annotation)
    return str(raw["metadata"]["uid"])


async def _held(cluster: Cluster) -> set[str]:
    return {str(each.address) for each in await cluster.held()}


async def _have_endpoints(cluster: Cluster, pods: set[str]) -> bool:
    found = await cluster.api.list(DANMEPS, namespace=cluster.namespace)
    return {raw["spec"]["Pod"] for raw in found.items} == pods


async def _is_told(cluster: Cluster) -> bool:
    events = await cluster.api.list(EVENTS, namespace=cluster.namespace)
    return any(
        raw["reason"] == "AddressLost" and raw["regarding"]["name"] == "c" for raw in events.items
    )
