"""DanmIPBlock on the wire."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given

from danm_api import labels
from danm_api.codec.ip_block import (
    as_stored,
    block_cidr_of,
    block_name,
    decode_ip_block,
    encode_end,
    encode_ip_block,
    version_of,
)
from danm_api.errors import InvalidObjectError
from danm_api.model.addresses import IPAddress
from danm_api.model.ip_block import Cooling, IPBlock
from danm_api.names import NetworkUid
from danm_api.testing.builders import a_block, a_held_entry, a_pod_owner
from danm_api.testing.clock import START
from danm_api.testing.strategies import addresses, ip_blocks


@given(ip_blocks())
def test_a_block_survives_the_round_trip(block: IPBlock) -> None:
    """Fields of a later release included."""  # DESIGN, "IPAM"
    assert decode_ip_block(encode_ip_block(block)) == block


@given(addresses)
def test_a_block_holds_its_address(address: IPAddress) -> None:
    """Blocks are aligned and have 64 addresses in either family."""  # DESIGN, "IPAM"
    cidr = block_cidr_of(address)
    assert (address in cidr, cidr.num_addresses) == (True, 64)


def test_two_creators_meet_in_one_object() -> None:
    """The name follows from the network and the block, and from nothing else."""  # DESIGN, "IPAM"
    uid = NetworkUid("0e8f9b1c-63a8-4be5-b6c6-5a0f3fbc1d5e")
    names = {block_name(uid, block_cidr_of(ip_address(f"10.0.0.{n}"))) for n in range(256)}
    assert names == {f"{uid}-0a0000{first}" for first in ("00", "40", "80", "c0")}


def test_families_do_not_meet() -> None:
    """The IPv6 block of the same number has another name."""
    uid = NetworkUid("u")
    assert block_name(uid, ip_network("0.0.0.64/26")) != block_name(uid, ip_network("::40/122"))


def test_a_full_block_stays_small() -> None:
    """A write costs the same, whatever the network's size."""  # DESIGN, P6
    cidr = block_cidr_of(ip_address("10.240.1.64"))
    entries = tuple(
        a_held_entry(
            str(address),
            owner=a_pod_owner("internal-processor-7d9c8b5f4-x2x9z", uid="u" * 36),
            mac=f"fa:16:3e:f0:01:{int(address) & 0xFF:02x}",
            attempt=1_700_000_000_000,
        )
        for address in cidr
    )
    block = a_block("10.240.1.64", *entries, network_uid="u" * 36)
    assert len(msgspec.json.encode(encode_ip_block(block))) < 16_000


def test_labels_say_how_full_a_block_is() -> None:
    """Free and the earliest end of cooling, rounded up."""  # DESIGN, "Full means full"
    block = a_block(
        "10.240.1.100",
        a_held_entry("10.240.1.100"),
        Cooling(address=ip_address("10.240.1.101"), free_at=START + timedelta(seconds=9.5)),
        Cooling(address=ip_address("10.240.1.102"), free_at=START + timedelta(seconds=20)),
    )
    raw = encode_ip_block(block)
    found = raw["metadata"]["labels"]
    until = START + timedelta(seconds=10)
    assert (found[labels.FREE], found[labels.COOLING_UNTIL]) == ("61", f"{until.timestamp():.0f}")
    assert found[labels.FAMILY] == "4"
    assert all(":" not in value for value in found.values())


def test_the_pool_may_say_how_many_are_free() -> None:
    """A block that lies half outside of the pool is full earlier."""
    found = encode_ip_block(a_block(), free=3)["metadata"]["labels"]
    assert found[labels.FREE] == "3"
    assert labels.COOLING_UNTIL not in found


def test_a_block_keeps_its_finalizer_until_its_last_write() -> None:
    """No other write takes it away: not even the one that leaves a deleted block empty."""
    # decision 0024
    used = replace(a_block("10.240.1.100", a_held_entry()), deleting=True)
    empty = replace(a_block(), deleting=True)
    for block in (a_block(), used, empty):
        assert encode_ip_block(block)["metadata"]["finalizers"] == [labels.IP_BLOCK_FINALIZER]
    assert [each.is_going for each in (a_block(), used, empty)] == [False, False, True]
    last = encode_end(empty)["metadata"]
    assert (last["finalizers"], last["uid"]) == ([], empty.uid)


def test_nobody_keeps_account_of_a_blocks_fields() -> None:
    """Each write ends it; a new object has none to end."""  # decision 0012
    written = replace(a_block(), resource_version="7")
    assert encode_ip_block(written)["metadata"]["managedFields"] == [{}]
    created = replace(a_block(), resource_version="")
    assert "managedFields" not in encode_ip_block(created)["metadata"]


def _change_entry(raw: dict[str, Any], change: dict[str, Any]) -> None:
    """Change keys of a block's first entry."""
    entry = msgspec.json.decode(raw["spec"]["entries"][0])
    raw["spec"]["entries"][0] = msgspec.json.encode(entry | change).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "no JSON", '{"ip": "10.240.1.100"} and more'),
        pytest.param('{"ip": "10.240.1.100", "later": ' + "[" * 5000, id="endless"),
    ],
)
def test_an_entry_that_is_no_json_makes_the_block_unreadable(text: str) -> None:
    """As one with values that do not parse."""  # DESIGN, P1
    raw = encode_ip_block(a_block("10.240.1.100", a_held_entry()))
    raw["spec"]["entries"][0] = text
    with pytest.raises(InvalidObjectError, match="DanmIPBlock example-vnf/"):
        decode_ip_block(raw)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ip": "10.0.0"}, id="address"),
        pytest.param({"kind": "Ghost"}, id="owner of a later release"),
        pytest.param({"since": None}, id="no time"),
        pytest.param({"attempt": "one"}, id="type"),
        pytest.param({"name": None}, id="null"),
    ],
)
def test_an_unreadable_entry_makes_the_block_unreadable(change: dict[str, Any]) -> None:
    """An entry that is skipped would be an address that is handed out twice."""  # DESIGN, P1
    raw = encode_ip_block(a_block("10.240.1.100", a_held_entry()))
    _change_entry(raw, change)
    with pytest.raises(InvalidObjectError, match="DanmIPBlock example-vnf/"):
        decode_ip_block(raw)


def test_times_are_read_in_utc() -> None:
    """So that equal moments are equal values."""
    raw = encode_ip_block(a_block("10.240.1.100", a_held_entry()))
    _change_entry(raw, {"since": "2026-01-01T02:00:00+02:00"})
    (entry,) = decode_ip_block(raw).entries
    assert entry == a_held_entry(since=datetime(2026, 1, 1, tzinfo=UTC))


@given(ip_blocks())
def test_a_written_block_is_what_would_be_read(block: IPBlock) -> None:
    """The answer to a write need not be read as a whole."""
    raw = encode_ip_block(block)
    raw["metadata"] |= {"uid": "u1", "resourceVersion": "12"}
    assert as_stored(block, raw) == decode_ip_block(raw)
    assert version_of(raw) == ("u1", "12")
