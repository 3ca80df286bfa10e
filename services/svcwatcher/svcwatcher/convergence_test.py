"""Random events, failures, lost watches and two leaders at once; then quiet, and all is right.

What is right is computed by a separate, slow model that walks over all objects in their JSON form.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest

from danm_api.errors import ApiUnavailableError, ConflictError, NotFoundError
from danm_api.kube.api import DANMEPS, ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES, RawObject
from danm_api.model.service import IpFamily
from danm_api.testing.service_builders import NAMESPACE, a_pod, a_service, raw_pod, raw_service
from svcwatcher.testing.cluster import Cluster, a_foreign, leading

ROUNDS = 120
SERVICE_NAMES = ("s0", "s1", "s2")
POD_NAMES = tuple(f"p{number}" for number in range(6))
APPS = ("x", "y")

# service -> (ready addresses, other addresses)
Answers = dict[str, tuple[list[str], list[str]]]

# The address of a Pod, whether it is ready, and whether it is about to go.
Found = tuple[str, bool, bool]


def slow_model(cluster: Cluster, *, legacy: bool = False) -> Answers:
    """Compute all answers by walking over everything.

    Endpoints (``legacy``) do not hold what is about to go, unless it counts as ready.
    """
    return {
        service["metadata"]["name"]: (
            sorted(a for a, ready, _ in found if ready),
            sorted(a for a, ready, going in found if not ready and not (legacy and going)),
        )
        for service in cluster.api.all_stored(SERVICES)
        if (found := slow_endpoints(cluster, service)) is not None
    }


def slow_endpoints(cluster: Cluster, service: RawObject) -> set[Found] | None:
    """Return what a Service selects; None when it is not served."""
    annotations = service["metadata"].get("annotations") or {}
    try:
        selector = json.loads(annotations["danm.k8s.io/selector"])
        network = annotations["danm.k8s.io/network"]
    except (KeyError, ValueError):
        return None
    if service["spec"]["clusterIP"] != "None" or service["spec"].get("selector"):
        return None
    tolerant = service["spec"].get("publishNotReadyAddresses", False)
    return {
        (address.split("/")[0], tolerant or is_ready(pod), is_going(pod))
        for pod in cluster.api.all_stored(PODS)
        if selector.items() <= (pod["metadata"].get("labels") or {}).items()
        and pod["status"]["phase"] != "Succeeded"
        for endpoint in cluster.api.all_stored(DANMEPS)
        if endpoint["metadata"]["labels"]["danm.k8s.io/pod-uid"] == pod["metadata"]["uid"]
        and endpoint["spec"]["NetworkID"] == network
        for address in [endpoint["spec"]["Interface"]["Address"]]
    }


def is_ready(pod: RawObject) -> bool:
    """Say whether a Pod is ready and stays."""
    ready = any(c["status"] == "True" for c in pod["status"]["conditions"])
    return ready and not is_going(pod)


def is_going(pod: RawObject) -> bool:
    """Say whether a Pod carries its deletion mark."""
    return "deletionTimestamp" in pod["metadata"]


def written(cluster: Cluster) -> Answers:
    """Return what look-ups answer for each Service that has a slice of ours."""
    served = {
        raw["metadata"]["labels"]["kubernetes.io/service-name"]
        for raw in cluster.api.all_stored(ENDPOINT_SLICES)
        if raw["metadata"]["name"] != "foreign"
    }
    return {name: (cluster.found(name), cluster.found(name, ready=False)) for name in served}


def legacy(cluster: Cluster) -> Answers:
    """Return what Endpoints of ours say."""
    names = {raw["metadata"]["name"] for raw in cluster.api.all_stored(ENDPOINTS)} - {"foreign"}
    answers = {name: cluster.endpoints(name) for name in names}
    return {name: (sorted(a[0]), sorted(a[1])) for name, a in answers.items() if a is not None}


class Chaos:
    """Does something at random; what an object's state forbids is not done."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.cluster = cluster
        self.random = random
        self.uids = 0
        self.addresses = 0

    async def step(self) -> None:
        """Do one thing."""
        doing = self.random.choice(
            [
                self.create_service,
                self.edit_service,
                self.create_pod,
                self.create_pod,
                self.change_pod,
                self.change_pod,
                self.delete_something,
                self.damage,
                self.fail,
            ]
        )
        try:
            await doing()
        except (ApiUnavailableError, ConflictError, NotFoundError):
            # Also a failure that was meant for svcwatcher.
            return

    async def create_service(self) -> None:
        """A Service appears, perhaps one of a name that was there."""
        self.uids += 1
        service = a_service(
            self.random.choice(SERVICE_NAMES),
            uid=f"s{self.uids}",
            selector={"app": self.random.choice(APPS)},
            network=self.random.choice(["internal", "external"]),
            families=(IpFamily.IPV4,),
            publish_not_ready=self.random.random() < 0.2,
        )
        self.cluster.api.add(SERVICES, raw_service(service, uid=service.uid))

    async def edit_service(self) -> None:
        """A Service asks for something else, or for nothing that makes sense."""
        patch: dict[str, Any] = self.random.choice(
            [
                {"metadata": {"annotations": {"danm.k8s.io/selector": '{"app":"y"}'}}},
                {"metadata": {"annotations": {"danm.k8s.io/selector": "{"}}},
                {"metadata": {"annotations": {"danm.k8s.io/network": "external"}}},
                {"metadata": {"annotations": {"danm.k8s.io/network": None}}},
                {"spec": {"selector": {"app": "x"}}},
                {"spec": {"selector": None}},
            ]
        )
        await self.cluster.change(SERVICES, self.random.choice(SERVICE_NAMES), patch)

    async def create_pod(self) -> None:
        """A Pod appears with one or two interfaces."""
        self.uids += 1
        name = self.random.choice(POD_NAMES)
        pod = a_pod(
            name,
            uid=f"p{self.uids}",
            labels={"app": self.random.choice(APPS)},
            ready=self.random.random() < 0.7,
        )
        self.cluster.api.add(PODS, raw_pod(pod))
        for network in self.random.sample(["internal", "external"], self.random.randint(1, 2)):
            self.addresses += 1
            self.cluster.run_pod(pod, f"10.0.0.{self.addresses}", network=network)

    async def change_pod(self) -> None:
        """A Pod's readiness, labels or phase change, or it gets its deletion mark."""
        name = self.random.choice(POD_NAMES)
        match self.random.randint(0, 3):
            case 0:
                await self.cluster.set_ready(name, ready=self.random.random() < 0.5)
            case 1:
                labels = {"app": self.random.choice(APPS)}
                await self.cluster.change(PODS, name, {"metadata": {"labels": labels}})
            case 2:
                await self.cluster.change(PODS, name, {"status": {"phase": "Succeeded"}})
            case _:
                self.cluster.api.mark_deleted(PODS, name, namespace=NAMESPACE)

    async def delete_something(self) -> None:
        """A Service, a Pod or an interface goes."""
        resource = self.random.choice([SERVICES, PODS, DANMEPS])
        stored = self.cluster.api.all_stored(resource)
        if stored:
            name = self.random.choice(stored)["metadata"]["name"]
            await self.cluster.api.delete(resource, name, namespace=NAMESPACE)

    async def damage(self) -> None:
        """Somebody deletes or empties what svcwatcher made."""
        resource = self.random.choice([ENDPOINT_SLICES, ENDPOINTS])
        names = {raw["metadata"]["name"] for raw in self.cluster.api.all_stored(resource)}
        names.discard("foreign")
        if names:
            name = self.random.choice(sorted(names))
            await self.cluster.api.delete(resource, name, namespace=NAMESPACE)

    async def fail(self) -> None:
        """A write fails, or its answer is lost; or watches end, or their history is forgotten."""
        error = ApiUnavailableError("no answer", status=0)
        match self.random.randint(0, 3):
            case 0:
                self.cluster.api.compact()
            case 1:
                self.cluster.api.end_watches()
            case _:
                for verb in ("create", "replace", "delete"):
                    self.cluster.api.fail_next(
                        verb,
                        self.random.choice([ENDPOINT_SLICES, ENDPOINTS]),
                        error,
                        took_effect=self.random.random() < 0.5,
                    )


@pytest.mark.parametrize("seed", range(6))
async def test_after_quiet_the_world_is_what_the_objects_say(seed: int) -> None:
    """Whatever happened, answers follow from Services, Pods and interfaces alone."""
    # SPEC S1 to S4
    cluster = Cluster()
    random = Random(seed)
    chaos = Chaos(cluster, random)
    foreign = [
        cluster.api.add(resource, a_foreign(resource, "foreign"))
        for resource in (ENDPOINT_SLICES, ENDPOINTS)
    ]
    async with AsyncExitStack() as replicas:
        await replicas.enter_async_context(leading(cluster))
        # Two that believe to lead, as for a moment after one of them was frozen.
        await replicas.enter_async_context(leading(cluster))
        for _ in range(ROUNDS):
            await chaos.step()
            for _ in range(random.randint(0, 20)):
                await asyncio.sleep(0)
        await cluster.until(
            lambda: slow_model(cluster) == written(cluster)
            and slow_model(cluster, legacy=True) == legacy(cluster),
            timeout_s=15,
        )
    kept = [
        cluster.api.stored(resource, "foreign", namespace=NAMESPACE)
        for resource in (ENDPOINT_SLICES, ENDPOINTS)
    ]
    assert kept == foreign
