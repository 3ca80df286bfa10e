"""Events: told once, counted, bounded, harmless."""

from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import DANMNETS, EVENTS
from danm_api.kube.events import EventRecorder, EventType, ObjectReference
from danm_api.testing.clock import FakeClock
from danm_api.testing.fake_kube import FakeKube

NET = ObjectReference(
    api_version=DANMNETS.api_version, kind="DanmNet", namespace="ns", name="internal", uid="u1"
)
NODE = ObjectReference(api_version="v1", kind="Node", namespace="", name="n1", uid="u2")


def recorder(fake: FakeKube, clock: FakeClock) -> EventRecorder:
    """Return a recorder of a test."""
    return EventRecorder(fake, component="netwatcher", instance="n1", clock=clock)


async def test_an_event_says_what_happened_to_what() -> None:
    """The Event has what `kubectl describe` shows, and what the API server insists on."""
    fake = FakeKube()
    await recorder(fake, FakeClock()).record(NET, reason="Invalid", message="cidr is missing")
    (event,) = fake.all_stored(EVENTS)
    assert event["metadata"]["namespace"] == "ns"
    assert event["regarding"]["uid"] == "u1"
    assert (event["type"], event["reason"], event["note"]) == (
        "Warning",
        "Invalid",
        "cidr is missing",
    )
    assert event["reportingController"] == "danm.k8s.io/netwatcher"
    assert event["reportingInstance"] == "n1"
    assert event["action"]
    assert event["eventTime"].endswith("Z")


async def test_repetitions_become_a_series() -> None:
    """What is said again is counted in one Event, written now and then."""
    fake, clock = FakeKube(), FakeClock()
    events = recorder(fake, clock)
    for _ in range(10):
        await events.record(NET, reason="Invalid", message="cidr is missing")
    assert fake.calls["patch", "events"] == 0
    clock.advance(31)
    await events.record(NET, reason="Invalid", message="cidr is missing")
    (event,) = fake.all_stored(EVENTS)
    assert event["series"]["count"] == 11
    await events.record(NET, reason="Invalid", message="another sentence")
    await events.record(NODE, reason="Odd", message="m", type=EventType.NORMAL)
    stored = fake.all_stored(EVENTS)
    assert len(stored) == 3
    assert {each["metadata"]["namespace"] for each in stored} == {"default", "ns"}


async def test_an_expired_event_is_written_anew() -> None:
    """When the API server has dropped the Event, a repetition makes a new one."""
    fake, clock = FakeKube(), FakeClock()
    events = recorder(fake, clock)
    await events.record(NET, reason="Invalid", message="m")
    (event,) = fake.all_stored(EVENTS)
    await fake.delete(EVENTS, event["metadata"]["name"], namespace="ns")
    clock.advance(60)
    await events.record(NET, reason="Invalid", message="m")
    assert len(fake.all_stored(EVENTS)) == 1


async def test_failures_harm_nobody() -> None:
    """An Event that cannot be written is dropped, and said when it is asked for again."""
    fake = FakeKube()
    events = recorder(fake, FakeClock())
    fake.fail_next("create", EVENTS, ApiUnavailableError("no answer", status=0))
    assert not await events.record(NET, reason="Invalid", message="m")
    assert fake.all_stored(EVENTS) == []
    assert await events.record(NET, reason="Invalid", message="m")
    assert len(fake.all_stored(EVENTS)) == 1
    # It stands, though nothing is written.
    assert await events.record(NET, reason="Invalid", message="m")


async def test_a_flood_is_bounded() -> None:
    """A fault that hits everything does not flood the API server."""
    fake, clock = FakeKube(), FakeClock()
    events = recorder(fake, clock)
    for number in range(500):
        written = await events.record(NET, reason="Invalid", message=f"sentence {number}")
        assert written == (number < 100)
    assert len(fake.all_stored(EVENTS)) == 100
    clock.advance(10)
    await events.record(NET, reason="Invalid", message="later")
    assert len(fake.all_stored(EVENTS)) == 101
