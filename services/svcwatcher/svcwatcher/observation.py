"""What svcwatcher follows in the cluster: Services, Pods, their networks, and what it wrote."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from danm_api import labels
from danm_api.codec.danmep import decode_danmep
from danm_api.codec.endpoint_slice import (
    HEADLESS_LABEL,
    MANAGED_BY_LABEL,
    decode_endpoint_slice,
    service_of_slice,
)
from danm_api.codec.endpoints import decode_endpoints
from danm_api.codec.meta import decode_metadata
from danm_api.codec.pod import decode_pod
from danm_api.codec.service import decode_service
from danm_api.kube.api import (
    DANMEPS,
    DANMNETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    PODS,
    SERVICES,
    KubeApi,
    RawObject,
)
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.membership.endpoints import MANAGED_BY as ENDPOINTS_MANAGED_BY
from danm_api.membership.endpoints import SLICES_MANAGED_BY, Member
from danm_api.membership.selection import NotOurs, Selection, select
from danm_api.membership.views import (
    InterfaceView,
    NetworkView,
    PodView,
    view_of_interface,
    view_of_pod,
)
from danm_api.model.endpoint_slice import Endpoints, EndpointSlice
from danm_api.model.service import Service
from danm_api.names import Namespace, NetworkName, ServiceName
from svcwatcher.index import Index, ServiceKey
from svcwatcher.plan import Observed
from svcwatcher.slicing import KUBERNETES_MANAGERS
from svcwatcher.standing import Standing

_BY_SERVICE: Final = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class _KubernetesSlice:
    """A slice that Kubernetes' own controllers made, whatever is in it."""

    service: ServiceKey
    name: str


