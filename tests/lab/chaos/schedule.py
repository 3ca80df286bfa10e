"""Which faults happen when: a seed says it all. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

# Longer than every timeout of DANM's services and their callers: the longest is the Lease's, 15 s.
FROZEN_S: Final = (16.0, 19.0)


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
    KILL_LEADER = "leader killed"
    FREEZE_LEADER = "leader frozen"
    STALL_LEADER = "leader's traffic to the API server stalled"
    FORGET = "history forgotten while a replica is cut off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        at: Seconds after the beginning.
        replica: Which one; 0 where it concerns none, or is found when the time has come.
        duration_s: How long it stays broken; for a restart how long it stays down.
        hard: Whether a program is killed rather than asked to end.
    """

    at: float
    kind: Kind
    replica: int
    duration_s: float
    hard: bool


class Part(StrEnum):
    """What a fault breaks: two faults of one part of one replica do not overlap, all else may."""

    PROCESS = "process"
    API = "api"
    CALLERS = "callers"
    SERVER = "server"
    NODES = "nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A fault that each round has.

    Attributes:
        part: What it breaks.
        whole: It breaks that of all replicas, or of one that is not known before.
    """

    kind: Kind
    part: Part
    shortest_s: float
    longest_s: float
    whole: bool = False


# Each round has all of these, in another order. Stalls and hangs last longer than a request's
# time-out of 10 s now and then.
IPAM_DECK: Final = (
    Card(kind=Kind.KILL, part=Part.PROCESS, shortest_s=0.2, longest_s=3),
    Card(kind=Kind.KILL, part=Part.PROCESS, shortest_s=0.2, longest_s=3),
    Card(kind=Kind.FREEZE, part=Part.PROCESS, shortest_s=FROZEN_S[0], longest_s=FROZEN_S[1]),
    Card(kind=Kind.FREEZE, part=Part.PROCESS, shortest_s=FROZEN_S[0], longest_s=FROZEN_S[1]),
    Card(kind=Kind.FREEZE, part=Part.PROCESS, shortest_s=1, longest_s=7),
    Card(kind=Kind.API_CUT, part=Part.API, shortest_s=0.5, longest_s=6),
    Card(kind=Kind.API_STALL, part=Part.API, shortest_s=1, longest_s=6),
    Card(kind=Kind.API_STALL, part=Part.API, shortest_s=6, longest_s=13),
    Card(kind=Kind.API_HANG, part=Part.API, shortest_s=1, longest_s=12),
    Card(kind=Kind.API_LOSE_REQUESTS, part=Part.API, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.API_LOSE_ANSWERS, part=Part.API, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.API_LOSE_ANSWERS, part=Part.API, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.CALLERS_CUT, part=Part.CALLERS, shortest_s=0.5, longest_s=5),
    Card(kind=Kind.CALLERS_STALL, part=Part.CALLERS, shortest_s=1, longest_s=12),
    Card(kind=Kind.CALLERS_LOSE_REQUESTS, part=Part.CALLERS, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.CALLERS_LOSE_ANSWERS, part=Part.CALLERS, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.CALLERS_LOSE_ANSWERS, part=Part.CALLERS, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.RESTART_API_SERVER, part=Part.SERVER, shortest_s=0, longest_s=3, whole=True),
    Card(kind=Kind.RESTART_ETCD, part=Part.SERVER, shortest_s=0, longest_s=3, whole=True),
    Card(kind=Kind.LOSE_NODE, part=Part.NODES, shortest_s=0, longest_s=0, whole=True),
    Card(kind=Kind.LOSE_NODE, part=Part.NODES, shortest_s=0, longest_s=0, whole=True),
)
# Between the beginnings of two faults.
_APART_S: Final = (0.5, 3.0)
# An API server takes some seconds to start.
_STARTING_S: Final = 10.0


def round_s(deck: Sequence[Card]) -> float:
    """Return about how long a round takes in which everything is broken once, in seconds."""
    return len(deck) * sum(_APART_S) / 2


def schedule(
    seed: int, *, replicas: int, deck: Sequence[Card] = IPAM_DECK, apart: float = 1.0
) -> Iterator[Fault]:
    """Yield faults in the order of time, without an end.

    Args:
        seed: Says which.
        replicas: How many there are.
        deck: What each round has, in another order.
        apart: How many times as long as usual it is from one fault's beginning to the next one's.
    """
    chance = Random(seed)  # noqa: S311  (a schedule is no secret)
    at = 0.0
    busy: dict[tuple[Part, int], float] = {}
    while True:
        cards = list(deck)
        chance.shuffle(cards)
        for card in cards:
            at += chance.uniform(*_APART_S) * apart
            choices = list(range(replicas))
            chance.shuffle(choices)
            # The one that has been whole for the longest time.
            choices.sort(key=lambda each: busy.get((card.part, each), 0.0))
            broken = range(replicas) if card.whole else choices[:1]
            at = max(at, *(busy.get((card.part, each), 0.0) for each in broken))
            duration_s = chance.uniform(card.shortest_s, card.longest_s)
            settling_s = _STARTING_S if card.part in {Part.PROCESS, Part.SERVER} else 1.0
            busy |= dict.fromkeys(
                ((card.part, each) for each in broken), at + duration_s + settling_s
            )
            yield Fault(
                at=at,
                kind=card.kind,
                replica=0 if card.whole else choices[0],
                duration_s=duration_s,
                hard=chance.random() < 0.5,
            )
