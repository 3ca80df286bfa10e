"""What owners held for sure, by a history: from an answer until the owner began to give it back.

What an owner asked without an answer changes nothing of what it has for sure, and gives it nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.lab.chaos.history import ClockStep, End, Family, Pool, Record, Release, Reserve

# Clocks of one machine; an owner whose time is nearly over counts on nothing.
_EXPIRY_SLACK_S: Final = 0.2
_NEVER: Final = float("inf")

Place = tuple[str, str]
"""A wire and an address of it: one holder's, whichever network it is of."""

Slot = tuple[str, str, Family]
"""A holder, a network and a family: it has one address."""


@dataclass(slots=True, kw_only=True)
class Hold:
    """An address that is its holder's for sure.

    Attributes:
        network: It was given by this one.
        first_attempt: The one that gave it.
        attempt: The last one that was answered.
        asked: When that which gave it began to be asked for.
        since: Included.
        until: Not included.
    """

    place: Place
    network: str
    holder: str
    first_attempt: int
    attempt: int
    asked: float
    since: float
    until: float = _NEVER

    @property
    def entry(self) -> tuple[str, str, str]:
        """Return network, address and holder, as the record has to name them."""
        return self.network, self.place[1], self.holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """An owner asked again for what it had for sure, and was given another address."""

    hold: Hold
    address: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    asked: float
    at: float
    address: str
    attempt: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _GivingBack:
    """The holder wants nothing any more that it has under this attempt or an earlier one."""

    at: float
    attempt: float


def holds_of(records: list[Record]) -> tuple[list[Hold], list[Moved]]:
    """Return all that was held for sure, and the answers that contradict it."""
    wires = wires_of(records)
    holds: list[Hold] = []
    moved: list[Moved] = []
    for (holder, network, _), moments in _moments(records).items():
        present: Hold | None = None
        given_back = 0.0
        for moment in sorted(moments, key=lambda each: each.at):
            if present is not None and present.until <= moment.at:
                present = None
            match moment:
                case _GivingBack(at=at, attempt=attempt):
                    given_back = max(given_back, attempt)
                    if present is not None and present.attempt <= attempt:
                        present.until = min(present.until, at)
                        present = None
                # What is answered when the owner's time is over may be another one's by then.
                case _Answer(at=at) if moment.attempt > given_back and at < moment.until:
                    if present is not None and present.place[1] == moment.address:
                        present.attempt = max(present.attempt, moment.attempt)
                        continue
                    if present is not None:
                        moved.append(Moved(hold=present, address=moment.address, at=at))
                        present.until = at
                    present = Hold(
                        place=place_of(wires, network, moment.address),
                        network=network,
                        holder=holder,
                        first_attempt=moment.attempt,
                        attempt=moment.attempt,
                        asked=moment.asked,
                        since=at,
                        until=moment.until,
                    )
                    holds.append(present)
    return holds, moved


def wires_of(records: Iterable[Record]) -> dict[str, str]:
    """Return the wire of each network that names one."""
    pools = (record for record in records if isinstance(record, Pool))
    return {pool.network: pool.wire for pool in pools if pool.wire}


def place_of(wires: Mapping[str, str], network: str, address: str) -> Place:
    """Return what an address of a network is; a network without a wire is one of its own."""
    return wires.get(network, network), address


def forward_s(steps: Iterable[ClockStep], since: float, until: float) -> float:
    """Return by how much at most the wall clock was set forward in a time."""
    return sum(
        step.forward_s
        for step in steps
        if step.forward_s > 0 and step.since < until and step.at >= since
    )


def _moments(records: list[Record]) -> dict[Slot, list[_Answer | _GivingBack]]:
    """Return what changes what each holder has, in no order."""
    sends: dict[str, list[tuple[float, int]]] = defaultdict(list)
    slots: dict[str, set[Slot]] = defaultdict(set)
    for record in records:
        if isinstance(record, Reserve):
            sends[record.owner] += [(each.at, each.attempt) for each in record.sends]
            slots[record.owner] |= {(w.holder, w.network, w.family) for w in record.wishes}
    steps = [record for record in records if isinstance(record, ClockStep)]
    moments: dict[Slot, list[_Answer | _GivingBack]] = defaultdict(list)
    for record in records:
        match record:
            case Reserve(answer="held"):
                # Once a larger number is sent, no answer to a smaller one is used.
                if any(at < record.end and n > record.attempt for at, n in sends[record.owner]):
                    continue
                until = _for_sure_until(record, steps)
                for wish, address in zip(record.wishes, record.addresses, strict=True):
                    moments[wish.holder, wish.network, wish.family].append(
                        _Answer(
                            asked=record.start,
                            at=record.end,
                            address=address,
                            attempt=record.attempt,
                            until=until,
                        )
                    )
            case Release():
                giving = _GivingBack(at=record.start, attempt=record.attempt)
                for slot in slots[record.owner]:
                    if slot[0] in record.holders:
                        moments[slot].append(giving)
            case End():
                for slot in slots[record.owner]:
                    moments[slot].append(_GivingBack(at=record.at, attempt=_NEVER))
    return moments


def _for_sure_until(record: Reserve, steps: Sequence[ClockStep]) -> float:
    """Return when an owner may be taken for expired, by a wall clock that may have been set."""
    if record.until is None:
        return _NEVER
    return record.until - forward_s(steps, record.start, record.until) - _EXPIRY_SLACK_S
