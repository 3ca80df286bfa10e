"""Worlds of Services for the tests of their model, as the API server sends them."""

from collections.abc import Sequence
from typing import Any, Final

from tests.lab.chaos.controllers.facts import Services, services_of

Raw = dict[str, Any]

MARK: Final = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
"""Of an object that is about to go."""


def a_service(**spec: object) -> Raw:
    """Return a Service that is served."""
    annotations = {"danm.k8s.io/selector": '{"app": "x"}', "danm.k8s.io/network": "internal"}
    return {
        "metadata": {
            "namespace": "ns",
            "name": "web",
            "uid": "s1",
            "annotations": annotations,
        },
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": "sig", "port": 80, "targetPort": 8080}],
            "ipFamilies": ["IPv4", "IPv6"],
            **spec,
        },
    }


def annotated(**annotations: str | None) -> Raw:
    """Return the Service with other annotations; ``None`` leaves one out."""
    service = a_service()
    found = service["metadata"]["annotations"]
    for name, value in annotations.items():
        key = f"danm.k8s.io/{name}"
        if value is None:
            del found[key]
        else:
            found[key] = value
    return service


def a_pod(*, ready: bool = True, **changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return a Pod that the Service selects."""
    metadata = {"namespace": "ns", "name": "p", "uid": "u1", "labels": {"app": "x", "more": "y"}}
    return {
        "metadata": metadata | changes.get("metadata", {}),
        "spec": {"nodeName": "n1"} | changes.get("spec", {}),
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }
        | changes.get("status", {}),
    }


def an_interface(
    address: str = "10.0.0.1/24",
    address6: str = "",
    **changes: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return an interface of the Pod on the network."""
    metadata = {"namespace": "ns", "name": "p-0", "labels": {"danm.k8s.io/pod-uid": "u1"}}
    interface = {"Name": "eth0", "Address": address, "AddressIPv6": address6}
    spec = {"NetworkID": "internal", "Host": "n1", "Interface": interface}
    return {
        "metadata": metadata | changes.get("metadata", {}),
        "spec": spec | changes.get("spec", {}),
    }


def an_endpoint(**changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return the endpoint of the Pod."""
    return {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "n1",
        "targetRef": {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u1"},
        **changes,
    }


def a_slice(
    endpoints: Sequence[Raw],
    *,
    family: str = "IPv4",
    **changes: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return a slice as it should be, but for the changes."""
    labels = {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "svcwatcher.danm.k8s.io",
        "service.kubernetes.io/headless": "",
    }
    metadata = {
        "namespace": "ns",
        "name": f"web-{family.lower()}-0",
        "labels": labels | changes.pop("labels", {}),
        "ownerReferences": [
            {
                "kind": "Service",
                "name": "web",
                "uid": changes.pop("owner", "s1"),
                "controller": True,
            }
        ],
    }
    return {
        "metadata": metadata | changes.pop("metadata", {}),
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": [{"name": "sig", "port": 80, "protocol": "TCP"}],
        **changes,
    }


def endpoints(
    ready: Sequence[Raw] = (),
    others: Sequence[Raw] = (),
    **changes: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return Endpoints as they should be, but for the changes."""
    labels = {
        "danm.k8s.io/managed-by": "svcwatcher",
        "endpointslice.kubernetes.io/skip-mirror": "true",
        "service.kubernetes.io/headless": "",
    }
    subset = {
        "addresses": list(ready),
        "notReadyAddresses": list(others),
        "ports": [{"name": "sig", "port": 80}],
    }
    return {
        "metadata": {
            "namespace": "ns",
            "name": "web",
            "labels": changes.pop("labels", labels),
            "ownerReferences": [
                {"kind": "Service", "name": "web", "uid": "s1", "controller": True}
            ],
        },
        "subsets": [subset] if ready or others else None,
        **changes,
    }


def an_address(**changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return the address of the Pod in Endpoints."""
    target = {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u1"}
    return {"ip": "10.0.0.1", "nodeName": "n1", "targetRef": target, **changes}


def world(**changes: Sequence[Raw]) -> Services:
    """Return a world in which all is right, but for the changes."""
    right: dict[str, Sequence[Raw]] = {
        "services": [a_service()],
        "pods": [a_pod()],
        "interfaces": [an_interface()],
        "slices": [a_slice([an_endpoint()])],
        "endpoints": [endpoints([an_address()])],
    }
    return services_of(**(right | changes))
