"""Kubernetes' objects as their documentation describes them, as far as the models need. Pure.

Nothing of DANM's own code reads them: what that misreads, a model must not misread too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec

RawObject = Mapping[str, Any]
T = TypeVar("T")

# What an object that does not say has, by the API's documentation.
_BOTH_FAMILIES: Final = ("IPv4", "IPv6")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """An owner reference."""

    kind: str
    name: str
    uid: str
    controller: bool = False


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What every object has."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None

    @property
    def where(self) -> str:
        """Return namespace and name."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Port(msgspec.Struct, frozen=True, kw_only=True, rename="camel", order=True):
    """A port of a Service, a slice or an Endpoints object."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = ""


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a Service asks for."""

    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    selector: dict[str, str] = {}
    ports: tuple[Port, ...] = ()
    ip_families: tuple[str, ...] = _BOTH_FAMILIES
    publish_not_ready_addresses: bool = False


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A Service."""

    metadata: Metadata
    spec: ServiceSpec = ServiceSpec()


class PodCondition(msgspec.Struct, frozen=True, kw_only=True):
    """A condition of a Pod."""

    type: str
    status: str


class PodSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a Pod runs and what it is called."""

    node_name: str = ""
    hostname: str = ""
    subdomain: str = ""


class PodStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a Pod does."""

    phase: str = "Pending"
    conditions: tuple[PodCondition, ...] = ()


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """A Pod."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class DanmEpInterface(msgspec.Struct, frozen=True, kw_only=True):
    """The interface of a DanmEp; addresses have prefix lengths."""

    address: str = msgspec.field(default="", name="Address")
    address_ipv6: str = msgspec.field(default="", name="AddressIPv6")


class DanmEpSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a DanmEp says."""

    network: str = msgspec.field(name="NetworkID")
    interface: DanmEpInterface = msgspec.field(name="Interface")
    node: str = msgspec.field(default="", name="Host")


class DanmEp(msgspec.Struct, frozen=True, kw_only=True):
    """One interface of one Pod."""

    metadata: Metadata
    spec: DanmEpSpec


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is behind an address."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """Of an endpoint; what is not said is None."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One endpoint of a slice."""

    addresses: tuple[str, ...]
    conditions: Conditions = Conditions()
    hostname: str = ""
    node_name: str = ""
    target_ref: Target = Target()


class Slice(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An EndpointSlice."""

    metadata: Metadata
    address_type: str
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()


class Address(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One address of an Endpoints object."""

    ip: str
    hostname: str = ""
    node_name: str = ""
    target_ref: Target = Target()


class Subset(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Addresses that share their ports."""

    addresses: tuple[Address, ...] = ()
    not_ready_addresses: tuple[Address, ...] = ()
    ports: tuple[Port, ...] = ()


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The deprecated Endpoints."""

    metadata: Metadata
    subsets: tuple[Subset, ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner of an object was told."""

    regarding: Target = Target()
    type: str = ""
    reason: str = ""
    note: str = ""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """All that svcwatcher reads and writes, at one moment."""

    services: tuple[Service, ...] = ()
    pods: tuple[Pod, ...] = ()
    interfaces: tuple[DanmEp, ...] = ()
    slices: tuple[Slice, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    events: tuple[Event, ...] = ()


Kind = Literal["missing", "left", "wrong"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be.

    Attributes:
        where: The object that it concerns, as namespace/name.
    """

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.kind}: {self.where}: {self.what}"


def services_of(
    *,
    services: Sequence[RawObject] = (),
    pods: Sequence[RawObject] = (),
    interfaces: Sequence[RawObject] = (),
    slices: Sequence[RawObject] = (),
    endpoints: Sequence[RawObject] = (),
    events: Sequence[RawObject] = (),
) -> Services:
    """Read what has to do with Services.

    Raises:
        msgspec.ValidationError: An object has another form than the API's documentation says.
    """
    return Services(
        services=tuple(read(raw, Service) for raw in services),
        pods=tuple(read(raw, Pod) for raw in pods),
        interfaces=tuple(read(raw, DanmEp) for raw in interfaces),
        slices=tuple(read(raw, Slice) for raw in slices),
        endpoints=tuple(read(raw, Endpoints) for raw in endpoints),
        events=tuple(read(raw, Event) for raw in events),
    )


def read(raw: Mapping[str, Any], kind: type[T]) -> T:
    """Read an object.

    Raises:
        msgspec.ValidationError: It has another form than the API's documentation says.
    """
    return msgspec.convert(_without_nulls(raw), kind)


def _without_nulls(value: Any) -> Any:  # noqa: ANN401  (JSON)
    """Leave out what is null: the API says so of lists that are empty."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
