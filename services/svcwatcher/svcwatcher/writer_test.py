"""Tests of what svcwatcher writes, never touches, and tries again."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Literal

import pytest
from prometheus_client import REGISTRY

from danm_api import labels
from danm_api.codec.endpoint_slice import encode_endpoint_slice
from danm_api.codec.endpoints import decode_endpoints
from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    DanmError,
    InvalidObjectError,
    NotFoundError,
    SeveralErrors,
)
from danm_api.kube.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    RawObject,
)
from danm_api.membership.endpoints import SLICES_MANAGED_BY, Membership, endpoints_object
from danm_api.model.endpoint_slice import Endpoint, EndpointSlice, PodReference
from danm_api.model.service import IpFamily
from danm_api.names import PodName, PodUid
from danm_api.testing.service_builders import NAMESPACE, a_pod, a_service, raw_service
from svcwatcher.index import ServiceKey
from svcwatcher.observation import Observation
from svcwatcher.plan import CreateEndpoints, ServicePlan
from svcwatcher.slicing import SlicePlan, slice_name
from svcwatcher.testing.cluster import (
    KEY,
    SELECTION,
    Cluster,
    a_foreign,
    leading,
    stepping,
)
from svcwatcher.writer import FOREIGN_RETRY_S, Writer

V4 = (IpFamily.IPV4,)


def written(resource: str, verb: str, result: str) -> float:
    """Return how many writes were counted."""
    labels = {"resource": resource, "verb": verb, "result": result}
    return REGISTRY.get_sample_value("danm_svcwatcher_writes_total", labels) or 0.0


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
    refused = written("endpoints", "create", "foreign")
    async with leading(cluster):
        await cluster.until(lambda: "10.0.0.1" in cluster.found() and len(cluster.events()) == 1)
        assert written("endpoints", "create", "foreign") == refused + 1
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


async def test_what_kubernetes_left_behind_is_named_and_left_alone() -> None:
    """A Service that gains a selector and loses it again says why look-ups find more than asked.

    Kubernetes neither keeps up nor removes what it made while the Service had the selector.
    """
    # SPEC S2, DESIGN "Controllers", P7
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        await cluster.change(SERVICES, "lb", {"spec": {"selector": {"app": "lb"}}})
        await cluster.until(
            lambda: not cluster.api.all_stored(ENDPOINT_SLICES) and cluster.endpoints() is None
        )
        left = kubernetes_made(cluster)
        await cluster.change(SERVICES, "lb", {"spec": {"selector": None}})
        await cluster.until(lambda: "10.0.0.1" in cluster.found())
        await cluster.until(
            lambda: {reason for _, reason, _ in cluster.events()}
            == {"InvalidAnnotation", "NameTaken", "OthersAnswerToo"}
        )
        (note,) = (note for _, reason, note in cluster.events() if reason == "OthersAnswerToo")
        assert "kubectl delete endpointslice lb-x7k2p" in note
        assert left == kubernetes_made(cluster)
        # The way out that the Events name.
        for resource, name in ((ENDPOINTS, "lb"), (ENDPOINT_SLICES, "lb-x7k2p")):
            await cluster.api.delete(resource, name, namespace=NAMESPACE)
        await cluster.until(lambda: cluster.found() == ["10.0.0.1"])


def kubernetes_made(cluster: Cluster) -> list[RawObject]:
    """Return what Kubernetes' controllers made for the Service; make it if it is not there."""
    labels_of = {
        ENDPOINTS: {"endpoints.kubernetes.io/managed-by": "endpoint-controller"},
        ENDPOINT_SLICES: {
            "kubernetes.io/service-name": "lb",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
    }
    made = []
    for resource, name in ((ENDPOINTS, "lb"), (ENDPOINT_SLICES, "lb-x7k2p")):
        marks = {**labels_of[resource], "service.kubernetes.io/headless": ""}
        stored = cluster.api.stored(resource, name, namespace=NAMESPACE)
        made.append(stored or cluster.api.add(resource, a_foreign(resource, name, labels=marks)))
    return made


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
    failed = written("endpointslices", "create", "error")
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    async with leading(cluster):
        await cluster.until(lambda: cluster.endpoints() == (["10.0.0.1"], []))
        await cluster.set_ready("lb-0", ready=False)
        await cluster.until(lambda: cluster.endpoints() == ([], ["10.0.0.1"]))
    assert (cluster.found(), cluster.found(ready=False)) == ([], ["10.0.0.1"])
    assert written("endpointslices", "create", "error") == failed + 1


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


async def test_one_change_soon_after_another_is_written_though_the_watch_is_behind() -> None:
    """A replica knows what it wrote before the watch tells, so its next write does not conflict."""
    # SPEC S3, issue 6 (a readiness change is in its slice at once)
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    gates = [cluster.api.hold_next("watch", kind) for kind in (ENDPOINT_SLICES, ENDPOINTS)]
    async with stepping(cluster) as (reconciler, observation, clock):
        await reconciler.reconcile(KEY)
        for ready in (False, True, False):
            await cluster.set_ready("lb-0", ready=ready)
            await until_seen(cluster, observation, ready=ready)
            clock.now += 1
            await reconciler.reconcile(KEY)
            assert cluster.found(ready=ready) == ["10.0.0.1"]
        # What the watch then tells is no news, and what somebody else does is.
        told: list[ServiceKey] = []
        observation.subscribe(told.append)
        for gate in gates:
            gate.open()
        await cluster.change(ENDPOINTS, "lb", {"subsets": None})
        await cluster.until(lambda: told == [KEY])
        clock.now += 1
        await reconciler.reconcile(KEY)
        assert cluster.endpoints() == ([], ["10.0.0.1"])


async def until_seen(cluster: Cluster, observation: Observation, *, ready: bool) -> None:
    """Wait until the readiness of the Pod is known."""
    await cluster.until(lambda: all(m.pod.ready is ready for m in observation.members(SELECTION)))


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
        label_selector=f"endpointslice.kubernetes.io/managed-by={SLICES_MANAGED_BY}",
    )
    assert len(listed.items) == 1


