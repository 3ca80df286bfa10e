"""Tests of svcwatcher against an API server in memory: state in, state out."""

import asyncio
from dataclasses import replace

from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import (
    DANMEPS,
    DANMNETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    PODS,
    SERVICES,
)
from danm_api.membership.selection import Selection
from danm_api.model.service import IpFamily
from danm_api.names import ServiceName
from danm_api.testing.hangs import HANGS_S
from danm_api.testing.service_builders import (
    NAMESPACE,
    a_network,
    a_pod,
    a_selection,
    a_service,
    raw_network,
    raw_service,
)
from svcwatcher.absence import GRACE_S
from svcwatcher.index import ServiceKey
from svcwatcher.observation import Observation
from svcwatcher.slicing import slice_name
from svcwatcher.testing.cluster import KEY, SELECTION, Cluster, a_reconciler, leading, stepping

V4 = (IpFamily.IPV4,)
OTHER = ServiceKey(namespace=NAMESPACE, name=ServiceName("other"))


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


async def test_an_event_that_was_lost_is_told_again() -> None:
    """An Event is all that the Service's author hears: it does not stay with one that failed."""
    # SPEC S4, DESIGN P7
    cluster = Cluster()
    cluster.serve(a_service("a-bad", selector="{app: lb}", uid="1"))
    cluster.api.fail_next("create", EVENTS, ApiUnavailableError("no answer", status=0))
    async with leading(cluster):
        await cluster.until(lambda: len(cluster.events()) == 1)
        await cluster.until(lambda: cluster.api.calls["create", "events"] == 2)


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


async def test_nobodys_slices_wait_for_endpoints() -> None:
    """Where many Services change at once, all look-ups are right before the deprecated objects."""
    # DESIGN "Controllers", P6
    cluster = Cluster()
    for number in range(10):
        cluster.serve(a_service(f"lb-{number}", uid=f"{number}", families=V4))
    cluster.run_pod(a_pod(), "10.0.0.1")
    gate = cluster.api.hold_next("create", ENDPOINTS)
    async with asyncio.timeout(HANGS_S), leading(cluster, concurrency=1):
        await gate.reached.wait()
        assert len(cluster.api.all_stored(ENDPOINT_SLICES)) == 10
        gate.open()
        await cluster.until(lambda: len(cluster.api.all_stored(ENDPOINTS)) == 10)


