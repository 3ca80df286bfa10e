"""From an event to the few Services that it concerns, and from a Service to its Pods. Pure.

Source: SPEC S3; DESIGN P6, "Controllers". Nothing here ever walks over all Pods, all Services or
all interfaces:

- A Service is kept under one of the label pairs that it asks for, on its network. A Pod is selected
  only if it has that pair, so its event looks up its own labels on its own networks.
- A Pod is kept under each of its label pairs. A Service looks at the Pods under the rarest pair of
  those that it asks for.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from danm_api.membership.endpoints import Member
from danm_api.membership.selection import Selection
from danm_api.membership.views import (
    InterfaceView,
    NetworkView,
    PodId,
    PodView,
    id_of,
    owner_of,
)
from danm_api.names import Namespace, NetworkName, ServiceName

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    """Which Service."""

    namespace: Namespace
    name: ServiceName


class _Pair(NamedTuple):
    """A label in a namespace: the key of an index, so cheap to hash."""

    namespace: Namespace
    key: str
    value: str


class _Network(NamedTuple):
    """A network of a namespace: the key of an index."""

    namespace: Namespace
    name: NetworkName


class _NetworkPair(NamedTuple):
    """A label in a namespace and one of its networks: the key of an index."""

    namespace: Namespace
    network: NetworkName
    key: str
    value: str


class Index:
    """What is known of Services, Pods and interfaces, by what leads from one to the other.

    Each ``set_`` method takes what was known before and what is known now (None where nothing was
    or is), in whatever order events of the three kinds arrive, and returns the Services whose
    endpoints may differ now.
    """

    def __init__(self) -> None:
        self._selections: dict[ServiceKey, Selection] = {}
        self._services_by_pair: dict[_NetworkPair, set[ServiceKey]] = {}
        self._pair_of_service: dict[ServiceKey, _NetworkPair] = {}
        self._services_by_network: dict[_Network, set[ServiceKey]] = {}
        self._pods: dict[PodId, PodView] = {}
        self._pods_by_pair: dict[_Pair, set[PodId]] = {}
        self._interfaces_by_pod: dict[PodId, tuple[InterfaceView, ...]] = {}
        self._changed: dict[ServiceKey, set[PodId]] = {}

    def set_selection(self, key: ServiceKey, selection: Selection | None) -> None:
        """Take in what a Service asks for; its own reconciliation is the caller's business."""
        if self._selections.get(key) == selection:
            return
        self._changed.pop(key, None)
        old_pair = self._pair_of_service.pop(key, None)
        if old_pair is not None:
            _discard(self._services_by_pair, old_pair, key)
        old = self._selections.pop(key, None)
        if old is not None:
            _discard(self._services_by_network, _network_of(old), key)
        if selection is None:
            return
        pairs = [
            _NetworkPair(selection.namespace, selection.network, label, value)
            for label, value in selection.labels
        ]
        # The one with the fewest Services, so that a label which all share costs nothing.
        pair = min(pairs, key=lambda pair: len(self._services_by_pair.get(pair, ())))
        self._selections[key] = selection
        self._pair_of_service[key] = pair
        self._services_by_pair.setdefault(pair, set()).add(key)
        self._services_by_network.setdefault(_network_of(selection), set()).add(key)

    def set_pod(self, old: PodView | None, new: PodView | None) -> set[ServiceKey]:
        """Take in a Pod; a change of nothing that endpoints are made of concerns nobody."""
        if old == new:
            return set()
        affected: set[ServiceKey] = set()
        # What is stored decides what is removed: a name may by now belong to another Pod.
        pod_ids = {id_of(pod) for pod in (old, new) if pod is not None}
        for pod_id in pod_ids:
            stored = self._pods.pop(pod_id, None)
            if stored is not None:
                affected |= self._services_of(stored)
                for pair in _pairs(stored):
                    _discard(self._pods_by_pair, pair, pod_id)
        if new is not None:
            self._pods[id_of(new)] = new
            affected |= self._services_of(new)
            for pair in _pairs(new):
                self._pods_by_pair.setdefault(pair, set()).add(id_of(new))
        self._note(affected, pod_ids)
        return affected

    def set_interface(
        self, old: InterfaceView | None, new: InterfaceView | None
    ) -> set[ServiceKey]:
        """Take in an interface."""
        if old == new:
            return set()
        affected: set[ServiceKey] = set()
        for interface in (old, new):
            pod = None if interface is None else self._pods.get(owner_of(interface))
            if interface is not None and pod is not None:
                affected |= self._services_on(pod, [interface.network])
        if old is not None:
            self._drop_interface(old)
        if new is not None:
            # Beside what is there, less what it replaces (an event that came twice).
            self._drop_interface(new)
            others = self._interfaces_by_pod.get(owner_of(new), ())
            self._interfaces_by_pod[owner_of(new)] = (*others, new)
        self._note(affected, {owner_of(i) for i in (old, new) if i is not None})
        return affected

    def members(self, selection: Selection) -> Iterator[Member]:
        """Yield the selected Pods' interfaces on the selected network, in no particular order."""
        candidates = min(
            (
                self._pods_by_pair.get(_Pair(selection.namespace, key, value), set())
                for key, value in selection.labels
            ),
            key=len,
        )
        for pod_id in candidates:
            yield from self.members_of(pod_id, selection)

    def members_of(self, pod_id: PodId, selection: Selection) -> Iterator[Member]:
        """Yield a Pod's interfaces on the selected network; none unless the Pod is selected."""
        pod = self._pods.get(pod_id)
        if pod is None or pod.namespace != selection.namespace or not selection.admits(pod.labels):
            return
        for interface in self._interfaces_by_pod.get(pod_id, ()):
            if interface.network == selection.network:
                yield Member(pod=pod, interface=interface)

    def follow(self, key: ServiceKey) -> None:
        """Begin to note the Pods whose events concern a Service."""
        self._changed[key] = set()

    def unfollow(self, key: ServiceKey) -> None:
        """End what ``follow`` began."""
        self._changed.pop(key, None)

    def take_changed(self, key: ServiceKey) -> set[PodId] | None:
        """Return the Pods whose events concerned a Service since this was asked last.

        None means that any Pod may have: the Service is not followed, or asks for others now.
        """
        changed = self._changed.get(key)
        if changed:
            self._changed[key] = set()
        return changed

    def services(self) -> Collection[ServiceKey]:
        """Return all Services that ask for endpoints."""
        return self._selections.keys()

    def services_naming(self, network: NetworkView) -> Collection[ServiceKey]:
        """Return the Services that name a network, whether or not it is there."""
        return self._services_by_network.get(_Network(network.namespace, network.name), ())

    def bucket_sizes(self) -> list[int]:
        """Return how many Services one label on one network leads to, for each such label."""
        return [len(services) for services in self._services_by_pair.values()]

    def _note(self, affected: set[ServiceKey], pod_ids: set[PodId]) -> None:
        for key in affected:
            if key in self._changed:
                self._changed[key] |= pod_ids

    def _services_of(self, pod: PodView) -> set[ServiceKey]:
        """Return the Services that select a Pod on any of its networks."""
        interfaces = self._interfaces_by_pod.get(id_of(pod), ())
        return self._services_on(pod, {interface.network for interface in interfaces})

    def _services_on(self, pod: PodView, networks: Iterable[NetworkName]) -> set[ServiceKey]:
        """Return the Services that select a Pod on some networks."""
        return {
            service
            for network in networks
            for key, value in pod.labels.items()
            for service in self._services_by_pair.get(
                _NetworkPair(pod.namespace, network, key, value), ()
            )
            if self._selections[service].admits(pod.labels)
        }

    def _drop_interface(self, interface: InterfaceView) -> None:
        owner = owner_of(interface)
        present = self._interfaces_by_pod.get(owner, ())
        left = tuple(i for i in present if i.name != interface.name)
        if left:
            self._interfaces_by_pod[owner] = left
        else:
            self._interfaces_by_pod.pop(owner, None)


def _network_of(selection: Selection) -> _Network:
    return _Network(selection.namespace, selection.network)


def _pairs(pod: PodView) -> Iterator[_Pair]:
    return (_Pair(pod.namespace, key, value) for key, value in pod.labels.items())


def _discard(index: dict[_Key, set[_Value]], key: _Key, value: _Value) -> None:
    """Remove a value from an index, and the entry that it leaves empty."""
    values = index[key]
    values.discard(value)
    if not values:
        del index[key]
