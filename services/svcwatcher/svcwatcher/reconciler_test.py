"""Tests of svcwatcher against an API server in memory: state in, state out."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import pytest

from danm_api import labels
from danm_api.codec.danmep import encode_danmep
from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.codec.endpoints import decode_endpoints
from danm_api.errors import ApiError, ApiUnavailableError, ConflictError
from danm_api.kube.api import (
    DANMEPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    PODS,
    SERVICES,
    RawObject,
    Resource,
)
from danm_api.kube.events import EventRecorder
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.service import IpFamily, Service
from danm_api.names import ContainerId, InterfaceName, NetworkName, NodeName, ServiceName
from danm_api.testing.fake_kube import FakeKube
from svcwatcher.index import ServiceKey
from svcwatcher.observation import Observation
from svcwatcher.reconciler import Reconciler
from svcwatcher.selection import Selection
from svcwatcher.slicing import MANAGED_BY, slice_name
from svcwatcher.testing import NAMESPACE, a_pod, a_service, raw_pod, raw_service
from svcwatcher.views import PodView
from svcwatcher.writer import FOREIGN_RETRY_S, Writer

V4 = (IpFamily.IPV4,)


@dataclass
class Clock:
    """Monotonic seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the present moment."""
        return self.now


@dataclass
class Cluster:
    """An API server in memory, and what the tests do to it and read from it."""

    api: FakeKube = field(default_factory=FakeKube)

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

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)


def a_reconciler(
    cluster: Cluster,
    observation: Observation,
    *,
    write_endpoints: bool = True,
    clock: Callable[[], float] = time.monotonic,
    min_write_interval_s: float = 0.0,
) -> Reconciler:
    """Build a reconciler of a cluster."""
    return Reconciler(
        observation,
        Writer(cluster.api, clock=clock),
        EventRecorder(cluster.api, component="svcwatcher", instance="test", clock=clock),
        write_endpoints=write_endpoints,
        min_write_interval_s=min_write_interval_s,
        clock=clock,
    )


@asynccontextmanager
async def leading(cluster: Cluster, *, write_endpoints: bool = True) -> AsyncIterator[None]:
    """Run a svcwatcher that leads, without a pause between writes."""
    observation = Observation(cluster.api, follow_endpoints=True)
    reconciler = a_reconciler(cluster, observation, write_endpoints=write_endpoints)
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
    reconciler = a_reconciler(cluster, observation, clock=clock, min_write_interval_s=1.0)
    task = asyncio.create_task(observation.run())
    await observation.wait_synced(5)
    try:
        yield reconciler, observation, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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


async def test_a_service_is_found_at_the_addresses_of_its_network() -> None:
    """The same Pods are found by one Service on one network, by another on another."""
    # SPEC S1
    cluster = Cluster()
    cluster.serve(a_service("internal-lb", uid="1"))
    cluster.serve(a_service("external-svc", network="external", uid="2"))
    pod = a_pod("lb-0")
    cluster.run_pod(pod, "10.240.1.100", "fd00::100")
    cluster.run_pod(pod, "10.100.20.10", network="external")
    cluster.run_pod(a_pod("other", labels={"app": "db"}), "10.240.1.101")
    async with leading(cluster):
        await cluster.until(
            lambda: cluster.found("internal-lb") == ["10.240.1.100", "fd00::100"]
            and cluster.found("external-svc") == ["10.100.20.10"]
            and cluster.endpoints("external-svc") == (["10.100.20.10"], [])
        )


async def test_look_ups_follow_readiness_deletion_mark_and_end() -> None:
    """A Pod is found while it is ready and not about to go."""
    # SPEC S1, S2
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("lb-0", ready=False), "10.0.0.1")
    cluster.run_pod(a_pod("lb-1"), "10.0.0.2")
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.2"], ["10.0.0.1"]))
        await cluster.set_ready("lb-0", ready=True)
        await cluster.until(lambda: cluster.found() == ["10.0.0.1", "10.0.0.2"])
        cluster.api.mark_deleted(PODS, "lb-1", namespace=NAMESPACE)
        await cluster.until(lambda: cluster.found(ready=False) == ["10.0.0.2"])
        await cluster.api.delete(PODS, "lb-1", namespace=NAMESPACE)
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        await cluster.api.delete(DANMEPS, "lb-0-internal", namespace=NAMESPACE)
        await cluster.until(lambda: cluster.endpoints() == ([], []))
    assert cluster.found() == []


async def test_labels_that_change_move_a_pod_between_services() -> None:
    """The Pod's labels decide, whenever they change."""
    # SPEC S1
    cluster = Cluster()
    cluster.serve(a_service("one", selector={"role": "a"}, uid="1"))
    cluster.serve(a_service("two", selector={"role": "b"}, uid="2"))
    cluster.run_pod(a_pod("p", labels={"role": "a"}), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.found("one") == ["10.0.0.1"])
        await cluster.change(PODS, "p", {"metadata": {"labels": {"role": "b"}}})
        await cluster.until(
            lambda: (cluster.found("one"), cluster.found("two")) == ([], ["10.0.0.1"])
        )


