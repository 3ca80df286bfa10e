"""A namespace on a real API server, what users and nodes do in it, and a svcwatcher."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.codec.endpoints import decode_endpoints
from danm_api.errors import ConflictError, NotFoundError
from danm_api.kube.api import (
    DANMEPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    PODS,
    SERVICES,
    RawObject,
    Resource,
)
from danm_api.kube.client import KubeClient
from svcwatcher.config import Config, EndpointsMode
from svcwatcher.process import Process
from tests.lab.apiserver import ApiServer
from tests.lab.kinds import install_kinds
from tests.lab.kube_objects import NAMESPACES


class Cluster:
    """A namespace on a real API server."""

    def __init__(self, api: KubeClient, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    async def create(self, resource: Resource, body: RawObject) -> RawObject:
        """Create an object in the namespace."""
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return await self.api.create(resource, kind | body, namespace=self.namespace)

    async def serve(
        self,
        name: str,
        *,
        network: str = "internal",
        **spec: Any,  # noqa: ANN401  (JSON values)
    ) -> None:
        """Create a Service as a user would."""
        annotations = {
            "danm.k8s.io/selector": '{"app":"lb"}',
            "danm.k8s.io/network": network,
        }
        ports = [
            {"name": "sig", "port": 3868, "protocol": "TCP"},
            {"name": "alpha", "port": 9, "protocol": "UDP"},
        ]
        await self.create(
            SERVICES,
            {
                "metadata": {"name": name, "annotations": annotations},
                "spec": {"clusterIP": "None", "ports": ports, **spec},
            },
        )

    async def run_pod(
        self, name: str, address: str, *, address6: str = "", subdomain: str = ""
    ) -> RawObject:
        """Create a Pod that is ready, and its interface on `internal`."""
        spec: dict[str, Any] = {
            "containers": [{"name": "c", "image": "none"}],
            "nodeName": "n1",
            "automountServiceAccountToken": False,
        }
        if subdomain:
            spec |= {"hostname": name, "subdomain": subdomain}
        pod = await self.create(
            PODS, {"metadata": {"name": name, "labels": {"app": "lb"}}, "spec": spec}
        )
        await self.set_ready(name, ready=True)
        await self.attach(pod, "internal", address, address6=address6)
        return pod

    async def attach(
        self, pod: RawObject, network: str, address: str, *, address6: str = ""
    ) -> None:
        """Create an interface of a Pod."""
        name = f"{pod['metadata']['name']}-{network}"
        interface = {"Name": "int", "Address": f"{address}/24"}
        if address6:
            interface["AddressIPv6"] = f"{address6}/64"
        endpoint = {
            "NetworkID": network,
            "NetworkType": "ipvlan",
            "EndpointID": str(uuid4()),
            "Interface": interface,
            "Host": "n1",
            "Pod": pod["metadata"]["name"],
            "CID": "c" * 64,
            "netns": "/run/netns/x",
            "Creator": "danm",
        }
        labels = {"danm.k8s.io/pod-uid": pod["metadata"]["uid"]}
        await self.create(DANMEPS, {"metadata": {"name": name, "labels": labels}, "spec": endpoint})

    async def set_ready(self, pod: str, *, ready: bool) -> None:
        """Change a Pod's readiness as kubelet does."""
        conditions = [{"type": "Ready", "status": str(ready)}]
        await self.api.patch(
            PODS,
            pod,
            {"status": {"phase": "Running", "conditions": conditions}},
            namespace=self.namespace,
            subresource="status",
        )

    async def found(self, service: str) -> list[str]:
        """Return the addresses that a look-up finds."""
        listed = await self.api.list(
            ENDPOINT_SLICES,
            namespace=self.namespace,
            label_selector=f"kubernetes.io/service-name={service}",
        )
        slices = map(decode_endpoint_slice, listed.items)
        return sorted(str(e.address) for s in slices for e in s.endpoints if e.ready)

    async def until_found(self, service: str, expected: list[str]) -> float:
        """Wait for a look-up's answer; return the seconds that it took."""
        since = time.monotonic()
        async with asyncio.timeout(10):
            while await self.found(service) != expected:
                await asyncio.sleep(0.01)
        return time.monotonic() - since

    async def until_endpoints(self, service: str, expected: list[str]) -> None:
        """Wait for the ready addresses of the Endpoints."""
        async with asyncio.timeout(10):
            while True:
                with suppress(NotFoundError):
                    raw = await self.api.get(ENDPOINTS, service, namespace=self.namespace)
                    subsets = decode_endpoints(raw).subsets
                    if [str(a.address) for s in subsets for a in s.ready] == expected:
                        return
                await asyncio.sleep(0.01)


@asynccontextmanager
async def a_cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with DANM's kinds."""
    namespace = f"test-{uuid4().hex[:8]}"
    async with await KubeClient.connect(server.kubeconfig) as api:
        for name in (namespace, "danm-system"):
            with suppress(ConflictError):
                await api.create(NAMESPACES, {"metadata": {"name": name}})
        await install_kinds(api)
        yield Cluster(api, namespace)


@asynccontextmanager
async def running(server: ApiServer) -> AsyncIterator[None]:
    """Run a replica with a client of its own."""
    config = Config(
        kubeconfig=server.kubeconfig,
        pod_name=f"svcwatcher-{uuid4().hex[:5]}",
        namespace="danm-system",
        endpoints=EndpointsMode.AUTO,
        concurrency=4,
        health_host="127.0.0.1",
        health_port=0,
    )
    stop = asyncio.Event()
    async with await KubeClient.connect(server.kubeconfig) as api:
        task = asyncio.create_task(Process(config, api).run(stop))
        try:
            yield
        finally:
            stop.set()
            await task
