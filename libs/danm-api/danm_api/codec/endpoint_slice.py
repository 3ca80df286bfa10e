"""EndpointSlices as the API server sends them, and the model's; both directions. Pure."""

from ipaddress import ip_address
from typing import Any, Final

from danm_api.codec.meta import RawObject
from danm_api.codec.service import decode_port, encode_port
from danm_api.model.endpoint_slice import Endpoint, EndpointSlice, PodReference
from danm_api.model.service import IpFamily
from danm_api.names import Namespace, NodeName, PodName, PodUid, ServiceName, ServiceUid

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"


def decode_endpoint_slice(raw: RawObject) -> EndpointSlice:
    """Turn an EndpointSlice's JSON form into the model's.

    Only the first address of an endpoint counts, as it does for Kubernetes itself.

    Raises:
        KeyError: A field is missing that the API server requires.
        ValueError: The slice holds names instead of addresses (``addressType: FQDN``).
    """
    metadata: dict[str, Any] = raw["metadata"]
    labels: dict[str, str] = metadata.get("labels") or {}
    return EndpointSlice(
        namespace=Namespace(metadata["namespace"]),
        name=metadata["name"],
        service=ServiceName(labels.get(SERVICE_NAME_LABEL, "")),
        owner=decode_service_owner(metadata),
        managed_by=labels.get(MANAGED_BY_LABEL, ""),
        headless=HEADLESS_LABEL in labels,
        family=IpFamily(raw["addressType"]),
        endpoints=tuple(_decode_endpoint(endpoint) for endpoint in raw.get("endpoints") or ()),
        ports=tuple(decode_port(port) for port in raw.get("ports") or ()),
        resource_version=metadata.get("resourceVersion", ""),
    )


def encode_endpoint_slice(slice_: EndpointSlice) -> RawObject:
    """Return the whole object, to create it or to replace it."""
    labels = {SERVICE_NAME_LABEL: str(slice_.service), MANAGED_BY_LABEL: slice_.managed_by}
    if slice_.headless:
        labels[HEADLESS_LABEL] = ""
    metadata: dict[str, Any] = {
        "namespace": str(slice_.namespace),
        "name": slice_.name,
        "labels": labels,
    }
    if slice_.owner is not None:
        metadata["ownerReferences"] = [encode_service_owner(slice_.service, slice_.owner)]
    if slice_.resource_version:
        metadata["resourceVersion"] = slice_.resource_version
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": slice_.family.value,
        "endpoints": [
            _encode_endpoint(endpoint, slice_.namespace) for endpoint in slice_.endpoints
        ],
        "ports": [encode_port(port) for port in slice_.ports],
    }


def manager_of_slice(raw: RawObject) -> str:
    """Return which controller writes a slice, whatever is in it; empty when none is named."""
    labels: dict[str, str] = raw["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY_LABEL, "")


def service_of_slice(raw: RawObject) -> ServiceName:
    """Return which Service a slice names, whatever is in it; empty when it names none."""
    labels: dict[str, str] = raw["metadata"].get("labels") or {}
    return ServiceName(labels.get(SERVICE_NAME_LABEL, ""))


def decode_service_owner(metadata: dict[str, Any]) -> ServiceUid | None:
    """Return the uid of the Service that controls an object, if one does."""
    owners: list[dict[str, Any]] = metadata.get("ownerReferences") or []
    for owner in owners:
        if owner.get("kind") == "Service" and owner.get("controller"):
            return ServiceUid(owner["uid"])
    return None


def encode_service_owner(name: ServiceName, uid: ServiceUid) -> dict[str, Any]:
    """Return the reference by which Kubernetes removes an object together with its Service.

    It does not block the Service's deletion: that would need a permission more.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "name": str(name),
        "uid": str(uid),
        "controller": True,
    }


def decode_pod_reference(raw: dict[str, Any] | None) -> PodReference | None:
    """Turn a ``targetRef`` into the model's; None for what is no Pod."""
    if not raw or raw.get("kind") != "Pod":
        return None
    return PodReference(name=PodName(raw.get("name", "")), uid=PodUid(raw.get("uid", "")))


def encode_pod_reference(pod: PodReference, namespace: Namespace) -> dict[str, Any]:
    """Return a ``targetRef``; without resourceVersion, which would change with every heartbeat."""
    return {
        "kind": "Pod",
        "namespace": str(namespace),
        "name": str(pod.name),
        "uid": str(pod.uid),
    }


def _decode_endpoint(raw: dict[str, Any]) -> Endpoint:
    conditions: dict[str, bool | None] = raw.get("conditions") or {}
    # The API's own reading of what is not said: ready, serving as ready, not terminating.
    ready = conditions.get("ready") is not False
    serving = conditions.get("serving")
    node = raw.get("nodeName")
    return Endpoint(
        address=ip_address(raw["addresses"][0]),
        ready=ready,
        serving=ready if serving is None else serving,
        terminating=bool(conditions.get("terminating")),
        hostname=raw.get("hostname") or None,
        node=NodeName(node) if node else None,
        pod=decode_pod_reference(raw.get("targetRef")),
    )


def _encode_endpoint(endpoint: Endpoint, namespace: Namespace) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "addresses": [str(endpoint.address)],
        "conditions": {
            "ready": endpoint.ready,
            "serving": endpoint.serving,
            "terminating": endpoint.terminating,
        },
    }
    if endpoint.hostname is not None:
        raw["hostname"] = endpoint.hostname
    if endpoint.node is not None:
        raw["nodeName"] = str(endpoint.node)
    if endpoint.pod is not None:
        raw["targetRef"] = encode_pod_reference(endpoint.pod, namespace)
    return raw
