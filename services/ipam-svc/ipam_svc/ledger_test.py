"""What a replica knows of the blocks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from danm_api.codec.ip_block import block_name
from danm_api.model.ip_block import (
    Cooling,
    ExternalOwner,
    Held,
    IPBlock,
    PodOwner,
    UnreadableBlock,
    owner_key,
)
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid
from ipam_svc.address_space import AddressSpace, block_network, block_start
from ipam_svc.allocator import choose_block
from ipam_svc.family_index import FamilyIndex
from ipam_svc.ledger import Ledger
from ipam_svc.listed import take_in
from ipam_svc.store import BlockList

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_UID = NetworkUid("uid")
_BASE = int(ip_address("10.0.0.0"))


def _held(last: int, *, name: str = "p", node: str = "n1", interface: str = "eth0") -> Held:
    return Held(
        address=ip_address(_BASE + last),
        owner=PodOwner(
            namespace=Namespace("ns"),
            name=name,
            uid=PodUid(name),
            interface=InterfaceName(interface),
        ),
        node=NodeName(node),
        attempt=1,
        since=_NOW + timedelta(seconds=last),
        mac="fa:16:3e:00:00:00",
    )


def _block(*entries: Held, version: int, last: int = 0, uid: str = "") -> IPBlock:
    start = block_start(_BASE + last)
    return IPBlock(
        namespace=Namespace("ns"),
        name=f"uid-{start}",
        network=NetworkName("net"),
        network_uid=_UID,
        cidr=block_network(4, start),
        entries=entries,
        resource_version=str(version),
        uid=uid or f"block-{start}",
    )


def _ledger() -> Ledger:
    return Ledger(now=lambda: _NOW)


def test_an_older_reading_changes_nothing() -> None:
    """A watch event that comes after a later write of the replica's own is ignored."""
    ledger = _ledger()
    ledger.observe(_block(_held(1), _held(2, name="q"), version=7))
    ledger.observe(_block(_held(1), version=6))
    known = ledger.get(_UID, 4, _BASE)
    assert known is not None
    assert len(known.entries) == 2


def test_late_news_of_a_deletion_spares_the_block_made_since() -> None:
    """A block that was deleted and made anew is not forgotten for its predecessor."""
    ledger = _ledger()
    old = _block(_held(1), version=3, uid="old")
    new = _block(_held(2), version=9, uid="new")
    ledger.observe(old)
    ledger.observe(new)
    ledger.forget(old)
    assert ledger.get(_UID, 4, _BASE) == new
    ledger.forget(new)
    assert ledger.get(_UID, 4, _BASE) is None
    assert ledger.networks() == set()
    assert ledger.uids_of(Namespace("ns"), NetworkName("net")) == set()


async def test_consistent_list_replaces_what_is_older() -> None:
    """What a list lacks is gone, unless it was made after the list."""
    ledger = _ledger()
    ledger.observe(_block(_held(1), version=3))
    ledger.observe(_block(_held(70), version=12, last=70))
    found = BlockList(blocks=(_block(_held(130), version=8, last=130),), resource_version="10")
    await take_in(ledger, _UID, found)
    assert [int(block.cidr.network_address) - _BASE for block in ledger.blocks_of(_UID)] == [
        64,
        128,
    ]


def test_entries_are_found_by_owner_and_node() -> None:
    """Each look-up touches the blocks that it concerns, and follows every change."""
    # DESIGN P6
    ledger = _ledger()
    ledger.observe(_block(_held(1), _held(2, name="q", node="n2"), version=1))
    ledger.observe(_block(_held(70, interface="eth1"), version=2, last=70))
    key = owner_key(_held(1).owner)
    assert [str(each.address) for each in ledger.held_by(_UID, key)] == ["10.0.0.1"]
    assert [str(each.address) for each in ledger.held_by_any(_UID, key)] == [
        "10.0.0.1",
        "10.0.0.70",
    ]
    assert sorted(ledger.nodes()) == ["n1", "n2"]
    assert len(ledger.node_blocks(NodeName("n1"))) == 2
    ledger.observe(_block(_held(2, name="q", node="n2"), version=3))
    assert ledger.held_by(_UID, key) == []
    assert len(ledger.node_blocks(NodeName("n1"))) == 1
    ledger.observe(_block(version=4, last=70))
    assert ledger.nodes() == ["n2"]


