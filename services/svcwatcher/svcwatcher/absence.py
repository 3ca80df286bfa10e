"""Whether the network that a Service names is there, and what its author is told if not. Pure.

Source: SPEC S4, DESIGN P7. Endpoints do not depend on it: they are those of the interfaces that
there are.
"""

from collections.abc import Callable
from typing import Final

from danm_api.membership.selection import NETWORK_ANNOTATION, Selection
from danm_api.membership.views import NetworkView
from svcwatcher.index import ServiceKey
from svcwatcher.plan import Complaint

# Who applies Services and DanmNets together has the Services created first (kustomize and Helm put
# custom kinds last), and deletes them in any order.
GRACE_S: Final = 5.0


class Absences:
    """Since when Services have named a network that is not there, or is about to go."""

    def __init__(self, *, clock: Callable[[], float], grace_s: float) -> None:
        """Begin without any; ``clock`` gives monotonic seconds, ``grace_s`` pass in silence."""
        self._clock = clock
        self._grace_s = grace_s
        self._since: dict[ServiceKey, float] = {}

    def judge(
        self, key: ServiceKey, selection: Selection, network: NetworkView | None
    ) -> Complaint | None:
        """Return what a Service's author is to be told of its network now, if anything.

        Args:
            key: The Service.
            selection: What it asks for.
            network: The network that it names; None when there is none of this name.
        """
        if network is not None and not network.deleting:
            self.forget(key)
            return None
        self._since.setdefault(key, self._clock())
        if self.wait_s(key) > 0:
            return None
        return _missing(selection) if network is None else _going(selection)

    def wait_s(self, key: ServiceKey) -> float:
        """Return in how many seconds a Service is to be judged again; 0 for not by itself."""
        since = self._since.get(key)
        return 0.0 if since is None else max(0.0, since + self._grace_s - self._clock())

    def forget(self, key: ServiceKey) -> None:
        """Forget a Service that names no network any more."""
        self._since.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._since.clear()

    def __len__(self) -> int:
        """Return how many Services are remembered."""
        return len(self._since)


def _missing(selection: Selection) -> Complaint:
    return Complaint(
        reason="NetworkNotFound",
        message=f"{_described(selection)} does not exist, so no Pod gets an address on it; a "
        "Service finds Pods on a DanmNet of its own namespace: create it, or correct the annotation"
        f" (kubectl get danmnets -n {selection.namespace} lists those that exist)",
    )


def _going(selection: Selection) -> Complaint:
    return Complaint(
        reason="NetworkBeingDeleted",
        message=f"{_described(selection)} is being deleted and gives no address to new Pods; those "
        "that still have one are found until they end: correct the annotation, or create the "
        "DanmNet again once it is gone (kubectl describe danmnet tells who uses it)",
    )


def _described(selection: Selection) -> str:
    return (
        f"DanmNet {selection.namespace}/{selection.network}, which the annotation "
        f"{NETWORK_ANNOTATION} names,"
    )
