"""What code under test may rely on in the fake API server."""

import asyncio

import pytest

from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    InvalidObjectError,
    NotFoundError,
)
from danm_api.kube.api import (
    DANMNETS,
    PODS,
    TOKEN_REVIEWS,
    ObjectList,
    PatchType,
    RawObject,
    WatchEvent,
    WatchType,
)
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S


def net(name: str = "internal", **spec: object) -> RawObject:
    """Return a DanmNet as a user writes it."""
    return {"metadata": {"name": name}, "spec": {"NetworkID": name, **spec}}


def pod(name: str, *, node: str = "n1", **labels: str) -> RawObject:
    """Return a Pod on a node."""
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": labels},
        "spec": {"nodeName": node},
        "status": {"phase": "Running"},
    }


class Watching:
    """A watch that collects what it sees."""

    def __init__(self, fake: FakeKube, resource_version: str, *, label_selector: str = "") -> None:
        """Start the watch of the Pods."""
        self.events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self.task = asyncio.create_task(self._run(fake, resource_version, label_selector))

    async def _run(self, fake: FakeKube, version: str, label_selector: str) -> None:
        async for event in fake.watch(
            PODS, resource_version=version, label_selector=label_selector
        ):
            self.events.put_nowait(event)

    async def next(self) -> tuple[WatchType, str]:
        """Return type and name of the next event."""
        event = await asyncio.wait_for(self.events.get(), HANGS_S)
        return event.type, event.object["metadata"].get("name", "")


async def names(fake: FakeKube, *, label_selector: str = "", field_selector: str = "") -> list[str]:
    """Return the names of the Pods that the selectors select."""
    found: ObjectList = await fake.list(
        PODS, label_selector=label_selector, field_selector=field_selector
    )
    return [item["metadata"]["name"] for item in found.items]


async def test_stale_writers_conflict() -> None:
    """Of two writers that read the same version, the second gets a conflict."""
    fake = FakeKube()
    first = await fake.create(DANMNETS, net(vlan=1), namespace="ns")
    second = await fake.get(DANMNETS, "internal", namespace="ns")
    first["spec"]["vlan"] = 2
    await fake.replace(DANMNETS, first, namespace="ns")
    second["spec"]["vlan"] = 3
    with pytest.raises(ConflictError):
        await fake.replace(DANMNETS, second, namespace="ns")
    with pytest.raises(ConflictError):
        await fake.patch(
            DANMNETS,
            "internal",
            {"metadata": {"resourceVersion": second["metadata"]["resourceVersion"]}},
            namespace="ns",
        )
    stored = fake.stored(DANMNETS, "internal", namespace="ns")
    assert stored is not None
    assert stored["spec"]["vlan"] == 2


async def test_a_name_exists_once() -> None:
    """A name is taken once; a missing one is not found; a PUT without version is refused."""
    fake = FakeKube()
    await fake.create(DANMNETS, net(), namespace="ns")
    with pytest.raises(ConflictError):
        await fake.create(DANMNETS, net(), namespace="ns")
    with pytest.raises(NotFoundError):
        await fake.get(DANMNETS, "internal", namespace="other")
    with pytest.raises(InvalidObjectError):
        await fake.replace(DANMNETS, net(), namespace="ns")


async def test_status_is_written_apart() -> None:
    """The status subresource keeps the spec, the main resource the status and the generation."""
    fake = FakeKube()
    created = await fake.create(DANMNETS, {**net(vlan=1), "status": {"x": 1}}, namespace="ns")
    assert "status" not in created
    assert created["metadata"]["generation"] == 1
    patched = await fake.patch(
        DANMNETS,
        "internal",
        {"spec": {"vlan": 9}, "status": {"used": 3}},
        namespace="ns",
        subresource="status",
    )
    assert (patched["spec"]["vlan"], patched["status"]) == (1, {"used": 3})
    assert patched["metadata"]["generation"] == 1
    body = {**patched, "spec": {"NetworkID": "internal", "vlan": 2}, "status": {}}
    replaced = await fake.replace(DANMNETS, body, namespace="ns")
    assert (replaced["spec"]["vlan"], replaced["status"]) == (2, {"used": 3})
    assert replaced["metadata"]["generation"] == 2


