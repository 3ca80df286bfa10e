"""What Services' slices and Endpoints follow from, computed from the objects alone. Pure, and slow.

It walks over everything for each Service, knows nothing of what happened before, and has nothing of
svcwatcher's own code. How endpoints are spread over slices is left to svcwatcher, within what SPEC
S2 allows.

Source: SPEC S1, S2, S4; for conditions and names the documentation of discovery.k8s.io/v1.
"""

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from ipaddress import ip_address, ip_interface
from itertools import chain
from typing import Final, Literal

from tests.lab.chaos.controllers.facts import (
    Address,
    Conditions,
    Difference,
    Endpoint,
    Endpoints,
    Pod,
    Service,
    Services,
    Slice,
    Subset,
    Target,
)

SELECTOR: Final = "danm.k8s.io/selector"
NETWORK: Final = "danm.k8s.io/network"
TOLERATE: Final = "service.alpha.kubernetes.io/tolerate-unready-endpoints"
SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS: Final = "service.kubernetes.io/headless"
SKIP_MIRROR: Final = "endpointslice.kubernetes.io/skip-mirror"
SVCWATCHER: Final = "svcwatcher.danm.k8s.io"
ENDPOINTS_MANAGED_BY: Final = "danm.k8s.io/managed-by"
OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"
MIRRORING: Final = "endpointslicemirroring-controller.k8s.io"
KUBERNETES: Final = ("endpointslice-controller.k8s.io", MIRRORING)

_POD_UID: Final = "danm.k8s.io/pod-uid"
_MIRROR_POD: Final = "kubernetes.io/config.mirror"
_SLICE_HOLDS: Final = 100
_ENDPOINTS_HOLD: Final = 1000
# Kubernetes' own forms: "DNS subdomain", "qualified name" and "label value".
_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_WORD: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

Verdict = Literal["served", "refused", "not ours"]


def differences(world: Services) -> list[Difference]:
    """Return all that is missing, left or wrong."""
    known = {(s.metadata.namespace, s.metadata.name) for s in world.services}
    return [
        *chain.from_iterable(_of_service(world, service) for service in world.services),
        *(
            Difference(kind="left", where=slice_.metadata.where, what="a slice of no Service")
            for slice_ in world.slices
            if is_ours(slice_) and _service_of(slice_) not in known
        ),
        *(
            Difference(kind="left", where=each.metadata.where, what="Endpoints of no Service")
            for each in world.endpoints
            if are_ours(each) and (each.metadata.namespace, each.metadata.name) not in known
        ),
    ]


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


def is_ours(slice_: Slice) -> bool:
    """Say whether svcwatcher made a slice."""
    return slice_.metadata.labels.get(MANAGED_BY) == SVCWATCHER


def are_ours(endpoints: Endpoints) -> bool:
    """Say whether svcwatcher made an Endpoints object."""
    return endpoints.metadata.labels.get(ENDPOINTS_MANAGED_BY) == "svcwatcher"


def _of_service(world: Services, service: Service) -> Iterator[Difference]:
    where = service.metadata.where
    key = (service.metadata.namespace, service.metadata.name)
    of_it = [each for each in world.slices if _service_of(each) == key]
    slices = [each for each in of_it if is_ours(each)]
    kubernetes = [each for each in of_it if each.metadata.labels.get(MANAGED_BY) in KUBERNETES]
    named = [e for e in world.endpoints if (e.metadata.namespace, e.metadata.name) == key]
    endpoints = next((each for each in named if are_ours(each)), None)
    judged = verdict(service)
    if judged != "served":
        for each in slices:
            yield Difference(kind="left", where=where, what=f"slice {each.metadata.name}, {judged}")
        if endpoints is not None:
            yield Difference(kind="left", where=where, what=f"its Endpoints, {judged}")
        if judged == "refused":
            yield from _told(world, service, "InvalidAnnotation")
        return
    wanted = wanted_endpoints(world, service)
    yield from _of_slices(service, wanted, slices)
    if endpoints is not None:
        yield from _of_endpoints(service, wanted, endpoints)
        if any(each.metadata.labels.get(MANAGED_BY) == MIRRORING for each in kubernetes):
            yield Difference(kind="left", where=where, what="Kubernetes mirrors its Endpoints")
    elif not named:
        yield Difference(kind="missing", where=where, what="its Endpoints")
    else:
        yield from _told(world, service, "NameTaken")
    if kubernetes:
        yield from _told(world, service, "OthersAnswerToo")
    pods = _selected(world, service)
    if not all(_is_published(each) for pod in pods for each in _addresses(world, service, pod)):
        yield from _told(world, service, "AddressNotPublished")


def _told(world: Services, service: Service, reason: str) -> Iterator[Difference]:
    if not any((e.regarding.uid, e.reason) == (service.metadata.uid, reason) for e in world.events):
        yield Difference(kind="missing", where=service.metadata.where, what=f"an Event {reason}")


