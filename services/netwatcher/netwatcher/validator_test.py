"""The validator role against an API server in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from danm_api.codec.danmep import encode_danmep
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import encode_ip_block
from danm_api.errors import ApiUnavailableError, ConflictError, DanmError
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, DANMNETS, EVENTS, RawObject
from danm_api.kube.events import EventRecorder
from danm_api.kube.informer import Informer, ObjectKey
from danm_api.model.danmnet import DanmNet, NetworkSpec, Vlan
from danm_api.names import PodName
from danm_api.testing.builders import (
    NAMESPACE,
    a_block,
    a_danmep,
    a_held_entry,
    a_raw_danmnet,
)
from danm_api.testing.clock import FakeClock
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from netwatcher.network_use import ClusterUseReader
from netwatcher.validator import BY_CLAIM, BY_REFUSED, Validator
from netwatcher.verdict import claim_keys, refused_keys

STANDING = FakeClock()
GOOD: dict[str, Any] = {"host_device": "ens4", "vlan": 300, "cidr": "10.0.0.0/24"}


@dataclass
class Cluster:
    """An API server, and what tests ask of it."""

    api: FakeKube

    async def create(
        self, name: str, *, namespace: str = NAMESPACE, **options: Any  # noqa: ANN401
    ) -> None:
        """Create a DanmNet as a user does."""
        raw = a_raw_danmnet(name, namespace=namespace, **options)
        del raw["metadata"]["resourceVersion"], raw["metadata"]["uid"]
        await self.api.create(DANMNETS, raw, namespace=namespace)

    async def edit(self, name: str, **options: Any) -> None:  # noqa: ANN401
        """Edit Options as a user does."""
        patch = {"spec": {"Options": options}}
        await self.api.patch(DANMNETS, name, patch, namespace=NAMESPACE)

    def raw(self, name: str, namespace: str = NAMESPACE) -> RawObject:
        """Return a DanmNet as stored."""
        raw = self.api.stored(DANMNETS, name, namespace=namespace)
        assert raw is not None
        return raw

    def net(self, name: str, namespace: str = NAMESPACE) -> DanmNet:
        """Return a DanmNet."""
        return decode_danmnet(self.raw(name, namespace))

    def condition(self, name: str, kind: str) -> tuple[bool | None, str]:
        """Return status and message of a condition about the present spec."""
        net = self.net(name)
        found = net.status.condition(kind)
        if found is None or found.observed_generation != net.generation:
            return None, ""
        return found.status, found.message

    def valid(self, name: str) -> bool | None:
        """Return the verdict on the present spec; None before there is one."""
        return self.condition(name, "Valid")[0]

    def spec_in_force(self, name: str) -> NetworkSpec:
        """Return what is in force."""
        applied = self.net(name).status.applied
        assert applied is not None
        return applied

    def events(self) -> list[tuple[str, str]]:
        """Return type and reason of all Events, sorted."""
        stored = self.api.all_stored(EVENTS)
        return sorted((event["type"], event["reason"]) for event in stored)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(HANGS_S):
            while not condition():
                await asyncio.sleep(0.001)


async def nobody_else_leads() -> None:
    """Confirm that the only validator leads."""


@dataclass
class Replica:
    """One validator and its watch."""

    networks: Informer[DanmNet]
    validator: Validator


def a_replica(
    api: FakeKube,
    confirm: Callable[[], Awaitable[None]] = nobody_else_leads,
    now: Callable[[], datetime] = STANDING.now,
) -> Replica:
    """Build a replica that does nothing yet."""
    networks = Informer(
        api,
        DANMNETS,
        decode_danmnet,
        indexers={BY_CLAIM: claim_keys, BY_REFUSED: refused_keys},
    )
    validator = Validator(
        api=api,
        networks=networks,
        use=ClusterUseReader(api),
        events=EventRecorder(api, component="netwatcher-validator", instance="v-0"),
        confirm=confirm,
        now=now,
        use_recheck_s=0.001,
    )
    networks.subscribe(validator.on_network)
    return Replica(networks, validator)


@asynccontextmanager
async def a_validator(
    api: FakeKube, *, watching: bool = True, now: Callable[[], datetime] = STANDING.now
) -> AsyncIterator[None]:
    """Run one replica that leads; without its watch it knows what it read as it began to lead."""
    replica = a_replica(api, now=now)
    tasks = []
    if watching:
        tasks.append(asyncio.create_task(replica.networks.run()))
        await replica.networks.wait_synced(HANGS_S)
    tasks.append(asyncio.create_task(replica.validator.lead()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def synced(replica: Replica) -> AsyncIterator[None]:
    """Let a replica read all DanmNets and follow them."""
    watch = asyncio.create_task(replica.networks.run())
    await replica.networks.wait_synced(HANGS_S)
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


@pytest.fixture()
async def cluster() -> AsyncIterator[Cluster]:
    """Run the validator."""
    api = FakeKube()
    async with a_validator(api):
        yield Cluster(api)


async def test_a_good_network_is_accepted(cluster: Cluster) -> None:
    """Mark, condition, spec in force and an Event."""  # SPEC N1, N5
    await cluster.create("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    assert cluster.raw("internal")["spec"]["Validation"] == "True"
    assert cluster.condition("internal", "Applied")[0] is True
    assert cluster.spec_in_force("internal") == cluster.net("internal").spec
    await cluster.until(lambda: cluster.events() == [("Normal", "Valid")])


async def test_a_bad_network_is_refused_with_the_reason(cluster: Cluster) -> None:
    """The mark says False, the condition says what to do, an Event says the same."""  # SPEC N1
    await cluster.create("internal", allocation_pool={"start": "10.0.0.1", "end": "10.0.0.9"})
    await cluster.until(lambda: cluster.valid("internal") is False)
    assert cluster.raw("internal")["spec"]["Validation"] == "False"
    assert "stands without cidr; set cidr" in cluster.condition("internal", "Valid")[1]
    assert cluster.net("internal").status.applied is None
    await cluster.until(lambda: cluster.events() == [("Warning", "Refused")])


async def test_a_spec_that_does_not_parse_is_refused(cluster: Cluster) -> None:
    """Nothing that a user writes stops the validator."""  # SPEC N1
    await cluster.create("internal", cidr="ten.dot.something")
    await cluster.until(lambda: cluster.valid("internal") is False)
    assert "cidr" in cluster.condition("internal", "Valid")[1]


async def test_a_users_mark_counts_for_nothing(cluster: Cluster) -> None:
    """An exported manifest says Validation: "True", whatever else it says."""  # SPEC A6
    raw = a_raw_danmnet("internal", vlan=300)
    raw["spec"]["Validation"] = "True"
    del raw["metadata"]["resourceVersion"]
    await cluster.api.create(DANMNETS, raw, namespace=NAMESPACE)
    await cluster.until(lambda: cluster.valid("internal") is False)
    assert cluster.raw("internal")["spec"]["Validation"] == "False"
    patch = {"spec": {"Validation": "True"}}
    await cluster.api.patch(DANMNETS, "internal", patch, namespace=NAMESPACE)
    await cluster.until(lambda: cluster.valid("internal") is False)
    assert cluster.raw("internal")["spec"]["Validation"] == "False"


async def test_edits_are_judged_again(cluster: Cluster) -> None:
    """A mistake is put right, and made again."""  # SPEC N1
    await cluster.create("internal", vlan=300)
    await cluster.until(lambda: cluster.valid("internal") is False)
    await cluster.edit("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    accepted = cluster.spec_in_force("internal")
    await cluster.edit("internal", cidr="nonsense")
    await cluster.until(lambda: cluster.valid("internal") is False)
    assert cluster.spec_in_force("internal") == accepted


async def test_the_second_of_two_is_refused_until_the_first_makes_way(cluster: Cluster) -> None:
    """It becomes valid by itself when the first one is deleted."""  # SPEC N1, N3
    await cluster.create("first", **GOOD)
    await cluster.until(lambda: cluster.valid("first") is True)
    await cluster.create("second", **GOOD)
    await cluster.until(lambda: cluster.valid("second") is False)
    assert "first" in cluster.condition("second", "Valid")[1]
    await cluster.api.delete(DANMNETS, "first", namespace=NAMESPACE)
    await cluster.until(lambda: cluster.valid("second") is True)


async def test_the_first_may_make_way_by_an_edit(cluster: Cluster) -> None:
    """An edit frees what it gives up."""  # SPEC N1
    await cluster.create("first", **GOOD)
    await cluster.until(lambda: cluster.valid("first") is True)
    await cluster.create("second", **GOOD)
    await cluster.until(lambda: cluster.valid("second") is False)
    await cluster.edit("first", vlan=301)
    await cluster.until(lambda: cluster.valid("second") is True)


async def test_networks_that_come_together_are_never_both_accepted() -> None:
    """What was just written counts, also while the watch brings nothing back."""  # SPEC N1, N3
    api = FakeKube()
    cluster = Cluster(api)
    names = [f"net{number}" for number in range(8)]
    for name in names:
        await cluster.create(name, **GOOD)
    async with a_validator(api, watching=False):
        await cluster.until(lambda: all(cluster.valid(name) is not None for name in names))
        assert [name for name in names if cluster.valid(name)] == ["net0"]


async def test_the_older_of_two_wins_when_a_validator_comes_late() -> None:
    """Neither the order of names nor that of the watch counts, but age."""  # SPEC N1
    api = FakeKube()
    cluster = Cluster(api)
    for name, age in (("a-younger", "2026-01-02"), ("b-older", "2026-01-01")):
        raw = a_raw_danmnet(name, **GOOD)
        raw["metadata"]["creationTimestamp"] = f"{age}T00:00:00Z"
        api.add(DANMNETS, raw)
    async with a_validator(api):
        await cluster.until(lambda: cluster.valid("a-younger") is not None)
        assert cluster.valid("b-older") is True
        assert cluster.valid("a-younger") is False


@pytest.mark.parametrize("stalled_at", [0, 1, 2])
async def test_a_replica_that_was_frozen_accepts_nothing_beside_its_successor(
    stalled_at: int,
) -> None:
    """Whichever write it was about to make, one of two that contradict each other is refused."""
    # DESIGN P1; decision 0022
    api = FakeKube()
    cluster = Cluster(api)
    lost = asyncio.Event()

    def is_up_to_date(key: ObjectKey) -> bool:
        return successor.networks.get(key) == cluster.net(key.name)

    async def leads_until_lost() -> None:
        if lost.is_set():
            raise ConflictError("the Lease is another's")

    first, second = (ObjectKey(namespace=NAMESPACE, name=name) for name in ("first", "second"))
    frozen, successor = a_replica(api, leads_until_lost), a_replica(api)
    await cluster.create("first", **GOOD)
    async with synced(frozen):
        pass
    # It is about to make this write, and hears of nothing meanwhile.
    gates = [api.hold_next("replace", DANMNETS) for _ in range(stalled_at + 1)]
    late = asyncio.create_task(frozen.validator.reconcile(first))
    for gate in gates:
        await asyncio.wait_for(gate.reached.wait(), HANGS_S)
        if gate is not gates[-1]:
            gate.open()
    lost.set()
    await cluster.create("second", **GOOD)
    async with synced(successor):
        await successor.validator.reconcile(second)
        gates[-1].open()
        with suppress(DanmError):
            await late
        for key in (first, second, first, second):
            await cluster.until(partial(is_up_to_date, key))
            await successor.validator.reconcile(key)
    assert sorted([cluster.valid("first") is True, cluster.valid("second") is True]) == [
        False,
        True,
    ]


@pytest.mark.parametrize("key", ["conditions", "observedGeneration"])
@pytest.mark.parametrize("leads", [pytest.param(True, id="leading"), pytest.param(False, id="new")])
async def test_a_status_of_another_release_still_binds(key: str, *, leads: bool) -> None:
    """Nobody else is accepted on its wire, whoever leads; its status is written anew."""
    # SPEC N1
    cluster = Cluster(api=FakeKube())
    async with a_validator(cluster.api):
        await cluster.create("first", **GOOD)
        await cluster.until(lambda: cluster.valid("first") is True)
        if leads:
            await _is_of_another_release(cluster, "first", key)
            await cluster.create("second", **GOOD)
            await cluster.until(lambda: cluster.valid("second") is False)
            await cluster.until(lambda: cluster.valid("first") is True)
    if not leads:
        await _is_of_another_release(cluster, "first", key)
        await cluster.create("second", **GOOD)
        async with a_validator(cluster.api):
            await cluster.until(lambda: cluster.valid("second") is False)
            await cluster.until(lambda: cluster.valid("first") is True)


async def _is_of_another_release(cluster: Cluster, name: str, key: str) -> None:
    raw = cluster.raw(name)
    status = {**raw["status"], key: "of another release"}
    await cluster.api.replace(
        DANMNETS, {**raw, "status": status}, namespace=NAMESPACE, subresource="status"
    )


@pytest.mark.parametrize("answered", [2, 3])
async def test_a_network_that_went_before_a_write_was_answered_binds_nobody(answered: int) -> None:
    """Its end was told before the validator read the answer, and nothing tells of it again."""
    # SPEC N1
    api = FakeKube()
    cluster = Cluster(api)
    replica = a_replica(api)
    gone, following = (ObjectKey(namespace=NAMESPACE, name=name) for name in ("gone", "next"))
    await cluster.create("gone", **GOOD)
    async with synced(replica):
        gates = [api.hold_next("replace", DANMNETS, took_effect=True) for _ in range(answered)]
        judging = asyncio.create_task(replica.validator.reconcile(gone))
        for gate in gates:
            await asyncio.wait_for(gate.reached.wait(), HANGS_S)
            if gate is not gates[-1]:
                gate.open()
        await api.delete(DANMNETS, "gone", namespace=NAMESPACE)
        await cluster.until(lambda: replica.networks.get(gone) is None)
        gates[-1].open()
        with suppress(DanmError):
            await judging
        await cluster.create("next", **GOOD)
        await cluster.until(lambda: replica.networks.get(following) is not None)
        await replica.validator.reconcile(following)
        assert cluster.valid("next") is True


async def test_a_network_that_went_while_a_new_leader_read_all_binds_nobody() -> None:
    """The leader's first list still has it, and the watch has told of its end already."""
    api = FakeKube()  # SPEC N1
    cluster = Cluster(api)
    replica = a_replica(api)
    gone = ObjectKey(namespace=NAMESPACE, name="gone")
    await cluster.create("gone", **GOOD)
    async with a_validator(api):
        await cluster.until(lambda: cluster.valid("gone") is True)
    async with synced(replica):
        gate = api.hold_next("list", DANMNETS, took_effect=True)
        leading = asyncio.create_task(replica.validator.lead())
        await asyncio.wait_for(gate.reached.wait(), HANGS_S)
        await api.delete(DANMNETS, "gone", namespace=NAMESPACE)
        await cluster.until(lambda: replica.networks.get(gone) is None)
        gate.open()
        await cluster.create("next", **GOOD)
        await cluster.until(lambda: cluster.valid("next") is not None)
        assert cluster.valid("next") is True
        leading.cancel()
        await asyncio.wait((leading,))


