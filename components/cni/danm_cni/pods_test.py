"""Pods of this node: seen, not seen yet, replaced, static."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from danm_api.codec.pod import decode_pod
from danm_api.errors import ApiUnavailableError, PodNotFoundError, SeveralErrors
from danm_api.kube.api import DANMNETS, EVENTS, PODS, RawObject
from danm_api.names import Namespace, NetworkName, NodeName, PodName, PodUid
from danm_api.testing.builders import a_raw_danmnet
from danm_api.testing.fake_kube import FakeKube
from danm_cni.journal import SandboxRecord, SandboxState
from danm_cni.networks import Networks
from danm_cni.pods import FirstUses, NodePods
from danm_cni.request import PodIdentity
from danm_cni.testing.node import FakeNode

NAMESPACE = Namespace("ns")


def _pod(uid: str = "u1", *, phase: str = "Running", mirror: str | None = None) -> RawObject:
    annotations = {} if mirror is None else {"kubernetes.io/config.mirror": mirror}
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": "pod",
            "uid": uid,
            "annotations": annotations,
        },
        "spec": {"nodeName": "n1"},
        "status": {"phase": phase},
    }


def _identity(uid: str | None) -> PodIdentity:
    return PodIdentity(
        namespace=NAMESPACE, name=PodName("pod"), uid=None if uid is None else PodUid(uid)
    )


def _record(uid: str = "u1") -> SandboxRecord:
    return SandboxRecord(
        container_id="c1",
        namespace=NAMESPACE,
        pod="pod",
        pod_uid=uid,
        netns="",
        state=SandboxState.HELD,
    )


@pytest.fixture()
def kube() -> FakeKube:
    """Give an empty cluster."""
    return FakeKube()


@pytest.fixture()
async def pods(kube: FakeKube) -> AsyncIterator[NodePods]:
    """Watch the node's Pods."""
    made = NodePods(kube, NodeName("n1"))
    watch = asyncio.create_task(made.informer.run())
    await made.informer.wait_synced(30)
    yield made
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_a_pod_not_seen_yet_is_fetched(kube: FakeKube) -> None:
    """The runtime may be quicker than the watch."""
    kube.add(PODS, _pod())
    unwatched = NodePods(kube, NodeName("n1"))
    # DESIGN, "An ADD", step 2
    assert (await unwatched.find(_identity("u1"))).uid == "u1"


@pytest.mark.parametrize("uid", ["other", None])
async def test_a_replaced_pod_is_not_taken_for_the_old_one(kube: FakeKube, uid: str | None) -> None:
    """A Pod of the same name and another uid is refused; runtimes without uid get what is there."""
    kube.add(PODS, _pod())
    found = NodePods(kube, NodeName("n1")).find(_identity(uid))
    if uid is None:
        assert (await found).uid == "u1"
        return
    with pytest.raises(PodNotFoundError, match="replaced"):
        await found


async def test_a_pod_that_is_gone_is_told(pods: NodePods) -> None:
    """An ADD for a Pod that does not exist says so."""
    with pytest.raises(PodNotFoundError, match="does not exist any more"):
        await pods.find(_identity("u1"))


async def test_a_static_pod_is_known_by_its_mirrors_annotation(kube: FakeKube) -> None:
    """The runtime names a static Pod by its configuration's hash, the mirror has another uid."""
    kube.add(PODS, _pod("mirror-uid", mirror="hash"))
    # DESIGN, "An ADD", step 2
    assert (await NodePods(kube, NodeName("n1")).find(_identity("hash"))).runtime_uid == "hash"


@pytest.mark.parametrize(
    ("pod", "wants"),
    [
        pytest.param(_pod(), True, id="lives"),
        pytest.param(_pod(phase="Succeeded"), False, id="succeeded"),
        pytest.param(_pod(phase="Failed"), False, id="failed"),
        pytest.param(_pod("u2"), False, id="replaced"),
        pytest.param(None, False, id="gone"),
    ],
)
async def test_who_keeps_addresses(kube: FakeKube, pod: RawObject | None, *, wants: bool) -> None:
    """Only a Pod that lives and may get another sandbox keeps its addresses."""
    if pod is not None:
        kube.add(PODS, pod)
    # DESIGN, "When an address is released"
    assert wants == await NodePods(kube, NodeName("n1")).wants_addresses(_record())


async def test_a_terminating_pod_keeps_nothing(kube: FakeKube) -> None:
    """A deletion mark is enough."""
    kube.add(PODS, _pod())
    kube.mark_deleted(PODS, "pod", namespace=NAMESPACE)
    assert not await NodePods(kube, NodeName("n1")).wants_addresses(_record())