async def test_one_bad_annotation_stops_nobody_else() -> None:
    """The bad Service gets an Event, and the others are served.

    In the program of 2019 one bad annotation stopped the matching of all the rest.
    """
    # SPEC S4
    cluster = Cluster()
    cluster.serve(a_service("a-bad", selector="{app: lb}", uid="1"))
    cluster.serve(a_service("lb", uid="2"))
    cluster.serve(a_service("z-bad", network="", uid="3"))
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.found() == ["10.0.0.1"] and len(cluster.events()) == 2)
    assert [(name, reason) for name, reason, _ in cluster.events()] == [
        ("a-bad", "InvalidAnnotation"),
        ("z-bad", "InvalidAnnotation"),
    ]


async def test_a_bad_edit_removes_the_endpoints_until_it_is_corrected() -> None:
    """Endpoints that follow nothing would soon be wrong, so they go, with an Event."""
    # SPEC S4, docs of svcwatcher
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1")
    good = raw_service(a_service())["metadata"]["annotations"]
    async with leading(cluster):
        await cluster.until(lambda: cluster.found() == ["10.0.0.1"])
        broken = {key: "{" for key in good if key.endswith("selector")}
        await cluster.change(SERVICES, "lb", {"metadata": {"annotations": broken}})
        await cluster.until(lambda: not cluster.api.all_stored(ENDPOINT_SLICES))
        await cluster.until(lambda: cluster.endpoints() is None)
        await cluster.change(SERVICES, "lb", {"metadata": {"annotations": good}})
        await cluster.until(lambda: cluster.found() == ["10.0.0.1"])
        await cluster.until(lambda: len(cluster.events()) == 1)


async def test_what_was_made_goes_when_the_annotations_go() -> None:
    """A Service that stops asking keeps nothing of ours."""
    # SPEC S2
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1", "fd00::1")
    async with leading(cluster):
        await cluster.until(lambda: len(cluster.found()) == 2 and cluster.endpoints() is not None)
        gone = dict.fromkeys(raw_service(a_service())["metadata"]["annotations"])
        await cluster.change(SERVICES, "lb", {"metadata": {"annotations": gone}})
        await cluster.until(lambda: not cluster.api.all_stored(ENDPOINT_SLICES))
        await cluster.until(lambda: cluster.endpoints() is None)
    assert cluster.events() == []


async def test_what_was_made_goes_with_the_service() -> None:
    """Also where no garbage collector runs."""
    # SPEC S2
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        await cluster.api.delete(SERVICES, "lb", namespace=NAMESPACE)
        await cluster.until(
            lambda: not cluster.api.all_stored(ENDPOINT_SLICES) and cluster.endpoints() is None
        )


