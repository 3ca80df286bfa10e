"""The journal of fakeipam's addresses: on the disk before anything happens."""

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from danm_api.ipam_api import (
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    Reservation,
)
from danm_cni.allocation_journal import (
    AllocationJournal,
    AllocationKey,
    AllocationRecord,
    AllocationState,
    records_in,
    users_in,
)

_POD = PodOwnerMessage(namespace="ns", name="p", uid="u")
_CONTAINER = ContainerOwnerMessage(namespace="ns", container_id="c1")


def a_record(owner: OwnerMessage = _POD, interface: str = "net1") -> AllocationRecord:
    """Return a record of container c1."""
    return AllocationRecord(
        container_id="c1",
        interface=interface,
        config="cfg",
        owner=owner,
        network="lan",
        netns="/var/run/netns/x",
        state=AllocationState.ADDED,
        attempt=7,
        ip="10.0.0.4/24",
        ip6="2001:db8::4/64",
        result=b"{}",
    )


def an_entry(
    owner: OwnerMessage = _POD, *, interface: str = "net1", network: str = "lan"
) -> Reservation:
    """Return an entry of ipam-svc's."""
    return Reservation(
        network=network,
        network_uid="nu",
        address="10.0.0.4",
        owner=owner,
        interface=interface,
        node="n1",
        attempt=7,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        mac="",
    )


async def test_what_is_put_is_found_by_the_next_danmd(tmp_path: Path) -> None:
    """Records of both kinds of owner survive, and what is forgotten is gone."""
    journal = AllocationJournal(tmp_path)
    journal.load()
    records = [a_record(), a_record(_CONTAINER, "net2"), a_record(interface="net3")]
    for record in records:
        await journal.put(record)
    await journal.forget(AllocationKey("c1", "net3"))
    (tmp_path / ".half.json").write_bytes(b"{")
    again = AllocationJournal(tmp_path)
    again.load()
    assert list(again.records()) == records[:2] == records_in(tmp_path)
    assert records[0].addresses == {ip_address("10.0.0.4"), ip_address("2001:db8::4")}


async def test_users_are_named(tmp_path: Path) -> None:
    """Who would lose an address is told; what is being released is nobody's any more."""
    # DESIGN, P7
    journal = AllocationJournal(tmp_path)
    journal.load()
    await journal.put(a_record())
    await journal.put(a_record(_CONTAINER, "net2"))
    gone = a_record(interface="net3")
    await journal.put(msgspec.structs.replace(gone, state=AllocationState.REMOVING))
    assert users_in(tmp_path) == [
        "Pod ns/p has an address of DanmNet ns/lan as net1, through fakeipam",
        "container c1 has an address of DanmNet ns/lan as net2, through fakeipam",
    ]


@pytest.mark.parametrize("data", [b'{"container_id"', b'{"container_id":"\xff"}', b"[" * 100_000])
async def test_an_unreadable_record_stops_nobody(tmp_path: Path, data: bytes) -> None:
    """It is set aside for people."""
    (tmp_path / "c0:net1.json").write_bytes(data)
    journal = AllocationJournal(tmp_path)
    assert records_in(tmp_path) == []
    journal.load()
    assert list(journal.records()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["c0:net1.json.unreadable"]


async def test_what_the_disk_does_not_give_stops_nobody(tmp_path: Path) -> None:
    """Neither a start nor whoever looks at the records beside a danmd."""
    (tmp_path / "c0:net1.json").mkdir()
    (tmp_path / "c1:net1.json").write_bytes(msgspec.json.encode(a_record()))
    journal = AllocationJournal(tmp_path)
    journal.load()
    assert list(journal.records()) == [a_record()] == records_in(tmp_path)


async def test_fields_of_a_later_release_are_ignored(tmp_path: Path) -> None:
    """Going back to this release keeps what it knows."""
    raw = msgspec.json.decode(msgspec.json.encode(a_record())) | {"later": 1}
    (tmp_path / "c1:net1.json").write_bytes(msgspec.json.encode(raw))
    journal = AllocationJournal(tmp_path)
    journal.load()
    assert list(journal.records()) == [a_record()]


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        pytest.param(an_entry(), True, id="same"),
        pytest.param(
            an_entry(PodOwnerMessage(namespace="ns", name="p", uid="other")), False, id="Pod"
        ),
        pytest.param(an_entry(interface="net2"), False, id="interface"),
        pytest.param(an_entry(network="wan"), False, id="network"),
        pytest.param(
            an_entry(PodOwnerMessage(namespace="other", name="p", uid="u")), False, id="namespace"
        ),
        pytest.param(an_entry(_CONTAINER), False, id="container"),
        pytest.param(
            an_entry(ExternalOwnerMessage(namespace="ns", name="p")), False, id="external"
        ),
    ],
)
async def test_entries_are_told_apart_by_owner_interface_and_network(
    tmp_path: Path, entry: Reservation, known: bool
) -> None:
    """An entry is known when it is of exactly such a record."""
    # SPEC G7
    journal = AllocationJournal(tmp_path)
    journal.load()
    await journal.put(a_record())
    assert journal.knows(entry) is known


async def test_interfaces_of_one_container_are_told_apart(tmp_path: Path) -> None:
    """A container without a Pod has an address for each."""
    # SPEC F2, G7
    journal = AllocationJournal(tmp_path)
    journal.load()
    await journal.put(a_record(_CONTAINER))
    assert journal.knows(an_entry(_CONTAINER))
    assert not journal.knows(an_entry(_CONTAINER, interface="net2"))


def test_records_beside_a_running_danmd_may_go(tmp_path: Path) -> None:
    """One that it has removed since they were listed is nobody's."""
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c1:net1.json").write_bytes(msgspec.json.encode(a_record()))
    assert records_in(tmp_path) == [a_record()]