def test_a_block_with_an_address_twice_leaves_nothing_behind() -> None:
    """Somebody wrote it by hand; when it is put right, neither owner is taken for one."""
    ledger = _ledger()
    ledger.observe(_block(_held(1), _held(1, name="q"), version=1))
    keys = [owner_key(_held(1, name=name).owner) for name in ("p", "q")]
    assert all(ledger.held_by(_UID, key) for key in keys)
    ledger.observe(_block(version=2))
    assert not any(ledger.held_by(_UID, key) for key in keys)


def test_revision_of_a_node_changes_with_its_entries_only() -> None:
    """A node that asks again hears that nothing changed when other nodes' entries did."""
    ledger = _ledger()
    one, two = NodeName("n1"), NodeName("n2")
    ledger.observe(_block(_held(1), version=1))
    before = ledger.node_revision(one)
    ledger.observe(_block(_held(1), _held(2, name="q", node="n2"), version=2))
    assert ledger.node_revision(one) == before
    first = ledger.node_revision(two)
    ledger.observe(_block(replace(_held(1), attempt=2), _held(2, name="q", node="n2"), version=3))
    assert ledger.node_revision(one) != before
    assert ledger.node_revision(two) == first
    ledger.observe(_block(_held(1), version=4))
    assert ledger.node_revision(two) != first


def test_revision_of_a_network_that_comes_again_is_another_one() -> None:
    """Whoever has looked through its former blocks looks through the new ones as well."""
    # DESIGN P2
    ledger = _ledger()
    ledger.observe(_block(_held(1), version=1))
    before = ledger.network_revision(_UID)
    (block,) = ledger.blocks_of(_UID)
    ledger.forget(block)
    assert ledger.network_revision(_UID) != before
    ledger.observe(_block(_held(2), version=3))
    assert ledger.network_revision(_UID) != before


def test_search_goes_on_behind_the_youngest_entry_after_a_start() -> None:
    """A replica that has just started does not begin with the addresses freed last."""
    ledger = _ledger()
    space = AddressSpace(version=4, intervals=((_BASE + 1, _BASE + 200),), start=_BASE + 1)
    assert ledger.cursor(_UID, space) == _BASE
    ledger = _ledger()
    ledger.observe(_block(_held(5), _held(9, name="q"), version=1))
    assert ledger.cursor(_UID, space) == _BASE + 9
    ledger.move_cursor(_UID, 4, _BASE + 20)
    assert ledger.cursor(_UID, space) == _BASE + 20


def test_the_search_goes_on_behind_what_another_replica_handed_out() -> None:
    """An address that comes back is not the next one; what is kept or static changes nothing."""
    ledger = _ledger()
    space = AddressSpace(version=4, intervals=((_BASE + 5, _BASE + 50),), start=_BASE + 5)
    first, second = _held(5), _held(6, name="q")
    ledger.observe(_block(first, version=1))
    assert ledger.cursor(_UID, space) == _BASE + 5
    ledger.observe(_block(first, second, version=2))
    ledger.observe(_block(first, version=3))
    assert ledger.cursor(_UID, space) == _BASE + 6
    kept, static = replace(first, attempt=2), _held(60, name="static")
    ledger.observe(_block(kept, static, version=4))
    assert ledger.cursor(_UID, space) == _BASE + 6


def test_blocks_that_others_fill_do_not_draw_the_search_away() -> None:
    """Replicas stay apart."""
    # DESIGN, "Group commit"
    ledger = _ledger()
    space = AddressSpace(version=4, intervals=((_BASE + 1, _BASE + 120),), start=_BASE + 1)
    ledger.observe(_block(_held(5), version=1))
    assert ledger.cursor(_UID, space) == _BASE + 5
    ledger.observe(_block(_held(70, name="r"), version=2, last=70))
    assert ledger.cursor(_UID, space) == _BASE + 5


def test_requests_that_queue_take_room() -> None:
    """Blocks are chosen by what is left for requests that come, until it has to be certain."""
    ledger = _ledger()
    space = AddressSpace(version=4, intervals=((_BASE + 1, _BASE + 3),), start=_BASE + 1)
    ledger.observe(_block(_held(1), version=1))
    ledger.add_pending(_UID, 4, _BASE, 2)
    assert (
        FamilyIndex(ledger=ledger, uid=_UID, version=4, count_pending=True).room(_BASE, space) == 0
    )
    assert (
        FamilyIndex(ledger=ledger, uid=_UID, version=4, count_pending=False).room(_BASE, space) == 2
    )
    ledger.add_pending(_UID, 4, _BASE, -1)
    assert (
        FamilyIndex(ledger=ledger, uid=_UID, version=4, count_pending=True).room(_BASE, space) == 1
    )


