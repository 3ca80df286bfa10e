"""Tests of which Services an event concerns, as the API server tells events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from danm_api.kube.api import DANMEPS, DANMNETS, ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from danm_api.names import ServiceName
from danm_api.testing.hangs import HANGS_S
from danm_api.testing.service_builders import (
    NAMESPACE,
    a_network,
    a_pod,
    a_service,
    raw_network,
    raw_service,
)
from svcwatcher.index import ServiceKey
from svcwatcher.observation import Observation
from svcwatcher.testing.cluster import KEY, SELECTION, Cluster, leading


class Watched:
    """An observation of a cluster that has settled, and what it has told since."""

    def __init__(self, cluster: Cluster, observation: Observation) -> None:
        self.cluster = cluster
        self.observation = observation
        self.told: list[ServiceKey] = []
        observation.subscribe(self.told.append)

    async def tells(self, *keys: ServiceKey) -> None:
        """Wait until exactly these have been told; events that concern nobody come between."""
        await self.cluster.until(lambda: set(self.told) == set(keys))
        self.told.clear()


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    """Follow a cluster with one Service that has been served, and nobody who writes."""
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.serve(a_service("other", uid="2", network="external"))
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(
            lambda: cluster.endpoints() == (["10.0.0.1"], [])
            and cluster.endpoints("other") == ([], [])
        )
    observation = Observation(cluster.api, follow_endpoints=True)
    task = asyncio.create_task(observation.run())
    await observation.wait_synced(HANGS_S)
    try:
        yield Watched(cluster, observation)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_kind_of_event_leads_to_its_service() -> None:
    """Pods, interfaces, Services, and damage to what was written."""
    # SPEC S3
    async with watched() as world:
        cluster = world.cluster
        await cluster.set_ready("lb-0", ready=False)
        await world.tells(KEY)
        await cluster.change(ENDPOINTS, "lb", {"subsets": None})
        await world.tells(KEY)
        (slice_name,) = {s.name for s in world.observation.observed(KEY).slices}
        await cluster.change(ENDPOINT_SLICES, slice_name, {"endpoints": []})
        await world.tells(KEY)
        await cluster.change(SERVICES, "lb", {"spec": {"publishNotReadyAddresses": True}})
        await world.tells(KEY)
        await cluster.api.delete(DANMEPS, "lb-0-internal", namespace=NAMESPACE)
        await world.tells(KEY)


async def test_a_network_that_comes_or_goes_leads_to_the_services_that_name_it() -> None:
    """Whether it is there is what matters, and what is in it does not."""
    # SPEC S4, DESIGN P6
    async with watched() as world:
        api = world.cluster.api
        await api.patch(
            DANMNETS,
            "external",
            {"status": {"ipv4": {"used": 7}}},
            namespace=NAMESPACE,
            subresource="status",
        )
        api.mark_deleted(DANMNETS, "internal", namespace=NAMESPACE)
        await world.tells(KEY)
        assert world.observation.network(SELECTION) == a_network(deleting=True)
        await api.delete(DANMNETS, "internal", namespace=NAMESPACE)
        await world.tells(KEY)
        assert world.observation.network(SELECTION) is None
        # One whose spec cannot be read is there as well.
        api.add(DANMNETS, raw_network() | {"spec": {"NetworkID": 7}})
        await world.tells(KEY)
        assert world.observation.network(SELECTION) is not None


async def test_what_concerns_nobody_tells_nobody() -> None:
    """Heartbeats of Pods, Pods that no Service selects, Services without annotations."""
    # DESIGN P6
    async with watched() as world:
        cluster = world.cluster
        await cluster.change(PODS, "lb-0", {"metadata": {"annotations": {"seen": "now"}}})
        cluster.run_pod(a_pod("stranger", labels={"app": "db"}), "10.0.0.9")
        plain = raw_service(a_service("plain"), annotations={}, uid="3")
        cluster.api.add(SERVICES, plain)
        # Events of a kind arrive in their order, so this one is the last of its kind.
        cluster.run_pod(a_pod("another"), "10.0.0.2")
        cluster.serve(a_service("later", uid="4"))
        await cluster.until(lambda: len(list(world.observation.members(SELECTION))) == 2)
        await world.tells(KEY, ServiceKey(namespace=NAMESPACE, name=ServiceName("later")))


async def test_all_keys_are_those_that_are_served_and_those_that_were() -> None:
    """A start looks at each Service that asks, and at each that something was made for."""
    # SPEC S3
    async with watched() as world:
        await world.cluster.api.delete(SERVICES, "other", namespace=NAMESPACE)
        await world.cluster.until(lambda: world.observation.observed(other_key()).service is None)
        assert world.observation.all_keys() == {KEY, other_key()}


def other_key() -> ServiceKey:
    """Name the Service on the other network."""
    return ServiceKey(namespace=NAMESPACE, name=ServiceName("other"))
