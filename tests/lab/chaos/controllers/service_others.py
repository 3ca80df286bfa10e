"""What others have beside svcwatcher's Services: nobody ever changes it in a run. Pure."""

from collections.abc import Iterator
from typing import Final

from danm_api.kube.api import ENDPOINT_SLICES, ENDPOINTS, SERVICES, RawObject
from tests.lab.chaos.controllers.actions import Write
from tests.lab.chaos.controllers.service_model import MANAGED_BY
from tests.lab.chaos.controllers.service_names import CROWD, NAMESPACES

_OTHER: Final = "others.example.com"


def foreign() -> Iterator[Write]:
    """Yield what others make."""
    for namespace in NAMESPACES:
        yield from _foreign_in(namespace)


def _foreign_in(namespace: str) -> Iterator[Write]:
    """Names and labels come near to svcwatcher's own."""
    name = "others"
    ports = [{"port": 443}]
    service: RawObject = {
        "metadata": {"name": name, "labels": {"danm.k8s.io/network": "internal"}},
        "spec": {"clusterIP": "None", "ports": ports},
    }
    yield Write(verb="create", resource=SERVICES, namespace=namespace, name=name, body=service)
    endpoints: RawObject = {
        "metadata": {"name": name, "labels": {"danm.k8s.io/managed-by": "others"}},
        "subsets": [{"addresses": [{"ip": "10.9.9.9"}], "ports": ports}],
    }
    yield Write(verb="create", resource=ENDPOINTS, namespace=namespace, name=name, body=endpoints)
    for service_name, manager in ((name, _OTHER), ("s0", _OTHER), ("s1", ""), (CROWD, "danm")):
        labels = {"kubernetes.io/service-name": service_name}
        if manager:
            labels[MANAGED_BY] = manager
        slice_name = f"{service_name}-ipv4-0-0{len(manager)}abcdef"
        slice_: RawObject = {
            "metadata": {"name": slice_name, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.9.9.8"]}],
            "ports": ports,
        }
        yield Write(
            verb="create",
            resource=ENDPOINT_SLICES,
            namespace=namespace,
            name=slice_name,
            body=slice_,
        )
