"""What a danmd reads before its turn, and what it must not."""

import asyncio
from collections import Counter
from pathlib import Path

from danm_api.errors import ApiUnavailableError
from danm_api.ipam_discovery import IpamDiscovery
from danm_api.kube.api import DANMNETS
from danm_cni.ahead import Ahead
from danm_cni.daemon import Daemon, Edges
from danm_cni.networks import Networks
from danm_cni.testing.demo import INTERNAL
from danm_cni.testing.node import FakeNode


def _ahead(node: FakeNode) -> Ahead:
    discovery = IpamDiscovery(
        node.kube, system_namespace="danm-system", token_file=node.root / "token"
    )
    return Ahead(networks=Networks(node.kube), discovery=discovery)


async def test_it_is_ready_for_its_turn_once_all_is_read(tmp_path: Path) -> None:
    """A danmd that cannot read the API server never takes the place of one that serves."""
    # docs/decisions/0021
    node = FakeNode(tmp_path)
    node.kube.fail_next("list", DANMNETS, ApiUnavailableError("away", status=0), times=2)
    ahead = _ahead(node)
    async with asyncio.timeout(30), ahead.followed():
        await ahead.read()
        # Twice in vain.
        assert node.kube.calls["list", "danmnets"] == 3


async def test_its_turn_begins_with_what_the_other_one_left(tmp_path: Path) -> None:
    """Pods and DanmEps are read after the other's end, and the DanmNets not a second time."""
    # docs/decisions/0021
    node = FakeNode(tmp_path)
    node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
    ahead = _ahead(node)
    async with asyncio.timeout(60), ahead.followed():
        await ahead.read()
        # Meanwhile the other one serves.
        await node.start()
        node.add_pod(interfaces=[INTERNAL])
        result = await node.add()
        await node.stop()
        before = Counter(node.kube.calls)
        edges = Edges(
            kernel=node.kernel,
            plugins=node.plugins,
            addresses=node.addresses,
            devices=node.devices,
        )
        node.daemon = Daemon(node.config, node.kube, edges, networks=ahead.networks)
        node.daemon.load()
        stop = asyncio.Event()
        running = asyncio.create_task(node.daemon.run(stop))
        await node.until(lambda: node.daemon.readiness.reason is None)
        spent = node.kube.calls - before
        assert (spent["list", "danmnets"], spent["list", "danmeps"], spent["list", "pods"]) == (
            *(0, 1, 1),
        )
        # SPEC C4: the same sandbox, asked for again
        assert await node.add() == result
        await node.end_pod()
        await node.delete()
        assert {} == node.leftovers()
        stop.set()
        await running