class Observation:
    """Follows the cluster and says which Services an event concerns."""

    def __init__(self, api: KubeApi, *, follow_endpoints: bool) -> None:
        """Prepare; nothing is read before ``run``.

        Args:
            api: Where to read.
            follow_endpoints: False on a cluster that has no Endpoints any more, or where none
                shall be written.
        """
        self._index = Index()
        self._handlers: list[Callable[[ServiceKey], None]] = []
        self._services = Informer(api, SERVICES, decode_service)
        self._pods = Informer(api, PODS, _decode_pod_view)
        self._interfaces = Informer(api, DANMEPS, _decode_interface_view)
        self._networks = Informer(api, DANMNETS, _decode_network_view)
        self._slices = Informer(
            api,
            ENDPOINT_SLICES,
            decode_endpoint_slice,
            label_selector=f"{MANAGED_BY_LABEL}={SLICES_MANAGED_BY}",
            indexers={_BY_SERVICE: lambda s: [_index_value(_key(s.namespace, s.service))]},
        )
        # Of headless Services only, since DANM's are: the others' may be many.
        self._kubernetes_slices = Informer(
            api,
            ENDPOINT_SLICES,
            _decode_kubernetes_slice,
            label_selector=f"{HEADLESS_LABEL},"
            f"{MANAGED_BY_LABEL} in ({', '.join(KUBERNETES_MANAGERS)})",
            indexers={_BY_SERVICE: lambda s: [_index_value(s.service)]},
            counted_as="endpointslices of Kubernetes",
        )
        self._endpoints = (
            Informer(
                api,
                ENDPOINTS,
                decode_endpoints,
                label_selector=f"{labels.MANAGED_BY}={ENDPOINTS_MANAGED_BY}",
            )
            if follow_endpoints
            else None
        )
        self._standings: dict[ServiceKey, Standing] = {}
        self._own_slices: dict[ServiceKey, dict[str, EndpointSlice]] = {}
        self._own_endpoints: dict[ServiceKey, Endpoints] = {}
        self._services.subscribe(self._on_service)
        self._pods.subscribe(self._on_pod)
        self._interfaces.subscribe(self._on_interface)
        self._networks.subscribe(self._on_network)
        self._slices.subscribe(self._on_slice)
        self._slices.subscribe_restore(self._own_slices.clear)
        self._kubernetes_slices.subscribe(self._on_kubernetes_slice)
        if self._endpoints is not None:
            self._endpoints.subscribe(self._on_endpoints)
            self._endpoints.subscribe_restore(self._own_endpoints.clear)

    @property
    def synced(self) -> bool:
        """Whether everything has been read once; before that, nothing may be concluded."""
        endpoints_synced = self._endpoints is None or self._endpoints.synced
        return endpoints_synced and all(
            informer.synced
            for informer in (
                self._services,
                self._pods,
                self._interfaces,
                self._networks,
                self._slices,
                self._kubernetes_slices,
            )
        )

    def subscribe(self, handler: Callable[[ServiceKey], None]) -> None:
        """Call ``handler`` for each Service that an event concerns."""
        self._handlers.append(handler)

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._services.run(), name="services")
            group.create_task(self._pods.run(), name="pods")
            group.create_task(self._interfaces.run(), name="interfaces")
            group.create_task(self._networks.run(), name="networks")
            group.create_task(self._slices.run(), name="slices")
            group.create_task(self._kubernetes_slices.run(), name="kubernetes-slices")
            if self._endpoints is not None:
                group.create_task(self._endpoints.run(), name="endpoints")

    async def wait_synced(self, timeout_s: float | None) -> None:
        """Wait until everything has been read once; None waits for as long as it takes.

        Raises:
            DeadlineExceededError: It was not within ``timeout_s`` for one of the kinds.
        """
        await self._services.wait_synced(timeout_s)
        await self._pods.wait_synced(timeout_s)
        await self._interfaces.wait_synced(timeout_s)
        await self._networks.wait_synced(timeout_s)
        await self._slices.wait_synced(timeout_s)
        await self._kubernetes_slices.wait_synced(timeout_s)
        if self._endpoints is not None:
            await self._endpoints.wait_synced(timeout_s)

    def observed(self, key: ServiceKey) -> Observed:
        """Return what exists for a Service, one's own latest writes included."""
        object_key = ObjectKey(namespace=key.namespace, name=key.name)
        slices = {s.name: s for s in self._slices.by_index(_BY_SERVICE, _index_value(key))}
        for written in tuple(self._own_slices.get(key, {}).values()):
            if int(written.resource_version) > self._slices.version:
                slices[written.name] = written
            else:
                self._forget_slice(key, written.name)
        return Observed(
            service=self._services.get(object_key),
            slices=tuple(slices.values()),
            endpoints=self._observed_endpoints(key, object_key),
            kubernetes_slices=tuple(
                s.name for s in self._kubernetes_slices.by_index(_BY_SERVICE, _index_value(key))
            ),
        )

    def note_written(self, written: EndpointSlice | Endpoints) -> None:
        """Take in what this replica wrote, before the watch tells of it.

        Otherwise a second change soon after a first would be planned from what is outdated, and
        refused.
        """
        if isinstance(written, EndpointSlice):
            key = _key(written.namespace, written.service)
            if int(written.resource_version) > self._slices.version:
                self._own_slices.setdefault(key, {})[written.name] = written
        else:
            self._own_endpoints[_key(written.namespace, written.name)] = written

    def network(self, selection: Selection) -> NetworkView | None:
        """Return the network that a Service names, if it is there."""
        return self._networks.get(ObjectKey(namespace=selection.namespace, name=selection.network))

    def members(self, selection: Selection) -> Iterator[Member]:
        """Yield the interfaces that a Service selects."""
        return self._index.members(selection)

    def standing(self, key: ServiceKey, service: Service, selection: Selection) -> Standing:
        """Return a served Service's endpoints; what is remembered of them is brought up to date."""
        standing = self._standings.get(key)
        changed = self._index.take_changed(key)
        if standing is None or changed is None or standing.roster.families != service.families:
            standing = Standing(service, selection, self._index.members(selection))
            self._standings[key] = standing
            self._index.follow(key)
            return standing
        for pod_id in changed:
            standing.roster.set_pod(pod_id, self._index.members_of(pod_id, selection))
        return standing

    def forget_standing(self, key: ServiceKey) -> None:
        """Forget what is remembered of a Service's endpoints; it is computed anew when asked."""
        self._standings.pop(key, None)
        self._index.unfollow(key)

    def forget_standings(self) -> None:
        """Forget what is remembered of all Services' endpoints."""
        for key in tuple(self._standings):
            self.forget_standing(key)

    def all_keys(self) -> set[ServiceKey]:
        """Return every Service for which something exists or should exist."""
        keys = {
            _key(service.namespace, service.name)
            for service in self._services.items()
            if not isinstance(select(service), NotOurs)
        }
        keys |= {_key(s.namespace, s.service) for s in self._slices.items()}
        if self._endpoints is not None:
            keys |= {_key(e.namespace, e.name) for e in self._endpoints.items()}
        return keys

    def _on_service(self, change: Change[Service]) -> None:
        key = _key(Namespace(change.key.namespace), ServiceName(change.key.name))
        verdicts = [select(s) for s in (change.old, change.new) if s is not None]
        now = verdicts[-1] if change.new is not None else None
        self._index.set_selection(key, now if isinstance(now, Selection) else None)
        if not all(isinstance(verdict, NotOurs) for verdict in verdicts):
            self._tell({key})

    def _on_pod(self, change: Change[PodView]) -> None:
        self._tell(self._index.set_pod(change.old, change.new))

    def _on_interface(self, change: Change[InterfaceView]) -> None:
        self._tell(self._index.set_interface(change.old, change.new))

    def _on_network(self, change: Change[NetworkView]) -> None:
        # A DanmNet's status changes all the time, and nearly all are there.
        network = change.new or change.old
        if network is not None and change.old != change.new:
            self._tell(set(self._index.services_naming(network)))

    def _on_slice(self, change: Change[EndpointSlice]) -> None:
        for key in {_key(s.namespace, s.service) for s in (change.old, change.new) if s}:
            if not self._is_own_echo(key, change.new):
                self._forget_slice(key, change.key.name)
                self._tell({key})

    def _on_kubernetes_slice(self, change: Change[_KubernetesSlice]) -> None:
        keys = {slice_.service for slice_ in (change.old, change.new) if slice_}
        # What is in them is none of DANM's business, and nearly all are of Services without it.
        if change.old != change.new:
            self._tell({key for key in keys if key in self._index.services()})

    def _is_own_echo(self, key: ServiceKey, told: EndpointSlice | None) -> bool:
        """Say whether the watch tells what this replica wrote, or wrote over meanwhile."""
        written = None if told is None else self._own_slices.get(key, {}).get(told.name)
        if told is None or written is None:
            return False
        if told == written:
            self._forget_slice(key, told.name)
            return True
        return int(told.resource_version) < int(written.resource_version)

    def _forget_slice(self, key: ServiceKey, name: str) -> None:
        own = self._own_slices.get(key, {})
        own.pop(name, None)
        if not own:
            self._own_slices.pop(key, None)

    def _observed_endpoints(self, key: ServiceKey, object_key: ObjectKey) -> Endpoints | None:
        if self._endpoints is None:
            return None
        written = self._own_endpoints.get(key)
        if written is not None and int(written.resource_version) > self._endpoints.version:
            return written
        self._own_endpoints.pop(key, None)
        return self._endpoints.get(object_key)

    def _on_endpoints(self, change: Change[Endpoints]) -> None:
        key = _key(Namespace(change.key.namespace), ServiceName(change.key.name))
        written = self._own_endpoints.get(key)
        if written is not None and change.new is not None:
            if change.new == written:
                del self._own_endpoints[key]
                return
            if int(change.new.resource_version) < int(written.resource_version):
                return
        self._own_endpoints.pop(key, None)
        self._tell({key})

    def _tell(self, keys: set[ServiceKey]) -> None:
        for key in keys:
            for handler in self._handlers:
                handler(key)


def _key(namespace: Namespace, name: ServiceName) -> ServiceKey:
    return ServiceKey(namespace=namespace, name=name)


def _index_value(key: ServiceKey) -> str:
    return f"{key.namespace}/{key.name}"


def _decode_kubernetes_slice(raw: RawObject) -> _KubernetesSlice:
    metadata = raw["metadata"]
    service = _key(Namespace(metadata["namespace"]), service_of_slice(raw))
    return _KubernetesSlice(service=service, name=metadata["name"])


def _decode_pod_view(raw: RawObject) -> PodView:
    return view_of_pod(decode_pod(raw))


def _decode_interface_view(raw: RawObject) -> InterfaceView:
    return view_of_interface(decode_danmep(raw))


def _decode_network_view(raw: RawObject) -> NetworkView:
    """Read no more than the metadata: a network whose spec cannot be read is there, too."""
    metadata = decode_metadata(raw)
    return NetworkView(
        namespace=Namespace(metadata.namespace),
        name=NetworkName(metadata.name),
        deleting=metadata.deleting,
    )
