"""The record in the Kubernetes API."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from danm_api.codec.ip_block import block_name, encode_ip_block
from danm_api.errors import (
    ApiError,
    ConflictError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    NotFoundError,
)
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS, ObjectList, Resource
from danm_api.labels import DANMNET_FINALIZER
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from danm_api.testing.builders import a_held_entry
from danm_api.testing.fake_kube import FakeKube
from ipam_svc.kube_store import KubeStore
from ipam_svc.testing.cluster import NAMESPACE, Cluster
from ipam_svc.testing.turns import counted_turns

_NS = Namespace(NAMESPACE)
_CIDR = IPv4Network("10.0.0.0/26")
_UID = NetworkUid("11111111-2222-3333-4444-555555555555")


def _block() -> IPBlock:
    return IPBlock(
        namespace=_NS,
        name=block_name(_UID, _CIDR),
        network=NetworkName("net"),
        network_uid=_UID,
        cidr=_CIDR,
    )


async def test_two_creators_meet_in_one_object() -> None:
    """The second creation of a block conflicts."""
    store = KubeStore(Cluster().kube)
    made = await store.create_block(_block())
    assert made.uid
    with pytest.raises(ConflictError):
        await store.create_block(_block())
    listed = await store.list_blocks(_NS, _UID)
    assert listed.blocks == (made,)
    assert (await store.list_blocks(_NS, NetworkUid("other"))).blocks == ()


async def test_write_is_guarded() -> None:
    """A write on an older reading conflicts."""
    store = KubeStore(Cluster().kube)
    made = await store.create_block(_block())
    written = await store.write_block(replace(made, entries=(a_held_entry("10.0.0.1"),)))
    assert await store.read_block(_NS, made.name) == written
    with pytest.raises(ConflictError):
        await store.write_block(replace(made, sealed=True))


async def test_empty_block_is_removed_and_a_used_one_is_not() -> None:
    """A block that was written since it was read stays."""
    cluster = Cluster()
    store = KubeStore(cluster.kube)
    made = await store.create_block(_block())
    used = await store.write_block(replace(made, entries=(a_held_entry("10.0.0.1"),)))
    with pytest.raises(ConflictError):
        await store.remove_block(made)
    emptied = await store.write_block(replace(used, entries=()))
    await store.remove_block(emptied)
    with pytest.raises(NotFoundError):
        await store.read_block(_NS, made.name)


async def test_deleted_block_keeps_its_entries_and_goes_without_them() -> None:
    """`kubectl delete` of a block in use frees nothing; without entries the object can go."""
    # DESIGN, "Blocks"
    cluster = Cluster()
    store = KubeStore(cluster.kube)
    made = await store.create_block(_block())
    await store.write_block(replace(made, entries=(a_held_entry("10.0.0.1"),)))
    await cluster.kube.delete(DANMIPBLOCKS, made.name, namespace=NAMESPACE)
    marked = await store.read_block(_NS, made.name)
    assert isinstance(marked, IPBlock)
    assert marked.deleting
    assert len(marked.entries) == 1
    emptied = await store.write_block(replace(marked, entries=()))
    assert emptied.is_going
    assert await store.read_block(_NS, made.name) == emptied
    await store.remove_block(emptied)
    assert cluster.kube.all_stored(DANMIPBLOCKS) == []


async def test_who_removes_a_block_late_spares_the_next_one_of_its_name() -> None:
    """The last step of a removal finds another object there, and leaves it alone."""
    # decision 0024
    cluster = Cluster()
    store = KubeStore(cluster.kube)
    made = await store.create_block(_block())
    await cluster.kube.delete(DANMIPBLOCKS, made.name, namespace=NAMESPACE)
    going = await store.read_block(_NS, made.name)
    assert isinstance(going, IPBlock)
    gate = cluster.kube.hold_next("end", DANMIPBLOCKS)
    late = asyncio.create_task(store.remove_block(going))
    await gate.reached.wait()
    await store.remove_block(going)
    following = await store.create_block(_block())
    used = await store.write_block(replace(following, entries=(a_held_entry("10.0.0.1"),)))
    gate.open()
    await asyncio.wait((late,))
    assert await store.read_block(_NS, made.name) == used


async def test_finalizer_is_added_once_and_taken_away() -> None:
    """Protecting is idempotent, goes on after a conflict, and leaves other finalizers alone."""
    # SPEC A5
    cluster = Cluster()
    net = cluster.add_network(cidr="10.0.0.0/24")
    store = KubeStore(cluster.kube)
    patch = {"metadata": {"finalizers": ["example.org/other"]}}
    await cluster.kube.patch(DANMNETS, "net", patch, namespace=NAMESPACE)
    await store.protect_network(net)
    await store.protect_network(cluster.network())
    assert cluster.network().finalizers == ("example.org/other", DANMNET_FINALIZER)
    await store.release_network(cluster.raw_network())
    assert cluster.network().finalizers == ("example.org/other",)


async def test_network_that_goes_is_not_protected() -> None:
    """A DanmNet that is being deleted, or was replaced, gets no finalizer."""
    cluster = Cluster()
    net = cluster.add_network(cidr="10.0.0.0/24")
    store = KubeStore(cluster.kube)
    marked = cluster.kube.mark_deleted(DANMNETS, "net", namespace=NAMESPACE)
    assert marked["metadata"]["name"] == "net"
    with pytest.raises(NetworkNotReadyError):
        await store.protect_network(net)
    await cluster.kube.delete(DANMNETS, "net", namespace=NAMESPACE)
    with pytest.raises(NetworkNotFoundError):
        await store.protect_network(net)


class _LargePages(FakeKube):
    """Gives lists in one page, as a real server gives 500 blocks."""

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[ObjectList, None]:
        yield await self.list(
            resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )


def _add_blocks(kube: FakeKube, count: int) -> None:
    for number in range(count):
        cidr = IPv4Network((0x0A000000 + 64 * number, 26))
        block = replace(_block(), name=block_name(_UID, cidr), cidr=cidr)
        kube.add(DANMIPBLOCKS, encode_ip_block(block))


async def test_a_long_list_lets_others_run() -> None:
    """While blocks are read the event loop goes on answering."""
    # DESIGN P6
    kube = _LargePages()
    _add_blocks(kube, 100)
    async with counted_turns() as turns:
        found = await KubeStore(kube).list_blocks(_NS, _UID)
    assert len(found.blocks) == 100
    # Each of a few blocks.
    assert turns.count >= 20


async def test_what_is_known_in_its_version_is_not_read_again() -> None:
    """A list costs what has changed, and has what is known as it is known."""
    # DESIGN P6
    kube = FakeKube()
    _add_blocks(kube, 3)
    store = KubeStore(kube)
    one, two, three = (await store.list_blocks(_NS, _UID)).blocks
    changed = await store.write_block(replace(two, sealed=True))
    known = {(block.uid, block.resource_version): block for block in (one, two, three)}
    asked = []

    def find(uid: str, version: str) -> IPBlock | None:
        asked.append(uid)
        return known.get((uid, version))

    again = (await store.list_blocks(_NS, _UID, known=find)).blocks
    assert again == (one, changed, three)
    assert (again[0] is one, again[2] is three) == (True, True)
    assert asked == [one.uid, two.uid, three.uid]


async def test_a_list_whose_version_was_compacted_is_read_at_once() -> None:
    """Its pages cannot go on; all in one answer is as good."""
    cluster = Cluster()
    _add_blocks(cluster.kube, 3)
    cluster.kube.fail_next("list", DANMIPBLOCKS, ApiError("gone", status=410))
    found = await KubeStore(cluster.kube).list_blocks(_NS, _UID)
    assert len(found.blocks) == 3
