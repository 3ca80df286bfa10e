"""DanmNet: one network that Pods can be attached to (SPEC A1, A4, A7). Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from danm_api.errors import InvalidNetworkError, NetworkNotReadyError, Violation
from danm_api.model.addresses import IPNetwork, IPv4Range, IPv4Route, IPv6Range, IPv6Route
from danm_api.names import Namespace, NetworkName, NetworkUid


class BuiltInType(StrEnum):
    """The network types whose configuration comes from the DanmNet itself (SPEC D, E1)."""

    IPVLAN = "ipvlan"
    MACVLAN = "macvlan"
    SRIOV = "sriov"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticDelegate:
    """Any other network type: a CNI plugin with a configuration file of its own (SPEC E2).

    Attributes:
        name: The type as written in the DanmNet: the stem of the configuration file's name.
    """

    name: str


NetworkType = BuiltInType | StaticDelegate


@dataclass(frozen=True, slots=True, kw_only=True)
class Untagged:
    """Pods hang on ``host_device`` itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vlan:
    """Pods hang on an 802.1q link.

    Attributes:
        vid: 1 to 4094, both inclusive.
    """

    vid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vxlan:
    """Pods hang on a VXLAN link.

    Attributes:
        vni: 1 to 16,777,214, both inclusive.
    """

    vni: int


Segment = Untagged | Vlan | Vxlan


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A DanmNet's spec, parsed. Optional fields are None where the manifest lacks them.

    Attributes:
        network_type: Built-in types match case-insensitively; the default is IPVLAN.
        host_device: The parent link's name on every node.
        segment: What lies between host_device and the Pods.
        cidr: The IPv4 subnet. None for an L2 network.
        pool: Dynamic IPv4 addresses, both ends inclusive. None means every usable address of
            ``cidr``.
        net6: The IPv6 subnet.
        pool6: Dynamic IPv6 addresses, both ends inclusive. None means EUI-64 addresses in ``net6``
            (SPEC G5).
        exclude: Never handed out dynamically.
        container_prefix: The whole name of the interface in the Pod (SPEC B4).
        routing_table: ``rt_tables``: the table of policy routes (SPEC D3).
        routes: For the main table.
        routes6: For the main table.
        mtu: Bytes. None means the parent's.
        cooldown_s: Seconds before a freed address may be handed out again.
        dpdk: SR-IOV with a user-space driver (SPEC E1).
        device_pool: The resource whose devices a device plugin gives to Pods (SPEC E1).
        fakeipam: Whether fakeipam may ask for addresses (SPEC F2).
    """

    network_id: NetworkName
    network_type: NetworkType = BuiltInType.IPVLAN
    host_device: str | None = None
    segment: Segment = Untagged()  # noqa: RUF009  (frozen and without fields)
    cidr: IPv4Network | None = None
    pool: IPv4Range | None = None
    net6: IPv6Network | None = None
    pool6: IPv6Range | None = None
    exclude: tuple[IPNetwork, ...] = ()
    container_prefix: str | None = None
    routing_table: int | None = None
    routes: tuple[IPv4Route, ...] = ()
    routes6: tuple[IPv6Route, ...] = ()
    mtu: int | None = None
    cooldown_s: int = 0
    dpdk: bool = False
    device_pool: str | None = None
    fakeipam: bool = False
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Hash once: what follows from a spec is looked up by it for every reservation."""
        values = tuple(getattr(self, each.name) for each in fields(self) if each.compare)
        object.__setattr__(self, "_hash", hash(values))

    def __hash__(self) -> int:
        """Return the same for equal specs."""
        return self._hash

    def __reduce__(self) -> tuple[Callable[..., "NetworkSpec"], tuple[dict[str, object]]]:
        """Pickle without the hash: those of texts differ from process to process."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        return _network_spec, (values,)


def _network_spec(values: dict[str, Any]) -> NetworkSpec:
    return NetworkSpec(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSpec:
    """A spec whose values cannot even be parsed; the violations say why (SPEC N1)."""

    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition in Kubernetes' standard form.

    Attributes:
        status: True, False, or None for "Unknown".
    """

    type: str
    status: bool | None
    reason: str
    message: str
    observed_generation: int
    last_transition: datetime


# The validator's verdict on the present spec (SPEC N1).
CONDITION_VALID = "Valid"
# Why a deleted DanmNet stays (SPEC A5).
CONDITION_IN_USE = "InUse"
# Which accepted change waits for whom (SPEC N5).
CONDITION_APPLIED = "Applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How full one address family of a network is (SPEC A4).

    Attributes:
        total: Addresses that can be handed out dynamically.
        used: Addresses held by owners, static ones outside the pool included.
        free: Addresses of the pool that nobody holds.
        ranges: Readable, at most 100 and then "and n more".
    """

    total: int
    used: int
    free: int
    ranges: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSum:
    """On how many nodes a network can be used (SPEC N6).

    Attributes:
        ready: Nodes whose DanmNode says so.
        total: All nodes that have a DanmNode.
        why: What is missing on the others, of three of them at most; empty when all are ready.
    """

    ready: int
    total: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStatus:
    """What services found out about a DanmNet.

    Attributes:
        applied: The spec in force (SPEC N5). None before the first validation.
        nodes: None before the validator has summed up the nodes.
        observed_generation: The generation that the validator has judged last.
    """

    applied: NetworkSpec | None = None
    conditions: tuple[Condition, ...] = ()
    ipv4: Usage | None = None
    ipv6: Usage | None = None
    nodes: NodeSum | None = None
    observed_generation: int = 0

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of a type, if there is one."""
        return next((c for c in self.conditions if c.type == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DanmNet:
    """One network.

    Attributes:
        marked_valid: ``spec.Validation`` is "True". Readable by people; it decides nothing (SPEC
            A6).
    """

    namespace: Namespace
    name: NetworkName
    uid: NetworkUid
    generation: int
    resource_version: str
    spec: NetworkSpec | UnreadableSpec
    created: datetime
    marked_valid: bool = False
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    status: NetworkStatus = NetworkStatus()  # noqa: RUF009  (frozen)

    @property
    def spec_is_changing(self) -> bool:
        """Whether the validator is about to replace the spec in force by one that allows less."""
        applied = self.status.condition(CONDITION_APPLIED)
        return applied is not None and applied.status is None

    def spec_in_force(self) -> NetworkSpec:
        """Return the spec that reservations and interfaces follow.

        Source: SPEC G1, N5, A6. The verdict is read from ``status``, which tenants cannot write.

        Raises:
            NetworkNotReadyError: The validator has not judged the network yet.
            InvalidNetworkError: The validator refused the present spec.
        """
        where = f"DanmNet {self.namespace}/{self.name}"
        verdict = self.status.condition(CONDITION_VALID)
        if verdict is not None and verdict.status is False:
            reason = f"{where} is not valid: {verdict.message}"
            raise InvalidNetworkError(reason)
        # While the validator makes sure of an edit, what was in force before still is.
        if verdict is None or self.status.applied is None:
            reason = f"{where} has not been validated yet; is the netwatcher validator running?"
            raise NetworkNotReadyError(reason)
        return self.status.applied
