"""A cluster in memory, and a svcwatcher that runs against it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from danm_api.codec.danmep import encode_danmep
from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.codec.endpoints import decode_endpoints
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
from danm_api.kube.events import EventRecorder
from danm_api.membership.selection import Selection
from danm_api.membership.views import PodView
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.service import Service
from danm_api.names import ContainerId, InterfaceName, NetworkName, NodeName, ServiceName
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from danm_api.testing.service_builders import NAMESPACE, raw_network, raw_pod, raw_service
from svcwatcher.absence import GRACE_S
from svcwatcher.index import ServiceKey
from svcwatcher.observation import Observation
from svcwatcher.reconciler import ENDPOINTS_INTERVAL_S, SLICE_INTERVAL_S, Reconciler
from svcwatcher.writer import Writer


@dataclass
class Clock:
    """Monotonic seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the present moment."""
        return self.now


@dataclass
class Cluster:
    """An API server in memory with two DanmNets, and what the tests do to it and read from it."""

    api: FakeKube = field(default_factory=FakeKube)

    def __post_init__(self) -> None:
        """Create the networks that tests name."""
        for name in ("internal", "external"):
            self.api.add(DANMNETS, raw_network(name))

    def serve(self, service: Service) -> None:
        """Create a Service."""
        self.api.add(SERVICES, raw_service(service, uid=service.uid))

    def run_pod(self, pod: PodView, *addresses: str, network: str = "internal") -> None:
        """Create a Pod with an interface on a network."""
        if self.api.stored(PODS, pod.name, namespace=pod.namespace) is None:
            self.api.add(PODS, raw_pod(pod))
        v4 = [a for a in addresses if ":" not in a]
        v6 = [a for a in addresses if ":" in a]
        self.api.add(
            DANMEPS,
            encode_danmep(
                DanmEp(
                    namespace=pod.namespace,
                    name=f"{pod.name}-{network}",
                    network=NetworkName(network),
                    network_type="ipvlan",
                    endpoint_id="e",
                    interface=EndpointInterface(
                        name=InterfaceName("int"),
                        address=IPv4Interface(f"{v4[0]}/24") if v4 else None,
                        address_ipv6=IPv6Interface(f"{v6[0]}/64") if v6 else None,
                    ),
                    node=NodeName("n1"),
                    pod=pod.name,
                    pod_uid=pod.runtime_uid,
                    container_id=ContainerId("c"),
                    netns="/run/netns/x",
                )
            ),
        )

    async def change(self, resource: Resource, name: str, patch: dict[str, Any]) -> None:
        """Merge a patch into an object."""
        await self.api.patch(resource, name, patch, namespace=NAMESPACE)

    async def set_ready(self, pod: str, *, ready: bool) -> None:
        """Change a Pod's readiness."""
        conditions = [{"type": "Ready", "status": str(ready)}]
        await self.change(PODS, pod, {"status": {"conditions": conditions}})

    def found(self, service: str = "lb", *, ready: bool = True) -> list[str]:
        """Return the addresses that a look-up finds, sorted; or those that it does not find."""
        slices = map(decode_endpoint_slice, self.api.all_stored(ENDPOINT_SLICES))
        return sorted(
            str(e.address)
            for s in slices
            if s.service == service
            for e in s.endpoints
            if e.ready is ready
        )

    def endpoints(self, service: str = "lb") -> tuple[list[str], list[str]] | None:
        """Return ready and not-ready addresses of an Endpoints object; None without one."""
        raw = self.api.stored(ENDPOINTS, service, namespace=NAMESPACE)
        if raw is None:
            return None
        subsets = decode_endpoints(raw).subsets
        return (
            [str(a.address) for s in subsets for a in s.ready],
            [str(a.address) for s in subsets for a in s.not_ready],
        )

    def events(self) -> list[tuple[str, str, str]]:
        """Return Service, reason and note of the Events."""
        return sorted(
            (e["regarding"]["name"], e["reason"], e["note"]) for e in self.api.all_stored(EVENTS)
        )

    def writes(self) -> int:
        """Return how many objects svcwatcher has tried to write."""
        return sum(
            self.api.calls[verb, kind]
            for verb in ("create", "replace", "delete")
            for kind in ("endpointslices", "endpoints")
        )

    async def until(self, condition: Callable[[], bool], *, timeout_s: float = HANGS_S) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.001)


def a_reconciler(
    cluster: Cluster,
    observation: Observation,
    *,
    write_endpoints: bool = True,
    concurrency: int = 4,
    clock: Callable[[], float] = time.monotonic,
    slice_interval_s: float = 0.0,
    endpoints_interval_s: float = 0.0,
    grace_s: float = GRACE_S,
) -> Reconciler:
    """Build a reconciler of a cluster."""
    return Reconciler(
        observation,
        Writer(cluster.api, observation.note_written, clock=clock),
        EventRecorder(cluster.api, component="svcwatcher", instance="test", clock=clock),
        write_endpoints=write_endpoints,
        concurrency=concurrency,
        slice_interval_s=slice_interval_s,
        endpoints_interval_s=endpoints_interval_s,
        grace_s=grace_s,
        tell_again_s=0.01,
        clock=clock,
    )


@asynccontextmanager
async def leading(
    cluster: Cluster,
    *,
    write_endpoints: bool = True,
    concurrency: int = 4,
    slice_interval_s: float = 0.0,
    endpoints_interval_s: float = 0.0,
    grace_s: float = GRACE_S,
) -> AsyncIterator[None]:
    """Run a svcwatcher that leads, without a pause between writes unless the test asks for one."""
    observation = Observation(cluster.api, follow_endpoints=True)
    reconciler = a_reconciler(
        cluster,
        observation,
        write_endpoints=write_endpoints,
        concurrency=concurrency,
        slice_interval_s=slice_interval_s,
        endpoints_interval_s=endpoints_interval_s,
        grace_s=grace_s,
    )
    tasks = [asyncio.create_task(observation.run()), asyncio.create_task(reconciler.lead())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def stepping(cluster: Cluster) -> AsyncIterator[tuple[Reconciler, Observation, Clock]]:
    """Follow the cluster; the test calls ``reconcile`` itself and says what time it is."""
    observation = Observation(cluster.api, follow_endpoints=True)
    clock = Clock()
    reconciler = a_reconciler(
        cluster,
        observation,
        clock=clock,
        slice_interval_s=SLICE_INTERVAL_S,
        endpoints_interval_s=ENDPOINTS_INTERVAL_S,
    )
    task = asyncio.create_task(observation.run())
    await observation.wait_synced(5)
    try:
        yield reconciler, observation, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# The Service that ``a_service`` builds, and what it selects.
KEY = ServiceKey(namespace=NAMESPACE, name=ServiceName("lb"))
SELECTION = Selection(namespace=NAMESPACE, network=NetworkName("internal"), labels=(("app", "lb"),))


def a_foreign(resource: Resource, name: str, **metadata: Any) -> RawObject:  # noqa: ANN401  (JSON)
    """Build an object that somebody else made."""
    body: RawObject = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"namespace": NAMESPACE, "name": name, **metadata},
    }
    if resource == ENDPOINT_SLICES:
        body |= {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": []}
    else:
        body["subsets"] = [{"addresses": [{"ip": "192.0.2.1"}]}]
    return body
