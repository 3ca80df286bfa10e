"""Objects that are valid as they come; a test names only what matters to it."""

from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Interface, ip_address
from typing import Any, Final

from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import block_cidr_of, block_name
from danm_api.codec.meta import RawObject
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.danmnet import (
    CONDITION_VALID,
    Condition,
    DanmNet,
    NetworkSpec,
    NetworkStatus,
)
from danm_api.model.ip_block import Entry, Held, IPBlock, Owner, PodOwner
from danm_api.names import (
    API_VERSION,
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NetworkUid,
    NodeName,
    PodName,
    PodUid,
)
from danm_api.testing.clock import START

NAMESPACE: Final = "example-vnf"
NODE: Final = "node-1"


def a_raw_danmnet(
    name: str = "internal",
    *,
    namespace: str = NAMESPACE,
    uid: str | None = None,
    network_id: str | None = None,
    network_type: str | None = None,
    generation: int = 1,
    **options: object,
) -> RawObject:
    """Return a DanmNet as the API server sends it, with these Options and no status."""
    spec: dict[str, Any] = {"NetworkID": network_id or name, "Options": options}
    if network_type is not None:
        spec["NetworkType"] = network_type
    return {
        "apiVersion": API_VERSION,
        "kind": "DanmNet",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{namespace}-{name}" if uid is None else uid,
            "generation": generation,
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
    }


def a_danmnet(
    name: str = "internal",
    *,
    namespace: str = NAMESPACE,
    uid: str | None = None,
    network_id: str | None = None,
    network_type: str | None = None,
    generation: int = 1,
    **options: object,
) -> DanmNet:
    """Return a DanmNet with these Options, which nobody has judged yet."""
    raw = a_raw_danmnet(
        name,
        namespace=namespace,
        uid=uid,
        network_id=network_id,
        network_type=network_type,
        generation=generation,
        **options,
    )
    return decode_danmnet(raw)


def accepted(net: DanmNet, *, at: datetime = START) -> DanmNet:
    """Return a DanmNet as it is once the validator has taken its present spec.

    Raises:
        TypeError: The spec is unreadable.
    """
    if not isinstance(net.spec, NetworkSpec):
        raise TypeError(net.spec)
    verdict = Condition(
        type=CONDITION_VALID,
        status=True,
        reason="Valid",
        message="The network can be used",
        observed_generation=net.generation,
        last_transition=at,
    )
    status = NetworkStatus(
        applied=net.spec, conditions=(verdict,), observed_generation=net.generation
    )
    return replace(net, marked_valid=True, status=status)


def a_danmep(
    name: str = "ep-1",
    *,
    namespace: str = NAMESPACE,
    network: str = "internal",
    network_type: str = "ipvlan",
    pod: str = "processor-1",
    pod_uid: str = "pod-uid-1",
    container_id: str = "c" * 64,
    interface: str = "eth0",
    address: str | None = "10.240.1.100/24",
    node: str = NODE,
    **pod_labels: str,
) -> DanmEp:
    """Return a DanmEp."""
    return DanmEp(
        namespace=Namespace(namespace),
        name=name,
        network=NetworkName(network),
        network_type=network_type,
        endpoint_id="5b1a4cf2-9c5c-4f54-8e4e-2a3f1d0b7c11",
        interface=EndpointInterface(
            name=InterfaceName(interface),
            address=None if address is None else IPv4Interface(address),
        ),
        node=NodeName(node),
        pod=PodName(pod),
        pod_uid=PodUid(pod_uid),
        container_id=ContainerId(container_id),
        netns=f"/run/netns/{container_id}",
        pod_labels=pod_labels,
    )


def a_pod_owner(
    name: str = "processor-1",
    *,
    namespace: str = NAMESPACE,
    uid: str = "pod-uid-1",
    interface: str = "eth0",
) -> PodOwner:
    """Return the owner of a Pod's address."""
    return PodOwner(
        namespace=Namespace(namespace),
        name=name,
        uid=PodUid(uid),
        interface=InterfaceName(interface),
    )


def a_held_entry(
    address: str = "10.240.1.100",
    *,
    owner: Owner | None = None,
    node: str = NODE,
    attempt: int = 1,
    since: datetime = START,
    mac: str = "fa:16:3e:f0:01:64",
) -> Held:
    """Return an entry of a block."""
    return Held(
        address=ip_address(address),
        owner=a_pod_owner() if owner is None else owner,
        node=NodeName(node),
        attempt=attempt,
        since=since,
        mac=mac,
    )


def a_block(
    address: str = "10.240.1.100",
    *entries: Entry,
    namespace: str = NAMESPACE,
    network: str = "internal",
    network_uid: str = "network-uid-1",
) -> IPBlock:
    """Return the block that an address lies in, with these entries."""
    cidr = block_cidr_of(ip_address(address))
    return IPBlock(
        namespace=Namespace(namespace),
        name=block_name(NetworkUid(network_uid), cidr),
        network=NetworkName(network),
        network_uid=NetworkUid(network_uid),
        cidr=cidr,
        entries=entries,
    )
