"""svcwatcher on a real API server: what the fake one could not tell."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from uuid import uuid4

import pytest

from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.codec.endpoints import decode_endpoints
from danm_api.crd.definitions import ALL
from danm_api.errors import ConflictError, DanmError, NotFoundError
from danm_api.kube.api import (
    DANMEPS,
    DANMNETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    PODS,
    SERVICES,
    RawObject,
    Resource,
)
from danm_api.kube.client import KubeClient
from svcwatcher.config import Config, EndpointsMode
from svcwatcher.process import Process
from tests.lab.apiserver import ApiServer

DEFINITIONS: Final = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
)
NAMESPACES: Final = Resource(
    group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False
)

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


class Cluster:
    """A namespace on a real API server."""

    def __init__(self, api: KubeClient, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    async def create(self, resource: Resource, body: RawObject) -> RawObject:
        """Create an object in the namespace."""
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return await self.api.create(resource, kind | body, namespace=self.namespace)

    async def serve(self, name: str, **spec: Any) -> None:  # noqa: ANN401  (JSON values)
        """Create a Service as a user would."""
        annotations = {
            "danm.k8s.io/selector": '{"app":"lb"}',
            "danm.k8s.io/network": "internal",
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
    ) -> None:
        """Create a Pod that is ready, and its interface."""
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
        interface = {"Name": "int", "Address": f"{address}/24"}
        if address6:
            interface["AddressIPv6"] = f"{address6}/64"
        endpoint = {
            "NetworkID": "internal",
            "NetworkType": "ipvlan",
            "EndpointID": str(uuid4()),
            "Interface": interface,
            "Host": "n1",
            "Pod": name,
            "CID": "c" * 64,
            "netns": "/run/netns/x",
            "Creator": "danm",
        }
        labels = {"danm.k8s.io/pod-uid": pod["metadata"]["uid"]}
        await self.create(
            DANMEPS, {"metadata": {"name": f"{name}-int", "labels": labels}, "spec": endpoint}
        )

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


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with DANM's kinds."""
    namespace = f"test-{uuid4().hex[:8]}"
    async with await KubeClient.connect(server.kubeconfig) as api:
        for name in (namespace, "danm-system"):
            with suppress(ConflictError):
                await api.create(NAMESPACES, {"metadata": {"name": name}})
        for definition in ALL:
            with suppress(ConflictError):
                await api.create(DEFINITIONS, definition.manifest())
        await until_served(api)
        yield Cluster(api, namespace)


async def until_served(api: KubeClient) -> None:
    """Wait until the server knows DanmEps; it tells nobody when."""
    async with asyncio.timeout(30):
        while True:
            try:
                await api.list(DANMEPS)
                return
            except DanmError:
                await asyncio.sleep(0.05)


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


async def test_look_ups_follow_within_two_seconds(server: ApiServer, cluster: Cluster) -> None:
    """Readiness and deletion marks are in the slices at once, also right after another write."""
    # SPEC S1, S2
    await cluster.serve("lb")
    await cluster.run_pod("a", "10.240.1.100")
    await cluster.run_pod("b", "10.240.1.101", subdomain="lb")
    async with running(server):
        await cluster.until_found("lb", ["10.240.1.100", "10.240.1.101"])
        await cluster.until_endpoints("lb", ["10.240.1.100", "10.240.1.101"])
        await cluster.set_ready("a", ready=False)
        first = await cluster.until_found("lb", ["10.240.1.101"])
        await cluster.set_ready("a", ready=True)
        second = await cluster.until_found("lb", ["10.240.1.100", "10.240.1.101"])
        await cluster.api.patch(
            PODS, "b", {"metadata": {"finalizers": ["test/hold"]}}, namespace=cluster.namespace
        )
        await cluster.api.delete(PODS, "b", namespace=cluster.namespace)
        third = await cluster.until_found("lb", ["10.240.1.100"])
    assert max(first, second, third) < 2
    await cluster.api.patch(
        PODS, "b", {"metadata": {"finalizers": None}}, namespace=cluster.namespace
    )


