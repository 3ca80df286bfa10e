"""Histories of a simple service that is right, for tests of the checker.

One thing happens after the other; each takes effect at one moment between its start and its end, or
later when its answer was lost.
"""

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.lab.chaos.history import (
    End,
    Entry,
    Fault,
    Pool,
    Record,
    Release,
    Reserve,
    Seen,
    Send,
    Snapshot,
    Wish,
)

# Of one wire; the first one cools what is given back.
NETWORK: Final = "net"
OTHER: Final = "other"
WIRE: Final = "wire"
POOL: Final = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
_POOLS: Final = {NETWORK: POOL, OTHER: ("10.0.0.4", "10.0.0.5")}
_COOLDOWN_S: Final = 1.5

_Step = Generator[float, None, None]


@dataclass(slots=True, kw_only=True)
class Service:
    """The record, and what became of it."""

    chance: Random
    now: float = 0.0
    record: dict[str, tuple[str, int]] = field(default_factory=dict)
    cooling: dict[str, float] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)
    queue: list[tuple[float, int, _Step]] = field(default_factory=list)
    started: int = 0

    def start(self, step: _Step, *, after: float = 0.0) -> None:
        """Let something run beside all else; it yields how long it waits."""
        self.started += 1
        heapq.heappush(self.queue, (self.now + after, self.started, step))

    def run(self) -> None:
        """Run until nothing waits."""
        while self.queue:
            self.now, _, step = heapq.heappop(self.queue)
            pause = next(step, None)
            if pause is not None:
                self.start(step, after=pause)

    def pause(self) -> float:
        """Return some time."""
        return self.chance.uniform(0.01, 2.0)

    def reserve(self, owner: str, network: str, attempt: int) -> str | None:
        """Give an address, or the one that the owner has; None when none is free."""
        if attempt < self.newest.get(owner, 0):
            return None
        mine = [address for address, (holder, _) in self.record.items() if holder == owner]
        free = [
            address
            for address in _POOLS[network]
            if address not in self.record and self.cooling.get(address, 0.0) <= self.now
        ]
        if not mine and not free:
            return None
        address = mine[0] if mine else self.chance.choice(free)
        self._write(address, (owner, attempt))
        return address

    def release(self, owner: str, attempt: int) -> None:
        """Free what the owner has under exactly this attempt; its late reserves lose."""
        self.newest[owner] = max(self.newest.get(owner, 0), attempt + 1)
        for address, entry in list(self.record.items()):
            if entry == (owner, attempt):
                self._write(address, None)

    def _write(self, address: str, entry: tuple[str, int] | None) -> None:
        if entry is None:
            del self.record[address]
            if address in POOL:
                self.cooling[address] = self.now + _COOLDOWN_S
        else:
            self.record[address] = entry
        holder, attempt = entry or ("", 0)
        # The watch is in order, so it is told at once here; how late it is does not matter.
        self.history.append(
            Seen(
                network=network_of(address),
                address=address,
                at=self.now + 1e-4,
                holder=holder,
                attempt=attempt,
            )
        )

    def snapshot(self) -> None:
        """Look at the record."""
        held = tuple(
            Entry(network=network_of(address), address=address, holder=holder, attempt=attempt)
            for address, (holder, attempt) in sorted(self.record.items())
        )
        self.history.append(Snapshot(at=self.now, held=held))


def network_of(address: str) -> str:
    """Return the network that has an address in its pool."""
    return NETWORK if address in POOL else OTHER


def model_history(chance: Random, *, owners: int = 7, rounds: int = 4) -> list[Record]:
    """Return what a right service does for some owners."""
    service = Service(chance=chance)
    service.history += [
        Pool(network=NETWORK, family=4, addresses=POOL, cooldown_s=_COOLDOWN_S, wire=WIRE),
        Pool(network=OTHER, family=4, addresses=_POOLS[OTHER], wire=WIRE),
    ]
    for number in range(owners):
        network = NETWORK if number % 3 else OTHER
        service.start(_owner(service, f"o{number}", network, rounds), after=service.pause())
    service.run()
    service.history.append(
        Fault(kind="kill", target="replica", start=service.now / 2, end=service.now)
    )
    service.now += 20
    service.snapshot()
    return service.history


def _owner(service: Service, owner: str, network: str, rounds: int) -> _Step:
    chance = service.chance
    sent: list[int] = []
    attempt = 0
    for _ in range(chance.randrange(rounds + 1)):
        if sent and chance.random() < 0.4:
            yield from _release_all(service, owner, sent)
            sent.clear()
        else:
            attempt += 1
            sent.append(attempt)
            answered: list[str] = []
            yield from _reserve(service, owner, network, attempt, answered.append)
            if answered and answered[0] != "held":
                # Nothing of it may be left: who gives up says so.
                yield from _release_all(service, owner, sent)
                sent.clear()
        yield service.pause()
    if sent and chance.random() < 0.2:
        service.history.append(End(owner=owner, at=service.now))
        yield service.pause()
        for each in sent:
            service.release(owner, each)


def _reserve(
    service: Service, owner: str, network: str, attempt: int, tell: Callable[[str], None]
) -> _Step:
    start = service.now
    lost = service.chance.random() < 0.2
    took: list[str | None] = []

    def effect() -> _Step:
        took.append(service.reserve(owner, network, attempt))
        yield from ()

    if not lost:
        yield service.pause()
        took.append(service.reserve(owner, network, attempt))
    elif service.chance.random() < 0.6:
        service.start(effect(), after=service.pause())
    yield service.pause()
    address = took[0] if took and not lost else None
    answer = "unknown" if lost else "exhausted" if address is None else "held"
    service.history.append(
        Reserve(
            owner=owner,
            wishes=(Wish(holder=owner, network=network, family=4),),
            sends=(Send(attempt=attempt, at=start),),
            start=start,
            end=service.now,
            answer=answer,  # type: ignore[arg-type]  # one of the three
            addresses=() if address is None else (address,),
            attempt=attempt if address else 0,
        )
    )
    tell(answer)


def _release_all(service: Service, owner: str, sent: list[int]) -> _Step:
    for attempt in sent:
        while True:
            start = service.now
            yield service.pause()
            service.release(owner, attempt)
            yield service.pause()
            lost = service.chance.random() < 0.2
            service.history.append(
                Release(
                    owner=owner,
                    holders=(owner,),
                    attempt=attempt,
                    start=start,
                    end=service.now,
                    answer="unknown" if lost else "done",
                )
            )
            if not lost:
                break
