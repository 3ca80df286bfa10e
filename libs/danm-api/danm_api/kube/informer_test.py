"""Informers: the copy converges, whatever the server does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from prometheus_client import REGISTRY

from danm_api.errors import ApiError, ApiUnavailableError, DeadlineExceededError
from danm_api.kube.api import NODES, PODS, ObjectList, RawObject, Resource
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from danm_api.testing.samples import sample


@dataclass(frozen=True)
class Thing:
    """What the informer under test keeps of a Pod."""

    name: str
    node: str


def decode(raw: RawObject) -> Thing:
    """Read a Pod; one without a node does not decode."""
    return Thing(name=raw["metadata"]["name"], node=raw["spec"]["nodeName"])


def pod(name: str, node: str = "n1") -> RawObject:
    """Return a Pod on a node."""
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"nodeName": node}}


def key(name: str) -> ObjectKey:
    """Return the key of a Pod."""
    return ObjectKey(namespace="ns", name=name)


class Followed:
    """A running informer, and the changes that it told."""

    def __init__(self, fake: FakeKube, *, list_after_outage: bool = False) -> None:
        """Prepare an informer of Pods, indexed by node."""
        self.changes: asyncio.Queue[Change[Thing]] = asyncio.Queue()
        self.delays: list[float] = []
        self.informer = Informer(
            fake,
            PODS,
            decode,
            indexers={"node": lambda thing: [thing.node]},
            list_after_outage=list_after_outage,
            sleep=self._sleep,
        )
        self.informer.subscribe(self.changes.put_nowait)

    async def _sleep(self, delay_s: float) -> None:
        self.delays.append(delay_s)
        await asyncio.sleep(0)

    async def next(self) -> tuple[Thing | None, Thing | None]:
        """Return the next change."""
        change = await asyncio.wait_for(self.changes.get(), HANGS_S)
        return change.old, change.new

    def names_on(self, node: str) -> set[str]:
        """Return what the index says."""
        return {thing.name for thing in self.informer.by_index("node", node)}


@asynccontextmanager
async def following(fake: FakeKube, *, synced: bool = True) -> AsyncIterator[Followed]:
    """Yield a running informer."""
    followed = Followed(fake)
    task = asyncio.create_task(followed.informer.run())
    try:
        if synced:
            await followed.informer.wait_synced(HANGS_S)
        yield followed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def restarts(reason: str) -> float:
    """Return how many watches have been begun again for a reason."""
    return sample("danm_informer_watch_restarts_total", resource="pods", reason=reason)


async def test_silence_can_be_told_from_quiet() -> None:
    """Lists, events and bookmarks are heard: where none comes for long, the watch is stale."""
    fake = FakeKube()

    def heard() -> float:
        return sample("danm_informer_last_heard_timestamp_seconds", resource="pods")

    async with following(fake) as followed:
        listed = heard()
        assert listed > 0
        fake.add(PODS, pod("a"))
        await followed.next()
        told = heard()
        assert told > listed
        fake.bookmark()
        async with asyncio.timeout(HANGS_S):
            while heard() == told:
                await asyncio.sleep(0)
    # Whoever does not listen any more, as one that has lost its Lease, is not late.
    about = {"resource": "pods"}
    assert REGISTRY.get_sample_value("danm_informer_last_heard_timestamp_seconds", about) is None


async def test_it_lists_and_follows() -> None:
    """Objects of before and after the start are there, by name and by index."""
    fake = FakeKube()
    fake.add(PODS, pod("a"))
    async with following(fake) as followed:
        assert await followed.next() == (None, Thing("a", "n1"))
        fake.add(PODS, pod("b"))
        assert await followed.next() == (None, Thing("b", "n1"))
        await fake.patch(PODS, "a", {"spec": {"nodeName": "n2"}}, namespace="ns")
        assert await followed.next() == (Thing("a", "n1"), Thing("a", "n2"))
        assert followed.names_on("n1") == {"b"}
        assert followed.names_on("n2") == {"a"}
        await fake.delete(PODS, "b", namespace="ns")
        assert await followed.next() == (Thing("b", "n1"), None)
        assert followed.informer.get(key("b")) is None
        assert followed.informer.get(key("a")) == Thing("a", "n2")
        assert followed.names_on("n1") == set()
        assert list(followed.informer.items()) == [Thing("a", "n2")]


async def test_it_goes_on_where_a_watch_ended() -> None:
    """A watch that ends is resumed from its version: nothing is listed again, nothing is lost."""
    fake = FakeKube()
    async with following(fake) as followed:
        fake.add(PODS, pod("a"))
        await followed.next()
        ended = restarts("ended")
        fake.end_watches()
        fake.add(PODS, pod("b"))
        assert await followed.next() == (None, Thing("b", "n1"))
    assert restarts("ended") == ended + 1
    # The second asks for the version only, in a namespace that is none.
    assert fake.calls["list", "pods"] == 2


class WeighedKube(FakeKube):
    """Remembers how many objects each list had."""

    def __init__(self) -> None:
        """Begin with no list."""
        super().__init__()
        self.listed: list[int] = []

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        """Read objects, and count them."""
        found = await super().list(
            resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        self.listed.append(len(found.items))
        return found


@pytest.mark.parametrize(
    ("resource", "namespace"),
    [
        pytest.param(PODS, None, id="all namespaces"),
        pytest.param(PODS, "ns", id="one namespace"),
        pytest.param(NODES, None, id="no namespace"),
    ],
)
async def test_a_watch_goes_on_without_reading_what_is_known(
    resource: Resource, namespace: str | None
) -> None:
    """Watches end every few minutes, and all nodes of a large cluster would be a gigabyte."""
    # DESIGN P6
    fake = WeighedKube()
    place = {"namespace": "ns"} if resource.namespaced else {}

    def add(name: str) -> None:
        fake.add(resource, {"metadata": {"name": name, **place}})

    add("listed")
    heard: asyncio.Queue[str] = asyncio.Queue()
    informer = Informer(fake, resource, lambda raw: raw["metadata"]["name"], namespace=namespace)
    informer.subscribe(lambda change: heard.put_nowait(change.key.name))
    task = asyncio.create_task(informer.run())
    assert await asyncio.wait_for(heard.get(), HANGS_S) == "listed"
    add("watched")
    assert await asyncio.wait_for(heard.get(), HANGS_S) == "watched"
    fake.end_watches()
    async with asyncio.timeout(HANGS_S):
        while fake.calls["watch", resource.plural] < 2:
            await asyncio.sleep(0)
    assert fake.listed == [1, 0]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_it_follows_a_server_that_went_back_in_time() -> None:
    """After a restore from a backup the copy equals the server's state, and subscribers know."""
    fake = FakeKube()
    fake.add(PODS, pod("a"))
    async with following(fake) as followed:
        await followed.next()
        restores: list[int] = []
        followed.informer.subscribe_restore(lambda: restores.append(1))
        backup = fake.backup()
        fake.add(PODS, pod("b"))
        assert await followed.next() == (None, Thing("b", "n1"))
        fake.restore(backup)
        # What is still there is told again: its version may have been given anew.
        assert await followed.next() == (Thing("a", "n1"), Thing("a", "n1"))
        assert await followed.next() == (Thing("b", "n1"), None)
        assert restores == [1]
        fake.add(PODS, pod("c"))
        assert await followed.next() == (None, Thing("c", "n1"))