async def test_finalizers_hold_an_object() -> None:
    """A deleted object stays, marked, until its last finalizer goes, and accepts no new one."""
    fake = FakeKube()
    body = net()
    body["metadata"]["finalizers"] = ["danm.k8s.io/in-use"]
    await fake.create(DANMNETS, body, namespace="ns")
    await fake.delete(DANMNETS, "internal", namespace="ns")
    marked = await fake.get(DANMNETS, "internal", namespace="ns")
    assert "deletionTimestamp" in marked["metadata"]
    with pytest.raises(InvalidObjectError):
        await fake.patch(
            DANMNETS, "internal", {"metadata": {"finalizers": ["a", "b"]}}, namespace="ns"
        )
    await fake.patch(DANMNETS, "internal", {"metadata": {"finalizers": None}}, namespace="ns")
    assert fake.stored(DANMNETS, "internal", namespace="ns") is None


async def test_deletion_checks_its_preconditions() -> None:
    """An object is deleted only as the one that the caller means."""
    fake = FakeKube()
    created = await fake.create(DANMNETS, net(), namespace="ns")
    with pytest.raises(ConflictError):
        await fake.delete(DANMNETS, "internal", namespace="ns", uid="another")
    with pytest.raises(ConflictError):
        await fake.delete(DANMNETS, "internal", namespace="ns", resource_version="1")
    await fake.delete(DANMNETS, "internal", namespace="ns", uid=created["metadata"]["uid"])
    assert fake.all_stored(DANMNETS) == []


@pytest.mark.parametrize(
    ("label_selector", "field_selector", "expected"),
    [
        pytest.param("", "", ["a", "b", "c"], id="everything"),
        pytest.param("app=x", "", ["a"], id="equal"),
        pytest.param("app!=x", "", ["b", "c"], id="unequal, absent included"),
        pytest.param("app in (x, y),app", "", ["a", "b"], id="set and exists"),
        pytest.param("!app", "", ["c"], id="absent"),
        pytest.param("app notin (x)", "", ["b", "c"], id="not in the set"),
        pytest.param("", "spec.nodeName=n2", ["c"], id="node"),
        pytest.param("app", "metadata.name=b", ["b"], id="both kinds"),
    ],
)
async def test_selectors_select(
    label_selector: str, field_selector: str, expected: list[str]
) -> None:
    """Lists are selected by labels and fields."""
    fake = FakeKube()
    fake.add(PODS, pod("a", app="x"))
    fake.add(PODS, pod("b", app="y"))
    fake.add(PODS, pod("c", node="n2"))
    found = await names(fake, label_selector=label_selector, field_selector=field_selector)
    assert found == expected


async def test_unknown_selectors_are_refused() -> None:
    """A selector that the real server refuses is refused, not ignored."""
    fake = FakeKube()
    with pytest.raises(ApiError):
        await fake.list(PODS, field_selector="spec.hostname=x")


async def test_a_watch_replays_and_follows() -> None:
    """A watch yields what happened since its version, and goes on."""
    fake = FakeKube()
    version = (await fake.list(PODS)).resource_version
    fake.add(PODS, pod("a"))
    watching = Watching(fake, version)
    assert await watching.next() == (WatchType.ADDED, "a")
    await fake.patch(PODS, "a", {"spec": {"x": 1}}, namespace="ns")
    assert await watching.next() == (WatchType.MODIFIED, "a")
    await fake.patch(PODS, "a", {"spec": {"x": 1}}, namespace="ns")  # changes nothing: no event
    fake.bookmark()
    assert await watching.next() == (WatchType.BOOKMARK, "")
    await fake.delete(PODS, "a", namespace="ns")
    assert await watching.next() == (WatchType.DELETED, "a")
    fake.end_watches()
    await asyncio.wait_for(watching.task, HANGS_S)


