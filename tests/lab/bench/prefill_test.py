"""Blocks that are full from the start."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

import pytest

from danm_api.codec.ip_block import decode_ip_block, encode_ip_block
from danm_api.model.ip_block import Held
from danm_api.names import Namespace, NetworkName, NetworkUid
from tests.lab.bench.prefill import full_blocks

_CIDR = IPv4Network("10.0.0.0/16")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("used", [0, 1, 63, 64, 10_000])
def test_the_first_addresses_are_held(used: int) -> None:
    """Exactly the first addresses that a pool hands out, in the order of time, as it is stored."""
    blocks = list(
        full_blocks(
            Namespace("ns"), NetworkName("net"), NetworkUid("u"), cidr=_CIDR, used=used, now=_NOW
        )
    )
    stored = [
        entry
        for block in blocks
        for entry in decode_ip_block(encode_ip_block(block)).entries
        if isinstance(entry, Held)
    ]
    first = IPv4Address("10.0.0.1")
    assert [entry.address for entry in stored] == [first + number for number in range(used)]
    assert stored == sorted(stored, key=lambda entry: entry.since)
    assert all(entry.since < _NOW for entry in stored)
