"""The objects of the cluster in which controllers are measured. Pure."""

import json
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, Final

from danm_api.codec.danmep import encode_danmep, endpoint_object_name
from danm_api.kube.api import PODS, SERVICES, RawObject
from danm_api.membership.selection import NETWORK_ANNOTATION, SELECTOR_ANNOTATION
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)
from tests.lab.bench.controllers.endpoints.cases import NETWORKS, app_of, network_of

NAMESPACE: Final = Namespace("bench")
# As many as Kubernetes allows on a node by default.
PODS_OF_A_NODE: Final = 110
_PORT: Final = 5555
# One range for each network, and one for the Pods' own addresses. Nothing here has them.
_FIRST: Final = {"management": IPv4Address("10.0.0.1"), "internal": IPv4Address("10.64.0.1")}
_FIRST_OF_PODS: Final = IPv4Address("10.128.0.1")
_PREFIX_LENGTH: Final = 10


def pod_name(pod: int) -> str:
    """Return a Pod's name."""
    return f"pod-{pod}"


def node_name(pod: int) -> str:
    """Return the name of a Pod's node."""
    return f"node-{pod // PODS_OF_A_NODE}"


def pod_object(pod: int) -> RawObject:
    """Return a Pod."""
    return {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "metadata": {"name": pod_name(pod), "labels": {"app": app_of(pod)}},
        "spec": {
            "containers": [{"name": "c", "image": "none"}],
            "nodeName": node_name(pod),
            "automountServiceAccountToken": False,
        },
    }


def running(pod: int) -> RawObject:
    """Return a patch after which a Pod runs, has an address and is ready."""
    address = str(_FIRST_OF_PODS + pod)
    addresses = {"podIP": address, "podIPs": [{"ip": address}]}
    patch = readiness(ready=True)
    return {"status": {**patch["status"], **addresses, "phase": "Running"}}


def readiness(*, ready: bool) -> RawObject:
    """Return a patch that changes whether a Pod is ready."""
    return {"status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


def interfaces(pod: int, uid: str) -> list[RawObject]:
    """Return a Pod's DanmEps, one on each network, as danmd writes them."""
    container = ContainerId(f"{pod:064x}")
    found = []
    for position, network in enumerate(NETWORKS):
        name = InterfaceName(f"eth{position}")
        address = IPv4Interface((_FIRST[network] + pod, _PREFIX_LENGTH))
        endpoint = DanmEp(
            namespace=NAMESPACE,
            name=endpoint_object_name(PodUid(uid), container, name),
            network=NetworkName(network),
            network_type="ipvlan",
            endpoint_id=f"{pod:032x}",
            interface=EndpointInterface(name=name, address=address),
            node=NodeName(node_name(pod)),
            pod=PodName(pod_name(pod)),
            pod_uid=PodUid(uid),
            container_id=container,
            netns=f"/run/netns/{container}",
            pod_labels={"app": app_of(pod)},
        )
        found.append(encode_danmep(endpoint))
    return found


def service_of_danm(name: str) -> RawObject:
    """Return a Service that finds its Pods on one of their networks."""
    annotations = {
        SELECTOR_ANNOTATION: json.dumps({"app": name}),
        NETWORK_ANNOTATION: network_of(name),
    }
    return _service(name, {"annotations": annotations}, {"clusterIP": "None"})


def service_of_kubernetes(name: str) -> RawObject:
    """Return an ordinary Service that finds the same Pods at their own addresses."""
    return _service(name, {}, {"selector": {"app": name}})


def _service(name: str, metadata: dict[str, Any], spec: dict[str, Any]) -> RawObject:
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {"name": name, **metadata},
        "spec": {"ports": [{"name": "requests", "port": _PORT}], **spec},
    }
