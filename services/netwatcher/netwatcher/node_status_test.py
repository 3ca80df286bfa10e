"""Writing DanmNode."""

import asyncio
from datetime import UTC, datetime

import pytest

from danm_api.codec.danm_node import decode_danm_node, encode_danm_node_status
from danm_api.errors import ApiUnavailableError, ConflictError, NotFoundError
from danm_api.kube.api import DANMNODES, NODES, RawObject
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from netwatcher.node_status import NodeStatusWriter

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NODE = NodeName("node-1")
UP = NodeNetwork(
    namespace=Namespace("n"), network=NetworkName("external"), link="external.300", up=True
)
DOWN = NodeNetwork(
    namespace=Namespace("n"),
    network=NetworkName("external"),
    link="external.300",
    up=False,
    reason="host_device ens4 is down on this node; set it up",
)


class World:
    """What is true on the node."""

    def __init__(self) -> None:
        self.api = FakeKube()
        self.api.add(NODES, {"metadata": {"name": NODE, "uid": "node-uid"}})
        self.networks: tuple[NodeNetwork, ...] = (DOWN,)
        self.writer = NodeStatusWriter(
            api=self.api,
            node=NODE,
            networks=lambda: self.networks,
            now=lambda: NOW,
            min_interval_s=0.001,
            retry_s=0.001,
            again_s=0.01,
        )

    def raw(self) -> RawObject | None:
        """Return the DanmNode as stored."""
        return self.api.stored(DANMNODES, NODE)

    def written(self) -> tuple[NodeNetwork, ...]:
        """Return what DanmNode says."""
        raw = self.raw()
        return () if raw is None else decode_danm_node(raw).networks


async def test_the_first_write_creates_the_object() -> None:
    """It belongs to its Node, so that it goes with it."""  # SPEC N6
    world = World()
    await world.writer.write()
    raw = world.raw()
    assert raw is not None
    assert world.written() == (DOWN,)
    assert raw["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": "node-uid"}
    ]


async def test_changes_replace_what_was_written() -> None:
    """A reason that is over does not linger."""  # SPEC N6
    world = World()
    await world.writer.write()
    world.networks = (UP,)
    await world.writer.write()
    assert world.written() == (UP,)


async def test_nothing_new_is_not_written() -> None:
    """A node at rest sends nothing."""  # DESIGN P6
    world = World()
    await world.writer.write()
    before = world.raw()
    await world.writer.write()
    assert world.raw() == before


async def test_two_netwatchers_may_create_it_at_once() -> None:
    """During a rolling update the second one goes on with the first one's object."""
    world = World()
    world.api.fail_next("create", DANMNODES, ConflictError("exists"), took_effect=True)
    await world.writer.write()
    assert world.written() == (DOWN,)


async def test_a_node_that_the_cluster_does_not_know_gets_none() -> None:
    """Without its Node the object would never go."""
    world = World()
    await world.api.delete(NODES, NODE)
    with pytest.raises(NotFoundError):
        await world.writer.write()
    assert world.raw() is None


async def test_what_somebody_else_did_to_it_is_put_right() -> None:
    """Deleted by hand, or told otherwise by the netwatcher that was there before."""  # SPEC N6
    world = World()
    task = asyncio.create_task(world.writer.run())

    async def until_told() -> None:
        async with asyncio.timeout(HANGS_S):
            while world.written() != (DOWN,):
                await asyncio.sleep(0.001)

    await until_told()
    await world.api.delete(DANMNODES, NODE)
    await until_told()
    stale = encode_danm_node_status(DanmNode(name=NODE, networks=(UP,)))
    await world.api.patch(DANMNODES, NODE, stale, subresource="status")
    await until_told()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_telling_it_again_changes_nothing() -> None:
    """The object stays as it is, time and all, so that nobody hears of it."""  # DESIGN P6
    world = World()
    await world.writer.write()
    before = world.raw()
    assert before is not None
    writes = world.api.calls["patch", DANMNODES.plural]
    await world.writer.write(again=True)
    assert world.api.calls["patch", DANMNODES.plural] == writes + 1
    after = world.raw()
    assert after is not None
    assert after["status"] == before["status"]


async def test_a_failed_write_is_made_again() -> None:
    """An API server that is away for a while learns of the last state."""
    world = World()
    world.api.fail_next("patch", DANMNODES, ApiUnavailableError("away", status=0), times=2)
    task = asyncio.create_task(world.writer.run())
    world.writer.changed()
    async with asyncio.timeout(HANGS_S):
        while world.written() != (DOWN,):
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
