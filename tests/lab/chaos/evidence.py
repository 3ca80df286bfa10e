"""What a history has of a violation: the calls and changes that show how it came about. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tests.lab.chaos.checker import Violation
from tests.lab.chaos.history import ClockStep, End, Fault, Record, Release, Reserve, Seen
from tests.lab.chaos.holds import place_of, wires_of

# What was broken, and who had the address, so long before a violation and after it may have to do
# with it.
_BEFORE_S: Final = 15.0
_AFTER_S: Final = 1.0


def evidence(history: Iterable[Record], violation: Violation) -> list[str]:
    """Return what a history has of an address, its holders and what was broken, as JSON texts.

    They are in the order of time.
    """
    records = list(history)
    wires = wires_of(records)
    owners = {
        record.owner
        for record in records
        if isinstance(record, Reserve)
        and any(wish.holder in violation.holders for wish in record.wishes)
    }
    found: list[tuple[float, Record]] = []
    for record in records:
        match record:
            case Reserve(start=at) | Release(start=at) | End(at=at) if record.owner in owners:
                found.append((at, record))
            case Seen(at=at) if _concerns(violation, record, wires):
                found.append((at, record))
            case Fault(start=at, end=end) if _is_near(violation, at, end):
                found.append((at, record))
            case ClockStep(at=at):
                found.append((at, record))
    found.sort(key=lambda each: each[0])
    return [msgspec.json.encode(record).decode() for _, record in found]


def _concerns(violation: Violation, seen: Seen, wires: Mapping[str, str]) -> bool:
    """Say whether a change is one of the address: another holder's only at about the time."""
    if place_of(wires, seen.network, seen.address) != violation.place:
        return False
    return seen.holder in violation.holders or _is_near(violation, seen.at, seen.at)


def _is_near(violation: Violation, start: float, end: float) -> bool:
    return start <= violation.at + _AFTER_S and end >= violation.at - _BEFORE_S
