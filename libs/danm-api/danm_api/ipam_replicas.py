"""Which replica of ipam-svc is asked first."""

import math
from collections.abc import Callable, Sequence
from typing import Final

# A replica answers something within milliseconds. Who has been silent for so long, although it was
# asked, may be frozen or cut off: whoever comes next need not wait for it as well.
_SILENCE_S: Final = 1.0


class ReplicaOrder:
    """What a client has heard of the replicas, and the order that follows from it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Know nothing yet.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._preferred = ""
        # Replicas that said that they stop, and when.
        self._parting: dict[str, float] = {}
        # Replicas that were asked and have answered nothing since, and when they were asked first.
        self._unheard: dict[str, float] = {}

    def sent(self, endpoint: str) -> None:
        """Note that a replica is asked."""
        self._unheard.setdefault(endpoint, self._clock())

    def heard(self, endpoint: str, *, parts: bool) -> None:
        """Note an answer of a replica, of whatever kind, and whether it said that it stops."""
        self._unheard.pop(endpoint, None)
        if parts:
            self._parting[endpoint] = self._clock()
        else:
            self._parting.pop(endpoint, None)

    def prefer(self, endpoint: str) -> None:
        """Note who gave the last good answer."""
        self._preferred = endpoint

    def of(self, endpoints: Sequence[str]) -> list[str]:
        """Return these replicas: who answered last first, then the others as they are given.

        Silent ones come after them, and those that stop last. Of these the earliest is asked first:
        another one may be at its address by now.
        """
        for known in (self._parting, self._unheard):
            for gone in known.keys() - set(endpoints):
                del known[gone]
        silent_before = self._clock() - _SILENCE_S
        return sorted(
            endpoints,
            key=lambda each: (
                self._parting.get(each, -math.inf),
                self._unheard.get(each, math.inf) < silent_before,
                each != self._preferred,
            ),
        )
