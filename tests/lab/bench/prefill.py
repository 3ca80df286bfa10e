"""Blocks as they are when addresses are held already. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Final

from danm_api.codec.ip_block import BLOCK_PREFIX_V4, block_name
from danm_api.model.addresses import mac_of
from danm_api.model.ip_block import ExternalOwner, Held, IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid, NodeName

_ATTEMPT: Final = 1


def full_blocks(
    namespace: Namespace,
    network: NetworkName,
    uid: NetworkUid,
    *,
    cidr: IPv4Network,
    used: int,
    now: datetime,
) -> Iterator[IPBlock]:
    """Yield the blocks of a network whose first ``used`` host addresses are held.

    They were taken one after the other until now, as next-fit takes them.
    """
    left = used
    for subnet in cidr.subnets(new_prefix=BLOCK_PREFIX_V4):
        if left <= 0:
            return
        addresses = [each for each in subnet if each != cidr.network_address][:left]
        yield IPBlock(
            namespace=namespace,
            name=block_name(uid, subnet),
            network=network,
            network_uid=uid,
            cidr=subnet,
            entries=tuple(
                Held(
                    address=address,
                    owner=ExternalOwner(
                        namespace=namespace, name=f"before-{int(address):x}", reason=""
                    ),
                    node=NodeName(""),
                    attempt=_ATTEMPT,
                    since=now - timedelta(milliseconds=left - position),
                    mac=mac_of(address),
                )
                for position, address in enumerate(addresses)
            ),
        )
        left -= len(addresses)