async def test_it_lists_anew_after_410() -> None:
    """After a 410 the copy equals the server's state, and only differences are told."""
    fake = FakeKube()
    for name in ("a", "b", "c"):
        fake.add(PODS, pod(name))
    async with following(fake) as followed:
        for _ in "abc":
            await followed.next()
        gate = fake.hold_next("list", PODS)
        expired = restarts("expired")
        fake.compact()
        await asyncio.wait_for(gate.reached.wait(), HANGS_S)
        assert restarts("expired") == expired + 1
        # What happens now is in no watch: only the list can tell.
        await fake.delete(PODS, "a", namespace="ns")
        await fake.patch(PODS, "b", {"spec": {"nodeName": "n2"}}, namespace="ns")
        fake.add(PODS, pod("d"))
        fake.compact()
        gate.open()
        told = {await followed.next() for _ in range(3)}
        assert told == {
            (Thing("a", "n1"), None),
            (Thing("b", "n1"), Thing("b", "n2")),
            (None, Thing("d", "n1")),
        }
        assert followed.names_on("n1") == {"c", "d"}
        assert followed.changes.empty()


async def test_failures_are_backed_off_and_survived() -> None:
    """A server that fails for a while delays the copy, with growing pauses, and no more."""
    fake = FakeKube()
    fake.add(PODS, pod("a"))
    fake.fail_next("list", PODS, ApiUnavailableError("no answer", status=0), times=4)
    fake.fail_next("watch", PODS, ApiError("forbidden", status=403), times=1)
    failed = restarts("failed")
    async with following(fake, synced=False) as followed:
        assert await followed.next() == (None, Thing("a", "n1"))
        fake.add(PODS, pod("b"))
        assert await followed.next() == (None, Thing("b", "n1"))
        # Lists that fail are no watches that do.
        assert restarts("failed") == failed + 1
        assert len(followed.delays) == 5
        assert sorted(followed.delays) == followed.delays


