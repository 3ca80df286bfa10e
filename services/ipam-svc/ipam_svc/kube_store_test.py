"""The record in the Kubernetes API."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from danm_api.codec.ip_block import block_name
from danm_api.errors import ConflictError, NetworkNotFoundError, NetworkNotReadyError, NotFoundError
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS
from danm_api.labels import DANMNET_FINALIZER
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from danm_api.testing.builders import a_held_entry
from ipam_svc.kube_store import KubeStore
from ipam_svc.testing.cluster import NAMESPACE, Cluster

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