def _of_slices(
    service: Service, wanted: list[Endpoint], slices: list[Slice]
) -> Iterator[Difference]:
    where = service.metadata.where
    for each in slices:
        name = f"slice {each.metadata.name}"
        labels = {
            SERVICE_NAME: service.metadata.name,
            MANAGED_BY: SVCWATCHER,
            HEADLESS: "",
        }
        yield from _same(where, f"labels of {name}", labels, each.metadata.labels)
        yield from _owned(service, each, name)
        ports = sorted(each.ports)
        yield from _same(where, f"ports of {name}", sorted(service.spec.ports), ports)
        if len(each.endpoints) > _SLICE_HOLDS:
            yield Difference(kind="wrong", where=where, what=f"{name} has more than {_SLICE_HOLDS}")
    families = service.spec.ip_families
    for family in ("IPv4", "IPv6"):
        of_family = [each for each in slices if each.address_type == family]
        rightful = [e for e in wanted if _family(e.addresses[0]) == family]
        found = [endpoint for each in of_family for endpoint in each.endpoints]
        yield from _compared(where, f"{family} endpoint", rightful, found)
        empty = sum(not each.endpoints for each in of_family)
        # The first family has an empty one where there is nothing to say.
        allowed = 1 if family == families[0] and not rightful else 0
        if empty != allowed:
            what = f"{empty} empty {family} slices, not {allowed}"
            yield Difference(kind="wrong", where=where, what=what)
        if len(of_family) > 1 and 2 * len(found) <= len(of_family) * _SLICE_HOLDS:
            what = f"{len(of_family)} {family} slices for {len(found)} endpoints"
            yield Difference(kind="wrong", where=where, what=what)


def _of_endpoints(
    service: Service, wanted: list[Endpoint], found: Endpoints
) -> Iterator[Difference]:
    where = service.metadata.where
    # There is no word for what is about to go; and an object holds a thousand, ready ones first.
    counted = [e for e in wanted if e.conditions.ready or not e.conditions.terminating]
    ready = [_legacy(e) for e in counted if e.conditions.ready]
    others = [_legacy(e) for e in counted if not e.conditions.ready]
    is_cut = len(counted) > _ENDPOINTS_HOLD
    labels = {SKIP_MIRROR: "true", ENDPOINTS_MANAGED_BY: "svcwatcher", HEADLESS: ""}
    yield from _same(where, "labels of its Endpoints", labels, found.metadata.labels)
    told = found.metadata.annotations.get(OVER_CAPACITY, "")
    yield from _same(where, "its Endpoints are", "truncated" if is_cut else "", told)
    yield from _owned(service, found, "its Endpoints")
    if len(found.subsets) != bool(counted):
        what = f"{len(found.subsets)} subsets of its Endpoints"
        yield Difference(kind="wrong", where=where, what=what)
    subset = found.subsets[0] if found.subsets else Subset()
    if found.subsets:
        ports = sorted(subset.ports)
        yield from _same(where, "ports of its Endpoints", sorted(service.spec.ports), ports)
    if is_cut:
        size = len(subset.addresses) + len(subset.not_ready_addresses)
        yield from _same(where, "addresses in its Endpoints", _ENDPOINTS_HOLD, size)
        return
    yield from _compared(where, "ready address", ready, subset.addresses)
    yield from _compared(where, "not-ready address", others, subset.not_ready_addresses)


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
        if _family(address) in service.spec.ip_families:
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


def _legacy(endpoint: Endpoint) -> Address:
    return Address(
        ip=endpoint.addresses[0],
        hostname=endpoint.hostname,
        node_name=endpoint.node_name,
        target_ref=endpoint.target_ref,
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


def _family(address: str) -> str:
    return f"IPv{ip_address(address).version}"


def _service_of(slice_: Slice) -> tuple[str, str]:
    return slice_.metadata.namespace, slice_.metadata.labels.get(SERVICE_NAME, "")


def _owned(service: Service, found: Slice | Endpoints, name: str) -> Iterator[Difference]:
    owners = [(o.kind, o.uid, o.controller) for o in found.metadata.owner_references]
    wanted = [("Service", service.metadata.uid, True)]
    yield from _same(service.metadata.where, f"owners of {name}", wanted, owners)


def _same(where: str, what: str, wanted: object, found: object) -> Iterator[Difference]:
    if wanted != found:
        yield Difference(kind="wrong", where=where, what=f"{what}: {found}, not {wanted}")


def _compared(
    where: str, what: str, wanted: Iterable[Hashable], found: Iterable[Hashable]
) -> Iterator[Difference]:
    rightful, present = Counter(wanted), Counter(found)
    for each in (rightful - present).elements():
        yield Difference(kind="missing", where=where, what=f"{what} {each}")
    for each in (present - rightful).elements():
        yield Difference(kind="left", where=where, what=f"{what} {each}")