_REFUSAL = InvalidObjectError("an address is none that an endpoint may have")


async def test_a_refused_slice_keeps_nothing_else_away() -> None:
    """One Pod's address in one slice is no reason why others are not found, or found for ever."""
    # SPEC S4, P6
    cluster = Cluster()
    cluster.serve(a_service())
    cluster.run_pod(a_pod(), "10.0.0.1", "2001:db8::1")
    cluster.api.fail_next("create", ENDPOINT_SLICES, _REFUSAL)
    async with stepping(cluster) as (reconciler, _observation, _clock):
        with pytest.raises(InvalidObjectError, match="an address is none"):
            await reconciler.reconcile(KEY)
    assert cluster.found() == ["2001:db8::1"]
    assert cluster.endpoints() == (["10.0.0.1", "2001:db8::1"], [])
    ((name, reason, note),) = cluster.events()
    assert (name, reason) == ("lb", "NotWritten")
    assert _REFUSAL.reason in note


def _slice(index: int, *addresses: str) -> EndpointSlice:
    """Return a slice of the Service that holds one Pod for each address."""
    service = a_service(families=V4)
    return EndpointSlice(
        namespace=service.namespace,
        name=slice_name(service, IpFamily.IPV4, index),
        service=service.name,
        owner=service.uid,
        managed_by=SLICES_MANAGED_BY,
        headless=True,
        family=IpFamily.IPV4,
        endpoints=tuple(
            Endpoint(
                address=ip_address(address),
                ready=True,
                serving=True,
                terminating=False,
                pod=PodReference(name=PodName(address), uid=PodUid(address)),
            )
            for address in addresses
        ),
        ports=service.ports,
    )


def _stored(cluster: Cluster, slice_: EndpointSlice) -> EndpointSlice:
    """Store a slice; return it with its version."""
    raw = cluster.api.add(ENDPOINT_SLICES, encode_endpoint_slice(slice_))
    return replace(slice_, resource_version=raw["metadata"]["resourceVersion"])


