"""Snapshots of a record and of the cluster around it, to be examined."""

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

from danm_api.codec.ip_block import block_cidr_of, block_name
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import Held, IPBlock, Owner, PodOwner
from danm_api.model.ipam_report import FindingKind
from danm_api.model.node import Node
from danm_api.model.pod import Pod, PodPhase
from danm_api.names import (
    InterfaceName,
    Namespace,
    NetworkName,
    NetworkUid,
    NodeName,
    PodName,
    PodUid,
)
from danm_api.record.examination import examine
from danm_api.record.snapshot import Snapshot
from danm_api.testing.builders import a_danmep, a_danmnet, accepted

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NS = Namespace("ns")


def a_net(
    name: str = "net",
    *,
    network_type: str = "ipvlan",
    cidr: str | None = "10.0.0.0/24",
    host_device: str = "ens3",
    fakeipam: bool = False,
    **options: Any,  # noqa: ANN401  (of a_danmnet)
) -> DanmNet:
    """Return a DanmNet that is in force."""
    return accepted(
        a_danmnet(
            name,
            namespace=NS,
            uid=f"uid-{name}",
            network_type=network_type,
            cidr=cidr,
            host_device=host_device,
            fakeipam=fakeipam,
            **options,
        )
    )


def an_owner(name: str = "a", interface: str = "eth0") -> PodOwner:
    """Return a Pod as the owner of an address."""
    return PodOwner(
        namespace=NS, name=name, uid=PodUid(f"uid-{name}"), interface=InterfaceName(interface)
    )


def an_entry(
    address: str = "10.0.0.1", owner: Owner | None = None, *, node: str = "n1", attempt: int = 1
) -> Held:
    """Return an entry that has an owner."""
    return Held(
        address=ip_address(address),
        owner=owner or an_owner(),
        node=NodeName(node),
        attempt=attempt,
        since=NOW,
        mac="fa:16:3e:00:00:01",
    )


def a_block(*entries: Held, net: str = "net", cidr: str = "10.0.0.0/26") -> IPBlock:
    """Return a block of a DanmNet."""
    uid, network = NetworkUid(f"uid-{net}"), ip_network(cidr)
    return IPBlock(
        namespace=NS,
        name=block_name(uid, block_cidr_of(network.network_address)),
        network=NetworkName(net),
        network_uid=uid,
        cidr=network,
        entries=entries,
        resource_version="1",
        uid=f"block-{net}-{cidr}",
    )


def an_endpoint(
    name: str = "a", *, address: str | None = "10.0.0.1/24", node: str = "n1"
) -> DanmEp:
    """Return the DanmEp of a Pod."""
    return a_danmep(
        f"{name}-eth0",
        namespace=NS,
        network="net",
        pod=name,
        pod_uid=f"uid-{name}",
        address=address,
        node=node,
    )


def a_pod(name: str = "a", *, phase: PodPhase = PodPhase.RUNNING, node: str = "n1") -> Pod:
    """Return a Pod that asks for one address."""
    return Pod(
        namespace=NS,
        name=PodName(name),
        uid=PodUid(f"uid-{name}"),
        annotations={"danm.k8s.io/interfaces": '[{"network": "net", "ip": "dynamic"}]'},
        node=NodeName(node),
        phase=phase,
    )


SOUND = Snapshot(
    now=NOW,
    networks=(a_net(),),
    blocks=(a_block(an_entry()),),
    endpoints=(an_endpoint(),),
    nodes=(Node(name=NodeName("n1"), uid="n1"), Node(name=NodeName("n2"), uid="n2")),
    pods=(a_pod(),),
)
"""One Pod as it should be."""


def kinds_of(snapshot: Snapshot) -> list[FindingKind]:
    """Return what an examination finds."""
    return [each.finding.kind for each in examine(snapshot)]
