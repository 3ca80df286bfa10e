"""The DanmNets as reservations see them."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Protocol

from danm_api.errors import AccessDeniedError, InvalidNetworkError, NetworkNotReadyError
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.names import Namespace, NetworkName
from danm_api.validation import parent_link_name, shares_wire, validate_network
from ipam_svc.address_space import Version
from ipam_svc.store import BlockStore

# More than a cluster has in use at once.
_MAX_JUDGED: Final = 4096


class NetworkCache(Protocol):
    """What this replica's watch knows of DanmNets; it may be behind."""

    @property
    def revision(self) -> int:
        """A number that changes with what any DanmNet claims."""
        ...

    def find(self, namespace: Namespace, name: NetworkName) -> DanmNet | None:
        """Return a DanmNet by name."""
        ...

    def on_link(self, link: str) -> Collection[DanmNet]:
        """Return the DanmNets that hang on a link of the nodes, or whose own link hangs on it."""
        ...

    def all(self) -> Collection[DanmNet]:
        """Return every DanmNet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyNetwork:
    """A network that may hand out addresses.

    Attributes:
        spec: The spec in force (SPEC N5).
        shares_wire: Other DanmNets are on its wire (DESIGN, P1).
    """

    net: DanmNet
    spec: NetworkSpec
    shares_wire: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A judgement, and what it is about; ``revision`` is the cache's."""

    ready: ReadyNetwork
    revision: int


class Networks:
    """Finds networks and judges whether they may hand out addresses."""

    def __init__(self, *, cache: NetworkCache, store: BlockStore) -> None:
        """Use a cache, and the store for what it does not know yet."""
        self._cache = cache
        self._store = store
        # Every reservation asks, and a wire may have hundreds of networks.
        self._judged: OrderedDict[tuple[Namespace, NetworkName], _Judged] = OrderedDict()

    async def find(self, namespace: Namespace, name: NetworkName) -> DanmNet:
        """Return a DanmNet, from the cache where it knows one.

        Raises:
            NetworkNotFoundError: There is none.
        """
        known = self._cache.find(namespace, name)
        return known or await self._store.read_network(namespace, name)

    async def ready(self, namespace: Namespace, name: NetworkName) -> ReadyNetwork:
        """Return a network that may hand out addresses.

        What the cache refuses is judged again by a consistent read: it may just be validated,
        or created anew.

        Raises:
            NetworkNotFoundError: There is none.
            NetworkNotReadyError: It has not been validated yet.
            InvalidNetworkError: It breaks a rule.
        """
        net = await self.find(namespace, name)
        known = self._judged.get((namespace, name))
        if known is not None and known.ready.net is net:
            if known.revision == self._cache.revision:
                return known.ready
            return self._remember(net, known.ready.spec)
        try:
            spec = _judged_spec(net)
        except (InvalidNetworkError, NetworkNotReadyError):
            net = await self._store.read_network(namespace, name)
            spec = _judged_spec(net)
        return self._remember(net, spec)

    def _remember(self, net: DanmNet, spec: NetworkSpec) -> ReadyNetwork:
        """Look who else is on the wire, and keep what came of it until something changes."""
        others = [other for link in links_of(spec) for other in self._cache.on_link(link)]
        ready = ReadyNetwork(net=net, spec=spec, shares_wire=shares_wire(net, spec, others))
        self._judged[net.namespace, net.name] = _Judged(ready=ready, revision=self._cache.revision)
        if len(self._judged) > _MAX_JUDGED:
            self._judged.popitem(last=False)
        return ready


def links_of(spec: NetworkSpec) -> frozenset[str]:
    """Return the links by which networks on one wire find each other (``same_wire``).

    A pool of devices is found as a link is: its name has a slash, which none of a link has.
    """
    names = (spec.host_device, parent_link_name(spec), spec.device_pool)
    return frozenset(name for name in names if name)


def _judged_spec(net: DanmNet) -> NetworkSpec:
    """Return the spec in force, judged once more by the shared rules (DESIGN, "IPAM").

    Raises:
        NetworkNotReadyError: It has not been validated yet.
        InvalidNetworkError: It breaks a rule, whatever its status says.
    """
    spec = net.spec_in_force()
    violations = validate_network(replace(net, spec=spec))
    if violations:
        clauses = "; ".join(str(violation) for violation in violations)
        reason = f"DanmNet {net.namespace}/{net.name} is not valid: {clauses}"
        raise InvalidNetworkError(reason, violations=violations)
    return spec


def refused_to_fakeipam(namespace: Namespace, name: NetworkName) -> AccessDeniedError:
    """Return the refusal of a network that does not admit fakeipam (SPEC F2)."""
    return AccessDeniedError(
        f"DanmNet {namespace}/{name} does not admit fakeipam; set Options.fakeipam to true in it"
    )


def tracked_families(net: DanmNet) -> set[Version]:
    """Return the families of which the network may have entries."""
    specs = [spec for spec in (net.status.applied, net.spec) if isinstance(spec, NetworkSpec)]
    by_family: tuple[tuple[Version, bool], ...] = (
        (4, any(spec.cidr is not None for spec in specs)),
        (6, any(spec.net6 is not None for spec in specs)),
    )
    return {version for version, tracked in by_family if tracked}


def cooldown_of(net: DanmNet) -> int:
    """Return the seconds of the spec in force, or of what is written when none is yet."""
    spec = net.status.applied or net.spec
    return spec.cooldown_s if isinstance(spec, NetworkSpec) else 0
