"""What each round of chaos of controllers breaks. Pure."""

from typing import Final

from tests.lab.chaos.schedule import FROZEN_S, Card, Kind, Part

_LEASE_PASSED_S: Final = FROZEN_S
"""Longer than the Lease, so that another replica leads before the old leader goes on."""

_LEADERS: Final = (Kind.KILL_LEADER, Kind.FREEZE_LEADER, Kind.STALL_LEADER)

# Leaders are what counts: a replica that stands by has nothing to lose but its watches.
DECK: Final = (
    Card(kind=Kind.KILL, part=Part.PROCESS, shortest_s=0.2, longest_s=3),
    Card(kind=Kind.FREEZE, part=Part.PROCESS, shortest_s=1, longest_s=7),
    Card(kind=Kind.KILL_LEADER, part=Part.PROCESS, shortest_s=0.2, longest_s=3, whole=True),
    Card(
        kind=Kind.FREEZE_LEADER,
        part=Part.PROCESS,
        shortest_s=_LEASE_PASSED_S[0],
        longest_s=_LEASE_PASSED_S[1],
        whole=True,
    ),
    Card(
        kind=Kind.STALL_LEADER,
        part=Part.API,
        shortest_s=_LEASE_PASSED_S[0],
        longest_s=_LEASE_PASSED_S[1],
        whole=True,
    ),
    Card(kind=Kind.API_CUT, part=Part.API, shortest_s=0.5, longest_s=6),
    Card(kind=Kind.API_STALL, part=Part.API, shortest_s=1, longest_s=13),
    Card(kind=Kind.API_HANG, part=Part.API, shortest_s=1, longest_s=12),
    Card(kind=Kind.API_LOSE_REQUESTS, part=Part.API, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.API_LOSE_ANSWERS, part=Part.API, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.API_LOSE_ANSWERS, part=Part.API, shortest_s=0.5, longest_s=3),
    Card(kind=Kind.FORGET, part=Part.API, shortest_s=2, longest_s=5),
    Card(kind=Kind.RESTART_API_SERVER, part=Part.SERVER, shortest_s=0, longest_s=3, whole=True),
    Card(kind=Kind.RESTART_ETCD, part=Part.SERVER, shortest_s=0, longest_s=3, whole=True),
)

WITHOUT_LEADER: Final = (
    *(card for card in DECK if card.kind not in _LEADERS),
    # All work at once, so that each may die between two steps of its own.
    *(Card(kind=Kind.KILL, part=Part.PROCESS, shortest_s=0, longest_s=1) for _ in range(4)),
    Card(
        kind=Kind.FREEZE,
        part=Part.PROCESS,
        shortest_s=_LEASE_PASSED_S[0],
        longest_s=_LEASE_PASSED_S[1],
    ),
)
"""Of a controller of which all replicas work."""

KINDS: Final = tuple(dict.fromkeys(card.kind for card in DECK))
