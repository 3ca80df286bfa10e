"""Objects of the API server as the comparison sees them. Pure."""

import json
from typing import Any, Final

from danm_api.codec.danmep import decode_danmep
from danm_api.codec.ip_block import decode_ip_block
from danm_api.model.ip_block import ExternalOwner, Held, PodOwner
from tests.lab.chaos.cni.facts import Endpoint, Entry

STATUS_ANNOTATION: Final = "k8s.v1.cni.cncf.io/network-status"


def endpoint_of(raw: dict[str, Any]) -> Endpoint:
    """Return a DanmEp as the comparison sees it."""
    found = decode_danmep(raw)
    addresses = (found.interface.address, found.interface.address_ipv6)
    return Endpoint(
        name=found.name,
        pod_uid=found.pod_uid,
        container_id=found.container_id,
        node=found.node,
        network=found.network,
        interface=found.interface.name,
        addresses=frozenset(str(each) for each in addresses if each),
    )


def entries_of(raw: dict[str, Any]) -> list[Entry]:
    """Return the held addresses of a block as the comparison sees them."""
    block = decode_ip_block(raw)
    return [
        Entry(
            network=block.network,
            address=str(each.address),
            holder=each.owner.uid if isinstance(each.owner, PodOwner) else str(each.owner),
            interface="" if isinstance(each.owner, ExternalOwner) else each.owner.interface,
            node=each.node,
        )
        for each in block.entries
        if isinstance(each, Held)
    ]


def told_addresses(annotation: str) -> dict[str, frozenset[str]]:
    """Return what a network-status annotation tells: interface -> addresses."""
    return {
        each["interface"]: frozenset(each.get("ips", ())) for each in json.loads(annotation or "[]")
    }
