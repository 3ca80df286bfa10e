"""How lags are found in what was seen."""

from typing import Any

import pytest

from tests.lab.errors import LabError
from tests.lab.follow import Lag, Sighting, lags, membership_changes


def event(
    at: float, name: str, *, ready: bool, deleting: bool = False, kind: str = "MODIFIED"
) -> Sighting:
    """Return a sighting of a Pod."""
    metadata: dict[str, Any] = {"name": name}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    pod = {"metadata": metadata, "status": {"conditions": conditions}}
    return Sighting(at=at, what={"type": kind, "object": pod})


def test_readiness_and_deletion_marks_are_changes() -> None:
    """The state before is no change; readiness and a deletion mark are, the end itself is not."""
    events = [
        event(0.0, "a", ready=True, kind="ADDED"),
        event(1.0, "b", ready=False, kind="ADDED"),
        event(2.0, "b", ready=True),
        event(3.0, "a", ready=True, deleting=True),
        event(4.0, "a", ready=False, deleting=True),
        event(5.0, "a", ready=False, deleting=True, kind="DELETED"),
    ]
    assert membership_changes(events) == [(2.0, "b", True), (3.0, "a", False)]


ANSWERS = [
    Sighting(at=0.0, what=["10.0.0.1"]),
    Sighting(at=2.5, what=["10.0.0.1", "10.0.0.2"]),
    Sighting(at=4.0, what=["10.0.0.2"]),
]
ADDRESSES = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}


def test_a_lag_is_the_time_until_the_answer() -> None:
    """Both directions are measured; an answer that was seen first is no lag."""
    changes = [(2.0, "b", True), (3.0, "a", False)]
    assert lags(changes, ANSWERS, ADDRESSES) == [
        Lag(pod="b", address="10.0.0.2", appeared=True, seconds=0.5),
        Lag(pod="a", address="10.0.0.1", appeared=False, seconds=1.0),
    ]
    assert lags([(2.6, "b", True)], ANSWERS, ADDRESSES)[0].seconds == 0.0


def test_an_address_that_another_pod_gets_has_left_before() -> None:
    """Its way out is not looked for after the other Pod has it, nor the other's way in before."""
    answers = [
        Sighting(at=0.0, what=["10.0.0.1"]),
        Sighting(at=4.0, what=[]),
        Sighting(at=8.9, what=["10.0.0.1"]),
        Sighting(at=12.0, what=[]),
    ]
    changes = [(3.0, "a", False), (9.0, "b", True), (11.5, "b", False)]
    found = lags(changes, answers, {"a": "10.0.0.1", "b": "10.0.0.1"})
    assert [(lag.pod, lag.appeared, lag.seconds) for lag in found] == [
        ("a", False, 1.0),
        ("b", True, 0.0),
        ("b", False, 0.5),
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((1.0, "c", True), id="never appeared"),
        pytest.param((1.0, "b", False), id="never left"),
    ],
)
def test_a_change_that_was_never_followed_is_an_error(change: tuple[float, str, bool]) -> None:
    """No answer is never taken for a fast one."""
    with pytest.raises(LabError, match="never"):
        lags([change], ANSWERS, ADDRESSES)
