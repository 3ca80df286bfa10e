"""Which faults happen when: a seed says it all. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

# Longer than every timeout of ipam-svc and its callers: the longest is the Lease's, 15 s.
_FROZEN_S: Final = (16.0, 19.0)


class Kind(StrEnum):
    """What is broken."""

    KILL = "replica killed"
    FREEZE = "replica frozen"
    API_CUT = "replica cut off from the API server"
    API_STALL = "replica's traffic to the API server stalled"
    API_HANG = "replica's traffic to the API server lost"
    API_LOSE_REQUESTS = "replica's requests to the API server lost"
    API_LOSE_ANSWERS = "API server's answers to a replica lost"
    CALLERS_CUT = "replica cut off from its callers"
    CALLERS_STALL = "callers' traffic to a replica stalled"
    CALLERS_LOSE_REQUESTS = "callers' requests to a replica lost"
    CALLERS_LOSE_ANSWERS = "replica's answers to its callers lost"
    RESTART_API_SERVER = "API server restarted"
    RESTART_ETCD = "etcd restarted"
    LOSE_NODE = "node lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        at: Seconds after the beginning.
        replica: Which one; 0 where it concerns none.
        duration_s: How long it stays broken; for a restart how long it stays down.
        hard: Whether a program is killed rather than asked to end.
    """

    at: float
    kind: Kind
    replica: int
    duration_s: float
    hard: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    kind: Kind
    part: str
    shortest_s: float
    longest_s: float


# Two faults of one part of one replica do not overlap; all else may.
_PROCESS, _API, _CALLERS, _SERVER, _NODES = "process", "api", "callers", "server", "nodes"

# Each round has all of these, in another order. Stalls and hangs last longer than a request's
# time-out of 10 s now and then.
_DECK: Final = (
    _Card(kind=Kind.KILL, part=_PROCESS, shortest_s=0.2, longest_s=3),
    _Card(kind=Kind.KILL, part=_PROCESS, shortest_s=0.2, longest_s=3),
    _Card(kind=Kind.FREEZE, part=_PROCESS, shortest_s=_FROZEN_S[0], longest_s=_FROZEN_S[1]),
    _Card(kind=Kind.FREEZE, part=_PROCESS, shortest_s=_FROZEN_S[0], longest_s=_FROZEN_S[1]),
    _Card(kind=Kind.FREEZE, part=_PROCESS, shortest_s=1, longest_s=7),
    _Card(kind=Kind.API_CUT, part=_API, shortest_s=0.5, longest_s=6),
    _Card(kind=Kind.API_STALL, part=_API, shortest_s=1, longest_s=6),
    _Card(kind=Kind.API_STALL, part=_API, shortest_s=6, longest_s=13),
    _Card(kind=Kind.API_HANG, part=_API, shortest_s=1, longest_s=12),
    _Card(kind=Kind.API_LOSE_REQUESTS, part=_API, shortest_s=0.5, longest_s=3),
    _Card(kind=Kind.API_LOSE_ANSWERS, part=_API, shortest_s=0.5, longest_s=3),
    _Card(kind=Kind.API_LOSE_ANSWERS, part=_API, shortest_s=0.5, longest_s=3),
    _Card(kind=Kind.CALLERS_CUT, part=_CALLERS, shortest_s=0.5, longest_s=5),
    _Card(kind=Kind.CALLERS_STALL, part=_CALLERS, shortest_s=1, longest_s=12),
    _Card(kind=Kind.CALLERS_LOSE_REQUESTS, part=_CALLERS, shortest_s=0.5, longest_s=3),
    _Card(kind=Kind.CALLERS_LOSE_ANSWERS, part=_CALLERS, shortest_s=0.5, longest_s=3),
    _Card(kind=Kind.CALLERS_LOSE_ANSWERS, part=_CALLERS, shortest_s=0.5, longest_s=3),
    _Card(kind=Kind.RESTART_API_SERVER, part=_SERVER, shortest_s=0, longest_s=3),
    _Card(kind=Kind.RESTART_ETCD, part=_SERVER, shortest_s=0, longest_s=3),
    _Card(kind=Kind.LOSE_NODE, part=_NODES, shortest_s=0, longest_s=0),
    _Card(kind=Kind.LOSE_NODE, part=_NODES, shortest_s=0, longest_s=0),
)
_WHOLE_CLUSTER: Final = (_SERVER, _NODES)
# Between the beginnings of two faults.
_APART_S: Final = (0.5, 3.0)
# An API server takes some seconds to start.
_STARTING_S: Final = 10.0

ROUND_S: Final = len(_DECK) * sum(_APART_S) / 2
"""About how long a round takes in which everything is broken once."""


def schedule(seed: int, *, replicas: int, apart: float = 1.0) -> Iterator[Fault]:
    """Yield faults in the order of time, without an end.

    Args:
        seed: Says which ones.
        replicas: Of ipam-svc.
        apart: How many times as long as usual it is from one fault's beginning to the next one's.
    """
    chance = Random(seed)  # noqa: S311  (a schedule is no secret)
    at = 0.0
    busy: dict[tuple[str, int], float] = {}
    while True:
        deck = list(_DECK)
        chance.shuffle(deck)
        for card in deck:
            at += chance.uniform(*_APART_S) * apart
            choices = [0] if card.part in _WHOLE_CLUSTER else list(range(replicas))
            chance.shuffle(choices)
            # The one that has been whole for the longest time.
            replica = min(choices, key=lambda each: busy.get((card.part, each), 0.0))
            at = max(at, busy.get((card.part, replica), 0.0))
            duration_s = chance.uniform(card.shortest_s, card.longest_s)
            settling_s = _STARTING_S if card.part in {_PROCESS, _SERVER} else 1.0
            busy[card.part, replica] = at + duration_s + settling_s
            yield Fault(
                at=at,
                kind=card.kind,
                replica=replica,
                duration_s=duration_s,
                hard=chance.random() < 0.5,
            )
