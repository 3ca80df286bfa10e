"""Builders of what svcwatcher's tests are about; defaults make a ready Pod of a served Service."""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from danm_api.membership.selection import NETWORK_ANNOTATION, SELECTOR_ANNOTATION, Selection, select
from danm_api.membership.views import InterfaceView, NetworkView, PodView
from danm_api.model.service import EndpointPort, IpFamily, Service
from danm_api.names import (
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
    ServiceName,
    ServiceUid,
)

NAMESPACE = Namespace("vnf")
LABELS = {"app": "lb"}
BOTH_FAMILIES = (IpFamily.IPV4, IpFamily.IPV6)


def a_service(
    name: str = "lb",
    *,
    selector: str | Mapping[str, str] | None = None,
    network: str | None = "internal",
    annotations: Mapping[str, str] | None = None,
    uid: str = "s-1",
    namespace: str = NAMESPACE,
    headless: bool = True,
    kubernetes_selector: Mapping[str, str] | None = None,
    ports: tuple[EndpointPort, ...] = (EndpointPort(port=5555),),
    families: tuple[IpFamily, ...] = BOTH_FAMILIES,
    publish_not_ready: bool = False,
    deleting: bool = False,
) -> Service:
    """Build a headless Service that asks for Pods with ``LABELS`` on the network ``internal``."""
    text = selector if isinstance(selector, str) else json.dumps(selector or LABELS)
    wanted = {SELECTOR_ANNOTATION: text}
    if network is not None:
        wanted[NETWORK_ANNOTATION] = network
    return Service(
        namespace=Namespace(namespace),
        name=ServiceName(name),
        uid=ServiceUid(uid),
        annotations={**wanted, **(annotations or {})},
        headless=headless,
        selector=dict(kubernetes_selector or {}),
        ports=ports,
        families=families,
        publish_not_ready=publish_not_ready,
        deleting=deleting,
    )


def a_pod(
    name: str = "lb-0",
    *,
    uid: str | None = None,
    namespace: str = NAMESPACE,
    labels: Mapping[str, str] | None = None,
    node: str = "n1",
    ready: bool = True,
    terminating: bool = False,
    ended: bool = False,
    subdomain: str | None = None,
) -> PodView:
    """Build a ready Pod; its uid follows from its name."""
    return PodView(
        namespace=Namespace(namespace),
        name=PodName(name),
        uid=PodUid(uid or f"uid-{name}"),
        runtime_uid=PodUid(uid or f"uid-{name}"),
        labels=dict(LABELS if labels is None else labels),
        node=NodeName(node),
        ready=ready,
        terminating=terminating,
        ended=ended,
        hostname=None if subdomain is None else name,
        subdomain=subdomain,
    )


def an_interface(
    pod: PodView, *addresses: str, network: str = "internal", name: str | None = None
) -> InterfaceView:
    """Build an interface of a Pod that has a node."""
    assert pod.node is not None
    return InterfaceView(
        namespace=pod.namespace,
        name=name or f"{pod.name}-{network}",
        network=NetworkName(network),
        node=pod.node,
        pod_uid=pod.runtime_uid,
        addresses=tuple(ip_address(address) for address in addresses),
    )


def a_selection(network: str = "internal", namespace: str = NAMESPACE, **labels: str) -> Selection:
    """Build what a Service asks for."""
    selection = select(a_service(selector=labels, network=network, namespace=namespace))
    assert isinstance(selection, Selection)
    return selection


def a_network(name: str = "internal", *, deleting: bool = False) -> NetworkView:
    """Build a network of the namespace of ``a_service``."""
    return NetworkView(namespace=NAMESPACE, name=NetworkName(name), deleting=deleting)


def raw_network(name: str = "internal", **status: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    """Return a DanmNet as the API server sends it."""
    return {
        "apiVersion": "danm.k8s.io/v1",
        "kind": "DanmNet",
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {"NetworkID": name},
        "status": status,
    }


def raw_service(service: Service, **metadata: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    """Return a Service as the API server sends it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "namespace": service.namespace,
            "name": service.name,
            "annotations": dict(service.annotations),
            **metadata,
        },
        "spec": {
            "clusterIP": "None" if service.headless else "10.96.0.7",
            "selector": dict(service.selector),
            "ports": [
                {"name": p.name or "", "port": p.port, "protocol": p.protocol.value}
                for p in service.ports
            ],
            "ipFamilies": [family.value for family in service.families],
            "publishNotReadyAddresses": service.publish_not_ready,
        },
    }


def raw_pod(pod: PodView) -> dict[str, Any]:
    """Return a Pod as the API server sends it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
            "labels": dict(pod.labels),
        },
        "spec": {
            "nodeName": pod.node,
            "hostname": pod.hostname or "",
            "subdomain": pod.subdomain or "",
        },
        "status": {
            "phase": "Succeeded" if pod.ended else "Running",
            "conditions": [{"type": "Ready", "status": str(pod.ready)}],
        },
    }