def test_sealed_and_full_blocks_are_not_looked_at() -> None:
    """A search passes over blocks that cannot have space, without looking into them."""
    # DESIGN P6
    ledger = _ledger()
    full = [_held(i, name=f"p{i}") for i in range(64)]
    ledger.observe(_block(*full, version=1))
    ledger.observe(replace(_block(version=2, last=70), sealed=True))
    ledger.observe(_block(version=3, last=130))
    index = FamilyIndex(ledger=ledger, uid=_UID, version=4, count_pending=True)
    assert list(index.open_from(_BASE)) == [_BASE + 128]
    assert index.exists(_BASE + 64)


def test_what_was_written_here_is_known_by_its_version() -> None:
    """The watch's news of the replica's own write is recognised, and of nobody else's."""
    ledger = _ledger()
    block = _block(_held(1), version=7)
    ledger.observe(block)
    assert ledger.at_version(block.uid, "7") is block
    assert ledger.at_version(block.uid, "8") is None
    assert ledger.at_version("other", "7") is None
    ledger.observe(_block(version=9))
    assert ledger.at_version(block.uid, "7") is None
    ledger.forget(_block(version=9))
    assert ledger.at_version(block.uid, "9") is None


async def test_consistent_list_is_believed_against_a_later_version() -> None:
    """A list that began after a version became known, and has an older one, tells of a restore."""
    # DESIGN, "Nodes fence"
    ledger = _ledger()
    ledger.observe(_block(_held(1), _held(2, name="q"), version=7))
    restored = _block(_held(1), version=4)
    await take_in(ledger, _UID, BlockList(blocks=(restored,), resource_version="6"))
    assert ledger.get(_UID, 4, _BASE) != restored
    await take_in(ledger, _UID, BlockList(blocks=(restored,), resource_version="9"))
    assert ledger.get(_UID, 4, _BASE) == restored


def _space(last: int) -> AddressSpace:
    return AddressSpace(version=4, intervals=((_BASE + 1, _BASE + last),), start=_BASE + 1)


def test_another_replicas_block_is_left_to_it_while_there_are_others() -> None:
    """Two replicas on one network fill blocks of their own, for a while and if they can."""
    # DESIGN, "Group commit"; P4: a contended block is still better than "exhausted".
    now = [_NOW]
    ledger = Ledger(now=lambda: now[0])
    ledger.observe(_block(_held(1), version=1))
    ledger.contention.mark((_UID, 4, _BASE))

    def chosen(space: AddressSpace) -> int | None:
        index = FamilyIndex(ledger=ledger, uid=_UID, version=4, count_pending=True)
        return choose_block(space, index, after=_BASE + 1)

    assert chosen(_space(200)) == _BASE + 64
    assert chosen(_space(60)) == _BASE
    ledger.contention.end((_UID, 4, _BASE))
    assert chosen(_space(200)) == _BASE
    ledger.contention.mark((_UID, 4, _BASE))
    now[0] += timedelta(seconds=3)
    assert chosen(_space(200)) == _BASE


def test_room_is_counted_anew_when_the_block_or_the_time_changes() -> None:
    """What is remembered of a block's room is never older than the block."""
    now = [_NOW]
    ledger = Ledger(now=lambda: now[0])
    space = _space(63)
    ledger.observe(_block(_held(1), version=1))
    assert ledger.room(_UID, space, _BASE) == 62
    ledger.observe(_block(_held(1), _held(2, name="q"), version=2))
    assert ledger.room(_UID, space, _BASE) == 61
    assert ledger.room(_UID, _space(10), _BASE) == 8
    cooling = Cooling(address=ip_address(_BASE + 1), free_at=_NOW + timedelta(seconds=5))
    block = _block(_held(2, name="q"), version=3)
    ledger.observe(replace(block, entries=(cooling, *block.entries)))
    assert ledger.room(_UID, space, _BASE) == 61
    now[0] += timedelta(seconds=6)
    assert ledger.room(_UID, space, _BASE) == 62


