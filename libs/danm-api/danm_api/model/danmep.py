"""DanmEp: one interface of one Pod on one DanmNet (SPEC A2). Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Interface, IPv6Interface

from danm_api.model.addresses import IPv4Route, IPv6Route
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointInterface:
    """The interface itself; addresses are None where it has none."""

    name: InterfaceName
    address: IPv4Interface | None = None
    address_ipv6: IPv6Interface | None = None
    mac_address: str | None = None
    policy_routes: tuple[IPv4Route, ...] = ()
    policy_routes6: tuple[IPv6Route, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointIdentity:
    """Which DanmEp it is and whose: all that is needed to count or to delete one.

    Texts are empty where the object lacks them or has something else in their place; ``uid`` is
    empty too where only a DanmEp is known.
    """

    namespace: Namespace
    name: str
    uid: str
    resource_version: str
    network: NetworkName
    node: NodeName
    pod: PodName
    interface: InterfaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class DanmEp:
    """One interface of one Pod on one network.

    Attributes:
        name: Deterministic: see ``danm_api.codec.danmep.endpoint_object_name``.
        endpoint_id: A UUID.
        network_type: As written in the DanmNet.
        netns: Path of the network namespace on its node.
        pod_labels: The Pod's labels, less any under ``danm.k8s.io/``.
        resource_version: Empty before the object is created.
    """

    namespace: Namespace
    name: str
    network: NetworkName
    network_type: str
    endpoint_id: str
    interface: EndpointInterface
    node: NodeName
    pod: PodName
    pod_uid: PodUid
    container_id: ContainerId
    netns: str
    creator: str = "danm"
    expires: datetime | None = None
    pod_labels: dict[str, str] = field(default_factory=dict)
    resource_version: str = ""
    deleting: bool = False

    @property
    def identity(self) -> EndpointIdentity:
        """Return which DanmEp it is and whose."""
        return EndpointIdentity(
            namespace=self.namespace,
            name=self.name,
            uid="",
            resource_version=self.resource_version,
            network=self.network,
            node=self.node,
            pod=self.pod,
            interface=self.interface.name,
        )
