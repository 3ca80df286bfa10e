"""From the Pods that a Service selects to its endpoints. Pure.

Source: SPEC S1, S2. What "ready" means for a Pod that is about to go, and that a Pod which has
ended counts for nothing, is as in Kubernetes' own controller, so that consumers need not care who
wrote an endpoint.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from danm_api.membership.selection import Selection
from danm_api.membership.views import InterfaceView, PodView
from danm_api.model.addresses import IPAddress
from danm_api.model.endpoint_slice import (
    MAX_ENDPOINTS_ADDRESSES,
    Endpoint,
    Endpoints,
    EndpointsAddress,
    EndpointsSubset,
    PodReference,
    port_order,
)
from danm_api.model.endpoint_slice import address_order as legacy_order
from danm_api.model.service import IpFamily, Service

# The value of the label danm.k8s.io/managed-by on Endpoints.
MANAGED_BY: Final = "svcwatcher"
# The value of the label endpointslice.kubernetes.io/managed-by on EndpointSlices.
SLICES_MANAGED_BY: Final = "svcwatcher.danm.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A selected Pod and one of its interfaces on the selected network."""

    pod: PodView
    interface: InterfaceView


# What makes an endpoint the same one in spite of changed conditions: its address and its Pod's uid.
Identity = tuple[IPAddress, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The endpoints of a Service.

    Attributes:
        endpoints: Sorted by family and address.
        refused: Addresses that no endpoint may have, sorted; see ``may_be_published``.
    """

    endpoints: tuple[Endpoint, ...] = ()
    refused: tuple[IPAddress, ...] = ()

    def of_family(self, family: IpFamily) -> tuple[Endpoint, ...]:
        """Return the endpoints of one family."""
        return tuple(e for e in self.endpoints if family_of(e.address) is family)


def family_of(address: IPAddress) -> IpFamily:
    """Return the family of an address."""
    return IpFamily.IPV4 if address.version == 4 else IpFamily.IPV6  # noqa: PLR2004  (IP version)


def may_be_published(address: IPAddress) -> bool:
    """Say whether the API server takes an address as an endpoint.

    It refuses a whole slice for one such address, and with it every other Pod of the slice.
    """
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (isinstance(address, IPv6Address) and address.ipv4_mapped is not None)
    )


def membership(service: Service, selection: Selection, members: Iterable[Member]) -> Membership:
    """Compute the endpoints of a Service; the order of ``members`` means nothing.

    Addresses of families that the Service does not have are left out.
    """
    endpoints: dict[Identity, Endpoint] = {}
    refused: set[IPAddress] = set()
    for member in members:
        if member.pod.ended:
            continue
        for address in member.interface.addresses:
            if family_of(address) not in service.families:
                continue
            if not may_be_published(address):
                refused.add(address)
                continue
            # While a sandbox is replaced, a Pod may have two records of one address.
            endpoints[address, member.pod.uid] = _endpoint(service, selection, member.pod, address)
    return Membership(
        endpoints=tuple(sorted(endpoints.values(), key=endpoint_order)),
        refused=tuple(sorted(refused, key=address_order)),
    )


def endpoints_object(service: Service, found: Membership) -> Endpoints:
    """Return the Endpoints object of a Service.

    As in Kubernetes, not-ready addresses stand under ``notReadyAddresses``; a terminating Pod, for
    which this form has no word, is left out unless it counts as ready; and of more addresses than
    an object may hold ready ones are kept first (SPEC S2).
    """
    ready = [e for e in found.endpoints if e.ready]
    not_ready = [e for e in found.endpoints if not e.ready and not e.terminating]
    # Cut first: what does not fit need not be turned into anything.
    kept_ready = ready[:MAX_ENDPOINTS_ADDRESSES]
    kept_not_ready = not_ready[: MAX_ENDPOINTS_ADDRESSES - len(kept_ready)]
    subset = EndpointsSubset(
        ready=tuple(sorted(map(_legacy_address, kept_ready), key=legacy_order)),
        not_ready=tuple(sorted(map(_legacy_address, kept_not_ready), key=legacy_order)),
        ports=tuple(sorted(service.ports, key=port_order)),
    )
    counted = len(ready) + len(not_ready)
    return Endpoints(
        namespace=service.namespace,
        name=service.name,
        owner=service.uid,
        managed_by=MANAGED_BY,
        headless=service.headless,
        # The API server drops a subset without addresses.
        subsets=(subset,) if counted else (),
        truncated=counted > MAX_ENDPOINTS_ADDRESSES,
    )


def _endpoint(service: Service, selection: Selection, pod: PodView, address: IPAddress) -> Endpoint:
    return Endpoint(
        address=address,
        ready=selection.tolerate_unready or (pod.ready and not pod.terminating),
        serving=pod.ready,
        terminating=pod.terminating,
        # A Pod has a DNS name of its own only below the Service that it names itself.
        hostname=pod.hostname if pod.subdomain == service.name else None,
        node=pod.node,
        pod=PodReference(name=pod.name, uid=pod.uid),
    )


def _legacy_address(endpoint: Endpoint) -> EndpointsAddress:
    return EndpointsAddress(
        address=endpoint.address,
        hostname=endpoint.hostname,
        node=endpoint.node,
        pod=endpoint.pod,
    )


def identity_of(endpoint: Endpoint) -> Identity:
    """Return what makes an endpoint the same one in spite of changed conditions."""
    return endpoint.address, "" if endpoint.pod is None else endpoint.pod.uid


def endpoint_order(endpoint: Endpoint) -> tuple[int, int, str]:
    """Return the key by which endpoints are sorted: family, address, Pod."""
    address, pod = identity_of(endpoint)
    return *address_order(address), pod


def address_order(address: IPAddress) -> tuple[int, int]:
    """Return the key by which addresses are sorted: family, number."""
    return address.version, int(address)