@pytest.mark.parametrize(
    ("now", "wants"),
    [
        pytest.param(_pod(), True, id="lives"),
        pytest.param(_pod(phase="Failed"), False, id="failed"),
        pytest.param(_pod("u2"), False, id="replaced"),
        pytest.param(None, False, id="gone"),
    ],
)
async def test_a_watch_that_has_died_is_not_believed(
    kube: FakeKube, pods: NodePods, now: RawObject | None, *, wants: bool
) -> None:
    """Whoever asks anew hears what the API server has, not what the watch has shown long ago."""
    kube.add(PODS, _pod())
    async with asyncio.timeout(30):
        while not pods.informer.items():
            await asyncio.sleep(0.005)
    late = kube.hold_next("list", PODS)
    kube.end_watches()
    await late.reached.wait()
    await kube.delete(PODS, "pod", namespace=NAMESPACE)
    if now is not None:
        kube.add(PODS, now)
    assert await pods.wants_addresses(_record())
    assert wants == await pods.wants_addresses(_record(), anew=True)


async def test_a_pod_that_the_watch_shows_ended_is_not_read(kube: FakeKube, pods: NodePods) -> None:
    """It stays so; and an API server that does not answer frees nothing of others."""
    kube.add(PODS, _pod(phase="Failed"))
    async with asyncio.timeout(30):
        while not pods.informer.items():
            await asyncio.sleep(0.005)
    kube.fail_next("get", PODS, ApiUnavailableError("away", status=0), times=9)
    assert not await pods.wants_addresses(_record(), anew=True)


async def test_unknown_counts_as_living(kube: FakeKube) -> None:
    """While the API server is away no address is freed that may be live."""
    kube.fail_next("get", PODS, ApiUnavailableError("away", status=0))
    # DESIGN, P3
    assert await NodePods(kube, NodeName("n1")).wants_addresses(_record())


def test_a_pod_is_used_first_once() -> None:
    """Only one that came under danmd's eyes; it may have been used before the watch showed it."""
    uses, early, late, old = FirstUses(), PodUid("early"), PodUid("late"), PodUid("old")
    assert not uses.take(early, is_shown=False)
    uses.came(early)
    uses.came(late)
    assert uses.take(late, is_shown=True)
    assert [uses.take(uid, is_shown=True) for uid in (early, late, old)] == [False] * 3
    assert len(uses) == 0


def test_pods_that_are_gone_are_not_remembered_for_ever() -> None:
    """Not those that were used, nor those that were not, nor whom the watch never showed."""
    uses = FirstUses()
    for number in range(5000):
        uses.came(PodUid(f"used-{number}"))
        assert uses.take(PodUid(f"used-{number}"), is_shown=True)
        uses.came(PodUid(f"unused-{number}"))
        for kind in ("used", "unused"):
            uses.went(PodUid(f"{kind}-{number}"))
    assert len(uses) == 0
    for number in range(5000):
        # Its ADD outlived it.
        uses.take(PodUid(f"used-{number}"), is_shown=False)
    assert 0 < len(uses) < 2000
    uses.came(PodUid("used-4999"))
    assert not uses.take(PodUid("used-4999"), is_shown=True)


async def test_a_pod_that_was_used_before_the_watch_showed_it_is_used_no_first_time(
    kube: FakeKube, pods: NodePods
) -> None:
    """What it may hold has to be looked for."""
    pod = decode_pod(kube.add(PODS, _pod()))
    assert not pods.is_first_use(pod)
    await asyncio.wait_for(_until_shown(pods), timeout=30)
    assert not pods.is_first_use(pod)


async def _until_shown(pods: NodePods) -> None:
    while not pods.informer.items():
        await asyncio.sleep(0.005)


async def test_every_failed_attachment_is_in_an_event(node: FakeNode) -> None:
    """However many fail: an Event holds 1024 bytes, and what does not fit is in the next one."""
    node.add_pod(interfaces=[{"network": f"absent-{number}"} for number in range(16)])
    with pytest.raises(SeveralErrors):
        await node.add()
    await node.until(lambda: len(node.kube.all_stored(EVENTS)) > 2)
    notes = [each["note"] for each in node.kube.all_stored(EVENTS)]
    assert all(any(f"'absent-{number}'" in note for note in notes) for number in range(16))
    assert not any(note.endswith("...") for note in notes)


async def test_a_network_not_seen_yet_is_fetched(kube: FakeKube) -> None:
    """A DanmNet that was made just before its Pod is found, and one that is not there is not."""
    networks = Networks(kube)
    kube.add(DANMNETS, a_raw_danmnet("new", namespace=NAMESPACE))
    names = [NetworkName("new"), NetworkName("absent")]
    assert networks.get(NAMESPACE, names[0]) is None
    await networks.refresh(NAMESPACE, names)
    found = networks.get(NAMESPACE, names[0])
    assert found is not None
    assert found.name == "new"
    assert networks.get(NAMESPACE, names[1]) is None
    await kube.delete(DANMNETS, "new", namespace=NAMESPACE)
    await networks.refresh(NAMESPACE, names)
    assert networks.get(NAMESPACE, names[0]) is None
