"""What the generator sees of slices."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from danm_api.kube.api import ENDPOINT_SLICES, RawObject
from danm_api.testing.fake_kube import FakeKube
from tests.lab.bench.controllers.endpoints.objects import NAMESPACE
from tests.lab.bench.controllers.endpoints.slices import Slices
from tests.lab.errors import LabError


def _slice(name: str, service: str, pods: Mapping[str, bool]) -> RawObject:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.0.0.1"],
                "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "name": pod},
            }
            for pod, ready in pods.items()
        ],
    }


@asynccontextmanager
async def _watching(api: FakeKube) -> AsyncIterator[Slices]:
    slices = Slices(api)
    task = asyncio.create_task(slices.run())
    try:
        await slices.wait_synced(10)
        yield slices
    finally:
        task.cancel()


async def _write(api: FakeKube, raw: RawObject) -> None:
    found = await api.get(ENDPOINT_SLICES, raw["metadata"]["name"], namespace=NAMESPACE)
    version = found["metadata"]["resourceVersion"]
    metadata = raw["metadata"] | {"resourceVersion": version}
    await api.replace(ENDPOINT_SLICES, raw | {"metadata": metadata}, namespace=NAMESPACE)


async def test_a_change_is_seen_when_a_slice_says_it() -> None:
    """Not when some slice changes that still says what was, or speaks of others."""
    api = FakeKube()
    api.add(ENDPOINT_SLICES, _slice("s", "lb", {"a": True, "b": True}))
    async with asyncio.timeout(10), _watching(api) as slices:
        seen = slices.expect("a", ready=False)
        other = slices.expect("b", ready=False)
        await _write(api, _slice("s", "lb", {"a": True, "b": False}))
        await other
        assert not seen.done()
        await _write(api, _slice("s", "lb", {"a": False, "b": False}))
        assert await seen >= other.result()


async def test_services_are_complete_when_all_their_endpoints_are_ready() -> None:
    """Counted over all slices of each Service: one's surplus makes up for nothing."""
    api = FakeKube()
    api.add(ENDPOINT_SLICES, _slice("s-0", "lb", {"a": True, "b": True, "c": True}))
    api.add(ENDPOINT_SLICES, _slice("t-0", "db", {"x": False}))
    wanted = {"lb": 2, "db": 1}
    async with asyncio.timeout(10), _watching(api) as slices:
        complete = asyncio.create_task(slices.until_complete(wanted, 10))
        seen = slices.expect("c", ready=False)
        await _write(api, _slice("s-0", "lb", {"a": True, "b": True, "c": False}))
        await seen
        assert not complete.done()
        await _write(api, _slice("t-0", "db", {"x": True}))
        await complete


async def test_services_that_stay_incomplete_are_named() -> None:
    """The person at the terminal is told which, not only that it took too long."""
    api = FakeKube()
    api.add(ENDPOINT_SLICES, _slice("s-0", "lb", {"a": True}))
    async with asyncio.timeout(10), _watching(api) as slices:
        with pytest.raises(LabError, match="1 of 2 Services did not get their endpoints.*: db"):
            await slices.until_complete({"lb": 1, "db": 1}, 0.05)
