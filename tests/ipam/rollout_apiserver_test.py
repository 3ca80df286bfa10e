"""Replicas that are replaced while callers reserve and release without pause: nobody notices."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest

from danm_api.codec.authority import decode_trust
from danm_api.crd.ip_block import DANMIPBLOCK
from danm_api.errors import ConflictError
from danm_api.ipam_api import TRUST_CONFIG_MAP
from danm_api.kube.api import CONFIG_MAPS, DANMIPBLOCKS, RawObject
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from tests.ipam.cluster import Cluster, eventually
from tests.ipam.load import Load, Report
from tests.ipam.replica_process import ReplicaProcess, source_paths
from tests.lab.apiserver import ApiServer
from tests.lab.kinds import install_kinds
from tests.lab.kube_objects import NAMESPACES

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# The sources of an older release: build-support/previous-release records.
_PREVIOUS: Final = os.environ.get("DANM_PREVIOUS_TREE", "")
_NETWORK: Final = "net"
_CALLERS: Final = 4
# So much work at least is done around each change of replicas.
_STEP: Final = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


def _with_later_fields(manifest: RawObject) -> RawObject:
    """Return the kind of blocks as a later release might have it: CRDs are updated first."""
    (version,) = manifest["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["later"] = {"type": "string", "description": "Of a later release."}
    return manifest


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with a network; no replica runs yet."""
    async with await KubeClient.connect(server.kubeconfig) as api:
        made = Cluster(server=server, api=api, namespace=f"test-{uuid4().hex[:8]}")
        for name in (made.namespace, SYSTEM_NAMESPACE):
            with suppress(ConflictError):
                await made.create(NAMESPACES, {"metadata": {"name": name}})
        await install_kinds(api, _with_later_fields(DANMIPBLOCK.manifest()))
        await made.add_network(_NETWORK, cidr="10.0.0.0/24")
        yield made


@asynccontextmanager
async def _two_replicas(
    cluster: Cluster, directory: Path
) -> AsyncIterator[tuple[ReplicaProcess, ReplicaProcess]]:
    first, second = (
        ReplicaProcess.on_free_ports(name, cluster.server, directory) for name in ("one", "two")
    )
    async with AsyncExitStack() as stack:
        for each in (first, second):
            await each.start()
            stack.push_async_callback(each.stop)
            cluster.endpoints.append(each.endpoint)
        raw = await cluster.api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        cluster.trust = decode_trust(raw)
        yield first, second


@asynccontextmanager
async def _load(cluster: Cluster) -> AsyncIterator[Load]:
    """Let callers work while the block runs; at its end nothing has gone wrong."""
    await cluster.allow("tool", namespace=cluster.namespace)
    token = await cluster.token("tool", namespace=cluster.namespace)
    stop = asyncio.Event()
    async with cluster.client(token) as client:
        load = Load(client, namespace=cluster.namespace, network=_NETWORK, callers=_CALLERS)
        work: asyncio.Task[Report] = asyncio.create_task(load.run(stop))
        try:
            yield load
        finally:
            stop.set()
            report = await work
    print(f"{report.operations} operations, the longest took {report.longest_s:.2f} s")
    print(f"{report.stalls}; {len(report.set_aside)} set aside:", *report.set_aside, sep="\n")
    assert report.faults == []


async def _more_work(load: Load) -> None:
    enough = load.report.operations + _STEP

    async def done() -> bool:
        return load.report.operations >= enough

    await eventually(done, within_s=60)


async def test_a_rolling_update_fails_nobody(cluster: Cluster, tmp_path: Path) -> None:
    """Each replica in turn is told to stop and replaced, twice: no operation fails."""
    # SPEC I1
    async with _two_replicas(cluster, tmp_path) as replicas, _load(cluster) as load:
        for each in (*replicas, *replicas):
            await _more_work(load)
            await each.stop()
            await _more_work(load)
            await each.start()
        await _more_work(load)


async def test_killed_replicas_fail_nobody(cluster: Cluster, tmp_path: Path) -> None:
    """Each replica in turn dies in the middle of its work, the Lease holder among them."""
    # DESIGN, P1
    async with _two_replicas(cluster, tmp_path) as replicas, _load(cluster) as load:
        for each in replicas:
            await _more_work(load)
            await each.kill()
            await _more_work(load)
            await each.start()
        await _more_work(load)


async def test_a_frozen_replica_fails_nobody(cluster: Cluster, tmp_path: Path) -> None:
    """Who waits for a replica that accepts and never answers has time left for another one."""
    # DESIGN, P1
    async with _two_replicas(cluster, tmp_path) as replicas, _load(cluster) as load:
        for each in replicas:
            await _more_work(load)
            each.freeze()
            try:
                await _more_work(load)
            finally:
                each.thaw()
        await _more_work(load)


async def _mark(cluster: Cluster) -> str:
    """Write what only a later release knows into a block and its first entry; return its name."""
    while True:
        block, *_ = (await cluster.api.list(DANMIPBLOCKS, namespace=cluster.namespace)).items
        spec: dict[str, Any] = block["spec"]
        if not spec["entries"]:
            continue
        spec["later"] = "of the block"
        entries = [msgspec.json.decode(text) for text in spec["entries"]]
        spec["entries"] = [
            msgspec.json.encode(entry | {"later": f"of {entry['ip']}"}).decode()
            for entry in entries
        ]
        with suppress(ConflictError):
            await cluster.api.replace(DANMIPBLOCKS, block, namespace=cluster.namespace)
            return str(block["metadata"]["name"])


async def test_what_a_later_release_writes_is_kept(cluster: Cluster, tmp_path: Path) -> None:
    """Two releases share a block: this one rewrites it and keeps the fields of the next."""
    # DESIGN, "An entry"
    async with _two_replicas(cluster, tmp_path):
        token = await cluster.token("tool", namespace=cluster.namespace)
        await cluster.allow("tool", namespace=cluster.namespace)
        async with cluster.client(token) as client:
            answer = await cluster.reserve(client, "printer", _NETWORK)
            name = await _mark(cluster)
            # Into the same block: with a dynamic address a replica may keep to one of its own.
            await cluster.reserve(client, "scanner", _NETWORK, ip="10.0.0.40/24")
    block = await cluster.api.get(DANMIPBLOCKS, name, namespace=cluster.namespace)
    assert block["spec"]["later"] == "of the block"
    address = str(answer.attachments[0].ip).partition("/")[0]
    entries = [msgspec.json.decode(text) for text in block["spec"]["entries"]]
    kept = {entry["ip"]: entry.get("later") for entry in entries}
    assert len(kept) == len(["printer", "scanner"])
    assert kept[address] == f"of {address}"


@pytest.mark.skipif(not _PREVIOUS, reason="DANM_PREVIOUS_TREE does not name an older release")
async def test_from_an_older_release_and_back(cluster: Cluster, tmp_path: Path) -> None:
    """Replicas of two releases serve side by side, in both orders, and nobody notices."""
    async with _two_replicas(cluster, tmp_path) as replicas, _load(cluster) as load:
        for paths in (source_paths(Path(_PREVIOUS)), [], source_paths(Path(_PREVIOUS))):
            for each in replicas:
                await _more_work(load)
                await each.stop()
                each.paths = paths
                await each.start()
        await _more_work(load)