@pytest.mark.parametrize("verb", ["create", "replace"])
async def test_nobody_loses_a_slice_before_there_is_another(
    verb: Literal["create", "replace"],
) -> None:
    """What shall move into a slice that is refused stays where it is; the rest is carried out."""
    # SPEC S2
    cluster = Cluster()
    moving = _stored(cluster, _slice(0, "10.0.0.1", "10.0.0.2"))
    gone = _stored(cluster, _slice(1, "10.0.0.3"))
    grown = replace(_stored(cluster, _slice(2)), endpoints=_slice(2, "10.0.0.4").endpoints)
    wanted = _slice(3, "10.0.0.2", "10.0.0.9")
    changes = SlicePlan(creates=(wanted,), replaces=(grown,), deletes=(moving, gone))
    if verb == "replace":
        present = _stored(cluster, _slice(3))
        wanted = replace(present, endpoints=wanted.endpoints)
        changes = replace(changes, creates=(), replaces=(wanted, grown))
    told: list[str] = []
    writer = Writer(cluster.api, lambda written: told.append(written.name))
    cluster.api.fail_next(verb, ENDPOINT_SLICES, _REFUSAL)
    measured: list[bool] = []
    with pytest.raises(InvalidObjectError):
        await writer.write(
            KEY, ServicePlan(slices=changes), slices_written=lambda: measured.append(True)
        )
    assert cluster.found() == ["10.0.0.1", "10.0.0.2", "10.0.0.4"]
    assert (told, measured) == ([grown.name], [])


async def test_a_slice_that_may_not_be_deleted_keeps_nothing_else_away() -> None:
    """An administrator's own policy may refuse that, too."""
    # SPEC S4
    cluster = Cluster()
    first = _stored(cluster, _slice(0, "10.0.0.1"))
    second = _stored(cluster, _slice(1, "10.0.0.2"))
    writer = Writer(cluster.api, lambda _written: None)
    cluster.api.fail_next("delete", ENDPOINT_SLICES, ApiError("a policy says no", status=403))
    with pytest.raises(ApiError, match="a policy says no"):
        await writer.write(KEY, ServicePlan(slices=SlicePlan(deletes=(first, second))))
    assert cluster.found() == ["10.0.0.1"]


async def test_all_refusals_are_told() -> None:
    """And an obstacle that was met meanwhile is remembered."""
    # DESIGN P7
    cluster = Cluster()
    cluster.api.add(ENDPOINTS, a_foreign(ENDPOINTS, "lb"))
    writer = Writer(cluster.api, lambda _written: None)
    cluster.api.fail_next("create", ENDPOINT_SLICES, _REFUSAL)
    cluster.api.fail_next("create", ENDPOINT_SLICES, ApiError("quota used up", status=403))
    wanted = endpoints_object(a_service(), Membership())
    plan = ServicePlan(
        slices=SlicePlan(creates=(_slice(0, "10.0.0.1"), _slice(1, "10.0.0.2"))),
        endpoints=CreateEndpoints(endpoints=wanted),
    )
    with pytest.raises(SeveralErrors, match="an address is none .*; quota used up"):
        await writer.write(KEY, plan)
    assert writer.is_hindered(KEY)


@pytest.mark.parametrize(
    "error",
    [ConflictError("somebody wrote"), NotFoundError("gone"), ApiUnavailableError("?", status=0)],
)
async def test_what_the_next_try_may_mend_stops_this_one(error: DanmError) -> None:
    """The plan is of what is not so any more, or the server is away: no more is written."""
    # SPEC S3
    cluster = Cluster()
    present = _stored(cluster, _slice(0, "10.0.0.1"))
    gone = _stored(cluster, _slice(1, "10.0.0.3"))
    writer = Writer(cluster.api, lambda _written: None)
    cluster.api.fail_next("replace", ENDPOINT_SLICES, error)
    plan = ServicePlan(slices=SlicePlan(replaces=(present,), deletes=(gone,)))
    with pytest.raises(type(error)):
        await writer.write(KEY, plan)
    assert cluster.found() == ["10.0.0.1", "10.0.0.3"]
