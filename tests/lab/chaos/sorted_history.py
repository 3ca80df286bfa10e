"""A history by what its records are of, as the checker's rules look at it. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.lab.chaos.history import (
    ClockStep,
    Family,
    Fault,
    Pool,
    Record,
    Release,
    Reserve,
    Seen,
    Snapshot,
)
from tests.lab.chaos.holds import Place, forward_s, place_of, wires_of

# A cooling address may come back so much later: its time is counted by another clock.
_COOLDOWN_SLACK_S: Final = 1.0
# So much earlier, too: smaller steps of the wall clock are not written down.
_EARLY_SLACK_S: Final = 0.2

NetworkPlace = tuple[str, str]
"""A network and an address of it: the record has an entry for it, or none."""


@dataclass(slots=True, kw_only=True)
class SortedHistory:
    """A history, sorted by what it is of.

    Attributes:
        asked: When each holder's attempt was sent.
        exactly: What a holder's attempt asked for by its address.
        on_wire: What was seen of networks that share one.
    """

    wires: dict[str, str]
    places: dict[tuple[str, Family], tuple[NetworkPlace, ...]] = field(default_factory=dict)
    cooldown_s: dict[str, float] = field(default_factory=dict)
    steps: list[ClockStep] = field(default_factory=list)
    reserves: list[Reserve] = field(default_factory=list)
    seen: dict[NetworkPlace, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    on_wire: dict[Place, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    snapshots: list[Snapshot] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    asked: dict[tuple[str, int], float] = field(default_factory=dict)
    exactly: set[tuple[str, int, NetworkPlace]] = field(default_factory=set)

    def add(self, record: Record) -> None:
        """Sort one more in."""
        match record:
            case Pool():
                network = record.network
                places = tuple((network, address) for address in record.addresses)
                self.places[network, record.family] = places
                self.cooldown_s[network] = record.cooldown_s
            case Reserve():
                self.reserves.append(record)
                self.ends.append(record.end)
                for send in record.sends:
                    for wish in record.wishes:
                        self.asked[wish.holder, send.attempt] = send.at
                        if wish.exactly:
                            place = (wish.network, wish.exactly)
                            self.exactly.add((wish.holder, send.attempt, place))
            case Release() | Fault():
                self.ends.append(record.end)
            case Seen():
                self.seen[record.network, record.address].append(record)
                if record.network in self.wires:
                    place = self.place_of(record.network, record.address)
                    self.on_wire[place].append(record)
            case Snapshot():
                self.snapshots.append(record)
            case ClockStep():
                self.steps.append(record)

    def place_of(self, network: str, address: str) -> Place:
        """Return what an address of a network is on its wire."""
        return place_of(self.wires, network, address)

    def cools_for_s(self, network: str) -> float:
        """Return how long an address may cool at most."""
        cooldown_s = self.cooldown_s.get(network, 0.0)
        if not cooldown_s:
            return 0.0
        back_s = sum(max(0.0, -step.forward_s) for step in self.steps)
        return cooldown_s + _COOLDOWN_SLACK_S + back_s

    def cools_until(self, network: str, since: float, until: float) -> float:
        """Return until when an address cools at least that was given back at one time."""
        cooldown_s = self.cooldown_s.get(network, 0.0)
        return since + cooldown_s - _EARLY_SLACK_S - forward_s(self.steps, since, until)


def sorted_history(records: Iterable[Record]) -> SortedHistory:
    """Sort all records of a run."""
    records = list(records)
    run = SortedHistory(wires=wires_of(records))
    for record in records:
        run.add(record)
    return run
