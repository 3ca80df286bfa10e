"""What the validator must have told the owner of a DanmNet by Events. Pure.

Events may be lost by design: a validator that dies after it has written a verdict tells no one,
the API server may refuse them, and two a second are written at most. So of most DanmNets this
holds alone: each Event that there is names the DanmNet of its uid, says something, and is a warning
exactly where something is wrong. A DanmNet that comes when all is whole and quiet says by an
annotation which Events it must have got: those, each once, the latest in the condition's own words,
and none again, whoever leads later.

Source: SPEC N1, N5.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tests.lab.chaos.controllers.facts import Difference, Event
from tests.lab.chaos.controllers.network_facts import DanmNet

TOLD: Final = "test.danm.k8s.io/told"
"""Annotation of a DanmNet: the reasons of all Events that it must have got, with commas."""

_TYPES: Final = {
    "Valid": "Normal",
    "InForce": "Normal",
    "Refused": "Warning",
    "ChangeWaits": "Warning",
}
# Which conditions are told, for which reasons: of what is in force the verdict says the rest.
_TELLING: Final = {"Valid": ("Valid", "Refused"), "Applied": ("InForce", "ChangeWaits")}


def differences_of_events(net: DanmNet, events: Sequence[Event]) -> list[Difference]:
    """Return what a DanmNet's Events lack or say wrongly.

    Args:
        net: The DanmNet; one that is being deleted is told nothing new.
        events: Of all DanmNets.
    """
    own = [each for each in events if each.regarding.uid == net.metadata.uid]
    return [*_unsound(net, own), *_not_exact(net, own)]


def _unsound(net: DanmNet, events: Sequence[Event]) -> Iterator[Difference]:
    where = net.metadata.where
    for each in events:
        about = f"{each.regarding.kind} {each.regarding.namespace}/{each.regarding.name}"
        if about != f"DanmNet {where}":
            what = f"an Event of its uid is about {about}"
            yield Difference(kind="wrong", where=where, what=what)
        if _TYPES.get(each.reason) != each.type:
            what = f"an Event {each.reason} is {each.type}"
            yield Difference(kind="wrong", where=where, what=what)
        if not each.note:
            what = f"what its Event {each.reason} says"
            yield Difference(kind="missing", where=where, what=what)


def _not_exact(net: DanmNet, events: Sequence[Event]) -> Iterator[Difference]:
    where, wanted = net.metadata.where, net.metadata.annotations.get(TOLD)
    if wanted is None or net.metadata.deletion_timestamp is not None:
        return
    rightful, present = Counter(wanted.split(",")), Counter(each.reason for each in events)
    for reason in (rightful - present).elements():
        yield Difference(kind="missing", where=where, what=f"an Event {reason}")
    for reason in (present - rightful).elements():
        yield Difference(kind="left", where=where, what=f"an Event {reason} more")
    notes = {(each.reason, each.note) for each in events}
    for condition in net.status.conditions:
        reason, message = condition.reason, condition.message
        is_told = reason in rightful and reason in _TELLING.get(condition.type, ())
        if is_told and (reason, message) not in notes:
            what = f"no Event says what its condition {condition.type} does: {message}"
            yield Difference(kind="wrong", where=where, what=what)
