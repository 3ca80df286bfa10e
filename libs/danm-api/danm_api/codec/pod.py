"""Pods as the API server sends them, and the model's. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final

from danm_api.codec.meta import RawObject
from danm_api.codec.values import parse_time
from danm_api.model.addresses import IPAddress
from danm_api.model.pod import Pod, PodPhase
from danm_api.names import Namespace, NodeName, PodName, PodUid

_MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"


def decode_pod(raw: RawObject) -> Pod:
    """Turn a Pod's JSON form into the model's.

    The API server has checked the object, so what a Pod always has is taken as given.

    Raises:
        KeyError: The object has no name, namespace or uid, so it came from no API server.
    """
    metadata: dict[str, Any] = raw["metadata"]
    spec: dict[str, Any] = raw.get("spec") or {}
    status: dict[str, Any] = raw.get("status") or {}
    annotations: dict[str, str] = metadata.get("annotations") or {}
    node = spec.get("nodeName")
    return Pod(
        namespace=Namespace(metadata["namespace"]),
        name=PodName(metadata["name"]),
        uid=PodUid(metadata["uid"]),
        resource_version=metadata.get("resourceVersion", ""),
        labels=metadata.get("labels") or {},
        annotations=annotations,
        node=NodeName(node) if node else None,
        phase=_phase(status.get("phase")),
        ready=_is_ready(status),
        deleting=metadata.get("deletionTimestamp") is not None,
        hostname=spec.get("hostname") or None,
        subdomain=spec.get("subdomain") or None,
        host_network=bool(spec.get("hostNetwork", False)),
        mirror_of=annotations.get(_MIRROR_ANNOTATION) or None,
        created=_time(metadata.get("creationTimestamp")),
        ips=tuple(_ips(status.get("podIPs") or [])),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _ips(reported: Iterable[dict[str, Any]]) -> Iterator[IPAddress]:
    for each in reported:
        try:
            yield ip_address(each.get("ip", ""))
        except ValueError:
            # Kubernetes has let leading zeros pass for long (its KEP 4858).
            continue


def _phase(text: str | None) -> PodPhase:
    if not text:
        return PodPhase.PENDING
    try:
        return PodPhase(text)
    except ValueError:
        # A phase of a later Kubernetes: neither running nor ended for sure.
        return PodPhase.UNKNOWN


def _is_ready(status: dict[str, Any]) -> bool:
    conditions: list[dict[str, Any]] = status.get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