@pytest.mark.parametrize(
    ("seconds", "cooldown_s", "starts"),
    [(9, 0, []), (10, 0, [_BASE]), (39, 30, []), (40, 30, [_BASE])],
)
def test_a_block_is_swept_when_that_gives_room(
    seconds: int, cooldown_s: int, starts: list[int]
) -> None:
    """When an owner's time and the cooldown are over, also if the block is full; for its space."""
    # SPEC A7; DESIGN, "Full means full"
    ledger = Ledger(now=lambda: _NOW + timedelta(seconds=seconds))
    owner = ExternalOwner(namespace=Namespace("ns"), name="x", reason="", expires=_NOW)
    full = [_held(last, name=f"p{last}") for last in range(64)]
    full[2] = replace(full[2], owner=owner, node=NodeName(""))
    ledger.observe(_block(*full, version=1))
    assert ledger.to_be_swept(_UID, _space(63), cooldown_s=cooldown_s) == starts
    assert ledger.to_be_swept(_UID, _space(1), cooldown_s=cooldown_s) == []
    ledger.observe(replace(_block(*full, version=2), sealed=True))
    assert ledger.to_be_swept(_UID, _space(63), cooldown_s=cooldown_s) == []


def _unreadable(*, version: int, last: int = 0) -> UnreadableBlock:
    cidr = block_network(4, block_start(_BASE + last))
    return UnreadableBlock(
        namespace=Namespace("ns"),
        name=block_name(_UID, cidr),
        network_uid=_UID,
        cidr=cidr,
        reason="odd",
        resource_version=str(version),
        uid=f"block-{block_start(_BASE + last)}",
    )


def _readable(*entries: Held, version: int) -> IPBlock:
    block = _block(*entries, version=version)
    return replace(block, name=block_name(_UID, block.cidr))


def test_what_cannot_be_read_is_neither_free_nor_there() -> None:
    """A search passes over it, and whoever it held is not known any more."""
    # DESIGN P1
    ledger = _ledger()
    ledger.observe(_readable(_held(1), version=1))
    ledger.observe_unreadable(_unreadable(version=2))
    assert ledger.held_by(_UID, owner_key(_held(1).owner)) == []
    index = FamilyIndex(ledger=ledger, uid=_UID, version=4, count_pending=False)
    assert choose_block(_space(200), index, after=_BASE) == _BASE + 64
    assert choose_block(_space(60), index, after=_BASE) is None
    assert ledger.count_unopened(_UID, _space(200)) == 200 - 64


def test_the_latest_reading_counts_whether_a_block_can_be_read() -> None:
    """It comes into use when it is repaired, and no outdated news take it out again."""
    ledger = _ledger()
    ledger.observe_unreadable(_unreadable(version=5))
    ledger.observe(_readable(_held(1), version=4))
    assert ledger.blocks_of(_UID) == []
    repaired = _readable(_held(1), version=6)
    ledger.observe(repaired)
    ledger.observe_unreadable(_unreadable(version=5))
    assert (ledger.blocks_of(_UID), len(ledger.unreadable)) == ([repaired], 0)


async def test_a_consistent_list_tells_what_can_be_read() -> None:
    """One that is gone, or that a restored etcd can read, is none any more."""
    ledger = _ledger()
    for last in (0, 70, 130):
        ledger.observe_unreadable(_unreadable(version=5, last=last))
    readable = _readable(version=4)
    odd = _unreadable(version=5, last=70)
    found = BlockList(blocks=(readable,), unreadable=(odd,), resource_version="9")
    await take_in(ledger, _UID, found)
    assert ledger.blocks_of(_UID) == [readable]
    assert list(ledger.unreadable.of(_UID)) == [odd]
    ledger.forget(odd)
    assert len(ledger.unreadable) == 0


def test_doubt_covers_what_cannot_be_read() -> None:
    """After a restore an older reading of it is the later one."""
    ledger = _ledger()
    ledger.observe_unreadable(_unreadable(version=5))
    ledger.doubt_everything()
    ledger.observe(_readable(version=2))
    assert len(ledger.unreadable) == 0


def test_a_block_that_is_gone_is_forgotten_in_either_form() -> None:
    """A watch that was away tells of the form that it knew."""
    ledger = _ledger()
    readable, odd = _readable(version=4), _unreadable(version=5)
    ledger.observe_unreadable(odd)
    ledger.forget(readable)
    assert len(ledger.unreadable) == 0
    ledger.observe_unreadable(odd)
    ledger.observe(_readable(version=6))
    ledger.forget(odd)
    assert ledger.blocks_of(_UID) == []
