"""The model of the validator's Events: what none may be, and which a DanmNet must have got."""

from typing import Any

import pytest

from tests.lab.chaos.controllers.facts import Event, read
from tests.lab.chaos.controllers.network_events import TOLD, differences_of_events
from tests.lab.chaos.controllers.network_facts import DanmNet

Raw = dict[str, Any]

_LATEST = "the spec keeps all rules"


def an_event(reason: str = "Valid", **changes: object) -> Raw:
    """Return an Event about the DanmNet of these tests."""
    return {
        "regarding": {"kind": "DanmNet", "namespace": "red", "name": "ext", "uid": "u1"},
        "type": "Normal" if reason in {"Valid", "InForce"} else "Warning",
        "reason": reason,
        "note": _LATEST if reason == "Valid" else "why",
    } | changes


def told(*events: Raw, wanted: str | None = None, **metadata: object) -> list[str]:
    """Return what differs, in the model's words, of a DanmNet that was refused and mended."""
    network: Raw = {
        "metadata": {
            "namespace": "red",
            "name": "ext",
            "uid": "u1",
            "annotations": {} if wanted is None else {TOLD: wanted},
            **metadata,
        },
        "spec": {"NetworkID": "ext"},
        "status": {
            "conditions": [
                {"type": "Valid", "status": "True", "reason": "Valid", "message": _LATEST},
                {"type": "Applied", "status": "True", "reason": "InForce", "message": "all is"},
            ]
        },
    }
    found = differences_of_events(read(network, DanmNet), [read(raw, Event) for raw in events])
    return [str(each) for each in found]


def test_lost_events_are_no_difference_where_they_may_be_lost() -> None:
    """None, some, and some twice: a leader that died said it and its successor again."""
    refused = an_event("Refused")
    for events in ((), (refused,), (refused, refused, an_event()), (an_event("ChangeWaits"),)):
        assert told(*events) == []


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(
            an_event(regarding={"kind": "DanmNet", "namespace": "red", "name": "x", "uid": "u1"}),
            ["wrong: red/ext: an Event of its uid is about DanmNet red/x"],
            id="another name",
        ),
        pytest.param(
            an_event(type="Warning"),
            ["wrong: red/ext: an Event Valid is Warning"],
            id="a warning of nothing",
        ),
        pytest.param(
            an_event("Refused", type="Normal"),
            ["wrong: red/ext: an Event Refused is Normal"],
            id="no warning",
        ),
        pytest.param(
            an_event("Checking"), ["wrong: red/ext: an Event Checking is Warning"], id="no reason"
        ),
        pytest.param(
            an_event(note=""), ["missing: red/ext: what its Event Valid says"], id="nothing said"
        ),
    ],
)
def test_no_event_may_be_wrong(event: Raw, expected: list[str]) -> None:
    """Whatever broke: each names the DanmNet, says something, and warns where it must."""
    assert told(event) == expected
    other = {**event["regarding"], "uid": "u0"}
    assert told(event | {"regarding": other}) == [], "of a DanmNet of before"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([an_event("Refused"), an_event()], [], id="all"),
        pytest.param(
            [an_event()], ["missing: red/ext: an Event Refused"], id="one of before was lost"
        ),
        pytest.param(
            [an_event("Refused"), an_event(), an_event()],
            ["left: red/ext: an Event Valid more"],
            id="twice",
        ),
        pytest.param(
            [an_event("Refused"), an_event(), an_event("InForce")],
            ["left: red/ext: an Event InForce more"],
            id="nobody waited",
        ),
        pytest.param(
            [an_event("Refused"), an_event(note="other words")],
            [f"wrong: red/ext: no Event says what its condition Valid does: {_LATEST}"],
            id="other words",
        ),
    ],
)
def test_events_of_what_comes_in_quiet_are_exact(events: list[Raw], expected: list[str]) -> None:
    """Each once, and the present verdict as its condition says it."""
    assert told(*events, wanted="Refused,Valid") == expected


def test_what_is_being_deleted_is_told_nothing_new() -> None:
    """Its verdict stays as it was."""
    assert told(wanted="Refused,Valid", deletionTimestamp="2026-01-01T00:00:00Z") == []
