"""Events on the wire."""

from datetime import UTC, datetime

from danm_api.codec.event import (
    Event,
    EventType,
    ObjectReference,
    encode_event,
    encode_series_patch,
    reference_to,
)

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(note: str) -> Event:
    """Return an Event about a node."""
    return Event(
        name="n1.1",
        regarding=ObjectReference(api_version="v1", kind="Node", namespace="", name="n1", uid="u"),
        type=EventType.WARNING,
        reason="LinkMissing",
        note=note,
        component="danm.k8s.io/netwatcher",
        instance="n1",
        time=MOMENT,
    )


def test_long_notes_are_cut_by_bytes() -> None:
    """The API server takes 1024 bytes; a cut note says so and stays valid text."""
    note = encode_event(event("ü" * 2000))["note"]
    assert len(note.encode()) <= 1024
    assert note.endswith("ü...")
    assert encode_event(event("short"))["note"] == "short"


def test_cluster_scoped_objects_have_their_events_in_default() -> None:
    """An Event about a node lives in the namespace default, as the API server insists."""
    assert encode_event(event("x"))["metadata"]["namespace"] == "default"


def test_a_series_has_a_count_and_a_time() -> None:
    """The patch of a repeated Event has the API's two fields."""
    assert encode_series_patch(2, MOMENT) == {
        "series": {"count": 2, "lastObservedTime": "2026-01-02T03:04:05.000000Z"}
    }


def test_references_come_from_objects() -> None:
    """The JSON form of an object names it."""
    raw = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "ns", "name": "svc", "uid": "u"},
    }
    assert reference_to(raw) == ObjectReference(
        api_version="v1", kind="Service", namespace="ns", name="svc", uid="u"
    )