async def test_bookmarks_move_the_version() -> None:
    """A watch resumes after a bookmark's version, so that a quiet kind is not listed again."""
    fake = FakeKube()
    async with following(fake) as followed:
        fake.compact()  # the running watch gets a 410; the next list knows the new version
        fake.bookmark()
        fake.add(PODS, pod("a"))
        assert await followed.next() == (None, Thing("a", "n1"))


async def test_an_odd_object_is_absent_and_alone() -> None:
    """An object that does not decode counts as absent; the others are followed on."""
    fake = FakeKube()
    fake.add(PODS, {"metadata": {"name": "odd", "namespace": "ns"}})
    fake.add(PODS, pod("a"))
    async with following(fake) as followed:
        assert await followed.next() == (None, Thing("a", "n1"))
        await fake.patch(PODS, "a", {"spec": None}, namespace="ns")
        assert await followed.next() == (Thing("a", "n1"), None)
        fake.add(PODS, pod("b"))
        assert await followed.next() == (None, Thing("b", "n1"))
        assert followed.informer.get(key("odd")) is None


async def test_a_failing_handler_harms_nobody() -> None:
    """One subscriber's bug does not keep changes from the others."""
    fake = FakeKube()
    followed = Followed(fake)

    def broken(change: Change[Thing]) -> None:
        raise RuntimeError(change.key)

    followed.informer.subscribe(broken)
    later: asyncio.Queue[Change[Thing]] = asyncio.Queue()
    followed.informer.subscribe(later.put_nowait)
    task = asyncio.create_task(followed.informer.run())
    fake.add(PODS, pod("a"))
    assert (await asyncio.wait_for(later.get(), HANGS_S)).new == Thing("a", "n1")
    task.cancel()


async def test_late_subscribers_hear_of_everything() -> None:
    """Who subscribes after the list is told what is known."""
    fake = FakeKube()
    fake.add(PODS, pod("a"))
    async with following(fake) as followed:
        late: list[Change[Thing]] = []
        followed.informer.subscribe(late.append)
        assert [change.new for change in late] == [Thing("a", "n1")]


async def test_waiting_for_the_first_list_ends() -> None:
    """Who waits for a server that does not answer learns it in time."""
    informer = Informer(FakeKube(), PODS, decode)
    with pytest.raises(DeadlineExceededError, match="pods"):
        await informer.wait_synced(0.01)
    assert not informer.synced


async def test_a_restored_backup_is_read_anew() -> None:
    """Where it is asked for, what etcd has forgotten while the server was away is forgotten."""
    fake = FakeKube()
    fake.add(PODS, pod("same"))
    followed = Followed(fake, list_after_outage=True)
    task = asyncio.create_task(followed.informer.run())
    same = Thing(name="same", node="n1")
    assert await followed.next() == (None, same)
    backup = fake.backup()
    fake.add(PODS, pod("later"))
    assert await followed.next() == (None, Thing(name="later", node="n1"))
    fake.restore(backup)
    assert await followed.next() == (same, same)
    assert await followed.next() == (Thing(name="later", node="n1"), None)
    fake.add(PODS, pod("new"))
    assert await followed.next() == (None, Thing(name="new", node="n1"))
    assert {*followed.informer.items()} == {same, Thing(name="new", node="n1")}
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_two_of_a_kind_are_told_apart() -> None:
    """Where a process follows a kind twice, each copy has metrics of its own."""
    fake = FakeKube()
    fake.add(PODS, pod("a"))
    informer = Informer(fake, PODS, decode, counted_as="pods of others")
    task = asyncio.create_task(informer.run())
    async with following(fake):
        await informer.wait_synced(HANGS_S)
        fake.add(PODS, pod("b"))
        async with asyncio.timeout(HANGS_S):
            while sample("danm_informer_objects", resource="pods of others") != 2:
                await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_will_be_read_can_be_tried_before() -> None:
    """A refusal is the caller's; and nothing is kept, so that what is read later is all news."""
    fake = FakeKube()
    fake.add(PODS, pod("a"))
    followed = Followed(fake)
    fake.fail_next("list", PODS, ApiError("not allowed", status=403))
    with pytest.raises(ApiError, match="not allowed"):
        await followed.informer.try_reading()
    await followed.informer.try_reading()
    assert (followed.informer.synced, list(followed.informer.items())) == (False, [])
    assert fake.calls["list", "pods"] == 2
