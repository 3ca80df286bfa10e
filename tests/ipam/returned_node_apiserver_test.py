"""A node that was declared lost comes back: its Pods were made anew elsewhere meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from danm_api.ipam_api import ReserveAnswer
from danm_api.kube.api import DANMEPS, EVENTS, NODES, PODS, RawObject
from danm_api.model.ip_block import ExternalOwner, PodOwner
from tests.ipam.cluster import Cluster, a_cluster, eventually
from tests.ipam.danmd import Danmd
from tests.ipam.node import Node
from tests.lab.apiserver import ApiServer

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_OUT_OF_SERVICE = {
    "key": "node.kubernetes.io/out-of-service",
    "value": "nodeshutdown",
    "effect": "NoExecute",
}
_ASKED = '[{"network": "net", "ip": "dynamic"}]'
# As kubelet names a static Pod; its object is a mirror with another UID.
_STATIC_UID = "0d1f2a7f6c1b4a5d9e8f7a6b5c4d3e2f"


@pytest.fixture()
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """Start an API server."""
    with ApiServer.start(tmp_path) as running:
        yield running


async def test_it_takes_down_what_it_no_longer_holds(server: ApiServer, tmp_path: Path) -> None:
    """Interfaces of Pods that are gone go, and the next owners keep their addresses.

    A Pod that is still there gets its own back, and so does a static one once it has its mirror.
    """
    # DESIGN P1, P3, "Nodes fence"
    async with a_cluster(server) as cluster:
        node = await Node.join(cluster)
        await cluster.allow("tool", namespace=cluster.namespace)
        tool = cluster.client(await cluster.token("tool", namespace=cluster.namespace))
        await cluster.add_network("net", cidr="10.0.0.0/24", host_device="ens3")
        uids = {name: await _create_pod(cluster, node, name) for name in ("a", "b", "stays")}
        await _create_mirror(cluster, node)
        danmd = Danmd(tmp_path / "node", cluster.api, node.client, node=node.name)

        async def successor(name: str, ip: str) -> ReserveAnswer:
            return await cluster.reserve(tool, name, "net", ip=f"{ip}/24")

        async with danmd.running(), node.client, tool:
            for name, uid in (uids | {"static": _STATIC_UID}).items():
                await danmd.add(cluster.namespace, name, uid)
            everything = {f"10.0.0.{number}" for number in range(1, 5)}
            assert danmd.addresses() == everything
            # The node is cut off: danmd compares nothing.
            await _taint(cluster, node, [_OUT_OF_SERVICE])
            await eventually(lambda: _has_nothing(cluster), within_s=30)
            for name in ("a", "b", "static"):
                await _delete_pod(cluster, name)
            await successor("next-a", "10.0.0.1")
            await _taint(cluster, node, [])

            async def is_down() -> bool:
                await danmd.daemon.upkeep.compare()
                return danmd.addresses() == {"10.0.0.3", "10.0.0.4"}

            # The replica that answers may not have seen yet that the entries are gone.
            await eventually(is_down)
            await successor("next-b", "10.0.0.2")
            await _create_mirror(cluster, node)

            async def is_settled() -> bool:
                await danmd.daemon.upkeep.compare()
                return {str(each.address) for each in await cluster.held()} == everything

            await eventually(is_settled)
            assert danmd.addresses() == {"10.0.0.3", "10.0.0.4"}
            assert await _owners(cluster) == {
                "10.0.0.1": "next-a",
                "10.0.0.2": "next-b",
                "10.0.0.3": uids["stays"],
                "10.0.0.4": _STATIC_UID,
            }
            claimed = " ".join(await _notes(cluster, "ClaimedAddress"))
            assert f"10.0.0.3 of {cluster.namespace}/stays" in claimed
            lost = " ".join(await _notes(cluster, "AddressLost"))
            for address, pod in (("10.0.0.1", "a"), ("10.0.0.2", "b")):
                assert f"{address} of {cluster.namespace}/{pod} (interface eth0)" in lost


async def _create_pod(cluster: Cluster, node: Node, name: str) -> str:
    raw = await cluster.run_pod(name, node=node.name, annotation=_ASKED)
    return str(raw["metadata"]["uid"])


async def _create_mirror(cluster: Cluster, node: Node) -> None:
    annotations = {"kubernetes.io/config.mirror": _STATIC_UID, "danm.k8s.io/interfaces": _ASKED}
    spec = {
        "containers": [{"name": "c", "image": "none"}],
        "nodeName": node.name,
        "automountServiceAccountToken": False,
    }
    await cluster.create(
        PODS, {"metadata": {"name": "static", "annotations": annotations}, "spec": spec}
    )


async def _delete_pod(cluster: Cluster, name: str) -> None:
    cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0")


async def _taint(cluster: Cluster, node: Node, taints: list[RawObject]) -> None:
    await cluster.api.patch(NODES, node.name, {"spec": {"taints": taints}})


async def _has_nothing(cluster: Cluster) -> bool:
    endpoints = await cluster.api.list(DANMEPS, namespace=cluster.namespace)
    return not endpoints.items and not await cluster.held()


async def _owners(cluster: Cluster) -> dict[str, str]:
    found = {}
    for each in await cluster.held():
        match each.owner:
            case PodOwner(uid=uid):
                found[str(each.address)] = str(uid)
            case ExternalOwner(name=name):
                found[str(each.address)] = name
    return found


async def _notes(cluster: Cluster, reason: str) -> list[str]:
    events = await cluster.api.list(EVENTS, namespace=cluster.namespace)
    return [raw["note"] for raw in events.items if raw["reason"] == reason]
