"""How often svcwatcher writes, and that what is put off comes by itself."""

import asyncio

from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.kube.api import ENDPOINT_SLICES, SERVICES
from danm_api.model.service import IpFamily
from danm_api.testing.service_builders import a_pod, a_service, raw_service
from svcwatcher.observation import Observation
from svcwatcher.reconciler import SLICE_BURST
from svcwatcher.testing.cluster import KEY, SELECTION, Cluster, leading, stepping

V4 = (IpFamily.IPV4,)


async def test_slices_follow_at_once_and_endpoints_once_a_second() -> None:
    """Look-ups wait for nothing; the deprecated object is spared, and its last state counts."""
    # DESIGN "Controllers", P6
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    cluster.run_pod(a_pod("p1"), "10.0.0.2")
    async with stepping(cluster) as (reconciler, observation, clock):
        await reconciler.reconcile(KEY)
        await cluster.until(lambda: len(observation.observed(KEY).slices) == 1)
        await cluster.until(lambda: observation.observed(KEY).endpoints is not None)
        await cluster.set_ready("p0", ready=False)
        await cluster.until(lambda: not all(m.pod.ready for m in observation.members(SELECTION)))
        await reconciler.reconcile(KEY)
        assert cluster.found() == ["10.0.0.2"]
        assert cluster.endpoints() == (["10.0.0.1", "10.0.0.2"], [])
        clock.now += 0.9
        await reconciler.reconcile(KEY)
        assert cluster.endpoints() == (["10.0.0.1", "10.0.0.2"], [])
        clock.now += 0.1
        await reconciler.reconcile(KEY)
        assert cluster.endpoints() == (["10.0.0.2"], ["10.0.0.1"])


async def test_a_service_in_a_storm_is_written_ten_times_a_second() -> None:
    """Pods that flap cost a bounded number of writes, and the last state counts."""
    # DESIGN P6
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    async with stepping(cluster) as (reconciler, observation, clock):
        ready = True
        for _ in range(100):
            await reconciler.reconcile(KEY)
            ready = not ready
            await flap(cluster, observation, ready=ready)
            clock.now += 0.01
        writes = cluster.api.calls["create", "endpointslices"]
        writes += cluster.api.calls["replace", "endpointslices"]
        assert SLICE_BURST + 8 <= writes <= SLICE_BURST + 10
        await flap(cluster, observation, ready=False)
        clock.now += 0.1
        await reconciler.reconcile(KEY)
        assert cluster.found(ready=False) == ["10.0.0.1"]


async def test_endpoints_that_were_put_off_follow_by_themselves() -> None:
    """Nothing else needs to happen to the Service."""
    # DESIGN "Controllers"
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    async with leading(cluster, endpoints_interval_s=0.5):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        await cluster.set_ready("p0", ready=False)
        await cluster.until(lambda: cluster.endpoints() == ([], ["10.0.0.1"]))


async def test_slices_that_were_put_off_follow_by_themselves() -> None:
    """The last state counts, also when it came right after a burst."""
    # DESIGN "Controllers"
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    async with leading(cluster, slice_interval_s=1.0):
        await cluster.until(lambda: cluster.found() == ["10.0.0.1"])
        ready = True
        for _ in range(SLICE_BURST):
            ready = not ready
            await cluster.set_ready("p0", ready=ready)
            state = ready

            def is_found(state: bool = state) -> bool:
                return cluster.found(ready=state) == ["10.0.0.1"]

            await cluster.until(is_found)


async def test_a_service_that_asks_and_asks_not_is_written_ten_times_a_second() -> None:
    """What goes away and comes again has not all its writes again each time."""
    # DESIGN P6
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    asking = raw_service(a_service())["metadata"]["annotations"]
    async with stepping(cluster) as (reconciler, observation, clock):
        for number in range(100):
            annotations = asking if number % 2 else dict.fromkeys(asking)
            await cluster.change(SERVICES, "lb", {"metadata": {"annotations": annotations}})

            def is_known(asks: bool = bool(number % 2)) -> bool:
                service = observation.observed(KEY).service
                return service is not None and bool(service.annotations) is asks

            await cluster.until(is_known)
            await cluster.until(lambda: _known_slices(observation) == _stored_slices(cluster))
            await reconciler.reconcile(KEY)
            clock.now += 0.01
    writes = cluster.api.calls["create", "endpointslices"]
    writes += cluster.api.calls["delete", "endpointslices"]
    assert SLICE_BURST <= writes <= SLICE_BURST + 10


async def test_a_replica_that_leads_again_writes_at_once() -> None:
    """What it wrote when it led before is long past."""
    # SPEC S3
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    async with stepping(cluster) as (reconciler, observation, _clock):
        leads = asyncio.create_task(reconciler.lead())
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        leads.cancel()
        await asyncio.gather(leads, return_exceptions=True)
        await flap(cluster, observation, ready=False)
        await cluster.until(lambda: observation.observed(KEY).endpoints is not None)
        await reconciler.reconcile(KEY)
    assert cluster.endpoints() == ([], ["10.0.0.1"])


def _known_slices(observation: Observation) -> set[str]:
    return {each.name for each in observation.observed(KEY).slices}


def _stored_slices(cluster: Cluster) -> set[str]:
    return {raw["metadata"]["name"] for raw in cluster.api.all_stored(ENDPOINT_SLICES)}


async def flap(cluster: Cluster, observation: Observation, *, ready: bool) -> None:
    """Change the readiness of the Pod, and wait until that and what was written is known."""
    await cluster.set_ready("p0", ready=ready)
    (stored,) = map(decode_endpoint_slice, cluster.api.all_stored(ENDPOINT_SLICES))
    await cluster.until(
        lambda: all(m.pod.ready is ready for m in observation.members(SELECTION))
        and tuple(observation.observed(KEY).slices) == (stored,)
    )