async def test_a_restart_converges_from_whatever_happened_meanwhile() -> None:
    """Stale, missing and left-over objects are put right at the start, nothing else is written."""
    # SPEC S3
    cluster = Cluster()
    for name, uid in (("lb", "1"), ("same", "2"), ("gone", "3"), ("quit", "4")):
        cluster.serve(a_service(name, uid=uid, families=V4))
    cluster.run_pod(a_pod("p"), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(
            lambda: all(
                cluster.endpoints(name) == (["10.0.0.1"], [])
                for name in ("lb", "same", "gone", "quit")
            )
        )
    same_slice = slice_name(a_service("same", uid="2"), IpFamily.IPV4, 0)
    same = [(ENDPOINTS, "same"), (ENDPOINT_SLICES, same_slice)]
    before = [cluster.api.stored(*which, namespace=NAMESPACE) for which in same]
    await cluster.api.delete(SERVICES, "gone", namespace=NAMESPACE)
    none = dict.fromkeys(raw_service(a_service())["metadata"]["annotations"])
    await cluster.change(SERVICES, "quit", {"metadata": {"annotations": none}})
    await cluster.api.delete(ENDPOINTS, "lb", namespace=NAMESPACE)
    name = slice_name(a_service("lb", uid="1"), IpFamily.IPV4, 0)
    await cluster.change(ENDPOINT_SLICES, name, {"endpoints": [{"addresses": ["10.9.9.9"]}]})
    async with leading(cluster):
        await cluster.until(
            lambda: (cluster.found("gone"), cluster.found("quit")) == ([], [])
            and cluster.endpoints("gone") is None
            and cluster.endpoints("quit") is None
            and cluster.found("lb") == ["10.0.0.1"]
            and cluster.endpoints("lb") == (["10.0.0.1"], [])
        )
    assert [cluster.api.stored(*which, namespace=NAMESPACE) for which in same] == before


async def test_damage_by_others_is_repaired() -> None:
    """What somebody does to our objects is undone, since state counts and not events."""
    # SPEC S3
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    name = slice_name(a_service(), IpFamily.IPV4, 0)
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        await cluster.api.delete(ENDPOINT_SLICES, name, namespace=NAMESPACE)
        await cluster.until(lambda: cluster.found() == ["10.0.0.1"])
        await cluster.change(ENDPOINTS, "lb", {"subsets": None})
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        mirrored = {"endpointslice.kubernetes.io/skip-mirror": None}
        await cluster.change(ENDPOINTS, "lb", {"metadata": {"labels": mirrored}})
        await cluster.until(
            lambda: decode_endpoints(
                cluster.api.stored(ENDPOINTS, "lb", namespace=NAMESPACE) or {}
            ).skip_mirror
        )


async def test_objects_of_others_are_never_touched() -> None:
    """Foreign Services, Endpoints and slices stay as they are; the author is told."""
    # SPEC S2
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1")
    foreign = [
        (ENDPOINTS, a_foreign(ENDPOINTS, "lb")),
        (ENDPOINTS, a_foreign(ENDPOINTS, "plain")),
        (
            ENDPOINT_SLICES,
            a_foreign(ENDPOINT_SLICES, "mirrored", labels={"kubernetes.io/service-name": "lb"}),
        ),
        (SERVICES, raw_service(replace(a_service("plain"), annotations={}), uid="9")),
    ]
    before = [cluster.api.add(resource, raw) for resource, raw in foreign]
    async with leading(cluster):
        await cluster.until(lambda: "10.0.0.1" in cluster.found() and len(cluster.events()) == 1)
        await cluster.set_ready("lb-0", ready=False)
        await cluster.until(lambda: cluster.found(ready=False) == ["10.0.0.1"])
    after = [
        cluster.api.stored(resource, raw["metadata"]["name"], namespace=NAMESPACE)
        for resource, raw in foreign
    ]
    assert after == before
    ((name, reason, note),) = cluster.events()
    assert (name, reason) == ("lb", "NameTaken")
    assert "kubectl delete endpoints lb" in note


async def test_endpoints_that_kubernetes_took_over_are_its_own() -> None:
    """A Service that gains a selector loses our slices; the Endpoints are Kubernetes' by then."""
    # DESIGN "Controllers", SPEC S2
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        taken = {
            "metadata": {
                "labels": {
                    labels.MANAGED_BY: None,
                    "endpointslice.kubernetes.io/skip-mirror": None,
                }
            },
            "subsets": [{"addresses": [{"ip": "10.244.0.7"}]}],
        }
        await cluster.change(ENDPOINTS, "lb", taken)
        await cluster.change(SERVICES, "lb", {"spec": {"selector": {"app": "lb"}}})
        await cluster.until(
            lambda: not cluster.api.all_stored(ENDPOINT_SLICES) and len(cluster.events()) > 0
        )
    assert cluster.endpoints() == (["10.244.0.7"], [])


@pytest.mark.parametrize("took_effect", [False, True])
async def test_failed_writes_are_tried_again(*, took_effect: bool) -> None:
    """No failure and no lost answer leaves a Service behind.

    The program of 2019 never tried an update of Endpoints again.
    """
    # SPEC S3
    cluster = Cluster()
    unavailable = ApiUnavailableError("no answer", status=0)
    for kind in (ENDPOINT_SLICES, ENDPOINTS):
        cluster.api.fail_next("create", kind, unavailable, took_effect=took_effect)
        cluster.api.fail_next("replace", kind, unavailable, times=2, took_effect=took_effect)
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        await cluster.set_ready("lb-0", ready=False)
        await cluster.until(lambda: cluster.endpoints() == ([], ["10.0.0.1"]))
    assert (cluster.found(), cluster.found(ready=False)) == ([], ["10.0.0.1"])


async def test_a_refused_write_becomes_an_event() -> None:
    """What the API server refuses for good is told to the Service's author."""
    # DESIGN P7
    cluster = Cluster()
    cluster.api.fail_next("create", ENDPOINT_SLICES, ApiError("quota used up", status=403))
    cluster.serve(a_service())
    async with leading(cluster):
        await cluster.until(lambda: len(cluster.events()) == 1)
        await cluster.until(lambda: cluster.endpoints() == ([], []))
    assert "quota used up" in cluster.events()[0][2]


async def test_a_lost_watch_loses_no_event() -> None:
    """After a 410 the cluster is read again and what was missed takes effect."""
    # DESIGN "Controllers"
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.found() == ["10.0.0.1"])
        await cluster.set_ready("lb-0", ready=False)
        cluster.api.compact()
        await cluster.until(lambda: cluster.found(ready=False) == ["10.0.0.1"])


