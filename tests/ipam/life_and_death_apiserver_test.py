"""A DanmNet that goes while Pods use it, in each of the ways that people delete things.

Each time: nothing is lost, nobody gets a live address, and all goes once the last Pod goes.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from danm_api.codec.ipam_report import decode_report
from danm_api.errors import (
    ConflictError,
    NetworkNotReadyError,
    NotFoundError,
    PoolExhaustedError,
)
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, DANMNETS, Resource
from danm_api.labels import DANMNET_FINALIZER
from danm_api.model.ipam_report import Finding, FindingKind, Outcome
from danm_api.names import NetworkUid
from ipam_svc import __main__ as program
from tests.ipam.cluster import Cluster, a_cluster, eventually
from tests.ipam.controllers import deletion_controllers
from tests.ipam.node import Node
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import ipam_kubeconfig
from tests.lab.kinds import install_kinds_on
from tests.lab.kube_objects import NAMESPACES

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# Six addresses, .1 to .6: a few Pods fill it.
_CIDR = "10.0.0.0/29"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server and the controllers that delete, for all tests of this file."""
    directory = tmp_path_factory.mktemp("apiserver")
    with ApiServer.start(directory) as running:
        # The controllers look for new kinds every 30 s only.
        asyncio.run(install_kinds_on(running))
        with deletion_controllers(running, directory):
            yield running


@pytest.fixture()
async def node(server: ApiServer) -> AsyncIterator[Node]:
    """Yield a node with two Pods on the DanmNet ``net``."""
    async with a_cluster(server) as cluster:
        node = await Node.join(cluster)
        async with node.client:
            await cluster.add_network("net", cidr=_CIDR)
            for name in ("a", "b"):
                await node.start(name)
            await eventually(lambda: _is_protected(cluster))
            yield node


async def _is_protected(cluster: Cluster) -> bool:
    return (await cluster.network("net")).finalizers == (DANMNET_FINALIZER,)


async def _is_unharmed(node: Node) -> bool:
    """Say whether the record has exactly the addresses of the Pods that run."""
    held = {(str(each.address), each.attempt) for each in await node.cluster.held()}
    return held == {(pod.ip, pod.attempt) for pod in node.pods}


async def _says_in_use(cluster: Cluster) -> bool:
    condition = (await cluster.network("net")).status.condition("InUse")
    return condition is not None and "10.0.0.1 of Pod" in condition.message


async def _is_gone(cluster: Cluster, kind: Resource, name: str = "net") -> bool:
    namespace = cluster.namespace if kind.namespaced else None
    try:
        await cluster.api.get(kind, name, namespace=namespace)
    except NotFoundError:
        return True
    return False


async def _nothing_left(cluster: Cluster) -> bool:
    blocks = await cluster.api.list(DANMIPBLOCKS, namespace=cluster.namespace)
    return await _is_gone(cluster, DANMNETS) and not blocks.items


async def _end_all(node: Node) -> None:
    """End the Pods one by one; until the last of them nothing goes but what is theirs."""
    while node.pods:
        assert await _is_unharmed(node)
        assert not await _is_gone(node.cluster, DANMNETS)
        await node.end(node.pods[0])


async def test_foreground_deletion(node: Node) -> None:
    """Whoever deletes in the foreground waits for the last Pod; no record is collected before."""
    # SPEC A5; DESIGN, "Blocks"
    cluster = node.cluster
    cluster.kubectl("delete", "dnet", "net", "--cascade=foreground", "--wait=false")
    await eventually(lambda: _says_in_use(cluster))
    # The garbage collector has been here, and found nothing to collect.
    await eventually(lambda: _is_protected(cluster), within_s=60)
    with pytest.raises(NetworkNotReadyError):
        await node.start("late")
    # A Pod whose sandbox is made anew keeps its address.
    await node.reserve(node.pods[0])
    assert node.pods[0].ip == "10.0.0.1"
    await _end_all(node)
    await eventually(lambda: _nothing_left(cluster))


