"""Service: what DANM needs to know of one (SPEC S1). Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from danm_api.names import Namespace, ServiceName, ServiceUid


class IpFamily(StrEnum):
    """The address families, as the API server names them."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"


class TransportProtocol(StrEnum):
    """The protocols of ports."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPort:
    """A port at which something answers.

    Attributes:
        name: None where the only port of a Service has no name.
        port: 1 to 65535, both inclusive.
        app_protocol: What is spoken there, such as ``kubernetes.io/h2c``. None when not said.
    """

    name: str | None = None
    protocol: TransportProtocol = TransportProtocol.TCP
    port: int
    app_protocol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One Service.

    Attributes:
        headless: It has no cluster IP on purpose (``clusterIP: None``).
        selector: Kubernetes' own selector; when it is not empty, the endpoints are Kubernetes' too.
        ports: The Service's own ports, not the target ports.
        families: The primary one first. Both when the object does not say.
        publish_not_ready: ``publishNotReadyAddresses``.
        deleting: It carries a deletion mark.
    """

    namespace: Namespace
    name: ServiceName
    uid: ServiceUid
    resource_version: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    headless: bool = False
    selector: dict[str, str] = field(default_factory=dict)
    ports: tuple[EndpointPort, ...] = ()
    families: tuple[IpFamily, ...] = (IpFamily.IPV4, IpFamily.IPV6)
    publish_not_ready: bool = False
    deleting: bool = False