async def test_without_endpoints_those_of_before_are_removed() -> None:
    """``--endpoints=never`` leaves slices only, also of Services that had both."""
    # DESIGN "Controllers"
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
    async with leading(cluster, write_endpoints=False):
        await cluster.until(lambda: cluster.endpoints() is None)
    assert cluster.found() == ["10.0.0.1"]


async def test_a_replica_that_does_not_lead_writes_nothing() -> None:
    """It only follows the cluster."""
    # SPEC S3
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with stepping(cluster) as (_, observation, _clock):
        await cluster.set_ready("lb-0", ready=False)
        await cluster.until(lambda: bool(observation.all_keys()))
    assert cluster.writes() == 0


async def test_a_service_is_written_at_once_and_then_once_a_second() -> None:
    """A Deployment whose Pods all change costs one write a second, and the last one counts."""
    # DESIGN "Controllers"
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    cluster.run_pod(a_pod("p1"), "10.0.0.2")
    async with stepping(cluster) as (reconciler, observation, clock):
        await reconciler.reconcile(KEY)
        assert cluster.found() == ["10.0.0.1", "10.0.0.2"]
        await cluster.until(lambda: len(observation.observed(KEY).slices) == 1)
        await cluster.until(lambda: observation.observed(KEY).endpoints is not None)
        written = cluster.writes()
        await cluster.set_ready("p0", ready=False)
        clock.now += 0.5
        await cluster.until(lambda: not all(m.pod.ready for m in observation.members(SELECTION)))
        await reconciler.reconcile(KEY)
        assert cluster.writes() == written
        clock.now += 0.5
        await reconciler.reconcile(KEY)
        assert cluster.found() == ["10.0.0.2"]


async def test_a_write_on_an_outdated_view_conflicts_and_converges() -> None:
    """Two replicas in a hand-over: the later one does not undo what it has not seen."""
    # SPEC S3, STYLE question 9
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with stepping(cluster) as (reconciler, observation, clock):
        await reconciler.reconcile(KEY)
        clock.now += 2
        # The watch has not told yet: creating again meets the object that is there.
        if not observation.observed(KEY).slices:
            with pytest.raises(ConflictError):
                await reconciler.reconcile(KEY)
        await cluster.until(lambda: observation.observed(KEY).endpoints is not None)
        clock.now += 2
        before = cluster.writes()
        await reconciler.reconcile(KEY)
        assert (cluster.writes(), cluster.found()) == (before, ["10.0.0.1"])


async def test_a_taken_name_is_tried_again_after_a_while() -> None:
    """When the foreign object has gone, ours takes its place."""
    # SPEC S2
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.api.add(ENDPOINTS, a_foreign(ENDPOINTS, "lb"))
    async with stepping(cluster) as (reconciler, observation, clock):
        await reconciler.reconcile(KEY)
        await cluster.until(lambda: len(observation.observed(KEY).slices) == 1)
        await cluster.api.delete(ENDPOINTS, "lb", namespace=NAMESPACE)
        clock.now += FOREIGN_RETRY_S - 1
        await reconciler.reconcile(KEY)
        assert cluster.endpoints() is None
        clock.now += 1
        await reconciler.reconcile(KEY)
        assert cluster.endpoints() == ([], [])


async def test_slices_carry_the_label_by_which_they_are_found_again() -> None:
    """A replica knows by label alone what svcwatcher made."""
    # SPEC S2
    cluster = Cluster()
    cluster.serve(a_service())
    async with leading(cluster):
        await cluster.until(lambda: bool(cluster.api.all_stored(ENDPOINT_SLICES)))
    listed = await cluster.api.list(
        ENDPOINT_SLICES,
        label_selector=f"endpointslice.kubernetes.io/managed-by={MANAGED_BY}",
    )
    assert len(listed.items) == 1
