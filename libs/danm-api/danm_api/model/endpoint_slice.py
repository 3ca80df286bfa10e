"""EndpointSlice and the deprecated Endpoints: where a Service is found (SPEC S2). Pure."""

from dataclasses import dataclass
from typing import Final

from danm_api.model.addresses import IPAddress
from danm_api.model.service import EndpointPort, IpFamily
from danm_api.names import Namespace, NodeName, PodName, PodUid, ServiceName, ServiceUid

# Kubernetes' own controllers fill slices to this size by default, and consumers are tuned for it.
MAX_ENDPOINTS_PER_SLICE: Final = 100

# Where Kubernetes' own controller cuts an Endpoints object off.
MAX_ENDPOINTS_ADDRESSES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReference:
    """The Pod behind an endpoint, in the namespace of its slice."""

    name: PodName
    uid: PodUid


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of a slice.

    Attributes:
        ready: Consumers should use it.
        serving: It answers, whether or not it is about to go.
        terminating: It is about to go.
        hostname: Gives the endpoint a DNS name of its own below the Service's.
        pod: None for what is no Pod.
    """

    address: IPAddress
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    hostname: str | None = None
    node: NodeName | None = None
    pod: PodReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice:
    """Some of the endpoints of a Service, of one family.

    Attributes:
        service: Empty when it belongs to no Service.
        owner: The Service that it is removed with. None when it has no such owner.
        managed_by: Which controller writes it.
        resource_version: Empty before the object is created.
    """

    namespace: Namespace
    name: str
    service: ServiceName
    owner: ServiceUid | None
    managed_by: str
    headless: bool
    family: IpFamily
    endpoints: tuple[Endpoint, ...]
    ports: tuple[EndpointPort, ...]
    resource_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsAddress:
    """One address of an Endpoints object."""

    address: IPAddress
    hostname: str | None = None
    node: NodeName | None = None
    pod: PodReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsSubset:
    """Addresses that share their ports.

    The API server sorts what is written by keys of its own, so order means nothing: whoever builds
    one keeps addresses sorted by ``address_order`` and ports by ``port_order``.
    """

    ready: tuple[EndpointsAddress, ...] = ()
    not_ready: tuple[EndpointsAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """All endpoints of the Service of its name, in the form that Kubernetes 1.33 deprecated.

    Attributes:
        managed_by: DANM's label that says which of its services writes it. None when none does.
        skip_mirror: Kubernetes is told not to mirror it into slices beside ours.
        truncated: More addresses exist than the object holds.
        resource_version: Empty before the object is created.
    """

    namespace: Namespace
    name: ServiceName
    owner: ServiceUid | None
    managed_by: str | None
    headless: bool
    subsets: tuple[EndpointsSubset, ...]
    skip_mirror: bool = True
    truncated: bool = False
    resource_version: str = ""


def address_order(address: EndpointsAddress) -> tuple[int, int, str]:
    """Return the key by which addresses of a subset are sorted: family, address, Pod."""
    pod = address.pod.uid if address.pod is not None else ""
    return address.address.version, int(address.address), pod


def port_order(port: EndpointPort) -> tuple[str, int, str]:
    """Return the key by which ports of a subset are sorted: name, number, protocol."""
    return port.name or "", port.port, port.protocol