async def test_deletion_and_creation_under_one_name(node: Node) -> None:
    """A DanmNet cannot be created anew while Pods use it; then it begins with nothing."""
    # SPEC A5
    cluster = node.cluster
    old = (await cluster.network("net")).uid
    cluster.kubectl("delete", "dnet", "net", "--wait=false")
    with pytest.raises(ConflictError):
        await cluster.add_network("net", cidr=_CIDR)
    await _end_all(node)
    await eventually(lambda: _nothing_left(cluster))
    await cluster.add_network("net", cidr=_CIDR)
    new = (await cluster.network("net")).uid
    assert new != old
    pod = await node.start("c")
    assert await _is_unharmed(node)
    assert pod.ip == "10.0.0.1"
    assert await _uids_of_blocks(cluster) == {new}


async def _uids_of_blocks(cluster: Cluster) -> set[NetworkUid]:
    listed = await cluster.api.list(DANMIPBLOCKS, namespace=cluster.namespace)
    return {NetworkUid(raw["spec"]["networkUID"]) for raw in listed.items}


async def test_namespace_deletion(node: Node) -> None:
    """A namespace goes when its addresses are free, although the Pods' objects went before."""
    # SPEC A5; DESIGN P3
    cluster = node.cluster
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
    # Kubernetes deletes the Pods first. With force they go while their interfaces still live.
    for pod in node.pods:
        node.forget_object(pod)

    async def is_emptied() -> bool:
        """Say whether the namespace's controller has deleted all that lets itself be deleted."""
        endpoints = await cluster.api.list(DANMEPS, namespace=cluster.namespace)
        blocks = await cluster.api.list(DANMIPBLOCKS, namespace=cluster.namespace)
        deleted = ["deletionTimestamp" in raw["metadata"] for raw in blocks.items]
        net = await cluster.network("net")
        return not endpoints.items and deleted == [True] and net.deleting

    await eventually(is_emptied, within_s=60)
    await _end_all(node)
    await eventually(lambda: _nothing_left(cluster))
    await eventually(lambda: _is_gone(cluster, NAMESPACES, cluster.namespace), within_s=60)


async def test_deletion_of_all_blocks(node: Node) -> None:
    """Deleting the record by hand deletes nothing that is held; the network goes on serving."""
    # DESIGN P1, "Blocks"
    cluster = node.cluster
    cluster.kubectl("delete", "danmipblocks", "--all", "--wait=false")
    assert await _is_unharmed(node)
    for name in ("c", "d", "e", "f"):
        await node.start(name)
    assert await _is_unharmed(node)
    assert len({pod.ip for pod in node.pods}) == 6
    with pytest.raises(PoolExhaustedError):
        await node.start("late")
    await _end_all(node)

    async def has_no_block() -> bool:
        return not (await cluster.api.list(DANMIPBLOCKS, namespace=cluster.namespace)).items

    # A marked block goes with its last entry, and the next Pod opens a new one.
    await eventually(has_no_block)
    await node.start("next")
    assert await _is_unharmed(node)
    cluster.kubectl("delete", "dnet", "net", "--wait=false")
    await _end_all(node)
    await eventually(lambda: _nothing_left(cluster))


async def test_fsck_leaves_what_may_be_live(node: Node) -> None:
    """The command tells of a Pod that is gone, and does not free what its node may still have."""
    # DESIGN P3, P7
    cluster = node.cluster

    kubeconfig = await ipam_kubeconfig(cluster.server)

    async def fsck(*arguments: str) -> tuple[int | None, list[Finding]]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", program.__name__, "fsck"),
            *("--between-looks=0", "--output=json"),
            *(f"--kubeconfig={kubeconfig}", *arguments),
            env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        found = decode_report(output).findings
        return process.returncode, [each for each in found if each.namespace == cluster.namespace]

    _, findings = await fsck()
    assert findings == []
    node.forget_object(node.pods[0])
    status, findings = await fsck("--repair")
    assert status == 1
    assert [(each.kind, each.outcome) for each in findings] == [
        (FindingKind.ADDRESS_WITHOUT_POD, Outcome.LEFT),
        (FindingKind.ENDPOINT_WITHOUT_POD, Outcome.LEFT),
    ]
    assert f"danmd of {node.name}" in findings[0].remedy
    assert await _is_unharmed(node)
