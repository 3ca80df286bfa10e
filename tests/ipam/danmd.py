"""A danmd on a real API server and a real ipam-svc, whose kernel and plugins are fakes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from danm_api.codec.cni import decode_result
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import KubeApi
from danm_api.names import NodeName
from danm_cni.attempts import AttemptCounter
from danm_cni.daemon import Daemon, Edges
from danm_cni.ipam_client import NodeAddresses
from danm_cni.networks import Networks
from danm_cni.request import decode_request
from danm_cni.testing.fake_kernel import FakeKernel
from danm_cni.testing.fake_plugins import FakeDevices, FakePlugins
from danm_cni.testing.node import config_for, netns_of

_WAIT_S = 30.0


class Danmd:
    """One node's danmd.

    Attributes:
        kernel: What interfaces there are.
    """

    def __init__(self, root: Path, api: KubeApi, client: IpamClient, *, node: str) -> None:
        """Have one that does not run yet; its parent link is ``ens3``."""
        config = replace(config_for(root), node=NodeName(node))
        config.paths.state.mkdir(parents=True, exist_ok=True)
        self.kernel = FakeKernel("ens3")
        addresses = NodeAddresses(
            client,
            node=NodeName(node),
            attempts=AttemptCounter(
                config.paths.state / "attempt", clock_ms=lambda: time.time_ns() // 1_000_000
            ),
        )
        edges = Edges(
            kernel=self.kernel,
            plugins=FakePlugins(self.kernel),
            addresses=addresses,
            devices=FakeDevices(),
        )
        self.daemon = Daemon(config, api, edges, networks=Networks(api))
        self.daemon.load()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the API server for the time of the block."""
        tasks = [asyncio.create_task(informer.run()) for informer in self.daemon.informers]
        for informer in self.daemon.informers:
            await informer.wait_synced(_WAIT_S)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def add(self, namespace: str, pod: str, uid: str) -> str:
        """Send an ADD and return the Pod's address."""
        arguments = {
            "IgnoreUnknown": "1",
            "K8S_POD_NAMESPACE": namespace,
            "K8S_POD_NAME": pod,
            "K8S_POD_INFRA_CONTAINER_ID": f"c-{pod}",
            "K8S_POD_UID": uid,
        }
        environment = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": f"c-{pod}",
            "CNI_NETNS": netns_of(f"c-{pod}"),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in arguments.items()),
        }
        config = {"cniVersion": "1.1.0", "name": "danm", "type": "danm"}
        request = decode_request(environment, msgspec.json.encode(config))
        answer = await self.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 10)
        return str(decode_result(answer).ips[0].address.ip)

    def addresses(self) -> set[str]:
        """Return the addresses of all interfaces that exist on the node."""
        return {
            address.partition("/")[0]
            for space in self.kernel.namespaces.values()
            for addresses in space.interfaces.values()
            for address in addresses
        }
