"""Changes are made, and what follows is timed."""

import asyncio

import pytest

from danm_api.errors import NotFoundError
from danm_api.kube.api import ENDPOINT_SLICES, PODS
from danm_api.testing.fake_kube import FakeKube
from tests.lab.bench.controllers.endpoints.cases import Change, Load, Round
from tests.lab.bench.controllers.endpoints.follow import follow
from tests.lab.bench.controllers.endpoints.objects import NAMESPACE, pod_name, pod_object
from tests.lab.bench.controllers.endpoints.slices import Slices
from tests.lab.errors import LabError


async def _copy(api: FakeKube) -> None:
    """Do a controller's part: a slice for each Pod that says what the Pod does."""
    async for event in api.watch(PODS, resource_version="0", namespace=NAMESPACE):
        pod = event.object
        conditions = pod.get("status", {}).get("conditions", [])
        name = pod["metadata"]["name"]
        endpoint = {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": any(each["status"] == "True" for each in conditions)},
            "targetRef": {"kind": "Pod", "name": name},
        }
        said = {"endpoints": [endpoint]}
        try:
            await api.patch(ENDPOINT_SLICES, name, said, namespace=NAMESPACE)
        except NotFoundError:
            metadata = {"namespace": NAMESPACE, "name": name}
            api.add(ENDPOINT_SLICES, {"metadata": metadata, **said})


def _cluster() -> FakeKube:
    api = FakeKube()
    for pod in range(3):
        raw = pod_object(pod)
        api.add(PODS, raw | {"metadata": raw["metadata"] | {"namespace": NAMESPACE}})
    return api


async def test_each_change_of_each_round_is_timed() -> None:
    """A Pod's second change waits for its first, so that both are seen."""
    api = _cluster()
    at_once = [Change(pod=pod, ready=ready) for ready in (True, False) for pod in range(3)]
    load = Load(name="some", rounds=[Round(changes=at_once, lasts_s=0.0)] * 2)
    slices = Slices(api)
    tasks = [asyncio.create_task(each) for each in (slices.run(), _copy(api))]
    async with asyncio.timeout(10):
        found = await follow(api, slices, load)
    for task in tasks:
        task.cancel()
    assert len(found.seen_ms) == len(found.accepted_ms) == load.count == 12
    assert 0 < max(found.seen_ms) <= 1000 * found.busy_s
    (last,) = (s for s in api.all_stored(ENDPOINT_SLICES) if s["metadata"]["name"] == pod_name(0))
    assert last["endpoints"][0]["conditions"]["ready"] is False


async def test_a_change_that_nobody_follows_ends_the_run() -> None:
    """A controller that loses one must not look quick."""
    api = _cluster()
    load = Load(name="one", rounds=[Round(changes=[Change(pod=1, ready=True)], lasts_s=0.0)])
    with pytest.raises(LabError, match="the Pod pod-1 is ready was in no slice within"):
        await follow(api, Slices(api), load, seen_within_s=0.01)
