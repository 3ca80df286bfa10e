"""svcwatcher on a real API server: what the fake one could not tell."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address

import pytest

from danm_api.errors import InvalidObjectError
from danm_api.kube.api import (
    DANMNETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    PODS,
    SERVICES,
    RawObject,
)
from danm_api.membership.endpoints import may_be_published
from tests.lab.apiserver import ApiServer
from tests.svcwatcher_cluster import Cluster, a_cluster, running

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with DANM's kinds."""
    async with a_cluster(server) as made:
        yield made


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


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "10.0.0.0", "10.0.0.255", "240.0.0.1", "0.1.2.3", "255.255.255.255"),
        *("127.0.0.1", "169.254.1.1", "224.0.0.1"),
        "0.0.0.0",  # noqa: S104  (nobody binds to it)
        *("2001:db8::1", "fd00::1", "::2", "64:ff9b::a00:7", "::ffff:0:a00:7", "fec0::1"),
        *("::ffff:a00:7", "fe80::1", "::1", "ff02::1", "::"),
    ],
)
async def test_what_may_be_published_is_what_the_server_takes(
    cluster: Cluster, address: str
) -> None:
    """One address that it refuses would keep a whole slice away."""
    # SPEC S2, S4
    slice_ = {
        "metadata": {"name": "one"},
        "addressType": f"IPv{ip_address(address).version}",
        "endpoints": [{"addresses": [address]}],
        "ports": [],
    }
    taken = True
    try:
        await cluster.create(ENDPOINT_SLICES, slice_)
    except InvalidObjectError:
        taken = False
    assert taken is may_be_published(ip_address(address))


async def test_a_mapped_address_keeps_nobody_elses_away(
    server: ApiServer, cluster: Cluster
) -> None:
    """A tenant's Pod with such an address froze all endpoints of the Service."""
    # SPEC S4, P6
    await cluster.serve("lb")
    await cluster.run_pod("bad", "10.240.1.100", address6="::ffff:10.240.1.100")
    await cluster.run_pod("good", "10.240.1.101", address6="fd00::101")
    async with running(server):
        await cluster.until_found("lb", ["10.240.1.100", "10.240.1.101", "fd00::101"])
        async with asyncio.timeout(10):
            while not (events := (await events_of(cluster, "lb"))):
                await asyncio.sleep(0.01)
    reasons = {event["reason"] for event in events}
    assert reasons == {"AddressNotPublished"}


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
