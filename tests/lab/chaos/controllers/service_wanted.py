"""What Services have as endpoints, computed from the objects alone. Pure, and slow.

It walks over everything for each Service, knows nothing of what happened before, and has nothing of
svcwatcher's own code.

Source: SPEC S1, S4; for conditions and names the documentation of discovery.k8s.io/v1.
"""

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from typing import Final, Literal

from tests.lab.chaos.controllers.facts import (
    Conditions,
    Endpoint,
    Pod,
    Service,
    Services,
    Target,
)

SELECTOR: Final = "danm.k8s.io/selector"
NETWORK: Final = "danm.k8s.io/network"
TOLERATE: Final = "service.alpha.kubernetes.io/tolerate-unready-endpoints"

_POD_UID: Final = "danm.k8s.io/pod-uid"
_MIRROR_POD: Final = "kubernetes.io/config.mirror"
# Kubernetes' own forms: "DNS subdomain", "qualified name" and "label value".
_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_WORD: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

Verdict = Literal["served", "refused", "not ours"]


def verdict(service: Service) -> Verdict:
    """Say what svcwatcher has to do with a Service."""
    annotations = service.metadata.annotations
    if service.metadata.deletion_timestamp or not {SELECTOR, NETWORK} & annotations.keys():
        return "not ours"
    if service.spec.selector or service.spec.cluster_ip != "None":
        return "refused"
    if not re.fullmatch(_SUBDOMAIN, annotations.get(NETWORK, "")):
        return "refused"
    return "served" if _wanted_labels(service) else "refused"


def wanted_endpoints(world: Services, service: Service) -> list[Endpoint]:
    """Return the endpoints of a served Service, without order."""
    found: dict[tuple[str, str], Endpoint] = {}
    for pod in _selected(world, service):
        for address in _addresses(world, service, pod):
            if _is_published(address):
                found[address, pod.metadata.uid] = _endpoint(service, pod, address)
    return list(found.values())


def has_unpublishable(world: Services, service: Service) -> bool:
    """Say whether a served Service's Pods have addresses that no endpoint may have."""
    pods = _selected(world, service)
    return not all(_is_published(each) for pod in pods for each in _addresses(world, service, pod))


def family(address: str) -> str:
    """Return the family of an address, as the API calls it."""
    return f"IPv{ip_address(address).version}"


def _selected(world: Services, service: Service) -> Iterator[Pod]:
    labels = _wanted_labels(service).items()
    for pod in world.pods:
        if (
            pod.metadata.namespace == service.metadata.namespace
            and labels <= pod.metadata.labels.items()
            and pod.status.phase not in {"Succeeded", "Failed"}
        ):
            yield pod


def _addresses(world: Services, service: Service, pod: Pod) -> Iterator[str]:
    """Yield a Pod's addresses on the network, of the Service's families."""
    for address in _of(world, service, pod):
        if family(address) in service.spec.ip_families:
            yield address


def _of(world: Services, service: Service, pod: Pod) -> Iterator[str]:
    # The uid of a static Pod's mirror is the API server's; its node knows it by this annotation.
    uid = pod.metadata.annotations.get(_MIRROR_POD) or pod.metadata.uid
    for each in world.interfaces:
        if (
            each.metadata.namespace == pod.metadata.namespace
            and each.metadata.labels.get(_POD_UID) == uid
            and each.spec.node == pod.spec.node_name
            and each.spec.network == service.metadata.annotations[NETWORK]
            and not each.metadata.deletion_timestamp
        ):
            for text in (each.spec.interface.address, each.spec.interface.address_ipv6):
                if text:
                    yield str(ip_interface(text).ip)


def _endpoint(service: Service, pod: Pod, address: str) -> Endpoint:
    ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)
    terminating = pod.metadata.deletion_timestamp is not None
    annotation = service.metadata.annotations.get(TOLERATE, "")
    tolerant = service.spec.publish_not_ready_addresses or annotation.lower() == "true"
    has_name = bool(pod.spec.hostname) and pod.spec.subdomain == service.metadata.name
    return Endpoint(
        addresses=(address,),
        conditions=Conditions(
            ready=tolerant or (ready and not terminating), serving=ready, terminating=terminating
        ),
        hostname=pod.spec.hostname if has_name else "",
        node_name=pod.spec.node_name,
        target_ref=Target(
            kind="Pod",
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=pod.metadata.uid,
        ),
    )


def _wanted_labels(service: Service) -> dict[str, str]:
    """Return what Pods must have; nothing where the annotation does not say."""
    try:
        wanted = json.loads(service.metadata.annotations.get(SELECTOR, ""))
    except ValueError:
        return {}
    is_map = isinstance(wanted, dict) and all(
        isinstance(value, str) and _may_be_label(key, value) for key, value in wanted.items()
    )
    return wanted if is_map else {}


def _may_be_label(key: str, value: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return (
        re.fullmatch(_WORD, name) is not None
        and (not slash or re.fullmatch(_SUBDOMAIN, prefix) is not None)
        and (value == "" or re.fullmatch(_WORD, value) is not None)
    )


def _is_published(address: str) -> bool:
    """Say whether the API server's validation takes an address of an endpoint."""
    ip = ip_address(address)
    return not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified)
