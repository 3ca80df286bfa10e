"""A consistent list becomes known in slices."""

import asyncio
from datetime import UTC, datetime
from ipaddress import IPv4Network

from danm_api.codec.ip_block import block_name
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from ipam_svc.ledger import Ledger
from ipam_svc.listed import take_in
from ipam_svc.store import BlockList

_UID = NetworkUid("uid")


def _list(count: int) -> BlockList:
    cidrs = [IPv4Network((0x0A000000 + 64 * number, 26)) for number in range(count)]
    blocks = tuple(
        IPBlock(
            namespace=Namespace("ns"),
            name=block_name(_UID, cidr),
            network=NetworkName("net"),
            network_uid=_UID,
            cidr=cidr,
            resource_version="5",
            uid=str(cidr),
        )
        for cidr in cidrs
    )
    return BlockList(blocks=blocks, resource_version="9")


def _ledger() -> Ledger:
    return Ledger(now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


async def test_others_run_while_much_becomes_known() -> None:
    """A long list holds nobody up, and is known as a whole in the end."""
    # DESIGN P6
    ledger = _ledger()
    taking = asyncio.create_task(take_in(ledger, _UID, _list(100)))
    seen = []
    while not taking.done():
        await asyncio.sleep(0)
        seen.append(len(ledger.blocks_of(_UID)))
    assert taking.result()
    assert len(set(seen)) > 5
    assert seen[-1] == 100


async def test_a_list_of_what_may_never_have_happened_is_left() -> None:
    """When etcd turns out to be restored, what is left of the list is not believed."""
    # DESIGN P1, "Nodes fence"
    ledger = _ledger()
    ledger.observe(_list(1).blocks[0])
    taking = asyncio.create_task(take_in(ledger, _UID, _list(100)))
    await asyncio.sleep(0)
    ledger.doubt_everything()
    assert not await taking
    assert len(ledger.blocks_of(_UID)) < 100
    assert all(ledger.doubts(_UID, 4, 0x0A000000 + 64 * number) for number in range(10))