async def test_what_the_server_stores_is_what_was_meant(
    server: ApiServer, cluster: Cluster
) -> None:
    """The server sorts and completes objects in its own way, and that is no reason to write."""
    # SPEC S3, DESIGN P6
    await cluster.serve("lb")
    await cluster.serve("portless", ports=None)
    for number in range(12):
        await cluster.run_pod(f"p{number}", f"10.240.1.{200 - number * 7}", subdomain="lb")
    expected = sorted(f"10.240.1.{200 - number * 7}" for number in range(12))
    async with running(server):
        await cluster.until_found("lb", expected)
        await cluster.until_found("portless", expected)
        in_order = sorted(expected, key=lambda a: int(a.rsplit(".", 1)[1]))
        await cluster.until_endpoints("lb", in_order)
        await cluster.until_endpoints("portless", in_order)
    settled = await remaining(cluster)
    async with running(server):
        # A replica that has gone through all Services has also served one that is new.
        await cluster.serve("later")
        await cluster.until_found("later", expected)
        await cluster.until_endpoints("later", in_order)
    # Each as it was, its resourceVersion included.
    assert [raw for raw in await remaining(cluster) if raw in settled] == settled


async def test_ipv6_is_found_whatever_the_cluster_has(server: ApiServer, cluster: Cluster) -> None:
    """A cluster that gives its Pods IPv4 only still finds the IPv6 addresses of a DanmNet."""
    # SPEC S2
    await cluster.serve("lb")
    await cluster.serve("lb4", ipFamilyPolicy="SingleStack")
    await cluster.run_pod("a", "10.240.1.100", address6="fd00::100")
    async with running(server):
        await cluster.until_found("lb", ["10.240.1.100", "fd00::100"])
        await cluster.until_endpoints("lb", ["10.240.1.100", "fd00::100"])
        await cluster.until_found("lb4", ["10.240.1.100"])


async def test_a_bad_annotation_becomes_an_event(server: ApiServer, cluster: Cluster) -> None:
    """The server takes the Event, and the Service's neighbours are served."""
    # SPEC S4
    await cluster.create(
        SERVICES,
        {
            "metadata": {"name": "bad", "annotations": {"danm.k8s.io/selector": "{"}},
            "spec": {"clusterIP": "None"},
        },
    )
    await cluster.serve("lb")
    await cluster.run_pod("a", "10.240.1.100")
    async with running(server):
        await cluster.until_found("lb", ["10.240.1.100"])
        async with asyncio.timeout(10):
            while not (events := (await events_of(cluster, "bad"))):
                await asyncio.sleep(0.01)
    assert events[0]["reason"] == "InvalidAnnotation"


async def test_a_network_that_is_not_there_becomes_an_event(
    server: ApiServer, cluster: Cluster
) -> None:
    """The Service is told once, and found when the DanmNet and its Pods are there."""
    # SPEC S4
    await cluster.serve("lb")
    async with running(server):
        async with asyncio.timeout(60):
            while not (await events_of(cluster, "lb")):
                await asyncio.sleep(0.05)
        network = {"metadata": {"name": "internal"}, "spec": {"NetworkID": "internal"}}
        await cluster.create(DANMNETS, network)
        await cluster.run_pod("a", "10.240.1.100")
        await cluster.until_found("lb", ["10.240.1.100"])
    (event,) = await events_of(cluster, "lb")
    assert event["reason"] == "NetworkNotFound"
    assert f"DanmNet {cluster.namespace}/internal" in event["note"]


async def events_of(cluster: Cluster, service: str) -> list[RawObject]:
    """Return the Events about a Service."""
    listed = await cluster.api.list(EVENTS, namespace=cluster.namespace)
    return [event for event in listed.items if event["regarding"]["name"] == service]


async def test_what_was_made_goes_with_its_service(server: ApiServer, cluster: Cluster) -> None:
    """Nothing of a deleted Service stays, even where no garbage collector runs."""
    # SPEC S2
    await cluster.serve("lb")
    await cluster.run_pod("a", "10.240.1.100")
    async with running(server):
        await cluster.until_endpoints("lb", ["10.240.1.100"])
        await cluster.api.delete(SERVICES, "lb", namespace=cluster.namespace)
        async with asyncio.timeout(10):
            while await remaining(cluster):
                await asyncio.sleep(0.01)


async def remaining(cluster: Cluster) -> list[RawObject]:
    """Return all slices and Endpoints of the namespace."""
    return [
        raw
        for resource in (ENDPOINT_SLICES, ENDPOINTS)
        for raw in (await cluster.api.list(resource, namespace=cluster.namespace)).items
    ]