async def test_what_a_restored_backup_does_not_know_binds_nobody() -> None:
    """Versions of what was lost are higher than those of what comes next."""  # SPEC N1
    api = FakeKube()
    cluster = Cluster(api)
    replica = a_replica(api)
    heard, following = (ObjectKey(namespace=NAMESPACE, name=name) for name in ("heard", "next"))
    backup = api.backup()
    async with synced(replica):
        await cluster.create("heard", host_device="ens3")
        await cluster.until(lambda: replica.networks.get(heard) is not None)
    await cluster.create("lost", **GOOD)
    leading = asyncio.create_task(replica.validator.lead())
    await cluster.until(lambda: cluster.valid("lost") is True)
    leading.cancel()
    await asyncio.wait((leading,))
    api.restore(backup)
    async with synced(replica):
        await cluster.until(lambda: replica.networks.get(heard) is None)
        await cluster.create("next", **GOOD)
        await cluster.until(lambda: replica.networks.get(following) is not None)
        await replica.validator.reconcile(following)
        assert cluster.valid("next") is True


async def test_a_change_of_the_vlan_waits_for_the_pods(cluster: Cluster) -> None:
    """The condition names them, and their end brings the change into force."""  # SPEC N5
    await cluster.create("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    await cluster.api.create(DANMEPS, encode_danmep(a_danmep("ep-1")), namespace=NAMESPACE)
    await cluster.edit("internal", vlan=301)
    await cluster.until(lambda: cluster.condition("internal", "Applied")[0] is False)
    assert cluster.valid("internal") is True
    assert "Pod example-vnf/processor-1" in cluster.condition("internal", "Applied")[1]
    assert cluster.spec_in_force("internal").segment == Vlan(vid=300)
    await cluster.api.delete(DANMEPS, "ep-1", namespace=NAMESPACE)
    await cluster.until(lambda: cluster.condition("internal", "Applied")[0] is True)
    assert cluster.spec_in_force("internal").segment == Vlan(vid=301)
    await cluster.until(
        lambda: cluster.events()
        == [("Normal", "InForce"), ("Normal", "Valid"), ("Warning", "ChangeWaits")]
    )


async def test_who_comes_and_goes_while_an_edit_waits_is_told_at_leisure() -> None:
    """Every node reads the status: other names in it are no reason to write it each time."""
    # DESIGN P6; SPEC N5
    api, clock = FakeKube(), FakeClock()
    cluster = Cluster(api)

    def lists() -> int:
        return api.calls["list", DANMEPS.plural]

    def waits_for(pod: str) -> bool:
        return pod in cluster.condition("internal", "Applied")[1]

    async with a_validator(api, now=clock.now):
        await cluster.create("internal", **GOOD)
        await cluster.until(lambda: cluster.valid("internal") is True)
        await api.create(DANMEPS, encode_danmep(a_danmep("ep-1")), namespace=NAMESPACE)
        await cluster.edit("internal", vlan=301)
        await cluster.until(lambda: waits_for("processor-1"))
        writes = api.calls["replace", DANMNETS.plural]
        other = replace(a_danmep("ep-2"), pod=PodName("another"))
        await api.create(DANMEPS, encode_danmep(other), namespace=NAMESPACE)
        asked = lists()
        await cluster.until(lambda: lists() > asked + 10)
        assert api.calls["replace", DANMNETS.plural] == writes
        clock.advance(31)
        await cluster.until(lambda: waits_for("another"))
    assert [reason for _, reason in cluster.events()] == ["Valid", "ChangeWaits"]


async def test_going_back_clears_what_waits(cluster: Cluster) -> None:
    """A second thought needs nobody's end."""  # SPEC N5
    await cluster.create("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    await cluster.api.create(DANMEPS, encode_danmep(a_danmep("ep-1")), namespace=NAMESPACE)
    await cluster.edit("internal", vlan=301)
    await cluster.until(lambda: cluster.condition("internal", "Applied")[0] is False)
    await cluster.edit("internal", vlan=300)
    await cluster.until(lambda: cluster.condition("internal", "Applied")[0] is True)


async def test_a_pool_keeps_addresses_that_are_held(cluster: Cluster) -> None:
    """The blocks say who holds what, whoever the owner is."""  # SPEC N5
    await cluster.create("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    uid = cluster.net("internal").uid
    block = a_block("10.0.0.100", a_held_entry("10.0.0.100"), network_uid=uid)
    raw = await cluster.api.create(DANMIPBLOCKS, encode_ip_block(block), namespace=NAMESPACE)
    await cluster.edit("internal", exclude=["10.0.0.96/28"])
    await cluster.until(lambda: cluster.condition("internal", "Applied")[0] is False)
    assert "10.0.0.100 (Pod" in cluster.condition("internal", "Applied")[1]
    assert cluster.spec_in_force("internal").exclude == ()
    raw["spec"] = encode_ip_block(a_block("10.0.0.100", network_uid=uid))["spec"]
    await cluster.api.replace(DANMIPBLOCKS, raw, namespace=NAMESPACE)
    await cluster.until(lambda: cluster.condition("internal", "Applied")[0] is True)
    assert cluster.spec_in_force("internal").exclude != ()


async def test_a_deleted_network_is_left_alone(cluster: Cluster) -> None:
    """What is in force stays so until the last user is gone."""  # SPEC A5
    await cluster.create("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    finalizer = {"metadata": {"finalizers": ["danm.k8s.io/in-use"]}}
    await cluster.api.patch(DANMNETS, "internal", finalizer, namespace=NAMESPACE)
    await cluster.api.delete(DANMNETS, "internal", namespace=NAMESPACE)
    await cluster.create("second", **GOOD)
    await cluster.until(lambda: cluster.valid("second") is False)
    assert cluster.spec_in_force("internal").segment == Vlan(vid=300)
    gone: RawObject = {"metadata": {"finalizers": []}}
    await cluster.api.patch(DANMNETS, "internal", gone, namespace=NAMESPACE)
    await cluster.until(lambda: cluster.valid("second") is True)


@pytest.mark.parametrize("took_effect", [True, False])
async def test_a_write_that_failed_is_made_again(cluster: Cluster, *, took_effect: bool) -> None:
    """Lost answers and conflicts end in the same state."""  # DESIGN "Controllers"
    error = ApiUnavailableError("the answer was lost", status=0)
    cluster.api.fail_next("replace", DANMNETS, error, times=2, took_effect=took_effect)
    cluster.api.fail_next("replace", DANMNETS, ConflictError("somebody else wrote"))
    await cluster.create("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    assert cluster.raw("internal")["spec"]["Validation"] == "True"


async def test_a_quiet_cluster_is_not_written_to(cluster: Cluster) -> None:
    """A second leader finds nothing to do."""  # DESIGN P6
    await cluster.create("internal", **GOOD)
    await cluster.until(lambda: cluster.valid("internal") is True)
    writes = cluster.api.calls["replace", DANMNETS.plural]
    async with a_validator(cluster.api):
        await cluster.create("other", host_device="ens3")
        await cluster.until(lambda: cluster.valid("other") is True)
    before = cluster.raw("internal")
    assert before["metadata"]["generation"] == cluster.net("internal").generation
    assert cluster.api.calls["replace", DANMNETS.plural] <= writes + 4
