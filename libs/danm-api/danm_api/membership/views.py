"""What matters of each Pod, interface and network. Pure.

A cluster has many of them, and their status changes all the time. These views hold what matters for
Services and nothing else: two views are equal exactly when no endpoint, and no Event, can differ.
"""

from dataclasses import dataclass
from sys import intern
from typing import NamedTuple

from danm_api.model.addresses import IPAddress
from danm_api.model.danmep import DanmEp
from danm_api.model.pod import Pod
from danm_api.names import Namespace, NetworkName, NodeName, PodName, PodUid


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """One Pod.

    Attributes:
        uid: By which the API server knows it.
        runtime_uid: By which its node and its interfaces know it: another one for static Pods.
        ready: Its condition ``Ready`` is true, whether or not it is about to go.
        terminating: It carries a deletion mark.
        ended: All its containers have ended for good.
        subdomain: The Service below which its hostname is a DNS name.
    """

    namespace: Namespace
    name: PodName
    uid: PodUid
    runtime_uid: PodUid
    labels: dict[str, str]
    node: NodeName | None = None
    ready: bool = False
    terminating: bool = False
    ended: bool = False
    hostname: str | None = None
    subdomain: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceView:
    """One interface of a Pod.

    Attributes:
        name: The DanmEp's name.
        node: Which wrote it: its interfaces are of Pods of that node only.
        pod_uid: The ``runtime_uid`` of its Pod.
        addresses: IPv4 first; empty for an interface without addresses.
    """

    namespace: Namespace
    name: str
    network: NetworkName
    node: NodeName
    pod_uid: PodUid
    addresses: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """One DanmNet: that it is there, whatever is in it.

    Attributes:
        deleting: It carries a deletion mark, and stays as long as Pods use it.
    """

    namespace: Namespace
    name: NetworkName
    deleting: bool = False


def view_of_pod(pod: Pod) -> PodView:
    """Return what matters of a Pod."""
    return PodView(
        namespace=Namespace(intern(pod.namespace)),
        name=pod.name,
        uid=pod.uid,
        runtime_uid=pod.runtime_uid,
        # Thousands of Pods share the same few labels: one copy of each text.
        labels={intern(key): intern(value) for key, value in pod.labels.items()},
        node=None if pod.node is None else NodeName(intern(pod.node)),
        ready=pod.ready,
        terminating=pod.deleting,
        ended=pod.ended,
        hostname=pod.hostname,
        subdomain=None if pod.subdomain is None else intern(pod.subdomain),
    )


def view_of_interface(endpoint: DanmEp) -> InterfaceView:
    """Return what matters of a DanmEp; one that is being deleted has no address any more."""
    addresses = (endpoint.interface.address, endpoint.interface.address_ipv6)
    return InterfaceView(
        namespace=Namespace(intern(endpoint.namespace)),
        name=endpoint.name,
        network=NetworkName(intern(endpoint.network)),
        node=NodeName(intern(endpoint.node)),
        pod_uid=endpoint.pod_uid,
        addresses=(
            () if endpoint.deleting else tuple(address.ip for address in addresses if address)
        ),
    )


class PodId(NamedTuple):
    """A Pod as its interfaces know it.

    With its namespace: the uid of a static Pod is an annotation, which a tenant could forge. And
    with its node: a rooted node may write DanmEps of its own, and mirror Pods, with any uid
    (DESIGN, "A rooted node must stay one node").
    """

    namespace: Namespace
    node: NodeName | None
    runtime_uid: PodUid


def id_of(pod: PodView) -> PodId:
    """Return how the interfaces of a Pod know it."""
    return PodId(pod.namespace, pod.node, pod.runtime_uid)


def owner_of(interface: InterfaceView) -> PodId:
    """Return whose interface it is."""
    return PodId(interface.namespace, interface.node, interface.pod_uid)
