"""Services as the API server sends them, and the model's; ports, which slices share. Pure."""

from typing import Any, Final

from danm_api.codec.meta import RawObject
from danm_api.model.service import EndpointPort, IpFamily, Service, TransportProtocol
from danm_api.names import Namespace, ServiceName, ServiceUid

_NO_CLUSTER_IP: Final = "None"


def decode_service(raw: RawObject) -> Service:
    """Turn a Service's JSON form into the model's.

    The API server has checked the object, so what a Service always has is taken as given.

    Raises:
        KeyError: The object has no name, namespace or uid, so it came from no API server.
        ValueError: A protocol or family is none that this release knows.
    """
    metadata: dict[str, Any] = raw["metadata"]
    spec: dict[str, Any] = raw.get("spec") or {}
    families = tuple(IpFamily(family) for family in spec.get("ipFamilies") or ())
    return Service(
        namespace=Namespace(metadata["namespace"]),
        name=ServiceName(metadata["name"]),
        uid=ServiceUid(metadata["uid"]),
        resource_version=metadata.get("resourceVersion", ""),
        annotations=metadata.get("annotations") or {},
        headless=spec.get("clusterIP") == _NO_CLUSTER_IP,
        selector=spec.get("selector") or {},
        ports=tuple(decode_port(port) for port in spec.get("ports") or ()),
        families=families or (IpFamily.IPV4, IpFamily.IPV6),
        publish_not_ready=bool(spec.get("publishNotReadyAddresses", False)),
        deleting=metadata.get("deletionTimestamp") is not None,
    )


def decode_port(raw: dict[str, Any]) -> EndpointPort:
    """Turn a port of a Service, a slice or an Endpoints object into the model's.

    Raises:
        KeyError: There is no port number.
        ValueError: The protocol is none that this release knows.
    """
    return EndpointPort(
        name=raw.get("name") or None,
        protocol=TransportProtocol(raw.get("protocol") or TransportProtocol.TCP),
        port=raw["port"],
        app_protocol=raw.get("appProtocol") or None,
    )


def encode_port(port: EndpointPort) -> dict[str, Any]:
    """Return the form that slices and Endpoints share."""
    raw: dict[str, Any] = {"protocol": port.protocol.value, "port": port.port}
    if port.name is not None:
        raw["name"] = port.name
    if port.app_protocol is not None:
        raw["appProtocol"] = port.app_protocol
    return raw
