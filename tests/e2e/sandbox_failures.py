"""What kubelet tells of sandboxes that it could not create.

`kubectl describe pod` shows the same, beside the Pod's name, its namespace and its annotations: a
word of the reason that is looked for in all of that may be one of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tests.ipam.stalls import Stalls
from tests.lab.cluster import Cluster, objects

_REASON: Final = "FailedCreatePodSandBox"
# How `danm` tells that nobody has answered for longer than danmd takes to be replaced.
DANMD_AWAY: Final = "danmd, DANM's node daemon, does not answer"
# How danmd, ipam-svc's client, containerd and Go's libraries tell that something took too long.
_LATE: Final = ("time for the ADD was over", "in time", "deadline", "timed out", "timeout")
# An ADD waits 45 s for a danmd that is being replaced, and 10 s later it is over.
_ADD_S: Final = 60.0
# Events have whole seconds, of the node's clock.
_APART_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFailure:
    """An Event of a kubelet.

    Attributes:
        count: How often that was so.
        at: When it last was, in Unix time; 0 where it does not say.
    """

    message: str
    count: int = 1
    at: float = 0.0

    def is_late(self, stalls: Stalls) -> bool:
        """Say whether it was for want of time, while the machine stood still.

        Args:
            stalls: By Unix time.
        """
        if DANMD_AWAY in self.message or not any(word in self.message for word in _LATE):
            return False
        return stalls.overlap(self.at - _ADD_S, self.at + _APART_S)


def sandbox_failures(cluster: Cluster, namespace: str, pod: str = "") -> list[SandboxFailure]:
    """Return which sandboxes kubelet could not create.

    Args:
        cluster: Where.
        namespace: Of the Pods.
        pod: Only this one's; by default those of all.
    """
    of_pod = f",involvedObject.name={pod}" if pod else ""
    selector = f"--field-selector=reason={_REASON}{of_pod}"
    return [
        SandboxFailure(
            message=raw["message"],
            count=int(raw.get("count") or 1),
            at=_unix_time(raw.get("lastTimestamp")),
        )
        for raw in objects(cluster, "events", "-n", namespace, selector)
    ]


def by_words(failures: Sequence[SandboxFailure]) -> dict[str, int]:
    """Return how often each message was told."""
    counts: dict[str, int] = {}
    for each in failures:
        counts[each.message] = counts.get(each.message, 0) + each.count
    return counts


def since(failures: Sequence[SandboxFailure], before: dict[str, int]) -> list[SandboxFailure]:
    """Return those that were told again, or for the first time, since then.

    Args:
        failures: Of now.
        before: How often each message was told then.
    """
    now = by_words(failures)
    return [each for each in failures if now[each.message] > before.get(each.message, 0)]


def _unix_time(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
