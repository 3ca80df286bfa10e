"""Endpoints (deprecated in Kubernetes 1.33) as the API server sends them, and the model's. Pure."""

from ipaddress import ip_address
from typing import Any, Final

from danm_api import labels as danm_labels
from danm_api.codec.endpoint_slice import (
    HEADLESS_LABEL,
    decode_pod_reference,
    decode_service_owner,
    encode_pod_reference,
    encode_service_owner,
)
from danm_api.codec.meta import RawObject
from danm_api.codec.service import decode_port, encode_port
from danm_api.model.endpoint_slice import (
    Endpoints,
    EndpointsAddress,
    EndpointsSubset,
    address_order,
    port_order,
)
from danm_api.names import Namespace, NodeName, ServiceName

# Without it Kubernetes mirrors an Endpoints object into slices beside ours.
SKIP_MIRROR_LABEL: Final = "endpointslice.kubernetes.io/skip-mirror"
# What Kubernetes' own controller says of an object that holds less than there is.
OVER_CAPACITY_ANNOTATION: Final = "endpoints.kubernetes.io/over-capacity"
_TRUNCATED: Final = "truncated"


def decode_endpoints(raw: RawObject) -> Endpoints:
    """Turn an Endpoints object's JSON form into the model's, sorted.

    Raises:
        KeyError: A field is missing that the API server requires.
        ValueError: An address is none.
    """
    metadata: dict[str, Any] = raw["metadata"]
    labels: dict[str, str] = metadata.get("labels") or {}
    annotations: dict[str, str] = metadata.get("annotations") or {}
    return Endpoints(
        namespace=Namespace(metadata["namespace"]),
        name=ServiceName(metadata["name"]),
        owner=decode_service_owner(metadata),
        managed_by=labels.get(danm_labels.MANAGED_BY),
        skip_mirror=labels.get(SKIP_MIRROR_LABEL) == "true",
        headless=HEADLESS_LABEL in labels,
        subsets=tuple(_decode_subset(subset) for subset in raw.get("subsets") or ()),
        truncated=annotations.get(OVER_CAPACITY_ANNOTATION) == _TRUNCATED,
        resource_version=metadata.get("resourceVersion", ""),
    )


def manager_of_endpoints(raw: RawObject) -> str:
    """Return which of DANM's services writes an object; empty when none does."""
    labels: dict[str, str] = raw["metadata"].get("labels") or {}
    return labels.get(danm_labels.MANAGED_BY, "")


def encode_endpoints(endpoints: Endpoints) -> RawObject:
    """Return the whole object, to create it or to replace it."""
    labels: dict[str, str] = {}
    if endpoints.skip_mirror:
        labels[SKIP_MIRROR_LABEL] = "true"
    if endpoints.managed_by is not None:
        labels[danm_labels.MANAGED_BY] = endpoints.managed_by
    if endpoints.headless:
        labels[HEADLESS_LABEL] = ""
    metadata: dict[str, Any] = {
        "namespace": str(endpoints.namespace),
        "name": str(endpoints.name),
        "labels": labels,
    }
    if endpoints.owner is not None:
        metadata["ownerReferences"] = [encode_service_owner(endpoints.name, endpoints.owner)]
    if endpoints.truncated:
        metadata["annotations"] = {OVER_CAPACITY_ANNOTATION: _TRUNCATED}
    if endpoints.resource_version:
        metadata["resourceVersion"] = endpoints.resource_version
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": metadata,
        "subsets": [_encode_subset(subset, endpoints.namespace) for subset in endpoints.subsets],
    }


def _decode_subset(raw: dict[str, Any]) -> EndpointsSubset:
    return EndpointsSubset(
        ready=_decode_addresses(raw.get("addresses")),
        not_ready=_decode_addresses(raw.get("notReadyAddresses")),
        ports=tuple(sorted(map(decode_port, raw.get("ports") or ()), key=port_order)),
    )


def _decode_addresses(raw: list[dict[str, Any]] | None) -> tuple[EndpointsAddress, ...]:
    return tuple(sorted(map(_decode_address, raw or ()), key=address_order))


def _decode_address(raw: dict[str, Any]) -> EndpointsAddress:
    node = raw.get("nodeName")
    return EndpointsAddress(
        address=ip_address(raw["ip"]),
        hostname=raw.get("hostname") or None,
        node=NodeName(node) if node else None,
        pod=decode_pod_reference(raw.get("targetRef")),
    )


def _encode_subset(subset: EndpointsSubset, namespace: Namespace) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    if subset.ready:
        raw["addresses"] = [_encode_address(address, namespace) for address in subset.ready]
    if subset.not_ready:
        raw["notReadyAddresses"] = [_encode_address(a, namespace) for a in subset.not_ready]
    if subset.ports:
        raw["ports"] = [encode_port(port) for port in subset.ports]
    return raw


def _encode_address(address: EndpointsAddress, namespace: Namespace) -> dict[str, Any]:
    raw: dict[str, Any] = {"ip": str(address.address)}
    if address.hostname is not None:
        raw["hostname"] = address.hostname
    if address.node is not None:
        raw["nodeName"] = str(address.node)
    if address.pod is not None:
        raw["targetRef"] = encode_pod_reference(address.pod, namespace)
    return raw