async def test_a_watch_sees_objects_enter_and_leave_its_selection() -> None:
    """A changed label is an addition or a deletion to a watch with a selector."""
    fake = FakeKube()
    fake.add(PODS, pod("a"))
    watching = Watching(fake, (await fake.list(PODS)).resource_version, label_selector="app=x")
    await fake.patch(PODS, "a", {"metadata": {"labels": {"app": "x"}}}, namespace="ns")
    assert await watching.next() == (WatchType.ADDED, "a")
    await fake.patch(PODS, "a", {"metadata": {"labels": {"app": None}}}, namespace="ns")
    assert await watching.next() == (WatchType.DELETED, "a")
    fake.end_watches()
    await watching.task


async def test_compaction_ends_watches_with_410() -> None:
    """After a compaction running and resumed watches are too old."""
    fake = FakeKube()
    version = (await fake.list(PODS)).resource_version
    watching = Watching(fake, version)
    fake.compact()
    with pytest.raises(ApiError) as caught:
        await asyncio.wait_for(watching.task, HANGS_S)
    assert caught.value.status == 410
    with pytest.raises(ApiError):
        await anext(fake.watch(PODS, resource_version=version))


async def test_failures_are_planned() -> None:
    """A planned failure comes before the effect, or after it when the answer is lost."""
    fake = FakeKube()
    lost = ApiUnavailableError("no answer", status=0)
    fake.fail_next("create", DANMNETS, lost)
    fake.fail_next("create", DANMNETS, lost, took_effect=True)
    with pytest.raises(ApiUnavailableError):
        await fake.create(DANMNETS, net("a"), namespace="ns")
    with pytest.raises(ApiUnavailableError):
        await fake.create(DANMNETS, net("b"), namespace="ns")
    await fake.create(DANMNETS, net("c"), namespace="ns")
    assert [raw["metadata"]["name"] for raw in fake.all_stored(DANMNETS)] == ["b", "c"]


async def test_a_writer_can_be_stalled() -> None:
    """A held write meets the world as it is when the gate opens."""
    fake = FakeKube()
    created = await fake.create(DANMNETS, net(), namespace="ns")
    gate = fake.hold_next("replace", DANMNETS)
    stalled = asyncio.create_task(
        fake.replace(DANMNETS, {**created, "spec": {"vlan": 1}}, namespace="ns")
    )
    await gate.reached.wait()
    await fake.replace(DANMNETS, {**created, "spec": {"vlan": 2}}, namespace="ns")
    gate.open()
    with pytest.raises(ConflictError):
        await stalled


async def test_json_patches_apply_whole_or_not_at_all() -> None:
    """A failed test operation changes nothing."""
    fake = FakeKube()
    await fake.create(DANMNETS, net(vlan=1), namespace="ns")
    replace = {"op": "replace", "path": "/spec/vlan", "value": 2}
    with pytest.raises(InvalidObjectError):
        await fake.patch(
            DANMNETS,
            "internal",
            [replace, {"op": "test", "path": "/spec/NetworkID", "value": "other"}],
            namespace="ns",
            patch_type=PatchType.JSON,
        )
    patched = await fake.patch(
        DANMNETS, "internal", [replace], namespace="ns", patch_type=PatchType.JSON
    )
    assert patched["spec"]["vlan"] == 2


async def test_objects_are_copies() -> None:
    """Changing what was given or got changes nothing that is stored."""
    fake = FakeKube()
    body = net(vlan=1)
    got = await fake.create(DANMNETS, body, namespace="ns")
    body["spec"]["vlan"] = got["spec"]["vlan"] = 7
    assert (await fake.get(DANMNETS, "internal", namespace="ns"))["spec"]["vlan"] == 1


async def test_reviews_are_answered_by_the_test() -> None:
    """TokenReviews are answered and not stored."""
    fake = FakeKube()
    fake.review_token = lambda spec: {"authenticated": spec["token"] == "good"}
    answer = await fake.create(TOKEN_REVIEWS, {"spec": {"token": "good"}})
    assert answer["status"] == {"authenticated": True}
    assert fake.all_stored(TOKEN_REVIEWS) == []