async def test_endpoints_let_other_services_go_first_once() -> None:
    """They are written in the end also where others, and the Service itself, never come to rest."""
    # DESIGN "Controllers"
    cluster = Cluster()
    cluster.serve(a_service(families=V4))
    for name in ("busy", "waiting"):
        cluster.serve(a_service(name, selector={"app": name}, uid=name, families=V4))
        cluster.run_pod(a_pod(name, labels={"app": name}), "10.9.9.9")
    cluster.run_pod(a_pod("p0"), "10.0.0.1")
    cluster.run_pod(a_pod("p1"), "10.0.0.2")
    observation = Observation(cluster.api, follow_endpoints=True)
    reconciler = a_reconciler(cluster, observation, concurrency=1)

    async def not_ready(pod: str, selection: Selection) -> None:
        await cluster.set_ready(pod, ready=False)
        await cluster.until(
            lambda: not any(
                m.pod.ready for m in observation.members(selection) if m.pod.name == pod
            )
        )

    tasks = [asyncio.create_task(observation.run()), asyncio.create_task(reconciler.lead())]
    await cluster.until(lambda: len(cluster.api.all_stored(ENDPOINTS)) == 3)
    gate = cluster.api.hold_next("replace", ENDPOINT_SLICES)
    for name in ("busy", "waiting"):
        await not_ready(name, replace(SELECTION, labels=(("app", name),)))
    await gate.reached.wait()
    await not_ready("p0", SELECTION)
    await reconciler.reconcile(KEY)
    assert cluster.found() == ["10.0.0.2"]
    assert cluster.endpoints() == (["10.0.0.1", "10.0.0.2"], [])
    await not_ready("p1", SELECTION)
    await reconciler.reconcile(KEY)
    assert cluster.endpoints() == ([], ["10.0.0.1", "10.0.0.2"])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_missing_network_is_told_once_and_endpoints_follow_when_it_comes() -> None:
    """Its author learns which DanmNet is missing, unless it comes right after its Service."""
    # SPEC S4, DESIGN P7
    cluster = Cluster()
    cluster.serve(a_service(network="late"))
    cluster.serve(a_service("other", uid="2"))
    late = a_selection("late", app="lb")
    async with stepping(cluster) as (reconciler, observation, clock):
        await reconciler.reconcile(KEY)
        clock.now += GRACE_S - 0.1
        await reconciler.reconcile(KEY)
        assert cluster.events() == []
        for _ in range(3):
            clock.now += GRACE_S
            await reconciler.reconcile(KEY)
            await reconciler.reconcile(OTHER)
        assert [(name, reason) for name, reason, _ in cluster.events()] == [
            ("lb", "NetworkNotFound")
        ]
        cluster.api.add(DANMNETS, raw_network("late"))
        cluster.run_pod(a_pod(), "10.0.0.1", network="late")
        await cluster.until(lambda: observation.network(late) is not None)
        await cluster.until(lambda: bool(list(observation.members(late))))
        await reconciler.reconcile(KEY)
        assert cluster.found() == ["10.0.0.1"]
        # What its Pods have is found also while it waits for them.
        cluster.api.mark_deleted(DANMNETS, "late", namespace=NAMESPACE)
        await cluster.until(lambda: observation.network(late) != a_network("late"))
        await reconciler.reconcile(KEY)
        assert (cluster.found(), len(cluster.events())) == (["10.0.0.1"], 1)
        clock.now += GRACE_S
        await reconciler.reconcile(KEY)
    assert cluster.found() == ["10.0.0.1"]
    assert {reason for _, reason, _ in cluster.events()} == {
        "NetworkNotFound",
        "NetworkBeingDeleted",
    }


async def test_a_network_that_stays_away_is_told_without_another_event() -> None:
    """A Service of which nothing is heard is looked at again when its time is over."""
    # SPEC S4
    cluster = Cluster()
    cluster.serve(a_service(network="none"))
    async with leading(cluster, grace_s=0.05):
        await cluster.until(lambda: [e[1] for e in cluster.events()] == ["NetworkNotFound"])


async def test_all_that_is_wrong_is_told() -> None:
    """A network that is gone does not hide what else keeps a Pod from being found."""
    # DESIGN P7
    cluster = Cluster()
    cluster.serve(a_service(network="none"))
    cluster.run_pod(a_pod(), "169.254.3.4", network="none")
    async with leading(cluster, grace_s=0):
        await cluster.until(
            lambda: {e[1] for e in cluster.events()} == {"NetworkNotFound", "AddressNotPublished"}
        )


async def test_a_replica_that_leads_again_knows_nothing_of_absences_of_before() -> None:
    """Services may have gone while another one led; nothing of them stays in memory."""
    # DESIGN P6
    cluster = Cluster()
    cluster.serve(a_service(network="none"))
    async with stepping(cluster) as (reconciler, _observation, clock):
        leads = asyncio.create_task(reconciler.lead())
        await cluster.until(lambda: cluster.endpoints() == ([], []))
        leads.cancel()
        await asyncio.gather(leads, return_exceptions=True)
        clock.now += GRACE_S
        await reconciler.reconcile(KEY)
    assert cluster.events() == []


async def test_a_service_that_goes_is_not_told_of_its_network() -> None:
    """Nothing of it stays in memory, and another one of its name has its time again."""
    # DESIGN P6
    cluster = Cluster()
    cluster.serve(a_service(network="none"))
    async with stepping(cluster) as (reconciler, observation, clock):
        await reconciler.reconcile(KEY)
        await cluster.api.delete(SERVICES, "lb", namespace=NAMESPACE)
        await cluster.until(lambda: observation.observed(KEY).service is None)
        await reconciler.reconcile(KEY)
        clock.now += GRACE_S
        cluster.serve(a_service(network="none", uid="s-2"))
        await cluster.until(lambda: observation.observed(KEY).service is not None)
        await reconciler.reconcile(KEY)
    assert cluster.events() == []
