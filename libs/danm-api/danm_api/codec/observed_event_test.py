"""Events as they are read."""

from datetime import UTC, datetime

import pytest

from danm_api.codec.event import Event, EventType, ObjectReference, encode_event
from danm_api.codec.observed_event import decode_event
from danm_api.errors import InvalidObjectError
from danm_api.model.observed_event import ObservedEvent
from danm_api.testing.clock import START


def test_what_danm_writes_is_read() -> None:
    """An Event of ours comes back as it was meant; a series says how often and when last."""
    raw = encode_event(
        Event(
            name="e",
            regarding=ObjectReference(
                api_version="v1", kind="Pod", namespace="ns", name="p", uid="u"
            ),
            type=EventType.WARNING,
            reason="NameTaken",
            note="a sentence",
            component="danm.k8s.io/svcwatcher",
            instance="one",
            time=START,
        )
    )
    expected = ObservedEvent(
        warning=True,
        reason="NameTaken",
        note="a sentence",
        reporter="danm.k8s.io/svcwatcher",
        kind="Pod",
        name="p",
        namespace="ns",
        uid="u",
        count=1,
        last=START,
    )
    assert decode_event(raw) == expected
    raw["series"] = {"count": 7, "lastObservedTime": "2030-01-01T00:00:00.000000Z"}
    again = decode_event(raw)
    assert (again.count, again.last) == (7, datetime(2030, 1, 1, tzinfo=UTC))


def test_kubelet_s_form_is_read() -> None:
    """Kubernetes' own parts still write the core form."""
    event = decode_event(
        {
            "kind": "Event",
            "type": "Warning",
            "reason": "FailedCreatePodSandBox",
            "note": "x",
            "eventTime": None,
            "regarding": {"kind": "Pod", "name": "p", "namespace": "ns", "fieldPath": "spec"},
            "deprecatedSource": {"component": "kubelet", "host": "n1"},
            "deprecatedCount": 3,
            "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
            "deprecatedLastTimestamp": "2026-01-01T00:01:00Z",
        }
    )
    assert (event.reporter, event.count) == ("kubelet", 3)
    assert event.last == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def test_what_says_nothing_is_read_and_what_lies_is_refused() -> None:
    """Everything may be missing; a wrong type names the object."""
    assert decode_event({}).last is None
    assert decode_event({}).count == 1
    with pytest.raises(InvalidObjectError, match="Event ns/e is unreadable"):
        decode_event({"kind": "Event", "metadata": {"namespace": "ns", "name": "e"}, "note": 1})
